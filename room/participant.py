"""Whose job this is: the signed identities of the people the agent talks to, and whether they are still there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, cast

from livekit import rtc
from livekit.agents.voice.room_io import AudioInputOptions, AudioOutputOptions, RoomOptions
from livekit.agents.worker import ServerEnvOption
from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from identity import Kind, kind_among


class RoomPolicy(StrEnum):
    """Who is heard in a room, and who hears the agent."""

    SINGLE = "single"
    """One person is heard, and only they hear the agent."""
    AUDIENCE = "audience"
    """One person is heard; everybody, recorders included, hears the agent."""
    EVERYONE = "everyone"
    """Each person has a session, a memory, an agent's voice and a transcript of their own."""


class RoomSettings(BaseSettings):
    """`console_identity` is who a console job talks to; no room ever sees it.

    `max_sessions` is how many people one worker talks to at once; without it the machine's cores and memory decide.
    `worker_port` is where a worker says that it is well, 0 for any free port; without it the framework decides, and of
    two workers on one machine the second finds it taken.
    `identity_from` says where the person's identity is signed: in their own token, or in the job's metadata.
    `identity_scope` says where a telephone caller is one person: in the whole deployment, or for each number that is
    called, or for each trunk that calls come by.
    `reconnect_grace` is how long, in seconds, a person who is gone is waited for, and `arrival_timeout` how long
    anybody is waited for in a room where nobody has come yet. `idle_timeout` is how long, in seconds, a person may say
    nothing before they are asked, and again before the call ends; `max_call_length` is how long any call may last.
    """

    model_config = SettingsConfigDict(alias_generator=str.upper, populate_by_name=True, frozen=True)

    console_identity: str = "console@localhost"
    livekit_agent_name: str = "rapport"
    max_sessions: int | None = Field(default=None, ge=1)
    worker_port: int | None = Field(default=None, ge=0, le=65535)
    room_policy: RoomPolicy = RoomPolicy.SINGLE
    participant_kinds: Annotated[tuple[Kind, ...], NoDecode] = ("standard",)
    identity_from: Literal["participant", "metadata"] = "participant"
    identity_scope: Literal["deployment", "called_number", "trunk"] = "deployment"
    reconnect_grace: float = Field(default=20.0, ge=0, le=3600)
    arrival_timeout: float = Field(default=60.0, gt=0, le=3600)
    idle_timeout: float = Field(default=60.0, gt=0, le=3600)
    max_call_length: float = Field(default=7200.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: dict[str, Any]) -> dict[str, Any]:
        # but for the agent's name: without one a worker joins every room by itself
        return {name: value for name, value in values.items() if value != "" or name == "LIVEKIT_AGENT_NAME"}

    @field_validator("participant_kinds", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    def known_as(self, caller: Caller) -> Kind:
        """The kind that is a part of who they are."""
        return kind_among(caller.kind, self.participant_kinds) or caller.kind  # a console's is not asked for

    @property
    def port(self) -> ServerEnvOption[int]:
        """Of the worker's own server, as the framework wants it; in development it takes any."""
        chosen = self.worker_port
        return ServerEnvOption(dev_default=chosen or 0, prod_default=8081 if chosen is None else chosen)

    @property
    def by_metadata(self) -> bool:
        """Does the metadata of a dispatch say whom its agent is for?"""
        return self.identity_from == "metadata"

    def identity_in(self, metadata: str) -> str | None:
        """Who a job is for by the metadata of its dispatch, `{"identity": "alice@example.com"}`, where that is asked.

        Only who holds the API secret can write it, in a dispatch or in a token. Raises `MetadataError`.
        """
        if not self.by_metadata:
            return None
        identity = _parsed(metadata).get("identity")
        if not isinstance(identity, str):
            raise MetadataError(
                'IDENTITY_FROM is "metadata", so each dispatch must say in its metadata who it is for: '
                '{"identity": "alice@example.com"}'
            )
        return identity


_KINDS: dict[Kind, rtc.ParticipantKind.ValueType] = {
    "standard": rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    "sip": rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
    "connector": rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR,
}
_NAMES: dict[int, Kind] = {value: kind for kind, value in _KINDS.items()}
_CONNECTORS: dict[int, Kind] = {
    rtc.ParticipantKindDetail.PARTICIPANT_KIND_DETAIL_CONNECTOR_WHATSAPP: "whatsapp",
    rtc.ParticipantKindDetail.PARTICIPANT_KIND_DETAIL_CONNECTOR_TWILIO: "twilio",
}


class NobodyCame(Exception):
    """Nobody whom the agent could talk to has come into the room in time."""


class MetadataError(ValueError):
    """The job's metadata does not say who the job is for; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A participant by what the server vouches for. Their name, metadata and attributes are theirs to edit."""

    identity: str
    kind: Kind = "standard"


def thread_in(metadata: str) -> str | None:
    """The conversation that a dispatch names, `{"thread_id": "…"}`. Without one it is the room's."""
    thread = _parsed(metadata).get("thread_id")
    return thread if isinstance(thread, str) and thread.strip() else None


def _parsed(metadata: str) -> dict[str, Any]:
    try:
        parsed = json.loads(metadata)
    except ValueError:
        return {}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}


