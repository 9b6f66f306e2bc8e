"""What is kept is what was committed, each statement once, however often anything else about it happens.

A turn may be guessed at three times before it is over, each time with a question to the model; its events may come
again; the answer to it may be cut off. None of that is something that the person said.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable

import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, ConversationItemAddedEvent, NotGivenOr, stt, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN

from memory.language.statements import Statement, statements_in
from tests.room import models
from tests.room.edge import Edge, EdgeRoom
from tests.room.models import SAMPLE_RATE, Request, ScriptedSession, ScriptedSTT, ScriptedTTS, spoken
from tests.room.product import Product
from tests.room.worker import Worker, until, working

ALICE = "alice@example.com"
STORY = "Once upon a time there was a king who had a daughter, and she had a golden ball."
GUESSES = 3  # as many as the framework makes in a turn


class LiveSTT(ScriptedSTT):
    """Writes down each word as it is said. What ends in "…" is a guess at how the sentence will end."""

    def __init__(self, language_of: Callable[[str], str]) -> None:
        super().__init__(language_of)
        self._capabilities = stt.STTCapabilities(streaming=True, interim_results=True)

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        return _LiveStream(stt=self, conn_options=conn_options)


class _LiveStream(stt.RecognizeStream):
    async def _run(self) -> None:
        async for frame in self._input_ch:
            if isinstance(frame, rtc.AudioFrame) and (words := models._words_in([frame])):
                guess = words.endswith("…")
                kind = stt.SpeechEventType.PREFLIGHT_TRANSCRIPT if guess else stt.SpeechEventType.FINAL_TRANSCRIPT
                heard = stt.SpeechData(language="en", text=words.removesuffix("…"))  # type: ignore[arg-type]
                self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=[heard]))


class LongWindedTTS(ScriptedTTS):
    """Reads a story for a minute; anything else as quickly as ever."""

    def synthesize(self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> models._Chunks:
        chunks = _Story if text == STORY else models._Chunks
        return chunks(tts=self, input_text=text, conn_options=conn_options)


class _Story(models._Chunks):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        await super()._run(output_emitter)
        output_emitter.push(b"\1\0" * SAMPLE_RATE * 60)
        output_emitter.flush()


class Stuttering(ScriptedSession):
    """Tells of every committed item three times."""

    def emit(self, event: str, *args: object) -> None:
        for _ in range(3 if event == "conversation_item_added" else 1):
            super().emit(event, *args)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def live_ears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.room.product.ScriptedSTT", LiveSTT)
    monkeypatch.setattr(models, "ScriptedTTS", LongWindedTTS)


@pytest.fixture
def stuttering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.room.product.ScriptedSession", Stuttering)


async def say_in_parts(product: Product, room: EdgeRoom, *parts: str) -> list[Request]:
    """Say one turn. After each part the model has been asked, for a reply that may never be spoken; the questions."""
    asked = len(product.requests(room))
    for number, part in enumerate(parts, start=1):
        room.speak(ALICE, spoken(part)[:1])
        await until(lambda number=number: len(product.requests(room)) == asked + number, f"the guess after {part!r}")
    said = len(committed(product, room))
    room.speak(ALICE, spoken("")[1:])
    await until(lambda: len(committed(product, room)) > said, "the turn to be over")
    await product.answered(room)
    return product.requests(room)[asked:]


def committed(product: Product, room: EdgeRoom) -> list[str]:
    """The person's turns in the conversation."""
    history = product.sessions[room.name].history.messages()
    return [item.text_content or "" for item in history if item.role == "user"]


def rows(product: Product, table: str, columns: str, where: str = "true") -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(product.file)) as db:
        return sorted(db.execute(f"select {columns} from {table} where {where}"))  # noqa: S608


def kept(product: Product) -> list[tuple[str, ...]]:
    """Category and value of every memory, of anybody."""
    return rows(product, "memories", "category, value")


def stated(*turns: str) -> list[tuple[str, ...]]:
    """The same of what these turns state, heard once each."""
    found: list[Statement] = []
    for turn in turns:
        found += statements_in(turn, found[-1] if found else None)
    return sorted((statement.category, statement.value) for statement in found)


