"""What another process does with an embedded store. Imports little, so that eight of them start quickly."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from memory.categories import Category
from memory.sqlite import SqliteStore
from memory.store import Memory


def write_many(path: str, user: str, name: str, count: int) -> list[str]:
    """Keep `count` memories, and return the keys the store confirmed."""
    return asyncio.run(_write_many(Path(path), UUID(user), name, count))


async def _write_many(path: Path, user: UUID, name: str, count: int) -> list[str]:
    store = SqliteStore(path)
    confirmed = []
    for i in range(count):
        kept = await store.remember(user, _said(f"{name}-{i}", source=f"{name}-{i}"))
        confirmed.append(kept.key if kept else "")
    await store.aclose()
    return confirmed


async def _write_until_killed(path: Path, user: UUID) -> None:
    store = SqliteStore(path)
    for i in range(1_000_000):
        kept = await store.remember(user, _said(f"key-{i}"))
        print(kept.key if kept else "lost", flush=True)  # noqa: T201 - how the test hears what was confirmed


def _said(key: str, source: str | None = None) -> Memory:
    return Memory(Category.FACT, key, f"value of {key}", datetime.now(UTC), source)


if __name__ == "__main__":
    asyncio.run(_write_until_killed(Path(sys.argv[1]), UUID(sys.argv[2])))
