"""The embedded store, where it is more than the contract: many processes, a killed one, the file, a busy database."""

# ruff: noqa: ASYNC220, ASYNC240 - a test may wait for its own disk and its own process

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from memory.records import Category, Past
from memory.stores import sqlite as sqlite_store
from memory.stores.protocol import StoreError
from memory.stores.sqlite import SqliteStore
from memory.stores.sqlite_schema import _CONVERSATIONS, _MEMORIES, _PROFILES, _SCHEMA_VERSION, open_file
from tests.memory.stores.contract import ALICE, BOB, NOON, said, started, turn, vector_of
from tests.memory.stores.other_process import start_many, write_many
from tests.room.worker import until

ROOT = Path(sqlite_store.__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "rapport.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    await store.aclose()


# -- many processes


async def test_eight_processes_that_make_a_new_file_at_once_lose_nothing(path: Path, store: SqliteStore) -> None:
    with ProcessPoolExecutor(8, mp_context=get_context("spawn")) as pool:
        writers = [pool.submit(write_many, str(path), str(ALICE), f"process{i}", 25) for i in range(8)]
        confirmed = [key for writer in writers for key in writer.result(timeout=60)]
    expected = {f"process{i}-{n}" for i in range(8) for n in range(25)}
    assert set(confirmed) == expected
    assert {m.key for m in await store.memories(ALICE)} == expected


async def test_of_100_starts_in_four_processes_there_is_one_session(path: Path, store: SqliteStore) -> None:
    jobs = [[f"job-{process}-{i}" for i in range(25)] for process in range(4)]
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        starters = [pool.submit(start_many, str(path), str(ALICE), "kitchen", jobs[process]) for process in range(4)]
        answers = [answer for starter in starters for answer in starter.result(timeout=60)]
    assert len(answers) == 100
    assert len({(session, conversation) for session, conversation, _, _ in answers}) == 1
    assert sum(not resumed for _, _, resumed, _ in answers) == sum(created for *_, created in answers) == 1
    (record,) = await store.sessions(living=False, limit=10)
    assert set(record.jobs) == {job for of_process in jobs for job in of_process}
    assert len((await store.export(ALICE))["conversations"]) == 1


async def test_eight_processes_that_upgrade_an_old_file_at_once_lose_nothing(path: Path, store: SqliteStore) -> None:
    _make_version_1(path)
    with ProcessPoolExecutor(8, mp_context=get_context("spawn")) as pool:
        writers = [pool.submit(write_many, str(path), str(BOB), f"process{i}", 5) for i in range(8)]
        confirmed = [key for writer in writers for key in writer.result(timeout=60)]
    assert {m.key for m in await store.memories(BOB)} == {"favorite_color", *confirmed}
    assert len(confirmed) == 40
    assert len(await store.memories(ALICE)) == 3


async def test_a_killed_process_loses_nothing_that_was_confirmed(path: Path, store: SqliteStore) -> None:
    command = [sys.executable, "-m", "tests.memory.stores.other_process", str(path), str(ALICE)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        confirmed = [writer.stdout.readline().strip() for _ in range(50)]
        writer.kill()
        confirmed += writer.stdout.read().split()
    assert writer.returncode < 0, "it was to be killed in the middle of writing"
    kept = {m.key: m.value for m in await store.memories(ALICE)}
    assert {key: kept.get(key) for key in confirmed} == {key: f"value of {key}" for key in confirmed}
    assert await store.remember(ALICE, [said()]) == [said()]


# -- the file


@pytest.mark.parametrize("umask", [0o000, 0o022])
async def test_nobody_else_on_the_machine_can_read_what_was_said(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = SqliteStore(path)
        await store.remember(ALICE, [said()])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        await store.aclose()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert modes.pop("rapport.db") == 0o600
    assert set(modes.values()) <= {0o600}, "the log beside the file holds the same words"


async def test_nothing_is_opened_before_the_first_use(path: Path) -> None:
    store = SqliteStore(path)
    await store.aclose()
    assert not path.parent.exists()


async def test_a_home_that_exists_keeps_its_mode(path: Path, store: SqliteStore) -> None:
    path.parent.mkdir(mode=0o750)
    await store.remember(ALICE, [said()])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


async def test_a_closed_store_opens_again(store: SqliteStore) -> None:
    await store.remember(ALICE, [said()])
    await store.aclose()
    assert await store.memories(ALICE) == [said()]


async def test_closing_releases_the_file(path: Path, store: SqliteStore) -> None:
    await store.remember(ALICE, [said()])
    await store.aclose()
    assert [file.name for file in path.parent.iterdir()] == ["rapport.db"]


async def test_a_file_where_the_directory_should_be_is_named(path: Path, store: SqliteStore) -> None:
    path.parent.touch()
    with pytest.raises(StoreError, match=str(path)):
        await store.remember(ALICE, [said()])
    path.parent.unlink()
    assert await store.remember(ALICE, [said()]) == [said()], "it works as soon as the path does"


async def test_a_directory_where_the_file_should_be_is_named(path: Path, store: SqliteStore) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match=str(path)):
        await store.memories(ALICE)


async def test_a_file_that_is_no_database_is_named_and_left_as_it_is(path: Path, store: SqliteStore) -> None:
    path.parent.mkdir()
    path.write_text("dear diary, " * 1000)
    with pytest.raises(StoreError, match=str(path)) as failed:
        await store.remember(ALICE, [said()])
    assert "diary" not in str(failed.value)
    assert path.read_text() == "dear diary, " * 1000


@pytest.mark.parametrize("version", [_SCHEMA_VERSION + 1, 99])
async def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path, store: SqliteStore, version: int) -> None:
    await store.remember(ALICE, [said()])
    await store.aclose()
    _execute(path, f"pragma user_version = {version}")
    for _ in range(2):
        with pytest.raises(StoreError, match=rf"version {version}, newer"):
            await store.remember(ALICE, [said("green")])
    _execute(path, f"pragma user_version = {_SCHEMA_VERSION}")
    assert await store.memories(ALICE) == [said("blue")]


async def test_a_file_of_the_first_version_is_upgraded_without_losing_a_row(path: Path, store: SqliteStore) -> None:
    _make_version_1(path)
    assert await store.memories(ALICE) == [
        said("blue", source="turn-0"),
        said("I live in Rome", "user_input_1795262400123", Category.FACT, source="turn-1", later=1),
        said("Tilda", "cat", Category.FACT, later=2),
    ]
    assert await store.memories(BOB) == [said("red", source="turn-1")]
    profile, created = await store.ensure_profile(ALICE, None)
    assert (profile.email, profile.is_first_login, created) == ("alice@example.com", False, False)
    assert profile.created_at == NOON
    await store.remember(ALICE, [said("green", later=60)])
    assert await store.past(ALICE) == [Past(said("blue", source="turn-0"), until=NOON + timedelta(seconds=60))]
    await store.aclose()
    with closing(sqlite3.connect(path)) as db:
        assert _schema(db) == _schema_of_a_new_file(path.parent / "new.db")
        assert db.execute("pragma foreign_key_check").fetchall() == []


async def test_a_file_of_the_second_version_is_upgraded_without_losing_a_row(path: Path, store: SqliteStore) -> None:
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as db:
        for statement in (_PROFILES, *_CONVERSATIONS, *_MEMORIES):
            db.execute(statement)
        db.execute("insert into profiles (id, created_at) values (?, ?)", (str(ALICE), NOON.isoformat()))
        row = (str(ALICE), "PREFERENCE", "favorite_color", "blue", NOON.isoformat())
        db.execute("insert into memories (user_id, category, key, value, said_at) values (?, ?, ?, ?, ?)", row)
        db.execute("pragma user_version = 2")
        db.commit()
    assert await store.memories(ALICE) == [said("blue")]
    assert await store.put_vectors(ALICE, "e5", [vector_of(said("blue"), 1)]) == 1
    await store.aclose()
    with closing(sqlite3.connect(path)) as db:
        assert _schema(db) == _schema_of_a_new_file(path.parent / "new.db")


async def test_an_upgrade_that_fails_leaves_the_old_file_as_it_was(path: Path, store: SqliteStore) -> None:
    _make_version_1(path)
    _execute(path, "create table leases (in_the_way text)")
    for _ in range(2):
        with pytest.raises(StoreError, match="leases"):
            await store.memories(ALICE)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma user_version").fetchone() == (1,)
        assert len(db.execute("select user_id, category, key, value, said_at, source from memories").fetchall()) == 4
    _execute(path, "drop table leases")
    assert len(await store.memories(ALICE)) == 3


async def test_what_is_erased_is_gone_from_the_file_too(path: Path, store: SqliteStore) -> None:
    long = "quokka " * 500  # fills pages of its own
    for user in (ALICE, BOB):
        name = "marmalade" if user == ALICE else "lighthouse"
        room = await started(store, user)
        await store.append_turns(user, room.conversation, [turn(f"{name} turn")])
        await store.summarise(user, room.conversation, f"{name} summary")
        await store.remember(user, [said(f"{name} old"), said(f"{name} {long}", "animal")])
        await store.remember(user, [said(f"{name} new", later=60)])
    assert b"marmalade" in _file(path)
    await store.erase(ALICE)
    assert b"marmalade" not in _file(path)
    assert _file(path).count(b"lighthouse") >= 5


async def test_what_is_forgotten_or_purged_is_gone_from_the_file_too(path: Path, store: SqliteStore) -> None:
    room = await started(store)
    await store.remember(ALICE, [said("marmalade")])
    await store.remember(ALICE, [said("quokka", later=60)])
    await store.append_turns(ALICE, room.conversation, [turn("lighthouse"), turn("wombat and tea", name="item_9")])
    [wombat] = await store.mentions(ALICE, ["wombat"], 0, 9)
    await store.redact(ALICE, [(wombat, "")], [], [])
    assert b"wombat and" not in _file(path)
    assert all(word in _file(path) for word in (b"marmalade", b"quokka", b"lighthouse"))
    await store.forget(ALICE, Category.PREFERENCE, "favorite_color")
    assert b"marmalade" not in _file(path)
    assert b"quokka" not in _file(path)
    await store.purge(NOON + timedelta(days=1))
    assert b"lighthouse" not in _file(path)


async def test_erasing_does_not_wait_for_a_reader(path: Path, store: SqliteStore) -> None:
    await store.remember(ALICE, [said()])
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from memories").fetchall()
        async with asyncio.timeout(2):
            assert (await store.erase(ALICE))["memories"] == 1
        reader.execute("rollback")


async def test_what_a_reader_kept_in_the_log_goes_with_the_next_write(path: Path, store: SqliteStore) -> None:
    await store.remember(ALICE, [said("marmalade")])
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from memories").fetchall()
        await store.redact(ALICE, [], [], [(Category.PREFERENCE, "favorite_color")])
        assert b"marmalade" in _file(path)
        reader.execute("rollback")
    await store.ensure_profile(ALICE, None)
    assert b"marmalade" not in _file(path)


async def test_a_session_that_resumes_is_not_taken_for_one_that_asks_again(store: SqliteStore) -> None:
    """A job whose first answer was lost asks again, and must not be told that the conversation goes on."""
    first = await started(store)
    assert (await started(store)).resumed is False
    await store.end_session(ALICE, first.id, "job-1", "left")
    assert (await started(store, job="job-2")).resumed is True
    assert (await started(store, job="job-2")).resumed is True


async def test_a_person_who_is_silent_but_there_is_in_the_conversation(store: SqliteStore, path: Path) -> None:
    """Only then a device that joins after the window finds the session that lives."""
    room = await started(store)
    _execute(path, "update conversations set active_at = '2020-01-01T00:00:00.000000+00:00'")
    assert await store.touch_session(ALICE, room.id)
    assert (await started(store, job="job-2")).id == room.id


TABLES_OF_A_PERSON = {"conversations", "sessions", "messages", "memories", "memory_history"}


async def test_no_row_can_hang_under_another_persons(path: Path, store: SqliteStore) -> None:
    room = await started(store, ALICE)
    await store.append_turns(ALICE, room.conversation, [turn()])
    await store.remember(ALICE, [said("blue", conversation=room.conversation)])
    await store.remember(ALICE, [said("green", later=1, conversation=room.conversation)])
    await store.ensure_profile(BOB, None)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("pragma foreign_keys = on")
        tables = {name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")}
        assert tables == {*TABLES_OF_A_PERSON, "profiles", "leases"}
        for table in TABLES_OF_A_PERSON:
            assert db.execute(f"select count(*) from {table}").fetchone() == (1,), table  # noqa: S608
            with pytest.raises(sqlite3.IntegrityError):
                db.execute(f"update {table} set user_id = ?", (str(BOB),))  # noqa: S608
        with pytest.raises(sqlite3.IntegrityError):
            db.execute("insert into sessions select user_id, 'other', conversation_id, room, jobs, started_at, seen_at,"
                       " null, null from sessions")  # fmt: skip


async def test_an_error_names_no_words_of_the_person(path: Path, store: SqliteStore) -> None:
    await store.ensure_profile(ALICE, None)
    _execute(path, "drop table memories")
    with pytest.raises(StoreError, match="memories") as failed:
        await store.remember(ALICE, [said("locker-4711", "locker-4711", source="locker-4711")])
    assert "4711" not in str(failed.value)
    assert await store.complete_first_login(ALICE), "and no half transaction is left open"


async def test_a_profile_takes_its_memories_with_it(path: Path, store: SqliteStore) -> None:
    """Who is deleted by hand leaves nothing behind."""
    room = await started(store)
    await store.append_turns(ALICE, room.conversation, [turn()])
    for i, value in enumerate(("blue", "green")):
        await store.remember(ALICE, [said(value, later=i, conversation=room.conversation)])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("pragma foreign_keys = on")
        db.execute("delete from profiles")
    assert not any((await store.export(ALICE)).values())


# -- a busy database


async def test_a_locked_database_is_a_store_error_and_never_blocks_the_loop(
    path: Path,
) -> None:
    store = SqliteStore(path, busy_seconds=0.4)
    await store.remember(ALICE, [said("blue")])
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with _locked(path):
        with pytest.raises(StoreError, match=r"locked|busy"):
            await store.remember(ALICE, [said("green")])
        assert ticks >= 10, "of the 80 that fit into the wait"
        assert await store.memories(ALICE) == [said("blue")], "readers never wait for a writer"
    ticking.cancel()
    assert await store.remember(ALICE, [said("green")]) == [said("green")]
    assert await store.memories(ALICE) == [said("green")]


async def test_a_short_lock_is_waited_for(path: Path, store: SqliteStore) -> None:
    await store.remember(ALICE, [said("blue")])
    with _locked(path):
        write = asyncio.create_task(store.remember(ALICE, [said("green")]))
        await asyncio.sleep(0.1)
        assert not write.done()
    assert await write == [said("green")]


async def test_a_new_file_that_another_process_is_just_making_is_waited_for(path: Path, store: SqliteStore) -> None:
    """SQLite's own busy timeout does not cover the switch to the write-ahead log."""
    path.parent.mkdir()
    with _locked(path, "immediate"):
        write = asyncio.create_task(store.remember(ALICE, [said("blue")]))
        await asyncio.sleep(0.1)
        assert not write.done()
    assert await write == [said("blue")]


async def test_a_caller_who_gave_up_leaves_the_store_usable(path: Path, store: SqliteStore) -> None:
    await store.remember(ALICE, [said("blue")])
    with _locked(path), pytest.raises(TimeoutError):
        await asyncio.wait_for(store.remember(ALICE, [said("green")]), 0.05)
    assert await store.remember(ALICE, [said("red")]) == [said("red")]
    assert await store.memories(ALICE) == [said("red")]


async def test_what_a_caller_gave_up_is_not_done_behind_a_later_calls_back(path: Path, store: SqliteStore) -> None:
    """Otherwise what was still waiting for its turn is written after everything was erased."""
    await store.remember(ALICE, [said("blue")])
    with _locked(path):
        for i in range(8):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.remember(ALICE, [said(f"late {i}", f"key {i}")]), 0.05)
        erasing = asyncio.create_task(store.erase(ALICE))
        await asyncio.sleep(0)
    assert (await erasing)["memories"] == 1
    await asyncio.gather(*(store.memories(ALICE) for _ in range(8)))
    assert not any((await store.export(ALICE)).values())


# -- a disk that hangs


async def test_a_read_does_not_wait_for_writes_that_were_given_up(path: Path, store: SqliteStore) -> None:
    await store.remember(ALICE, [said()])
    with _locked(path, "immediate"):
        for _ in range(4):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.remember(ALICE, [said("green")]), 0.05)
        assert await asyncio.wait_for(store.memories(ALICE), 1) == [said()]
    assert await store.memories(ALICE) == [said()], "what was given up was not done later"


