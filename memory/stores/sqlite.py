"""The embedded store: one SQLite file, safe for many job processes at once."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel

from memory.records import (
    STATEMENT_KEY,
    Category,
    Memory,
    Past,
    Profile,
    Session,
    SessionRecord,
    Turn,
    next_statement_key,
)
from memory.stores.export import Document, parse, timestamp
from memory.stores.protocol import StoreError, StoreRefused

T = TypeVar("T")
Row = tuple[Any, ...]

# How long one process waits for another's write. Writes take milliseconds; callers have shorter deadlines of their own.
_BUSY_SECONDS = 5.0
_SCHEMA_VERSION = 2

# Every key begins with the user: no row can hang under another person's, whatever the code above asks for. Times are
# text in UTC with microseconds, whose order is time order.
_PROFILES = """
create table profiles (
    id text primary key,
    email text,
    is_first_login integer not null default 1,
    created_at text not null
) strict, without rowid
"""
_CONVERSATIONS = (
    """
create table conversations (
    user_id text not null references profiles (id) on delete cascade,
    id text not null unique,
    thread text not null,
    summary text,
    created_at text not null,
    active_at text not null,
    primary key (user_id, id)
) strict, without rowid
""",
    "create index conversations_latest on conversations (user_id, thread, active_at)",
    """
create table sessions (
    user_id text not null,
    id text not null unique,
    conversation_id text not null,
    room text not null,
    jobs text not null,
    started_at text not null,
    seen_at text not null,
    ended_at text,
    end_reason text,
    primary key (user_id, id),
    foreign key (user_id, conversation_id) references conversations (user_id, id) on delete cascade
) strict, without rowid
""",
    "create unique index sessions_one_living on sessions (user_id, conversation_id) where ended_at is null",
    "create index sessions_latest on sessions (started_at)",
    """
create table messages (
    seq integer primary key,
    user_id text not null,
    conversation_id text not null,
    id text not null,
    role text not null check (role in ('user', 'assistant')),
    text text not null,
    said_at text not null,
    interrupted integer not null,
    unique (user_id, conversation_id, id),
    foreign key (user_id, conversation_id) references conversations (user_id, id) on delete cascade
) strict
""",
    "create index messages_in_order on messages (user_id, conversation_id, said_at)",
    "create index messages_by_age on messages (said_at)",
    "create table leases (name text primary key, holder text not null, until text not null) strict, without rowid",
)
_MEMORIES = (
    """
create table memories (
    user_id text not null references profiles (id) on delete cascade,
    category text not null,
    key text not null,
    value text not null,
    said_at text not null,
    source text,
    conversation_id text,
    expires_at text,
    primary key (user_id, category, key),
    foreign key (user_id, conversation_id) references conversations (user_id, id)
) strict, without rowid
""",
    "create index memories_source on memories (user_id, category, source) where source is not null",
    "create index memories_expiring on memories (expires_at) where expires_at is not null",
    """
