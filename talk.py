"""Talk to the agent from a terminal: no LiveKit server, no key.

    python talk.py --as alice@example.com              type; Ctrl-D or "bye" ends
    printf 'hello\\n' | python talk.py --json           one JSON object per line
    python talk.py --say blue.wav --save answer.wav    speak a recording, keep the spoken answer

`agent.py` runs as it is shipped, in LiveKit's console mode, and connects to us: each message on that socket is a
length (4 bytes, big endian) and a protobuf `AgentSessionMessage`. LiveKit's own `RemoteSession` asks the questions;
this file is the person's ears, microphone and keyboard.

stdout carries the conversation and nothing else. Exit status: 0 done, 1 something failed, 2 the question was wrong,
128 + n ended by signal n. Whatever happens, nothing we started is left running.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import contextlib
import importlib
import io
import json
import os
import re
import signal
import struct
import sys
import termios
import textwrap
import threading
import time
import wave
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

try:
    from dotenv import dotenv_values
    from google.protobuf.json_format import MessageToDict
    from livekit.protocol.agent_pb import agent_session as pb
except ModuleNotFoundError as missing:
    sys.exit(f"talk: {missing.name} is not installed. Run `make setup`, then `.venv/bin/python talk.py`.")

if TYPE_CHECKING:
    from livekit.agents.voice.remote_session import RemoteSession, SessionTransport
else:
    SessionTransport = object  # only the type checker needs it; importing it takes 3 s, see `meet`

AGENT = str(Path(__file__).parent / "agent.py")
RATE = 48_000  # Hz, 16 bit mono: what the console's socket carries in both directions
BYTES_PER_SECOND = RATE * 2
FRAME_SECONDS = 0.02
FRAME_BYTES = int(BYTES_PER_SECOND * FRAME_SECONDS)

GREETING_SECONDS = 15.0  # an agent that does not greet costs this much once, and no more
ANSWER_SECONDS = 30.0  # without a word from the agent
STOP_SECONDS = 5.0  # a worker that is asked to end says goodbye and writes what it has to; then it is killed

VOICE_SETTINGS = [f"{part}_{what}" for part in ("OPENAI", "STT", "LLM", "TTS") for what in ("API_KEY", "BASE_URL")]
TOYS = (
    "no key is set, so the voice is a toy: rules answer instead of a language model, pocketsphinx hears, "
    "espeak-ng speaks. For real ones set OPENAI_API_KEY (in the environment or in .env)."
)


class Failure(Exception):
    """Something failed; the text says what and what to do, to the person at the terminal."""

    def __init__(self, what: str, log: str = "") -> None:
        super().__init__(what)
        self.log = log


class Printer:
    """The conversation goes to stdout, everything about it to stderr.

    `failed` is true once an error was shown: it becomes exit status 1.
    """

    def __init__(self, *, as_json: bool, typed: bool) -> None:
        self._as_json = as_json
        self._typed = typed  # what a person types at a prompt is on the screen already
        self.failed = False

    def show(self, event: str, text: str, **more: str) -> None:
        """Show one event: user, agent, memory or error."""
        self.failed = self.failed or event == "error"
        if self._as_json:
            self._write(json.dumps({"event": event, "text": text, **more}, ensure_ascii=False))
        elif event == "error":
            self.hint(f"error: {text}")
        elif event == "memory":
            self._write(f"memory: {more['action']} {more['category']} — {text}")
        elif event == "agent":
            self._write(f"agent: {text}")
        elif not self._typed:
            self._write(f"you: {text}")

    def hint(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):
            print(text, file=sys.stderr, flush=True)

    def _write(self, line: str) -> None:
        try:
            print(line, flush=True)
        except BrokenPipeError:
            # `| head -1` has what it wanted. Without the redirection Python complains again when it closes stdout.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            signal.raise_signal(signal.SIGTERM)


class Child:
    """A process that ends with us, and its log.

    It leads a process group of its own, so that the terminal's Ctrl-C reaches only us and `stop` reaches all it
    started. Its stdin is a pipe that is never written: when we die without a goodbye, it reads end of file.
    `ended` is set when it is of no more use to us; `why` then says so in words.
    """

    def __init__(self, name: str, printer: Printer, *, verbose: bool) -> None:
        self.name = name
        self.log: deque[str] = deque(maxlen=20)
        self.ended = asyncio.Event()
        self.why = ""
        self._printer = printer
        self._verbose = verbose
        self._process: asyncio.subprocess.Process | None = None
        self._following: asyncio.Task[None] | None = None

    async def start(self, *arguments: str, folder: Path, environment: Mapping[str, str]) -> None:
        """Run `python ARGUMENTS` in a folder."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            cwd=folder,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=1 << 24,  # bytes in a line of its log
        )
        if self._process.stdout:  # always: a pipe was asked for
            self._following = asyncio.create_task(self._follow(self._process, self._process.stdout))

    async def stop(self) -> None:
        """End the process and all it started; returns when they are gone, after `STOP_SECONDS` at most."""
        if (process := self._process) is None:
            return
        # SIGTERM once: at a second one a console worker kills its own group (cli.py `_handle_exit`).
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if self._following:
            self._following.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def failure(self, otherwise: str, advice: str = "") -> Failure:
        """Why it ended, or what is the matter if it did not; what to do; how its log ends."""
        log = "\n".join(self.log)
        if missing := re.search(r"No module named '?([\w.]+)", log):
            advice = f"Python finds no module {missing[1]}: run `make setup`. {advice}"
        return Failure(f"{self.why or otherwise}. {advice}".strip(), "" if self._verbose else log)

    def notice(self, line: str) -> None:
        """Called with each line of the log."""

    def end(self, why: str) -> None:
        if not self.ended.is_set():
            self.why = why
            self.ended.set()

    async def _follow(self, process: asyncio.subprocess.Process, log: asyncio.StreamReader) -> None:
        while raw := await log.readline():
            line = re.sub(r"\x1b\[[0-9;]*m", "", raw.decode(errors="replace")).rstrip()
            self.log.append(line)
            if self._verbose:
                self._printer.hint(line)
            self.notice(line)
        self.end(f"{self.name} ended with exit code {await process.wait()}")


