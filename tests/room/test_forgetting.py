"""The shipped worker forgets for good: nothing that is kept, sent or open tells it any more, and all else is there."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from livekit.agents import get_job_context

from tests.room.edge import Edge, EdgeRoom
from tests.room.models import Call, Request
from tests.room.product import Product
from tests.room.worker import until, working

ALICE = "alice@example.com"


class Thing(NamedTuple):
    """What is told, and beside it in the same turn; the agent's answer; the order; the words that must be gone."""

    told: str
    beside: str
    answer: str
    order: str
    gone: list[str]

    @property
    def turn(self) -> str:
        return f"{self.told} {self.beside}"


THINGS = [
    Thing("My diagnosis code is H 42.", "I like tea.", "H 42, tea.", "forget my diagnosis code", ["h 42", "diagnosis"]),
    Thing("I smoke.", "My cat is called Tilda.", "Smoking is bad. Hi Tilda!", "Forget that I smoke.", ["smok"]),
    Thing("I was diagnosed with shingles.", "I live in Oslo.", "Shingles hurt.", "forget the shingles", ["shingles"]),
    Thing("My favorite color is teal.", "I love cocoa.", "Teal! And cocoa.", "forget my favorite color", ["teal"]),
    Thing("Ich habe Gürtelrose.", "Ich mag Kamillentee.", "Gürtelrose?", "Vergiss die Gürtelrose!", ["gürtelrose"]),
    Thing("我有糖尿病。", "我喜欢乌龙茶。", "糖尿病。乌龙茶。", "忘记我的糖尿病", ["糖尿病"]),
]  # fmt: skip
_MORE = """
    psoriasis eczema asthma migraine tinnitus vertigo bursitis sciatica gout lupus celiac anemia scoliosis insomnia
    glaucoma rosacea vitiligo bronchitis arthritis diabetes malaria measles mumps rabies scurvy tetanus typhoid hernia
    ulcer cataract stroke fracture burnout anorexia bulimia dyslexia autism epilepsy dementia hepatitis cholera leprosy
    jaundice gangrene
""".split()
_TOLD = "I suffer from {}.", "My sister says that I have {}.", "They treat me for {} in Graz.", "It was {} after all."
_BESIDE = "I keep three goats.", "On Fridays I sing in a choir.", "My tent is orange.", "I was born in Bruges."
SOME_MORE = [
    Thing(_TOLD[n % 4].format(word), _BESIDE[n % 4], f"Oh, {word}! Noted.", f"forget the {word}", [word])
    for n, word in enumerate(_MORE)
]
EVERY = [*THINGS, *SOME_MORE]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Which thread the dispatch of a room names, by the room's name."""
    named: dict[str, str] = {}
    monkeypatch.setattr("call.acquaintance.thread_in", lambda metadata: named.get(get_job_context().job.room.name))
    return named


def rows(product: Product) -> dict[str, list[dict[str, Any]]]:
    """Everything that is in the file, by table."""
    with closing(sqlite3.connect(product.file)) as db:
        db.row_factory = sqlite3.Row
        tables = [name for (name,) in db.execute("select name from sqlite_schema where type = 'table'")]
        return {table: [dict(row) for row in db.execute(f"select * from {table}")] for table in tables}  # noqa: S608


def keys(product: Product, words: list[str]) -> list[str]:
    return [row["key"] for row in rows(product)["memories"] if any(word in row["value"].lower() for word in words)]


def file(product: Product) -> str:
    """All that is on the disk, in whatever file the store keeps."""
    return b"".join(path.read_bytes() for path in product.file.parent.glob("rapport.db*")).decode(errors="replace")


def held(product: Product, room: EdgeRoom) -> str:
    """What the open session still holds, in both of the framework's conversations."""
    session = product.sessions[room.name]
    return str([context.to_dict() for context in (session.history, session.current_agent.chat_ctx)])


def sent(product: Product, room: EdgeRoom, after: int = 0) -> str:
    return "\n".join(request.everything for request in product.requests(room)[after:])


async def ordered(product: Product, room: EdgeRoom, order: str) -> int:
    """How many requests there were up to the order itself."""
    before = len(product.requests(room))
    room.text(ALICE, order)
    await until(lambda: len(product.requests(room)) >= before + 2, "the order to be followed")
    await product.answered(room)
    return before + 1


