"""What the embedded store asks its file: each function works in a transaction that somebody else has begun."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from pydantic import BaseModel

from memory.records import (
    STATEMENT_KEY,
    Category,
    Changes,
    Curation,
    Memory,
    MemoryVector,
    Past,
    Profile,
    SessionRecord,
    Turn,
    next_statement_key,
)
from memory.stores import export as shapes
from memory.stores.export import timestamp
from memory.stores.rows import Row, memories_of, past_of, profile_of, records_of, row_of, turns_of, vectors_of

_FROM_COLUMN: dict[str, Callable[[Any], Any]] = {"jobs": json.loads, "is_first_login": bool, "interrupted": bool}


def this_moment() -> str:
    return timestamp(datetime.now(UTC))


def _rows(db: sqlite3.Connection, statement: str, *parameters: str | int) -> list[Row]:
    """By the names of their columns, with JSON values."""
    found = db.execute(statement, parameters)
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    for name in _FROM_COLUMN.keys() & names:
        for row in rows:
            row[name] = _FROM_COLUMN[name](row[name])
    return rows


def _column(value: object) -> object:
    """A field of a record as its column holds it."""
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, UUID):
        return str(value)
    return json.dumps(value) if isinstance(value, list) else value


def _insert(
    db: sqlite3.Connection, table: str, fields: Mapping[str, object], how: str = "insert", then: str = ""
) -> None:
    row = {name: _column(value) for name, value in fields.items()}
    db.execute(f"{how} into {table} ({', '.join(row)}) values ({', '.join(f':{name}' for name in row)}) {then}", row)


# -- profiles


def _make_profile(db: sqlite3.Connection, user: UUID) -> bool:
    statement = "insert into profiles (id, created_at) values (?, ?) on conflict do nothing"
    return db.execute(statement, (str(user), this_moment())).rowcount == 1


def ensure_profile(db: sqlite3.Connection, user: UUID, email: str | None) -> tuple[Profile, bool]:
    created = _make_profile(db, user)
    if email:
        db.execute("update profiles set email = ? where id = ? and email is null", (email, str(user)))
    (row,) = _rows(db, "select id, email, is_first_login, created_at from profiles where id = ?", str(user))
    return profile_of(row), created


# -- memories

_COLUMNS = "user_id, category, key, value, said_at, source, conversation_id, expires_at"
_THIS_KEY = "user_id = ? and category = ? and key = ?"
_REPLACE = (
    "on conflict do update set value = excluded.value, said_at = excluded.said_at, source = excluded.source,"
    " conversation_id = excluded.conversation_id, expires_at = excluded.expires_at"
)
_UNEXPIRED = "(expires_at is null or expires_at > ?)"


def held(db: sqlite3.Connection, user: UUID, where: str = "true", *parameters: str | int) -> list[Memory]:
    statement = f"select * from memories where user_id = ? and {where} and {_UNEXPIRED} order by said_at, category, key"
    return memories_of(_rows(db, statement, str(user), *parameters, this_moment()))


def changes(db: sqlite3.Connection, user: UUID, since: int) -> Changes:
    found = db.execute("select memory_version from profiles where id = ?", (str(user),)).fetchone()
    counting = f"select count(*) from memories where user_id = ? and {_UNEXPIRED}"
    (count,) = db.execute(counting, (str(user), this_moment())).fetchone()
    return Changes(found[0] if found else 0, count, held(db, user, "version > ?", since))


def past(db: sqlite3.Connection, user: UUID) -> list[Past]:
    statement = f"select * from memory_history where user_id = ? and {_UNEXPIRED} order by seq"
    return past_of(_rows(db, statement, str(user), this_moment()))


def forget(db: sqlite3.Connection, user: UUID, category: Category, key: str) -> bool:
    deleted = [
        db.execute(f"delete from {table} where {_THIS_KEY}", (str(user), category, key)).rowcount
        for table in ("memories", "memory_history")
    ]
    return deleted[0] == 1


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
    found = db.execute(
        "select 1 from memories where user_id = ?1 and category = ?2 and source = ?3"
        " union all select 1 from memory_history where user_id = ?1 and category = ?2 and source = ?3",
        (str(user), memory.category, memory.source),
    )
    return memory.source is not None and found.fetchone() is not None


def _keep(db: sqlite3.Connection, user: UUID, memory: Memory) -> Memory:
    if memory.key.startswith(STATEMENT_KEY):
        memory = _under_free_key(db, user, memory)
    if memory.conversation and not owns(db, user, memory.conversation):
        memory = replace(memory, conversation=None)
    said_at = timestamp(memory.said_at)
    if newer := held(db, user, "category = ? and key = ? and said_at > ?", memory.category, memory.key, said_at):
        _keep_in_the_past(db, user, memory, newer[0])
        return newer[0]
    db.execute(
        f"insert or ignore into memory_history ({_COLUMNS}, until) select {_COLUMNS}, ? from memories"
        f" where {_THIS_KEY} and value <> ?",
        (said_at, str(user), memory.category, memory.key, memory.value),
    )
    _insert(db, "memories", {"user_id": user, **row_of(memory)}, then=_REPLACE)
    return memory


def _keep_in_the_past(db: sqlite3.Connection, user: UUID, memory: Memory, held: Memory) -> None:
    """It held until the next one that was said under its key, and what was said before it held until then."""
    said_at, this = timestamp(memory.said_at), (str(user), memory.category, memory.key)
    told: list[tuple[str, str]] = db.execute(
        f"select value, said_at from memory_history where {_THIS_KEY} and said_at >= ? order by seq", (*this, said_at)
    ).fetchall()
    later = [*(row for row in told if row[1] > said_at), (held.value, timestamp(held.said_at))]
    next_value, until = min(later, key=lambda row: row[1])
    if next_value == memory.value or (memory.value, said_at) in told:
        return  # the same value again
    db.execute(
        f"update or ignore memory_history set until = ? where {_THIS_KEY} and said_at <= ? and until > ?",
        (said_at, *this, said_at, said_at),
    )
    _insert(db, "memory_history", {"user_id": user, **row_of(memory), "until": until})


def _under_free_key(db: sqlite3.Connection, user: UUID, memory: Memory) -> Memory:
    """The statement under a key that no other statement holds, expired or not. What nobody said in a turn may be the
    same again, and then stays where it is."""
    statement = f"select value, source from memories where {_THIS_KEY}"
    while held := db.execute(statement, (str(user), memory.category, memory.key)).fetchone():
        if held == (memory.value, None) and memory.source is None:
            break
        memory = replace(memory, key=next_statement_key(memory.key))
    return memory


def uncurated(db: sqlite3.Connection, user: UUID, limit: int) -> list[Memory]:
    statement = (
        f"select * from memories where user_id = ? and not curated and source is not null and {_UNEXPIRED}"
        " order by said_at desc, category, key limit ?"
    )
    latest = memories_of(_rows(db, statement, str(user), this_moment(), limit))
    return sorted(latest, key=lambda memory: (memory.said_at, memory.category, memory.key))


def curate(db: sqlite3.Connection, user: UUID, curation: Curation) -> Curation:
    seen = [memory for memory in curation.seen if _see(db, user, memory)]
    turns = {(memory.source, memory.said_at) for memory in seen}
    reasons = {memory.said_at for memory in seen}
    facts = [fact for fact in curation.facts if (fact.source, fact.said_at) in turns and _keep_beside(db, user, fact)]
    ended = [
        one
        for one in curation.ended
        if (one.memory in seen if one.set_aside else one.memory.said_at < one.until in reasons) and _end(db, user, one)
    ]
    return Curation(seen, facts, ended)


def _see(db: sqlite3.Connection, user: UUID, memory: Memory) -> bool:
    statement = f"update memories set curated = 1 where {_THIS_KEY} and value = ? and said_at = ? and not curated"
    this = (str(user), memory.category, memory.key, memory.value, timestamp(memory.said_at))
    return db.execute(statement, this).rowcount == 1


def _keep_beside(db: sqlite3.Connection, user: UUID, fact: Memory) -> bool:
    """False if it says nothing new: of its own time there is one already, or it came and went."""
    this, said_at = (str(user), fact.category, fact.key), timestamp(fact.said_at)
    current = db.execute(f"select said_at from memories where {_THIS_KEY}", this).fetchone()
    gone = f"select 1 from memory_history where {_THIS_KEY} and (said_at >= ? or until > ?)"
    if current == (said_at,) or (current is None and db.execute(gone, (*this, said_at, said_at)).fetchone()):
        return False
    _keep(db, user, fact)
    db.execute(f"update memories set curated = 1 where {_THIS_KEY} and said_at = ?", (*this, said_at))
    return True


def _end(db: sqlite3.Connection, user: UUID, past: Past) -> bool:
    memory = past.memory
    which = f"{_THIS_KEY} and value = ? and said_at = ? and source is not null"
    this = (str(user), memory.category, memory.key, memory.value, timestamp(memory.said_at))
    db.execute(
        f"insert or ignore into memory_history ({_COLUMNS}, until) select {_COLUMNS}, ? from memories where {which}",
        (timestamp(past.until), *this),
    )
    return db.execute(f"delete from memories where {which}", this).rowcount == 1


def vectors(db: sqlite3.Connection, user: UUID, model: str) -> list[MemoryVector]:
    statement = (
        "select category, key, said_at, vector from memories"
        f" where user_id = ? and vector_model = ? and {_UNEXPIRED} order by said_at, category, key"
    )
    return vectors_of(_rows(db, statement, str(user), model, this_moment()))


def put_vector(db: sqlite3.Connection, user: UUID, model: str, vector: MemoryVector) -> bool:
    """False if what it was made of is not there any more."""
    statement = f"update memories set vector = ?, vector_model = ? where {_THIS_KEY} and said_at = ?"
    this = (str(user), vector.category, vector.key, timestamp(vector.said_at))
    return db.execute(statement, (vector.data, model, *this)).rowcount == 1


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
    conversation, now = uuid4(), datetime.now(UTC)
    row = {"user_id": user, "id": conversation, "thread": thread, "created_at": now, "active_at": now}
    _insert(db, "conversations", row)
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


def leave_session(db: sqlite3.Connection, user: UUID, session: UUID, job: str, reason: str) -> bool:
    """True if the session ended by this, with its last job."""
    this = (str(user), str(session))
    row = db.execute(
        "select conversation_id, jobs from sessions where user_id = ? and id = ? and ended_at is null", this
    ).fetchone()
    jobs: list[str] = json.loads(row[1]) if row else []
    if job not in jobs:
        return False
    jobs.remove(job)
    now = this_moment()
    ended = (None, None) if jobs else (now, reason)
    db.execute(
        "update sessions set jobs = ?, seen_at = ?, ended_at = ?, end_reason = ? where user_id = ? and id = ?",
        (json.dumps(jobs), now, *ended, *this),
    )
    note_activity(db, user, UUID(row[0]))
    return not jobs


def append(db: sqlite3.Connection, user: UUID, conversation: UUID, turn: Turn) -> bool:
    """False if it corrects one that is written already."""
    this = (str(user), str(conversation), turn.id)
    correction = "update messages set text = ?, interrupted = ? where user_id = ? and conversation_id = ? and id = ?"
    if db.execute(correction, (turn.text, turn.interrupted, *this)).rowcount:
        return False
    _insert(db, "messages", {"user_id": user, "conversation_id": conversation, **asdict(turn)})
    return True


def last_turns(db: sqlite3.Connection, user: UUID, conversation: UUID, count: int) -> list[Turn]:
    statement = (
        "select * from messages where user_id = ? and conversation_id = ? order by said_at desc, seq desc limit ?"
    )
    return turns_of(_rows(db, statement, str(user), str(conversation), count)[::-1])


def last_summary(db: sqlite3.Connection, user: UUID, besides: UUID) -> str | None:
    """That of the latest other conversation that has one: a call in which nobody said anything leaves none."""
    row = db.execute(
        "select summary from conversations where user_id = ? and id <> ? and summary is not null"
        " order by active_at desc limit 1",
        (str(user), str(besides)),
    ).fetchone()
    return row[0] if row else None


def session_records(db: sqlite3.Connection, where: str, *parameters: str, limit: int = -1) -> list[SessionRecord]:
    """Newest first; all of them with a limit of -1."""
    statement = (
        "select s.*, c.thread from sessions s"
        " join conversations c on c.user_id = s.user_id and c.id = s.conversation_id"
        f" where {where} order by s.started_at desc, s.id limit ?"
    )
    return records_of(_rows(db, statement, *parameters, limit))


# -- the person's rights


class _Part(NamedTuple):
    """A part of an export: the table that holds it, the column that names the person, and in which order it comes."""

    table: str
    owner: str
    record: type[BaseModel]
    order: str


# what others refer to comes first
_PARTS = {
    "profile": _Part("profiles", "id", shapes.ProfileRecord, "id"),
    "conversations": _Part("conversations", "user_id", shapes.ConversationRecord, "created_at, id"),
    "memories": _Part("memories", "user_id", shapes.MemoryRecord, "said_at, category, key"),
    "past": _Part("memory_history", "user_id", shapes.PastRecord, "seq"),
    "sessions": _Part("sessions", "user_id", shapes.SessionRecord, "started_at, id"),
    "turns": _Part("messages", "user_id", shapes.TurnRecord, "said_at, seq"),
}


def export(db: sqlite3.Connection, user: UUID) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for name, (table, owner, record, order) in _PARTS.items():
        statement = f"select {', '.join(record.model_fields)} from {table} where {owner} = ? order by {order}"
        document[name] = _rows(db, statement, str(user))
    document["profile"] = document["profile"][0] if document["profile"] else None
    if connections := _connections(db, user):
        document["connections"] = connections
    return document


def _connections(db: sqlite3.Connection, user: UUID) -> list[dict[str, Any]]:
    """Of the person's own apps, which another program keeps beside us, where it does; no secret is among them."""
    if not _has_connections(db):
        return []
    rows = db.execute(
        "select app, status, scopes, connected_at, used_at from connections where user_id = ? order by app",
        (str(user),),
    )
    names = ("app", "status", "scopes", "connected_at", "used_at")
    found: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in rows]
    for each in found:
        for moment in ("connected_at", "used_at"):
            each[moment] = timestamp(datetime.fromtimestamp(each[moment], UTC))
    return found


def _has_connections(db: sqlite3.Connection) -> bool:
    return (
        db.execute("select 1 from sqlite_master where type = 'table' and name = 'connections'").fetchone() is not None
    )


def put_back(db: sqlite3.Connection, user: UUID, document: shapes.Document) -> None:
    """A row whose key is taken is left out."""
    try:
        for name, part in _PARTS.items():
            records = getattr(document, name) if name != "profile" else filter(None, [document.profile])
            for record in records:
                _insert(db, part.table, {part.owner: user, **dict(record)}, "insert or ignore")
    except sqlite3.IntegrityError:
        raise ValueError("the document has records of a conversation that is another person's") from None


def erase(db: sqlite3.Connection, user: UUID) -> dict[str, int]:
    gone = {
        part.table: db.execute(f"delete from {part.table} where {part.owner} = ?", (str(user),)).rowcount
        for part in reversed(_PARTS.values())
    }
    if _has_connections(db):
        # triggers of theirs put what must be given back to the apps into a queue
        db.execute("delete from connection_links where user_id = ?", (str(user),))
        if rows := db.execute("delete from connections where user_id = ?", (str(user),)).rowcount:
            gone["connections"] = rows
    return gone
