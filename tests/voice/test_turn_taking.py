"""When a turn is over: not while words are owed, and not in the middle of a sentence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectionError,
    APIConnectOptions,
    ConversationItemAddedEvent,
    LanguageCode,
    inference,
    llm,
    stt,
)
from livekit.agents.voice.turn import _StreamingTurnDetector, _StreamingTurnDetectorStream

from memory.language.utterances import unfinished
from tests.room.models import ScriptedLLM, ScriptedSTT, ScriptedTTS, ScriptedVAD, spoken
from tests.room.worker import until
from tests.voice.people import KnowingEars, Loudspeaker, Microphone, Sentence, sentences
from voice.hearing import PatientEars, Words
from voice.session import AEC_WARMUP, prepare
from voice.settings import TurnDetection, VoiceNotConfigured
from voice.turn_taking import PatientDetector, PatientStream, session_bytes, turn_taking

SOON = 0.1
PATIENCE = 10.0


# -- words that are owed


async def is_told(words: Words, longest: float = SOON) -> bool:
    """Before its patience is over?"""
    began = time.monotonic()
    await words.told(longest)
    return time.monotonic() - began < longest


async def test_nothing_is_owed_where_nobody_spoke() -> None:
    assert await is_told(Words())


async def test_who_speaks_and_what_is_not_understood_is_waited_for_and_no_longer_than_one_may() -> None:
    words = Words()
    words.coming()
    assert not await is_told(words)
    words.ended(0.0)
    assert not await is_told(words)
    words.coming()
    words.tell("my favorite color is")
    assert not await is_told(words), "they go on"
    words.ended(0.0)
    words.tell("blue")
    assert await is_told(words)
    assert words.last == "blue"


async def test_a_sound_that_may_be_the_beginning_of_speech_is_waited_for() -> None:
    words = Words()
    words.coming()
    assert not await is_told(words)
    words.coming(False)
    assert await is_told(words)


async def test_waiting_ends_when_the_last_part_is_told() -> None:
    words = Words()
    words.ended(0.0)
    words.ended(0.0)
    waiting = asyncio.create_task(words.told(PATIENCE))
    words.tell("one")
    await asyncio.sleep(0)
    assert not waiting.done()
    words.tell("")
    await asyncio.wait_for(waiting, 1.0)
    assert words.last == "one"


async def test_nothing_is_owed_any_more_when_nobody_listens() -> None:
    words = Words()
    words.coming()
    words.ended(0.0)
    words.coming()
    words.settle()
    assert await is_told(words)


# -- ears


class Recogniser(ScriptedSTT):
    """Understands a part when it is allowed to; `None` in `fails` is any failure."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.allowed: dict[str, asyncio.Event] = {}
        self.fails: dict[str, Exception] = {}

    async def _recognize_impl(self, buffer: Any, **options: Any) -> stt.SpeechEvent:
        event = await super()._recognize_impl(buffer, **options)
        text = event.alternatives[0].text
        self.asked.append(text)
        if text in self.allowed:
            await self.allowed[text].wait()
        if error := self.fails.get(text):
            raise error
        return event


@dataclass
class Heard:
    stream: stt.RecognizeStream
    events: list[stt.SpeechEvent] = field(default_factory=list[stt.SpeechEvent])
    errors: list[Any] = field(default_factory=list[Any])

    @property
    def texts(self) -> list[str]:
        final = stt.SpeechEventType.FINAL_TRANSCRIPT
        return [event.alternatives[0].text for event in self.events if event.type == final]

    def say(self, words: str) -> None:
        for frame in spoken(words):
            self.stream.push_frame(frame)


@asynccontextmanager
async def listening(ears: stt.STT[Any]) -> AsyncIterator[Heard]:
    async with ears.stream(conn_options=APIConnectOptions(max_retry=0)) as stream:
        heard = Heard(stream)
        ears.on("error", heard.errors.append)

        async def collect() -> None:
            async for event in stream:
                heard.events.append(event)

        collecting = asyncio.create_task(collect())
        yield heard
        stream.end_input()
        await asyncio.wait_for(collecting, PATIENCE)


