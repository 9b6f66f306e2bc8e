"""Which memories matter for what was just said: one person's, in process, without I/O."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, tzinfo

from memory.recall.index import SearchIndex, Unit
from memory.recall.vectors import Vector
from memory.recall.words import MONTHS
from memory.records import STATEMENT_KEY, Category, Memory, MemoryVector

MAX_INDEXED = 50_000
"""Memories of one person that are searched in process: some 130 MB (30 more with vectors), and a search stays
within a hundredth of a second or so. Of more the oldest are left to the store."""

_TOLD_AS_STATED = (Category.PREFERENCE,)
_TOLD_BY_NAME = (Category.FACT, Category.PREFERENCE, Category.RELATIONSHIP)

_Age = tuple[datetime, str]
"""When it was said, and its `_key`."""


class RecallIndex:
    """One person's memories, oldest first and by what they say. One thread at a time.

    Adding and removing cost a fraction of a millisecond; making it of 5,000 costs a tenth of a second and more, and is
    for a thread. A memory that has expired is gone for good at the next look with a later `now` (UTC; by default the
    clock's).
    """

    def __init__(self, memories: Iterable[Memory] = (), limit: int = MAX_INDEXED) -> None:
        self._limit = limit
        self.clear()
        self._put_all(memories)

    def clear(self) -> None:
        self.left_out = 0
        """How many were too old to be kept here: if any, the store knows more."""
        self._memories: dict[str, Memory] = {}
        self._ages: list[_Age] = []
        self._always: list[_Age] = []
        self._expiring: list[tuple[datetime, str]] = []
        self._written: dict[str, tuple[Memory, tzinfo | None, str]] = {}
        self._index = SearchIndex[str]()

    def __len__(self) -> int:
        """How many hold."""
        self._drop_expired(None)
        return len(self._memories)

    def put(self, memory: Memory) -> None:
        """Add a memory, in place of the one under its (category, key). Over the limit the oldest goes, but for
        those that `always` tells."""
        self._put_all([memory])

    def _put_all(self, memories: Iterable[Memory]) -> None:
        new = {_key(memory.category, memory.key): memory for memory in memories}
        for key, memory in new.items():
            self._remove(key)
            self._memories[key] = memory
            _insert(self._ages, (memory.said_at, key))
            if _is_always_told(memory):
                _insert(self._always, (memory.said_at, key))
            if memory.expires_at is not None:
                heapq.heappush(self._expiring, (memory.expires_at, key))
        self._index.put_all((key, _unit(memory)) for key, memory in new.items())
        while len(self._memories) > self._limit:
            self._leave_out_oldest()

    def remove(self, category: Category, key: str) -> bool:
        """Forget one; False if there was none."""
        return self._remove(_key(category, key))

    def _remove(self, key: str) -> bool:
        memory = self._memories.pop(key, None)
        if memory is None:
            return False
        self._written.pop(key, None)
        for ages in (self._ages, self._always) if _is_always_told(memory) else (self._ages,):
            del ages[bisect_left(ages, (memory.said_at, key))]
        return self._index.remove(key)

    def without_vector(self, limit: int) -> list[Memory]:
        """Memories that have no vector yet, the newest first."""
        self._drop_expired(None)
        return [self._memories[key] for key in self._index.without_vector(limit)]

    def put_vectors(self, memories: Iterable[Memory], vectors: Vector) -> list[MemoryVector]:
        """Keep the vectors of what these say (see `spoken`), of those that are still here as they were, and return
        them as `put_kept` takes them back. Raises `ValueError` for vectors of another size than those that are here."""
        kept: list[MemoryVector] = []
        for memory, vector in zip(memories, vectors, strict=True):
            key = _key(memory.category, memory.key)
            if self._memories.get(key) == memory:
                self._index.put_vector(key, vector)
                data = self._index.vector_bytes(key)
                kept.append(MemoryVector(memory.category, memory.key, memory.said_at, data))
        return kept

    def put_kept(self, vectors: Iterable[MemoryVector]) -> None:
        """Take vectors back, of those memories that are here as they were said. Left out is one of another size than
        those that are here."""
        for vector in vectors:
            key = _key(vector.category, vector.key)
            memory = self._memories.get(key)
            if memory and memory.said_at == vector.said_at:
                with suppress(ValueError):
                    self._index.put_vector_bytes(key, vector.data)

    def drop_vectors(self) -> None:
        """None has a vector any more."""
        self._index.drop_vectors()

    def search(
        self,
        query: str,
        limit: int | None = None,
        now: datetime | None = None,
        without: Collection[str] = (),
        vector: Vector | None = None,
    ) -> list[Memory]:
        """The memories that fit the query best, at most `limit`, best first, but none from these turns (sources).
        `vector` is the query's, if there is one."""
        self._drop_expired(now)
        wanted = limit and limit + len(without)  # a second search costs more than a longer list
        while True:
            keys = self._index.search(query, wanted, vector)
            found = [memory for memory in map(self._memories.__getitem__, keys) if memory.source not in without]
            if wanted is None or limit is None or len(found) >= limit or len(keys) < wanted:
                return found[:limit]
            wanted = 2 * wanted + len(without)

    def near(self, memory: Memory, limit: int) -> list[Memory]:
        """What fits this memory's own words and meaning best, itself among it if it is here."""
        self._drop_expired(None)
        keys = self._index.search(memory.value, limit, self._index.vector(_key(memory.category, memory.key)))
        return [self._memories[key] for key in keys]

    def memories(self, now: datetime | None = None) -> list[Memory]:
        """All of them, oldest first."""
        self._drop_expired(now)
        return [self._memories[key] for _, key in self._ages]

    def latest(self, now: datetime | None = None) -> Iterator[Memory]:
        """All of them, newest first, as far as anybody asks."""
        self._drop_expired(now)
        return (self._memories[key] for _, key in reversed(self._ages))

    def always(self, now: datetime | None = None) -> Iterator[Memory]:
        """What is told whatever was asked, newest first: preferences, which search finds badly, and
        what the person is and who is theirs as far as it has a name, for those are wanted in every turn."""
        self._drop_expired(now)
        return (self._memories[key] for _, key in reversed(self._always))

    def written(self, memory: Memory, zone: tzinfo | None, write: Callable[[Memory, tzinfo | None], str]) -> str:
        """What `write` makes of one that is here; kept as long as it is, since most are told in many turns."""
        key = _key(memory.category, memory.key)
        kept = self._written.get(key)
        if kept is None or kept[0] is not memory or kept[1] is not zone:
            kept = self._written[key] = memory, zone, write(memory, zone)
        return kept[2]

    def _drop_expired(self, now: datetime | None) -> None:
        now = now or datetime.now(UTC)
        while self._expiring and self._expiring[0][0] <= now:
            expires_at, key = heapq.heappop(self._expiring)
            memory = self._memories.get(key)
            if memory and memory.expires_at == expires_at:  # else it was replaced or forgotten before
                self._remove(key)

    def _leave_out_oldest(self) -> None:
        oldest = next((age for age in self._ages if not _is_always_told(self._memories[age[1]])), self._ages[0])
        self._remove(oldest[1])
        self.left_out += 1


def _insert(ages: list[_Age], age: _Age) -> None:
    if not ages or ages[-1] < age:  # as when they come from the store, or are said now
        ages.append(age)
    else:
        insort(ages, age)


def _is_always_told(memory: Memory) -> bool:
    return memory.category in (_TOLD_AS_STATED if memory.key.startswith(STATEMENT_KEY) else _TOLD_BY_NAME)


def spoken(memory: Memory) -> str:
    """What it says, for a vector: as it was said, after its name if it has one."""
    named = "" if memory.key.startswith(STATEMENT_KEY) else f"{memory.key.replace('_', ' ')}: "
    return f"{named}{memory.value}"


def _unit(memory: Memory) -> Unit:
    """A statement is searched as it was said; a named memory as if the person had said "my <key> is <value>"."""
    named = "" if memory.key.startswith(STATEMENT_KEY) else f"my {memory.key} "
    said_at = memory.said_at
    return Unit(
        f"{named}{memory.value} {memory.category}",
        session=memory.conversation,
        order=said_at.timestamp(),
        date=f"{said_at.day} {MONTHS[said_at.month - 1]} {said_at.year}",
    )


def _key(category: Category, key: str) -> str:
    """One string for both: it is hashed without a call of Python code, which a `Category` is not."""
    return f"{category} {key}"
