"""Whose job this is, and how the session is tied to that one participant."""

from __future__ import annotations

from livekit.agents import JobContext
from livekit.agents.voice.room_io import AudioInputOptions, RoomOptions
from pydantic_settings import BaseSettings, SettingsConfigDict


class RoomSettings(BaseSettings):
    """`console_identity` is who a console job talks to; no room ever sees it."""

    model_config = SettingsConfigDict(alias_generator=str.upper, populate_by_name=True, frozen=True)

    console_identity: str = "console@localhost"
    livekit_agent_name: str = "rapport"


async def participant_identity(ctx: JobContext, settings: RoomSettings) -> str:
    """The signed identity of the participant this job is for: the first person in the room, or who comes first.

    The name, metadata and attributes of a participant are theirs to edit, so nothing but the identity counts. In a
    console job, where nobody has signed anything, it is `CONSOLE_IDENTITY`.
    """
    if ctx.is_fake_job():
        return settings.console_identity
    participant = await ctx.wait_for_participant()
    return participant.identity


def room_options(identity: str) -> RoomOptions:
    """Hear this participant and nobody else.

    Without `participant_identity` the framework links whoever it meets first, who may be somebody other than the
    person whose memory was loaded (livekit-facts 3).
    """
    return RoomOptions(
        participant_identity=identity,
        # a person who reloads the page or drops out comes back into the same session
        close_on_disconnect=False,
        # its handler must exist before connect(), when the person is not known yet
        audio_input=AudioInputOptions(pre_connect_audio=False),
    )
