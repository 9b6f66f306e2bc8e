"""Services as processes of their own, over one store: the embedded one, and a real Postgres."""

from __future__ import annotations

import asyncio
import re
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from apps.core import Connection, Link, digest
from apps.stores.sealing import Sealing, new_key
from apps.stores.sqlite import SqliteStore
from apps.tokens import LEASE_SECONDS
from tests.apps.service.app_server import app_server
from tests.apps.service.conftest import listed
from tests.apps.service.people import Job, refused
from tests.apps.service.process import service
from tests.apps.service.test_providers import OWN, own_server
from tests.supabase.project import project as running_project

Where = dict[str, str]


def say(figures: str) -> None:
    """Seen with `-s`."""
    sys.stderr.write(f"\n{figures}\n")


@pytest.fixture(params=["embedded", pytest.param("postgres", marks=pytest.mark.stack)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Where]:
    """What two processes share."""
    shared = {"APPS_KEYS": new_key(), "RAPPORT_HOME": str(tmp_path / "home")}
    if request.param == "embedded":
        yield shared
        return
    project = running_project()
    project.empty()
    yield shared | {"SUPABASE_URL": project.rest.url, "SUPABASE_SECRET_KEY": project.rest.secret_key}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "service.log"


def assert_silent(log: Path, links: list[str]) -> None:
    """No link, token or text of a person is in it."""
    text = log.read_text()
    assert [link for link in links if link.rsplit("/")[-1] in text] == []
    assert re.findall(r"\b(?:at|rt)_[\w-]{8}|secret-of-", text) == []
    assert "Traceback" not in text


async def interleaved(where: Where, log: Path, people: int, calls: int) -> tuple[int, float]:
    """Everybody writes and reads at both processes; how many answers were somebody else's, and how long it took."""
    async with app_server() as app:
        apps = {"tasks": listed(app.url)}
        async with service(log, apps, **where) as one, service(log, apps, **where) as two:
            jobs = [Job((one, two)[number % 2].url, f"p{number}") for number in range(people)]
            links: list[str] = []
            for first in range(0, people, 5):
                await asyncio.gather(*(job.connect() for job in jobs[first : first + 5]))
            links += [await jobs[0].link()]
            began, leaks, asked = time.monotonic(), 0, calls // people

            async def live(job: Job) -> int:
                wrong = 0
                for number in range(asked):
                    at = job.at((one, two)[number % 2].url)
                    if number % 2:
                        told = await at.call("list_tasks")
                        wrong += {line.partition(" ")[0] for line in told.split("\n")} != {f"secret-of-{job.name}"}
                    else:
                        await at.call("add_task", name=f"secret-of-{job.name} {number}")
                return wrong

            leaks = sum(await asyncio.gather(*(live(job) for job in jobs)))
            stranger = Job(one.url, "a stranger")
            assert await stranger.tools() == [] and await refused(stranger.call("list_tasks")) == "not_connected"
            assert sum(map(len, app.tasks.of.values())) == people * ((asked + 1) // 2)
            took = time.monotonic() - began
        assert_silent(log, links)
    return leaks, took


@pytest.mark.thorough
async def test_six_people_at_two_processes_see_their_own(where: Where, log: Path) -> None:
    assert (await interleaved(where, log, 6, 60))[0] == 0


@pytest.mark.soak
async def test_twenty_people_at_two_processes_see_their_own_two_thousand_times(where: Where, log: Path) -> None:
    leaks, took = await interleaved(where, log, 20, 2_000)
    say(f"2,000 calls in {took:.1f} s, {leaks} leaks")
    assert leaks == 0


async def race(where: Where, log: Path, seconds: float, jobs: int) -> tuple[int, int, int]:
    """One person's jobs at two processes, with tokens that end all the time: calls, renewals, tokens spent twice."""
    async with app_server(access_seconds=5) as app:
        apps = {"tasks": listed(app.url)}
        async with service(log, apps, **where) as one, service(log, apps, **where) as two:
            alice = Job(one.url, "alice")
            await alice.connect()
            until, calls = time.monotonic() + seconds, 0

            async def live(job: Job) -> None:
                nonlocal calls
                while time.monotonic() < until:
                    assert await job.call("list_tasks") == "There are no open tasks."
                    calls += 1
                    await asyncio.sleep(0.05)

            await asyncio.gather(*(live(alice.at(at.url)) for at in (one, two) for _ in range(jobs)))
        assert_silent(log, [])
        return calls, app.authority.counts["refresh"], app.authority.counts["reuse"]


@pytest.mark.thorough
async def test_tokens_that_end_all_the_time_are_renewed_by_one(where: Where, log: Path) -> None:
    calls, renewals, twice = await race(where, log, 9, 3)
    assert calls > 20 and 1 <= renewals <= 3 and twice == 0  # a token is used for four of its five seconds


@pytest.mark.soak
async def test_a_minute_of_ten_jobs_each_renews_once_an_expiry(where: Where, log: Path) -> None:
    calls, renewals, twice = await race(where, log, 60, 10)
    say(f"{calls} calls, {renewals} renewals, {twice} tokens spent twice")
    assert renewals <= 16 and twice == 0


@pytest.mark.thorough
async def test_a_process_that_is_killed_while_it_renews_blocks_nobody(where: Where, log: Path) -> None:
    async with app_server(access_seconds=1) as app:
        apps = {"tasks": listed(app.url)}
        async with service(log, apps, **where) as one, service(log, apps, **where) as two:
            alice = Job(one.url, "alice")
            await alice.connect()
            await asyncio.sleep(1)  # for the token to end, which is what this is about
            app.token_delay = 30
            hanging = asyncio.create_task(alice.call("list_tasks"))
            await asyncio.sleep(1)
            one.kill()
            began, app.token_delay = time.monotonic(), 0
            await asyncio.gather(hanging, return_exceptions=True)
            elsewhere, told = alice.at(two.url), ""
            while not told:
                try:
                    told = await elsewhere.call("list_tasks")
                except Exception as error:
                    assert "app_down" in str(error)
            assert told == "There are no open tasks."
            assert time.monotonic() - began < LEASE_SECONDS + 3
            assert app.authority.counts["reuse"] == 0


@pytest.mark.soak
async def test_a_thousand_people(log: Path, tmp_path: Path) -> None:
    keys, home = new_key(), tmp_path / "home"
    async with own_server() as (url, _, _):
        apps = {"tasks": listed(url, own_token=OWN)}
        people = [Job("", f"p{number}") for number in range(1_000)]
        await _connected(SqliteStore(home / "rapport.db"), Sealing(keys), people)
        where = {"APPS_KEYS": keys, "RAPPORT_HOME": str(home), "APPS_IDLE": "4"}
        async with service(log, apps, **where) as here:
            files, start = here.measured.num_fds(), here.megabytes
            took: list[float] = []
            wrong = most = 0

            async def live(job: Job) -> int:
                began, job = time.monotonic(), job.at(here.url)
                await job.call("add_task", name=f"of-{job.name}")
                told = await job.call("list_tasks")
                took.append(time.monotonic() - began)
                await job.aclose()
                return told != f"of-{job.name}"

            for first in range(0, 1_000, 10):
                wrong += sum(await asyncio.gather(*(live(job) for job in people[first : first + 10])))
                most = max(most, here.measured.num_fds())
            full = here.megabytes
            async with asyncio.timeout(60):
                while here.measured.num_fds() > files + 5:  # noqa: ASYNC110 - another process's
                    await asyncio.sleep(0.5)
            p50, p95 = statistics.median(took), sorted(took)[949]
            say(
                f"{start:.0f} MB -> {full:.0f} MB, files {files} -> {most} -> {here.measured.num_fds()}, {wrong} wrong,"
                f" a cold session and two calls p50 {p50 * 1e3:.0f} ms p95 {p95 * 1e3:.0f} ms"
            )
            assert wrong == 0 and full < 250


async def _connected(store: SqliteStore, sealing: Sealing, people: list[Job]) -> None:
    for job in people:
        token, id_ = digest(job.name), uuid4()
        link = Link(token, job.person, job.name, "tasks", time.time() + 600)
        assert await store.put_link(link, an_hour=5)
        assert await store.start_link(token, state_hash=token, browser_hash=token, sealed=b"kept")
        assert await store.answer_link(token)
        assert await store.sign_in(token, sealed=b"granted", seconds=300)
        made = Connection(id_, job.person, "tasks", "active")
        sealed = sealing.seal(made.row, {"app": "tasks", "by": "own_token"})
        made = Connection(id_, job.person, "tasks", "active", sealed=sealed)
        assert await store.connect(token, made, ends_at=None)
    await store.aclose()
