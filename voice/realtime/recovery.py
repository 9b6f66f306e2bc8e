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
    APIError,
    ErrorEvent,
    SpeechCreatedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    llm,
)
from livekit.agents.voice import SpeechHandle

from voice.ears import STT_PATIENCE
from voice.failure import Apology, log_failure
from voice.realtime.model import PatientRealtimeModel

log = logging.getLogger("rapport.voice")

# Failures belong to one outage where at most so many seconds lie between them: a connect that times out, and the
# pause.
_APART = 10.0
_MOST_FAILURES = 20
_LONGEST_OUTAGE = 20.0
_LAST_WORDS_SECONDS = 10.0
# Sound of so many seconds that the server takes no notice of is taken for words: a cough is shorter.
_WORDS_SECONDS = 1.0


class Recovery:
    """Listens to the failures of one realtime session."""

    def __init__(self, session: AgentSession[None], apology: Apology, model: PatientRealtimeModel) -> None:
        self._session = session
        self._apology = apology
        self._model = model
        self._failures = 0
        self._told = False
        """Whether the person knows of this outage."""
        self._began = self._last = float("-inf")
        self._spoke_at = float("inf")
        self._late: asyncio.TimerHandle | None = None
        """Until the person must be told that nothing comes of what they said."""
        self._farewell: asyncio.Future[SpeechHandle] = asyncio.get_running_loop().create_future()
        model.meanwhile = apology.meanwhile
        session.on("error", self._on_error)
        session.on("speech_created", self._on_speech)
        session.on("user_state_changed", self._on_user_state)
        session.on("user_input_transcribed", self._on_transcribed)

    async def given_up(self) -> None:
        """Returns when the model is lost for this call and the person was told so."""
        farewell = await asyncio.shield(self._farewell)
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await farewell.wait_for_playout()
        except TimeoutError:
            log.warning("[VOICE FAILED] no goodbye: it was not heard in time")

    # -- what fails

    def _on_error(self, event: ErrorEvent) -> None:
        error = event.error
        if not isinstance(error, llm.RealtimeModelError):
            self._apology.on_error(event)
            return
        for_good = not error.recoverable
        error.recoverable = True  # else the session closes before anything is said
        log_failure(event)
        if not for_good and _is_about_a_request(error.error):
            return
        if self._goes_on_too_long() or for_good:
            self._take_leave()
        elif not isinstance(error.error, APIConnectionError):
            self._tell()
        elif not self._told and self._is_missed():
            self._told = True
            self._make_way()
            self._tell()

    def _is_missed(self) -> bool:
        """Whether the person must be told that the connection is lost. What was asked is asked again on the next."""
        if self._model.is_asked:
            return False
        hears = self._session.user_state == "speaking" or self._model.is_awaited
        return hears or self._model.is_answering or self._failures > 1

    def _on_speech(self, event: SpeechCreatedEvent) -> None:
        if event.source == "generate_reply":
            self._expect_nothing()
            event.speech_handle.add_done_callback(self._on_spoken)

    def _on_spoken(self, speech: SpeechHandle) -> None:
        """A reply that never came: it was refused, is empty, or the server is silent."""
        error = speech.exception()
        if speech.interrupted or (error is None and _says_something(speech)):
            return
        log.error("[VOICE FAILED] no reply: %s", type(error).__name__ if error else "it is empty")
        self._tell()

    def _goes_on_too_long(self) -> bool:
        now = time.monotonic()
        if now - self._last > _APART:
            self._failures, self._began, self._told = 0, now, False
        self._failures += 1
        self._last = now
        return self._failures >= _MOST_FAILURES or now - self._began >= _LONGEST_OUTAGE

    # -- what was said and not answered

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        now = time.monotonic()
        if event.new_state == "speaking":
            self._expect_nothing()
            self._spoke_at = now
        elif event.old_state == "speaking" and self._model.listened_at < self._spoke_at <= now - _WORDS_SECONDS:
            self._expect_an_answer()

    def _on_transcribed(self, event: UserInputTranscribedEvent) -> None:
        if not event.is_final and not event.transcript:  # the server has heard the end of a turn
            self._expect_an_answer()

    def _expect_an_answer(self) -> None:
        self._expect_nothing()
        self._model.is_awaited = True
        self._late = asyncio.get_running_loop().call_later(STT_PATIENCE, self._hold_on)

    def _expect_nothing(self) -> None:
        self._model.is_awaited = False
        if self._late:
            self._late.cancel()

    # -- what is said about it

    def _hold_on(self) -> None:
        with contextlib.suppress(RuntimeError):  # the session is closing
            self._apology.hold_on()

    def _tell(self) -> None:
        if not self._farewell.done():
            self._expect_nothing()
            with contextlib.suppress(RuntimeError):  # the session is closing, perhaps for that
                self._apology.say()

    def _take_leave(self) -> None:
        if not self._farewell.done():
            self._expect_nothing()
            self._make_way()
            self._farewell.set_result(self._apology.say_farewell())

    def _make_way(self) -> None:
        """What waits for more of an answer would hold the queue for as long as it waits."""
        speech = self._session.current_speech
        if speech and (self._model.is_asked or self._model.is_answering):
            speech.interrupt(force=True)


def _is_about_a_request(error: Exception) -> bool:
    """Whether the server did not take one of our events: a truncation by a few milliseconds too many, for one. Where it
    was a request for a reply, the reply itself fails."""
    return isinstance(error, APIError) and getattr(error.body, "type", "") == "invalid_request_error"


def _says_something(speech: SpeechHandle) -> bool:
    """Whether it ends with words, and not with what a tool has answered."""
    return bool(speech.chat_items) and speech.chat_items[-1].type != "function_call_output"
