"""When a curator is asked about what one person said, and how what it makes of that is done. Never on a turn's path.

Our rules have kept every statement at once. A curator is asked about those that none has seen: after a while of
silence, when there are many, at the end of the call if there is time, and when the person comes next, on any worker.
Whatever it does, hangs or answers: what was kept stays kept, and what it did not see is seen in the next call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import tzinfo
from typing import Any

from memory.curation.check import AnswerRefused, TakesTooMuch
from memory.curation.curator import Ask, Budget, Curator
from memory.curation.request import MOST_STATEMENTS, Batch, batch_of, near
from memory.records import Curation, Memory
from memory.sessions.client import PersonalStore
from memory.sessions.live import Action, LiveMemories, OpenSession
from memory.sessions.timing import Timing
from memory.stores.protocol import Store, StoreError, StoreOutdated

log = logging.getLogger("rapport.memory")

ENOUGH = 8
"""So many new statements are curated without waiting for a silence."""


class Curating:
    """One session's. `turn` is told of each turn; `follow` runs beside the call, and `finish` at its end."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a session has at hand
        self,
        session: OpenSession,
        live: LiveMemories,
        store: Callable[[], PersonalStore],
        timing: Timing,
        ask: Ask,
        zone: Callable[[], tzinfo | None],
    ) -> None:
        self._session = session
        self._live = live
        self._store = store
        self._timing = timing
        self._zone = zone
        self._curator = Curator(ask, timing.curation)
        self._budget = Budget()
        self._loop = asyncio.get_running_loop()
        self._asking: asyncio.Task[None] | None = None
        """Goes on when who waits for it is cancelled, until `finish` gives it up."""
        self._changed = asyncio.Event()
        self._waiting = 0
        """How many statements no curator has seen, as far as is known."""
        self._most = MOST_STATEMENTS
        """How many are sent at once: fewer after an answer that was no good."""
        self._spoke_at = self._loop.time()
        self._rests_until = 0.0
        self._works = True
        """False where the database is older than this."""
        self._statements = self._facts = self._ended = 0

    def turn(self) -> None:
        """The person has said something."""
        self._budget.turn()
        self._spoke_at = self._loop.time()
        self._changed.set()

    def report(self) -> dict[str, Any]:
        """What it has cost, and what came of it, without a word of what was said."""
        spent = asdict(self._curator.spent)
        spent["seconds"] = round(spent["seconds"], 1)
        return {**spent, "statements": self._statements, "facts": self._facts, "ended": self._ended}

    async def follow(self) -> None:
        """Have curated what waits, whenever it is time. Goes on until cancelled."""
        await self._session.loaded.wait()
        self._session.observers.append(self._hear)
        try:
            with suppress(StoreError):  # then it is looked for when something new is kept
                left = await self._store().spare(Store.uncurated, MOST_STATEMENTS)
                self._budget.left_over(len({memory.source for memory in left}))
                # some of these were kept since, and are counted already
                self._waiting = max(self._waiting, len(left))
            while self._works:
                await self._until_it_is_time()
                await asyncio.shield(self._ask())
        finally:
            self._session.observers.remove(self._hear)

    async def finish(self, seconds: float) -> None:
        """The call ends: have curated what was said last, if it can be within so many seconds."""
        self._session.settle()
        try:
            async with asyncio.timeout(seconds):
                if self._asking:
                    await self._asking
                if self._works and self._budget.allows and self._rested:
                    await self._store().settled()
                    await self._ask()
        except (TimeoutError, StoreError) as error:
            log.info("[MEMORY CURATION] left for the next call: %s", type(error).__name__)
        finally:
            if self._asking:
                self._asking.cancel()

    # -- when

    def _hear(self, action: Action, memory: Memory) -> None:
        """In the acting task, of whichever loop."""
        if action == "remembered" and memory.source:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._news)

    def _news(self) -> None:
        self._waiting += 1
        self._changed.set()

    async def _until_it_is_time(self) -> None:
        while (wait := self._wait()) is None or wait > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def _wait(self) -> float | None:
        """How long, in seconds, until what waits is worth a request; None until something changes."""
        if not (self._waiting and self._budget.allows):
            return None
        now = self._loop.time()
        silence = 0.0 if self._waiting >= ENOUGH else self._spoke_at + self._timing.curation_silence - now
        return max(silence, self._rests_until - now)

    @property
    def _rested(self) -> bool:
        return self._rests_until <= self._loop.time()

    # -- how

    def _ask(self) -> asyncio.Task[None]:
        self._asking = asyncio.create_task(self._curate_some(), name="memory_curation")
        self._asking.add_done_callback(self._asked)
        return self._asking

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking = None
        if not task.cancelled() and (error := task.exception()):  # its text may quote what was said
            log.error("[MEMORY CURATION] failed: %s", type(error).__name__)

    async def _curate_some(self) -> None:
        """One request, about what waits. Its failure is told, and changes nothing."""
        self._waiting = 0  # what is kept from now on is counted anew
        try:
            new = await self._store().spare(Store.uncurated, self._most)
            if new:
                self._waiting += len(new) == self._most  # perhaps there are more
                await self._curate(new)
        except StoreOutdated as error:
            self._works = False
            log.warning("[MEMORY CURATION] off in this call: %s", error)
        except StoreError as error:
            self._fail(error)

    async def _curate(self, new: Sequence[Memory]) -> None:
        batch = await self._batch(new)
        self._budget.asked()
        try:
            curation = await self._curator.curated(batch, self._zone())
        except AnswerRefused as error:
            log.warning("[MEMORY CURATION] an answer was refused: %s", error)
            if len(new) > 1 and not isinstance(error, TakesTooMuch):  # one of them may be why
                self._most = len(new) // 2
                self._waiting += len(new)
                return
            curation = Curation(new)  # they are seen, and stay as they are
        except Exception as error:  # whatever a model's client may raise; its text may quote what was said
            self._fail(error)
            return
        self._most = MOST_STATEMENTS
        await self._do(curation)

    async def _batch(self, new: Sequence[Memory]) -> Batch:
        """A search for each, between which whoever waits for anything has their turn."""
        nearest: list[Memory] = []
        for memory in new:
            with self._live.person(self._session.user) as person:
                nearest += near(memory, person.index)
            await asyncio.sleep(0)
        with self._live.person(self._session.user) as person:
            return batch_of(new, nearest, person.index)

    async def _do(self, curation: Curation) -> None:
        user, live = self._session.user, self._live
        changes = live.changes(user)
        done = await self._store().spare(Store.curate, curation)
        self._statements += len(done.seen)
        self._facts += len(done.facts)
        self._ended += len(done.ended)
        log.info(
            "[MEMORY CURATION] %d statements: %d facts, %d ended or set aside, for user: %s",
            *(len(done.seen), len(done.facts), len(done.ended), user),
        )
        if live.changes(user) == changes:  # else what was done may be forgotten already: the next look elsewhere tells
            live.curated(user, done)

    def _fail(self, error: Exception) -> None:
        self._waiting += 1
        self._budget.failed()
        self._rests_until = self._loop.time() + self._timing.curation_rest
        log.warning("[MEMORY CURATION] %s: nothing is lost, it is tried again", type(error).__name__)
