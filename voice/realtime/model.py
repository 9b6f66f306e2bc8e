"""OpenAI's realtime model, as a person on the telephone needs it: it says when it is late, is asked again after a lost
connection, and remembers of its own words what was heard of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any, Literal, cast

import aiohttp
from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, llm
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from livekit.plugins import openai
from openai.types import realtime as protocol

from voice.failure import TTS_PATIENCE, frames_of

log = logging.getLogger("rapport.voice")

MEANWHILE = "meanwhile"
"""The message that says "one moment": no server knows of it."""

# As often as the call lasts, a second apart: it is `Recovery` that decides when an outage has lasted too long.
CONNECT = APIConnectOptions(max_retry=1_000_000, retry_interval=1.0, timeout=4.0)
# So long, in seconds, a reply waits until the server says that it has the person's words. They are on their way all
# the same: what was sent first is read first.
_CONFIRMED_IN = 0.5
# A server that owes an answer and says nothing for so many seconds is lost, whatever the connection looks like. In an
# answer that has begun a model may think for a while.
_LONGEST_SILENCE = 4.0
_LONGEST_THOUGHT = 10.0

_FIRST_EVENTS = (
    protocol.RealtimeSessionCreateRequest,
    protocol.SessionUpdateEvent,
    protocol.ConversationItemCreateEvent,
    protocol.ResponseCreateEvent,
    protocol.ConversationItemAdded,
    protocol.ResponseCreatedEvent,
    protocol.ResponseOutputItemAddedEvent,
    protocol.ResponseContentPartAddedEvent,
    protocol.ResponseOutputItemDoneEvent,
    protocol.ResponseDoneEvent,
)

_Reply = asyncio.Task[llm.GenerationCreatedEvent]


def prepare_protocol() -> None:
    """The SDK makes each kind of event ready at its first use: 0.2 s of blocking work in all, in the first second of a
    call."""
    for event in _FIRST_EVENTS:
        event.model_rebuild()


class PatientRealtimeModel(openai.realtime.RealtimeModel):
    """A realtime model of one call."""

    meanwhile: Callable[[], Sequence[rtc.AudioFrame]] = tuple
    """What is heard where an answer is late."""
    is_awaited = False
    """Whether the person spoke, and nothing has come of it yet."""
    listened_at = float("-inf")
    """When the server said last that it hears something, in seconds of the monotonic clock."""

    def session(self, *, turn_detection_disabled: bool = False) -> openai.realtime.RealtimeSession:
        session = _Session(self, turn_detection_disabled=turn_detection_disabled)
        self._sessions.add(session)
        return session

    @property
    def is_asked(self) -> bool:
        """Whether a reply was asked for and has not begun. After a lost connection it is asked for again."""
        return any(isinstance(session, _Session) and session.is_asked for session in self._sessions)

    @property
    def is_answering(self) -> bool:
        """Whether there is more of an answer to come."""
        return any(isinstance(session, _Session) and session.is_answering for session in self._sessions)


class _Session(openai.realtime.RealtimeSession):
    def __init__(self, model: PatientRealtimeModel, *, turn_detection_disabled: bool) -> None:
        self._model = model
        self._away = False
        """Whether a connection was lost, and there is no other yet."""
        self._reconnections = 0
        self._said_at = 0.0
        """When the server said anything, in seconds of the monotonic clock."""
        self._heard: dict[str, str] = {}
        """Of the answers that were cut off, by id, what was heard."""
        self._replies = set[_Reply]()
        self._updates = set[asyncio.Task[None]]()
        self._confirmed_in: float | None = None
        """How long, in seconds, the next change of the conversation is waited for. The first is all of it."""
        super().__init__(model, turn_detection_disabled=turn_detection_disabled)
        self.on("openai_server_event_received", self._on_server)
        self.on("generation_created", self._on_generation)
        self.on("session_reconnected", self._on_reconnected)

    @property
    def is_asked(self) -> bool:
        return bool(self._replies)

    @property
    def is_answering(self) -> bool:
        return self._current_generation is not None

    async def aclose(self) -> None:
        """A session that failed closes like any other. The framework's own raises once more what it had failed with,
        before the agent has left the room."""
        for unconfirmed in cast("dict[str, asyncio.Future[None]]", self._chat_ctx_event_futures).values():
            if not unconfirmed.done():
                unconfirmed.set_result(None)  # nobody waits for it any more
        with contextlib.suppress(APIError):  # it was told of when it came
            await super().aclose()

    # -- replies that are asked for

    def generate_reply(self, **asked: Any) -> asyncio.Future[llm.GenerationCreatedEvent]:
        """As the framework's, but asked once more where the connection is lost before the answer begins; and where
        it is late, the person hears of that in the answer itself: `session.say` would queue behind it."""
        answer = asyncio.create_task(self._answer(super().generate_reply(**asked), asked))
        self._replies.add(answer)
        answer.add_done_callback(self._replies.discard)
        return asyncio.create_task(self._in_time(answer))

    def send_event(self, event: Any) -> None:
        # what is asked while there is no connection is asked anew on the next: the server would be asked twice
        if not (self._away and isinstance(event, protocol.ResponseCreateEvent)):
            super().send_event(event)

    def interrupt(self) -> None:
        for answer in list(self._replies):
            answer.cancel()
        super().interrupt()

    async def _answer(
        self, first: asyncio.Future[llm.GenerationCreatedEvent], asked: dict[str, Any]
    ) -> llm.GenerationCreatedEvent:
        reconnections = self._reconnections
        try:
            return await first
        except llm.RealtimeError:
            if self._reconnections == reconnections:
                raise
        return await super().generate_reply(**asked)

    async def _in_time(self, answer: _Reply) -> llm.GenerationCreatedEvent:
        try:
            await asyncio.wait({answer}, timeout=TTS_PATIENCE)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        if answer.done():
            return await answer
        return llm.GenerationCreatedEvent(_late_messages(answer, self._hold_on()), _late_calls(answer), True)

    def _on_generation(self, event: llm.GenerationCreatedEvent) -> None:
        event.message_stream = self._patiently(event.message_stream)

    async def _patiently(self, messages: AsyncIterable[llm.MessageGeneration]) -> AsyncIterator[llm.MessageGeneration]:
        rest = aiter(messages)
        first = asyncio.ensure_future(anext(rest, None))
        try:
            await asyncio.wait({first}, timeout=TTS_PATIENCE)
            if not first.done():
                yield self._hold_on()
            if message := await first:
                yield message
        finally:
            first.cancel()
        async for message in rest:
            yield message

    def _hold_on(self) -> llm.MessageGeneration:
        """Sound without words: the conversation knows nothing of it."""
        spoken = asyncio.get_running_loop().create_future()
        spoken.set_result(["audio", "text"])
        return llm.MessageGeneration(MEANWHILE, _nothing(), frames_of(self._model.meanwhile()), spoken)

    # -- the conversation, as the server has it

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        """As the framework's, but after the beginning nobody waits longer than half a second for the server to confirm
        it."""
        longest, self._confirmed_in = self._confirmed_in, _CONFIRMED_IN
        update = asyncio.create_task(super().update_chat_ctx(chat_ctx))
        self._updates.add(update)
        update.add_done_callback(self._on_updated)
        await asyncio.wait({update}, timeout=longest)
        if update.done():
            update.result()

    def _on_updated(self, update: asyncio.Task[None]) -> None:
        self._updates.discard(update)
        if not update.cancelled() and (error := update.exception()):
            log.error("[VOICE FAILED] the model did not confirm what it was told: %s", type(error).__name__)

    def truncate(
        self,
        *,
        message_id: str,
        modalities: list[Literal["text", "audio"]],
        audio_end_ms: int,
        audio_transcript: NotGivenOr[str] = NOT_GIVEN,
    ) -> None:
        """As the framework's, but its own record of the conversation is cut as well: it is what the next connection
        is told."""
        if message_id == MEANWHILE:
            return
        if isinstance(audio_transcript, str):
            self._heard[message_id] = audio_transcript
            self._cut_off()
        if not self._away:  # the next server has no sound of it
            super().truncate(
                message_id=message_id,
                modalities=modalities,
                audio_end_ms=audio_end_ms,
                audio_transcript=audio_transcript,
            )

    def _handle_response_done(self, event: protocol.ResponseDoneEvent) -> None:
        try:
            super()._handle_response_done(event)
        finally:
            self._cut_off()

    def _cut_off(self) -> None:
        for message_id, heard in self._heard.items():
            record = self._remote_chat_ctx.get(message_id)
            if record and isinstance(record.item, llm.ChatMessage):
                record.item.content[:] = [heard]

    # -- the connection

    async def _run_ws(self, ws_conn: aiohttp.ClientWebSocketResponse) -> None:
        self._away = False
        self._said_at = time.monotonic()
        watch = asyncio.create_task(self._close_silent(ws_conn))
        try:
            await super()._run_ws(ws_conn)
        finally:
            self._away = True
            watch.cancel()

    async def _close_silent(self, ws_conn: aiohttp.ClientWebSocketResponse) -> None:
        """A closed connection is followed by another."""
        owed_since = float("inf")
        while True:
            await asyncio.sleep(0.25)
            now = time.monotonic()
            owes = self.is_asked or self.is_answering or self._model.is_awaited
            owed_since = min(owed_since, now) if owes else float("inf")
            longest = _LONGEST_THOUGHT if self.is_answering else _LONGEST_SILENCE
            if now - max(owed_since, self._said_at) > longest:
                log.error("[VOICE FAILED] the model says nothing: it is connected to anew")
                await ws_conn.close()

    def _on_server(self, event: dict[str, Any]) -> None:
        self._said_at = time.monotonic()
        if event["type"].startswith("input_audio_buffer."):
            self._model.listened_at = self._said_at

    def _on_reconnected(self, _: llm.RealtimeSessionReconnectedEvent) -> None:
        self._reconnections += 1


async def _late_messages(answer: _Reply, hold_on: llm.MessageGeneration) -> AsyncIterator[llm.MessageGeneration]:
    yield hold_on
    if event := await _outcome(answer):
        async for message in event.message_stream:
            yield message


async def _late_calls(answer: _Reply) -> AsyncIterator[llm.FunctionCall]:
    if event := await _outcome(answer):
        async for call in event.function_stream:
            yield call


async def _outcome(answer: _Reply) -> llm.GenerationCreatedEvent | None:
    """None where it never came: the reply is then as empty as one that says nothing, and told of like it."""
    await asyncio.wait({answer})
    return None if answer.cancelled() or answer.exception() else answer.result()


async def _nothing() -> AsyncIterator[str]:
    for text in ():
        yield text
