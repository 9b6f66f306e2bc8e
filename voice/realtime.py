"""What goes wrong with a realtime model: the person is told, and the call recovers or ends with words.

The framework closes a session whose realtime model has failed for good, in silence, and calls every other failure
recoverable, also where nobody tries again. A server that accepts a connection and closes it would be asked for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from livekit.agents import (
    AgentSession,
    APIConnectionError,
    APIConnectOptions,
    APIError,
    ErrorEvent,
    SpeechCreatedEvent,
    llm,
)
from livekit.agents.voice import SpeechHandle
from livekit.plugins import openai

from voice.failure import Apology, log_failure
from voice.phrases import ENGLISH

log = logging.getLogger("rapport.voice")

FAREWELL = ENGLISH.farewell

# As often as the call lasts, a second apart: it is we who decide when an outage has lasted too long.
CONNECT = APIConnectOptions(max_retry=1_000_000, retry_interval=1.0, timeout=4.0)
# Failures belong to one outage where at most so many seconds lie between them: a connect that times out, and the
# pause.
_APART = 10.0
_MOST_FAILURES = 20
_LONGEST_OUTAGE = 20.0
_LAST_WORDS_SECONDS = 10.0


class ClosableRealtimeModel(openai.realtime.RealtimeModel):
    """A realtime model that failed closes like any other. The framework's own raises once more what it had failed with,
    before the session has left the room."""

    def session(self, *, turn_detection_disabled: bool = False) -> openai.realtime.RealtimeSession:
        session = _Session(self, turn_detection_disabled=turn_detection_disabled)
        self._sessions.add(session)
        return session


class _Session(openai.realtime.RealtimeSession):
    async def aclose(self) -> None:
        with contextlib.suppress(APIError):  # it was told of when it came
            await super().aclose()


class Recovery:
    """Listens to the failures of one realtime session."""

    def __init__(self, session: AgentSession[None], apology: Apology) -> None:
        self._session = session
        self._apology = apology
        self._failures = 0
        self._began = self._last = float("-inf")
        self._farewell: asyncio.Future[SpeechHandle] = asyncio.get_running_loop().create_future()
        session.on("error", self._on_error)
        session.on("speech_created", self._on_speech)

    async def given_up(self) -> None:
        """Returns when the model is lost for this call and the person was told so."""
        farewell = await asyncio.shield(self._farewell)
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await farewell.wait_for_playout()
        except TimeoutError:
            log.warning("[VOICE FAILED] no goodbye: it was not heard in time")

    def _on_error(self, event: ErrorEvent) -> None:
        error = event.error
        if not isinstance(error, llm.RealtimeModelError):
            self._apology.on_error(event)
            return
        for_good = not error.recoverable
        error.recoverable = True  # else the session closes before anything is said
        log_failure(event)
        lost = for_good or isinstance(error.error, APIConnectionError)
        if self._goes_on_too_long() or for_good:
            self._tell(lost=True, for_good=True)
        elif self._failures == 1 or not lost:  # an outage is told of once
            self._tell(lost=lost)

    def _on_speech(self, event: SpeechCreatedEvent) -> None:
        event.speech_handle.add_done_callback(self._on_spoken)

    def _on_spoken(self, speech: SpeechHandle) -> None:
        """A reply that never came: it was refused, or the server is silent."""
        if isinstance(error := speech.exception(), llm.RealtimeError):
            log.error("[VOICE FAILED] no reply: %s", type(error).__name__)
            with contextlib.suppress(RuntimeError):  # the session is closing: that is why
                self._tell(lost=False)

    def _goes_on_too_long(self) -> bool:
        now = time.monotonic()
        if now - self._last > _APART:
            self._failures, self._began = 0, now
        self._failures += 1
        self._last = now
        return self._failures >= _MOST_FAILURES or now - self._began >= _LONGEST_OUTAGE

    def _tell(self, *, lost: bool, for_good: bool = False) -> None:
        if self._farewell.done():
            return
        if lost and self._session.current_speech:
            # what waits for a reply of the lost connection would hold the queue for up to 15 s
            self._session.current_speech.interrupt(force=True)
        if for_good:
            self._farewell.set_result(self._apology.say_farewell())
        else:
            self._apology.say()
