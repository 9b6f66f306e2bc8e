"""What another process does with an embedded store. Imports little, so that eight of them start quickly."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from memory.records import Category, Memory
from memory.stores.sqlite import SqliteStore


def write_many(path: str, user: str, name: str, count: int) -> list[str]:
    """Keep `count` memories, and return the keys the store confirmed."""
    return asyncio.run(_write_many(Path(path), UUID(user), name, count))


async def _write_many(path: Path, user: UUID, name: str, count: int) -> list[str]:
    store = SqliteStore(path)
    confirmed = []
    for i in range(count):
        confirmed += [kept.key for kept in await store.remember(user, [_said(f"{name}-{i}", source=f"{name}-{i}")])]
    await store.aclose()
    return confirmed


def start_many(path: str, user: str, thread: str, jobs: list[str]) -> list[tuple[str, str, bool, bool]]:
    """Start a session for each job at once; session, conversation, resumed and created of each."""
    return asyncio.run(_start_many(Path(path), UUID(user), thread, jobs))


async def _start_many(path: Path, user: UUID, thread: str, jobs: list[str]) -> list[tuple[str, str, bool, bool]]:
    store, half_an_hour = SqliteStore(path), timedelta(minutes=30)
    starts = [
        store.start_session(user, email=None, thread=thread, job=job, room=job, resume_within=half_an_hour, turns=10)
        for job in jobs
    ]
    sessions = await asyncio.gather(*starts)
    await store.aclose()
    return [(str(session.id), str(session.conversation), session.resumed, session.created) for session in sessions]


async def _write_until_killed(path: Path, user: UUID) -> None:
    store = SqliteStore(path)
    for i in range(1_000_000):
        (kept,) = await store.remember(user, [_said(f"key-{i}")])
        print(kept.key, flush=True)  # noqa: T201 - how the test hears what was confirmed


def _said(key: str, source: str | None = None) -> Memory:
    return Memory(Category.FACT, key, f"value of {key}", datetime.now(UTC), source)


if __name__ == "__main__":
    asyncio.run(_write_until_killed(Path(sys.argv[1]), UUID(sys.argv[2])))
