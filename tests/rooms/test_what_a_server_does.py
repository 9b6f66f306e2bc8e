"""The facts on which the rescue rests, on a worker that is not rescued: should one of them change, this says which.

`make soak` asks both servers. What each was measured to do is printed: `-s`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from livekit import api

from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Models
from tests.stack.process import until
from tests.stack.worker import Worker

pytestmark = pytest.mark.soak

Fresh = Callable[[str], str]
# As long as a server may take to notice that an agent is gone, and then some sweeps.
_PATIENCE = 35.0


@pytest.fixture
async def livekit(livekit_server: LiveKitServer) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(livekit_server.url, livekit_server.key, livekit_server.secret) as it:
        yield it


@pytest.fixture
def start(livekit_server: LiveKitServer, models: Models, tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    workers: list[Worker] = []

    def start() -> Worker:
        environment = {"RESCUE": "off", "LIVEKIT_AGENT_NAME": "alone"}
        log = tmp_path / f"{len(workers)}.log"
        workers.append(Worker(livekit_server, models.base_url, tmp_path / "home", log, environment=environment))
        workers[-1].start()
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()


def person(server: LiveKitServer, fresh: Fresh) -> Person:
    return Person(server, fresh("alice"), fresh("kitchen"), agent="alone", microphone=False, departure_seconds=20)


async def listed(livekit: api.LiveKitAPI, room: str) -> tuple[int, int]:
    """What the list of rooms says: people, and who publishes."""
    [found] = (await livekit.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms
    return found.num_participants, found.num_publishers


async def agents(livekit: api.LiveKitAPI, room: str) -> list[str]:
    there = (await livekit.room.list_participants(api.ListParticipantsRequest(room=room))).participants
    return [who.identity for who in there if who.kind == api.ParticipantInfo.AGENT]


async def jobs(livekit: api.LiveKitAPI, room: str) -> list[int]:
    """The states of the jobs of the room's only dispatch that names an agent."""
    [dispatch] = [each for each in await livekit.agent_dispatch.list_dispatch(room) if each.agent_name]
    return [job.state.status for job in dispatch.state.jobs]


async def seconds_until(condition: Callable[[], object], what: str) -> float:
    began = time.monotonic()
    await until(condition, what, _PATIENCE)
    return time.monotonic() - began


def tell(fact: str, **figures: object) -> None:
    print(f"\n{fact}: {json.dumps(figures)}")  # noqa: T201


async def test_a_dispatch_that_finds_no_worker_is_lost(
    livekit_server: LiveKitServer, livekit: api.LiveKitAPI, start: Callable[[], Worker], fresh: Fresh
) -> None:
    room = fresh("kitchen")
    async with person(livekit_server, fresh):
        await until(lambda: livekit_server.program.text().count(room), "the room", 10)
        start()
        await asyncio.sleep(_PATIENCE)

        assert await agents(livekit, room) == []
        assert await jobs(livekit, room) == []


@pytest.mark.parametrize("who", ["its job", "its worker"])
async def test_who_dies_is_seen_for_a_while_listed_for_ever_and_not_replaced(
    livekit_server: LiveKitServer, livekit: api.LiveKitAPI, start: Callable[[], Worker], fresh: Fresh, who: str
) -> None:
    room = fresh("kitchen")
    workers = [start(), start()]
    async with person(livekit_server, fresh) as alice:
        await alice.answer()
        await asyncio.sleep(6)  # as late as the list of rooms may be
        before = await listed(livekit, room)

        [busy] = [worker for worker in workers if worker.jobs(room)]
        os.kill(busy.jobs(room)[-1] if who == "its job" else busy.program.pid, signal.SIGKILL)
        killed = time.monotonic()
        gone = await seconds_until(lambda: not alice.agents, "the agent to be gone")
        while await listed(livekit, room) == before:
            assert time.monotonic() - killed < _PATIENCE, "the list does not tell that the agent is gone"
            await asyncio.sleep(0.1)
        await asyncio.sleep(_PATIENCE)

        after, states = await listed(livekit, room), await jobs(livekit, room)
        assert await agents(livekit, room) == []
    tell(f"kill -9 of {who}", agent_gone_after=gone, states=states)
    assert [before, after] == [(1, 1), (1, 0)]
    assert 15 < gone < 25
    assert len(states) == 1


async def test_a_dispatch_may_find_its_worker_before_it_is_listed_with_a_job(
    livekit_server: LiveKitServer, livekit: api.LiveKitAPI, start: Callable[[], Worker], fresh: Fresh
) -> None:
    start()
    took: list[tuple[float, float]] = []
    for number in range(5):
        room = fresh(f"kitchen{number}")
        began = time.monotonic()
        await livekit.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name="alone", room=room))
        there, job = 0.0, 0.0
        while not (there and job):
            now = time.monotonic() - began
            assert now < _PATIENCE
            there = there or (now if await agents(livekit, room) else 0.0)
            job = job or (now if await jobs(livekit, room) else 0.0)
            await asyncio.sleep(0.05)
        took.append((there, job))
        await livekit.room.delete_room(api.DeleteRoomRequest(room=room))
    tell("dispatched", agents_there=[each for each, _ in took], jobs_listed=[each for _, each in took])
    assert max(job for _, job in took) < 6.0


async def test_two_dispatches_for_a_room_are_two_jobs(
    livekit_server: LiveKitServer, livekit: api.LiveKitAPI, start: Callable[[], Worker], fresh: Fresh
) -> None:
    room, worker = fresh("kitchen"), start()
    async with person(livekit_server, fresh) as alice:
        await alice.answer()
        await livekit.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name="alone", room=room))

        await worker.logs("[JOB SUPERFLUOUS]")
