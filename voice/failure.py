"""What the person hears when a model fails: that something went wrong, within three seconds, in their session alone.

Left to itself a session is silent for 12 s and more in most of these cases, and for good when a model answers with
nothing at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from livekit import rtc
from livekit.agents import AgentSession, APIConnectOptions, APIStatusError, ErrorEvent, llm, tts
from livekit.agents.types import FlushSentinel
from livekit.agents.utils import aio
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.agent_session import SessionConnectOptions

from voice.phrases import ENGLISH, Phrases

log = logging.getLogger("rapport.voice")

APOLOGY, HOLD_ON = ENGLISH.apology, ENGLISH.hold_on
# How long, in seconds, a person waits for a first sound, and for the first word of a reply: their words were ended and
# understood before, in half a second, and the sound of it has a way to go (with 2.0 it was heard after 2.9 to 3.3 s on
# two busy cores).
TTS_PATIENCE = 1.7
# Whoever was told to wait waits no longer than so for the rest, in seconds. OpenAI's models are given up before.
LONGEST_WAIT = 25.0
# One failure is reported several times, by each retry and by each sentence: it is announced once in so many seconds.
_ONCE_IN = 4.0
_CLIP_SECONDS = 10.0
_TONE_RATE = 24_000
# bad request, moderated, too large, not to be processed; any other client error is about the key or the address
_REFUSALS = (400, 403, 413, 422)
_Chunk = llm.ChatChunk | str | FlushSentinel

# One quick second try; a person does not wait for a third. And no number of failures ends the call: the next turn may
# work, and hanging up is the person's to do.
CONNECT = SessionConnectOptions(
    stt_conn_options=APIConnectOptions(max_retry=1, timeout=10.0),
    llm_conn_options=APIConnectOptions(max_retry=1, timeout=10.0),
    tts_conn_options=APIConnectOptions(max_retry=1, timeout=10.0),
    max_unrecoverable_errors=1_000_000,
)


class Apology:
    """Announces failures in one session, in words recorded beforehand: the voice itself may be what failed."""

    def __init__(self, session: AgentSession[None], tts: tts.TTS[Any] | None, *, may_end: bool = False) -> None:
        """Without a `tts`, a tone stands for the words. With `may_end` a failure may end the call, with a farewell."""
        self._session = session
        self._tts = tts
        self._tone = [_tone(tts.sample_rate if tts else _TONE_RATE)]
        self._meanwhile: Sequence[rtc.AudioFrame] = self._tone
        self._may_end = may_end
        self._phrases = ENGLISH
        self._clips: dict[str, Sequence[rtc.AudioFrame]] = {}
        self._said_at = float("-inf")

    async def record(self, phrases: Phrases = ENGLISH) -> None:
        """Have the words ready; again where the person turns to another language. Where the voice fails already now, a
        tone stands for them, or what was recorded before."""
        if not self._clips:  # a tone says it in any language
            self._phrases = phrases
        if self._tts is None:
            return
        try:
            async with asyncio.timeout(_CLIP_SECONDS):
                for text in [phrases.apology, phrases.farewell][: 1 + self._may_end]:
                    self._clips[text] = await self._spoken(self._tts, text)
                self._phrases = phrases
                self._meanwhile = await self._spoken(self._tts, phrases.hold_on)
        except Exception as error:  # a vendor's own, too
            log.error(
                "[VOICE FAILED] the voice does not speak, failures will be announced by a tone: %s",
                type(error).__name__,
            )

    def say(self) -> None:
        """Say that something went wrong, unless it was said just now."""
        if time.monotonic() - self._said_at >= _ONCE_IN:
            self._say(self._phrases.apology)

    def say_farewell(self) -> SpeechHandle:
        """Say that the call ends."""
        return self._say(self._phrases.farewell)

    def hold_on(self) -> None:
        """Say that it takes longer: their words are not lost."""
        self._session.say(self._phrases.hold_on, audio=frames_of(self._meanwhile), add_to_chat_ctx=False)

    def meanwhile(self) -> Sequence[rtc.AudioFrame]:
        """The same, as sound."""
        return self._meanwhile

    async def speak(
        self, words: AsyncIterable[str], mouth: Callable[[AsyncIterable[str]], AsyncIterable[rtc.AudioFrame]]
    ) -> AsyncGenerator[rtc.AudioFrame]:
        """Words as sound. Where sound is late, what takes longer is said before it, once: `session.say` would queue
        behind the very reply that is late."""
        heard_until = 0.0
        patience = TTS_PATIENCE

        async def noted() -> AsyncIterator[str]:
            nonlocal heard_until
            async for word in words:
                heard_until = max(heard_until, time.monotonic())
                yield word

        def due() -> float:
            return (heard_until or time.monotonic()) + patience

        async with contextlib.aclosing(_told_when_late(mouth(noted()), due)) as sounds:
            async for sound in sounds:
                if sound is None and patience == LONGEST_WAIT:
                    self.say()
                    return
                if sound is None:
                    patience = LONGEST_WAIT
                    sound = rtc.combine_audio_frames(list(self._meanwhile))  # noqa: PLW2901
                heard_until = max(heard_until, time.monotonic()) + sound.duration
                yield sound

    def on_error(self, event: ErrorEvent) -> None:
        """Tell of a model's failure, unless it is being tried again."""
        if getattr(event.error, "recoverable", False):
            return
        log_failure(event)
        if not (isinstance(event.source, llm.LLM) and is_refusal(_cause(event))):  # who asked may ask again, for less
            self.say()

    def _say(self, text: str) -> SpeechHandle:
        self._said_at = time.monotonic()
        return self._session.say(text, audio=frames_of(self._clips.get(text, self._tone)), add_to_chat_ctx=False)

    async def _spoken(self, tts: tts.TTS[Any], text: str) -> list[rtc.AudioFrame]:
        async with tts.synthesize(text, conn_options=CONNECT.tts_conn_options) as words:
            return [audio.frame async for audio in words]


