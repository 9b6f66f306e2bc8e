"""talk.py from the outside: what a person at a terminal, a script and a shell see of it.

The agent here is a small one of LiveKit's with a parrot for a language model, so nothing of ours but talk.py runs.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import psutil
import pytest

import talk
from terminal.process import STOP_SECONDS
from tests.terminal.wav import write_wav

ROOT = Path(__file__).parent.parent
AT_MOST = 2 * STOP_SECONDS + 5
"""So many seconds the end takes: the agent says goodbye, then its voice ends, each killed where it does not; and the
interpreter's own."""

OFFLINE = """
import json, sys
assert sys.argv[1:] == ["--port", "0", "--until-stdin-closes"]
print(json.dumps({"event": "listening", "base_url": "http://127.0.0.1:9/v1"}), flush=True)
sys.stdin.read()
"""

AGENT = """
import array, asyncio, os, signal, sys, threading
from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, llm, stt

class Parrot(llm.LLM):
    def chat(self, *, chat_ctx, tools=None, conn_options=None, **_):
        return Answer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)

class Answer(llm.LLMStream):
    async def _run(self):
        heard = [item.text_content for item in self.chat_ctx.messages() if item.role == "user"]
        if heard and heard[-1] == "die":
            print("last words", flush=True)
            os._exit(7)
        if heard and heard[-1] == "fail":
            raise RuntimeError("no language model today")
        text = f"You said {heard[-1]}." if heard else f"Hello {os.environ.get('CONSOLE_IDENTITY')}."
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=llm.ChoiceDelta(role="assistant", content=text)))

class Ear(stt.STT):  # the session asks for one; Bird's stt_node does the hearing
    def __init__(self):
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(self, *_, **__):
        raise NotImplementedError

class Bird(Agent):
    async def on_enter(self):
        await self.session.generate_reply(instructions="greet")

    async def tts_node(self, text, settings):
        async for _ in text:
            pass
        for _ in range(16):  # a third of a second
            yield rtc.AudioFrame(array.array("h", [900, -900] * 240).tobytes(), 24000, 1, 480)

    async def stt_node(self, audio, settings):  # hears a sentence in any sound that is followed by a quarter of silence
        silent = None
        async for frame in audio:
            loud = max(memoryview(frame.data).cast("B").cast("h")) > 500
            if loud and silent is None:
                yield stt.SpeechEvent(type=stt.SpeechEventType.START_OF_SPEECH)
            silent = 0 if loud else None if silent is None else silent + frame.duration
            if silent and silent > 0.25:
                silent = None
                said = [stt.SpeechData(language="en", text="a beep")]
                yield stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=said)
                yield stt.SpeechEvent(type=stt.SpeechEventType.END_OF_SPEECH)

server = AgentServer()

@server.rtc_session()
async def entrypoint(ctx):
    print("[MEMORY OFF] nothing is kept", flush=True)
    print("[MEMORY OFF] nothing is kept", flush=True)
    turns = {"turn_detection": "stt", "endpointing": {"min_delay": 0.1}}
    session = AgentSession(llm=Parrot(), stt=Ear(), turn_handling=turns, session_close_transcript_timeout=0.1)

    def remember(event):  # later than the answer, as a database would
        if getattr(event.item, "role", "") == "user":
            payload = {"event": "memory", "action": "remembered", "category": "PREFERENCE", "key": "user_input_1"}
            payload["text"] = event.item.text_content
            asyncio.get_running_loop().call_later(0.2, session._emit_debug_message, payload)

    session.on("conversation_item_added", remember)
    await session.start(Bird(instructions="repeat"), room=ctx.room)
"""

# What an agent needs so as not to outlive a talk.py that was killed: livekit-agents 1.8.9 only stops listening.
LIFELINE = """
def end_with_whoever_talks():
    os.read(0, 1)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

if os.environ.get("CONSOLE_LIFELINE") == "stdin":
    threading.Thread(target=end_with_whoever_talks, daemon=True).start()
"""


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    (tmp_path / "offline.py").write_text(OFFLINE)
    (tmp_path / "agent.py").write_text(AGENT)
    return tmp_path / "agent.py"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def clean_environment(**more: str) -> dict[str, str]:
    ours = {*chain.from_iterable(talk.VOICE_SETTINGS.values()), "CONSOLE_IDENTITY"}
    return {name: value for name, value in os.environ.items() if name not in ours} | more


