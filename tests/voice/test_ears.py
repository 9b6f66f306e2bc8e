"""A stream of words that fails in the middle of them: recordings, or the next stream, tell what was said, once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import APIConnectOptions, stt

import voice.ears
from tests.room.models import ScriptedVAD, spoken
from tests.room.worker import until
from voice import vendors
from voice.ears import StreamingEars
from voice.settings import Choice, VoiceSettings

PATIENCE = 0.2
ONCE = APIConnectOptions(max_retry=0, timeout=5.0)


@pytest.fixture(autouse=True)
def short_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice.ears, "STREAM_PATIENCE", PATIENCE)
    monkeypatch.setattr(voice.ears, "STT_PATIENCE", 2 * PATIENCE)
    monkeypatch.setattr(voice.ears, "_PAUSE", 0.01)
    monkeypatch.setattr(voice.ears, "_PAUSE_OWED", 0.01)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Ears of the tests' own plugin."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "plugin"))
    monkeypatch.setenv("PRETEND_API_KEY", "x")
    return lambda model: vendors.make(Choice("stt", "pretend", model), VoiceSettings())


class Hearing:
    """What a session would be told."""

    def __init__(self, ears: StreamingEars) -> None:
        self.words: list[str] = []
        self.errors: list[Any] = []
        self.late = 0
        self._changed = asyncio.Event()
        self._stream = ears.stream(conn_options=ONCE)
        ears.on("error", self._on_error)
        ears.on_late = self._on_late
        self._reading = asyncio.create_task(self._read())

    def say(self, words: str) -> None:
        self.begin(words)
        self.end()

    def begin(self, words: str) -> None:
        self._stream.push_frame(spoken(words)[0])

    def end(self) -> None:
        self._stream.push_frame(spoken("")[1])

    @property
    def is_noticed(self) -> bool:
        """Whether they know that somebody speaks."""
        return self._stream._speaking  # type: ignore[attr-defined]

    @property
    def is_owed(self) -> bool:
        """Whether words are waited for, or were told."""
        return bool(self.words) or self._stream._owed is not None  # type: ignore[attr-defined]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def while_nothing_comes(self) -> None:
        """Returns when nothing came for longer than anybody waits."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._changed.clear()
                await asyncio.wait_for(self._changed.wait(), 4 * PATIENCE)

    async def aclose(self) -> None:
        await self._stream.aclose()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        async for event in self._stream:
            if event.type == stt.SpeechEventType.FINAL_TRANSCRIPT:
                self.words.append(event.alternatives[0].text)
            self._changed.set()

    def _on_error(self, error: Any) -> None:
        self.errors.append(error.error)
        self._changed.set()

    def _on_late(self) -> None:
        self.late += 1
        self._changed.set()


@contextlib.asynccontextmanager
async def hearing(live: Any, recordings: Any) -> AsyncIterator[Hearing]:
    it = Hearing(StreamingEars(live, ScriptedVAD(), recordings))
    yield it
    await it.aclose()


async def test_words_come_from_the_stream_and_no_recording_is_asked(pretend: Callable[[str], Any]) -> None:
    live, recordings = pretend("streaming"), pretend("recordings")
    async with hearing(live, recordings) as heard:
        heard.say("my favorite color")
        await heard.until(lambda: heard.words)
        heard.say("is blue")
        await heard.until(lambda: len(heard.words) == 2)
        await heard.while_nothing_comes()
    assert heard.words == ["my favorite color", "is blue"]
    assert (live.streams, recordings.recordings, heard.errors, heard.late) == (1, 0, [], 0)


@pytest.mark.parametrize("fault", ["refused", "hangs", "cut"])
@pytest.mark.parametrize("with_recordings", [True, False], ids=["recordings", "no-recordings"])
async def test_no_word_is_lost_and_none_told_twice_where_a_stream_fails(
    pretend: Callable[[str], Any], fault: str, with_recordings: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = pretend("streaming")
    recordings = pretend("recordings") if with_recordings else None
    live.fault = fault
    if not with_recordings:
        monkeypatch.setattr(voice.ears, "STREAM_PATIENCE", 5 * PATIENCE)  # for the next stream to come
    async with hearing(live, recordings) as heard:
        heard.begin("my favorite ")
        await asyncio.sleep(0)
        heard.begin("color ")
        heard.say("is blue")
        if not with_recordings:
            await until(lambda: live.streams and heard.is_owed)
            live.fault = ""
        await heard.until(lambda: heard.words)
        live.fault = ""
        heard.say("hello")
        await heard.until(lambda: len(heard.words) == 2)
        await heard.while_nothing_comes()
        assert heard.words == ["my favorite color is blue", "hello"]
        before = live.streams
        heard.say("again")
        await heard.until(lambda: len(heard.words) == 3)
    assert heard.errors == []
    assert live.streams == before > 1, "a stream that works again is used again"


async def test_a_noise_that_is_nothing_in_words_is_no_failure(pretend: Callable[[str], Any]) -> None:
    live, recordings = pretend("streaming"), pretend("recordings")
    live.fault = "hangs"
    async with hearing(live, recordings) as heard:
        heard.say("")
        await heard.while_nothing_comes()
    assert (heard.words, heard.errors, heard.late, live.streams) == ([], [], 0, 1)
    assert recordings.recordings == 1


async def test_a_person_is_told_to_wait_where_recordings_are_late_too(pretend: Callable[[str], Any]) -> None:
    live, recordings = pretend("streaming"), pretend("recordings")
    live.fault = recordings.recording_fault = "hangs"
    async with hearing(live, recordings) as heard:
        heard.say("hello")
        await heard.until(lambda: heard.late)
    assert (heard.words, heard.errors, heard.late) == ([], [], 1)


@pytest.mark.parametrize("recording_fault", ["refused", None])
async def test_what_nobody_understands_is_one_error_and_the_next_words_are_heard(
    pretend: Callable[[str], Any], recording_fault: str | None
) -> None:
    live, recordings = pretend("streaming"), pretend("recordings") if recording_fault else None
    live.fault = "refused"
    if recordings:
        recordings.recording_fault = recording_fault
    async with hearing(live, recordings) as heard:
        heard.say("hello")
        await heard.until(lambda: heard.errors)
        live.fault = ""
        if recordings:
            recordings.recording_fault = ""
        heard.say("again")
        await heard.until(lambda: heard.words)
        await heard.while_nothing_comes()
    assert heard.words == ["again"]
    assert len(heard.errors) == 1


async def test_who_begins_to_speak_while_a_stream_is_tried_gets_the_next_one_at_once(
    pretend: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice.ears, "_PAUSE", 60.0)
    live = pretend("streaming")
    live.fault = "refused late"
    async with hearing(live, None) as heard:
        heard.begin("again")
        await until(lambda: live.streams and heard.is_noticed)
        live.fault = ""
        live.decided.set()
        await until(lambda: live.streams == 2)
        heard.end()
        await heard.until(lambda: heard.words)
    assert (heard.words, heard.errors) == (["again"], [])


async def test_a_word_that_a_stream_does_not_tell_which_came_after_a_refused_one_is_an_error(
    pretend: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice.ears, "_SPEECH", 60.0)  # nobody says so much
    live = pretend("streaming")
    live.fault = "refused"
    async with hearing(live, None) as heard:
        await until(lambda: live.streams)
        live.fault = "hangs"
        await until(lambda: live.streams > 1)
        heard.say("hello")
        await heard.until(lambda: heard.errors)
        await heard.while_nothing_comes()
    assert (heard.words, len(heard.errors)) == ([], 1)
