"""What is kept of the turns of a call: the transcript, and what the person stated about themselves."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial

from livekit.agents import AgentSession, ConversationItemAddedEvent, UserInputTranscribedEvent, llm

import metrics
from call.services import Services
from memory.curation.extraction import extracted
from memory.records import Turn
from memory.sessions.session import SessionClosed, SessionMemory
from memory.sessions.summary import LAST_TURNS, request_for_summary
from memory.stores.protocol import StoreError
from room.tasks import Tasks
from voice.session import Voice

log = logging.getLogger("rapport")


def keep_turns(
    session: AgentSession[None], remembering: SessionMemory, services: Services, voice: Voice, tasks: Tasks
) -> None:
    """Keep each turn as it happens: nothing tells us beforehand that a call will end.

    Only committed turns come through `conversation_item_added`, for voice and text alike; of the agent's words, what
    was heard of them. `tasks` are those in which the person's turns are read.
    """
    settings = services.settings.memory
    heard: list[str] = []
    extract = partial(extracted, ask=voice.ask) if settings.memory_extraction == "llm" else None

    async def capture(turn: Turn) -> None:
        try:
            await remembering.capture(turn, extract)
        except (StoreError, SessionClosed) as error:
            log.error("[MEMORY FAILED] a turn was not stored: %s", error)

    def on_words(event: UserInputTranscribedEvent) -> None:
        """In the silence that ends a turn there is time to find out what was said so far means."""
        if event.is_final:
            heard.append(event.transcript)
            remembering.expect(" ".join(heard))

    def on_item(event: ConversationItemAddedEvent) -> None:
        if (turn := turn_of(event.item)) is None:
            return
        if settings.transcript_retention_days:
            remembering.append_turn(turn)
        if turn.role == "user":
            heard.clear()
            tasks.spawn(capture(turn))
        metrics.WRITES_WAITING.set(services.memory.depth())

    session.on("conversation_item_added", on_item)
    if services.settings.voice.voice_mode == "pipeline":  # else no turn's own words are searched for
        session.on("user_input_transcribed", on_words)


def turn_of(item: object) -> Turn | None:
    """A committed item as a turn of the transcript; None for tools, instructions and what is not said."""
    if not isinstance(item, llm.ChatMessage) or item.role not in ("user", "assistant") or not item.text_content:
        return None
    said_at = datetime.fromtimestamp(item.created_at, UTC)
    return Turn(item.id, item.role, item.text_content, said_at, item.interrupted)


async def summarise(voice: Voice, remembering: SessionMemory, seconds: float) -> None:
    """Have the language model say what the conversation was about; without an answer in time, our own summary
    stays."""
    said = [turn.text for item in voice.session.history.items if (turn := turn_of(item)) and turn.role == "user"]
    if said:
        try:
            async with asyncio.timeout(seconds):
                remembering.summarise(await voice.ask(request_for_summary(said[-LAST_TURNS:])))
        except Exception as error:  # whatever a client raises, the call ends
            log.warning("[VOICE FAILED] no summary: %s", type(error).__name__)
