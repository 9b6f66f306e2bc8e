"""One person's open session: what they said before at hand, what they say now written behind, in order, perhaps late.

What happens in it waits in the person's outbox, behind its start: a store that answers late gets it all. Nothing of
its conversation is written any more once everything of the person was forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, timedelta, tzinfo
from functools import partial
from time import monotonic
from typing import Any
from uuid import UUID

from memory.curation.curator import Ask
from memory.curation.summary import extracted_summary
from memory.language.statements import Statement, heard
from memory.language.utterances import continued
from memory.recall.brief import brief
from memory.recall.redaction import forgetting
from memory.records import (
    MAX_TURN_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    Category,
    Changes,
    Memory,
    Session,
    Turn,
    checked,
    log_name,
    storable,
)
from memory.sessions.client import PersonalStore
from memory.sessions.curating import Curating
from memory.sessions.forgetting import forgotten, redact_texts
from memory.sessions.live import LiveMemories, OpenSession
from memory.sessions.loops import Here, Loops, let_go_of
from memory.sessions.person import Person
from memory.sessions.timing import Timing
from memory.stores.protocol import Store, StoreError, StoreOutdated

log = logging.getLogger("rapport.memory")

_LAST_TURNS = 100


class SessionClosed(LookupError):
    """The session has ended: nothing may be read or written for its user any more."""


class MemoryOff(Exception):
    """This session keeps nothing: its identity is anonymous, or the worker would lose it."""

    def __init__(self) -> None:
        super().__init__(
            "nothing is stored in this session: its identity is anonymous (ANONYMOUS_IDENTITIES), or the worker would "
            "lose it (EPHEMERAL_MEMORY)"
        )


class SessionMemory(OpenSession):
    """The memory of one session, of the user it was opened for, whoever is bound where it is called.

    Pair with `close`: after it every method that writes or reads raises `SessionClosed`.
    """

    def __init__(self, user: UUID, live: LiveMemories, loops: Loops, timing: Timing, *, remembered: bool) -> None:
        super().__init__(user, remembered=remembered)
        self._live = live
        self._loops = loops
        self._timing = timing
        self._here: Here | None = None
        self._start: Callable[[], Coroutine[Any, Any, Session]] | None = None
        """Gets or creates the stored session; asking again is harmless. None for who only reads."""
        self._job = ""
        self._lapsed = False
        """The stored session is no more; the person's next turn begins another."""
        self._heard = deque[str](maxlen=_LAST_TURNS)
        """Ids of turns: one that is told of again is no other."""
        self._heard_in: asyncio.AbstractEventLoop | None = None
        self._sums_up = False
        """Where no transcript is kept there is no summary of it either."""
        self._summary_is_due = False
        self._summed_up_at = -timing.summary
        self._reading_store = asyncio.Lock()
        """What was read first must not be taken over last."""
        self._version = -1
        """Of the person's memories, as far as the store's were taken over."""
        self._agreed: tuple[int, int] | None = None
        """The version, and the count here, after all was compared last."""
        self._closed = False
        live.enter(self)

    # -- its beginning and its end

    async def start(  # noqa: PLR0913 - as in `Store`
        self, *, thread: str, job: str, room: str, resume_within: timedelta, turns: int, email: str | None = None
    ) -> Session:
        """Ask the store, once, for all that a session starts with: profile, conversation, memories, last turns.

        Raises `StoreError` if the first try fails or the deadline is over. That is no reason to end the call: it is
        asked again until it answers, and `loaded` is set then. Turns that are appended and captured meanwhile wait for
        it. Raises `MemoryOff` for an anonymous identity.
        """
        self._must_be_open()
        if not self.remembered:
            raise MemoryOff
        thread = checked("thread", thread)
        store = self._store  # one that cannot be is told now, and to nobody who appends turns
        start = Store.start_session
        self._start = lambda: self._store.write(
            start, email=email, thread=thread, job=job, room=room, resume_within=resume_within, turns=turns
        )
        self._job = job
        answer: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        if not store.outbox.put("a session", partial(self._begin_and_answer, answer)):
            raise StoreError("too much waits for the store already")
        try:
            async with asyncio.timeout(store.deadline):
                return await answer
        except TimeoutError:
            raise StoreError(f"the store did not answer within {store.deadline} s") from None

    async def load(self) -> None:
        """Bring the person's memories into the process, without a conversation; for scripts."""
        self._must_be_open()
        if not self.remembered:
            self._live.loaded(self, Person())
            return
        try:
            await self._store.settled()
            async with self._reading_store:
                await self._read_all(patiently=False)
        except BaseException:
            self.missed = None
            raise

    async def touch(self) -> bool:
        """Say that the session is alive. False if it is not any more: the person's next turn then begins another, or,
        where all that was kept of them was erased elsewhere, it is forgotten here too."""
        self._must_be_open()
        self._sum_up()
        stored = self.stored
        if stored is None:
            return False
        if await self._store.ask(Store.touch_session, stored.id):
            return True
        self._lapsed = True
        if not await self._store.ask(Store.conversation_exists, stored.conversation):
            log.info("[MEMORY FORGOTTEN] all, by somebody else, for user: %s", self.user)
            let_go_of(self.user, self._live, self._loops)
        return False

    async def catch_up(self) -> None:
        """Take over what the person told, corrected or had forgotten elsewhere: on another device, in another process.
        The truth that was said later holds; what waits here to be written stays. Observers hear of it.

        The first time all is compared, later what changed. Raises `StoreError`. Where the database is older than this
        it does nothing, and says so once.
        """
        self._must_be_open()
        if not (self.remembered and self._live.is_loaded(self.user)):
            return
        store, here = self._store, self._loops.here()
        if not here.tells_changes:
            return
        try:
            changes, waiting = self._live.changes(self.user), self._loops.waiting(self.user)
            told = await store.spare(Store.memories_since, self._version)
            if told.version < self._version:  # all was erased, and something told anew
                told = await store.spare(Store.memories_since, -1)
        except StoreOutdated as error:
            here.tells_changes = False
            log.warning("[MEMORY FAILED] what changes elsewhere is seen when the next session opens: %s", error)
            return
        waits = bool(waiting or self._loops.waiting(self.user))
        if not self._live.take_over(self.user, told.memories, changes, waiting=waits):
            return  # what is known here is newer; the next time tells it again
        if waits:
            return  # what gave way to it is told again too
        self._version = told.version
        if self._live.count(self.user) != told.count:
            await self._compare_all(told)

    async def _compare_all(self, told: Changes) -> None:
        """Something is gone, there or here. Once, as long as neither changes."""
        changes = self._live.changes(self.user)
        if self._agreed == (told.version, self._live.count(self.user)) or not self._live.has_all(self.user):
            return
        store = self._store
        stored, past = await store.spare(Store.memories), await store.spare(Store.past)
        known, known_past = self._live.snapshot(self.user)
        gone = forgotten(known, stored, past)
        planned = await asyncio.to_thread(forgetting, gone, known, known_past)
        waiting = bool(self._loops.waiting(self.user))
        taken = self._live.take_over(self.user, stored, changes, waiting=waiting, all_of_them=True, past=past)
        if taken and not waiting:
            self._agreed = told.version, self._live.count(self.user)
            if gone:  # and what was written here meanwhile says it no more
                self._live.forget(self.user, planned)
                store.outbox.put("a forgetting", partial(redact_texts, store.write, planned.redaction))

    async def end(self, reason: str, seconds: float) -> int:
        """End the stored session and write what still waits, within so many seconds: how many writes are left.

        `close`, and `aclose` of the manager, come after it.
        """
        self.settle()
        await asyncio.gather(*self.taking_back, return_exceptions=True)
        self._sum_up(at_once=True)
        if self._start:
            self._write_behind(
                "an end", lambda stored: self._store.write(Store.end_session, stored.id, self._job, reason)
            )
        return await self._store.outbox.flush(seconds) if self._here else 0

    def close(self) -> None:
        """Let go of what is kept in the process for it. Safe to call twice."""
        self._closed = True
        self._live.leave(self)

    # -- its turns

    def append_turn(self, turn: Turn) -> None:
        """Write a committed turn into the transcript, or correct it if its id was written before. Never waits; turns
        are written in the order in which they are given."""
        self._must_be_open()
        if self._start is None or self.forgotten_at:
            return
        if self._lapsed:
            self._lapsed = False
            self._store.outbox.put("a session", self._begin)
        clean = replace(turn, text=storable(turn.text)[:MAX_TURN_CHARACTERS])
        self._sums_up = self._sums_up or turn.role == "user"

        def write(stored: Session) -> Coroutine[Any, Any, int]:
            return self._store.write(Store.append_turns, stored.conversation, [self.late.left_of(clean)])

        self._write_behind("a turn", write)

    def summarise(self, text: str) -> None:
        """Keep a short summary of the conversation, for the one after it, instead of our own. Never waits."""
        self._must_be_open()
        if clean := storable(text)[:MAX_VALUE_CHARACTERS]:
            self._sums_up = False
            self._write_summary(clean)

    def hear(self, turn: Turn) -> None:
        """Take a committed turn of the person, once: with what they are saying already it makes one utterance.

        Nothing of it is kept until `settle`, so that half a sentence never replaces what is known.
        """
        self._must_be_open()
        if turn.id not in self._heard:
            self._heard_in = asyncio.get_running_loop()
            self._heard.append(turn.id)
            self.heard_last = turn.id
            self.late.heard(turn)
            turn = self.late.left_of(turn)
            self.unsettled = continued(self.unsettled, turn) if self.unsettled else turn

    def settle(self) -> None:
        """What they were saying is whole: it is captured. Never waits; does nothing outside its own event loop."""
        if self._closed or self._heard_in is not asyncio.get_running_loop():
            return
        said, self.unsettled = self.unsettled, None
        if said:
            with _loud():
                self._capture(said)

    async def capture(self, turn: Turn) -> list[Memory]:
        """Keep what a whole utterance states about the person, once per turn, and return what was news.

        It is known here at once and written behind; while the memories are not loaded yet, what is news is decided
        later, and nothing is returned.
        """
        self._must_be_open()
        return self._capture(turn)

    def _capture(self, turn: Turn) -> list[Memory]:
        if not self.remembered:
            return []
        text = self.discretion.statement(storable(turn.text))
        statements, self.frame = heard(text, self.before, self.frame, self.language_of(text))
        self.before = statements[-1] if statements else None
        return self._keep(turn, statements)

    def curated_by(self, ask: Ask, zone: Callable[[], tzinfo | None]) -> Curating:
        """Who has what they say put in order by a model, with dates of the `zone`."""
        return Curating(self, self._live, lambda: self._store, self._timing, ask, zone)

    # -- what is at hand

    def brief(self, query: str, already_said: Collection[str] = (), zone: tzinfo | None = UTC) -> str:
        """What the model should know for this turn, as a block of text; never does I/O.

        `already_said` are the turns (sources) that the model sees anyway, word by word. Days are those of the `zone`.
        """
        self._must_be_open()
        return told(self.user, query, already_said, self._live, self._here, zone=zone)

    def fact(self, key: str) -> str:
        """What they told under the key, as far as it is here; empty where nothing is, and after the end."""
        if self._closed:
            return ""
        with self._live.person(self.user) as person:
            known = person.get(Category.FACT, key)
        return known.value if known else ""

    def expect(self, query: str) -> None:
        """What the person said so far: what it means is found out before `brief` is asked. Never waits."""
        if self._here and self._here.meaning:
            self._here.meaning.expect(self.user, query)

    async def understand(self, query: str, seconds: float) -> None:
        """Wait so long at most until it is known what the query means, which `brief` then makes use of."""
        if self._here and self._here.meaning:
            await self._here.meaning.ready(self.user, query, seconds)

    async def follow_meaning(self) -> None:
        """Where there is an embedder, give all that the person told, and tells, a vector, until cancelled."""
        self._must_be_open()
        self._here = self._here or self._loops.here()
        if meaning := self._here.opened_meaning():
            await meaning.follow(self.user, keep=self.remembered)

    # -- how it is written

    @property
    def _store(self) -> PersonalStore:
        """Of the event loop in which it was asked for first. Raises `StoreError` once that is closed."""
        self._here = self._here or self._loops.here()
        return self._here.client.of(self.user)

    def _must_be_open(self) -> None:
        if self._closed:
            raise SessionClosed("this session has ended: nothing may be read or written for its user any more")

    async def _begin_and_answer(self, answer: asyncio.Future[Session]) -> None:
        try:
            stored = await self._begin()
        except BaseException as error:
            if not answer.done():
                answer.set_exception(error if isinstance(error, StoreError) else StoreError(type(error).__name__))
            raise
        if not answer.done():
            answer.set_result(stored)

    async def _begin(self) -> Session:
        assert self._start  # noqa: S101 - it was put by who has set it
        self._live.await_loading(self)
        self._stored = stored = await self._start()
        self._live.loaded(self, await asyncio.to_thread(Person, stored.memories, stored.past))
        if stored.created:
            log.info("[PROFILE CREATE] Profile created for user: %s", self.user)
        log.info("[CONVERSATION] %s for user: %s", "resumed" if stored.resumed else "new", self.user)
        return stored

    def _write_behind(self, what: str, write: Callable[[Session], Coroutine[Any, Any, object]]) -> None:
        """Something of the stored session, if there is one by then."""

        async def write_if_stored() -> None:
            if stored := self.stored:
                await write(stored)

        self._store.outbox.put(what, write_if_stored)

    async def _read_all(self, *, patiently: bool) -> Person:
        self._live.await_loading(self)
        ask = self._store.write if patiently else self._store.ask
        person = await asyncio.to_thread(Person, await ask(Store.memories), await ask(Store.past))
        self._live.loaded(self, person)
        return person

    # -- what a turn states

    def _keep(self, turn: Turn, statements: Sequence[Statement]) -> list[Memory]:
        if not statements or self._closed:
            return []
        self.stated.extend(statement.value for statement in statements)
        self._summary_is_due = True
        self._sum_up()
        news = self._take(turn, statements) if self._live.is_loaded(self.user) else None

        async def write() -> None:
            nonlocal news  # is told once, however often writing it is tried
            if news is None:
                news = await self._late_news(turn, statements)
            if news:
                await self._write_news(news)

        if news is None or news:
            self._store.outbox.put("a statement", write)
        return news or []

    def _take(self, turn: Turn, statements: Sequence[Statement]) -> list[Memory]:
        news = self._live.take(self.user, statements, turn.id, turn.said_at, self.conversation)
        for memory in news:
            log.info("[MEMORY CATEGORIZATION] %s -> %s", log_name(memory), memory.category)
        return news

    async def _late_news(self, turn: Turn, statements: Sequence[Statement]) -> list[Memory]:
        """What is news, where it could not be told when it was said."""
        async with self._reading_store:
            if not self._live.is_loaded(self.user):
                person = await self._read_all(patiently=True)
                if self._closed:
                    return person.news(statements, turn.id, turn.said_at, self.conversation)
        return self._take(turn, statements)

    async def _write_news(self, news: list[Memory]) -> None:
        if not (news := self.late.left_of_memories(news)):
            return
        kept = await self._store.write(Store.remember, news)
        if kept != news:  # another process had these keys, or this turn, before
            await self._read_all(patiently=True)
        log_stored(self.user, kept)
        self._live.tell(self.user, "remembered", kept)

    # -- what it was about

    def _sum_up(self, *, at_once: bool = False) -> None:
        """From what was stated, now and then: nothing tells us beforehand that a call will end."""
        is_time = at_once or monotonic() - self._summed_up_at >= self._timing.summary
        if is_time and self._sums_up and self._summary_is_due:
            self._summary_is_due, self._summed_up_at = False, monotonic()
            self._write_summary(extracted_summary(self.stated))

    def _write_summary(self, summary: str) -> None:
        if self._start and summary:
            self._write_behind(
                "a summary",
                lambda stored: self._store.write(
                    Store.summarise, stored.conversation, self.late.left_of_summary(summary)
                ),
            )


def told(  # noqa: PLR0913 - what its two callers have at hand
    user: UUID,
    query: str,
    already_said: Collection[str],
    live: LiveMemories,
    here: Here | None,
    *,
    zone: tzinfo | None = UTC,
) -> str:
    """The block for a turn of the user; those who observe their memories hear what was recalled."""
    vector = here.meaning.at_hand(user, query) if here and here.meaning else None
    with live.person(user) as person:
        block = brief(person.index, query, past=person.past(), already_said=already_said, vector=vector, zone=zone)
    live.tell(user, "recalled", block.matched)
    return block.text


@contextmanager
def _loud() -> Generator[None]:
    try:
        yield
    except StoreError as error:
        log.error("[MEMORY FAILED] what was said is not stored: %s", error)


def log_stored(user: UUID, memories: Sequence[Memory]) -> None:
    for memory in memories:
        log.info("[MEMORY STORED] %s %s for user: %s", memory.category, log_name(memory), user)
