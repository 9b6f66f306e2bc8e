"""Where memories meet the user of the running session.

`MemoryManager` is what agents, tools and scripts call. It asks "who?" once per call, in the caller's own context, and
hands the answer down: nothing below it guesses. For every user with an open session (`SessionMemory`) their memories
are in the process, so that recall in the middle of a turn costs no I/O. What another process writes meanwhile, for
another device of the same person, is seen when the next session opens.

What somebody asked for, by a tool or a script, is waited for, and fails with `StoreError`. What a session keeps by
itself, the transcript and what a turn states, waits in an outbox (`memory.sessions.outbox`) for a store that fails.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from identity import SessionUser, current_user
from memory.recall.memories import RecallIndex
from memory.records import (
    MAX_KEY_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    Category,
    Memory,
    Past,
    Profile,
    storable,
)
from memory.sessions.client import Measure, PersonalStore, StoreClient
from memory.sessions.embedders import Embedder
from memory.sessions.embedding_queue import Meaning, MeasureEmbedding
from memory.sessions.live import LiveMemories
from memory.sessions.loops import Loops
from memory.sessions.session import MemoryOff, SessionMemory, checked, let_go_of, log_name, log_stored, told
from memory.sessions.timing import Timing
from memory.stores.protocol import Store

log = logging.getLogger("rapport.memory")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Why something is remembered: `words` is what the person said, as far as it is still kept, when and where."""

    memory: Memory
    words: str
    said_at: datetime
    conversation: UUID | None