async def test_a_disk_that_hangs_holds_up_no_other_thread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up in the event loop's own threads, of which there are few."""
    answered = threading.Event()

    def hang(*_: object) -> None:
        answered.wait(30)
        raise OSError("the disk is gone")

    monkeypatch.setattr(sqlite_store, "open_file", hang)
    stores = [SqliteStore(path) for _ in range((os.cpu_count() or 1) + 8)]
    calls = [asyncio.create_task(store.memories(ALICE)) for store in stores]
    try:
        loop = asyncio.get_running_loop()
        assert await asyncio.wait_for(loop.getaddrinfo("localhost", 80), 5)
        assert not any(call.done() for call in calls), "the disk does not hang"
        await asyncio.wait_for(stores[0].aclose(), 5)
    finally:
        answered.set()
        await asyncio.gather(*calls, return_exceptions=True)


_HANGS = """
import asyncio, sys, threading, uuid
from pathlib import Path
from memory.stores import sqlite

sqlite.open_file = lambda *_: threading.Event().wait()

async def ask() -> None:
    store = sqlite.SqliteStore(Path(sys.argv[1]))
    call = asyncio.ensure_future(store.memories(uuid.uuid4()))
    await asyncio.wait({call}, timeout=0.1)
    if sys.argv[2] == "closed":
        await store.aclose()

asyncio.run(ask())
"""


