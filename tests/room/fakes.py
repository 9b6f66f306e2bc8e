"""A room without a server, and streams that do not end: for what must be bounded before any session exists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from livekit import rtc
from livekit.agents.voice.io import AudioInput

from room.participant import Caller

_KINDS = {
    "standard": rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    "sip": rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
}


class FakeRoom(rtc.EventEmitter[str]):
    """As much of `rtc.Room` as is asked for: who is there, and what they send."""

    def __init__(self) -> None:
        super().__init__()
        self.remote_participants: dict[str, Any] = {}
        self.local_participant = SimpleNamespace(track_publications={}, set_track_subscription_permissions=self._permit)
        self.permitted: list[list[str]] = []
        """Who might listen, each time it was told."""
        self._handlers: dict[str, Callable[[Any, str], None]] = {}

    @property
    def as_room(self) -> rtc.Room:
        return cast("rtc.Room", self)

    def seat(self, caller: Caller | None) -> None:
        """Be there, alone; None for an empty room."""
        self.remote_participants.clear()
        if caller:
            there = SimpleNamespace(
                identity=caller.identity,
                kind=_KINDS[caller.kind],
                state=rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE,
                joined_at=datetime.now(UTC),
                track_publications={},
            )
            self.remote_participants[caller.identity] = there
            self.emit("participant_connected", there)

    def chat(self, reader: Any, sender: str) -> None:
        self._handlers["lk.chat"](reader, sender)

    def record(self, reader: Any, sender: str) -> None:
        self._handlers["lk.agent.pre-connect-audio-buffer"](reader, sender)

    def register_text_stream_handler(self, topic: str, handler: Callable[[Any, str], None]) -> None:
        self._handlers[topic] = handler

    register_byte_stream_handler = register_text_stream_handler

    def unregister_text_stream_handler(self, topic: str) -> None:
        del self._handlers[topic]

    unregister_byte_stream_handler = unregister_text_stream_handler

    def _permit(self, *, allow_all_participants: bool, participant_permissions: list[Any]) -> None:
        self.permitted.append([each.participant_identity for each in participant_permissions])


class Endless:
    """A stream that goes on with the same chunk for as long as it is read, or so often."""

    def __init__(self, chunk: str | bytes, info: Any = None, chunks: int = 1_000_000) -> None:
        self.info = info or SimpleNamespace(attributes={})
        self.read = 0
        self.closed = False
        self._chunk = chunk
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while self.read < self._chunks and not self.closed:
            self.read += 1
            await asyncio.sleep(0)
            yield self._chunk

    def close(self) -> None:
        self.closed = True


class Silent(AudioInput):
    """A microphone that is off."""

    def __init__(self) -> None:
        super().__init__(label="Silent")

    async def __anext__(self) -> rtc.AudioFrame:
        raise StopAsyncIteration