class OfflineVoice(Child):
    """The OpenAI-compatible server of the package `offline`, for when there is no key."""

    def __init__(self, printer: Printer, *, verbose: bool) -> None:
        super().__init__("the offline voice", printer, verbose=verbose)
        self._base_url = ""
        self._listening = asyncio.Event()

    def notice(self, line: str) -> None:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            self._base_url = json.loads(line)["base_url"]
            self._listening.set()

    async def listen(self, folder: Path, environment: Mapping[str, str], seconds: float) -> str:
        """Start it and return its base URL.

        Raises:
            Failure: it ended, or does not listen after so many seconds.
        """
        arguments = ("-m", "offline", "--port", "0", "--until-stdin-closes")
        await self.start(*arguments, folder=folder, environment=environment)
        if not await before(self.ended, self._listening.wait(), seconds):
            raise self.failure(f"the offline voice does not listen after {seconds:.0f} s", "Or set OPENAI_API_KEY.")
        return self._base_url


class Worker(Child):
    """`python -m livekit.agents console agent.py`, which connects to our port."""

    def __init__(self, printer: Printer, *, verbose: bool) -> None:
        super().__init__("the agent", printer, verbose=verbose)
        self._warned = False

    def notice(self, line: str) -> None:
        if '"job crashed"' in line:  # the worker itself stays, with nobody in it
            self.end("the agent's entrypoint failed")
        if "[MEMORY OFF]" in line and not self._warned:
            self._warned = True
            if not self._verbose:
                self._printer.hint(line[line.index("[MEMORY OFF]") :])


