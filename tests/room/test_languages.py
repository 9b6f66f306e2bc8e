"""The shipped worker speaks the language of who calls, from the greeting on, whether or not the recogniser tells it."""

from __future__ import annotations

import logging
from functools import partial

import pytest

from call.assistant import prompts
from room.dispatch import leave
from room.participant import RoomSettings
from tests.room.edge import Edge, EdgeRoom
from tests.room.product import Product
from tests.room.worker import until, working
from voice.phrases import PHRASES

ALICE = "alice@example.com"

CALLS = {
    "de": ("German", "Ich trinke keinen Kaffee", "Was trinke ich eigentlich gerne?"),
    "es": ("Spanish", "No bebo café por la noche", "¿Qué me gusta beber?"),
    "ja": ("Japanese", "コーヒーは飲みません、紅茶だけです", "私は何を飲みますか？"),
}


def told_to_speak(product: Product, room: EdgeRoom) -> list[str]:
    """The language of each request, "" where the model is left to follow what it hears."""
    names = {prompts.SPEAK.format(name): name for name in [*(name for name, *_ in CALLS.values()), "English"]}
    return [
        next((name for order, name in names.items() if order in request.instructions), "")
        for request in product.requests(room)
    ]


@pytest.mark.parametrize("tells", [True, False], ids=["told", "by its words"])
@pytest.mark.parametrize("language", CALLS)
async def test_the_answer_the_apology_and_the_next_greeting_follow_what_is_spoken(
    language: str, tells: bool, product: Product, server: Edge, log: pytest.LogCaptureFixture
) -> None:
    name, statement, question = CALLS[language]
    product.language_of = lambda _: language if tells else ""
    first, second = server.room(f"{language} {tells}"), server.room(f"{language} {tells} again")
    async with working(product.server) as worker:
        first.join(ALICE)
        await worker.job(first.name)
        await product.greeted(first)
        await product.say(first, ALICE, statement)
        await until(lambda: product.apologies[first.name].recorded[-1] == PHRASES[language], "the apology")
        await product.say(first, ALICE, question)
        first.close()
        await worker.idle()
        await product.call(worker, second, ALICE)
        await worker.idle()
    assert told_to_speak(product, first) == ["", name, name]
    assert told_to_speak(product, second) == [name]
    assert product.memories(ALICE) == [statement]
    assert product.apologies[second.name].recorded == [PHRASES[language]]
    lines = [record.getMessage() for record in log.records if "[LANGUAGE]" in record.getMessage()]
    assert lines == [f"[LANGUAGE] {language}"] * 2
    assert {record.levelno for record in log.records if "[LANGUAGE]" in record.getMessage()} == {logging.INFO}


async def test_who_shows_a_language_is_greeted_asked_and_told_goodbye_in_it(
    product: Product, room: EdgeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("call.job.leave", partial(leave, seconds=0.1))  # there is no server to ask
    product.set(room=RoomSettings(idle_timeout=0.5))
    room.join(ALICE, attributes={"language": "es-MX"})
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await worker.idle()  # by itself
    assert prompts.GOODBYES["idle"] in product.requests(room)[-1].instructions
    assert told_to_speak(product, room) == ["Spanish"] * 3
    assert product.apologies[room.name].recorded == [PHRASES["es"]]


async def test_a_call_that_changes_its_language_is_followed_and_one_misheard_word_is_not(
    product: Product, room: EdgeRoom
) -> None:
    told = {"I live in Bremen": "en", "Okay, ja.": "de", "Guten Tag": "de", "Ach so, gut.": "de"}
    product.language_of = lambda words: told.get(words, "")
    room.join(ALICE)
    async with working(product.server) as worker:
        await worker.job(room.name)
        await product.greeted(room)
        await product.say(room, ALICE, "I live in Bremen")
        await product.say(room, ALICE, "Okay, ja.")
        await product.say(room, ALICE, "I really like it here")
        await product.say(room, ALICE, "Guten Tag")
        await product.say(room, ALICE, "Ach so, gut.")
        await until(lambda: product.apologies[room.name].recorded[-1] == PHRASES["de"], "the apology")
        await product.chat(room, ALICE, "Let us go back to English, please.")
        await product.chat(room, ALICE, "It is easier for me to read.")
        room.close()
        await worker.idle()
    spoken = told_to_speak(product, room)
    assert spoken[:6] == ["", *["English"] * 4, "German"]
    assert spoken[-1] == "English"  # what is typed is followed from the next answer on