@pytest.mark.parametrize("closed", ["closed", "left open"])
def test_a_process_ends_though_its_disk_hangs(path: Path, closed: str) -> None:
    subprocess.run([sys.executable, "-c", _HANGS, str(path), closed], cwd=ROOT, timeout=30, check=True)


async def test_a_store_that_nobody_holds_any_more_leaves_no_thread(path: Path) -> None:
    before = threading.active_count()
    await SqliteStore(path).remember(ALICE, [said()])
    await until(lambda: threading.active_count() <= before, "the thread to end")


async def test_closed_stores_leave_no_file_and_no_thread(path: Path) -> None:
    async def use() -> None:
        store = SqliteStore(path)
        await store.remember(ALICE, [said()])
        await store.aclose()

    await use()
    before = (len([*Path("/proc/self/fd").iterdir()]), threading.active_count())
    for _ in range(100):
        await use()
    assert len([*Path("/proc/self/fd").iterdir()]) <= before[0]
    await until(lambda: threading.active_count() <= before[1], "the last thread to end")


@contextmanager
def _locked(path: Path, how: str = "exclusive") -> Iterator[None]:
    """Another process is in the middle of a write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"begin {how}")
        yield
        db.execute("rollback")


def _make_version_1(path: Path) -> None:
    """A file as the first version of the program wrote it."""
    path.parent.mkdir(exist_ok=True)
    at = [(NOON + timedelta(seconds=i)).isoformat(timespec="microseconds") for i in range(3)]
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(VERSION_1)
        db.executemany(
            "insert into profiles values (?, ?, ?, ?)",
            [(str(ALICE), "alice@example.com", 0, at[0]), (str(BOB), None, 1, at[0])],
        )
        db.executemany(
            "insert into memories values (?, ?, ?, ?, ?, ?)",
            [
                (str(ALICE), "PREFERENCE", "favorite_color", "blue", at[0], "turn-0"),
                (str(ALICE), "FACT", "user_input_1795262400123", "I live in Rome", at[1], "turn-1"),
                (str(ALICE), "FACT", "cat", "Tilda", at[2], None),
                (str(BOB), "PREFERENCE", "favorite_color", "red", at[0], "turn-1"),
            ],
        )


VERSION_1 = """
pragma journal_mode = wal;
create table profiles (
    id text primary key,
    email text,
    is_first_login integer not null default 1,
    created_at text not null
) strict, without rowid;

create table memories (
    user_id text not null references profiles (id) on delete cascade,
    category text not null,
    key text not null,
    value text not null,
    said_at text not null,
    source text,
    primary key (user_id, category, key)
) strict, without rowid;

create unique index memories_source on memories (user_id, source) where source is not null;
pragma user_version = 1;
"""


def _schema(db: sqlite3.Connection) -> set[tuple[str, str]]:
    found = db.execute("select name, sql from sqlite_schema where sql is not null").fetchall()
    return {(name, " ".join(sql.split()).replace('"', "")) for name, sql in found}


def _schema_of_a_new_file(path: Path) -> set[tuple[str, str]]:
    open_file(path).close()
    with closing(sqlite3.connect(path)) as db:
        return _schema(db)


def _file(path: Path) -> bytes:
    """Everything that is on the disk, with the log beside the file."""
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm"))


def _execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)