async def before(event: asyncio.Event, work: Coroutine[object, object, object], seconds: float | None = None) -> bool:
    """Do some work unless an event comes first, or the seconds have passed: then it is cancelled.

    True if the work was done. Raises what the work raised, unless the event explains it.
    """
    tasks = working, _ = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if event.is_set() or not working.done():
            return False
        working.result()
        return True
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class ConsoleTransport(SessionTransport):
    """Our end of the socket.

    Each message is shown to `receive` before `RemoteSession` sees it: `RemoteSession` drops the audio, and an event
    that came before a response is dealt with before the request returns. `lost` is set when the worker is gone.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lost = asyncio.Event()
        self.receive: Callable[[pb.AgentSessionMessage], None] = lambda _: None
        self._reader = reader
        self._writer = writer

    async def start(self) -> None:
        pass  # the worker connected to us

    async def send_message(self, msg: pb.AgentSessionMessage) -> None:
        data = msg.SerializeToString()
        self._writer.write(struct.pack(">I", len(data)) + data)  # one write: two tasks send, frames must not mix
        with contextlib.suppress(ConnectionError):  # `lost` tells, from the reading side
            await self._writer.drain()

    async def send_audio(self, frame: bytes) -> None:
        audio = pb.AgentSessionMessage.ConsoleIO.AudioFrame(
            data=frame, sample_rate=RATE, num_channels=1, samples_per_channel=len(frame) // 2
        )
        await self.send_message(pb.AgentSessionMessage(audio_input=audio))

    async def send_playback_finished(self) -> None:
        finished = pb.AgentSessionMessage.ConsoleIO.AudioPlaybackFinished()
        await self.send_message(pb.AgentSessionMessage(audio_playback_finished=finished))

    async def close(self) -> None:
        self._writer.close()

    def __aiter__(self) -> AsyncIterator[pb.AgentSessionMessage]:
        return self

    async def __anext__(self) -> pb.AgentSessionMessage:
        try:
            (length,) = struct.unpack(">I", await self._reader.readexactly(4))
            message = pb.AgentSessionMessage.FromString(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.lost.set()
            raise StopAsyncIteration from None
        self.receive(message)
        return message


class Microphone:
    """Sends 20 ms frames in real time, for ever: a recording if there is one, silence if not.

    The silence matters: without it the worker's voice activity detection never hears that a sentence is over.
    """

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._frames: deque[bytes] = deque()
        self._silent = asyncio.Event()

    async def say(self, pcm: bytes) -> None:
        """Speak; returns when the last frame is sent. Short of a whole frame, silence is added."""
        for start in range(0, len(pcm), FRAME_BYTES):
            self._frames.append(pcm[start : start + FRAME_BYTES].ljust(FRAME_BYTES, b"\0"))
        self._silent.clear()
        await self._silent.wait()

    async def run(self) -> None:
        clock = time.monotonic()
        while True:
            await self._send(self._frames.popleft() if self._frames else bytes(FRAME_BYTES))
            if not self._frames:
                self._silent.set()
            # Against a clock, so that late wake-ups do not add up; but a machine that slept need not catch up.
            clock = max(clock + FRAME_SECONDS, time.monotonic() - 1)
            await asyncio.sleep(clock - time.monotonic())


class Speaker:
    """Plays the agent's voice to nobody, in real time, and says when it has been played.

    The worker commits an answer only when we say so, and takes an interruption's position from the time that passed:
    a speaker faster than speech would make it believe that everything was heard. When nobody listens (typed
    conversations) there is nothing to interrupt, and `instant` saves the wait.
    """

    def __init__(self, finished: Callable[[], Awaitable[None]], *, instant: bool = False) -> None:
        self.kept: bytearray | None = None  # bytes played since somebody put a bytearray here
        self._finished = finished
        self._instant = instant
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: all of an answer has been sent
        self._playing = False

    @property
    def idle(self) -> bool:
        return self._queue.empty() and not self._playing

    def play(self, pcm: bytes) -> None:
        self._queue.put_nowait(pcm)

    def flush(self) -> None:
        """The answer is complete: `finished` is called when it has been played, at once if nothing is left."""
        self._queue.put_nowait(None)

    def clear(self) -> None:
        """Interrupted: forget what has not been played.

        A flush among it needs no answer, the worker stopped waiting for it; one that comes later does
        (tcp_console.py `clear_buffer`, `flush`).
        """
        while not self._queue.empty():
            self._queue.get_nowait()

    async def run(self) -> None:
        played_until = 0.0
        while True:
            self._playing = False
            piece = await self._queue.get()
            self._playing = True
            if piece is None:
                await self._finished()
            elif not self._instant:
                if self.kept is not None:
                    self.kept += piece
                played_until = max(played_until, time.monotonic()) + len(piece) / BYTES_PER_SECOND
                await asyncio.sleep(played_until - time.monotonic())


class Conversation:
    """What has happened so far, as the worker's messages tell it. Times are those of `time.monotonic`."""

    def __init__(self, transport: ConsoleTransport, printer: Printer, *, spoken: bool) -> None:
        transport.receive = self._receive
        self.speaker = Speaker(transport.send_playback_finished, instant=not spoken)
        self.user_turns = 0
        self.agent_turns = 0
        self._printer = printer
        self._spoken = spoken
        self._agent_state = pb.AS_INITIALIZING
        self._user_state = pb.US_LISTENING
        self._user_turn_at = self._agent_turn_at = self._user_stopped_at = 0.0
        self._event_at = time.monotonic()

    def _receive(self, message: pb.AgentSessionMessage) -> None:
        match message.WhichOneof("message"):
            case "event":
                self._event_at = time.monotonic()
                self._on_event(message.event)
            case "audio_output":
                self.speaker.play(message.audio_output.data)
            case "audio_playback_flush":
                self.speaker.flush()
            case "audio_playback_clear":
                self.speaker.clear()
            case _:
                pass  # a response, which is RemoteSession's

    def _on_event(self, event: pb.AgentSessionEvent) -> None:
        match event.WhichOneof("event"):
            case "conversation_item_added":
                if event.conversation_item_added.item.HasField("message"):
                    self._on_turn(event.conversation_item_added.item.message)
            case "debug_message":
                self._on_memory(MessageToDict(event.debug_message.payload))
            case "agent_state_changed":
                self._agent_state = event.agent_state_changed.new_state
            case "user_state_changed":
                if self._user_state == pb.US_SPEAKING:
                    self._user_stopped_at = self._event_at
                self._user_state = event.user_state_changed.new_state
            case "error":
                text = event.error.message
                if "recoverable=True" in text:  # the worker tries again; if that fails too, it says so
                    self._printer.hint(f"the agent is trying again: {text}")
                else:
                    self._printer.show("error", text)
            case _:
                pass

    def _on_turn(self, message: pb.ChatMessage) -> None:
        text = "".join(content.text for content in message.content).strip()
        if message.role == pb.ASSISTANT:
            self.agent_turns += 1
            self._agent_turn_at = self._event_at
            if text:
                self._printer.show("agent", text)
        elif message.role == pb.USER:
            self.user_turns += 1
            self._user_turn_at = self._event_at
            if self._spoken:  # what was typed has been shown when it was sent
                self._printer.show("user", text)

    def _on_memory(self, payload: dict[str, object]) -> None:
        if payload.get("event") == "memory":
            text, action, category, key = (str(payload.get(name, "")) for name in ("text", "action", "category", "key"))
            self._printer.show("memory", text, action=action, category=category, key=key)

    def greeted(self) -> bool:
        """Whether the greeting is over, or failed."""
        return self._printer.failed or (self.agent_turns > 0 and self._agent_is_done())

    def answered(self) -> bool:
        """Whether the agent has said all it had to say to the last thing it heard.

        A pause in a recording makes two turns of it, so an answer that is older than the last sound of a voice
        is not the answer yet, unless two seconds show that the sound was no words.
        """
        if self._user_state == pb.US_SPEAKING or self._agent_turn_at <= self._user_turn_at:
            return False
        words_to_come = self._agent_turn_at < self._user_stopped_at > time.monotonic() - 2
        return not words_to_come and self._agent_is_done() and time.monotonic() > self._event_at + 0.3

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait for something to hold. False if it does not for so many seconds in which the agent says nothing."""
        deadline = time.monotonic() + seconds
        while not holds():
            if not self.speaker.idle:
                deadline = time.monotonic() + seconds
            elif time.monotonic() >= deadline:
                return False
            await asyncio.sleep(FRAME_SECONDS)
        return True

    async def settle(self, seconds: float = 0.3) -> None:
        """Wait for the events that follow an answer: until none came for so many seconds, 2 s at most.

        The worker writes memory beside the turn, and says nothing when there was nothing to write: silence is the
        only sign that all has been told.
        """
        await self.until(lambda: time.monotonic() > self._event_at + seconds, seconds=2)

    def _agent_is_done(self) -> bool:
        return self.speaker.idle and self._agent_state in (pb.AS_LISTENING, pb.AS_IDLE)


class Keyboard:
    """Lines from stdin, be it a terminal, a pipe or a file; blank ones are skipped.

    They are read in daemon threads: asyncio cannot read a file or use readline, and a thread of its pool would
    keep a Ctrl-C waiting for the next line. A pipe is read without Python's buffer, whose lock a thread that still
    reads would not give back when Python ends.
    """

    def __init__(self, *, prompt_on_stdout: bool) -> None:
        self._terminal = sys.stdin.isatty()
        self._readline = self._terminal and prompt_on_stdout
        self._rest = b""
        if self._readline:
            with contextlib.suppress(ImportError):
                importlib.import_module("readline")  # gives input() its editing

    async def lines(self) -> AsyncIterator[str]:
        while (line := await self._in_thread(self._read_line)) is not None:
            text = line.strip()
            if self._terminal and text.lower() in ("bye", "quit"):
                return
            if text:
                yield text

    def _read_line(self) -> str | None:
        if self._readline:
            return input("you: ")
        if self._terminal:
            print("you: ", end="", file=sys.stderr, flush=True)
        while b"\n" not in self._rest:
            data = os.read(sys.stdin.fileno(), 65536)
            if not data:
                last, self._rest = self._rest, b""
                return last.decode(errors="replace") or None
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")

    @staticmethod
    async def _in_thread(read: Callable[[], str | None]) -> str | None:
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str | None] = loop.create_future()

        def deliver(text: str | None) -> None:
            if not line.done():
                line.set_result(text)

        def work() -> None:
            text = None
            with contextlib.suppress(EOFError, OSError, UnicodeDecodeError):
                text = read()
            with contextlib.suppress(RuntimeError):  # the loop is closed, nobody waits
                loop.call_soon_threadsafe(deliver, text)

        threading.Thread(target=work, daemon=True).start()
        return await line


@contextlib.contextmanager
def terminal_restored() -> Generator[None]:
    """Leave the terminal as it was, even if a thread is still in readline, which turns the echo off."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        print(file=sys.stderr)  # Ctrl-C and Ctrl-D leave the cursor behind the prompt