async def hear_a_story_begin(room: EdgeRoom, words: str) -> None:
    """Ask for one, and hear its first words."""
    told = sum("upon" in text for text in room.texts("lk.transcription"))
    room.text(ALICE, words)
    await until(lambda: sum("upon" in text for text in room.texts("lk.transcription")) > told, "the story to begin")


async def call(worker: Worker, product: Product, room: EdgeRoom, *turns: str) -> None:
    """A call in which she says this."""
    room.join(ALICE)
    await worker.job(room.name)
    await product.greeted(room)
    for words in turns:
        await product.say(room, ALICE, words)
    await call_ends(room, worker)


async def call_ends(room: EdgeRoom, worker: Worker) -> None:
    room.close()
    await worker.idle()


async def test_three_guesses_at_a_turn_are_one_turn(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        guesses = await say_in_parts(product, room, "I live in Oslo.", "I work as a nurse.", "I have two cats.")
        await call_ends(room, worker)
    said = "I live in Oslo. I work as a nurse. I have two cats."
    assert [guess.words for guess in guesses] == ["I live in Oslo.", "I live in Oslo. I work as a nurse.", said]
    assert [text for role, text in product.transcript(ALICE) if role == "user"] == [said]
    assert kept(product) == stated(said)
    assert len(kept(product)) > 1


async def test_what_was_guessed_and_not_said_is_kept_nowhere(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        guesses = await say_in_parts(product, room, "I live in Oslo…", "I live in Bergen…", "I live in Tromso.")
        await call_ends(room, worker)
    assert [guess.words for guess in guesses] == ["I live in Oslo", "I live in Bergen", "I live in Tromso."]
    assert kept(product) == stated("I live in Tromso.")
    assert rows(product, "memory_history", "value") == []
    for guessed in (b"Oslo", b"Bergen"):
        assert guessed not in product.file.read_bytes(), "it was written once, and corrected"


@pytest.mark.usefixtures("stuttering")
async def test_an_event_that_comes_three_times_is_one_row(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "My favorite color is blue and I love tea.")
        await product.say(room, ALICE, "I live in Oslo.")
        await call_ends(room, worker)
    assert kept(product) == stated("My favorite color is blue and I love tea.", "I live in Oslo.")
    assert rows(product, "memory_history", "value") == []
    assert product.transcript(ALICE) == [
        ("assistant", "You said"),
        ("user", "My favorite color is blue and I love tea."),
        ("assistant", "You said My favorite color is blue and I love tea."),
        ("user", "I live in Oslo."),
        ("assistant", "You said I live in Oslo."),
    ]


async def test_a_call_that_is_replayed_whole_adds_nothing(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "My favorite color is red.")
        await product.chat(room, ALICE, "My favorite color is blue.")
        await product.chat(room, ALICE, "I live in Oslo.")
        session, loop = product.sessions[room.name], product.loops[room.name]
        for item in [*session.history.messages()] * 2:
            event = ConversationItemAddedEvent(item=item)
            loop.call_soon_threadsafe(
                session.emit, "conversation_item_added", event, context=product.contexts[room.name]
            )
        await product.chat(room, ALICE, "I love tea.")
        await call_ends(room, worker)
    assert kept(product) == stated("My favorite color is blue.", "I live in Oslo.", "I love tea.")
    assert rows(product, "memory_history", "value") == [("My favorite color is red.",)]
    assert len(product.transcript(ALICE)) == 1 + 2 * 4


async def test_who_cuts_the_agent_off_is_heard_once(product: Product, room: EdgeRoom) -> None:
    product.mind = tells_a_story
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        for words in ("I live in Oslo. Tell me a story.", "I have two cats. Tell me a story."):
            await hear_a_story_begin(room, words)
            stated_first = words.partition(".")[0]
            await until(lambda: stated_first in str(kept(product)), "enough of it to be heard")  # noqa: B023
        await product.chat(room, ALICE, "I love tea.")
        await call_ends(room, worker)
    said = ["I live in Oslo. Tell me a story.", "I have two cats. Tell me a story.", "I love tea."]
    assert [text for role, text in product.transcript(ALICE) if role == "user"] == said
    assert kept(product) == stated(*said)
    cut_off = rows(product, "messages", "text", "interrupted")
    assert len(cut_off) == 2
    assert all(STORY.startswith(text.rstrip(".")) and text != STORY for (text,) in cut_off)


@pytest.mark.usefixtures("stuttering")
async def test_guesses_repeated_events_and_interruptions_together(product: Product, room: EdgeRoom) -> None:
    product.mind = tells_a_story
    turns = [
        ["I live in Oslo.", "I work as a nurse.", "I have two cats."],
        ["My sister…", "My sister Anna…", "My sister Anna lives in Rome."],
        ["I am allergic…", "I am allergic to nuts.", "I love tea."],
    ]
    said = [" ".join(part for part in parts if not part.endswith("…")) for parts in turns]
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        for number, parts in enumerate(turns):
            assert len(await say_in_parts(product, room, *parts)) == GUESSES
            words = f"Tell me a story about my house number {number}."
            await hear_a_story_begin(room, words)
            await product.chat(room, ALICE, "Stop.")
        await call_ends(room, worker)
    heard = [text for role, text in product.transcript(ALICE) if role == "user"]
    assert [turn for turn in heard if turn in said] == said
    assert len(heard) == 3 * len(turns)
    assert kept(product) == stated(*heard)


async def test_what_is_said_again_in_another_call_adds_nothing(product: Product, server: Edge) -> None:
    turns = ["I live in Oslo.", "I work as a nurse.", "I have two cats."]
    async with working(product.server) as worker:
        for day in ("monday", "tuesday"):
            await call(worker, product, server.room(f"replays on {day}"), " ".join(turns), *turns)
    assert kept(product) == stated(" ".join(turns))
    assert rows(product, "memory_history", "value") == []


async def test_memories_that_the_model_was_shown_are_not_kept_again(product: Product, server: Edge) -> None:
    """The model reads its block out, and the person sends it back."""
    product.mind = lambda request: block_in(request) or "Hello."
    told = ["My favorite color is blue.", "I live in Oslo.", "I have two cats."]
    before, room = server.room("the day before"), server.room("the day after")
    async with working(product.server) as worker:
        await call(worker, product, before, *told)
        room.join(ALICE)
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "What do you know?")
        block = block_in(product.requests(room)[-1])
        for words in [block, *block.splitlines()]:
            await product.chat(room, ALICE, words)
        await call_ends(room, worker)
    assert all(words in block for words in told)
    assert ("assistant", block) in product.transcript(ALICE)
    assert kept(product) == stated(*told)
    assert rows(product, "memory_history", "value") == []


async def test_what_only_the_model_is_shown_is_in_no_transcript(product: Product, server: Edge) -> None:
    before, room = server.room("a day"), server.room("another day")
    async with working(product.server) as worker:
        await call(worker, product, before, "I live in Oslo.")
        room.join(ALICE)
        await worker.job(room.name)
        await product.greeted(room)
        guesses = await say_in_parts(product, room, "Do you…", "Do you know…", "Do you know where I live?")
        await product.chat(room, ALICE, "And what do I do?")
        await call_ends(room, worker)
    shown = [*guesses, product.requests(room)[-1]]
    assert ["Oslo" in block_in(request) for request in shown] == [True] * (GUESSES + 1)
    assert all(len(blocks_in(request)) == 1 for request in shown), "one of an earlier turn is in the conversation"
    assert all("<memory>" not in text for _, text in product.transcript(ALICE))


def tells_a_story(request: Request) -> str:
    return STORY if "story" in request.words else "Yes."


def blocks_in(request: Request) -> list[str]:
    """The memories that the model is shown."""
    texts = [item.text_content or "" for item in request.chat_ctx.messages() if item.role == "user"]
    return [f"{text.partition('</memory>')[0]}</memory>" for text in texts if text.startswith("<memory>")]


def block_in(request: Request) -> str:
    return "".join(blocks_in(request)[-1:])
