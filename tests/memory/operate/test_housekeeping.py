"""What one worker does for all: sessions whose worker died are ended, and what has expired goes."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from inspect import signature
from pathlib import Path
from uuid import UUID

import pytest

import memory.operate.housekeeping as rules
from memory.operate.housekeeping import Housekeeping
from memory.records import Session, SessionRecord, Turn
from memory.stores.export import timestamp
from memory.stores.sqlite import SqliteStore
from tests.memory.stores.contract import ALICE, BOB, said, started
from tests.stack.process import until
from tests.stack.worker import ROOT

DAYS = 30
UNSEEN = rules._ABANDONED_SECONDS + 1


class House:
    """One worker's housekeeping, of a store that is as it is in a deployment: shared, and sometimes not to be had."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "home" / "rapport.db"
        self.ended: list[SessionRecord] = []
        self.store = SqliteStore(self.path)
        self.looks = 0
        """How often it asked whether it is the one to sweep."""
        self._own = SqliteStore(self.path)
        self._take_lease, self._own.take_lease = self._own.take_lease, self._look
        self.keeping = Housekeeping(lambda: self._own, DAYS, self.ended.append, pause=0.01)

    async def _look(self, name: str, holder: str, seconds: float) -> bool:
        ours = await self._take_lease(name, holder, seconds)
        self.looks += 1
        return ours

    async def aclose(self) -> None:
        await self.store.aclose()
        await self._own.aclose()

    async def breaks(self) -> None:
        """From now on no file can be opened where the store is."""
        await self.aclose()
        self.path.parent.rename(self.path.parent.with_name("moved"))
        self.path.parent.touch()

    def heals(self) -> None:
        self.path.parent.unlink()
        self.path.parent.with_name("moved").rename(self.path.parent)

    def select(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute(query).fetchall()

    def last_seen(self, session: Session, seconds_ago: float) -> None:
        seen = timestamp(datetime.now(UTC) - timedelta(seconds=seconds_ago))
        with closing(sqlite3.connect(self.path)) as db, db:
            assert db.execute("update sessions set seen_at = ? where id = ?", (seen, str(session.id))).rowcount == 1

    async def reasons(self) -> dict[str, str | None]:
        """Why each session ended, by its thread; None for who lives."""
        return {each.thread: each.end_reason for each in await self.store.sessions(living=False, limit=100)}

    async def says(self, session: Session, text: str, days_ago: float, user: UUID = ALICE) -> None:
        said_at = datetime.now(UTC) - timedelta(days=days_ago)
        await self.store.append_turns(user, session.conversation, [Turn(f"item_{text}", "user", text, said_at)])

    def transcript(self) -> list[object]:
        return [text for (text,) in self.select("select text from messages order by said_at")]


@pytest.fixture
async def house(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[House]:
    caplog.set_level(logging.INFO)
    house = House(tmp_path)
    yield house
    await house.aclose()


def lease_of_another_worker(path: Path, seconds: float | None = None) -> bool:
    """Whether a worker in another process gets the lease, and perhaps for how long it takes it."""
    program = (
        "import asyncio, sys, pathlib; import memory.operate.housekeeping as rules\n"
        "from memory.stores.sqlite import SqliteStore\n"
        "path, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])\n"
        "rules._LEASE_SECONDS = seconds or rules._LEASE_SECONDS\n"
        "keeping = rules.Housekeeping(lambda: SqliteStore(path), 30, print)\n"
        "sys.exit(0 if asyncio.run(keeping.lease()) else 3)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path), str(seconds or 0)], cwd=ROOT, check=False)
    assert ended.returncode in (0, 3)
    return ended.returncode == 0


# -- sessions whose worker died


async def test_a_session_that_nobody_hears_of_ended_with_its_worker_and_once(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    dead = await started(house.store, thread="dead")
    house.last_seen(dead, UNSEEN)
    for _ in range(3):
        await house.keeping.sweep()
    assert await house.reasons() == {"dead": "worker died"}
    assert [(each.id, each.user, each.end_reason) for each in house.ended] == [(dead.id, ALICE, "worker died")]
    assert [message for message in caplog.messages if "[SESSION SWEPT]" in message] == [
        f"[SESSION SWEPT] its worker died, session: {dead.id} of user: {ALICE}"
    ]


async def test_who_lives_and_who_left_is_not_swept(house: House) -> None:
    quiet = await started(house.store, thread="missed two heartbeats")
    house.last_seen(quiet, 2.5 * rules.HEARTBEAT_SECONDS)
    await started(house.store, BOB, thread="has just come")
    back = await started(house.store, BOB, thread="was heard of again")
    house.last_seen(back, UNSEEN)
    await house.store.touch_session(BOB, back.id)
    left = await started(house.store, thread="left")
    await house.store.end_session(ALICE, left.id, "job-1", "left")
    house.last_seen(left, UNSEEN)
    await house.keeping.sweep()
    assert house.ended == []
    assert await house.reasons() == {
        "missed two heartbeats": None,
        "has just come": None,
        "was heard of again": None,
        "left": "left",
    }


async def test_of_two_workers_that_sweep_at_once_one_tells_of_the_end(house: House) -> None:
    for number in range(20):
        house.last_seen(await started(house.store, thread=f"dead {number}"), UNSEEN)
    twin = Housekeeping(lambda: house.store, DAYS, house.ended.append)
    await asyncio.gather(house.keeping.sweep(), twin.sweep())
    assert sorted(each.thread for each in house.ended) == sorted(f"dead {number}" for number in range(20))


# -- what has expired


async def test_what_was_said_too_long_ago_goes_and_what_expired(house: House) -> None:
    for user in (ALICE, BOB):
        session = await started(house.store, user)
        await house.says(session, f"old {user}", DAYS + 0.01, user)
        await house.says(session, f"new {user}", DAYS - 0.01, user)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await house.store.remember(ALICE, [said("blue"), said("my aunt", "visitor", expires_at=yesterday)])
    await house.keeping.sweep()
    assert sorted(map(str, house.transcript())) == sorted(f"new {user}" for user in (ALICE, BOB))
    assert house.select("select value from memories") == [("blue",)]


async def test_that_is_looked_for_a_few_times_a_day_not_with_every_sweep(house: House) -> None:
    session = await started(house.store)
    await house.keeping.sweep()
    await house.says(session, "old", DAYS + 1)
    await house.keeping.sweep()
    assert house.transcript() == ["old"]
    house.keeping._purged -= rules._PURGE_EVERY
    await house.keeping.sweep()
    assert house.transcript() == []


async def test_what_could_not_be_deleted_goes_with_the_next_sweep(house: House) -> None:
    await house.says(await started(house.store), "old", DAYS + 1)
    await house.breaks()
    await house.keeping.sweep()
    house.heals()
    assert house.transcript() == ["old"]
    await house.keeping.sweep()
    assert house.transcript() == []


# -- a store that fails


async def test_a_store_that_fails_is_said_once_and_ends_nothing(house: House, caplog: pytest.LogCaptureFixture) -> None:
    dead = await started(house.store, thread="dead")
    house.last_seen(dead, UNSEEN)
    await house.breaks()
    for _ in range(3):
        assert await house.keeping.lease(), "without a store each worker looks after the rooms"
        await house.keeping.sweep()
    assert house.ended == []
    assert len([message for message in caplog.messages if "[SWEEP FAILED]" in message]) == 1

    house.heals()
    assert await house.keeping.lease()
    await house.keeping.sweep()
    assert [each.id for each in house.ended] == [dead.id]

    await house.breaks()
    await house.keeping.sweep()
    assert len([message for message in caplog.messages if "[SWEEP FAILED]" in message]) == 2
    house.heals()


async def test_who_is_not_to_sweep_says_it_again_too(house: House, caplog: pytest.LogCaptureFixture) -> None:
    await started(house.store)
    assert lease_of_another_worker(house.path, seconds=3600)
    for _ in range(2):
        await house.breaks()
        await house.keeping.lease()
        house.heals()
        assert not await house.keeping.lease()
    assert len([message for message in caplog.messages if "[SWEEP FAILED]" in message]) == 2


async def test_a_store_that_is_silent_is_not_waited_for(house: House, caplog: pytest.LogCaptureFixture) -> None:
    await started(house.store)
    keeping = Housekeeping(lambda: house._own, DAYS, house.ended.append, deadline=0.05, lease_deadline=0.05)
    with closing(sqlite3.connect(house.path)) as other:
        other.execute("begin immediate")  # another process, in the middle of a write that does not end
        async with asyncio.timeout(4):
            assert await keeping.lease()
            await keeping.sweep()
        other.rollback()
    assert "[SWEEP FAILED] TimeoutError()" in caplog.text


async def test_who_sends_agents_gets_an_answer_about_the_lease_before_they_give_up(house: House) -> None:
    """As it is deployed: nothing is set faster here, and a rescue waits for five seconds."""

    class Hung:
        async def take_lease(self, *_: object) -> bool:
            await asyncio.sleep(3600)
            return False

    keeping = Housekeeping(Hung, DAYS, house.ended.append)  # type: ignore[arg-type]
    async with asyncio.timeout(4.5):
        assert await keeping.lease()


async def test_what_takes_longer_than_the_lease_may_is_prepared_before_it_and_beside_the_loop(house: House) -> None:
    happened: list[str] = []
    is_prepared = threading.Event()

    def prepare() -> None:
        assert is_prepared.wait(4), "the event loop goes on meanwhile"
        happened.append("prepared")

    class Others:
        def __init__(self) -> None:
            happened.append("opened")

        async def take_lease(self, *_: object) -> bool:
            happened.append("asked")
            return False

    keeping = Housekeeping(Others, DAYS, house.ended.append, prepare=prepare, lease_deadline=0.05)  # type: ignore[arg-type]
    asyncio.get_running_loop().call_later(0.2, is_prepared.set)
    assert not await keeping.lease(), "the store said so: without an answer it would be ours"
    assert not await keeping.lease()
    assert happened == ["prepared", "opened", "asked", "asked"]


# -- which worker


async def test_of_two_workers_one_holds_the_lease(house: House) -> None:
    assert await house.keeping.lease()
    assert not lease_of_another_worker(house.path)
    assert await house.keeping.lease(), "it keeps it"


def test_workers_of_one_name_and_one_process_number_are_two() -> None:
    """Each in a container of its own on its host's network."""
    same = (
        "import os, socket, sys; socket.gethostname, os.getpid = lambda: 'host', lambda: 1\n"
        "import memory.operate.housekeeping as rules; print(rules._HOLDER)"
    )
    holders = {subprocess.check_output([sys.executable, "-c", same], cwd=ROOT, text=True) for _ in range(2)}
    assert len(holders) == 2
    assert all(holder.startswith("host:1:") for holder in holders)


async def test_when_the_one_is_gone_another_takes_over(house: House) -> None:
    assert lease_of_another_worker(house.path, seconds=1)
    taken = datetime.now(UTC)
    assert not await house.keeping.lease()
    async with asyncio.timeout(10):
        while not await house.keeping.lease():  # noqa: ASYNC110 - only the clock tells
            await asyncio.sleep(0.02)
    assert datetime.now(UTC) - taken > timedelta(seconds=0.3)


async def test_a_lease_lasts_from_one_sweep_to_the_next(house: House) -> None:
    """Else it would go to and fro between workers that are well."""
    await house.keeping.lease()
    [(until_,)] = house.select("select until from leases where name = 'housekeeping'")
    left = datetime.fromisoformat(str(until_)) - datetime.now(UTC)
    pause = signature(Housekeeping).parameters["pause"].default
    assert left > timedelta(seconds=pause + 2)


async def test_only_who_holds_the_lease_sweeps_and_it_sweeps_again_and_again(house: House) -> None:
    dead = await started(house.store, thread="dead")
    house.last_seen(dead, UNSEEN)
    assert lease_of_another_worker(house.path, seconds=3600)
    running = asyncio.create_task(house.keeping.run())
    try:
        await until(lambda: house.looks >= 5, "some looks")
        assert house.ended == []
        with closing(sqlite3.connect(house.path, timeout=5)) as db, db:
            db.execute("delete from leases")
        await until(lambda: house.ended, "the end of the dead session")
        again = await started(house.store, thread="another")
        house.last_seen(again, UNSEEN)
        await until(lambda: len(house.ended) == 2, "the end of the next one")
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert [each.id for each in house.ended] == [dead.id, again.id]
    assert house._own._writer._db is None, "who stops leaves no connection behind"


async def test_an_outage_does_not_end_the_housekeeping(house: House) -> None:
    house.last_seen(await started(house.store, thread="dead"), UNSEEN)
    await house.breaks()
    running = asyncio.create_task(house.keeping.run())
    try:
        await until(lambda: house.keeping._failing, "a sweep that fails")
        house.heals()
        await until(lambda: house.ended, "the end of the dead session")
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert await house.reasons() == {"dead": "worker died"}
