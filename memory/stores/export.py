"""What a person can take away with them, and bring back: the shape of an export, checked before any of it is stored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from memory.records import (
    MAX_KEY_CHARACTERS,
    MAX_THREAD_CHARACTERS,
    MAX_TURN_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    Category,
)


class _Record(BaseModel):
    # an unknown field would be lost on the way back, and a message that quotes the input would put it into a log
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ProfileRecord(_Record):
    id: UUID
    email: str | None
    is_first_login: bool
    created_at: AwareDatetime


class MemoryRecord(_Record):
    category: Category
    key: Annotated[str, Field(max_length=MAX_KEY_CHARACTERS)]
    value: Annotated[str, Field(max_length=MAX_VALUE_CHARACTERS)]
    said_at: AwareDatetime
    source: str | None
    conversation_id: UUID | None
    expires_at: AwareDatetime | None


class PastRecord(MemoryRecord):
    until: AwareDatetime


class ConversationRecord(_Record):
    id: UUID
    thread: Annotated[str, Field(max_length=MAX_THREAD_CHARACTERS)]
    summary: str | None
    created_at: AwareDatetime
    active_at: AwareDatetime


class SessionRecord(_Record):
    id: UUID
    conversation_id: UUID
    room: str
    jobs: list[str]
    started_at: AwareDatetime
    seen_at: AwareDatetime
    ended_at: AwareDatetime | None
    end_reason: str | None


class TurnRecord(_Record):
    conversation_id: UUID
    id: str
    role: Literal["user", "assistant"]
    text: Annotated[str, Field(max_length=MAX_TURN_CHARACTERS)]
    said_at: AwareDatetime
    interrupted: bool


class ConnectionRecord(_Record):
    app: str
    status: Literal["active", "expired"]
    scopes: str | None
    connected_at: AwareDatetime
    used_at: AwareDatetime


class Document(_Record):
    """Everything that is kept of one person. `profile` is None for somebody unknown, of whom there is nothing but
    perhaps the `connections` to their apps. These are told and not put back: what an app granted is in no export."""

    profile: ProfileRecord | None
    memories: list[MemoryRecord]
    past: list[PastRecord]
    conversations: list[ConversationRecord]
    sessions: list[SessionRecord]
    turns: list[TurnRecord]
    connections: list[ConnectionRecord] = []


def parse(user: UUID, document: dict[str, Any]) -> Document:
    """The document, if it is the user's own and complete. Raises `ValueError`, whose text holds nothing of it."""
    parsed = Document.model_validate(document)
    hanging = [*parsed.memories, *parsed.past, *parsed.sessions, *parsed.turns]
    if parsed.profile is None and (hanging or parsed.conversations):
        raise ValueError("the document has no profile that its records could belong to")
    if parsed.profile is not None and parsed.profile.id != user:
        raise ValueError("the document is another person's")
    conversations = {conversation.id for conversation in parsed.conversations}
    if not {record.conversation_id for record in hanging if record.conversation_id} <= conversations:
        raise ValueError("the document has records of a conversation that is not in it")
    return parsed


def timestamp(moment: datetime) -> str:
    """UTC with microseconds always written out, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
