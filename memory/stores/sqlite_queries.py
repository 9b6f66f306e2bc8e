"""What the embedded store asks its file: each function works in a transaction that somebody else has begun."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel

from memory.records import STATEMENT_KEY, Category, Memory, Past, Profile, SessionRecord, Turn, next_statement_key
from memory.stores.export import Document, timestamp

Row = tuple[Any, ...]


def this_moment() -> str:
    return timestamp(datetime.now(UTC))


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


# -- profiles


def _make_profile(db: sqlite3.Connection, user: UUID) -> bool:
    statement = "insert into profiles (id, created_at) values (?, ?) on conflict do nothing"
    return db.execute(statement, (str(user), this_moment())).rowcount == 1


def ensure_profile(db: sqlite3.Connection, user: UUID, email: str | None) -> tuple[Profile, bool]:
    created = _make_profile(db, user)
    if email:
        db.execute("update profiles set email = ? where id = ? and email is null", (email, str(user)))
    row = db.execute("select email, is_first_login, created_at from profiles where id = ?", (str(user),)).fetchone()
    return Profile(user, row[0], bool(row[1]), datetime.fromisoformat(row[2])), created


# -- memories

_COLUMNS = "user_id, category, key, value, said_at, source, conversation_id, expires_at"
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


def held(db: sqlite3.Connection, user: UUID, where: str = "true", *parameters: str) -> list[Memory]:
    rows = db.execute(
        f"{_SELECT_MEMORIES} where user_id = ? and {where} and {_UNEXPIRED} order by said_at, category, key",
        (str(user), *parameters, this_moment()),
    )
    return [_memory(row) for row in rows.fetchall()]


def past_of(db: sqlite3.Connection, user: UUID) -> list[Past]:
    rows = db.execute(
        f"{_SELECT_PAST} where user_id = ? and {_UNEXPIRED} order by until, seq", (str(user), this_moment())
    )
    return [Past(_memory(row[:-1]), datetime.fromisoformat(row[-1])) for row in rows.fetchall()]


def remember(db: sqlite3.Connection, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
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
    if memory.conversation and not owns(db, user, memory.conversation):
        memory = replace(memory, conversation=None)
    this, said_at = (str(user), memory.category, memory.key, memory.value), timestamp(memory.said_at)
    if newer := held(db, user, "category = ? and key = ? and said_at > ?", memory.category, memory.key, said_at):
        _keep_in_the_past(db, user, memory, newer[0])
        return newer[0]
    db.execute(
        f"insert or ignore into memory_history ({_COLUMNS}, until) select {_COLUMNS}, ? from memories"
        " where user_id = ? and category = ? and key = ? and value <> ?",
        (said_at, *this),
    )
    db.execute(
        f"insert into memories ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)"
        " on conflict (user_id, category, key) do update set value = excluded.value, said_at = excluded.said_at,"
        " source = excluded.source, conversation_id = excluded.conversation_id, expires_at = excluded.expires_at",
        _row(user, memory),
    )
    return memory


def _under_key_of(db: sqlite3.Connection, user: UUID, memory: Memory) -> Memory | None:
    """What stands under the memory's key, expired or not."""
    this = (str(user), memory.category, memory.key)
    row = db.execute(f"{_SELECT_MEMORIES} where user_id = ? and category = ? and key = ?", this).fetchone()
    return _memory(row) if row else None


def _keep_in_the_past(db: sqlite3.Connection, user: UUID, memory: Memory, held: Memory) -> None:
    """It held until the next one that was said under its key, and what was said before it held until then."""
    said_at, key = timestamp(memory.said_at), "user_id = ? and category = ? and key = ?"
    this = (str(user), memory.category, memory.key)
    told: list[Row] = db.execute(
        f"select value, said_at from memory_history where {key} and said_at >= ? order by seq", (*this, said_at)
    ).fetchall()
    later = [*(row for row in told if row[1] > said_at), (held.value, timestamp(held.said_at))]
    next_value, until = min(later, key=lambda row: row[1])
    if next_value == memory.value or (memory.value, said_at) in told:
        return  # the same value again
    db.execute(
        f"update or ignore memory_history set until = ? where {key} and said_at <= ? and until > ?",
        (said_at, *this, said_at, said_at),
    )
    db.execute(
        f"insert into memory_history ({_COLUMNS}, until) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*_row(user, memory), until),
    )


def _row(user: UUID, memory: Memory) -> Row:
    """As `_COLUMNS` has them."""
    conversation = str(memory.conversation) if memory.conversation else None
    expires_at = timestamp(memory.expires_at) if memory.expires_at else None
    named = (str(user), memory.category, memory.key, memory.value)
    return (*named, timestamp(memory.said_at), memory.source, conversation, expires_at)


def _under_free_key(db: sqlite3.Connection, user: UUID, memory: Memory) -> Memory:
    """The statement under a key that no other statement holds. What nobody said in a turn may be the same again, and
    then stays where it is."""
    while held := _under_key_of(db, user, memory):
        if held.value == memory.value and held.source is None and memory.source is None:
            break
        memory = replace(memory, key=next_statement_key(memory.key))
    return memory


