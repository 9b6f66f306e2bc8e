"""A deployment asks its server no more than its budget, and people whose worker dies get their agents all the same."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from livekit import api

from tests.rooms.counting import counting
from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Models
from tests.stack.process import until
from tests.stack.worker import ROOT, Worker

Fresh = Callable[[str], str]
ROOMS = 50
BUDGET = 100
MINUTES = 10.0
# LiveKit takes 21 s of it to notice that agents are gone; then three calls for each of seventeen, on a busy machine.
BACK_SECONDS = 45.0
# What no budget of a minute holds: 25 people, and a server that refuses a fifth of the calls.
BACK_IN_TROUBLE = 120.0


@pytest.mark.soak
async def test_fifty_rooms_and_three_workers_ask_no_more_than_their_budget_for_ten_minutes(
    livekit_server: LiveKitServer, models: Models, fresh: Fresh, tmp_path: Path
) -> None:
    dice = random.Random(429)  # noqa: S311
    async with AsyncExitStack() as stack:
        edge = await stack.enter_async_context(counting(livekit_server))
        workers: list[Worker] = []
        for number in range(3):
            workers.append(
                Worker(
                    livekit_server,
                    models.base_url,
                    tmp_path / "home",
                    tmp_path / f"{number}.log",
                    environment={"LIVEKIT_URL": edge.url, "LIVEKIT_AGENT_NAME": "quiet", "INITIALIZE_TIMEOUT": "60"},
                    agent=ROOT / "tests/rooms/quiet/quiet_agent.py",
                )
            )
            stack.callback(workers[-1].stop)
            await asyncio.to_thread(workers[-1].start)
        everybody = [
            Person(livekit_server, fresh(f"p{n}"), fresh(f"room{n}"), agent="quiet", microphone=False)
            for n in range(ROOMS)
        ]
        began = time.monotonic()
        for person in everybody:  # one after the other: all at once is a test of the machine
            await stack.enter_async_context(person)
            await until(lambda: person.agents, "an agent", 60)  # noqa: B023
        tell("all are served", seconds=time.monotonic() - began, calls=len(edge.calls))

        started = time.monotonic()
        await asyncio.sleep(120)
        tell("people back", **await _one_dies(workers, everybody, BACK_SECONDS))
        await asyncio.sleep(max(0.0, started + 300 - time.monotonic()))
        edge.refuses = lambda: dice.random() < 0.2
        await asyncio.sleep(60)
        tell("people back, with 429s", **await _one_dies(workers, everybody, BACK_IN_TROUBLE))
        await asyncio.sleep(max(0.0, started + MINUTES * 60 - time.monotonic()))
        edge.refuses = lambda: False

        most, asked = edge.most_in_a_minute(), Counter(what for _, what in edge.calls)
        tell("calls", most_in_a_minute=most, refused=edge.refused, minutes=MINUTES, **asked)
        assert [len(person.agents) for person in everybody] == [1] * ROOMS
        async with api.LiveKitAPI(livekit_server.url, livekit_server.key, livekit_server.secret) as livekit:
            for person in everybody:
                there = await livekit.room.list_participants(api.ListParticipantsRequest(room=person.room.name))
                assert sum(who.kind == api.ParticipantInfo.AGENT for who in there.participants) == 1
    assert edge.refused
    assert most <= BUDGET


async def _one_dies(workers: list[Worker], everybody: list[Person], seconds: float) -> dict[str, float]:
    """kill -9 of the worker that has the most of them. How long it took until they all had another agent."""
    before = {person: {who.identity for who in person.agents} for person in everybody}
    busiest = max(workers, key=lambda each: len(each.logged("received job request")))
    workers.remove(busiest)
    killed = time.monotonic()
    busiest.kill()
    lost: set[Person] = set()
    back: dict[Person, float] = {}

    def all_back() -> bool:
        for person in everybody:
            now = {who.identity for who in person.agents}
            if not now & before[person]:
                lost.add(person)
            if person in lost and now:
                back.setdefault(person, time.monotonic() - killed)
        return bool(lost) and len(back) == len(lost) and time.monotonic() - killed > 30

    await until(all_back, "all to have an agent again", seconds)
    took = sorted(back.values())
    return {"people": len(took), "median": took[len(took) // 2], "slowest": took[-1]}


def tell(what: str, **figures: float) -> None:
    print(f"\n{what}: {json.dumps({name: round(value, 1) for name, value in figures.items()})}", flush=True)  # noqa: T201