def log_failure(event: ErrorEvent) -> None:
    """One line without the error's text: a provider may quote in it what was said."""
    error = _cause(event)
    status = getattr(error, "status_code", "")
    log.error("[VOICE FAILED] %s: %s %s", event.source.__class__.__name__, type(error).__name__, status)


def _cause(event: ErrorEvent) -> object:
    return getattr(event.error, "error", event.error)


async def frames_of(clip: Sequence[rtc.AudioFrame]) -> AsyncIterator[rtc.AudioFrame]:
    for frame in clip:
        yield frame


async def patiently(
    reply: AsyncIterable[_Chunk], on_nothing: Callable[[], None], hold_on: str = HOLD_ON
) -> AsyncIterator[_Chunk]:
    """Pass a model's reply on. One that is late is announced in the same reply by `hold_on`, one that says nothing, or
    refuses to, by `on_nothing`.

    A server that answers 200 with a web page looks like a model that has nothing to say: no error comes.
    """
    said_anything = False
    asked_at = time.monotonic()

    def due() -> float:
        return asked_at + (LONGEST_WAIT if said_anything else TTS_PATIENCE)

    async with contextlib.aclosing(_told_when_late(reply, due)) as chunks:
        try:
            async for chunk in chunks:
                if chunk is None and said_anything:
                    on_nothing()
                    return
                if chunk is None:
                    said_anything = True
                    yield hold_on
                    yield FlushSentinel()  # else the words wait for the sentence to end
                else:
                    said_anything = said_anything or _says_something(chunk)
                    yield chunk
                asked_at = time.monotonic()
        except APIStatusError as error:
            if not is_refusal(error):
                raise
    if not said_anything:
        on_nothing()


_T = TypeVar("_T")


async def _told_when_late(items: AsyncIterable[_T], due: Callable[[], float]) -> AsyncGenerator[_T | None]:
    """The items; before one that has not come when it is `due`, in seconds of `time.monotonic`, None. While an item is
    in the caller's hands nothing is late."""
    loop = asyncio.get_running_loop()
    come = asyncio.Queue[_T | None | _End]()
    timer: asyncio.TimerHandle | None = None
    waiting = False

    async def pass_on() -> None:
        async for item in items:
            come.put_nowait(item)

    def look() -> None:
        nonlocal timer
        timer = None
        if waiting and (left := due() - time.monotonic()) > 0:
            timer = loop.call_later(left, look)
        elif waiting:
            come.put_nowait(None)

    passing = asyncio.create_task(pass_on())
    passing.add_done_callback(lambda _: come.put_nowait(_End.END))
    try:
        while True:
            waiting = True
            timer = timer or loop.call_later(due() - time.monotonic(), look)
            item = await come.get()
            waiting = False
            if item is _End.END:
                break
            yield item
        passing.result()
    finally:
        if timer:
            timer.cancel()
        await aio.cancel_and_wait(passing)


class _End(enum.Enum):
    """Nothing more comes."""

    END = enum.auto()


def is_refusal(error: object) -> bool:
    """Whether a model does not take what it was sent, and would not take it another time either."""
    return isinstance(error, APIStatusError) and error.status_code in _REFUSALS


def _says_something(chunk: _Chunk) -> bool:
    if isinstance(chunk, llm.ChatChunk):
        return chunk.delta is not None and bool(chunk.delta.content or chunk.delta.tool_calls)
    return bool(chunk)


def _tone(rate: int) -> rtc.AudioFrame:
    """Two falling notes of a fifth of a second each, mono, at so many samples a second."""
    time_axis = np.arange(rate // 5) / rate
    fade = np.minimum(1.0, np.minimum(time_axis, time_axis[::-1]) / 0.02)
    notes = [np.sin(2 * np.pi * hertz * time_axis) * fade * 6000 for hertz in (523.25, 392.0)]
    samples = np.concatenate(notes).astype(np.int16)
    return rtc.AudioFrame(samples.tobytes(), rate, 1, len(samples))