def present(room: rtc.Room, identity: str) -> Caller | None:
    """Who is in the room under that identity, which LiveKit gives to one participant at a time; None when nobody we
    could talk to is. A telephone's number and a token of the same name are two people."""
    participant = room.remote_participants.get(identity)
    return _caller(participant) if participant and participant.kind in _NAMES else None


def shown_by(room: rtc.Room, caller: Caller, attribute: str) -> str:
    """An attribute of their own, "" without one. It is theirs to edit, and proves nothing."""
    if present(room, caller.identity) != caller:
        return ""
    return room.remote_participants[caller.identity].attributes.get(attribute, "")


# Set by LiveKit's own telephone service, and by nobody who calls.
_SCOPES = {"called_number": "sip.trunkPhoneNumber", "trunk": "sip.trunkID"}


def scope_of(room: rtc.Room, caller: Caller, settings: RoomSettings) -> str | None:
    """What of their call is a part of who they are, "" where nothing is; None where it is asked for and not known."""
    attribute = _SCOPES.get(settings.identity_scope)
    if caller.kind != "sip" or attribute is None:
        return ""
    return shown_by(room, caller, attribute).strip() or None


def is_taken(room: rtc.Room, caller: Caller) -> bool:
    """Whether somebody else is in the room under their identity."""
    return caller.identity in room.remote_participants and present(room, caller.identity) != caller


class Attendance:
    """Who is in a room. Make it before `connect()`; it does nothing but look, and ends with the room."""

    def __init__(self, room: rtc.Room, settings: RoomSettings, after_the_room: float = 3.0) -> None:
        """`after_the_room` is how much longer than the room's own departure timeout somebody is waited for: that one
        comes first where both are the same."""
        self._room = room
        self._grace = settings.reconnect_grace + after_the_room
        self._settings = settings
        self._changed = asyncio.Event()
        for event in ("participant_connected", "participant_active", "participant_disconnected"):
            room.on(event, self.look_again)

    async def first(self, identity: str | None = None) -> Caller:
        """Who joined the room first, or who comes first; only this one, where an identity is given.

        Raises `NobodyCame` after `arrival_timeout` seconds.
        """
        try:
            async with asyncio.timeout(self._settings.arrival_timeout):
                return await self.newcomer(identity=identity)
        except TimeoutError:
            raise NobodyCame(f"nobody came within {self._settings.arrival_timeout:g} s") from None

    async def newcomer(self, besides: Collection[Caller] = (), identity: str | None = None) -> Caller:
        """The one who joined first of those who are not among `besides`, as soon as there is one."""
        while True:
            callers = [
                participant
                for participant in self._room.remote_participants.values()
                if participant.kind in _NAMES
                and kind_among(_caller(participant).kind, self._settings.participant_kinds)
                and participant.state == rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
                and identity in (None, participant.identity)
                and _caller(participant) not in besides
            ]
            if callers:  # the room lists them in no order
                return _caller(min(callers, key=seniority))
            await self._changed.wait()

    async def gone(self, caller: Caller) -> None:
        """Returns when they have been away for `reconnect_grace` seconds without a break."""
        while True:
            while present(self._room, caller.identity) == caller:
                await self._changed.wait()
            try:
                async with asyncio.timeout(self._grace):
                    while present(self._room, caller.identity) != caller:
                        await self._changed.wait()
            except TimeoutError:
                return

    def look_again(self, *_: object) -> None:
        """Let `newcomer` see that `besides` has changed: who has lost their seat may still be there."""
        self._changed.set()
        self._changed = asyncio.Event()


def _caller(participant: rtc.RemoteParticipant) -> Caller:
    kind = _NAMES[participant.kind]
    if kind == "connector":
        for detail in participant.kind_details:
            kind = _CONNECTORS.get(detail, kind)
    return Caller(participant.identity, kind)


def seniority(who: rtc.Participant) -> tuple[datetime, str]:
    """Who joined first has the least; who joined in the same moment is told apart too."""
    return who.joined_at or datetime.max.replace(tzinfo=UTC), who.identity


def room_options(
    caller: Caller, track_name: str, noise_filter: rtc.FrameProcessor[rtc.AudioFrame] | None = None
) -> RoomOptions:
    """Hear this participant and nobody else.

    Without `participant_identity` the framework links whoever it meets first, who may be somebody other than the
    person whose memory was loaded.
    """
    return RoomOptions(
        participant_identity=caller.identity,
        participant_kinds=[_KINDS.get(caller.kind, rtc.ParticipantKind.PARTICIPANT_KIND_CONNECTOR)],
        audio_output=AudioOutputOptions(track_name=track_name),
        # words come and transcripts go by the private line
        text_input=False,
        text_output=False,
        # a person who reloads the page or drops out comes back into the same session
        close_on_disconnect=False,
        # its handler must exist before connect(), when the person is not known yet; ours is `early_audio`
        # in pieces of 20 ms: with the framework's 50 it is heard so much later that somebody goes on after a pause
        audio_input=AudioInputOptions(pre_connect_audio=False, frame_size_ms=20, noise_cancellation=noise_filter),
    )