async def test_parts_are_recognised_beside_one_another_and_told_in_order() -> None:
    recogniser = Recogniser()
    recogniser.allowed["one"] = asyncio.Event()
    ears = PatientEars(recogniser, ScriptedVAD())
    async with listening(ears) as heard:
        heard.say("one")
        heard.say("two")
        await until(lambda: recogniser.asked == ["one", "two"], "both to be recognised")
        assert heard.texts == []
        assert not await is_told(ears.words)
        recogniser.allowed["one"].set()
        await until(lambda: heard.texts == ["one", "two"], "both to be told")
        assert await is_told(ears.words)
    kinds = [event.type for event in heard.events]
    assert kinds.count(stt.SpeechEventType.START_OF_SPEECH) == kinds.count(stt.SpeechEventType.END_OF_SPEECH) == 2


@pytest.mark.parametrize("error", [APIConnectionError("gone"), ValueError("a bug")], ids=["failure", "bug"])
async def test_a_part_that_cannot_be_recognised_is_one_error_and_the_next_is_understood(error: Exception) -> None:
    recogniser = Recogniser()
    recogniser.fails["one"] = error
    ears = PatientEars(recogniser, ScriptedVAD())
    async with listening(ears) as heard:
        heard.say("one")
        await until(lambda: heard.errors, "the error")
        assert await is_told(ears.words), "nobody waits for it"
        heard.say("two")
        await until(lambda: heard.texts == ["two"], "the next part")
    [failure] = heard.errors
    assert failure.error is error
    assert not failure.recoverable


async def test_a_part_in_which_nothing_is_understood_is_not_waited_for() -> None:
    ears = PatientEars(Recogniser(), ScriptedVAD())
    async with listening(ears) as heard:
        heard.say("")
        await until(lambda: len(heard.events) == 2, "the end of it")
        await until(ears.words._told.is_set, "nothing to be owed")
    assert heard.texts == []


