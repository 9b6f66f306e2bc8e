"""Where memories meet the user of the running session.

`MemoryManager` is what agents, tools and scripts call. It asks "who?" once per call, in the caller's own context, and
hands the answer down: nothing below it guesses. For every user with an open session it keeps their memories in
process, so that recall in the middle of a turn costs no I/O. What another process writes meanwhile, for another device
of the same person, is seen when the next session opens.

What somebody asked for, by a tool or a script, is waited for, and fails with `StoreError`. What is kept by itself, the
transcript and what a turn states, waits in an outbox (`memory.sessions.outbox`) for a store that fails.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from identity import SessionUser, WrongSessionUser, current_user, printable
from memory.language.statements import Statement
from memory.recall.memories import RecallIndex
from memory.records import (
    MAX_KEY_CHARACTERS,
    MAX_THREAD_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    Category,
    Memory,
    Past,
    Profile,
    Session,
    Turn,
    statement_key,
    storable,
)
from memory.sessions.client import Ask, Measure, StoreClient
from memory.sessions.conversation import Conversation
from memory.sessions.embedders import Embedder, EmbeddingsOff
from memory.sessions.embedding_queue import Meaning, MeasureEmbedding
from memory.sessions.person import Known
from memory.sessions.session import LiveMemories, LiveSession
from memory.stores.protocol import Store

log = logging.getLogger("rapport.memory")

T = TypeVar("T")
# The rest of the call goes on meanwhile; but what is found after it is lost.
_EXTRACTION_SECONDS = 10.0
# Between two lines of a tenth of a millisecond: 5,000 are looked through in half a minute, at 3 % of a core.
_PAUSE_SECONDS = 0.005


class Extract(Protocol):
    """Finds what a turn states by a model; `before` is as in `statements_in`. May take seconds, and may fail."""

    def __call__(self, turn: str, *, before: Statement | None) -> Awaitable[Sequence[Statement]]: ...


class MemoryOff(Exception):
    """This session keeps nothing: its identity is anonymous."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Why something is remembered: `words` is what the person said, as far as it is still kept, when and where."""

    memory: Memory
    words: str
    said_at: datetime
    conversation: UUID | None


@dataclass(frozen=True, slots=True)
class _Stated:
    """What a turn stated, and where: perhaps in a session whose conversation is not known yet."""

    statements: Sequence[Statement]
    source: str
    said_at: datetime
    session: LiveSession | None

    def news_in(self, known: Known) -> list[Memory]:
        conversation = self.session.conversation if self.session else None
        return known.news(self.statements, self.source, self.said_at, conversation)


