"""The stores that must keep the contract of `memory.stores.protocol.Store`, and what its tests are made of.

A new store joins by one function that yields a `Backend`, and a line in `BACKENDS`: with marks, if it needs servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from memory.records import Category, Memory, MemoryVector, Session, Turn
from memory.stores.protocol import Store
from memory.stores.sqlite import SqliteStore

ALICE = UUID("edabafbb-61ad-51d6-9fd8-e976c892a731")
BOB = UUID("1bbc064c-d74a-56e6-a2b9-009139975e85")
NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)


@dataclass(frozen=True)
class Backend:
    """`open` makes a handle on the same data, as another process would; `broken` one whose data cannot be reached.
    At first there is nothing in it."""

    open: Callable[[], Store]
    broken: Callable[[], Store]


@contextmanager
def sqlite(directory: Path) -> Iterator[Backend]:
    blocked = directory / "a-file-where-the-directory-should-be"
    blocked.touch()
    yield Backend(
        open=lambda: SqliteStore(directory / "rapport.db"), broken=lambda: SqliteStore(blocked / "rapport.db")
    )


def supabase(directory: Path) -> AbstractContextManager[Backend]:
    """With the secret key, on a real PostgREST."""
    from tests.supabase.project import with_secret_key

    return with_secret_key(directory)


def supabase_as_people(directory: Path) -> AbstractContextManager[Backend]:
    """With a token for each person."""
    from tests.supabase.project import with_tokens

    return with_tokens(directory)


def supabase_beside_an_app(directory: Path) -> AbstractContextManager[Backend]:
    """In a schema of its own."""
    from tests.supabase.project import in_a_schema_of_its_own

    return in_a_schema_of_its_own(directory)


Opened = Callable[[Path], AbstractContextManager[Backend]]
BACKENDS = [
    pytest.param(sqlite, id="sqlite"),
    # the same functions of the database, past its policies
    pytest.param(supabase, id="supabase", marks=pytest.mark.thorough),
    pytest.param(supabase_as_people, id="supabase-tokens"),
    pytest.param(supabase_beside_an_app, id="supabase-beside-an-app", marks=pytest.mark.soak),
]
"""Parameters of type `Opened`; the path is an empty directory."""


def said(
    value: str = "blue",
    key: str = "favorite_color",
    category: Category = Category.PREFERENCE,
    *,
    later: float = 0,
    source: str | None = None,
    conversation: UUID | None = None,
    expires_at: datetime | None = None,
) -> Memory:
    """A memory that was said at noon, or `later` seconds after it."""
    return Memory(category, key, value, NOON + timedelta(seconds=later), source, conversation, expires_at)


def vector_of(memory: Memory, *numbers: int) -> MemoryVector:
    """One that a model made of it."""
    return MemoryVector(memory.category, memory.key, memory.said_at, bytes(number % 256 for number in numbers))


def stated(value: str, number: int = 1, *, source: str, later: float = 0) -> Memory:
    """A statement that nobody named."""
    return said(value, f"user_input_{number}", Category.FACT, source=source, later=later)


def turn(text: str = "hello", *, later: float = 0, name: str | None = None, interrupted: bool = False) -> Turn:
    """A turn at noon, or `later` seconds after it: the person's, or the agent's if it was interrupted."""
    role = "assistant" if interrupted else "user"
    return Turn(name or f"item_{text}", role, text, NOON + timedelta(seconds=later), interrupted)


async def started(
    store: Store,
    user: UUID = ALICE,
    thread: str = "kitchen",
    job: str = "job-1",
    *,
    resume_within: timedelta = HALF_AN_HOUR,
    turns: int = 10,
) -> Session:
    return await store.start_session(
        user, email=None, thread=thread, job=job, room=f"room of {job}", resume_within=resume_within, turns=turns
    )
