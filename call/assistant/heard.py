"""What the person said, as far as a realtime model lets us know: it answers, and calls tools, before their words are
written down.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from livekit.agents import llm

log = logging.getLogger("rapport")

# How long, in seconds, a tool waits for the words that it is to judge.
_LONGEST_TRANSCRIPT = 2.5


class Heard:
    """The person's turns in the order in which the model heard them, also those whose words nobody knows."""

    def __init__(self, model: llm.RealtimeSession[Any]) -> None:
        self._transcribed: dict[str, asyncio.Event] = {}
        """By the id of the turn: whether its words are known, or never will be."""
        for item in model.chat_ctx.items:
            self._add(item)
        model.on("remote_item_added", self._on_item)
        model.on("input_audio_transcription_completed", self._on_words)
        model.on("openai_server_event_received", self._on_server)

    async def turns(self, history: llm.ChatContext) -> list[str]:
        """The words of each, from the history; of the last they are waited for, since a tool is called in answer to
        it. Empty where they are not known."""
        turns = list(self._transcribed)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_TRANSCRIPT):
                for turn in turns[-1:]:
                    await self._transcribed[turn].wait()
        words = {message.id: message.text_content or "" for message in history.messages()}
        return [words.get(turn, "") for turn in turns]

    def _add(self, item: llm.ChatItem) -> None:
        if item.type == "message" and item.role == "user":
            transcribed = self._transcribed.setdefault(item.id, asyncio.Event())
            if item.text_content:  # typed, or told to another connection
                transcribed.set()

    def _on_item(self, event: llm.RemoteItemAddedEvent) -> None:
        self._add(event.item)

    def _on_words(self, event: llm.InputTranscriptionCompleted) -> None:
        if event.is_final and event.item_id in self._transcribed:
            self._transcribed[event.item_id].set()

    def _on_server(self, event: dict[str, Any]) -> None:
        if event["type"] == "conversation.item.input_audio_transcription.failed":
            log.error("[MEMORY FAILED] a turn was not transcribed: nothing of it is kept")
            if transcribed := self._transcribed.get(event["item_id"]):
                transcribed.set()
