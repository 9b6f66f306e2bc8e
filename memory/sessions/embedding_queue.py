"""What memories and questions mean, found out beside the conversation: nobody waits for it who did not ask for it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from time import monotonic
from uuid import UUID

from memory.recall.memories import spoken
from memory.recall.vectors import Vector
from memory.sessions.embedders import Embedder, EmbeddingsFailed
from memory.sessions.live import LiveMemories
from memory.sessions.timing import Timing

log = logging.getLogger("rapport.memory")

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
        self, embedder: Embedder, live: LiveMemories, deadline: float, measure: MeasureEmbedding | None, timing: Timing
    ) -> None:
        """`deadline`: how long, in seconds, somebody may wait for a question's vector."""
        self._embedder = embedder
        self._live = live
        self._deadline = deadline
        self._measure = measure
        self._timing = timing
        self._followed = Counter[UUID]()
        self._questions: dict[UUID, tuple[str, asyncio.Task[Vector | None]]] = {}
        """The last one of each user that had to be sent somewhere."""
        self._rests_until = 0.0

    async def follow(self, user: UUID) -> None:
        """Give all that the user told, and tells, a vector, the newest first. Goes on until cancelled."""
        failures = 0
        self._followed[user] += 1
        try:
            while True:
                with self._live.person(user) as person:
                    memories = person.index.without_vector(_BATCH)
                try:
                    if memories:
                        vectors = await self._embed([spoken(memory) for memory in memories], _PATIENCE_SECONDS)
                        with self._live.person(user) as person:
                            person.index.put_vectors(memories, vectors)
                    failures, pause = 0, _PAUSE_SECONDS if memories else self._timing.look
                except (EmbeddingsFailed, ValueError) as error:
                    failures += 1
                    pause = min(2.0**failures, self._timing.longest_backoff)
                    log.error("[EMBEDDINGS FAILED] %s; found by words alone, next try in %g s", error, pause)
                await asyncio.sleep(pause)
        finally:
            self._followed[user] -= 1
            if not self._followed[user]:
                del self._followed[user]
                await self._drop(user)

    def at_hand(self, user: UUID, question: str) -> Vector | None:
        """The question's vector if it is here; never waits. One that has to be sent for is, and is there when the same
        question is looked at once more: after a tool's answer, say."""
        if not question.strip() or user not in self._followed:
            return None
        if (vector := self._embedder.at_once(question)) is not None:
            return vector
        asked, task = self._questions.get(user, ("", None))
        if task is None or asked != question:
            if task:
                task.cancel()
            self._questions[user] = question, asyncio.create_task(self.of(user, question))
            return None
        return task.result() if task.done() and not task.cancelled() else None

    async def of(self, user: UUID, question: str) -> Vector | None:
        """The question's vector, for somebody who may wait for it; None if it cannot be had in time."""
        if not question.strip() or user not in self._followed:
            return None
        if (vector := self._embedder.at_once(question)) is not None:
            return vector
        if monotonic() < self._rests_until:
            return None
        try:
            return (await self._embed([question], self._deadline))[0]
        except EmbeddingsFailed as error:
            log.error("[EMBEDDINGS FAILED] %s; a question is answered by its words alone", error)
            return None

    async def aclose(self) -> None:
        for user in list(self._questions):
            await self._drop(user)
        await self._embedder.aclose()

    async def _embed(self, texts: list[str], seconds: float) -> Vector:
        began = monotonic()
        try:
            async with asyncio.timeout(seconds):
                vectors = await self._embedder.embed(texts)
        except (EmbeddingsFailed, TimeoutError) as error:
            self._rests_until = monotonic() + _REST_SECONDS
            self._answered(began, False)
            raise EmbeddingsFailed(str(error) or f"no answer within {seconds:g} s") from None
        self._rests_until = 0.0
        self._answered(began, True)
        return vectors

    def _answered(self, began: float, succeeded: bool) -> None:
        if self._measure:
            self._measure(monotonic() - began, succeeded)

    async def _drop(self, user: UUID) -> None:
        if user in self._questions:
            _, task = self._questions.pop(user)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
