"""Vectors that the store keeps with one person's memories: fetched in the background, written behind, never needed.

What is not there is made anew; what could not be written is, in the next session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from uuid import UUID

from memory.recall.memories import RecallIndex
from memory.records import MemoryVector
from memory.sessions.client import PersonalStore, StoreClient
from memory.sessions.live import LiveMemories
from memory.stores.protocol import Store, StoreError, StoreOutdated

log = logging.getLogger("rapport.memory")

_AT_ONCE = 200
"""Vectors that are taken over while the event loop waits: some three milliseconds."""
_TRIES = 3


class VectorKeeper:
    """Whether the store keeps vectors at all, which one event loop finds out once."""

    def __init__(self, client: StoreClient, live: LiveMemories, model: str) -> None:
        self.client = client
        self.live = live
        self.model = model
        self.works = True

    def gives_up(self, error: StoreOutdated) -> None:
        if self.works:
            self.works = False
            log.warning("[MEMORY FAILED] vectors are kept in this process alone, and made anew in the next: %s", error)


class KeptVectors:
    """One person's, while somebody follows what they tell."""

    def __init__(self, keeper: VectorKeeper, user: UUID) -> None:
        self._keeper = keeper
        self._user = user
        self._seen: RecallIndex | None = None
        """The index that they were fetched for: what is read once more has none."""
        self._failed = 0
        self._new: list[MemoryVector] = []

    async def fetch(self) -> None:
        """Give the person's memories, once they are here, the vectors that the store has. Raises `StoreError` if it
        is to be tried again before any is made anew."""
        live = self._keeper.live
        with live.person(self._user) as person:
            index = person.index
            if index is self._seen or not (live.is_loaded(self._user) and index.without_vector(1)):
                return
        if self._keeper.works:
            vectors = await self._ask()
            for start in range(0, len(vectors), _AT_ONCE):
                with live.person(self._user):
                    index.put_kept(vectors[start : start + _AT_ONCE])
                await asyncio.sleep(0)
        self._seen = index

    async def _ask(self) -> Sequence[MemoryVector]:
        try:
            return await self._store.spare(Store.vectors, self._keeper.model)
        except StoreOutdated as error:
            self._keeper.gives_up(error)
        except StoreError:
            self._failed += 1
            if self._failed < _TRIES:
                raise
        return []

    @property
    def _store(self) -> PersonalStore:
        return self._keeper.client.of(self._user)

    async def put(self, vectors: Sequence[MemoryVector]) -> None:
        """Write them, once what they belong to is written. Never raises `StoreError`."""
        if not self._keeper.works:
            return
        self._new += vectors
        try:
            if not self._new or len(self._store.outbox):
                return
            writing, self._new = self._new, []
            await self._store.spare(Store.put_vectors, self._keeper.model, writing)
        except StoreOutdated as error:
            self._keeper.gives_up(error)
        except StoreError as error:
            log.warning("[MEMORY FAILED] vectors were not kept, and are made anew in the next session: %s", error)