@dataclass(frozen=True)
class Recording:
    """A sentence somebody spoke: 16 bit mono samples at any rate."""

    name: str
    rate: int
    samples: bytes

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a WAV file; several channels become their mean.

        Raises:
            ValueError: it cannot be read or is not 16 bit; the text says what to do.
        """
        try:
            with wave.open(str(path), "rb") as file:
                width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
                samples = array.array("h", file.readframes(file.getnframes()) if width == 2 else b"")
        except (OSError, EOFError, ValueError, wave.Error) as error:
            raise ValueError(f"cannot read {path} as a WAV file: {error}") from error
        if width != 2:
            raise ValueError(f"{path} has {width * 8} bit samples. Convert it: sox {path} -b 16 16bit.wav")
        if not samples:
            raise ValueError(f"{path} has no sound in it")
        if channels > 1:
            each = [samples[channel::channels] for channel in range(channels)]
            samples = array.array("h", (sum(together) // channels for together in zip(*each, strict=True)))
        return cls(path.name, rate, samples.tobytes())

    def at_wire_rate(self) -> bytes:
        """The samples at 48 kHz."""
        if self.rate == RATE:
            return self.samples
        from livekit import rtc  # noqa: PLC0415  (a native library: not before the worker is on its way)

        resampler = rtc.AudioResampler(self.rate, RATE, quality=rtc.AudioResamplerQuality.HIGH)
        frames = resampler.push(bytearray(self.samples)) + resampler.flush()
        return b"".join(bytes(frame.data) for frame in frames)


def save_recording(path: Path, pcm: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm)


async def talk_by_text(remote: RemoteSession, conversation: Conversation, keyboard: Keyboard, printer: Printer) -> None:
    """Send each line and wait for all of its answer."""
    # A typed line interrupts whoever speaks (remote_session.py `run_input`), so the greeting comes first.
    await conversation.until(conversation.greeted, GREETING_SECONDS)
    await remote.update_io(input_audio_enabled=False, output_audio_enabled=False)
    await conversation.settle()
    async for line in keyboard.lines():
        printer.show("user", line)
        try:
            await remote.run(line)
        except RuntimeError as error:
            printer.show("error", f"the agent could not answer: {error}")
        # A response overtakes the events before it, which queue for a writer task; the next response does not.
        await remote.get_session_state()
        await conversation.settle()


async def talk_by_voice(conversation: Conversation, microphone: Microphone, recordings: list[Recording]) -> None:
    """Speak each recording and listen to all of its answer.

    Raises:
        Failure: the agent did not hear or did not answer a recording.
    """
    spoken = [recording.at_wire_rate() for recording in recordings]
    await conversation.until(conversation.greeted, GREETING_SECONDS)  # a voice would interrupt it
    conversation.speaker.kept = bytearray()
    for recording, pcm in zip(recordings, spoken, strict=True):
        turns = conversation.user_turns
        await microphone.say(pcm)
        if not await conversation.until(lambda: conversation.user_turns > turns, ANSWER_SECONDS):  # noqa: B023
            raise Failure(f"the agent heard no words in {recording.name} within {ANSWER_SECONDS:.0f} s")
        if not await conversation.until(conversation.answered, ANSWER_SECONDS):
            raise Failure(f"the agent did not answer {recording.name} within {ANSWER_SECONDS:.0f} s")


async def talk(transport: ConsoleTransport, options: Options, printer: Printer) -> None:
    """One conversation, from the greeting to the last thing remembered.

    Raises:
        Failure: the agent did not hear or did not answer.
    """
    from livekit.agents.voice.remote_session import RemoteSession  # noqa: PLC0415  (`meet` imported it)

    remote = RemoteSession(transport)
    conversation = Conversation(transport, printer, spoken=bool(options.say))
    microphone = Microphone(transport.send_audio)
    background = [asyncio.create_task(conversation.speaker.run())]
    try:
        await remote.start()
        await remote.wait_for_ready(timeout=GREETING_SECONDS)
        if options.say:
            background.append(asyncio.create_task(microphone.run()))
            await talk_by_voice(conversation, microphone, options.say)
        else:
            keyboard = Keyboard(prompt_on_stdout=sys.stdout.isatty() and not options.json)
            await talk_by_text(remote, conversation, keyboard, printer)
        await conversation.settle(0.8)  # longer than between two lines: what comes later is not seen
    except TimeoutError as error:
        raise Failure("the agent does not answer any more") from error
    finally:
        for task in background:
            task.cancel()
        await remote.aclose()
        if options.save and conversation.speaker.kept:
            save_recording(options.save, bytes(conversation.speaker.kept))


async def meet(worker: Worker, options: Options, environment: Mapping[str, str]) -> ConsoleTransport:
    """Start the worker and wait for it at a port of ours.

    Raises:
        Failure: it did not come.
    """
    connected: asyncio.Future[ConsoleTransport] = asyncio.get_running_loop().create_future()

    def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not connected.done():
            connected.set_result(ConsoleTransport(reader, writer))

    async def arrive() -> None:
        # 3 s of processor time, while the worker does the same beside us.
        await asyncio.to_thread(importlib.import_module, "livekit.agents.voice.remote_session")
        await connected

    server = await asyncio.start_server(welcome, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    command = ("-m", "livekit.agents", "console", str(options.agent), "--connect-addr", address)
    try:
        await worker.start(*command, folder=options.agent.parent, environment=environment)
        if not await before(worker.ended, arrive(), options.start_timeout):
            late = f"the agent did not connect within {options.start_timeout:.0f} s"
            raise worker.failure(f"{late}; on a slow machine raise --start-timeout")
    finally:
        server.close()  # to newcomers; waiting for it would wait for the worker to hang up
    return connected.result()


def has_voice(folder: Path, environment: Mapping[str, str]) -> bool:
    """Whether any setting says where hearing, thinking and speaking come from, read as the worker reads them."""
    settings = {**dotenv_values(folder / ".env"), **dotenv_values(folder / ".env.local"), **environment}
    return any(settings.get(name) for name in VOICE_SETTINGS)


async def converse(options: Options, printer: Printer) -> None:
    """Start everything, talk, and end everything.

    Raises:
        Failure: something did not start, answer or stay.
    """
    folder = options.agent.parent
    # A console worker outlives its connection (livekit-agents 1.8.9): it may end when its stdin does, which is ours.
    environment = {**os.environ, "CONSOLE_LIFELINE": "stdin"}
    if options.identity is not None:
        environment["CONSOLE_IDENTITY"] = options.identity
    async with (
        OfflineVoice(printer, verbose=options.verbose) as voice,
        Worker(printer, verbose=options.verbose) as worker,
    ):
        if not has_voice(folder, environment):
            printer.hint(TOYS)
            base_url = await voice.listen(folder, environment, options.start_timeout)
            environment |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "offline"}
        printer.hint("starting the agent …")
        transport = await meet(worker, options, environment)
        if not await before(transport.lost, talk(transport, options, printer)):
            with contextlib.suppress(TimeoutError):  # the socket closes a moment before the process is gone
                await asyncio.wait_for(worker.ended.wait(), 2)
            raise worker.failure("the agent hung up", "The conversation was not over.")


class Options(argparse.Namespace):
    """What was asked for."""

    agent: Path
    identity: str | None
    json: bool
    say: list[Recording]
    save: Path | None
    start_timeout: float
    verbose: bool


def parse(arguments: list[str] | None) -> Options:
    """Exits with status 2 and a message if the question is wrong."""
    parser = argparse.ArgumentParser(description="Talk to the agent: no LiveKit server, no key.")
    add = parser.add_argument
    add("--as", dest="identity", metavar="IDENTITY", help="who you are, such as alice@example.com")
    add("--json", action="store_true", help="print one JSON object per line")
    add("--say", type=a_recording, action="extend", nargs="+", default=[], metavar="FILE", help="speak WAV files")
    add("--save", type=Path, metavar="FILE", help="keep the spoken answers to --say, as a WAV file")
    add("--verbose", action="store_true", help="show the agent's log, on stderr")
    add("--agent", type=a_file, default=AGENT, metavar="FILE", help="another agent than agent.py")
    add("--start-timeout", type=float, default=60.0, metavar="SECONDS", help="for the agent to start (60)")
    options = parser.parse_args(arguments, namespace=Options())
    if options.save and not options.say:
        parser.error("--save keeps the answers to --say: say something")
    if options.save and not options.save.parent.is_dir():
        parser.error(f"there is no folder {options.save.parent} to save in")
    return options


def a_file(path: str) -> Path:
    if not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path}")
    return Path(path).resolve()


def a_recording(path: str) -> Recording:
    try:
        return Recording.read(Path(path))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def end_on_signals(task: asyncio.Task[None]) -> list[int]:
    """Let the first SIGINT, SIGTERM or SIGHUP cancel a task; later ones do not disturb its cleaning up.

    Returns the list in which the signal's number will be.
    """
    received: list[int] = []

    def stop(number: int) -> None:
        if not received:
            received.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
    return received


async def run(options: Options, printer: Printer) -> int:
    """Hold the conversation; returns the exit status."""
    conversing = asyncio.create_task(converse(options, printer))
    received = end_on_signals(conversing)
    try:
        await conversing
    except Failure as failure:
        printer.show("error", str(failure))
        if failure.log:
            printer.hint(f"The end of its log:\n{textwrap.indent(failure.log, '    ')}")
    except ModuleNotFoundError as error:
        printer.show("error", f"{error.name} is not installed: run `make setup`")
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
    return 1 if printer.failed else 0


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # people say more than every terminal can show
    printer = Printer(as_json=options.json, typed=sys.stdin.isatty() and not options.say)
    with terminal_restored():
        return asyncio.run(run(options, printer))


if __name__ == "__main__":
    sys.exit(main())
