"""Whose job this is, and how the session is tied to that one participant."""

from __future__ import annotations

from datetime import UTC, datetime

from livekit import rtc
from livekit.agents import JobContext
from livekit.agents.voice.room_io import AudioInputOptions, RoomOptions
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class RoomSettings(BaseSettings):
    """`console_identity` is who a console job talks to; no room ever sees it. `max_sessions` is how many people one
    worker talks to at once; without it the machine's cores and memory decide."""

    model_config = SettingsConfigDict(alias_generator=str.upper, populate_by_name=True, frozen=True)

    console_identity: str = "console@localhost"
    livekit_agent_name: str = "rapport"
    max_sessions: int | None = Field(default=None, ge=1)

    @field_validator("max_sessions", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value


# People who joined with a token of their own. A phone call's identity is a number that anybody can pretend to have.
_PERSON = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD


async def participant_identity(ctx: JobContext, settings: RoomSettings) -> str:
    """The signed identity of the participant this job is for: who joined the room first, or who comes first.

    The name, metadata and attributes of a participant are theirs to edit, so nothing but the identity counts. In a
    console job, where nobody has signed anything, it is `CONSOLE_IDENTITY`.
    """
    if ctx.is_fake_job():
        return settings.console_identity
    somebody = await ctx.wait_for_participant(kind=_PERSON)
    # where several are there already, that is any of them: the room lists people in no order
    there = [person for person in ctx.room.remote_participants.values() if _is_here(person)]
    return min(there, key=_joined_at, default=somebody).identity


def _is_here(participant: rtc.RemoteParticipant) -> bool:
    return participant.kind == _PERSON and participant.state == rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE


def _joined_at(participant: rtc.RemoteParticipant) -> datetime:
    return participant.joined_at or datetime.max.replace(tzinfo=UTC)


def room_options(identity: str) -> RoomOptions:
    """Hear this participant and nobody else.

    Without `participant_identity` the framework links whoever it meets first, who may be somebody other than the
    person whose memory was loaded (livekit-facts 3).
    """
    return RoomOptions(
        participant_identity=identity,
        # words come and transcripts go by the private line
        text_input=False,
        text_output=False,
        # a person who reloads the page or drops out comes back into the same session
        close_on_disconnect=False,
        # its handler must exist before connect(), when the person is not known yet
        audio_input=AudioInputOptions(pre_connect_audio=False),
    )
