"""A realtime model fails: the person is told within three seconds, and the call recovers or ends with words.

The shipped session with the real plugin; the server is on loopback, and what would be heard and read is collected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, CloseEvent, io

from tests.voice.realtime_server import Fault, RealtimeServer
from voice.failure import APOLOGY
from voice.phrases import ENGLISH
from voice.session import Prepared, Voice, prepare
from voice.settings import VoiceSettings


class Loudspeaker(io.AudioOutput):
    """Whatever is played is over at once."""

    def __init__(self) -> None:
        super().__init__(label="test", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=24_000)
        self._seconds = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._seconds += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._seconds:
            self.on_playback_finished(playback_position=self._seconds, interrupted=False)
            self._seconds = 0.0

    def clear_buffer(self) -> None:
        self.flush()


class Screen(io.TextOutput):
    def __init__(self) -> None:
        super().__init__(label="test", next_in_chain=None)
        self.text = ""

    async def capture_text(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        self.text += "\n"


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare()


@pytest.fixture
async def server() -> AsyncIterator[RealtimeServer]:
    async with RealtimeServer() as server:
        yield server


@asynccontextmanager
async def talking(server: RealtimeServer, prepared: Prepared) -> AsyncIterator[tuple[Voice, Screen]]:
    voice = Voice(
        VoiceSettings(voice_mode="realtime", realtime_base_url=server.base_url, realtime_api_key="none"), prepared
    )
    screen = Screen()
    voice.session.output.audio = Loudspeaker()
    voice.session.output.transcription = screen
    await voice.session.start(Agent(instructions="You are Rapport."), record=False)
    await voice.apology.record()
    try:
        yield voice, screen
    finally:
        server.fault = ""
        await asyncio.wait_for(voice.session.aclose(), 10)
        await voice.aclose()


async def until(true: Callable[[], object], seconds: float) -> float:
    """How long it took. Fails after so many seconds."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def answered(session: AgentSession[None], screen: Screen) -> None:
    said = screen.text.count("Hello there.")
    session.generate_reply(user_input="hello")
    await until(lambda: screen.text.count("Hello there.") > said, 8)


async def test_a_typed_turn_is_answered(server: RealtimeServer, prepared: Prepared) -> None:
    async with talking(server, prepared) as (voice, screen):
        await answered(voice.session, screen)
        assert APOLOGY not in screen.text


@pytest.mark.parametrize("fault", ["cut", "failed"])
async def test_a_reply_that_is_lost_is_told_of_and_the_next_turn_works(
    fault: Fault, server: RealtimeServer, prepared: Prepared
) -> None:
    async with talking(server, prepared) as (voice, screen):
        await answered(voice.session, screen)
        server.fault = fault
        voice.session.generate_reply(user_input="hello")
        await until(lambda: APOLOGY in screen.text, 3)
        server.fault = ""
        await answered(voice.session, screen)


async def test_an_outage_is_told_of_once_and_the_call_outlives_it(server: RealtimeServer, prepared: Prepared) -> None:
    async with talking(server, prepared) as (voice, screen):
        await answered(voice.session, screen)
        server.fault = "refused"
        await server.cut()
        await until(lambda: APOLOGY in screen.text, 3)
        await asyncio.sleep(5)
        server.fault = ""
        await answered(voice.session, screen)
        assert screen.text.count(APOLOGY) == 1


async def test_an_error_that_the_session_does_not_survive_ends_the_call_with_words(
    server: RealtimeServer, prepared: Prepared
) -> None:
    async with talking(server, prepared) as (voice, screen):
        closed: list[CloseEvent] = []
        voice.session.on("close", closed.append)
        await answered(voice.session, screen)
        server.fault = "quota"
        voice.session.generate_reply(user_input="hello")
        await until(lambda: ENGLISH.farewell in screen.text, 3)
        voice.session.generate_reply(user_input="are you there")  # it raises nothing
        await asyncio.wait_for(voice.given_up(), 3)
        assert not closed
    assert len(closed) == 1, "it closes as any other"


async def test_a_server_that_closes_what_it_accepts_is_not_asked_for_ever(
    server: RealtimeServer, prepared: Prepared
) -> None:
    server.fault = "closed at once"
    async with talking(server, prepared) as (voice, screen):
        await until(lambda: APOLOGY in screen.text, 3)
        await asyncio.wait_for(voice.given_up(), 15)
        assert ENGLISH.farewell in screen.text
        assert server.connections <= 25


async def test_a_silent_server_is_told_of(server: RealtimeServer, prepared: Prepared) -> None:
    async with talking(server, prepared) as (voice, screen):
        server.fault = "silent"
        voice.session.generate_reply(user_input="hello")
        await until(lambda: APOLOGY in screen.text, 12)


async def test_a_session_that_closes_while_it_waits_for_a_reply_raises_nothing(
    server: RealtimeServer, prepared: Prepared, caplog: pytest.LogCaptureFixture
) -> None:
    raised: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: raised.append(about))
    async with talking(server, prepared) as (voice, _):
        server.fault = "silent"
        voice.session.generate_reply(user_input="hello")
        await asyncio.sleep(0.5)
    await asyncio.sleep(0.1)
    assert raised == []
    assert "AgentSession is" not in caplog.text