# -- conversations


def conversation_of(db: sqlite3.Connection, user: UUID, thread: str, job: str) -> UUID | None:
    """The one that the job is in already: a second try finds what the first one made."""
    row = db.execute(
        "select c.id from sessions s join conversations c on c.user_id = s.user_id and c.id = s.conversation_id"
        " where s.user_id = ? and c.thread = ? and s.ended_at is null"
        " and exists (select 1 from json_each(s.jobs) where value = ?) order by s.started_at desc limit 1",
        (str(user), thread, job),
    ).fetchone()
    return UUID(row[0]) if row else None


def last_conversation(db: sqlite3.Connection, user: UUID, thread: str, within: timedelta) -> UUID | None:
    row = db.execute(
        "select id from conversations where user_id = ? and thread = ? and active_at > ?"
        " order by active_at desc limit 1",
        (str(user), thread, timestamp(datetime.now(UTC) - within)),
    ).fetchone()
    return UUID(row[0]) if row else None


def new_conversation(db: sqlite3.Connection, user: UUID, thread: str) -> UUID:
    conversation, now = uuid4(), this_moment()
    db.execute(
        "insert into conversations (user_id, id, thread, created_at, active_at) values (?, ?, ?, ?, ?)",
        (str(user), str(conversation), thread, now, now),
    )
    return conversation


def owns(db: sqlite3.Connection, user: UUID, conversation: UUID) -> bool:
    statement = "select 1 from conversations where user_id = ? and id = ?"
    return db.execute(statement, (str(user), str(conversation))).fetchone() is not None


def note_activity(db: sqlite3.Connection, user: UUID, conversation: UUID) -> bool:
    """False if it is not this user's."""
    statement = "update conversations set active_at = ? where user_id = ? and id = ?"
    return db.execute(statement, (this_moment(), str(user), str(conversation))).rowcount == 1


def join_session(db: sqlite3.Connection, user: UUID, conversation: UUID, job: str, room: str) -> tuple[UUID, bool]:
    """The living session of the conversation, with the job in it; True if the conversation began with this job, which
    asks again."""
    this, now = (str(user), str(conversation)), this_moment()
    sessions = db.execute(
        "select id, jobs, ended_at from sessions where user_id = ? and conversation_id = ? order by started_at", this
    ).fetchall()
    living = next((row for row in sessions if row[2] is None), None)
    jobs: list[str] = json.loads(living[1]) if living else []
    asks_again = living is not None and len(sessions) == 1 and jobs[0] == job
    if job not in jobs:
        jobs.append(job)
    session = living[0] if living else str(uuid4())
    db.execute(
        "insert into sessions (user_id, conversation_id, id, room, jobs, started_at, seen_at)"
        " values (?, ?, ?, ?, ?, ?, ?) on conflict (id) do update set jobs = excluded.jobs, seen_at = excluded.seen_at",
        (*this, session, room, json.dumps(jobs), now, now),
    )
    note_activity(db, user, conversation)
    return UUID(session), asks_again


def living(db: sqlite3.Connection, user: UUID, session: UUID) -> tuple[UUID, list[str]] | None:
    """The conversation and the jobs of a session; None if it has ended or is not this user's."""
    row = db.execute(
        "select conversation_id, jobs from sessions where user_id = ? and id = ? and ended_at is null",
        (str(user), str(session)),
    ).fetchone()
    return (UUID(row[0]), json.loads(row[1])) if row else None


def append(db: sqlite3.Connection, user: UUID, conversation: UUID, turn: Turn) -> bool:
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


def last_turns(db: sqlite3.Connection, user: UUID, conversation: UUID, count: int) -> list[Turn]:
    rows = db.execute(
        "select id, role, text, said_at, interrupted from messages where user_id = ? and conversation_id = ?"
        " order by said_at desc, seq desc limit ?",
        (str(user), str(conversation), count),
    ).fetchall()
    return [Turn(row[0], row[1], row[2], datetime.fromisoformat(row[3]), bool(row[4])) for row in reversed(rows)]


def last_summary(db: sqlite3.Connection, user: UUID, besides: UUID) -> str | None:
    """That of the latest other conversation that has one: a call in which nobody said anything leaves none."""
    row = db.execute(
        "select summary from conversations where user_id = ? and id <> ? and summary is not null"
        " order by active_at desc limit 1",
        (str(user), str(besides)),
    ).fetchone()
    return row[0] if row else None


_SELECT_SESSIONS = (
    "select s.id, s.user_id, c.thread, s.room, s.jobs, s.started_at, s.seen_at, s.ended_at, s.end_reason"
    " from sessions s join conversations c on c.user_id = s.user_id and c.id = s.conversation_id"
)


def session_records(db: sqlite3.Connection, where: str, *parameters: str, limit: int = -1) -> list[SessionRecord]:
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
ERASE = {
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


def export(db: sqlite3.Connection, user: UUID) -> dict[str, Any]:
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


def put_back(db: sqlite3.Connection, user: UUID, document: Document) -> None:
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
