"""What is kept of the turns of a call: the transcript, and what the person stated about themselves."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    llm,
)

import metrics
from call.services import Services
from memory.curation.summary import LAST_TURNS, request_for_summary
from memory.language.private.discretion import Heard
from memory.language.utterances import SILENCE_SECONDS, heard_enough
from memory.manager import MemoryManager
from memory.records import Turn
from memory.sessions.curating import Curating
from memory.sessions.session import SessionClosed, SessionMemory
from memory.stores.protocol import StoreError
from voice.session import Voice

log = logging.getLogger("rapport")


def keep_turns(
    session: AgentSession[None], remembering: SessionMemory, services: Services, curating: Curating | None
) -> None:
    """Keep each turn as it happens: nothing tells us beforehand that a call will end.

    Only committed turns come through `conversation_item_added`, for voice and text alike; of the agent's words, what
    was heard of them.
    """
    settings = services.settings.memory
    listening = Listening(session, remembering, asyncio.get_running_loop())
    transcribed: list[str] = []

    def on_words(event: UserInputTranscribedEvent) -> None:
        """In the silence that ends a turn there is time to find out what was said so far means."""
        if event.is_final:
            transcribed.append(event.transcript)
            remembering.expect(" ".join(transcribed))

    def on_item(event: ConversationItemAddedEvent) -> None:
        if (turn := turn_of(event.item)) is None:
            return
        if turn.role == "user":
            transcribed.clear()
        try:
            heard = privately(remembering, services, turn)
            for kept in heard.transcript if settings.transcript_retention_days else ():
                remembering.append_turn(kept)
            if curating and turn.role == "user":
                curating.turn()
            listening.take(heard.statement if turn.role == "user" else turn)
        except (StoreError, SessionClosed) as error:
            log.error("[MEMORY FAILED] a turn was not stored: %s", error)
        metrics.WRITES_WAITING.set(services.memory.depth())

    session.on("conversation_item_added", on_item)
    if services.settings.voice.voice_mode == "pipeline":  # else no turn's own words are searched for
        session.on("user_input_transcribed", on_words)


class Listening:
    """Tells when what the person says is whole: an answer to it was heard, or nothing came for a while.

    Of an answer that the person cut off, the session tells only when their next turn is there. So what was heard is
    counted from the agent's state.
    """

    def __init__(
        self, session: AgentSession[None], remembering: SessionMemory, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._remembering = remembering
        self._loop = loop
        self._heard = 0.0
        """How much of an answer, in seconds, until the agent fell silent."""
        self._speaks_since: float | None = None
        self._person_speaks = False
        self._whole: asyncio.TimerHandle | None = None
        session.on("agent_state_changed", self._on_agent_state)
        session.on("user_state_changed", self._on_user_state)

    def take(self, turn: Turn | None) -> None:
        """None for words of the person that are not to be remembered."""
        if turn is None or turn.role == "user":
            if turn:
                self._remembering.hear(turn)
            self._heard, self._speaks_since = 0.0, self._speaks_since and self._loop.time()
            self._wait()
        elif not turn.interrupted:  # heard to its end
            self._remembering.settle()

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        if self._speaks_since is not None:
            self._heard += self._loop.time() - self._speaks_since
        self._speaks_since = self._loop.time() if event.new_state == "speaking" else None
        self._wait()

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        self._person_speaks = event.new_state == "speaking"
        self._wait()

    def _wait(self) -> None:
        """Until enough of an answer is heard, or until both were silent for long."""
        if self._whole:
            self._whole.cancel()
        if (said := self._remembering.unsettled) is None:
            return
        if self._speaks_since is not None:
            self._whole = self._loop.call_later(heard_enough(said.text) - self._heard, self._remembering.settle)
        elif not self._person_speaks:
            self._whole = self._loop.call_later(SILENCE_SECONDS, self._remembering.settle)


def privately(remembering: SessionMemory, services: Services, turn: Turn) -> Heard:
    """What of a turn may be kept. What the person takes back in it is forgotten."""
    said = remembering.unsettled
    heard = remembering.discretion.hear(turn, said.id if said else None)
    for why in heard.left_out:
        log.info("[PRIVATE] something is left out of what is kept: %s", why)
        metrics.LEFT_OUT.labels(why).inc()
    if said and heard.taken_back == said.id:
        remembering.unsettled = None
    elif heard.taken_back and remembering.remembered:
        task = asyncio.create_task(take_back(services.memory, heard.taken_back))
        remembering.taking_back.add(task)
        task.add_done_callback(remembering.taking_back.discard)
    return heard


async def take_back(memory: MemoryManager, utterance: str) -> None:
    """Forget what is remembered of an utterance, by the id of its first turn. What it had replaced holds again."""
    try:
        told = [known for known in await memory.amemories() if known.source == utterance]
        # the last that stood under each name
        before = {(one.memory.category, one.memory.key): one.memory.value for one in await memory.apast()}
        await memory.aforget_these(told)
        for known in told:
            if value := before.get((known.category, known.key)):
                await memory.astore(known.category, known.key, value)
    except (StoreError, SessionClosed) as error:
        log.error("[MEMORY FAILED] what was taken back is not forgotten: %s", error)


def turn_of(item: object) -> Turn | None:
    """A committed item as a turn of the transcript; None for tools, instructions and what is not said."""
    if not isinstance(item, llm.ChatMessage) or item.role not in ("user", "assistant") or not item.text_content:
        return None
    said_at = datetime.fromtimestamp(item.created_at, UTC)
    return Turn(item.id, item.role, item.text_content, said_at, item.interrupted)


async def summarise(voice: Voice, remembering: SessionMemory, seconds: float) -> None:
    """Have the language model say what the conversation was about; without an answer in time, our own summary
    stays."""
    turns = [turn for item in voice.session.history.items if (turn := turn_of(item)) and turn.role == "user"]
    if said := [text for turn in turns if (text := remembering.discretion.kept_of(turn))]:
        try:
            async with asyncio.timeout(seconds):
                remembering.summarise(await voice.ask(request_for_summary(said[-LAST_TURNS:])))
        except Exception as error:  # whatever a client raises, the call ends
            log.warning("[VOICE FAILED] no summary: %s", type(error).__name__)
