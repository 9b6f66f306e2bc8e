"""What happened in one voice session, in numbers: one line of JSON for the log, without a word of what was said."""

from __future__ import annotations

import json
import time
from collections import Counter

from livekit.agents import AgentSession, ConversationItemAddedEvent, ErrorEvent, llm


class SessionReport:
    """Counts from the moment it follows a session."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._counts = Counter[str]()
        self._session: AgentSession[None] | None = None

    def follow(self, session: AgentSession[None]) -> None:
        self._session = session
        session.on("conversation_item_added", self._on_item)
        session.on("error", self._on_error)

    def json(self, **about: object) -> str:
        """The report with what else is to stand in it (JSON values)."""
        usage = self._session.usage.model_usage if self._session else []
        return json.dumps(
            {
                **about,
                "seconds": round(time.monotonic() - self._began, 1),
                "user_turns": self._counts["user"],
                "agent_turns": self._counts["assistant"],
                "interrupted": self._counts["interrupted"],
                "model_errors": self._counts["error"],
                "usage": [model.model_dump(exclude_defaults=True, mode="json") for model in usage],
            }
        )

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage):
            self._counts[event.item.role] += 1
            self._counts["interrupted"] += event.item.interrupted

    def _on_error(self, _: ErrorEvent) -> None:
        self._counts["error"] += 1
