"""A model fails in the middle of a call: the person hears of it, and the next turn works.

The shipped worker in a room, with the real plugins; only the server's native edge is replaced, and the models are the
offline voice, told to fail.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from livekit.agents import AgentServer

import agent
from call.services import Services, Settings
from memory.manager import MemoryManager
from memory.stores.sqlite import SqliteStore
from offline.api.server import OfflineServer
from tests.room.edge import Edge, EdgeRoom
from tests.room.worker import until, working
from voice.failure import APOLOGY, HOLD_ON
from voice.settings import VoiceSettings

ALICE = "alice@example.com"


@pytest.fixture
async def models() -> AsyncIterator[OfflineServer]:
    async with OfflineServer() as models:
        yield models


@pytest.fixture
def worker_server(models: OfflineServer, tmp_path: Path) -> AgentServer:
    """The shipped worker, which asks these models."""
    voice = VoiceSettings(openai_base_url=models.base_url, openai_api_key="none", tts_speed=4.0)
    manager = MemoryManager(lambda: SqliteStore(tmp_path / "rapport.db"), deadline=1.5)
    services = Services(Settings(voice=voice), manager)
    return agent.make_server(services, partial(agent.prewarm, services=services))


def heard(room: EdgeRoom) -> str:
    return " ".join(room.texts("lk.transcription"))


async def call(room: EdgeRoom, models: OfflineServer) -> None:
    """Alice is in the room, and was greeted."""
    room.join(ALICE)
    await until(lambda: "I am Rapport" in heard(room), "the greeting", patience=20)
    await until(lambda: any(record.body.get("input") == APOLOGY for record in models.asked("speech")), "the clip")
    await until(lambda: room.agent_state == "listening", "the agent to listen")


async def next_turn_works(room: EdgeRoom) -> None:
    room.text(ALICE, "my favorite color is blue")
    await until(lambda: "your favorite color is blue" in heard(room), "the next answer", patience=20)


@pytest.mark.parametrize("mode", ["error", "html", "cut", "not_json"])
async def test_a_mind_that_fails_is_announced_and_the_next_turn_works(
    mode: str, server: Edge, models: OfflineServer, worker_server: AgentServer
) -> None:
    room = server.room(f"mind {mode}")
    async with working(worker_server) as worker:
        await worker.job(room.name)
        await call(room, models)
        models.fail("chat", mode, times=2)  # type: ignore[arg-type]
        asked_at = time.monotonic()
        room.text(ALICE, "hello")
        await until(lambda: "Sorry" in heard(room), "the apology to begin")
        assert time.monotonic() - asked_at < 3
        models.heal()
        await next_turn_works(room)
        room.close()
        await worker.idle()


async def test_a_mind_that_hangs_is_announced_in_its_own_reply(
    server: Edge, models: OfflineServer, worker_server: AgentServer
) -> None:
    room = server.room("mind hangs")
    async with working(worker_server) as worker:
        await worker.job(room.name)
        await call(room, models)
        models.fail("chat", "hang", times=1)
        asked_at = time.monotonic()
        room.text(ALICE, "hello")
        await until(lambda: HOLD_ON[:3] in heard(room), "the agent to say that it takes longer")
        assert time.monotonic() - asked_at < 3
        await next_turn_works(room)
        room.close()
        await worker.idle()


async def test_a_voice_that_fails_is_announced_in_words_recorded_before(
    server: Edge, models: OfflineServer, worker_server: AgentServer
) -> None:
    room = server.room("voice fails")
    async with working(worker_server) as worker:
        await worker.job(room.name)
        await call(room, models)
        before = room.audio_captured
        models.fail("speech", "error", times=2)
        room.text(ALICE, "hello")
        await until(lambda: room.audio_captured > before + 0.2, "something to be heard")
        models.heal()
        await next_turn_works(room)
        room.close()
        await worker.idle()
