"""The stores that must keep the contract of `memory.store.Store`, and what its tests are made of.

A new store joins by one function that yields a `Backend`, and a line in `BACKENDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from memory.categories import Category
from memory.sqlite import SqliteStore
from memory.store import Memory, Store

ALICE = UUID("edabafbb-61ad-51d6-9fd8-e976c892a731")
BOB = UUID("1bbc064c-d74a-56e6-a2b9-009139975e85")
NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass(frozen=True)
class Backend:
    """`open` makes a handle on the same data, as another process would; `broken` one whose data cannot be reached."""

    open: Callable[[], Store]
    broken: Callable[[], Store]


@contextmanager
def sqlite(directory: Path) -> Iterator[Backend]:
    blocked = directory / "a-file-where-the-directory-should-be"
    blocked.touch()
    yield Backend(
        open=lambda: SqliteStore(directory / "rapport.db"), broken=lambda: SqliteStore(blocked / "rapport.db")
    )


BACKENDS: dict[str, Callable[[Path], AbstractContextManager[Backend]]] = {"sqlite": sqlite}


def said(
    value: str = "blue",
    key: str = "favorite_color",
    category: Category = Category.PREFERENCE,
    *,
    later: float = 0,
    source: str | None = None,
) -> Memory:
    """A memory that was said at noon, or `later` seconds after it."""
    return Memory(category, key, value, NOON + timedelta(seconds=later), source)
