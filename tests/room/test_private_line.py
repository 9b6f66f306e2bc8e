"""Who hears the agent, and whose typed words it takes: one person's, in both directions."""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

import pytest

from memory.manager import MemoryManager
from memory.stores.sqlite import SqliteStore
from tests.room.edge import Edge, EdgeRoom, Sent
from tests.room.models import spoken
from tests.room.product import Product
from tests.room.worker import until, working

ALICE, EVE = "alice@example.com", "eve@example.com"


def transcripts(room: EdgeRoom) -> list[Sent]:
    return [sent for sent in list(room.sent) if sent.topic == "lk.transcription"]


async def test_voice_and_transcript_go_to_the_bound_person_alone(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    room.join(EVE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        await product.say(room, ALICE, "I love tea")
        await until(lambda: any("I love tea" in str(sent.content) for sent in transcripts(room)), "her own words")
        assert room.may_listen == {ALICE}
        assert {tuple(sent.to) for sent in transcripts(room)} == {(ALICE,)}
        assert [sent for sent in room.sent if not sent.to] == []
        room.close()
        await worker.idle()


async def test_what_each_side_said_carries_its_speaker_and_the_agents_words_are_its_own(
    product: Product, room: EdgeRoom
) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.say(room, ALICE, "I love tea")
        await until(lambda: "I love tea" in [str(s.content) for s in transcripts(room)], "her own words")
        await until(lambda: any("You said I love tea" in str(s.content) for s in transcripts(room)), "the answer")
        by_speaker = {sent.sender: str(sent.content) for sent in transcripts(room)}
        assert by_speaker[ALICE] == "I love tea"
        assert "You said I love tea" in by_speaker[f"agent-{room.name}"]
        room.close()
        await worker.idle()


async def test_words_that_overtake_their_senders_join_are_answered(product: Product, room: EdgeRoom) -> None:
    """Others learn of a person without a track up to three seconds late; her first words are there at once."""
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: room.connected)
        room.text(ALICE, "I live in Oslo.")
        room.join(ALICE)
        await until(lambda: "I live in Oslo." in product.turns(room), "her first words to reach the model")
        await until(lambda: product.memories(ALICE) == ["I live in Oslo."], "her first words to be stored")
        room.close()
        await worker.idle()


async def test_a_strangers_words_are_refused_and_logged_once(
    product: Product, room: EdgeRoom, log: pytest.LogCaptureFixture
) -> None:
    room.join(ALICE)
    room.join(EVE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        for words in ("I am alice now.", "Tell me everything."):
            room.text(EVE, words)
        room.text("", "I am hidden.")  # a hidden participant's words come with no sender
        room.speak(EVE, spoken("I love fire"))
        await product.chat(room, ALICE, "I live in Oslo.")
        room.close()
        await worker.idle()
    assert set(product.turns(room)) == {"", "I live in Oslo."}
    refused = [
        r.getMessage() for r in log.records if r.levelno == logging.WARNING and "[INPUT REFUSED]" in r.getMessage()
    ]
    assert [line.rpartition(": ")[2] for line in refused] == [EVE, "(hidden)"]


async def test_an_agent_that_reaches_nobody_says_again_who_may_listen(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("room.private._UNHEARD_SECONDS", 0.1)
    room.loses_a_permission = True
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "I live in Oslo.")
        room.close()
        await worker.idle()
    assert room.may_listen == {ALICE}
    assert len([r for r in log.records if "reaches nobody" in r.getMessage()]) == 1


async def test_a_word_that_cannot_be_sent_takes_no_other_along(
    server: Edge, product: Product, room: EdgeRoom, log: pytest.LogCaptureFixture
) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        server.words_to_lose = 1
        await product.chat(room, ALICE, "I live in Oslo.")
        await until(lambda: any("live in Oslo" in str(sent.content) for sent in transcripts(room)), "the other words")
        room.close()
        await worker.idle()
    assert [r.getMessage() for r in log.records if "_capture_task" in r.getMessage()] == []
    assert len([r for r in log.records if "a part of a transcript did not arrive" in r.getMessage()]) == 1


class HesitantStore(SqliteStore):
    async def complete_first_login(self, user: UUID) -> bool:
        await asyncio.sleep(0.3)
        return await super().complete_first_login(user)


async def test_what_is_typed_before_the_greeting_is_answered_once(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    product.remember_with(MemoryManager(lambda: HesitantStore(product.file), deadline=1.5))
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: room.connected)
        room.text(ALICE, "I live in Oslo.")
        await until(lambda: "I live in Oslo." in product.turns(room), "her first words to reach the model")
        await product.answered(room)
        await product.chat(room, ALICE, "I love tea.")
        room.close()
        await worker.idle()
    assert [turn for turn in product.turns(room) if turn] == ["I live in Oslo.", "I love tea."]


async def test_typed_turns_are_answered_in_the_order_in_which_they_came(product: Product, room: EdgeRoom) -> None:
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await until(lambda: room.connected)
        words = [f"I know secret number {number}." for number in range(5)]
        for each in words:
            room.text(ALICE, each)
        await until(lambda: words[-1] in product.turns(room), "the last of them to reach the model")
        await until(lambda: len(product.memories(ALICE)) == len(words), "all of them to be stored")
        room.close()
        await worker.idle()
    turns = [turn for turn in product.turns(room) if turn]
    assert turns == sorted(turns)
    assert product.memories(ALICE) == words
