"""Talk to the shipped worker as a person does: `talk.py`, in a process of its own, with the offline voice."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
SPEECH = TESTS / "fixtures" / "speech"
# A model that every worker of a test would load, for a second of a core each; tests that are about it ask for it.
os.environ.setdefault("EMBEDDINGS", "off")
HASTY = "1.4"  # times the usual speed of the voice; at 2.0 our recogniser does not understand it any more
PATIENCE = 90.0  # seconds for one conversation; a busy machine takes 20 of them to start one


@dataclass(frozen=True)
class Said:
    event: str
    text: str


@dataclass(frozen=True)
class Conversation:
    events: list[Said]

    def of(self, event: str) -> list[str]:
        return [said.text for said in self.events if said.event == event]

    @property
    def answers(self) -> list[str]:
        """What the agent said after its greeting."""
        return self.of("agent")[1:]

    @property
    def greeting(self) -> str:
        return self.of("agent")[0]


Talk = Callable[..., Coroutine[None, None, Conversation]]
OpenTalk = Callable[..., Coroutine[None, None, asyncio.subprocess.Process]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the worker keeps its memories: RAPPORT_HOME."""
    return tmp_path / "home"


@pytest.fixture
def store() -> dict[str, str]:
    """What says where memories are kept, beside `home`: nothing, unless a test module overrides it."""
    return {}


@pytest.fixture
def open_talk(home: Path, store: dict[str, str]) -> OpenTalk:
    """Start `talk.py --as IDENTITY --json OPTIONS` with its streams in our hands; who starts it ends it."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENAI_", "STT_", "LLM_", "TTS_", "LIVEKIT_", "SUPABASE_", "CONSOLE_", "RAPPORT_"))
    }
    environment |= {"RAPPORT_HOME": str(home), "TTS_SPEED": HASTY, **store}

    async def start(identity: str, *options: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "talk.py"),
            *("--as", identity, "--json", "--no-apps", *options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )

    return start


@pytest.fixture
def talk(open_talk: OpenTalk) -> Talk:
    """Hold one conversation: typed lines, or options such as --say."""

    async def hold(identity: str, *lines: str, options: tuple[str, ...] = ()) -> Conversation:
        process = await open_talk(identity, *options)
        typed = "".join(f"{line}\n" for line in lines).encode()
        try:
            out, errors = await asyncio.wait_for(process.communicate(typed), PATIENCE)
        except TimeoutError:
            process.terminate()
            raise
        assert process.returncode == 0, f"{out.decode()}\n{errors.decode()}"
        events = [json.loads(line) for line in out.decode().splitlines()]
        return Conversation([Said(event["event"], event["text"]) for event in events])

    return hold