class MemoryManager:
    """Memories of whoever the calling code works for. Methods with an `a` are awaitable twins.

    Every method raises `NoSessionUser` or `WrongSessionUser` (see `identity.current_user`), and `StoreError` when the
    store fails or takes longer than `deadline` seconds; a store that failed several times is left alone for a moment,
    and then the error comes at once. Writing in an anonymous session raises `MemoryOff`; reading there finds nothing.

    The synchronous methods are for scripts and REPLs. They work inside a running event loop too, but block it, and
    say so in the log.
    """

    def __init__(  # noqa: PLR0913 - all but two are by name, and seldom given
        self,
        open_store: Callable[[], Store],
        deadline: float,
        measure: Measure | None = None,
        open_embedder: Callable[[], Embedder | None] = lambda: None,
        measure_embedding: MeasureEmbedding | None = None,
        *,
        timing: Timing = Timing(),  # noqa: B008 - it is frozen
    ) -> None:
        """`open_store` and `open_embedder` make one for the running event loop; `deadline` is in seconds."""

        def open_meaning() -> Meaning | None:
            embedder = open_embedder()
            return Meaning(embedder, self._live, deadline, measure_embedding, timing) if embedder else None

        self._deadline = deadline
        self._timing = timing
        self._live = LiveMemories()
        # Jobs of a thread-executor worker share this object from loops of their own.
        self._loops = Loops(lambda: StoreClient(open_store(), deadline, timing, measure), open_meaning)
        self._background = _BackgroundLoop()

    # -- the public surface, in pairs

    def store(self, category: str, key: str, value: str) -> Memory:
        """Keep `value` under (category, key), replacing what was there. Raises `CategoryError` for an unknown
        category and `ValueError` for an empty or oversized key or value."""
        return self._wait(self._store(current_user(), category, key, value))

    async def astore(self, category: str, key: str, value: str) -> Memory:
        return await self._store(current_user(), category, key, value)

    def retrieve(self, category: str, key: str) -> str | None:
        """The value under (category, key), or None."""
        return self._wait(self._retrieve(current_user(), category, key))

    async def aretrieve(self, category: str, key: str) -> str | None:
        return await self._retrieve(current_user(), category, key)

    def retrieve_all(self, category: str | None = None) -> dict[str, str]:
        """All values of a category by key, oldest first; of all categories without one (of equal keys the later)."""
        return self._wait(self._retrieve_all(current_user(), category))

    async def aretrieve_all(self, category: str | None = None) -> dict[str, str]:
        return await self._retrieve_all(current_user(), category)

    def forget(self, category: str, key: str) -> bool:
        """Delete one memory with its past; False if there was none."""
        return self._wait(self._forget(current_user(), category, key))

    async def aforget(self, category: str, key: str) -> bool:
        return await self._forget(current_user(), category, key)

    def recall(self, query: str, limit: int = 8) -> list[Memory]:
        """The memories that match the query best, at most `limit`, best first."""
        return self._wait(self._recall(current_user(), query, limit))

    async def arecall(self, query: str, limit: int = 8) -> list[Memory]:
        return await self._recall(current_user(), query, limit)

    def memories(self) -> list[Memory]:
        """Everything that is remembered, oldest first."""
        return self._wait(self._memories(current_user()))

    async def amemories(self) -> list[Memory]:
        return await self._memories(current_user())

    def past(self) -> list[Past]:
        """Everything that held once and was replaced, in the order in which that happened."""
        return self._wait(self._past(current_user()))

    async def apast(self) -> list[Past]:
        return await self._past(current_user())

    def why(self, category: str, key: str) -> Provenance | None:
        """Why something is remembered; None if it is not."""
        return self._wait(self._why(current_user(), category, key))

    async def awhy(self, category: str, key: str) -> Provenance | None:
        return await self._why(current_user(), category, key)

    def forget_everything(self) -> int:
        """Delete everything that is kept of the person, their profile and conversations too, and return how many
        memories there were."""
        return self._wait(self._forget_everything(current_user()))

    async def aforget_everything(self) -> int:
        return await self._forget_everything(current_user())

    # -- for whoever starts and ends sessions

    async def ensure_profile(self, user: UUID, email: str | None = None) -> Profile:
        """Make sure the user has a profile row, and return it."""
        profile, created = await self._store_of(user).ask(
            "ensure_profile", lambda store: store.ensure_profile(user, email)
        )
        if created:
            log.info("[PROFILE CREATE] Profile created for user: %s", user)
        return profile

    async def complete_first_login(self) -> bool:
        """Take the person's one first greeting: True exactly once per person."""
        user = current_user().uuid
        return await self._store_of(user).ask("complete_first_login", lambda store: store.complete_first_login(user))

    def open_session(self) -> SessionMemory:
        """Begin to keep the user's memories in the process. Pair with its `close`."""
        user = current_user()
        return SessionMemory(user.uuid, self._live, self._loops, self._timing, remembered=user.remembered)

    def brief(self, query: str, already_said: Collection[str] = ()) -> str:
        """As `SessionMemory.brief`, of the user's open session; empty without one."""
        return told(current_user().uuid, query, already_said, self._live, self._meaning())

    def depth(self) -> int:
        """How many writes of the running event loop wait for the store."""
        here = self._loops.here_if_open()
        return here.client.waiting if here else 0

    async def flush(self, seconds: float) -> int:
        """Write what waits in the running event loop: how many writes are left after so many seconds."""
        here = self._loops.here_if_open()
        return await here.client.flush(seconds) if here else 0

    async def aclose(self) -> None:
        """Close the running event loop's store. What still waits is written within the deadline, or lost and logged;
        who has more time calls `flush`, or `end` of the session, before."""
        await self.flush(self._deadline)
        await self._loops.aclose()

    # -- one implementation for both twins; the user is an argument from here on

    async def _store(self, user: SessionUser, category: str, key: str, value: str) -> Memory:
        _refuse_anonymous(user)
        sessions = self._live.sessions(user.uuid)
        memory = Memory(
            Category.parse(category),
            checked("key", key, MAX_KEY_CHARACTERS),
            checked("value", value, MAX_VALUE_CHARACTERS),
            datetime.now(UTC),
            conversation=sessions[-1].conversation if sessions else None,
        )
        store = await self._settled(user.uuid)
        kept = await store.ask("remember", lambda store: store.remember(user.uuid, [memory]))
        for each in kept:
            self._live.put(user.uuid, each)
        log_stored(user.uuid, kept)
        self._live.tell(user.uuid, "remembered", kept)
        return kept[0] if kept else memory

    async def _retrieve(self, user: SessionUser, category: str, key: str) -> str | None:
        found = await self._found(user, category, key)
        return found.value if found else None

    async def _found(self, user: SessionUser, category: str, key: str) -> Memory | None:
        parsed, key = Category.parse(category), storable(key)
        if not user.remembered:
            return None
        store = await self._settled(user.uuid)
        return await store.ask("retrieve", lambda store: store.retrieve(user.uuid, parsed, key))

    async def _retrieve_all(self, user: SessionUser, category: str | None) -> dict[str, str]:
        wanted = list(Category) if category is None else [Category.parse(category)]
        return {memory.key: memory.value for memory in await self._memories(user) if memory.category in wanted}

    async def _memories(self, user: SessionUser) -> list[Memory]:
        if not user.remembered or self._live.has_all(user.uuid):
            return self._live.of(user.uuid)
        store = await self._settled(user.uuid)
        return await store.ask("memories", lambda store: store.memories(user.uuid))

    async def _past(self, user: SessionUser) -> list[Past]:
        if not user.remembered or self._live.is_loaded(user.uuid):
            with self._live.person(user.uuid) as person:
                return person.past()
        store = await self._settled(user.uuid)
        return await store.ask("past", lambda store: store.past(user.uuid))

    async def _recall(self, user: SessionUser, query: str, limit: int) -> list[Memory]:
        if not user.remembered or self._live.is_loaded(user.uuid):
            meaning = self._meaning()
            vector = await meaning.of(user.uuid, query) if meaning else None
            with self._live.person(user.uuid) as person:
                return person.index.search(query, limit, vector=vector)
        index = await asyncio.to_thread(RecallIndex, await self._memories(user))
        return index.search(query, limit)

    async def _why(self, user: SessionUser, category: str, key: str) -> Provenance | None:
        memory = await self._found(user, category, key)
        if memory is None:
            return None
        words, source, conversation = None, memory.source, memory.conversation
        if source and conversation:
            words = await self._store_of(user.uuid).ask(
                "turn_text", lambda store: store.turn_text(user.uuid, conversation, source)
            )
        return Provenance(memory, memory.value if words is None else words, memory.said_at, conversation)

    async def _forget(self, user: SessionUser, category: str, key: str) -> bool:
        _refuse_anonymous(user)
        await self._read_to_the_end(user.uuid)
        found = await self._found(user, category, key)
        gone = found is not None and await self._store_of(user.uuid).ask(
            "forget", lambda store: store.forget(user.uuid, found.category, found.key)
        )
        if found and gone:
            log.info("[MEMORY FORGOTTEN] %s %s for user: %s", found.category, log_name(found), user.uuid)
            self._live.take_out(user.uuid, found)
            self._live.tell(user.uuid, "forgotten", [found])
        return gone

    async def _forget_everything(self, user: SessionUser) -> int:
        _refuse_anonymous(user)
        store = self._store_of(user.uuid)
        async with store.quiet():
            counts = await store.ask("erase", lambda store: store.erase(user.uuid))
            gone = let_go_of(user.uuid, self._live, self._loops)
        count = max(counts["memories"], len(gone))  # some may not have been written yet
        log.info("[MEMORY FORGOTTEN] all %d for user: %s", count, user.uuid)
        self._live.tell(user.uuid, "forgotten", gone)
        return count

    async def _read_to_the_end(self, user: UUID) -> None:
        """Keep what the user said up to now, and wait for what a model still finds in it: it must not bring back what
        they forget next. What it has not found within the deadline is not kept."""
        loop = asyncio.get_running_loop()
        sessions = self._live.sessions(user)
        for session in sessions:
            session.settle()
        readings = {reading for session in sessions for reading in session.reading}
        if here := [reading for reading in readings if reading.get_loop() is loop]:
            await asyncio.wait(here, timeout=self._deadline)
        if not all(reading.done() for reading in readings):
            self._live.disown_readings(user)

    def _store_of(self, user: UUID) -> PersonalStore:
        return self._loops.here().client.of(user)

    async def _settled(self, user: UUID) -> PersonalStore:
        """Once what the user did before is written."""
        store = self._store_of(user)
        await store.settled()
        return store

    def _meaning(self) -> Meaning | None:
        here = self._loops.here_if_open()
        return here.meaning if here else None

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            log.warning("a synchronous memory call blocks the event loop: await its twin with an `a` in front")
        return self._background.run(work)


class _BackgroundLoop:
    """An event loop in a daemon thread, started by the first synchronous call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="rapport-memory", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _refuse_anonymous(user: SessionUser) -> None:
    if not user.remembered:
        raise MemoryOff("this identity is anonymous (ANONYMOUS_IDENTITIES): nothing is stored in its session")