def forgets(product: Product, thing: Thing) -> Callable[[Request], str | Call]:
    def think(request: Request) -> str | Call:
        if request.tool_has_answered:
            return "It is forgotten."
        if request.words == thing.order:
            return Call("forget", {"keys": keys(product, thing.gone)})
        return thing.answer if request.words == thing.turn else "Yes."

    return think


@pytest.mark.parametrize(
    "thing",
    [*THINGS, *(pytest.param(thing, marks=pytest.mark.soak) for thing in SOME_MORE)],
    ids=[thing.told for thing in EVERY],
)
async def test_a_thing_that_is_forgotten_is_gone_everywhere_and_nothing_else(
    product: Product, server: Edge, threads: dict[str, str], thing: Thing
) -> None:
    kitchen, hall, again, new = (
        server.room(f"place {EVERY.index(thing)}.{n}") for n in range(4)
    )  # rooms are of all tests
    threads[again.name] = kitchen.name
    product.mind = forgets(product, thing)
    product.services = dataclasses.replace(product.services, look_elsewhere=0.2)
    async with working(product.server) as worker:
        for room in (hall, kitchen):
            room.join(ALICE)
            await worker.job(room.name)
            await product.greeted(room)
        await product.chat(kitchen, ALICE, thing.turn)
        await product.chat(kitchen, ALICE, "hello there")
        await until(lambda: keys(product, thing.gone), "it to be kept")
        assert all(word in file(product).lower() for word in thing.gone)
        after = await ordered(product, kitchen, thing.order)
        await product.chat(kitchen, ALICE, "what else do you know?")
        await until(
            lambda: not any(word in held(product, hall).lower() for word in thing.gone), "the hall to forget it"
        )
        await product.chat(hall, ALICE, "and here?")
        told = {"kitchen holds": held(product, kitchen), "hall holds": held(product, hall)}
        kitchen.close()
        await until(lambda: "left" in product.endings(ALICE), "the call to end")
        await product.call(worker, again, ALICE, "I am back")
        await product.call(worker, new, ALICE, "hello")
        hall.close()
        await until(lambda: all(product.endings(ALICE)), "the calls to end")
    told |= {"kitchen sent": sent(product, kitchen, after), "hall sent": product.requests(hall)[-1].everything}
    told |= {"again": sent(product, again), "new": sent(product, new)}
    told |= {"rows": str(rows(product)), "file": file(product)}
    assert [(where, word) for word in thing.gone for where, text in told.items() if word in text.lower()] == []
    assert thing.beside in product.memories(ALICE)
    assert thing.beside in str(product.transcript(ALICE))
    assert thing.beside.rstrip(".。") in told["again"], "the conversation goes on with what else was said"


async def test_a_topic_is_forgotten_after_the_persons_own_yes_and_exactly_what_they_were_told(
    product: Product, server: Edge
) -> None:
    room = server.room("about a topic")
    found: list[str] = []

    def think(request: Request) -> str | Call:
        if request.tool_has_answered:
            found.append(request.everything)
            return "Shall I forget these?" if len(found) == 1 else "It is forgotten."
        if request.words == "forget what I said about my doctor":
            return Call("forget_about", {"topic": "doctor", "confirmation": ""})
        if request.words == "yes, do it":
            return Call("forget_about", {"topic": "doctor", "confirmation": "yes"})
        return "I see."

    product.mind = think
    async with working(product.server) as worker:
        room.join(ALICE)
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, ALICE, "My doctor is Okafor, in Leeds.")
        await product.chat(room, ALICE, "I like tea.")
        await until(lambda: len(product.memories(ALICE)) == 2, "both to be kept")
        await ordered(product, room, "forget what I said about my doctor")
        assert "Okafor" in found[0] and len(product.memories(ALICE)) == 2
        after = await ordered(product, room, "yes, do it")
        await product.chat(room, ALICE, "and now?")
        told = sent(product, room, after), held(product, room), str(rows(product)), file(product)
        room.close()
        await until(lambda: all(product.endings(ALICE)), "the call to end")
    assert [text for text in told if "okafor" in text.lower()] == []
    assert product.memories(ALICE) == ["I like tea."]
