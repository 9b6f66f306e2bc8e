"""The embedded store's file: its tables, how an older one is brought up to date, and how it is opened."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

BUSY_SECONDS = 5.0
"""How long one process waits for another's write. Writes take milliseconds; callers have shorter deadlines of their
own."""
_SCHEMA_VERSION = 5

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
# A vector says what its text says.
_VECTORS = (
    "alter table memories add column vector blob check (length(vector) between 1 and 4096)",
    "alter table memories add column vector_model text check ((vector is null) = (vector_model is null))",
    """
create trigger memory_reworded after update of value on memories when old.value <> new.value begin
    update memories set vector = null, vector_model = null
    where user_id = new.user_id and category = new.category and key = new.key;
end
""",
)
# Every change of somebody's memories moves their counter on. A vector is no change of what it was made of.
_COUNT_NEW = """ begin
    update profiles set memory_version = memory_version + 1 where id = new.user_id;
    update memories set version = (select memory_version from profiles where id = new.user_id)
    where user_id = new.user_id and category = new.category and key = new.key;
end
"""
_VERSIONS = (
    "alter table profiles add column memory_version integer not null default 0",
    "alter table memories add column version integer not null default 0",
    "create trigger memory_versioned after insert on memories" + _COUNT_NEW,
    "create trigger memory_versioned_again after update of value, said_at, source, conversation_id, expires_at"
    " on memories when old.value is not new.value or old.said_at is not new.said_at or old.source is not new.source"
    " or old.conversation_id is not new.conversation_id or old.expires_at is not new.expires_at" + _COUNT_NEW,
    "create trigger memory_gone after delete on memories begin"
    " update profiles set memory_version = memory_version + 1 where id = old.user_id; end",
)
# A new value is news to a curator.
_CURATION = (
    "alter table memories add column curated integer not null default 0",
    """
create trigger memory_uncurated after update of value on memories when old.value <> new.value begin
    update memories set curated = 0
    where user_id = new.user_id and category = new.category and key = new.key;
end
""",
)
_SINCE_2 = (*_VECTORS, *_VERSIONS, *_CURATION)
# From each older version to this one. A table gets a new foreign key only by being made anew.
_UPGRADES: tuple[tuple[str, ...], ...] = (
    (_PROFILES, *_CONVERSATIONS, *_MEMORIES, *_SINCE_2),
    (
        "alter table memories rename to memories_1",
        "drop index memories_source",
        *_CONVERSATIONS,
        *_MEMORIES,
        "insert into memories (user_id, category, key, value, said_at, source)"
        " select user_id, category, key, value, said_at, source from memories_1",
        "drop table memories_1",
        *_SINCE_2,
    ),
    _SINCE_2,
    (*_VERSIONS, *_CURATION),
    _CURATION,
)


def scrub(db: sqlite3.Connection) -> bool:
    """Take what was deleted out of the log beside the file too; `secure_delete` has overwritten it in the file.

    Not waited for: False while another process reads, and the words are still in the log.
    """
    (timeout,) = db.execute("pragma busy_timeout").fetchone()
    db.execute("pragma busy_timeout = 0")
    try:
        (busy, _, _) = db.execute("pragma wal_checkpoint(truncate)").fetchone()
    except sqlite3.OperationalError:  # locked by another checkpoint
        return False
    finally:
        db.execute(f"pragma busy_timeout = {timeout}")
    return not busy


def open_file(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """Open it, made or brought up to date first. Raises `sqlite3.Error`, `OSError`."""
    # what people said is nobody else's business on a shared machine
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=False)
    try:
        db.execute("pragma foreign_keys = on")
        db.execute("pragma secure_delete = on")
        _use_write_ahead_log(db, busy_seconds)
        _migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _use_write_ahead_log(db: sqlite3.Connection, busy_seconds: float) -> None:
    """Readers then never wait for a writer. The file keeps the mode, but SQLite does not apply its busy timeout to
    the switch: of 16 processes that made a new file at once, one in 60 failed here without the second try."""
    give_up = time.monotonic() + busy_seconds
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
