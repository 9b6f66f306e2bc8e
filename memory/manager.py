"""Where memories meet the user of the running session.

`MemoryManager` is what agents, tools and scripts call. It asks "who?" in the caller's own context, and hands the answer
down: nothing below it guesses. For every user with an open session (`SessionMemory`) their memories are in the process,
so that recall in the middle of a turn costs no I/O. What another process writes meanwhile, for another device of the
same person, is taken over when the session catches up.

What somebody asked for, by a tool or a script, is waited for, and fails with `StoreError`. What a session keeps by
itself, the transcript and what a turn states, waits in an outbox (`memory.sessions.outbox`) for a store that fails.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from identity import SessionUser, current_user
from memory.embedding.embedders import Embedder
from memory.language.keys import meant, spellings
from memory.recall.history import again, to_bring_back
from memory.recall.memories import RecallIndex
from memory.recall.redaction import forgetting, under
from memory.records import Category, Memory, Past, Profile, checked, log_name, storable
from memory.sessions.client import Measure, PersonalStore, StoreClient
from memory.sessions.embedding_queue import Meaning, MeasureEmbedding
from memory.sessions.forgetting import forget_stored
from memory.sessions.live import LiveMemories
from memory.sessions.loops import Here, Loops, let_go_of
from memory.sessions.session import MemoryOff, SessionMemory, log_stored, told
from memory.sessions.timing import Timing
from memory.stores.protocol import Store, StoreOutdated

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

        def open_meaning(client: StoreClient) -> Meaning | None:
            embedder = open_embedder()
            return Meaning(embedder, self._live, client, measure_embedding, timing) if embedder else None

        self._deadline = deadline
        self._timing = timing
        self._live = LiveMemories()
        # Jobs of a thread-executor worker share this object from loops of their own.
        self._loops = Loops(lambda: Here(StoreClient(open_store(), deadline, timing, measure), open_meaning))
        self._background: asyncio.AbstractEventLoop | None = None
        """Runs the synchronous calls, in a daemon thread that the first one starts."""
        self._starting = threading.Lock()

    # -- the public surface, in pairs

    def store(self, category: str, key: str, value: str) -> Memory:
        """Keep `value` under (category, key), replacing what was there: under this key, or else under another spelling
        of it ("favourite_colour"). Raises `CategoryError` for an unknown category and `ValueError` for an empty or
        oversized key or value."""
        return self._wait(self.astore(category, key, value))

    async def astore(self, category: str, key: str, value: str) -> Memory:
        user = _who_may_write().uuid
        sessions = self._live.sessions(user)
        parsed, key, value = Category.parse(category), checked("key", key), checked("value", value)
        memory = Memory(
            parsed,
            await self._key_there(user, parsed, key),
            value,
            datetime.now(UTC),
            conversation=sessions[-1].conversation if sessions else None,
        )
        kept = await self._store_of(user).ask_in_order(Store.remember, [memory])
        self._live.put(user, *kept)
        log_stored(user, kept)
        self._live.tell(user, "remembered", kept)
        return kept[0] if kept else memory

    def retrieve(self, category: str, key: str) -> str | None:
        """The value under (category, key), or under the key that is there and means the same; or None."""
        return self._wait(self.aretrieve(category, key))

    async def aretrieve(self, category: str, key: str) -> str | None:
        found = await self._found(current_user(), category, key)
        return found.value if found else None

    def retrieve_all(self, category: str | None = None) -> dict[str, str]:
        """All values of a category by key, oldest first; of all categories without one (of equal keys the later)."""
        return self._wait(self.aretrieve_all(category))

    async def aretrieve_all(self, category: str | None = None) -> dict[str, str]:
        wanted = list(Category) if category is None else [Category.parse(category)]
        return {memory.key: memory.value for memory in await self.amemories() if memory.category in wanted}

    def forget(self, category: str, key: str) -> bool:
        """Forget one memory for good, as `retrieve` finds it, with its past and every text that tells it; False if
        there was none."""
        return self._wait(self.aforget(category, key))

    async def aforget(self, category: str, key: str) -> bool:
        user = _who_may_write()
        self._settle(user.uuid)
        found = await self._found(user, category, key)
        return bool(found and await self._forget([(found.category, found.key)]))

    def forget_these(self, memories: Collection[Memory], about: str = "") -> list[Memory]:
        """Forget memories for good: not only they go, with their past, but also whatever else of the turns they came
        from says the same, and the sentences that said it or told it in transcripts, summaries and open sessions, in
        other processes within some 20 seconds. What was said beside it stays: of a statement of several
        sentences, where it is told what it is `about`, those that share no word with that. What changed or went."""
        return self._wait(self.aforget_these(memories, about))

    async def aforget_these(self, memories: Collection[Memory], about: str = "") -> list[Memory]:
        return await self._forget([(memory.category, memory.key) for memory in memories], about)

    def recall(self, query: str, limit: int = 8) -> list[Memory]:
        """The memories that match the query best, at most `limit`, best first."""
        return self._wait(self.arecall(query, limit))

    async def arecall(self, query: str, limit: int = 8) -> list[Memory]:
        user = current_user()
        if not user.remembered or self._live.is_loaded(user.uuid):
            here = self._loops.here_if_open()
            vector = await here.meaning.of(user.uuid, query) if here and here.meaning else None
            with self._live.person(user.uuid) as person:
                return person.index.search(query, limit, vector=vector)
        index = await asyncio.to_thread(RecallIndex, await self.amemories())
        return index.search(query, limit)

    def memories(self) -> list[Memory]:
        """Everything that is remembered, oldest first."""
        return self._wait(self.amemories())

    async def amemories(self) -> list[Memory]:
        user = current_user()
        if not user.remembered or self._live.has_all(user.uuid):
            return self._live.of(user.uuid)
        return await self._store_of(user.uuid).ask_in_order(Store.memories)

    async def ameant(self, keys: Collection[str], category: Category | None = None) -> list[Memory]:
        """What is remembered under these keys, or under what they mean (see `memory.language.keys`), the likeliest
        first; of one category, or of any."""
        return await self._meant(current_user(), keys, category)

    def past(self) -> list[Past]:
        """Everything that held once and was replaced, in the order in which that happened."""
        return self._wait(self.apast())

    async def apast(self) -> list[Past]:
        user = current_user()
        return [one for one in await self._gone(user) if not one.set_aside]

    def still_holds(self, what: str) -> Memory | None:
        """Bring back what had ended or was set aside: by its key, or by words of it. None if nothing like it has. It
        holds from now on, and only what the person says later under its key can replace it."""
        return self._wait(self.astill_holds(what))

    async def astill_holds(self, what: str) -> Memory | None:
        user = _who_may_write()
        found = to_bring_back(await self._gone(user), await self.amemories(), storable(what))
        return await self.astore(found.category, again(found), found.value) if found else None

    def why(self, category: str, key: str) -> Provenance | None:
        """Why something is remembered; None if it is not."""
        return self._wait(self.awhy(category, key))

    async def awhy(self, category: str, key: str) -> Provenance | None:
        user = current_user()
        memory, words = await self._found(user, category, key), ""
        if memory is None:
            return None
        if memory.source and memory.conversation:
            words = await self._store_of(user.uuid).ask(Store.turn_text, memory.conversation, memory.source) or ""
        # what was said over several turns is longer than the first of them
        return Provenance(memory, max(words, memory.value, key=len), memory.said_at, memory.conversation)

    def forget_everything(self) -> int:
        """Delete everything that is kept of the person, their profile and conversations too, and return how many
        memories there were."""
        return self._wait(self.aforget_everything())

    async def aforget_everything(self) -> int:
        user = _who_may_write().uuid
        store = self._store_of(user)
        async with store.quiet():
            counts = await store.ask(Store.erase)
            gone = let_go_of(user, self._live, self._loops)
        count = max(counts["memories"], len(gone))  # some may not have been written yet
        log.info("[MEMORY FORGOTTEN] all %d for user: %s", count, user)
        return count

    # -- for whoever starts and ends sessions

    async def ensure_profile(self, user: UUID, email: str | None = None) -> Profile:
        """Make sure the user has a profile row, and return it."""
        profile, created = await self._store_of(user).ask(Store.ensure_profile, email)
        if created:
            log.info("[PROFILE CREATE] Profile created for user: %s", user)
        return profile

    async def complete_first_login(self) -> bool:
        """Take the person's one first greeting: True exactly once per person."""
        return await self._store_of(current_user().uuid).ask(Store.complete_first_login)

    def open_session(self) -> SessionMemory:
        """Begin to keep the user's memories in the process. Pair with its `close`."""
        user = current_user()
        return SessionMemory(user.uuid, self._live, self._loops, self._timing, remembered=user.remembered)

    def brief(self, query: str, already_said: Collection[str] = ()) -> str:
        """As `SessionMemory.brief`, of the user's open session; empty without one."""
        return told(current_user().uuid, query, already_said, self._live, self._loops.here_if_open())

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

    # -- what they share; the user is an argument from here on

    async def _gone(self, user: SessionUser) -> list[Past]:
        if not user.remembered or self._live.is_loaded(user.uuid):
            with self._live.person(user.uuid) as person:
                return person.past()
        return await self._store_of(user.uuid).ask_in_order(Store.past)

    def _settle(self, user: UUID) -> None:
        """What they have said up to now must not bring back what they forget next."""
        for session in self._live.sessions(user):
            session.settle()

    async def _forget(self, names: Collection[tuple[Category, str]], about: str = "") -> list[Memory]:
        user = _who_may_write().uuid
        sessions = self._live.sessions(user)
        # who says what it is about has just been asked; nobody else's last turn was an order
        orders = {session.heard_last for session in sessions if session.heard_last and about}
        orders |= {session.unsettled.id for session in sessions if session.unsettled and about}
        self._settle(user)
        store = self._store_of(user)
        await store.settled()
        async with store.quiet():
            # what another device told in the last seconds too, which may not be known here yet
            known, past = await self._all_that_holds(store), await store.ask(Store.past)
            if not (chosen := under(names, known, past)):
                return []
            planned = await asyncio.to_thread(forgetting, chosen, known, past, orders, about)
            with self._live.forgetting(user, planned.redaction):
                await forget_stored(store.ask, planned)
            self._live.forget(user, planned)
        for memory in planned.gone:
            log.info("[MEMORY FORGOTTEN] %s %s for user: %s", memory.category, log_name(memory), user)
        return [*planned.gone, *(one.memory for one in planned.rewordings if one.words)]

    async def _found(self, user: SessionUser, category: str, key: str) -> Memory | None:
        parsed, key = Category.parse(category), storable(key)
        if not user.remembered:
            return None
        exact = await self._store_of(user.uuid).ask_in_order(Store.retrieve, parsed, key)
        return exact or next(iter(await self._meant(user, [key], parsed)), None)

    async def _meant(self, user: SessionUser, keys: Collection[str], category: Category | None) -> list[Memory]:
        here = not user.remembered or self._live.sessions(user.uuid)
        known = self._live.of(user.uuid) if here else await self._store_of(user.uuid).ask_in_order(Store.memories)
        known = [memory for memory in known if category in (None, memory.category)]
        found = [name for key in keys for name in meant(key, [memory.key for memory in known])]
        return sorted((memory for memory in known if memory.key in found), key=lambda memory: found.index(memory.key))

    async def _all_that_holds(self, store: PersonalStore) -> list[Memory]:
        """In the store; where a session still waits for the same answer, by another question."""
        with suppress(StoreOutdated):
            if not self._live.is_loaded(store.user):
                return (await store.ask(Store.memories_since, -1)).memories
        return await store.ask(Store.memories)

    async def _key_there(self, user: UUID, category: Category, key: str) -> str:
        """The key itself, or the spelling of it under which something is kept. To write one thing, nobody waits for all
        to be read."""
        if self._live.sessions(user):
            known = [memory.key for memory in self._live.of(user) if memory.category is category]
            return next(iter(meant(key, known, loosely=False)), key)
        store = self._store_of(user)
        for spelling in (key, *spellings(key)):
            if await store.ask_in_order(Store.retrieve, category, spelling):
                return spelling
        return key

    def _store_of(self, user: UUID) -> PersonalStore:
        return self._loops.here().client.of(user)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        """In the caller's context: who is bound there, is bound in the work."""
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            log.warning("a synchronous memory call blocks the event loop: await its twin with an `a` in front")
        with self._starting:
            if self._background is None:
                self._background = asyncio.new_event_loop()
                threading.Thread(target=self._background.run_forever, name="rapport-memory", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._background).result()


def _who_may_write() -> SessionUser:
    user = current_user()
    if not user.remembered:
        raise MemoryOff
    return user
