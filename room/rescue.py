"""Placeholder by the architect until the rescue's owner overwrites this file; keep both names."""

from __future__ import annotations

from livekit.agents import JobContext


def is_superfluous(ctx: JobContext) -> bool:
    return False


async def leave_for_good(ctx: JobContext) -> None:
    return None