create table memory_history (
    seq integer primary key,
    user_id text not null references profiles (id) on delete cascade,
    category text not null,
    key text not null,
    value text not null,
    said_at text not null,
    source text,
    conversation_id text,
    expires_at text,
    until text not null,
    unique (user_id, category, key, said_at, until, value),
    foreign key (user_id, conversation_id) references conversations (user_id, id)
) strict
""",
    "create index memory_history_source on memory_history (user_id, category, source) where source is not null",
    "create index memory_history_expiring on memory_history (expires_at) where expires_at is not null",
)
# From each older version to this one. A table gets a new foreign key only by being made anew.
_UPGRADES: tuple[tuple[str, ...], ...] = (
    (_PROFILES, *_CONVERSATIONS, *_MEMORIES),
    (
        "alter table memories rename to memories_1",
        "drop index memories_source",
        *_CONVERSATIONS,
        *_MEMORIES,
        "insert into memories (user_id, category, key, value, said_at, source)"
        " select user_id, category, key, value, said_at, source from memories_1",
        "drop table memories_1",
    ),
)


class SqliteStore:
    """`Store` on a SQLite file. One connection, used by one thread at a time, never on the event loop."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before the first use, so that a worker with an unusable path still answers calls."""
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    async def ensure_profile(self, user: UUID, email: str | None) -> tuple[Profile, bool]:
        return await self._write(lambda db: _ensure_profile(db, user, email))

    async def complete_first_login(self, user: UUID) -> bool:
        statement = "update profiles set is_first_login = 0 where id = ? and is_first_login = 1"
        return await self._write(lambda db: db.execute(statement, (str(user),)).rowcount == 1)

    # -- what they told us

    async def remember(self, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
        return await self._write(lambda db: _remember(db, user, memories))

    async def retrieve(self, user: UUID, category: Category, key: str) -> Memory | None:
        found = await self._read(lambda db: _held(db, user, "category = ? and key = ?", category, key))
        return found[0] if found else None

    async def memories(self, user: UUID) -> list[Memory]:
        return await self._read(lambda db: _held(db, user))

    async def past(self, user: UUID) -> list[Past]:
        return await self._read(lambda db: _past(db, user))

    async def forget(self, user: UUID, category: Category, key: str) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            this = (str(user), category, key)
            rows = db.execute("delete from memories where user_id = ? and category = ? and key = ?", this).rowcount
            db.execute("delete from memory_history where user_id = ? and category = ? and key = ?", this)
            return rows == 1

        return await self._write(run, then=_scrub)

    # -- conversations

    async def start_session(  # noqa: PLR0913 - as in `Store`
        self, user: UUID, *, email: str | None, thread: str, job: str, room: str, resume_within: timedelta, turns: int
    ) -> Session:
        def run(db: sqlite3.Connection) -> Session:
            profile, created = _ensure_profile(db, user, email)
            found = _last_conversation(db, user, thread, resume_within)
            conversation = found or _new_conversation(db, user, thread)
            session, asks_again = _join_session(db, user, conversation, job, room)
            return Session(
                session,
                conversation,
                resumed=found is not None and not asks_again,
                profile=profile,
                created=created,
                memories=_held(db, user),
                past=_past(db, user),
                turns=_last_turns(db, user, conversation, turns),
                summary=None if found else _last_summary(db, user),
            )

        return await self._write(run)

    async def append_turns(self, user: UUID, conversation: UUID, turns: Sequence[Turn]) -> int:
        def run(db: sqlite3.Connection) -> int:
            if not _note_activity(db, user, conversation):
                return 0
            return sum(_append(db, user, conversation, turn) for turn in turns)

        return await self._write(run)

    async def touch_session(self, user: UUID, session: UUID) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            living = _living(db, user, session)
            if living is None:
                return False
            db.execute(
                "update sessions set seen_at = ? where user_id = ? and id = ?", (_now(), str(user), str(session))
            )
            return _note_activity(db, user, living[0])

        return await self._write(run)

    async def end_session(self, user: UUID, session: UUID, job: str, reason: str) -> bool:
        def run(db: sqlite3.Connection) -> bool:
            living = _living(db, user, session)
            if living is None or job not in living[1]:
                return False
            conversation, jobs = living
            jobs.remove(job)
            now, this = _now(), (str(user), str(session))
            db.execute(
                "update sessions set jobs = ?, seen_at = ? where user_id = ? and id = ?", (json.dumps(jobs), now, *this)
            )
            _note_activity(db, user, conversation)
            if not jobs:
                ended = "update sessions set ended_at = ?, end_reason = ? where user_id = ? and id = ?"
                db.execute(ended, (now, reason, *this))
            return not jobs

        return await self._write(run)

    async def summarise(self, user: UUID, conversation: UUID, summary: str) -> bool:
        statement = "update conversations set summary = ? where user_id = ? and id = ?"
        parameters = (summary, str(user), str(conversation))
        return await self._write(lambda db: db.execute(statement, parameters).rowcount == 1)

    # -- the person's rights

    async def conversation_exists(self, user: UUID, conversation: UUID) -> bool:
        return await self._read(lambda db: _owns(db, user, conversation))

    async def turn_text(self, user: UUID, conversation: UUID, id: str) -> str | None:
        query = "select text from messages where user_id = ? and conversation_id = ? and id = ?"
        this = (str(user), str(conversation), id)
        return await self._read(lambda db: next((str(text) for (text,) in db.execute(query, this)), None))

    async def export(self, user: UUID) -> dict[str, Any]:
        return await self._read(lambda db: _export(db, user))

    async def import_(self, user: UUID, document: dict[str, Any]) -> None:
        parsed = parse(user, document)
        await self._write(lambda db: _import(db, user, parsed))

    async def erase(self, user: UUID) -> dict[str, int]:
        def run(db: sqlite3.Connection) -> dict[str, int]:
            return {table: db.execute(statement, (str(user),)).rowcount for table, statement in _ERASE.items()}

        return await self._write(run, then=_scrub)

    # -- the deployment

    async def sessions(self, *, living: bool, limit: int) -> list[SessionRecord]:
        where = "ended_at is null" if living else "true"
        return await self._read(lambda db: _session_records(db, where, limit=limit))

    async def end_abandoned(self, unseen_since: datetime, reason: str) -> list[SessionRecord]:
        def run(db: sqlite3.Connection) -> list[SessionRecord]:
            now, unseen = datetime.now(UTC), timestamp(unseen_since)
            abandoned = _session_records(db, "ended_at is null and seen_at < ?", unseen)
            statement = "update sessions set ended_at = ?, end_reason = ? where ended_at is null and seen_at < ?"
            db.execute(statement, (timestamp(now), reason, unseen))
            return [replace(record, ended_at=now, end_reason=reason) for record in abandoned]

        return await self._write(run)

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

        return await self._write(run)

    async def purge(self, turns_before: datetime) -> dict[str, int]:
        def run(db: sqlite3.Connection) -> dict[str, int]:
            before, now = timestamp(turns_before), _now()
            return {
                "messages": db.execute("delete from messages where said_at < ?", (before,)).rowcount,
                "memories": db.execute("delete from memories where expires_at <= ?", (now,)).rowcount,
                "memory_history": db.execute("delete from memory_history where expires_at <= ?", (now,)).rowcount,
            }

        return await self._write(run, then=_scrub)

    async def aclose(self) -> None:
        def close() -> None:
            with self._lock:
                if self._connection:
                    self._connection.close()
                self._connection = None

        await asyncio.to_thread(close)

    # -- how the connection is used

    async def _read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """All that it reads is of one moment."""
        return await self._transact("begin", run)

    async def _write(
        self, run: Callable[[sqlite3.Connection], T], then: Callable[[sqlite3.Connection], None] | None = None
    ) -> T:
        """In one transaction that takes the write lock first: two processes then wait for each other instead of
        failing in the middle, when a read would have to become a write. `then` runs after it is committed."""
        return await self._transact("begin immediate", run, then)

    async def _transact(
        self,
        begin: str,
        run: Callable[[sqlite3.Connection], T],
        then: Callable[[sqlite3.Connection], None] | None = None,
    ) -> T:
        given_up = threading.Event()

        def transaction(db: sqlite3.Connection) -> T:
            db.execute(begin)
            try:
                if given_up.is_set():
                    raise StoreError("the caller has given up")
                result = run(db)
                db.execute("commit")
            except BaseException:
                db.execute("rollback")
                raise
            if then:
                then(db)
            return result

        try:
            return await asyncio.to_thread(self._use, transaction)
        except asyncio.CancelledError:
            # the thread goes on; what it has not begun by now must not be done behind a later call's back
            given_up.set()
            raise

    def _use(self, run: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            # none of these errors quotes a value: sqlite3 names tables and columns, UnicodeError one character
            try:
                self._connection = self._connection or _open(self._path)
                return run(self._connection)
            except (sqlite3.IntegrityError, sqlite3.DataError, UnicodeError) as error:
                raise StoreRefused(f"the embedded store at {self._path} refused it: {error}") from error
            except (sqlite3.Error, OSError) as error:
                raise StoreError(f"the embedded store at {self._path} failed: {error}") from error


def _now() -> str:
    return timestamp(datetime.now(UTC))


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


# -- profiles


def _make_profile(db: sqlite3.Connection, user: UUID) -> bool:
    statement = "insert into profiles (id, created_at) values (?, ?) on conflict do nothing"
    return db.execute(statement, (str(user), _now())).rowcount == 1


def _ensure_profile(db: sqlite3.Connection, user: UUID, email: str | None) -> tuple[Profile, bool]:
    created = _make_profile(db, user)
    if email:
        db.execute("update profiles set email = ? where id = ? and email is null", (email, str(user)))
    row = db.execute("select email, is_first_login, created_at from profiles where id = ?", (str(user),)).fetchone()
    return Profile(user, row[0], bool(row[1]), datetime.fromisoformat(row[2])), created


# -- memories

_SELECT_MEMORIES = "select category, key, value, said_at, source, conversation_id, expires_at from memories"
_SELECT_PAST = "select category, key, value, said_at, source, conversation_id, expires_at, until from memory_history"
_UNEXPIRED = "(expires_at is null or expires_at > ?)"


def _memory(row: Row) -> Memory:
    category, key, value, said_at, source, conversation, expires_at = row
    return Memory(
        Category(category),
        key,
        value,
        datetime.fromisoformat(said_at),
        source,
        UUID(conversation) if conversation else None,
        _moment(expires_at),
    )


def _held(db: sqlite3.Connection, user: UUID, where: str = "true", *parameters: str) -> list[Memory]:
    rows = db.execute(
        f"{_SELECT_MEMORIES} where user_id = ? and {where} and {_UNEXPIRED} order by said_at, category, key",
        (str(user), *parameters, _now()),
    )
    return [_memory(row) for row in rows.fetchall()]


def _past(db: sqlite3.Connection, user: UUID) -> list[Past]:
    rows = db.execute(f"{_SELECT_PAST} where user_id = ? and {_UNEXPIRED} order by seq", (str(user), _now()))
    return [Past(_memory(row[:-1]), datetime.fromisoformat(row[-1])) for row in rows.fetchall()]


def _remember(db: sqlite3.Connection, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
    _make_profile(db, user)
    new = [memory for memory in _last_of_each_key(memories) if not _source_is_known(db, user, memory)]
    return [_keep(db, user, memory) for memory in new]


def _last_of_each_key(memories: Sequence[Memory]) -> list[Memory]:
    last = {(memory.category, memory.key): i for i, memory in enumerate(memories)}
    return [
        memory
        for i, memory in enumerate(memories)
        if memory.key.startswith(STATEMENT_KEY) or last[memory.category, memory.key] == i
    ]


def _source_is_known(db: sqlite3.Connection, user: UUID, memory: Memory) -> bool:
    this = (str(user), memory.category, memory.source)
    found = db.execute(
        "select 1 from memories where user_id = ?1 and category = ?2 and source = ?3"
        " union all select 1 from memory_history where user_id = ?1 and category = ?2 and source = ?3",
        this,
    )
    return memory.source is not None and found.fetchone() is not None


def _keep(db: sqlite3.Connection, user: UUID, memory: Memory) -> Memory:
    if memory.key.startswith(STATEMENT_KEY):
        memory = _under_free_key(db, user, memory)
    if memory.conversation and not _owns(db, user, memory.conversation):
        memory = replace(memory, conversation=None)
    this, said_at = (str(user), memory.category, memory.key, memory.value), timestamp(memory.said_at)
    db.execute(
        "insert or ignore into memory_history"
        " (user_id, category, key, value, said_at, source, conversation_id, expires_at, until)"
        " select user_id, category, key, value, said_at, source, conversation_id, expires_at, ? from memories"
        " where user_id = ? and category = ? and key = ? and value <> ?",
        (said_at, *this),
    )
    conversation = str(memory.conversation) if memory.conversation else None
    expires_at = timestamp(memory.expires_at) if memory.expires_at else None
    db.execute(
        "insert into memories (user_id, category, key, value, said_at, source, conversation_id, expires_at)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)"
        " on conflict (user_id, category, key) do update set value = excluded.value, said_at = excluded.said_at,"
        " source = excluded.source, conversation_id = excluded.conversation_id, expires_at = excluded.expires_at",
        (*this, said_at, memory.source, conversation, expires_at),
    )
    return memory


def _under_free_key(db: sqlite3.Connection, user: UUID, memory: Memory) -> Memory:
    """The statement under a key that no other statement holds; the same one again stays where it is."""
    key = memory.key
    taken = "select 1 from memories where user_id = ? and category = ? and key = ? and value <> ?"
    while db.execute(taken, (str(user), memory.category, key, memory.value)).fetchone():
        key = next_statement_key(key)
    return replace(memory, key=key)


# -- conversations


def _last_conversation(db: sqlite3.Connection, user: UUID, thread: str, within: timedelta) -> UUID | None:
    row = db.execute(
        "select id from conversations where user_id = ? and thread = ? and active_at > ?"
        " order by active_at desc limit 1",
        (str(user), thread, timestamp(datetime.now(UTC) - within)),
    ).fetchone()
    return UUID(row[0]) if row else None


def _new_conversation(db: sqlite3.Connection, user: UUID, thread: str) -> UUID:
    conversation, now = uuid4(), _now()
    db.execute(
        "insert into conversations (user_id, id, thread, created_at, active_at) values (?, ?, ?, ?, ?)",
        (str(user), str(conversation), thread, now, now),
    )
    return conversation


def _owns(db: sqlite3.Connection, user: UUID, conversation: UUID) -> bool:
    statement = "select 1 from conversations where user_id = ? and id = ?"
    return db.execute(statement, (str(user), str(conversation))).fetchone() is not None


def _note_activity(db: sqlite3.Connection, user: UUID, conversation: UUID) -> bool:
    """False if it is not this user's."""
    statement = "update conversations set active_at = ? where user_id = ? and id = ?"
    return db.execute(statement, (_now(), str(user), str(conversation))).rowcount == 1


def _join_session(db: sqlite3.Connection, user: UUID, conversation: UUID, job: str, room: str) -> tuple[UUID, bool]:
    """The living session of the conversation, with the job in it; True if the conversation began with this job, which
    asks again."""
    this, now = (str(user), str(conversation)), _now()
    sessions = db.execute(
        "select id, jobs, ended_at from sessions where user_id = ? and conversation_id = ? order by started_at", this
    ).fetchall()
    living = next((row for row in sessions if row[2] is None), None)
    jobs: list[str] = json.loads(living[1]) if living else []
    asks_again = living is not None and len(sessions) == 1 and jobs == [job]
    if job not in jobs:
        jobs.append(job)
    session = living[0] if living else str(uuid4())
    db.execute(
        "insert into sessions (user_id, conversation_id, id, room, jobs, started_at, seen_at)"
        " values (?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set jobs = excluded.jobs, seen_at = excluded.seen_at",
        (*this, session, room, json.dumps(jobs), now, now),
    )
    _note_activity(db, user, conversation)
    return UUID(session), asks_again


def _living(db: sqlite3.Connection, user: UUID, session: UUID) -> tuple[UUID, list[str]] | None:
    """The conversation and the jobs of a session; None if it has ended or is not this user's."""
    row = db.execute(
        "select conversation_id, jobs from sessions where user_id = ? and id = ? and ended_at is null",
        (str(user), str(session)),
    ).fetchone()
    return (UUID(row[0]), json.loads(row[1])) if row else None


def _append(db: sqlite3.Connection, user: UUID, conversation: UUID, turn: Turn) -> bool:
    """False if it corrects one that is written already."""
    this = (str(user), str(conversation), turn.id)
    correction = "update messages set text = ?, interrupted = ? where user_id = ? and conversation_id = ? and id = ?"
    if db.execute(correction, (turn.text, turn.interrupted, *this)).rowcount:
        return False
    db.execute(
        "insert into messages (user_id, conversation_id, id, role, text, said_at, interrupted)"
        " values (?, ?, ?, ?, ?, ?, ?)",
        (*this, turn.role, turn.text, timestamp(turn.said_at), turn.interrupted),
    )
    return True


def _last_turns(db: sqlite3.Connection, user: UUID, conversation: UUID, count: int) -> list[Turn]:
    rows = db.execute(
        "select id, role, text, said_at, interrupted from messages where user_id = ? and conversation_id = ?"
        " order by said_at desc, seq desc limit ?",
        (str(user), str(conversation), count),
    ).fetchall()
    return [Turn(row[0], row[1], row[2], datetime.fromisoformat(row[3]), bool(row[4])) for row in reversed(rows)]


def _last_summary(db: sqlite3.Connection, user: UUID) -> str | None:
    """That of the latest conversation that has one: a call in which nobody said anything leaves none."""
    row = db.execute(
        "select summary from conversations where user_id = ? and summary is not null order by active_at desc limit 1",
        (str(user),),
    ).fetchone()
    return row[0] if row else None


_SELECT_SESSIONS = (
    "select s.id, s.user_id, c.thread, s.room, s.jobs, s.started_at, s.seen_at, s.ended_at, s.end_reason"
    " from sessions s join conversations c on c.user_id = s.user_id and c.id = s.conversation_id"
)


def _session_records(db: sqlite3.Connection, where: str, *parameters: str, limit: int = -1) -> list[SessionRecord]:
    """Newest first; all of them with a limit of -1."""
    rows = db.execute(
        f"{_SELECT_SESSIONS} where {where} order by s.started_at desc, s.id limit ?", (*parameters, limit)
    )
    return [
        SessionRecord(
            UUID(row[0]),
            UUID(row[1]),
            thread=row[2],
            room=row[3],
            jobs=tuple(json.loads(row[4])),
            started_at=datetime.fromisoformat(row[5]),
            seen_at=datetime.fromisoformat(row[6]),
            ended_at=_moment(row[7]),
            end_reason=row[8],
        )
        for row in rows.fetchall()
    ]


# -- the person's rights

# what others refer to goes last
_ERASE = {
    "messages": "delete from messages where user_id = ?",
    "sessions": "delete from sessions where user_id = ?",
    "memory_history": "delete from memory_history where user_id = ?",
    "memories": "delete from memories where user_id = ?",
    "conversations": "delete from conversations where user_id = ?",
    "profiles": "delete from profiles where id = ?",
}
_EXPORT = {
    "profile": "select id, email, is_first_login, created_at from profiles where id = ?",
    "memories": f"{_SELECT_MEMORIES} where user_id = ? order by said_at, category, key",
    "past": f"{_SELECT_PAST} where user_id = ? order by seq",
    "conversations": "select id, thread, summary, created_at, active_at from conversations where user_id = ?"
    " order by created_at, id",
    "sessions": "select id, conversation_id, room, jobs, started_at, seen_at, ended_at, end_reason from sessions"
    " where user_id = ? order by started_at, id",
    "turns": "select conversation_id, id, role, text, said_at, interrupted from messages where user_id = ?"
    " order by said_at, seq",
}
# what others refer to comes first; a row whose key is taken is left out
_IMPORT = {
    "profile": "insert or ignore into profiles (id, email, is_first_login, created_at)"
    " values (:id, :email, :is_first_login, :created_at)",
    "conversations": "insert or ignore into conversations (user_id, id, thread, summary, created_at, active_at)"
    " values (:user_id, :id, :thread, :summary, :created_at, :active_at)",
    "sessions": "insert or ignore into sessions"
    " (user_id, id, conversation_id, room, jobs, started_at, seen_at, ended_at, end_reason)"
    " values (:user_id, :id, :conversation_id, :room, :jobs, :started_at, :seen_at, :ended_at, :end_reason)",
    "turns": "insert or ignore into messages (user_id, conversation_id, id, role, text, said_at, interrupted)"
    " values (:user_id, :conversation_id, :id, :role, :text, :said_at, :interrupted)",
    "memories": "insert or ignore into memories"
    " (user_id, category, key, value, said_at, source, conversation_id, expires_at)"
    " values (:user_id, :category, :key, :value, :said_at, :source, :conversation_id, :expires_at)",
    "past": "insert or ignore into memory_history"
    " (user_id, category, key, value, said_at, source, conversation_id, expires_at, until)"
    " values (:user_id, :category, :key, :value, :said_at, :source, :conversation_id, :expires_at, :until)",
}
_FROM_COLUMN: dict[str, Callable[[Any], Any]] = {"jobs": json.loads, "is_first_login": bool, "interrupted": bool}


def _export(db: sqlite3.Connection, user: UUID) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for part, statement in _EXPORT.items():
        found = db.execute(statement, (str(user),))
        names = [column[0] for column in found.description]
        document[part] = [
            {name: _FROM_COLUMN.get(name, lambda x: x)(value) for name, value in zip(names, row, strict=True)}
            for row in found.fetchall()
        ]
    document["profile"] = document["profile"][0] if document["profile"] else None
    return document


def _import(db: sqlite3.Connection, user: UUID, document: Document) -> None:
    parts: dict[str, Sequence[BaseModel]] = {
        **{part: getattr(document, part) for part in _IMPORT},
        "profile": [document.profile] if document.profile else [],
    }
    try:
        for part, statement in _IMPORT.items():
            rows = [{name: _column(value) for name, value in record} for record in parts[part]]
            db.executemany(statement, [{**row, "user_id": str(user)} for row in rows])
    except sqlite3.IntegrityError:
        raise ValueError("the document has records of a conversation that is another person's") from None


def _column(value: object) -> object:
    """A field of a record as its column holds it."""
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, UUID):
        return str(value)
    return json.dumps(value) if isinstance(value, list) else value


# -- the file


def _scrub(db: sqlite3.Connection) -> None:
    """Take what was deleted out of the log beside the file too; `secure_delete` has overwritten it in the file.

    Not waited for: while another process reads, the words stay in the log until the next checkpoint.
    """
    db.execute("pragma busy_timeout = 0")
    try:
        db.execute("pragma wal_checkpoint(truncate)").fetchone()
    finally:
        db.execute(f"pragma busy_timeout = {int(_BUSY_SECONDS * 1000)}")


def _open(path: Path) -> sqlite3.Connection:
    # what people said is nobody else's business on a shared machine
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("pragma foreign_keys = on")
        db.execute("pragma secure_delete = on")
        _use_write_ahead_log(db)
        _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _use_write_ahead_log(db: sqlite3.Connection) -> None:
    """Readers then never wait for a writer. The file keeps the mode, but SQLite does not apply its busy timeout to
    the switch: of 16 processes that made a new file at once, one in 60 failed here without the second try."""
    give_up = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            db.execute("pragma journal_mode = wal")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _migrate(db: sqlite3.Connection) -> None:
    if db.execute("pragma user_version").fetchone()[0] == _SCHEMA_VERSION:
        return
    db.execute("begin immediate")
    try:
        version: int = db.execute("pragma user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"its schema is version {version}, newer than this program's {_SCHEMA_VERSION}")
        if version < _SCHEMA_VERSION:
            for statement in _UPGRADES[version]:
                db.execute(statement)
            db.execute(f"pragma user_version = {_SCHEMA_VERSION}")
        db.execute("commit")
    except BaseException:
        db.execute("rollback")
        raise
