"""A session in a real store that has its moods, and what the tests of it say and look at."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from identity import set_session_user
from memory.manager import MemoryManager
from memory.records import Memory, Session
from memory.sessions.session import SessionMemory
from memory.sessions.timing import Timing
from memory.stores.protocol import StoreError
from memory.stores.sqlite import SqliteStore
from tests.memory.stores.contract import HALF_AN_HOUR

HASTY = Timing(first_pause=0.001, longest_pause=0.01, rest=0.02)
CAT = "my cat is called Tilda"


def delayed(store: SqliteStore, first: Callable[[], Awaitable[None]]) -> None:
    """From now on whatever the store reads or writes waits for this `first`, and fails with it."""

    class Delayed:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        async def __call__(self, *arguments: Any, **named: Any) -> Any:
            await first()
            return await self._connection(*arguments, **named)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

    store._reader, store._writer = (cast("Any", Delayed(each)) for each in (store._reader, store._writer))


class Moody(SqliteStore):
    """A real store that answers late while `gate` is closed, and not at all while it is `down`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        delayed(self, self._by_mood)
        self.path = path
        self.gate = asyncio.Event()
        self.gate.set()
        self.down = False
        self.asked = 0
        self.asked_again = asyncio.Event()

    async def _by_mood(self) -> None:
        self.asked += 1
        self.asked_again.set()
        await self.gate.wait()
        if self.down:
            raise StoreError("the store is down")


async def start(
    session: SessionMemory,
    *,
    thread: str = "kitchen",
    job: str = "job-1",
    resume_within: timedelta = HALF_AN_HOUR,
) -> Session:
    return await session.start(
        thread=thread, job=job, room="room", resume_within=resume_within, turns=10, email="alice@example.com"
    )


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    """Everything that is in the file, of anybody."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"select * from {table}")]  # noqa: S608


def texts(path: Path) -> list[str]:
    return [row["text"] for row in sorted(rows(path, "messages"), key=lambda row: (row["said_at"], row["seq"]))]


async def until(store: Moody, asked: int) -> None:
    async with asyncio.timeout(5):
        while store.asked < asked:
            store.asked_again.clear()
            await store.asked_again.wait()


@asynccontextmanager
async def session(manager: MemoryManager, name: str | None = None) -> AsyncIterator[SessionMemory]:
    if name:
        set_session_user(name)
    opened = manager.open_session()
    try:
        await opened.load()
        yield opened
    finally:
        opened.close()


def values(memories: list[Memory]) -> list[str]:
    return [memory.value for memory in memories]
