"""The embedded store: one SQLite file, safe for many job processes at once."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from memory.categories import Category
from memory.store import Memory, Profile, StoreError

T = TypeVar("T")

# How long one process waits for another's write. Writes take milliseconds; callers have shorter deadlines of their own.
_BUSY_SECONDS = 5.0
_SCHEMA_VERSION = 1
_SCHEMA = """
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
"""


class SqliteStore:
    """`Store` on a SQLite file. One connection, used by one thread at a time, never on the event loop."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before the first use, so that a worker with an unusable path still answers calls."""
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    async def ensure_profile(self, user: UUID, email: str | None) -> tuple[Profile, bool]:
        def run(db: sqlite3.Connection) -> tuple[Profile, bool]:
            created = _make_profile(db, user)
            if email:
                db.execute("update profiles set email = ? where id = ? and email is null", (email, str(user)))
            row = db.execute(
                "select email, is_first_login, created_at from profiles where id = ?", (str(user),)
            ).fetchone()
            return Profile(user, row[0], bool(row[1]), datetime.fromisoformat(row[2])), created

        return await self._write(run)

    async def complete_first_login(self, user: UUID) -> bool:
        statement = "update profiles set is_first_login = 0 where id = ? and is_first_login = 1"
        return await self._write(lambda db: db.execute(statement, (str(user),)).rowcount == 1)

    async def remember(self, user: UUID, memory: Memory) -> Memory | None:
        def run(db: sqlite3.Connection) -> Memory | None:
            _make_profile(db, user)
            kept = memory if memory.source is None else _under_free_key(db, user, memory)
            if kept:
                _upsert(db, user, kept)
            return kept

        return await self._write(run)

    async def retrieve(self, user: UUID, category: Category, key: str) -> Memory | None:
        found = await self._read(
            f"{_SELECT} where user_id = ? and category = ? and key = ?", (str(user), category, key)
        )
        return found[0] if found else None

    async def memories(self, user: UUID) -> list[Memory]:
        return await self._read(f"{_SELECT} where user_id = ? order by said_at, category, key", (str(user),))

    async def forget(self, user: UUID, category: Category, key: str) -> bool:
        statement = "delete from memories where user_id = ? and category = ? and key = ?"
        return await self._write(lambda db: db.execute(statement, (str(user), category, key)).rowcount == 1)

    async def forget_everything(self, user: UUID) -> int:
        statement = "delete from memories where user_id = ?"
        return await self._write(lambda db: db.execute(statement, (str(user),)).rowcount)

    async def aclose(self) -> None:
        def close() -> None:
            with self._lock:
                if self._connection:
                    self._connection.close()
                self._connection = None

        await asyncio.to_thread(close)

    async def _read(self, query: str, parameters: tuple[str, ...]) -> list[Memory]:
        def run(db: sqlite3.Connection) -> list[Memory]:
            with closing(db.execute(query, parameters)) as rows:
                return [_memory(row) for row in rows]

        return await asyncio.to_thread(self._use, run)

    async def _write(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """In one transaction that takes the write lock first: two processes then wait for each other instead of
        failing in the middle, when a read would have to become a write."""

        def transaction(db: sqlite3.Connection) -> T:
            db.execute("begin immediate")
            try:
                result = run(db)
                db.execute("commit")
            except BaseException:
                db.execute("rollback")
                raise
            return result

        return await asyncio.to_thread(self._use, transaction)

    def _use(self, run: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                self._connection = self._connection or _open(self._path)
                return run(self._connection)
            except (sqlite3.Error, OSError, UnicodeError) as error:
                # none of them quotes a value: sqlite3 names tables and columns, UnicodeError one character
                raise StoreError(f"the embedded store at {self._path} failed: {error}") from error


_SELECT = "select category, key, value, said_at, source from memories"


def _memory(row: tuple[str, str, str, str, str | None]) -> Memory:
    category, key, value, said_at, source = row
    return Memory(Category(category), key, value, datetime.fromisoformat(said_at), source)


def _make_profile(db: sqlite3.Connection, user: UUID) -> bool:
    statement = "insert into profiles (id, created_at) values (?, ?) on conflict do nothing"
    return db.execute(statement, (str(user), _timestamp(datetime.now(UTC)))).rowcount == 1


def _under_free_key(db: sqlite3.Connection, user: UUID, memory: Memory) -> Memory | None:
    """The memory under a key nobody else's turn holds; None if this source is kept already."""
    if db.execute("select 1 from memories where user_id = ? and source = ?", (str(user), memory.source)).fetchone():
        return None
    key = memory.key
    taken = "select 1 from memories where user_id = ? and category = ? and key = ?"
    while db.execute(taken, (str(user), memory.category, key)).fetchone():
        key = next_key(key)
    return Memory(memory.category, key, memory.value, memory.said_at, memory.source)


def next_key(key: str) -> str:
    """The key with the number at its end one higher: two turns of one millisecond are two memories."""
    return re.sub(r"\d*$", lambda digits: str(int(digits[0] or 0) + 1), key, count=1)


def _upsert(db: sqlite3.Connection, user: UUID, memory: Memory) -> None:
    db.execute(
        "insert into memories (user_id, category, key, value, said_at, source) values (?, ?, ?, ?, ?, ?)"
        " on conflict (user_id, category, key) do update"
        " set value = excluded.value, said_at = excluded.said_at, source = excluded.source",
        (str(user), memory.category, memory.key, memory.value, _timestamp(memory.said_at), memory.source),
    )


def _timestamp(moment: datetime) -> str:
    """UTC with microseconds always written out, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _open(path: Path) -> sqlite3.Connection:
    # what people said is nobody else's business on a shared machine
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("pragma foreign_keys = on")
        _use_write_ahead_log(db)
        _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _use_write_ahead_log(db: sqlite3.Connection) -> None:
    """Readers then never wait for a writer. The file keeps the mode, but SQLite does not apply its busy timeout to
    the switch: of 16 processes that made a new file at once, one in 60 failed here without the second try."""
    give_up = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            db.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _migrate(db: sqlite3.Connection) -> None:
    if db.execute("pragma user_version").fetchone()[0] == _SCHEMA_VERSION:
        return
    db.execute("begin immediate")
    version = db.execute("pragma user_version").fetchone()[0]
    if version == 0:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)
        db.execute(f"pragma user_version = {_SCHEMA_VERSION}")
    db.execute("commit")
    if version > _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"its schema is version {version}, newer than this program's {_SCHEMA_VERSION}")
