"""What memories and questions mean, found out beside the conversation: a turn waits a moment for its own, if at all."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar
from uuid import UUID

from memory.embedding.embedders import Embedder, EmbeddingsFailed
from memory.recall.memories import spoken
from memory.recall.vectors import Vector
from memory.records import MemoryVector
from memory.sessions.client import StoreClient
from memory.sessions.kept_vectors import KeptVectors, VectorKeeper
from memory.sessions.live import LiveMemories
from memory.sessions.timing import Timing
from memory.stores.protocol import StoreError

log = logging.getLogger("rapport.memory")

T = TypeVar("T")

MeasureEmbedding = Callable[[float, bool], None]
"""Told of each call of an embedder: the seconds it took, and whether it succeeded. Must not raise."""

_BATCH = 32
_PAUSE_SECONDS = 0.005
"""Between two batches, for everything else that the event loop does."""
_PATIENCE_SECONDS = 30.0
"""For a batch, which nobody waits for."""
_REST_SECONDS = 5.0
"""So long after a failure nobody's question is sent: they would wait for what does not come."""


class Meaning:
    """The vectors of everybody who has a session in the event loop that it is made in."""

    def __init__(
        self,
        embedder: Embedder,
        live: LiveMemories,
        client: StoreClient,
        measure: MeasureEmbedding | None,
        timing: Timing,
    ) -> None:
        """Somebody waits for a question's vector as long as for the store that is the `client`'s."""
        self._embedder = embedder
        self._live = live
        self._keeper = VectorKeeper(client, live, embedder.model)
        self._deadline = client.deadline
        self._measure = measure
        self._timing = timing
        self._followed = Counter[UUID]()
        self._questions: dict[UUID, tuple[str, asyncio.Task[Vector | None]]] = {}
        """The last one of each user, and where its vector will be."""
        self._rests_until = 0.0

    async def follow(self, user: UUID, *, keep: bool) -> None:
        """Give all that the user told, and tells, a vector: the one that the store has, or, the newest first, one that
        is made. With `keep` these go to the store. Goes on until cancelled."""
        failures, kept = 0, KeptVectors(self._keeper, user) if keep else None
        self._followed[user] += 1
        try:
            while True:
                try:
                    if kept:
                        await kept.fetch()
                    made = await self._make_some(user)
                    if kept:
                        await kept.put(made)
                    failures, pause = 0, _PAUSE_SECONDS if made else self._timing.look
                except (EmbeddingsFailed, StoreError) as error:
                    failures += 1
                    pause = min(2.0**failures, self._timing.longest_backoff)
                    log.error("[EMBEDDINGS FAILED] %s; found by words alone, next try in %g s", error, pause)
                await asyncio.sleep(pause)
        finally:
            self._followed[user] -= 1
            if not self._followed[user]:
                del self._followed[user]
                await self._drop(user)

    async def _make_some(self, user: UUID) -> list[MemoryVector]:
        """What of the newest had none."""
        with self._live.person(user) as person:
            memories = person.index.without_vector(_BATCH)
        if not memories:
            return []
        told = self._embedder.embed([spoken(memory) for memory in memories])
        vectors = await self._timed(told, _PATIENCE_SECONDS)
        with self._live.person(user) as person:
            try:
                return person.index.put_vectors(memories, vectors)
            except ValueError as error:  # the model is another than the one of this name that made the others
                person.index.drop_vectors()
                raise EmbeddingsFailed(str(error)) from None

    def expect(self, user: UUID, question: str) -> asyncio.Task[Vector | None] | None:
        """Have the question's vector made, unless it is or was already; nobody asks for the one before it any more."""
        if not question.strip() or user not in self._followed:
            return None
        asked, task = self._questions.get(user, ("", None))
        if task is None or asked != question:
            if task:
                task.cancel()
            task = asyncio.create_task(self.of(user, question))
            self._questions[user] = question, task
        return task

    def at_hand(self, user: UUID, question: str) -> Vector | None:
        """The question's vector if it is here; never waits. If not, it is there when the same question is looked at
        once more: after a tool's answer, say."""
        task = self.expect(user, question)
        return task.result() if task and task.done() and not task.cancelled() else None

    async def ready(self, user: UUID, question: str, seconds: float) -> None:
        """Wait so long at most until the question's vector is at hand."""
        if task := self.expect(user, question):
            await asyncio.wait([task], timeout=seconds)

    async def of(self, user: UUID, question: str) -> Vector | None:
        """The question's vector, for somebody who may wait for it; None if it cannot be had in time."""
        if not question.strip() or user not in self._followed or monotonic() < self._rests_until:
            return None
        try:
            return await self._timed(self._embedder.question(question), self._deadline)
        except EmbeddingsFailed as error:
            log.error("[EMBEDDINGS FAILED] %s; a question is answered by its words alone", error)
            return None

    async def aclose(self) -> None:
        for user in list(self._questions):
            await self._drop(user)
        await self._embedder.aclose()

    async def _timed(self, vectors: Awaitable[T], seconds: float) -> T:
        began = monotonic()
        try:
            async with asyncio.timeout(seconds):
                made = await vectors
        except (EmbeddingsFailed, TimeoutError) as error:
            self._rests_until = monotonic() + _REST_SECONDS
            self._answered(began, False)
            raise EmbeddingsFailed(str(error) or f"no answer within {seconds:g} s") from None
        self._rests_until = 0.0
        self._answered(began, True)
        return made

    def _answered(self, began: float, succeeded: bool) -> None:
        if self._measure:
            self._measure(monotonic() - began, succeeded)

    async def _drop(self, user: UUID) -> None:
        if user in self._questions:
            _, task = self._questions.pop(user)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