class MemoryManager:
    """Memories of whoever the calling code works for. Methods with an `a` are awaitable twins.

    Every method raises `NoSessionUser` or `WrongSessionUser` (see `identity.current_user`), and `StoreError` when the
    store fails or takes longer than `deadline` seconds; a store that failed several times is left alone for a moment,
    and then the error comes at once. Writing in an anonymous session raises `MemoryOff`; reading there finds nothing.

    The synchronous methods are for scripts and REPLs. They work inside a running event loop too, but block it, and
    say so in the log.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        deadline: float,
        measure: Measure | None = None,
        open_embedder: Callable[[], Embedder | None] = lambda: None,
        measure_embedding: MeasureEmbedding | None = None,
    ) -> None:
        """`open_store` and `open_embedder` make one for the running event loop; `deadline` is in seconds."""
        self._open_store = open_store
        self._deadline = deadline
        self._measure = measure
        self._open_embedder = open_embedder
        self._measure_embedding = measure_embedding
        self._meanings: WeakKeyDictionary[asyncio.AbstractEventLoop, Meaning] = WeakKeyDictionary()
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, StoreClient] = WeakKeyDictionary()
        self._live = LiveMemories()
        self._deletions = Counter[UUID]()
        """How often something of a user was forgotten: what was found in a turn before must not be kept after it."""
        self._reading: defaultdict[UUID, set[asyncio.Future[None]]] = defaultdict(set)
        """One for each turn of a user that a model is still reading."""
        # Jobs of a thread-executor worker share this object from loops of their own.
        self._lock = threading.Lock()
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

    # -- the session's side

    async def ensure_profile(self, user: UUID, email: str | None = None) -> Profile:
        """Make sure the user has a profile row, and return it."""
        profile, created = await self._client().ask("ensure_profile", lambda store: store.ensure_profile(user, email))
        if created:
            log.info("[PROFILE CREATE] Profile created for user: %s", user)
        return profile

    async def complete_first_login(self) -> bool:
        """Take the person's one first greeting: True exactly once per person."""
        user = current_user().uuid
        return await self._client().ask("complete_first_login", lambda store: store.complete_first_login(user))

    def open_session(self) -> LiveSession:
        """Begin to keep the user's memories in the process, for `brief`. Pair with `close_session`."""
        user = current_user()
        return self._live.open(user.uuid, remembered=user.remembered)

    async def start_session(  # noqa: PLR0913 - as in `Store`
        self,
        session: LiveSession,
        *,
        thread: str,
        job: str,
        room: str,
        resume_within: timedelta,
        turns: int,
        email: str | None = None,
    ) -> Session:
        """Ask the store, once, for all that a session starts with: profile, conversation, memories, last turns.

        Raises `StoreError` if the first try fails or `deadline` is over. That is no reason to end the call: it is
        asked again until it answers, and `session.loaded` is set then. Turns that are appended and captured meanwhile
        wait for it.
        """
        user = self._must_be_theirs(session)
        _refuse_anonymous(user)
        thread = _checked("thread", thread, MAX_THREAD_CHARACTERS)

        def start(store: Store) -> Coroutine[Any, Any, Session]:
            return store.start_session(
                user.uuid, email=email, thread=thread, job=job, room=room, resume_within=resume_within, turns=turns
            )

        session.talk = Conversation(self._client(), self._live, session, start, job)
        return await session.talk.begin()

    async def load(self, session: LiveSession) -> None:
        """Bring the memories of an open session into the process, without a conversation; for scripts."""
        self._must_be_theirs(session)
        try:
            if session.remembered:
                await self._client().settled(session.user)
            known = await self._stored(session.user, self._client().ask) if session.remembered else Known()
            self._live.loaded(session, known)
        except BaseException:
            session.missed = None
            raise

    def append_turn(self, session: LiveSession, turn: Turn) -> None:
        """Write a committed turn into the transcript, or correct it if its id was written before. Never waits; turns
        are written in the order in which they are given."""
        self._must_be_theirs(session)
        if session.talk:
            session.talk.append(turn)

    async def touch(self, session: LiveSession) -> bool:
        """Say that the session is alive. False if it is not any more: the person's next turn then begins another, or,
        where all that was kept of them was erased elsewhere, it is forgotten here too."""
        if session.talk is None or await session.talk.touch():
            return session.talk is not None
        if await self._was_erased(session):
            log.info("[MEMORY FORGOTTEN] all, by somebody else, for user: %s", session.user)
            self._live.tell(session.user, "forgotten", self._let_go_of(session.user))
        return False

    def summarise(self, session: LiveSession, summary: str) -> None:
        """Keep a short summary of the session's conversation, for the one after it. Never waits."""
        if session.talk:
            session.talk.summarise(summary)

    async def end_session(self, session: LiveSession, reason: str, seconds: float) -> int:
        """End the stored session and write what still waits, within so many seconds: how many writes are left. Works
        when nobody is bound any more; `close_session` and `aclose` come after it."""
        if session.talk:
            session.talk.end(reason)
        return await self.flush(seconds)

    def close_session(self, session: LiveSession) -> None:
        """Let go of what is kept in the process for it. Safe to call twice, and anywhere."""
        self._live.close(session)

    async def look_through(self, session: LiveSession) -> None:
        """Once its memories are here, prepare each for `brief`, the newest first, in pauses of the event loop: to look
        a line through for words that would instruct the model is most of what a turn would pay for it."""
        await session.loaded.wait()
        for memory in reversed(self._live.of(session.user)):
            self._live.look_through(session.user, memory)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def follow_meaning(self, session: LiveSession) -> None:
        """Where there is an embedder, give all that the session's user told, and tells, a vector, until cancelled."""
        meaning = self._meaning()
        try:
            if meaning is None and (embedder := self._open_embedder()):
                meaning = Meaning(embedder, self._live, self._deadline, self._measure_embedding)
                with self._lock:
                    self._meanings[asyncio.get_running_loop()] = meaning
        except EmbeddingsOff as error:
            log.error("[EMBEDDINGS OFF] %s; memories are found by their words alone", error)
        if meaning:
            await meaning.follow(session)

    def brief(self, query: str, already_said: Collection[str] = ()) -> str:
        """What the model should know for this turn, as a block of text; never does I/O.

        `already_said` are the turns (sources) that the model sees anyway, word by word.
        """
        user = current_user().uuid
        meaning = self._meaning()
        told = self._live.brief(user, query, already_said, meaning.at_hand(user, query) if meaning else None)
        self._live.tell(user, "recalled", told.matched)
        return told.text

    async def capture(
        self,
        turn: str,
        source: str,
        said_at: datetime,
        *,
        session: LiveSession | None = None,
        extract: Extract | None = None,
    ) -> list[Memory]:
        """Keep what a committed user turn states about its speaker, once per `source`, and return what was news.

        With an open session it is known there at once and written behind; while its memories are not loaded yet, what
        is news is decided later, and nothing is returned. Without one it waits for the store. `session` is where it
        was said, by default the user's latest one; `extract` finds the statements instead of our rules, which are used
        when it fails.
        """
        user = current_user()
        if not user.remembered:
            return []
        deletions = self._deletions[user.uuid]
        statements = await self._statements(user.uuid, storable(turn), extract)
        if not statements or self._deletions[user.uuid] != deletions:
            return []
        client, session = self._client(), session or self._live.latest(user.uuid)
        stated = _Stated(statements, source, said_at, session)
        if session is None:
            await client.settled(user.uuid)
            return await self._write_stated(user.uuid, stated, None, client.ask)
        news = self._take(user.uuid, stated) if self._live.is_loaded(user.uuid) else None
        if news is None or news:
            write = partial(self._write_stated, user.uuid, stated, news, client.write)
            client.outbox.put(user.uuid, "a statement", write)
        return news or []

    def depth(self) -> int:
        """How many writes of the running event loop wait for the store."""
        client = self._clients.get(asyncio.get_running_loop())
        return len(client.outbox) if client else 0

    async def flush(self, seconds: float) -> int:
        """Write what waits in the running event loop: how many writes are left after so many seconds."""
        client = self._clients.get(asyncio.get_running_loop())
        return await client.outbox.flush(seconds) if client else 0

    async def aclose(self) -> None:
        """Close the running event loop's store. What still waits is written within the deadline, or lost and logged;
        who has more time calls `flush` or `end_session` before."""
        await self.flush(self._deadline)
        with self._lock:
            client = self._clients.pop(asyncio.get_running_loop(), None)
            meaning = self._meanings.pop(asyncio.get_running_loop(), None)
        if meaning:
            await meaning.aclose()
        if client:
            await client.aclose()

    # -- one implementation for both twins; the user is an argument from here on

    async def _store(self, user: SessionUser, category: str, key: str, value: str) -> Memory:
        _refuse_anonymous(user)
        memory = Memory(
            Category.parse(category),
            _checked("key", key, MAX_KEY_CHARACTERS),
            _checked("value", value, MAX_VALUE_CHARACTERS),
            datetime.now(UTC),
            conversation=here.conversation if (here := self._live.latest(user.uuid)) else None,
        )
        await self._client().settled(user.uuid)
        kept = await self._client().ask("remember", lambda store: store.remember(user.uuid, [memory]))
        self._take_over(user.uuid, kept)
        return kept[0] if kept else memory

    async def _retrieve(self, user: SessionUser, category: str, key: str) -> str | None:
        parsed, key = Category.parse(category), storable(key)
        if not user.remembered:
            return None
        await self._client().settled(user.uuid)
        found = await self._client().ask("retrieve", lambda store: store.retrieve(user.uuid, parsed, key))
        return found.value if found else None

    async def _retrieve_all(self, user: SessionUser, category: str | None) -> dict[str, str]:
        wanted = list(Category) if category is None else [Category.parse(category)]
        return {memory.key: memory.value for memory in await self._memories(user) if memory.category in wanted}

    async def _memories(self, user: SessionUser) -> list[Memory]:
        if not user.remembered or self._live.has_all(user.uuid):
            return self._live.of(user.uuid)
        await self._client().settled(user.uuid)
        return await self._client().ask("memories", lambda store: store.memories(user.uuid))

    async def _past(self, user: SessionUser) -> list[Past]:
        if not user.remembered or self._live.is_loaded(user.uuid):
            return self._live.past(user.uuid)
        await self._client().settled(user.uuid)
        return await self._client().ask("past", lambda store: store.past(user.uuid))

    async def _recall(self, user: SessionUser, query: str, limit: int) -> list[Memory]:
        if not user.remembered or self._live.is_loaded(user.uuid):
            meaning = self._meaning()
            vector = await meaning.of(user.uuid, query) if meaning else None
            return self._live.search(user.uuid, query, limit, vector)
        index = await asyncio.to_thread(RecallIndex, await self._memories(user))
        return index.search(query, limit)

    async def _why(self, user: SessionUser, category: str, key: str) -> Provenance | None:
        parsed, key = Category.parse(category), storable(key)
        if not user.remembered:
            return None
        await self._client().settled(user.uuid)
        memory = await self._client().ask("retrieve", lambda store: store.retrieve(user.uuid, parsed, key))
        if memory is None:
            return None
        document = await self._client().ask("export", lambda store: store.export(user.uuid)) if memory.source else {}
        turns: list[dict[str, Any]] = document.get("turns", [])
        words = next((str(turn["text"]) for turn in turns if turn["id"] == memory.source), memory.value)
        return Provenance(memory, words, memory.said_at, memory.conversation)

    async def _forget(self, user: SessionUser, category: str, key: str) -> bool:
        _refuse_anonymous(user)
        parsed, key = Category.parse(category), storable(key)
        await self._read_to_the_end(user.uuid)
        await self._client().settled(user.uuid)
        found = await self._client().ask("retrieve", lambda store: store.retrieve(user.uuid, parsed, key))
        gone = found is not None and await self._client().ask(
            "forget", lambda store: store.forget(user.uuid, parsed, key)
        )
        if found and gone:
            log.info("[MEMORY FORGOTTEN] %s %s for user: %s", parsed, printable(key), user.uuid)
            self._live.take_out(user.uuid, found)
            self._live.tell(user.uuid, "forgotten", [found])
        return gone

    async def _forget_everything(self, user: SessionUser) -> int:
        _refuse_anonymous(user)
        async with self._client().quiet():
            counts = await self._client().ask("erase", lambda store: store.erase(user.uuid))
            gone = self._let_go_of(user.uuid)
        count = max(counts["memories"], len(gone))  # some may not have been written yet
        log.info("[MEMORY FORGOTTEN] all %d for user: %s", count, user.uuid)
        self._live.tell(user.uuid, "forgotten", gone)
        return count

    def _let_go_of(self, user: UUID) -> list[Memory]:
        """Nothing of the user is known or written in this process any more: what was known."""
        self._deletions[user] += 1
        gone = self._live.take_out_everything(user)
        with self._lock:
            clients = list(self._clients.values())
        for client in clients:
            client.outbox.drop(user)
        return gone

    async def _was_erased(self, session: LiveSession) -> bool:
        """Was everything of the person deleted by somebody else, such as an operator?"""
        if session.stored is None:
            return False
        kept = await self._client().ask("export", lambda store: store.export(session.user))
        return str(session.stored.conversation) not in {each["id"] for each in kept["conversations"]}

    async def _stored(self, user: UUID, ask: Ask) -> Known:
        """All that the store knows of the user."""
        memories = await ask("memories", lambda store: store.memories(user))
        past = await ask("past", lambda store: store.past(user))
        return await asyncio.to_thread(Known, memories, past)

    # -- what a turn states

    async def _statements(self, user: UUID, turn: str, extract: Extract | None) -> Sequence[Statement]:
        by_rule, before = self._live.statements_in(user, turn)
        if extract is None:
            return by_rule
        with self._being_read(user):
            try:
                async with asyncio.timeout(_EXTRACTION_SECONDS):
                    return await extract(turn, before=before)
            except Exception as error:  # whatever a model's client may raise; its text may quote the turn
                log.warning("[MEMORY EXTRACTION] %s; our rules are used for this turn", type(error).__name__)
                return by_rule

    @contextmanager
    def _being_read(self, user: UUID) -> Generator[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reading[user].add(done)
        try:
            yield
        finally:
            done.set_result(None)
            self._reading[user].discard(done)
            if not self._reading[user]:
                del self._reading[user]

    async def _read_to_the_end(self, user: UUID) -> None:
        """Wait for what a model still finds in the user's turns: it must not bring back what they forget next. What it
        has not found within the deadline is not kept."""
        loop = asyncio.get_running_loop()
        reading = [future for future in self._reading.get(user, ()) if future.get_loop() is loop]
        if reading:
            await asyncio.wait(reading, timeout=self._deadline)
        if user in self._reading:
            self._deletions[user] += 1

    def _take(self, user: UUID, stated: _Stated) -> list[Memory]:
        news = self._live.take(user, stated.news_in)
        _log_categories(news)
        return news

    async def _write_stated(self, user: UUID, stated: _Stated, taken: list[Memory] | None, ask: Ask) -> list[Memory]:
        """Keep what was taken over here already, and return what was kept. None: what is news is decided now."""
        if taken is not None:
            news = taken
        elif self._live.is_loaded(user):
            news = self._take(user, stated)
        else:
            news = stated.news_in(await self._stored(user, ask))
            _log_categories(news)
        if not news:
            return []
        kept = await ask("remember", lambda store: store.remember(user, news))
        if kept != news and (session := self._live.latest(user)):
            # another process had these keys, or this turn, before
            self._live.await_loading(session)
            self._live.loaded(session, await self._stored(user, ask))
        self._take_over(user, kept)
        return kept

    def _take_over(self, user: UUID, kept: Sequence[Memory]) -> None:
        for memory in kept:
            log.info("[MEMORY STORED] %s %s for user: %s", memory.category, _log_name(memory), user)
            self._live.put(user, memory)
        self._live.tell(user, "remembered", kept)

    # -- who asks, and where

    def _must_be_theirs(self, session: LiveSession) -> SessionUser:
        user = current_user()
        if user.uuid != session.user:
            raise WrongSessionUser("the session belongs to another user than the one who is bound here")
        return user

    def _client(self) -> StoreClient:
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._clients:
                self._clients[loop] = StoreClient(self._open_store(), self._deadline, self._measure)
            return self._clients[loop]

    def _meaning(self) -> Meaning | None:
        """Of the running event loop, if anybody is followed in it; a script may have no loop."""
        if not self._meanings:
            return None
        with self._lock:
            return self._meanings.get(asyncio.get_running_loop())

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


def _log_categories(memories: Sequence[Memory]) -> None:
    for memory in memories:
        log.info("[MEMORY CATEGORIZATION] %s -> %s", _log_name(memory), memory.category)


def _log_name(memory: Memory) -> str:
    """Its key; of one that our rules named by the person's own words ("sister_anna") only when it was said."""
    return printable(memory.key if memory.source is None else statement_key(memory.said_at))


def _refuse_anonymous(user: SessionUser) -> None:
    if not user.remembered:
        raise MemoryOff("this identity is anonymous (ANONYMOUS_IDENTITIES): nothing is stored in its session")


def _checked(name: str, text: str, longest: int) -> str:
    clean = storable(text)
    if not clean:
        raise ValueError(f"the {name} is empty")
    if len(clean) > longest:
        raise ValueError(f"the {name} has {len(clean)} characters, at most {longest} are stored")
    return clean
