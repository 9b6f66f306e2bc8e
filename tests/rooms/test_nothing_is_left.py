"""After the calls: no process, no connection, no task, no file, no session, and no memory is left of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import pytest
from livekit import api

from tests.rooms.person import Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Models
from tests.stack.process import until
from tests.stack.worker import HASTY_UNHEARD, Worker

Fresh = Callable[[str], str]

AT_ONCE = 4
SETTLED_SECONDS = 60.0
"""The last job's process has ended by then, and those that wait for the next jobs have started."""
MOST_MEGABYTES = 8.0
"""How much the main process may have grown: measured are 1 to 3, which come with the first calls."""

# Python runs it at the start of every process of the worker; what it adds is an answer to a signal.
_PROBE = """
import signal

def tell(*_):
    import asyncio, gc, json, os, pathlib
    tasks = [each.get_name() for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]
    answer = pathlib.Path(__file__).with_name("tasks.json")
    answer.with_suffix(".new").write_text(json.dumps(tasks))
    answer.with_suffix(".new").replace(answer)

signal.signal(signal.SIGUSR2, tell)
"""


@dataclass(frozen=True)
class Footprint:
    """What a worker takes while nobody calls."""

    processes: int
    """Besides the main one: those that wait for jobs, and what starts them."""
    descriptors: int
    """Files, pipes and sockets of the main process."""
    tasks: int
    """Tasks of the main process that are not done."""
    connections: int
    """TCP connections of the worker, to whomever, without those of its main process to the LiveKit server."""
    served: int
    """TCP connections that the models have open."""
    sessions: int
    """Sessions in the store that live."""
    rooms: int
    """Rooms on the server."""
    megabytes: float
    """Memory of the main process."""


@dataclass
class Watched:
    """A worker, and everything that it could leave something behind in."""

    server: LiveKitServer
    models: Models
    worker: Worker
    folder: Path

    async def footprint(self) -> Footprint:
        main = psutil.Process(self.worker.program.pid)
        children = main.children(recursive=True)
        models_port = int(re.findall(r":(\d+)/", self.models.base_url)[0])
        async with api.LiveKitAPI(self.server.url, self.server.key, self.server.secret) as livekit:
            rooms = len((await livekit.room.list_rooms(api.ListRoomsRequest())).rooms)
        return Footprint(
            processes=len(children),
            descriptors=main.num_fds() - len(_ports(main, self.server.ports.http)),
            tasks=len(await self.tasks()),
            connections=sum(len(_connections(each)) for each in (main, *children))
            - len(_ports(main, self.server.ports.http)),
            served=sum(each.laddr.port == models_port for each in _connections(psutil.Process())),
            sessions=self.worker.living(),
            rooms=rooms,
            megabytes=round(main.memory_info().rss / 2**20, 1),
        )

    async def tasks(self) -> list[str]:
        """Of the main process, by name."""
        answer = self.folder / "tasks.json"
        answer.unlink(missing_ok=True)
        os.kill(self.worker.program.pid, signal.SIGUSR2)
        await until(answer.exists, "the main process to tell its tasks", 10)
        return json.loads(answer.read_text())

    async def settled(self, like: Footprint | None = None) -> Footprint:
        """The footprint as soon as it is no larger than that one; or as soon as it does not change any more."""
        last, deadline = await self.footprint(), time.monotonic() + SETTLED_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(1)
            now = await self.footprint()
            if _fits(now, like or last) and _fits(now, last):
                return now
            last = now
        return last


@pytest.fixture
def watched(livekit_server: LiveKitServer, models: Models, tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "sitecustomize.py").write_text(_PROBE)
    environment = {"LIVEKIT_AGENT_NAME": "watched", "PYTHONPATH": str(tmp_path), **HASTY_UNHEARD}
    with Worker(
        livekit_server, models.base_url, tmp_path / "home", tmp_path / "worker.log", environment=environment
    ) as worker:
        yield Watched(livekit_server, models, worker, tmp_path)


def _connections(process: psutil.Process) -> list[psutil._common.pconn]:
    try:
        return [each for each in process.net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED]
    except psutil.NoSuchProcess:
        return []


def _ports(process: psutil.Process, port: int) -> list[psutil._common.pconn]:
    return [each for each in _connections(process) if each.raddr and each.raddr.port == port]


