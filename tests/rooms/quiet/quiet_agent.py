"""The shipped worker, whose agents publish a track, as voices do, and say nothing: many of them fit on two cores."""

from __future__ import annotations

from livekit import rtc
from livekit.agents import JobContext

import agent
from room.dispatch import is_superfluous, withdraw


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    if is_superfluous(ctx):
        await withdraw(ctx)
        ctx.shutdown(reason="superfluous")
        return
    track = rtc.LocalAudioTrack.create_audio_track("voice", rtc.AudioSource(16_000, 1))
    await ctx.room.local_participant.publish_track(track)


server = agent.server
server._entrypoint_fnc = entrypoint
server._session_end_fnc = None
