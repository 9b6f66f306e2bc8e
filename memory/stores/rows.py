"""Rows of either store, by the names of their columns, as records. Times may be of any zone there."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
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
    SessionRecord,
    Turn,
)

Row = dict[str, Any]


def profile_of(row: Row) -> Profile:
    return Profile(UUID(row["id"]), row["email"], bool(row["is_first_login"]), _time(row["created_at"]))


def row_of(memory: Memory) -> Row:
    row = {field.name: getattr(memory, field.name) for field in fields(memory)}
    row["conversation_id"] = row.pop("conversation")
    return row


def memory_of(row: Row) -> Memory:
    return Memory(
        Category(row["category"]),
        row["key"],
        row["value"],
        _time(row["said_at"]),
        row["source"],
        UUID(row["conversation_id"]) if row["conversation_id"] else None,
        _maybe_time(row["expires_at"]),
    )


def memories_of(rows: list[Row]) -> list[Memory]:
    return [memory_of(row) for row in rows]


def changes_of(row: Row) -> Changes:
    return Changes(int(row["version"]), int(row["count"]), memories_of(row["memories"]))


def past_row_of(past: Past) -> Row:
    return {**row_of(past.memory), "until": past.until}


def curation_of(row: Row) -> Curation:
    return Curation(memories_of(row["seen"]), memories_of(row["facts"]), past_of(row["ended"]))


def past_of(rows: list[Row]) -> list[Past]:
    # the database has them in the order in which they came; one that came late ceased to hold before others
    return sorted((Past(memory_of(row), _time(row["until"])) for row in rows), key=lambda past: past.until)


def vector_row_of(vector: MemoryVector) -> Row:
    data = b64encode(vector.data).decode()
    return {"category": vector.category, "key": vector.key, "said_at": vector.said_at, "vector": data}


def vectors_of(rows: list[Row]) -> list[MemoryVector]:
    """Vectors are bytes, or base64 where JSON has no bytes."""
    return [
        MemoryVector(Category(row["category"]), row["key"], _time(row["said_at"]), _bytes(row["vector"]))
        for row in rows
    ]


def turns_of(rows: list[Row]) -> list[Turn]:
    return [Turn(row["id"], row["role"], row["text"], _time(row["said_at"]), bool(row["interrupted"])) for row in rows]


def mention_row_of(mention: Mention) -> Row:
    return {"conversation_id": mention.conversation, "turn": mention.turn, "text": mention.text}


def mentions_of(rows: list[Row]) -> list[Mention]:
    return [Mention(UUID(row["conversation_id"]), row["turn"], row["text"]) for row in rows]


def records_of(rows: list[Row]) -> list[SessionRecord]:
    return [
        SessionRecord(
            id=UUID(row["id"]),
            user=UUID(row["user_id"]),
            thread=row["thread"],
            room=row["room"],
            jobs=tuple(row["jobs"]),
            started_at=_time(row["started_at"]),
            seen_at=_time(row["seen_at"]),
            ended_at=_maybe_time(row["ended_at"]),
            end_reason=row["end_reason"],
        )
        for row in rows
    ]


def _bytes(data: bytes | str) -> bytes:
    return data if isinstance(data, bytes) else b64decode(data, validate=True)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _maybe_time(text: str | None) -> datetime | None:
    return None if text is None else _time(text)
