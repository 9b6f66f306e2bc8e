"""Whoever's model fails, and however: the person hears of it within three seconds, and the next turn is right.

The shipped worker in a room of the tests' edge. The vendors are on loopback, and one is a plugin of the tests' own.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import AgentServer, AgentSession

import agent
import voice.ears
import voice.failure
import voice.session
from call.services import Services, Settings
from memory.manager import MemoryManager
from memory.settings import MemorySettings
from memory.stores.sqlite import SqliteStore
from tests.room.edge import Edge, EdgeRoom
from tests.room.models import ScriptedVAD, spoken
from tests.room.worker import until, working
from tests.voice.gateway import Gateway
from voice.failure import APOLOGY, HOLD_ON
from voice.session import prepare
from voice.settings import VoiceSettings

ALICE = "alice@example.com"
PAIR = {"livekit_inference_api_key": "key", "livekit_inference_api_secret": "a-secret-that-is-long-enough-to-sign"}
VENDORS: dict[str, dict[str, Any]] = {
    "openai": {"stt_streaming": "off"},
    "openai-live": {"stt_streaming": "on", "stt_model": "gpt-4o-transcribe"},
    "inference": {**PAIR, "stt": "inference", "llm": "inference", "tts": "inference"},
    "plugin": {"stt": "pretend/recordings", "llm": "pretend", "tts": "pretend/sentences"},
    "plugin-live": {"stt": "pretend/streaming", "llm": "pretend", "tts": "pretend/streaming"},
}


def faults(vendor: str, part: str) -> list[str]:
    """The tests' plugin has no wire that could be cut, or carry a page. Words that are none are a noise's."""
    wire = [] if vendor.startswith("plugin") else ["garbage", "cut"]
    return ["refused", "hangs", *wire, *([] if part == "ears" else ["empty"])]


@pytest.fixture(autouse=True)
def each_failure_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice.failure, "_ONCE_IN", 0.0)


@pytest.fixture(autouse=True)
def speech_is_short_and_no_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice.ears, "_SPEECH", 0.0)  # what `spoken` says is said at once
    monkeypatch.setattr(voice.ears, "LONGEST_RECOGNITION", 4.0)
    monkeypatch.setattr(voice.session, "AgentSession", partial(AgentSession, aec_warmup_duration=None))


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with Gateway() as gateway:
        yield gateway


@pytest.fixture
def worker_server(vendor: str, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentServer:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "plugin"))
    monkeypatch.setenv("PRETEND_API_KEY", "x")
    monkeypatch.setattr("livekit.agents.inference.stt.DEFAULT_SAMPLE_RATE", 24_000)  # the edge resamples nothing
    chosen: dict[str, Any] = {"openai_base_url": gateway.base_url, "livekit_inference_url": gateway.base_url}
    settings = Settings(
        voice=VoiceSettings(**chosen, **VENDORS[vendor]), memory=MemorySettings(memory_extraction="rules")
    )
    manager = MemoryManager(lambda: SqliteStore(tmp_path / "rapport.db"), deadline=1.5)
    services = Services(settings, manager, prepare=lambda: dataclasses.replace(prepare(), vad=ScriptedVAD()))
    return agent.make_server(services, partial(agent.prewarm, services=services))


class Vendor:
    """Fails where the test says, whoever it is."""

    def __init__(self, name: str, gateway: Gateway) -> None:
        self._name, self._gateway = name, gateway

    def fail(self, part: str, fault: str) -> None:
        self._gateway.faults = {part: fault}  # type: ignore[dict-item]
        if self._name.startswith("plugin"):
            from livekit.plugins import pretend  # type: ignore[attr-defined]

            kind = {"ears": pretend.STT, "mind": pretend.LLM, "mouth": pretend.TTS}[part]
            for made in pretend.made:
                if isinstance(made, kind):
                    made.fault = made.recording_fault = fault


def heard(room: EdgeRoom) -> str:
    return " ".join(room.texts("lk.transcription"))


def announced(room: EdgeRoom, part: str, texts: str, seconds: float) -> bool:
    """Since there were these texts and seconds of sound. A mouth's failure is no text: what is said meanwhile is not
    the reply."""
    if part == "mouth":
        return room.audio_captured > seconds + 0.05
    new = heard(room)[len(texts) :]
    return APOLOGY[:5] in new or HOLD_ON[:3] in new


@pytest.mark.parametrize(
    ("vendor", "part"),
    [
        ("plugin-live", "ears"),
        ("inference", "mouth"),
        *(
            pytest.param(vendor, part, marks=pytest.mark.thorough)
            for part in ("ears", "mind", "mouth")
            for vendor in VENDORS
            if (vendor, part) not in (("plugin-live", "ears"), ("inference", "mouth"))
            and (part == "ears" or vendor != "openai-live")
        ),
    ],
)
async def test_a_failure_is_heard_within_three_seconds_and_the_next_turn_is_right(
    vendor: str, part: str, server: Edge, gateway: Gateway, worker_server: AgentServer
) -> None:
    room = server.room(f"{vendor} {part}")
    failing = Vendor(vendor, gateway)

    def say(words: str) -> None:
        gateway.words = [words]
        room.speak(ALICE, [*spoken(words), *spoken("")[1:] * 8])

    waited: dict[str, float] = {}
    async with working(worker_server) as worker:
        await worker.job(room.name)
        room.join(ALICE)
        await until(lambda: "You said" in heard(room), "the greeting", patience=20)
        await until(lambda: room.agent_state == "listening", "the agent to listen")
        for fault in faults(vendor, part):
            failing.fail(part, fault)
            texts, sound = heard(room), room.audio_captured
            began = time.monotonic()
            say(f"one {fault}")
            await until(partial(announced, room, part, texts, sound), f"{fault} to be announced")
            waited[fault] = time.monotonic() - began
            failing.fail(part, "")
            say(f"two {fault}")
            await until(lambda fault=fault: f"two {fault}" in heard(room), f"the turn after {fault}", patience=30)
            await until(lambda: room.agent_state == "listening", "the agent to listen", patience=20)
        room.close()
        await worker.idle()
    assert max(waited.values()) < 3, waited
