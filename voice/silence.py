"""A person who says nothing is asked once, and then the call is over."""

from __future__ import annotations

import asyncio
from typing import Any

from livekit.agents import AgentSession, ConversationItemAddedEvent, UserStateChangedEvent, llm

STILL_THERE = "The person has been silent for a while. Ask in one short sentence whether they are still there."


class SilenceWatch:
    """Looks at one session, whoever's turn it is."""

    def __init__(self, session: AgentSession[None], seconds: float) -> None:
        """`seconds` of silence are waited for, twice."""
        self._session = session
        self._seconds = seconds
        self._heard = 0
        """How often the person was heard or read."""
        self._changed = asyncio.Event()
        session.on("user_state_changed", self._on_user_state)
        session.on("agent_state_changed", self._on_change)
        session.on("conversation_item_added", self._on_item)

    async def given_up(self) -> None:
        """Returns when the person was silent, was asked, and went on being silent."""
        while True:
            await self._silence()
            heard = self._heard
            self._session.generate_reply(instructions=STILL_THERE)
            await self._silence()
            if heard == self._heard:
                return

    async def _silence(self) -> None:
        """Returns after a stretch of it in which nobody spoke or thought."""
        while True:
            quiet = self._session.agent_state in ("idle", "listening") and self._session.user_state != "speaking"
            try:
                async with asyncio.timeout(self._seconds if quiet else None):
                    await self._changed.wait()
            except TimeoutError:
                return

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        # "away" is what the framework makes of silence, and no sign of life
        if event.new_state != "away":
            self._heard += event.new_state == "speaking"
            self._on_change(event)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage) and event.item.role == "user":
            self._heard += 1
            self._on_change(event)

    def _on_change(self, _: Any) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
