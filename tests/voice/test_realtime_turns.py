"""What a person hears of a realtime model that is late, lost or refuses, and what it has of the conversation then.

The shipped session with the real plugin. Where a person speaks, the server is told so: their sound is one loud frame.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from livekit import rtc
from livekit.agents import Agent, io
from livekit.agents.voice.transcription import TranscriptSynchronizer

from tests.room.models import ScriptedVAD, spoken
from tests.voice.realtime_server import Fault, RealtimeServer
from tests.voice.test_realtime import Loudspeaker as SilentLoudspeaker
from tests.voice.test_realtime import Screen, answered, until
from voice.failure import APOLOGY
from voice.session import Prepared, Voice
from voice.settings import VoiceSettings

LONG = " ".join(f"word{n}" for n in range(40))


class Microphone(io.AudioInput):
    def __init__(self) -> None:
        super().__init__(label="test")
        self.sound: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.sound.get()


class Loudspeaker(SilentLoudspeaker):
    """Tells when something is heard."""

    def __init__(self) -> None:
        super().__init__()
        self.sounds = 0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        if not self._seconds:
            self.sounds += 1
            self.on_playback_started(created_at=time.time())
        await super().capture_frame(frame)


class SlowLoudspeaker(Loudspeaker):
    """What is played takes an eighth of the time that it would take, unless it is cleared."""

    def __init__(self) -> None:
        super().__init__()
        self._began = 0.0
        self._over: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        if not self._seconds:
            self._began = time.monotonic()
        await super().capture_frame(frame)

    def flush(self) -> None:
        io.AudioOutput.flush(self)
        if self._seconds and not self._over:
            left = self._began + self._seconds / 8 - time.monotonic()
            self._over = asyncio.get_running_loop().call_later(left, self._finish, False)

    def clear_buffer(self) -> None:
        if self._over:
            self._over.cancel()
        if self._seconds:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        heard = min(self._seconds, (time.monotonic() - self._began) * 8)
        self._seconds, self._over = 0.0, None
        self.on_playback_finished(playback_position=heard, interrupted=interrupted)


class Person:
    """Who talks to a session, and what they hear and read of it."""

    def __init__(self, voice: Voice, loudspeaker: Loudspeaker) -> None:
        self.voice, self.session = voice, voice.session
        self.microphone, self.loudspeaker, self.screen = Microphone(), loudspeaker, Screen()

    async def hears_something(self) -> None:
        heard = self.loudspeaker.sounds
        await until(lambda: self.loudspeaker.sounds > heard, 3)

    async def begins_to_speak(self) -> None:
        self.microphone.sound.put_nowait(spoken("hello")[0])
        await until(lambda: self.session.user_state == "speaking", 3)

    async def stops(self) -> None:
        self.microphone.sound.put_nowait(spoken("")[1])
        await until(lambda: self.session.user_state != "speaking", 3)


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer() as server:
        yield server


@asynccontextmanager
async def talking(server: RealtimeServer, *, takes_time: bool = False, **settings: Any) -> AsyncIterator[Person]:
    """Where it `takes_time`, what is read keeps pace with what is heard, as in a room."""
    chosen = VoiceSettings(
        voice_mode="realtime", realtime_base_url=server.base_url, realtime_api_key="none", **settings
    )
    prepared = Prepared(cast("Any", ScriptedVAD()), ssl.create_default_context())
    person = Person(Voice(chosen, prepared), SlowLoudspeaker() if takes_time else Loudspeaker())
    session, audio, text = person.session, person.loudspeaker, person.screen
    both = TranscriptSynchronizer(next_in_chain_audio=audio, next_in_chain_text=text)
    session.input.audio = person.microphone
    session.output.audio, session.output.transcription = (
        (both.audio_output, both.text_output) if takes_time else (audio, text)
    )
    await session.start(Agent(instructions="You are Rapport."), record=False)
    await until(lambda: "instructions" in server.session, 3)
    try:
        yield person
    finally:
        server.fault = ""
        await asyncio.wait_for(session.aclose(), 10)
        await both.aclose()
        await person.voice.aclose()


# -- late


async def test_a_typed_turn_that_is_late_is_told_of_in_time_and_answered_when_it_can_be(server: RealtimeServer) -> None:
    async with talking(server, takes_time=True) as person:
        await answered(person.session, person.screen)
        server.fault = "silent"
        person.session.generate_reply(user_input="hello")
        await person.hears_something()
        assert APOLOGY not in person.screen.text
        server.fault = ""  # the connection is given up, and the next is asked again
        await until(lambda: person.screen.text.count("Hello there.") == 2, 8)
        assert server.connections == 2
        assert server.refusals == []


@pytest.mark.thorough
async def test_a_spoken_turn_of_which_nothing_comes_is_told_of_and_the_next_is_answered(server: RealtimeServer) -> None:
    async with talking(server) as person:
        await answered(person.session, person.screen)
        server.fault = "silent"
        await person.begins_to_speak()
        said = await server.begins()
        await person.stops()
        await server.hears(said)
        await person.hears_something()
        await until(lambda: APOLOGY in person.screen.text and server.connections == 2, 8)
        server.fault = ""
        await server.hears()
        await until(lambda: person.screen.text.count("Hello there.") == 2, 3)


@pytest.mark.thorough
async def test_an_answer_that_stops_at_its_beginning_is_told_of(server: RealtimeServer) -> None:
    async with talking(server) as person:
        server.fault = "stalled"
        person.session.generate_reply(user_input="hello")
        await person.hears_something()
        await until(lambda: APOLOGY in person.screen.text, 14)
        server.fault = ""
        await answered(person.session, person.screen)


@pytest.mark.thorough
async def test_words_that_the_server_takes_no_notice_of_are_told_of_and_a_cough_is_not(server: RealtimeServer) -> None:
    async with talking(server) as person:
        await answered(person.session, person.screen)
        await person.begins_to_speak()
        await person.stops()
        assert not person.voice.session.llm.is_awaited  # type: ignore[union-attr]
        await person.begins_to_speak()
        await asyncio.sleep(1.1)
        await person.stops()
        await person.hears_something()


# -- lost


async def test_a_greeting_whose_connection_is_cut_is_asked_for_once_more(server: RealtimeServer) -> None:
    async with talking(server) as person:
        asked = len(server.taken)
        server.fault = "cut"
        greeting = person.session.generate_reply(instructions="Greet them in verse.")
        await until(lambda: "response.create" in {event["type"] for event in server.taken[asked:]}, 3)
        server.fault = ""
        await until(lambda: "Hello there." in person.screen.text, 3)
        await greeting
        wishes = [event["response"]["instructions"] for event in server.taken if event["type"] == "response.create"]
        assert ["verse" in wish for wish in wishes] == [True, True]
        assert APOLOGY not in person.screen.text


async def test_what_is_typed_while_there_is_no_connection_is_asked_once_when_there_is_one(
    server: RealtimeServer,
) -> None:
    async with talking(server) as person:
        await answered(person.session, person.screen)
        server.fault = "refused"
        await server.cut()
        await until(lambda: server.connections > 1, 3)
        person.session.generate_reply(user_input="are you there")
        server.fault = ""
        await until(lambda: person.screen.text.count("Hello there.") == 2, 5)
        assert server.said == ["hello", "Hello there.", "are you there", "Hello there."]
        assert server.refusals == []


async def test_an_answer_that_is_cut_in_the_middle_is_told_of_and_not_told_again(server: RealtimeServer) -> None:
    server.speed = 8
    async with talking(server, takes_time=True) as person:
        server.mind = lambda: LONG
        server.fault = "cut in the middle"
        person.session.generate_reply(user_input="tell me a story")
        await until(lambda: APOLOGY in person.screen.text, 6)
        server.fault, server.mind = "", lambda: "Hello there."
        await answered(person.session, person.screen)
        assert all("word20" not in words for words in server.said)


async def test_a_blip_between_two_turns_is_not_told_of(server: RealtimeServer) -> None:
    async with talking(server) as person:
        await answered(person.session, person.screen)
        await server.cut()
        await until(lambda: server.connections == 2, 3)
        await answered(person.session, person.screen)
        assert APOLOGY not in person.screen.text


async def test_who_was_in_the_middle_of_a_word_when_the_connection_was_lost_falls_silent_all_the_same(
    server: RealtimeServer,
) -> None:
    async with talking(server) as person:
        await person.begins_to_speak()
        await server.begins()
        await server.cut()
        await until(lambda: server.connections == 2, 3)
        await person.stops()
        await until(lambda: APOLOGY in person.screen.text, 3)


@pytest.mark.parametrize("ended", [True, False])
async def test_a_new_connection_is_told_of_an_interrupted_answer_what_was_heard_of_it(
    server: RealtimeServer, ended: bool
) -> None:
    """Whether the server had ended it before or not."""
    server.speed = 400 if ended else 16
    async with talking(server, takes_time=True) as person:
        server.mind = lambda: LONG
        person.session.generate_reply(user_input="tell me a story")
        await until(lambda: person.session.agent_state == "speaking", 3)
        await asyncio.sleep(0.3)
        await server.begins()
        await until(lambda: [m for m in person.session.history.messages() if m.interrupted], 3)
        told = person.session.history.messages()[-1].text_content
        assert told
        assert len(told.split()) < 20
        await server.cut()
        await until(lambda: server.connections == 2 and len(server.items) == 2, 3)
        assert server.said == ["tell me a story", told]


# -- refused, or no answer at all


@pytest.mark.parametrize("fault", ["rejected", "empty"])
async def test_a_reply_that_never_comes_is_told_of(server: RealtimeServer, fault: Fault) -> None:
    async with talking(server) as person:
        server.fault = fault
        person.session.generate_reply(user_input="hello")
        await until(lambda: APOLOGY in person.screen.text, 3)
        server.fault = ""
        await answered(person.session, person.screen)
        assert person.screen.text.count(APOLOGY) == 1


async def test_a_spoken_turn_with_an_empty_answer_is_told_of(server: RealtimeServer) -> None:
    async with talking(server) as person:
        server.fault = "empty"
        await server.hears()
        await until(lambda: APOLOGY in person.screen.text, 3)


async def test_an_error_beside_the_conversation_is_told_of_unless_it_is_about_one_of_our_events(
    server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with talking(server) as person:
        await server.complains("invalid_request_error")
        await answered(person.session, person.screen)
        assert "[VOICE FAILED]" in caplog.text
        assert APOLOGY not in person.screen.text
        await server.complains("server_error")
        await until(lambda: APOLOGY in person.screen.text, 3)


# -- what it is made of


async def test_an_answer_in_text_alone_is_spoken(server: RealtimeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(server, tts_base_url="http://127.0.0.1:9/v1") as person:
        words: list[str] = []

        async def speak(text: Any, _: Any) -> AsyncIterator[rtc.AudioFrame]:
            async for piece in text:
                words.append(piece)
                yield spoken("sound")[0]

        monkeypatch.setattr(person.session.current_agent, "tts_node", speak)
        server.fault = "text"
        await answered(person.session, person.screen)
        assert "".join(words) == "Hello there."
        assert person.loudspeaker.sounds == 1


async def test_the_server_learns_how_to_hear_and_how_fast_to_speak(
    server: RealtimeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with talking(server, stt_language="de", stt_model="gpt-4o-transcribe", tts_speed=2.0):
        await until(lambda: "audio" in server.session, 3)
        audio = server.session["audio"]
        assert audio["input"]["transcription"] == {"model": "gpt-4o-transcribe", "language": "de"}
        assert audio["output"]["speed"] == 1.5, "it speaks no faster"
        assert audio["input"]["turn_detection"]["type"] == "semantic_vad", "the server ends turns"
    assert "TurnDetector" not in caplog.text
    async with talking(server, stt_base_url="http://127.0.0.1:9/v1", stt_model="base.en"):
        own = {"model": "gpt-transcribe"}  # in whichever language
        await until(lambda: server.session["audio"]["input"]["transcription"] == own, 3)