def _fits(now: Footprint, before: Footprint) -> bool:
    """Is nothing more than before? Memory is looked at apart."""
    return all(value <= asdict(before)[name] for name, value in asdict(now).items() if name != "megabytes")


async def visit(watched: Watched, identity: str, room: str) -> None:
    """A short call: they say something, are understood, and leave."""
    async with Person(watched.server, identity, room, agent=watched.worker.name, microphone=False) as person:
        await person.meet(60)
        await person.type("my cat is called Tilda")
        await person.until(lambda: any("is called Tilda" in each.text for each in person.transcripts), "an answer", 60)
    await until(lambda: watched.worker.endings(identity) == ["left"], f"the end of the session of {identity}", 60)


async def visits(watched: Watched, fresh: Fresh, people: range, at_once: int) -> None:
    for first in people[::at_once]:
        group = people[first - people.start :][:at_once]
        await asyncio.gather(*(visit(watched, fresh(f"alice{each}"), fresh(f"room{each}")) for each in group))


@pytest.mark.parametrize(
    ("one_by_one", "at_once"),
    [pytest.param(1, 4, marks=pytest.mark.thorough), pytest.param(20, 180, marks=pytest.mark.soak)],
    ids=["5 sessions", "200 sessions"],
)
async def test_a_worker_that_idles_again_has_nothing_left_of_its_calls(
    watched: Watched, fresh: Fresh, one_by_one: int, at_once: int
) -> None:
    # what the first calls bring, each at its first use, is not what calls leave behind
    await visits(watched, fresh, range(AT_ONCE), AT_ONCE)
    before = await watched.settled()
    assert (before.connections, before.served, before.sessions, before.rooms) == (0, 0, 0, 0)

    async with Person(watched.server, fresh("bob"), fresh("bobs"), agent="watched", microphone=False) as bob:
        await bob.answer()
        during = await watched.footprint()
    assert (during.processes, during.sessions, during.rooms) == (before.processes + 1, 1, 1)
    assert min(during.connections, during.served) > 0, "what a call takes is seen"

    began = time.monotonic()
    await visits(watched, fresh, range(100, 100 + one_by_one), 1)
    await visits(watched, fresh, range(1000, 1000 + at_once), AT_ONCE)
    took = time.monotonic() - began
    after = await watched.settled(like=before)
    jobs = {line["pid"] for line in watched.worker.logged("[SESSION END]")}

    print(f"\n{one_by_one + at_once} sessions in {took:.0f} s\nbefore: {before}\nafter:  {after}")  # noqa: T201
    assert len(jobs) == AT_ONCE + 1 + one_by_one + at_once
    assert not {pid for pid in jobs if psutil.pid_exists(pid)}
    assert _fits(after, before), f"more is left than was there before:\n{before}\n{after}\n{await watched.tasks()}"
    assert after.megabytes < before.megabytes + MOST_MEGABYTES
    assert watched.worker.complaints == []


# --- what operators see in numbers -----------------------------------------------------------------------------------


@pytest.mark.thorough
async def test_the_numbers_of_jobs_that_are_over_are_still_served(
    livekit_server: LiveKitServer, models: Models, fresh: Fresh, tmp_path: Path, unused_tcp_port: int
) -> None:
    environment = {
        "LIVEKIT_AGENT_NAME": "counted",
        "PROMETHEUS_PORT": str(unused_tcp_port),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "numbers"),
    }
    with Worker(
        livekit_server, models.base_url, tmp_path / "home", tmp_path / "worker.log", environment=environment
    ) as worker:
        watched = Watched(livekit_server, models, worker, tmp_path)
        await visits(watched, fresh, range(2), 2)
        pids = [line["pid"] for line in worker.logged("[SESSION END]")]
        await until(lambda: not any(map(psutil.pid_exists, pids)), "the processes of the jobs to end", 30)
        served = _numbers(unused_tcp_port)

    assert served['rapport_sessions_started_total{how="new"}'] == 2
    assert served['rapport_sessions_ended_total{reason="left"}'] == 2
    assert served['rapport_store_seconds_count{call="start_session"}'] == 2
    assert served["rapport_recall_seconds_count"] >= 2
    assert served["rapport_writes_waiting"] == 0
    assert not [name for name in served if name.startswith("rapport_store_failures_total")]


def _numbers(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}