def run_talk(*arguments: str | Path, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "talk.py", *arguments]
    return subprocess.run(
        command,
        input=typed,
        text=True,
        capture_output=True,
        timeout=40,
        env=clean_environment(**environment),
        check=False,
    )


def open_talk(started: list[subprocess.Popen[str]], *arguments: str | Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, ROOT / "talk.py", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    started.append(process)
    return process


def children(pid: int) -> list[psutil.Process]:
    found = psutil.Process(pid).children(recursive=True)
    assert len(found) >= 2, "the offline voice and the worker"
    return found


def gone(processes: list[psutil.Process], seconds: float) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


# --- conversations ---------------------------------------------------------------------------------------------------


def test_a_piped_line_gets_its_answer_and_what_was_remembered(agent: Path) -> None:
    result = run_talk("--agent", agent, "--as", "alice@example.com", typed="\nI like blue\n\n")
    assert result.stdout.splitlines() == [
        "agent: Hello alice@example.com.",
        "you: I like blue",
        "agent: You said I like blue.",
        "memory: remembered PREFERENCE — I like blue",
    ]
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("[MEMORY OFF]") == 1
    assert "toy" in result.stderr
    assert "OPENAI_API_KEY" in result.stderr


def test_json_lines_carry_event_and_text_and_a_failed_turn_does_not_end_the_conversation(agent: Path) -> None:
    result = run_talk("--agent", agent, "--json", typed="fail\nI like blue", OPENAI_API_KEY="k", CONSOLE_IDENTITY="eve")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(event["event"] and event["text"] for event in events)
    assert events[0] == {"event": "agent", "text": "Hello eve."}
    assert "error" in [event["event"] for event in events]
    memory = {"event": "memory", "action": "remembered", "category": "PREFERENCE", "key": "user_input_1"}
    assert events[-3:] == [
        {"event": "user", "text": "I like blue"},
        {"event": "agent", "text": "You said I like blue."},
        {**memory, "text": "I like blue"},
    ]
    assert result.returncode == 1, "an error was shown"
    assert "toy" not in result.stderr


def test_recordings_are_spoken_heard_answered_and_the_answers_kept(agent: Path, tmp_path: Path) -> None:
    beep, answers = write_wav(tmp_path / "beep.wav", rate=44_100, channels=2), tmp_path / "answers.wav"
    result = run_talk("--agent", agent, "--say", beep, "--say", beep, "--save", answers, OPENAI_API_KEY="k")
    greeting, *lines = result.stdout.splitlines()
    assert greeting == "agent: Hello None.", result.stderr
    said = [line for line in lines if not line.startswith("memory")]
    assert said == ["you: a beep", "agent: You said a beep."] * 2, result.stderr
    assert lines.count("memory: remembered PREFERENCE — a beep") == 2
    assert result.returncode == 0
    with wave.open(str(answers), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2)
        assert file.getnframes() / 48_000 == pytest.approx(2 * 0.32, abs=0.05), "two answers and no greeting"


# --- leaving ---------------------------------------------------------------------------------------------------------


def test_ctrl_c_at_the_prompt_leaves_no_process_and_the_terminal_as_it_was(agent: Path) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, ROOT / "talk.py", "--agent", agent],
        preexec_fn=lambda: log_in(slave),  # noqa: PLW1509
        env=clean_environment(),
    )
    try:
        shown = read_until(master, "you: ")
        os.write(master, b"hello\r")
        shown += read_until(master, "memory: ") + read_until(master, "you: ")
        assert "agent: You said hello." in shown
        before = children(process.pid)
        os.write(master, b"\x03")
        assert process.wait(AT_MOST) == 128 + signal.SIGINT
        assert gone(before, 0.5)
        os.write(master, b"echoed\n")
        assert "echoed" in read_until(master, "echoed")
    finally:
        process.kill()
        os.close(slave)
        os.close(master)


def log_in(terminal: int) -> None:
    """To a terminal of one's own, where Ctrl-C is a signal; a shell's background job ignores it."""
    os.login_tty(terminal)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def read_until(terminal: int, wanted: str) -> str:
    text, deadline = "", time.monotonic() + 20
    while wanted not in text:
        assert select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0], text
        text += os.read(terminal, 4096).decode()
    return text


def test_sigterm_while_it_starts_leaves_no_process(agent: Path, started: list[subprocess.Popen[str]]) -> None:
    process = open_talk(started, "--agent", agent)
    assert process.stderr is not None
    while "starting" not in process.stderr.readline():
        pass
    time.sleep(0.3)
    before = children(process.pid)
    process.terminate()
    assert process.wait(AT_MOST) == 128 + signal.SIGTERM
    assert gone(before, 0.5)


