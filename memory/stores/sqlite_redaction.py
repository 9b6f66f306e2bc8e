"""What the embedded store does so that something is told no more: in a transaction that somebody else has begun."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import islice
from uuid import UUID

from memory.records import Category, Mention, Rewording, folded
from memory.stores import sqlite_queries as queries

_TEXTS = """
select id as conversation_id, null as turn, summary as text from conversations
where user_id = ?1 and summary is not null
union all
select * from (
    select conversation_id, id, text from messages where user_id = ?1 and text <> '' order by said_at, seq
)
"""
_REWORD = (
    "update memories set value = ? where user_id = ? and category = ? and key = ? and value = ?",
    "update or ignore memory_history set value = ? where user_id = ? and category = ? and key = ? and value = ?",
)
_DROP = (
    "delete from memories where user_id = ? and category = ? and key = ? and value = ?",
    "delete from memory_history where user_id = ? and category = ? and key = ? and value = ?",
)


def mentions(db: sqlite3.Connection, user: UUID, words: Sequence[str], skip: int, limit: int) -> list[Mention]:
    # SQLite knows no letters but those of ASCII: what a text holds is looked for here, row by row
    rows = db.execute(_TEXTS, (str(user),))
    found = (row for row in rows if any(map(folded(row[2]).__contains__, words)))
    return [Mention(UUID(row[0]), row[1], row[2]) for row in islice(found, skip, skip + limit)]


def redact(
    db: sqlite3.Connection,
    user: UUID,
    texts: Sequence[tuple[Mention, str]],
    memories: Sequence[Rewording],
    gone: Sequence[tuple[Category, str]],
) -> int:
    changed = sum(_redact_text(db, user, *each) for each in texts) + sum(_reword(db, user, each) for each in memories)
    return changed + sum(queries.forget(db, user, *name) for name in gone)


def _redact_text(db: sqlite3.Connection, user: UUID, mention: Mention, left: str) -> int:
    this = (str(user), str(mention.conversation))
    if mention.turn is None:
        statement = "update conversations set summary = nullif(?, '') where user_id = ? and id = ? and summary = ?"
        return db.execute(statement, (left, *this, mention.text)).rowcount
    statement = "update messages set text = ? where user_id = ? and conversation_id = ? and id = ? and text = ?"
    return db.execute(statement, (left, *this, mention.turn, mention.text)).rowcount


def _reword(db: sqlite3.Connection, user: UUID, rewording: Rewording) -> int:
    memory = rewording.memory
    this = (str(user), memory.category, memory.key, memory.value)
    changed = sum(db.execute(each, (rewording.words, *this)).rowcount for each in _REWORD if rewording.words)
    # of the past, what stands there already with fewer words could not be changed
    return changed + sum(db.execute(each, this).rowcount for each in _DROP)


def drop_summaries(db: sqlite3.Connection, before: str) -> None:
    """Those that tell of turns older than that, or may."""
    db.execute(
        "update conversations set summary = null where summary is not null and (active_at < ?1 or exists ("
        " select 1 from messages m where m.user_id = conversations.user_id and m.conversation_id = conversations.id"
        " and m.said_at < ?1))",
        (before,),
    )
