"""The ways into a room: whom a dispatch is for, and agents that come unasked."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path

import pytest
from livekit import api

from identity import livekit_identity_to_uuid
from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Models
from tests.stack.worker import HASTY_UNHEARD, Worker

Fresh = Callable[[str], str]


@contextlib.contextmanager
def _worker(server: LiveKitServer, models: Models, folder: Path, name: str, **environment: str) -> Iterator[Worker]:
    environment = {"LIVEKIT_AGENT_NAME": name, **HASTY_UNHEARD, **environment}
    with Worker(server, models.base_url, folder / "home", folder / "worker.log", environment=environment) as worker:
        yield worker
        assert worker.complaints == []


@pytest.mark.thorough
async def test_a_dispatch_says_whom_the_agent_is_for_whoever_came_first(
    livekit_server: LiveKitServer, models: Models, tmp_path: Path, fresh: Fresh
) -> None:
    with _worker(livekit_server, models, tmp_path, "signed", IDENTITY_FROM="metadata") as worker:
        room, alices = fresh("kitchen"), fresh("alice")
        async with Person(livekit_server, fresh("eve"), room, agent=None, microphone=False) as eve:
            await _dispatch(livekit_server, "signed", room, json.dumps({"identity": alices}))
            await eve.until(lambda: eve.agents, "the agent", 20)
            await eve.type("my favorite color is red")
            async with Person(livekit_server, alices, room, agent=None, microphone=False) as alice:
                await alice.answer()
                await alice.type("my favorite color is blue")
                await alice.answer()
                kept = await worker.keeps(alices, 1)
    assert [each.value for each in kept] == ["my favorite color is blue"]
    assert worker.profiles() == [alices]
    assert eve.transcripts == []
    assert len(worker.logged("[INPUT REFUSED]")) == 1


@pytest.mark.soak
async def test_a_dispatch_that_does_not_say_whom_it_is_for_is_refused_aloud(
    livekit_server: LiveKitServer, models: Models, tmp_path: Path, fresh: Fresh
) -> None:
    environment = {"LIVEKIT_AGENT_NAME": "signed", "IDENTITY_FROM": "metadata"}
    with Worker(
        livekit_server, models.base_url, tmp_path / "home", tmp_path / "worker.log", environment=environment
    ) as worker:
        async with Person(livekit_server, fresh("alice"), fresh("kitchen"), agent=None, microphone=False) as alice:
            await _dispatch(livekit_server, "signed", fresh("kitchen"), "alice")
            await worker.logs("[SESSION REFUSED]")
            await alice.until(lambda: not alice.agents, "the agent to leave", 20)
    [refusal] = worker.logged("[SESSION REFUSED]")
    assert '{"identity": "alice@example.com"}' in refusal["message"]
    assert worker.profiles() == []


@pytest.mark.thorough
async def test_a_worker_without_a_name_comes_into_every_room_that_asks_for_nobody(
    livekit_server: LiveKitServer, models: Models, tmp_path: Path, fresh: Fresh
) -> None:
    with _worker(livekit_server, models, tmp_path, "") as worker:
        async with Person(livekit_server, fresh("alice"), fresh("kitchen"), agent=None, microphone=False) as alice:
            greeting = await alice.answer()
            await alice.type("my cat is called Tilda")
            await worker.keeps(alice.identity, 1)
    assert "I am Rapport" in greeting.text


async def test_a_telephone_number_is_not_the_login_of_the_same_name() -> None:
    number = "+4912345"
    users = {livekit_identity_to_uuid(number, kind=kind) for kind in ("standard", "sip", "connector")}
    assert len(users) == 3


@contextlib.asynccontextmanager
async def _api(server: LiveKitServer) -> AsyncGenerator[api.LiveKitAPI]:
    async with api.LiveKitAPI(server.url, server.key, server.secret) as client:
        yield client


async def _dispatch(server: LiveKitServer, agent: str, room: str, metadata: str) -> None:
    async with _api(server) as client:
        await client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name=agent, room=room, metadata=metadata)
        )