def test_killed_outright_its_children_read_end_of_file_and_go(
    agent: Path, started: list[subprocess.Popen[str]]
) -> None:
    agent.write_text(AGENT + LIFELINE)
    process = open_talk(started, "--agent", agent)
    assert process.stdout is not None
    process.stdout.readline()
    before = children(process.pid)
    process.kill()
    assert gone(before, AT_MOST)


def test_a_worker_that_dies_is_an_error_event_with_its_exit_code(agent: Path) -> None:
    result = run_talk("--agent", agent, "--json", typed="die\nstill there?\n", OPENAI_API_KEY="k")
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["event"] == "error"
    assert "exit code 7" in last["text"]
    assert "still there" not in result.stdout
    assert "last words" in result.stderr, "the end of its log"
    assert result.returncode == 1


# --- what goes wrong at the start, and what to do about it ------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        pytest.param(
            "import nothere", (), "exit code 1. Python finds no module nothere: run `make talk`", id="no module"
        ),
        pytest.param(
            AGENT.replace("    turns =", "    raise OSError('no disk')\n    turns ="),
            (),
            "entrypoint failed",
            id="its entrypoint raises",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            "import time; time.sleep(60)",
            ("--start-timeout", "1.5"),
            "did not connect within 2 s",
            id="it never connects",
        ),
    ],
)
def test_an_agent_that_does_not_start_is_explained(
    agent: Path, code: str, arguments: tuple[str, ...], said: str
) -> None:
    agent.write_text(code)
    result = run_talk("--agent", agent, *arguments, OPENAI_API_KEY="k")
    assert said in result.stderr
    assert result.stdout == ""
    assert result.returncode == 1


def test_an_offline_voice_that_does_not_start_is_explained(agent: Path) -> None:
    (agent.parent / "offline.py").write_text("import pocketsphinks")
    result = run_talk("--agent", agent, "--json")
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["event"] == "error"
    for said in ("offline voice", "exit code 1", "make talk", "OPENAI_API_KEY"):
        assert said in json.loads(line)["text"]
    assert result.returncode == 1


def test_a_wrong_question_is_status_2_and_starts_nothing(
    agent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("not sound")
    write_wav(tmp_path / "8bit.wav", width=1)
    write_wav(tmp_path / "empty.wav", seconds=0)
    for arguments, said in [
        (["--agent", "nobody.py"], "no file nobody.py"),
        (["--say", "missing.wav"], "missing.wav"),
        (["--say", str(tmp_path / "text.wav")], "text.wav as a WAV file"),
        (["--say", str(tmp_path / "8bit.wav")], "8 bit samples. Convert it"),
        (["--say", str(tmp_path / "empty.wav")], "no sound"),
        (["--save", "answer.wav"], "--say"),
        (["--nonsense"], "--nonsense"),
    ]:
        with pytest.raises(SystemExit) as left:
            talk.main(["--agent", str(agent), *arguments])
        assert left.value.code == 2
        assert said in capsys.readouterr().err


def test_any_voice_setting_will_do_and_the_environment_beats_the_file(tmp_path: Path) -> None:
    assert not talk.has_voice(tmp_path, {"OPENAI_API_KEY": ""})
    assert talk.has_voice(tmp_path, {"TTS_BASE_URL": "http://127.0.0.1:1"})
    (tmp_path / ".env").write_text("LLM_API_KEY=k\nSTT_API_KEY=\n")
    assert talk.has_voice(tmp_path, {})
    assert not talk.has_voice(tmp_path, {"LLM_API_KEY": ""})


def test_a_realtime_model_needs_a_key_of_its_own_or_of_all(tmp_path: Path) -> None:
    assert talk.has_voice(tmp_path, {"VOICE_MODE": "realtime", "REALTIME_API_KEY": "k"})
    assert talk.has_voice(tmp_path, {"VOICE_MODE": "realtime", "OPENAI_API_KEY": "k"})
    assert not talk.has_voice(tmp_path, {"REALTIME_API_KEY": "k"}), "a pipeline has no use for it"
    with pytest.raises(talk.Failure, match="REALTIME_API_KEY"):
        talk.has_voice(tmp_path, {"VOICE_MODE": "realtime", "LLM_API_KEY": "k"})
