"""On a real server a deployment asks no more than its budget, and who loses a worker has an agent again as before.

`tests/room/test_budget.py` does so for ten minutes with fifty rooms, of a server that is played: so many real ones are
more than two cores carry.
"""

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

from tests.rooms.counting import counting
from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Models
from tests.stack.process import until
from tests.stack.worker import ROOT, Worker

Fresh = Callable[[str], str]
ROOMS = 6
BUDGET = 60
BACK_SECONDS = 60.0
"""LiveKit needs 21 s of it to notice that an agent is gone; the rest is for a busy machine, and for what is refused."""


@pytest.mark.soak
async def test_the_people_of_a_dead_worker_get_their_agents_within_the_budget_though_calls_are_refused(
    livekit_server: LiveKitServer, models: Models, fresh: Fresh, tmp_path: Path
) -> None:
    dice = random.Random(429)  # noqa: S311
    async with AsyncExitStack() as stack:
        edge = await stack.enter_async_context(counting(livekit_server))
        workers: list[Worker] = []
        for number in range(2):
            environment = {"LIVEKIT_URL": edge.url, "LIVEKIT_AGENT_NAME": "quiet", "LIVEKIT_API_BUDGET": str(BUDGET)}
            log, agent = tmp_path / f"{number}.log", ROOT / "tests/rooms/quiet/quiet_agent.py"
            worker = Worker(
                livekit_server, models.base_url, tmp_path / "home", log, environment=environment, agent=agent
            )
            workers.append(worker)
            stack.callback(worker.stop)
            await asyncio.to_thread(worker.start)
        everybody = [
            Person(livekit_server, fresh(f"p{n}"), fresh(f"room{n}"), agent="quiet", microphone=False)
            for n in range(ROOMS)
        ]
        for person in everybody:  # one after the other: all at once is a test of the machine
            await stack.enter_async_context(person)
            await until(lambda: person.agents, "an agent", 30)  # noqa: B023

        busiest = max(workers, key=lambda each: len(each.logged("received job request")))
        first = {person: person.agents[0].identity for person in everybody}
        jobs = {line["job_id"] for line in busiest.logged("received job request")}
        lost = [person for person in everybody if first[person].removeprefix("agent-") in jobs]
        edge.refuses = lambda: dice.random() < 0.2
        busiest.kill()
        killed = time.monotonic()
        await until(lambda: all(_has_another(person, first[person]) for person in lost), "other agents", BACK_SECONDS)
        took = time.monotonic() - killed
        await asyncio.sleep(10)  # for one agent too many

        assert [len(person.agents) for person in everybody] == [1] * ROOMS
        most, asked = edge.most_in_a_minute(), Counter(what for _, what in edge.calls)
    figures = {"lost": len(lost), "back_after": round(took, 1), "most_in_a_minute": most, "refused": edge.refused}
    print(f"\n{json.dumps(figures | asked)}")  # noqa: T201
    assert lost
    assert most <= BUDGET


def _has_another(person: Person, than: str) -> bool:
    return any(who.identity != than for who in person.agents)
