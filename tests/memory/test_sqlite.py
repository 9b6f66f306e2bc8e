"""The embedded store, where it is more than the contract: many processes, a killed one, the file, a busy database."""

# ruff: noqa: ASYNC220, ASYNC240 - a test may wait for its own disk and its own process

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest

from memory import sqlite as sqlite_store
from memory.sqlite import SqliteStore
from memory.store import StoreError
from tests.memory.contract import ALICE, said
from tests.memory.other_process import write_many

ROOT = Path(sqlite_store.__file__).parent.parent


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


async def test_a_killed_process_loses_nothing_that_was_confirmed(path: Path, store: SqliteStore) -> None:
    command = [sys.executable, "-m", "tests.memory.other_process", str(path), str(ALICE)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        confirmed = [writer.stdout.readline().strip() for _ in range(50)]
        writer.kill()
        confirmed += writer.stdout.read().split()
    assert writer.returncode < 0, "it was to be killed in the middle of writing"
    kept = {m.key: m.value for m in await store.memories(ALICE)}
    assert {key: kept.get(key) for key in confirmed} == {key: f"value of {key}" for key in confirmed}
    assert await store.remember(ALICE, said()) == said()


# -- the file


@pytest.mark.parametrize("umask", [0o000, 0o022])
async def test_nobody_else_on_the_machine_can_read_what_was_said(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = SqliteStore(path)
        await store.remember(ALICE, said())
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
    await store.remember(ALICE, said())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


async def test_a_closed_store_opens_again(store: SqliteStore) -> None:
    await store.remember(ALICE, said())
    await store.aclose()
    assert await store.memories(ALICE) == [said()]


async def test_closing_releases_the_file(path: Path, store: SqliteStore) -> None:
    await store.remember(ALICE, said())
    await store.aclose()
    assert [file.name for file in path.parent.iterdir()] == ["rapport.db"]


async def test_a_file_where_the_directory_should_be_is_named(path: Path, store: SqliteStore) -> None:
    path.parent.touch()
    with pytest.raises(StoreError, match=str(path)):
        await store.remember(ALICE, said())
    path.parent.unlink()
    assert await store.remember(ALICE, said()) == said(), "it works as soon as the path does"


async def test_a_directory_where_the_file_should_be_is_named(path: Path, store: SqliteStore) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match=str(path)):
        await store.memories(ALICE)


async def test_a_file_that_is_no_database_is_named_and_left_as_it_is(path: Path, store: SqliteStore) -> None:
    path.parent.mkdir()
    path.write_text("dear diary, " * 1000)
    with pytest.raises(StoreError, match=str(path)) as failed:
        await store.remember(ALICE, said())
    assert "diary" not in str(failed.value)
    assert path.read_text() == "dear diary, " * 1000


@pytest.mark.parametrize("version", [2, 99])
async def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path, store: SqliteStore, version: int) -> None:
    await store.remember(ALICE, said())
    await store.aclose()
    _execute(path, f"pragma user_version = {version}")
    for _ in range(2):
        with pytest.raises(StoreError, match=rf"version {version}, newer"):
            await store.remember(ALICE, said("green"))
    _execute(path, "pragma user_version = 1")
    assert await store.memories(ALICE) == [said("blue")]


async def test_an_error_names_no_words_of_the_person(path: Path, store: SqliteStore) -> None:
    await store.ensure_profile(ALICE, None)
    _execute(path, "drop table memories")
    with pytest.raises(StoreError, match="memories") as failed:
        await store.remember(ALICE, said("locker-4711", "locker-4711", source="locker-4711"))
    assert "4711" not in str(failed.value)
    assert await store.complete_first_login(ALICE), "and no half transaction is left open"


async def test_a_profile_takes_its_memories_with_it(path: Path, store: SqliteStore) -> None:
    """Who is deleted by hand leaves nothing behind."""
    await store.remember(ALICE, said())
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("pragma foreign_keys = on")
        db.execute("delete from profiles")
    assert await store.memories(ALICE) == []


# -- a busy database


async def test_a_locked_database_is_a_store_error_and_never_blocks_the_loop(
    path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "_BUSY_SECONDS", 0.4)
    await store.remember(ALICE, said("blue"))
    await store.aclose()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with _locked(path):
        with pytest.raises(StoreError, match=r"locked|busy"):
            await store.remember(ALICE, said("green"))
        assert ticks >= 10, "of the 80 that fit into the wait"
        assert await store.memories(ALICE) == [said("blue")], "readers never wait for a writer"
    ticking.cancel()
    assert await store.remember(ALICE, said("green")) == said("green")
    assert await store.memories(ALICE) == [said("green")]


async def test_a_short_lock_is_waited_for(path: Path, store: SqliteStore) -> None:
    await store.remember(ALICE, said("blue"))
    with _locked(path):
        write = asyncio.create_task(store.remember(ALICE, said("green")))
        await asyncio.sleep(0.1)
        assert not write.done()
    assert await write == said("green")


async def test_a_new_file_that_another_process_is_just_making_is_waited_for(path: Path, store: SqliteStore) -> None:
    """SQLite's own busy timeout does not cover the switch to the write-ahead log."""
    path.parent.mkdir()
    with _locked(path, "immediate"):
        write = asyncio.create_task(store.remember(ALICE, said("blue")))
        await asyncio.sleep(0.1)
        assert not write.done()
    assert await write == said("blue")


async def test_a_caller_who_gave_up_leaves_the_store_usable(path: Path, store: SqliteStore) -> None:
    await store.remember(ALICE, said("blue"))
    with _locked(path), pytest.raises(TimeoutError):
        await asyncio.wait_for(store.remember(ALICE, said("green")), 0.05)
    assert await store.remember(ALICE, said("red")) == said("red")
    assert await store.memories(ALICE) == [said("red")]


@contextmanager
def _locked(path: Path, how: str = "exclusive") -> Iterator[None]:
    """Another process is in the middle of a write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"begin {how}")
        yield
        db.execute("rollback")


def _execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)
