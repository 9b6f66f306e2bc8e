"""A person in a real room: a browser's part, played with LiveKit's own RTC SDK.

They have a microphone that is always open, ears that keep what they hear, a keyboard, and eyes for what front ends
show: transcripts, the agent's state. Nothing here sleeps for a fixed time; what does not happen before its deadline
raises `AssertionError` with the story so far as this person saw it.

    async with Person(server, "alice@example.com", "kitchen") as alice:
        await alice.answer()                      # the greeting
        await alice.say(SPEECH / "blue.rms.wav")
        assert "blue" in (await alice.answer()).text
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
import wave
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from livekit import api, rtc
from numpy.typing import NDArray

from tests.stack.livekit_server import LiveKitServer
from tests.stack.worker import AGENT_NAME
from voice.failure import HOLD_ON

RATE = 16_000
FRAME = RATE // 50  # 20 ms
LOUD = 200.0  # rms of 16 bit samples; a silent WebRTC track stays below 10, speech is in the thousands
QUIET_SECONDS = 0.4

JOIN_SECONDS = 20.0
ANSWER_SECONDS = 30.0  # measured: 1.3 s on an idle machine, 19 s with four speaking and the cores taken
DEPARTURE_SECONDS = 1  # how long our rooms outlive the last person; the server's own 20 would only cost time

CHAT = "lk.chat"
TRANSCRIPTION = "lk.transcription"
STATE = "lk.agent.state"

Samples = NDArray[np.int16]


def token(
    server: LiveKitServer,
    identity: str,
    room: str,
    *,
    agent: str | None = AGENT_NAME,
    departure_seconds: int = DEPARTURE_SECONDS,
    grants: Mapping[str, Any] | None = None,
) -> str:
    """What a token server signs. With an `agent`, the room gets one if this join creates it, and only then."""
    config = api.RoomConfiguration(
        departure_timeout=departure_seconds,
        agents=[api.RoomAgentDispatch(agent_name=agent)] if agent is not None else [],
    )
    granted: dict[str, Any] = {"room_join": True, "room": room, **(grants or {})}
    return (
        api.AccessToken(server.key, server.secret)
        .with_identity(identity)
        .with_grants(api.VideoGrants(**granted))
        .with_room_config(config)
        .to_jwt()
    )


@dataclass(frozen=True)
class Transcript:
    """One `lk.transcription` stream, complete."""

    of: str
    """Whose words: the identity in whose name it was sent."""
    text: str
    attributes: Mapping[str, str]
    began: float
    """When its first piece came, in seconds of `time.monotonic()`."""

    @property
    def final(self) -> bool:
        return self.attributes.get("lk.transcription_final") == "true"

    @property
    def segment(self) -> str:
        return self.attributes.get("lk.segment_id", "")

    @property
    def track(self) -> str:
        """The sid of the track whose words these are said to be."""
        return self.attributes.get("lk.transcribed_track_id", "")


@dataclass(frozen=True)
class Answer:
    """What the agent said, as it was shown and as it was heard."""

    text: str
    audio: bytes
    """A WAV file; empty of sound if the agent could not be heard."""


@dataclass
class Recording:
    """Everything heard of one participant, silence included."""

    source: rtc.TrackSource.ValueType
    track: str
    _frames: list[Samples] = field(default_factory=list[Samples])
    _samples: int = 0
    _loud_until: int = 0
    _loud_samples: int = 0

    def add(self, frame: rtc.AudioFrame) -> None:
        samples = np.frombuffer(frame.data, np.int16).copy()
        self._frames.append(samples)
        self._samples += len(samples)
        if len(samples) and float(np.sqrt(np.mean(samples.astype(np.float32) ** 2))) > LOUD:
            self._loud_until = self._samples
            self._loud_samples += len(samples)

    @property
    def seconds(self) -> float:
        return self._samples / RATE

    @property
    def seconds_of_sound(self) -> float:
        return self._loud_samples / RATE

    @property
    def quiet_for(self) -> float:
        return (self._samples - self._loud_until) / RATE

    def wav(self, since: float = 0.0) -> bytes:
        """What was heard from that second on."""
        samples = np.concatenate([*self._frames, np.zeros(0, np.int16)])[int(since * RATE) :]
        return as_wav(samples)


class Microphone:
    """An open microphone: 20 ms frames for ever, a recording if there is one, silence if not.

    The silence matters: without it the agent's voice activity detection never hears that a sentence is over.
    """

    def __init__(self) -> None:
        # capture_frame waits when this queue is full, which is what paces us
        self.source = rtc.AudioSource(RATE, 1, queue_size_ms=100)
        self._frames: deque[Samples] = deque()
        self._silent = asyncio.Event()

    async def say(self, samples: Samples) -> None:
        """Returns when the last frame went out."""
        padded = np.pad(samples, (0, -len(samples) % FRAME))
        self._silent.clear()
        self._frames.extend(padded[start : start + FRAME] for start in range(0, len(padded), FRAME))
        await self._silent.wait()

    async def run(self) -> None:
        silence = np.zeros(FRAME, np.int16)
        while True:
            frame = self._frames.popleft() if self._frames else silence
            await self.source.capture_frame(rtc.AudioFrame(frame.tobytes(), RATE, 1, FRAME))
            if not self._frames:
                self._silent.set()


class Person:
    """Somebody in a room, while an `async with` block runs. They may leave and `come_back` in between.

    `announce_early_audio` says, as front ends do, that what was said before the agent came will be sent.

    `agent=None` asks for no agent: who joins a room that exists, or visits somebody else's, needs none. `grants` are
    added to the token's video grants. All that was seen and heard stays here after they left.
    """

    def __init__(
        self,
        server: LiveKitServer,
        identity: str,
        room: str,
        *,
        agent: str | None = AGENT_NAME,
        microphone: bool = True,
        announce_early_audio: bool = False,
        departure_seconds: int = DEPARTURE_SECONDS,
        grants: Mapping[str, Any] | None = None,
    ) -> None:
        self.identity = identity
        self.transcripts: list[Transcript] = []
        """Everybody's, finished streams in the order in which they ended."""
        self.chat: list[tuple[str, str]] = []
        """Texts others sent on `lk.chat`: sender, text."""
        self.states: list[str] = []
        """The values of `lk.agent.state`, as they came."""
        self.recordings: dict[str, Recording] = {}
        """What was heard, by the identity of who published it."""
        self.offered: list[tuple[str, str]] = []
        """The audio tracks that this person may hear: whose, and the sid."""
        self.story: list[str] = []
        """What happened, line by line, for a failing test."""
        self._url = server.url
        self._token = token(server, identity, room, agent=agent, departure_seconds=departure_seconds, grants=grants)
        self._with_microphone = microphone
        self._announce_early_audio = announce_early_audio
        self._room: rtc.Room | None = None
        self._microphone: Microphone | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._born = time.monotonic()
        self._mark = (0.0, 0.0)
        """Since when the next answer counts: on the clock, and in the agent's recording."""

    # --- coming and going -----------------------------------------------------------------------------------------

    async def join(self) -> Self:
        """Connect, and publish the microphone. Does not wait for an agent."""
        if self.here:
            raise RuntimeError(f"{self.identity} is in the room already")
        room = self._room = rtc.Room()
        room.on("participant_connected", self._on_participant)
        room.on("participant_disconnected", self._on_goodbye)
        room.on("participant_attributes_changed", self._on_attributes_changed)
        room.on("track_subscribed", self._on_track)
        room.on("disconnected", self._on_end)
        room.register_text_stream_handler(TRANSCRIPTION, lambda reader, who: self._do(self._read(reader, who)))
        room.register_text_stream_handler(CHAT, lambda reader, who: self._do(self._read_chat(reader, who)))
        await asyncio.wait_for(room.connect(self._url, self._token), JOIN_SECONDS)
        self._tell("joined")
        for participant in room.remote_participants.values():
            self._on_participant(participant)
        if self._with_microphone:
            microphone = self._microphone = Microphone()
            track = rtc.LocalAudioTrack.create_audio_track("microphone", microphone.source)
            options = rtc.TrackPublishOptions(
                source=rtc.TrackSource.SOURCE_MICROPHONE, preconnect_buffer=self._announce_early_audio
            )
            await room.local_participant.publish_track(track, options)
            self._do(microphone.run())
        return self

    async def leave(self) -> None:
        """Say goodbye as a closed browser tab does. Harmless when they are gone already."""
        room, self._room = self._room, None
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if room:
            await room.disconnect()
        if self._microphone:
            await self._microphone.source.aclose()
            self._microphone = None

    async def come_back(self) -> Self:
        """Leave if they are here, and join again with the same token."""
        await self.leave()
        self._mark = (time.monotonic(), 0.0)
        self.recordings.clear()
        self.states.clear()
        return await self.join()

    async def __aenter__(self) -> Self:
        try:
            return await self.join()
        except BaseException:
            await self.leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    @property
    def here(self) -> bool:
        return self._room is not None and self._room.isconnected()

    @property
    def room(self) -> rtc.Room:
        """The SDK's own room, for what has no word here."""
        if self._room is None:
            raise RuntimeError(f"{self.identity} is in no room")
        return self._room

    # --- the agent ------------------------------------------------------------------------------------------------

    @property
    def agents(self) -> list[rtc.RemoteParticipant]:
        if self._room is None:
            return []
        agent = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        return [who for who in self._room.remote_participants.values() if who.kind == agent]

    async def meet(self, seconds: float = JOIN_SECONDS) -> rtc.RemoteParticipant:
        """Wait until an agent is in the room and speaks or listens."""
        await self.until(lambda: self.agents and self.states and self.states[-1] != "initializing", "an agent", seconds)
        return self.agents[0]

    @property
    def agent_audio(self) -> Recording | None:
        """What was heard of the agent; None if its track was never offered to this person."""
        return next((self.recordings[who.identity] for who in self.agents if who.identity in self.recordings), None)

    # --- speaking and listening -----------------------------------------------------------------------------------

    async def say(self, recording: Path) -> None:
        """Speak a 16 kHz mono WAV file; returns when its last word is out."""
        if self._microphone is None:
            raise RuntimeError(f"{self.identity} has no microphone in a room")
        self._turn(f"says {recording.name}")
        await self._microphone.say(from_wav(recording))

    async def type(self, text: str, *, to: list[str] | None = None, topic: str = CHAT) -> None:
        """Send a text, to everybody unless `to` names identities."""
        self._turn(f"types {text!r} on {topic}")
        await self.room.local_participant.send_text(text, topic=topic, destination_identities=to)

    async def answer(self, seconds: float = ANSWER_SECONDS) -> Answer:
        """Wait until the agent has said something since this person's last words (or since they joined) and is silent
        again. That they should hold on, which a busy machine makes it say, or begin to say, is no answer."""
        since, second = self._mark

        def said() -> list[Transcript]:
            agents = {who.identity for who in self.agents}
            return [
                each
                for each in self.transcripts
                if each.of in agents and each.began >= since and each.text and not HOLD_ON.startswith(each.text.strip())
            ]

        def over() -> bool:
            audio = self.agent_audio
            quiet = audio is None or audio.quiet_for >= QUIET_SECONDS
            return bool(said()) and self.states[-1:] == ["listening"] and quiet

        await self.until(over, "an answer", seconds)
        audio = self.agent_audio
        text = " ".join(each.text for each in said())
        self._turn(f"heard {text!r}")
        return Answer(text, audio.wav(second) if audio else as_wav(np.zeros(0, np.int16)))

    @property
    def understood(self) -> list[str]:
        """This person's own words as the room shows them, final transcripts only."""
        return [each.text for each in self.transcripts if each.of == self.identity and each.final]

    async def call(self, method: str, payload: str = "", seconds: float = 8.0) -> str:
        """Call an RPC method of the agent. Raises `rtc.RpcError`."""
        agent = await self.meet()
        return await self.room.local_participant.perform_rpc(
            destination_identity=agent.identity, method=method, payload=payload, response_timeout=seconds
        )

    async def until(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Wait until something holds that this person can see; looked at whenever something happens to them."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            story = "\n".join(self.story)
            raise AssertionError(f"{self.identity} still waits after {seconds:g} s for {what}:\n{story}") from None

    # --- what happens to them -------------------------------------------------------------------------------------

    def _on_participant(self, who: rtc.RemoteParticipant) -> None:
        self._tell(f"{who.identity} is here")
        self._on_attributes(who)

    def _on_goodbye(self, who: rtc.RemoteParticipant) -> None:
        self._tell(f"{who.identity} left")

    def _on_end(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._tell(f"disconnected: {rtc.DisconnectReason.Name(reason)}")

    def _on_attributes_changed(self, _: Mapping[str, str], who: rtc.Participant) -> None:
        self._on_attributes(who)

    def _on_attributes(self, who: rtc.Participant) -> None:
        state = who.attributes.get(STATE)
        if state and self.states[-1:] != [state]:
            self.states.append(state)
            self._tell(f"the agent is {state}")

    def _on_track(
        self, track: rtc.RemoteTrack, publication: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant
    ) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            recording = self.recordings[who.identity] = Recording(publication.source, publication.sid)
            self.offered.append((who.identity, publication.sid))
            self._tell(f"hears {who.identity}")
            self._do(self._listen(track, recording))

    async def _listen(self, track: rtc.Track, recording: Recording) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=20)
        try:
            async for event in stream:
                recording.add(event.frame)
                self._changed.set()
        finally:
            await stream.aclose()

    async def _read(self, reader: rtc.TextStreamReader, who: str) -> None:
        began = time.monotonic()
        text = await reader.read_all()
        self.transcripts.append(Transcript(who, text, dict(reader.info.attributes or {}), began))
        self._tell(f"reads of {who}: {text!r}")

    async def _read_chat(self, reader: rtc.TextStreamReader, who: str) -> None:
        text = await reader.read_all()
        self.chat.append((who, text))
        self._tell(f"is sent by {who}: {text!r}")

    def _turn(self, what: str) -> None:
        audio = self.agent_audio
        self._mark = (time.monotonic(), audio.seconds if audio else 0.0)
        self._tell(what)

    def _tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._born:7.2f} {self.identity}: {what}")
        self._changed.set()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._tell(f"failed: {error!r}")  # such as a stream that ended with the room


@contextlib.asynccontextmanager
async def together(*people: Person) -> AsyncGenerator[None]:
    """Several people join at the same time; all of them leave."""
    async with contextlib.AsyncExitStack() as stack:
        for person in people:
            stack.push_async_callback(person.leave)
        await asyncio.gather(*(person.join() for person in people))
        yield


def from_wav(recording: Path) -> Samples:
    with wave.open(str(recording)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            raise ValueError(f"{recording} is not 16 bit mono at {RATE} Hz")
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def as_wav(samples: Samples) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        file.writeframes(samples.tobytes())
    return data.getvalue()
