"""What a store of memories can do, and the records it hands out.

Every method names its user: no store knows who is speaking. All are idempotent, safe for many processes at once, and
raise only `StoreError`, whose text never holds what was to be stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from memory.categories import Category

MAX_KEY_CHARACTERS = 200
MAX_VALUE_CHARACTERS = 4000


class StoreError(Exception):
    """The store could not do it: unreachable, misconfigured, or too slow. The text is safe to log."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One person's row, as the `profiles` table holds it. `created_at` is in UTC."""

    id: UUID
    email: str | None
    is_first_login: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """One thing a person told us. `said_at` is in UTC; `source` is the turn it came from, if it came from one."""

    category: Category
    key: str
    value: str
    said_at: datetime
    source: str | None = None


class Store(Protocol):
    """Profiles and memories, by user."""

    async def ensure_profile(self, user: UUID, email: str | None) -> tuple[Profile, bool]:
        """The user's profile, made if it was missing; True with it for the one caller that made it. An existing
        row keeps its `is_first_login`."""
        ...

    async def complete_first_login(self, user: UUID) -> bool:
        """Take the person's one first greeting: True for exactly one caller, ever."""
        ...

    async def remember(self, user: UUID, memory: Memory) -> Memory | None:
        """Keep a memory under (category, key), replacing the value that was there; makes the profile if missing.

        With a `source` it is kept once: None, and nothing changes, when that source was already kept, and a key
        that is taken by another source gets the next free number behind it.
        """
        ...

    async def retrieve(self, user: UUID, category: Category, key: str) -> Memory | None:
        """The memory under (category, key)."""
        ...

    async def memories(self, user: UUID) -> list[Memory]:
        """All of the user's memories, oldest first; equal times by category and key."""
        ...

    async def forget(self, user: UUID, category: Category, key: str) -> bool:
        """Delete one memory; False if there was none."""
        ...

    async def forget_everything(self, user: UUID) -> int:
        """Delete all of the user's memories, and return how many there were. The profile stays."""
        ...

    async def aclose(self) -> None:
        """Release connections. Safe to call twice."""
        ...