class Live(stt.STT[Any]):
    """Says by itself what it hears, in pieces."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.lines = asyncio.Queue[tuple[stt.SpeechEventType, str] | Exception]()
        self.heard = 0.0

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(self, *, conn_options: Any = None, **_: Any) -> stt.RecognizeStream:
        return _LiveStream(stt=self, conn_options=conn_options)


class _LiveStream(stt.RecognizeStream):
    async def _run(self) -> None:
        live: Any = self._stt

        async def hear() -> None:
            async for frame in self._input_ch:
                live.heard += getattr(frame, "duration", 0.0)

        hearing = asyncio.create_task(hear())
        while not hearing.done() or not live.lines.empty():
            line = asyncio.create_task(live.lines.get())
            await asyncio.wait({line, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                line.cancel()
                break
            if isinstance(said := line.result(), Exception):
                raise said
            data: Any = stt.SpeechData(language="en", text=said[1])  # type: ignore[arg-type]
            self._event_ch.send_nowait(stt.SpeechEvent(said[0], alternatives=[data]))


async def test_streaming_ears_owe_what_came_after_their_last_final_words() -> None:
    live = Live()
    ears = PatientEars(live, ScriptedVAD())
    assert ears.capabilities is live.capabilities
    async with listening(ears) as heard:
        heard.say("anything")
        live.lines.put_nowait((stt.SpeechEventType.INTERIM_TRANSCRIPT, "my favorite"))
        await until(lambda: len(heard.events) == 1, "the first words")
        assert not await is_told(ears.words)
        live.lines.put_nowait((stt.SpeechEventType.FINAL_TRANSCRIPT, "my favorite color is"))
        await until(lambda: len(heard.events) == 2, "all of it")
        assert await is_told(ears.words)
        assert ears.words.last == "my favorite color is"
        assert live.heard == pytest.approx(2 / 20)
        live.lines.put_nowait((stt.SpeechEventType.INTERIM_TRANSCRIPT, "blue"))
        await until(lambda: len(heard.events) == 3, "the rest")
    assert await is_told(ears.words), "it will never be told"


async def test_a_stream_that_breaks_is_one_error() -> None:
    live = Live()
    live.lines.put_nowait(APIConnectionError("gone"))
    ears, errors = PatientEars(live, ScriptedVAD()), list[Any]()
    ears.on("error", errors.append)
    async with ears.stream(conn_options=APIConnectOptions(max_retry=0)) as stream:
        with pytest.raises(APIConnectionError):
            await anext(stream)
    assert len(errors) == 1


# -- the detector


def decisions(last: str, model: inference.TurnDetector | None = None) -> PatientStream:
    words = Words()
    words.settle(last)
    return PatientDetector(words, unfinished, model).stream()


def test_the_framework_knows_it_for_a_detector_that_hears() -> None:
    detector = PatientDetector(Words(), unfinished)
    assert isinstance(detector, _StreamingTurnDetector)
    assert isinstance(detector.stream(), _StreamingTurnDetectorStream)


@pytest.mark.parametrize(
    ("last", "language", "held"),
    [
        ("my favorite color is", "en", True),
        ("My favorite color is.", "en-US", True),
        ("I went to the", "", True),
        ("and um", "en", True),
        ("my favorite color is blue", "en", False),
        ("Tell me what my name is.", "en", False),
        ("Where are you from?", "en", False),
        ("ich bin am", "de", False),
        ("a", "pt", False),
        ("", "en", False),
    ],
)
async def test_an_english_sentence_that_ends_in_such_a_word_goes_on(last: str, language: str, held: bool) -> None:
    stream = decisions(last)
    threshold = await stream.unlikely_threshold(LanguageCode(language) if language else None)
    probability = (await stream.predict()).end_of_turn_probability
    assert (threshold is not None and probability < threshold) is held


@pytest.mark.parametrize(("language", "threshold"), [("en", 0.36), ("de", 0.245), ("", 0.36), ("ru", None)])
async def test_the_model_is_asked_in_the_languages_that_it_knows(language: str, threshold: float | None) -> None:
    stream = decisions("blue", model := inference.TurnDetector(version="v1-mini"))
    assert isinstance(stream, _StreamingTurnDetectorStream)
    assert (stream.model, stream.provider) == (model.model, model.provider)
    assert await stream.unlikely_threshold(LanguageCode(language) if language else None) == threshold
    await stream.aclose()


async def test_a_decision_waits_for_what_is_owed() -> None:
    words = Words()
    words.ended(0.0)
    stream = PatientDetector(words, unfinished).stream()
    asking = asyncio.create_task(stream.supports_language(None))
    await asyncio.sleep(0)
    assert not asking.done()
    words.tell("blue")
    assert await asyncio.wait_for(asking, 1.0)


# -- how it is chosen


@pytest.mark.parametrize(("how", "model"), [("words", "words"), ("model", "turn-detector-v1-mini")])
def test_waiting_never_asks_a_cloud(how: TurnDetection, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEKIT_DEV_MODE", "1")
    ears, handling = turn_taking(Recogniser(), ScriptedVAD(), how, unfinished)
    detector: Any = handling.get("turn_detection")
    assert isinstance(ears, PatientEars)
    assert detector.model == model
    assert handling.get("interruption") == {"mode": "vad"}


def test_the_cloud_is_asked_by_who_has_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.replace("API", "INFERENCE_API"), raising=False)
    with pytest.raises(VoiceNotConfigured, match="LIVEKIT_API_KEY"):
        turn_taking(Recogniser(), ScriptedVAD(), "cloud", unfinished)
    monkeypatch.setenv("LIVEKIT_API_KEY", "key")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "secret")
    _, handling = turn_taking(Recogniser(), ScriptedVAD(), "cloud", unfinished)
    detector: Any = handling.get("turn_detection")
    assert detector.model == "turn-detector-v1"
    assert handling.get("interruption") == {"mode": "adaptive"}


def test_only_the_model_needs_memory() -> None:
    assert session_bytes("model") > 20e6
    assert session_bytes("words") == session_bytes("silence") == session_bytes("cloud") == 0


# -- people, at the speed of speech


@dataclass
class Conversation:
    """A session and a person who is heard by it."""

    session: AgentSession[None]
    ears: KnowingEars
    microphone: Microphone = field(default_factory=Microphone)
    loudspeaker: Loudspeaker = field(default_factory=Loudspeaker)
    said: list[str] = field(default_factory=list[str])
    answers: list[llm.ChatMessage] = field(default_factory=list[llm.ChatMessage])

    async def say(self, sentence: Sentence, silence: float = 0.5) -> None:
        self.ears.will_hear(sentence)
        await self.microphone.hear(sentence.samples)
        await self.microphone.hear(sentence.tone(silence))

    def on_item(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage):
            if event.item.role == "user":
                self.said.append(event.item.text_content or "")
            else:
                self.answers.append(event.item)


@asynccontextmanager
async def talking(
    how: TurnDetection = "words", latency: float = 0.45, answer: float = 1.0
) -> AsyncIterator[Conversation]:
    vad, recogniser = prepare().vad, KnowingEars(latency)
    ears, handling = turn_taking(recogniser, vad, how, unfinished)
    session: AgentSession[None] = AgentSession(
        vad=vad,
        stt=ears,
        llm=ScriptedLLM(lambda request: f"You said {request.words}."),
        tts=ScriptedTTS(answer),
        turn_handling=handling,
        aec_warmup_duration=AEC_WARMUP,
    )
    conversation = Conversation(session, recogniser)
    session.input.audio, session.output.audio = conversation.microphone, conversation.loudspeaker
    session.on("conversation_item_added", conversation.on_item)
    await session.start(Agent(instructions="Answer."), record=False)
    try:
        yield conversation
    finally:
        await session.aclose()


@pytest.fixture(scope="module")
def recorded() -> dict[str, Sentence]:
    return {each.name: each.closed() for each in sentences()}


async def test_a_pause_that_is_shorter_than_the_ears_are_slow_cuts_a_sentence_where_nobody_waits_for_words(
    recorded: dict[str, Sentence],
) -> None:
    sentence = recorded["go_forward.wav"].paused(2, 0.4)
    async with talking() as patient, talking("silence") as impatient:
        await asyncio.gather(patient.say(sentence), impatient.say(sentence))
        await until(lambda: patient.said and len(impatient.said) == 2, "the turns")
        await until(lambda: patient.loudspeaker.sounds, "the answer")
    assert patient.said == ["go forward ten meters"]


async def test_who_is_only_heard_to_listen_stops_nobody_for_good_and_who_interrupts_does_at_once(
    recorded: dict[str, Sentence],
) -> None:
    """From the first greeting on."""
    sentence = recorded["ill_disposed.wav"]
    word = sentence.words[2]
    place = int(word.start * 16_000), int(word.end * 16_000)
    hm = Sentence("hm", sentence.samples[place[0] : place[1]], (), word.end - word.start)
    async with talking(answer=6.0) as conversation:
        greeting = conversation.session.generate_reply(user_input="hello")
        await until(lambda: conversation.loudspeaker.sounds, "the greeting")
        conversation.ears.will_hear(hm)
        await conversation.microphone.hear(hm.samples)
        await conversation.microphone.hear(sentence.tone(2.6))
        await until(lambda: conversation.loudspeaker.sounds, "it to go on")
        assert not greeting.done()
        began = time.monotonic()
        speaking = asyncio.create_task(conversation.say(sentence))
        await until(lambda: not conversation.loudspeaker.sounds, "it to be silent")
        assert time.monotonic() - began < sentence.words[0].start + 0.8
        await speaking
        await until(lambda: greeting.interrupted, "the interruption")
    assert conversation.said[-1] == "he was not an ill disposed young man"
