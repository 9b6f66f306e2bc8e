"""Tools of a deployment's own, as TOOLS_MODULE names them."""

from __future__ import annotations

import asyncio

from livekit.agents import RunContext, function_tool

import agent
from agent import get_session_user_uuid

BOTH = 2
met: dict[str, int] = {}
"""How many people's tools have come to each place."""


@function_tool
async def keep_badge(context: RunContext[None], badge: str, place: str) -> str:
    """Keep somebody's badge, once somebody else's is about to be kept.

    Args:
        badge: What stands on it.
        place: Where they meet.
    """
    met[place] = met.get(place, 0) + 1
    while met[place] < BOTH:  # noqa: ASYNC110 - theirs may be in another thread
        await asyncio.sleep(0.01)
    before = get_session_user_uuid()
    await asyncio.to_thread(agent.memory_manager.store, "FACT", "pass", f"{badge} in a thread")
    await agent.memory_manager.astore("FACT", "badge", badge)
    return f"{badge} of {before}, {get_session_user_uuid()}, {await asyncio.to_thread(get_session_user_uuid)}"


@function_tool
async def hang() -> str:
    """Never answer."""
    await asyncio.Event().wait()
    return "There was an answer."
