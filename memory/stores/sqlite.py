"""The embedded store: one SQLite file, safe for many job processes at once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar
from uuid import UUID

from memory.records import (
    Category,
    Changes,
    Curation,
    Memory,
    MemoryVector,
    Mention,
    Past,
    Profile,
    Rewording,
    Session,
    SessionRecord,
    Turn,
)
from memory.stores import sqlite_queries as queries
from memory.stores import sqlite_redaction as redaction
from memory.stores.export import parse, timestamp
from memory.stores.protocol import StoreError, StoreRefused
from memory.stores.sqlite_schema import BUSY_SECONDS, open_file, scrub

T = TypeVar("T")
Row = tuple[Any, ...]

# How long closing waits for what a connection is doing.
_CLOSE_SECONDS = 1.0


class SqliteStore:
    """`Store` on a SQLite file, never used on the event loop. Reads have a connection of their own, and never wait for
    a write, nor for one that was given up."""

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        """Nothing is opened before the first use, so that a worker with an unusable path still answers calls."""
        self._reader = _Connection(path, "begin", busy_seconds)
        """All that one call reads is of one moment."""
        self._writer = _Connection(path, "begin immediate", busy_seconds)
        """Takes the write lock first: two processes then wait for each other instead of failing in the middle, when a
        read would have to become a write."""

    async def ensure_profile(self, user: UUID, email: str | None) -> tuple[Profile, bool]:
        return await self._writer(lambda db: queries.ensure_profile(db, user, email))

    async def complete_first_login(self, user: UUID) -> bool:
        statement = "update profiles set is_first_login = 0 where id = ? and is_first_login = 1"
        return await self._writer(lambda db: db.execute(statement, (str(user),)).rowcount == 1)

    # -- what they told us

    async def remember(self, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
        return await self._writer(lambda db: queries.remember(db, user, memories))

    async def retrieve(self, user: UUID, category: Category, key: str) -> Memory | None:
        found = await self._reader(lambda db: queries.held(db, user, "category = ? and key = ?", category, key))
        return found[0] if found else None

    async def memories(self, user: UUID) -> list[Memory]:
        return await self._reader(lambda db: queries.held(db, user))

    async def past(self, user: UUID) -> list[Past]:
        return await self._reader(lambda db: queries.past(db, user))

    async def forget(self, user: UUID, category: Category, key: str) -> bool:
        return await self._writer(lambda db: queries.forget(db, user, category, key), then=scrub)

    async def memories_since(self, user: UUID, version: int) -> Changes:
        return await self._reader(lambda db: queries.changes(db, user, version))

    async def uncurated(self, user: UUID, limit: int) -> list[Memory]:
        return await self._reader(lambda db: queries.uncurated(db, user, limit))

    async def curate(self, user: UUID, curation: Curation) -> Curation:
        return await self._writer(lambda db: queries.curate(db, user, curation))

    async def vectors(self, user: UUID, model: str) -> list[MemoryVector]:
        return await self._reader(lambda db: queries.vectors(db, user, model))

    async def put_vectors(self, user: UUID, model: str, vectors: Sequence[MemoryVector]) -> int:
        return await self._writer(lambda db: sum(queries.put_vector(db, user, model, vector) for vector in vectors))

    # -- conversations

    async def start_session(  # noqa: PLR0913 - as in `Store`
        self, user: UUID, *, email: str | None, thread: str, job: str, room: str, resume_within: timedelta, turns: int
    ) -> Session:
        def run(db: sqlite3.Connection) -> Session:
            profile, created = queries.ensure_profile(db, user, email)
            found = queries.conversation_of(db, user, thread, job) or queries.last_conversation(
                db, user, thread, resume_within
            )
            conversation = found or queries.new_conversation(db, user, thread)
            session, asks_again = queries.join_session(db, user, conversation, job, room)
            resumed = found is not None and not asks_again
            return Session(
                session,
                conversation,
                resumed=resumed,
                profile=profile,
                created=created,
                memories=queries.held(db, user),
                past=queries.past(db, user),
                turns=queries.last_turns(db, user, conversation, turns),
                summary=None if resumed else queries.last_summary(db, user, besides=conversation),
            )

        return await self._writer(run)

    async def append_turns(self, user: UUID, conversation: UUID, turns: Sequence[Turn]) -> int:
        def run(db: sqlite3.Connection) -> int:
            if not queries.note_activity(db, user, conversation):
                return 0
            return sum(queries.append(db, user, conversation, turn) for turn in turns)

        return await self._writer(run)

    async def touch_session(self, user: UUID, session: UUID) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            row = db.execute(
                "update sessions set seen_at = ? where user_id = ? and id = ? and ended_at is null"
                " returning conversation_id",
                (queries.this_moment(), str(user), str(session)),
            ).fetchone()
            return row is not None and queries.note_activity(db, user, UUID(row[0]))

        return await self._writer(run)

    async def end_session(self, user: UUID, session: UUID, job: str, reason: str) -> bool:
        return await self._writer(lambda db: queries.leave_session(db, user, session, job, reason))

    async def summarise(self, user: UUID, conversation: UUID, summary: str) -> bool:
        statement = "update conversations set summary = ? where user_id = ? and id = ?"
        parameters = (summary, str(user), str(conversation))
        return await self._writer(lambda db: db.execute(statement, parameters).rowcount == 1)

    async def conversation_exists(self, user: UUID, conversation: UUID) -> bool:
        return await self._reader(lambda db: queries.owns(db, user, conversation))

    async def turn_text(self, user: UUID, conversation: UUID, turn: str) -> str | None:
        statement = "select text from messages where user_id = ? and conversation_id = ? and id = ?"
        this = (str(user), str(conversation), turn)
        row = await self._reader(lambda db: db.execute(statement, this).fetchone())
        return row[0] if row else None

    # -- what is forgotten

    async def mentions(self, user: UUID, words: Sequence[str], skip: int, limit: int) -> list[Mention]:
        return await self._reader(lambda db: redaction.mentions(db, user, words, skip, limit))

    async def redact(
        self,
        user: UUID,
        texts: Sequence[tuple[Mention, str]],
        memories: Sequence[Rewording],
        gone: Sequence[tuple[Category, str]],
    ) -> int:
        return await self._writer(lambda db: redaction.redact(db, user, texts, memories, gone), then=scrub)

    # -- the person's rights

    async def export(self, user: UUID) -> dict[str, Any]:
        return await self._reader(lambda db: queries.export(db, user))

    async def import_(self, user: UUID, document: dict[str, Any]) -> None:
        parsed = parse(user, document)
        await self._writer(lambda db: queries.put_back(db, user, parsed))

    async def erase(self, user: UUID) -> dict[str, int]:
        return await self._writer(lambda db: queries.erase(db, user), then=scrub)

    # -- the deployment

    async def sessions(self, *, living: bool, limit: int) -> list[SessionRecord]:
        where = "ended_at is null" if living else "true"
        return await self._reader(lambda db: queries.session_records(db, where, limit=limit))

    async def end_abandoned(self, unseen_since: datetime, reason: str) -> list[SessionRecord]:
        def run(db: sqlite3.Connection) -> list[SessionRecord]:
            now, unseen = datetime.now(UTC), timestamp(unseen_since)
            abandoned = queries.session_records(db, "ended_at is null and seen_at < ?", unseen)
            statement = "update sessions set ended_at = ?, end_reason = ? where ended_at is null and seen_at < ?"
            db.execute(statement, (timestamp(now), reason, unseen))
            return [replace(record, ended_at=now, end_reason=reason) for record in abandoned]

        return await self._writer(run)

    async def take_lease(self, name: str, holder: str, seconds: float) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            now = datetime.now(UTC)
            until = timestamp(now + timedelta(seconds=seconds))
            statement = (
                "insert into leases (name, holder, until) values (?, ?, ?) on conflict (name) do update"
                " set holder = excluded.holder, until = excluded.until"
                " where leases.holder = excluded.holder or leases.until <= ?"
            )
            return db.execute(statement, (name, holder, until, timestamp(now))).rowcount == 1

        return await self._writer(run)

    async def purge(self, turns_before: datetime) -> dict[str, int]:
        def run(db: sqlite3.Connection) -> dict[str, int]:
            before, now = timestamp(turns_before), queries.this_moment()
            redaction.drop_summaries(db, before)
            return {
                "messages": db.execute("delete from messages where said_at < ?", (before,)).rowcount,
                "memories": db.execute("delete from memories where expires_at <= ?", (now,)).rowcount,
                "memory_history": db.execute("delete from memory_history where expires_at <= ?", (now,)).rowcount,
            }

        return await self._writer(run, then=scrub)

    async def aclose(self) -> None:
        await asyncio.gather(self._reader.aclose(), self._writer.aclose())


class _Connection:
    """One connection to the file, in a thread of its own: a disk that hangs holds up nothing else that the process
    does in threads, such as looking up a name."""

    def __init__(self, path: Path, begin: str, busy_seconds: float) -> None:
        self._path = path
        self._begin = begin
        self._busy_seconds = busy_seconds
        self._thread: _Thread | None = None
        self._db: sqlite3.Connection | None = None
        self._left: Callable[[sqlite3.Connection], bool] | None = None
        """What could not be done yet."""

    async def __call__(
        self, run: Callable[[sqlite3.Connection], T], then: Callable[[sqlite3.Connection], bool] | None = None
    ) -> T:
        """What `run` returns, in one transaction; `then` runs after it is committed, and after later ones as well until
        it was done.

        What the caller gives up while it waits for its turn is not done, nor what has not begun by then: it must not
        happen behind a later call's back.
        """
        given_up = threading.Event()
        self._thread = self._thread or _Thread()
        try:
            return await asyncio.wrap_future(self._thread.submit(lambda: self._transaction(run, then, given_up)))
        except asyncio.CancelledError:
            given_up.set()
            raise

    async def aclose(self) -> None:
        """Waits for what is being done, for so long; a thread whose disk hangs is left behind."""
        thread, self._thread = self._thread, None
        if thread:
            closing = asyncio.wrap_future(thread.submit(self._close))
            thread.stop()
            await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)

    def _close(self) -> None:
        db, self._db = self._db, None
        if db:
            db.close()

    def _transaction(
        self,
        run: Callable[[sqlite3.Connection], T],
        then: Callable[[sqlite3.Connection], bool] | None,
        given_up: threading.Event,
    ) -> T:
        # none of these errors quotes a value: sqlite3 names tables and columns, UnicodeError one character
        try:
            db = self._db = self._db or open_file(self._path, self._busy_seconds)
            db.execute(self._begin)
            try:
                if given_up.is_set():
                    raise StoreError("the caller has given up")
                result = run(db)
                db.execute("commit")
            except BaseException:
                db.execute("rollback")
                raise
            self._left = then or self._left
            if self._left and self._left(db):
                self._left = None
            return result
        except (sqlite3.IntegrityError, sqlite3.DataError, UnicodeError) as error:
            raise StoreRefused(f"the embedded store at {self._path} refused it: {error}") from error
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"the embedded store at {self._path} failed: {error}") from error


class _Thread:
    """Does one call after another. A process that ends does not wait for it, as it would for the threads of a
    `ThreadPoolExecutor`: what waits for a disk that hangs never ends."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=_do_each, args=(self._calls,), name="rapport-store", daemon=True).start()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """A call whose future is cancelled before its turn is not done."""
        future: Future[T] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:
                    future.set_exception(error)

        self._calls.put(run)
        return future

    def stop(self) -> None:
        """When it has done what it was given."""
        self._calls.put(None)

    def __del__(self) -> None:
        self.stop()


def _do_each(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while call := calls.get():
        call()
        del call  # or the store that it belongs to would live on while the thread waits
