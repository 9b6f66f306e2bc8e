"""What a person keeps to themselves is kept nowhere: not in memory, transcript, summary or log, nor told later."""

from __future__ import annotations

import itertools
import logging
import sqlite3

import pytest
from livekit.agents import get_job_context

import metrics
from memory.settings import MemorySettings
from tests.room.edge import Edge, EdgeRoom
from tests.room.models import Call, Request
from tests.room.product import Product
from tests.room.telling import spoken_of
from tests.room.worker import working

ALICE = "alice@example.com"
_NUMBERS = itertools.count()


def written(product: Product) -> str:
    """Everything that the database holds, in small letters."""
    with sqlite3.connect(product.file) as db:
        return spoken_of("\n".join(db.iterdump()))


def shown(product: Product, room: EdgeRoom) -> str:
    """All that the model was sent for the last answer."""
    return spoken_of(product.requests(room)[-1].everything)


async def a_call(product: Product, server: Edge, name: str, *words: str) -> EdgeRoom:
    """A whole one, in a room of its own; of one name, on one thread."""
    room = server.room(f"{name} {next(_NUMBERS)}")
    async with working(product.server) as worker:
        await product.call(worker, room, ALICE, *words)
        await worker.idle()
    return room


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("call.acquaintance.thread_in", lambda _: get_job_context().job.room.name.partition(" ")[0])


@pytest.mark.parametrize("curator", ["rules", "llm"])
async def test_what_is_off_the_record_is_neither_kept_nor_told_later(
    product: Product, server: Edge, curator: str
) -> None:
    product.set(memory=MemorySettings.model_validate({"memory_extraction": curator}))
    product.curator = lambda _: "They talked about jazz."
    await a_call(
        product,
        server,
        "first",
        "I do not want you to remember that I smoke.",
        "Off the record, I'm looking for another job.",
        "They pay badly at the brewery.",
        "Back on the record: I like jazz.",
    )
    for secret in ("smoke", "another job", "brewery"):
        assert secret not in written(product)
    assert product.memories(ALICE) == ["I like jazz."]
    assert [text for role, text in product.transcript(ALICE) if role == "user"] == ["I like jazz."]
    room = await a_call(product, server, "first", "What do you know?")  # taken up again
    assert "jazz" in shown(product, room)
    assert not {"smoke", "job", "brewery"} & set(shown(product, room).split())


async def test_what_is_taken_back_is_gone_and_what_it_had_replaced_holds_again(product: Product, server: Edge) -> None:
    await a_call(
        product, server, "first", "I live in Rome.", "I live in Porto.", "Please don't remember that.", "I like tea."
    )
    assert "porto" not in written(product)
    assert sorted(product.memories(ALICE)) == ["I like tea.", "I live in Rome."]
    room = await a_call(product, server, "second", "Where do I live?")
    assert "rome" in shown(product, room) and "porto" not in shown(product, room)


async def test_a_secret_is_known_in_its_turn_and_nowhere_after(product: Product, server: Edge) -> None:
    first = await a_call(
        product,
        server,
        "first",
        "My PIN is 4821 and my bank is Triodos.",
        "The card is 5500 0000 0000 0004.",
        "My locker code is 4711.",
    )
    told = [request.words for request in product.requests(first)]
    assert "My PIN is 4821 and my bank is Triodos." in told  # it is answered
    assert "4821" not in shown(product, first) and "5500" not in shown(product, first)
    assert "4821" not in written(product) and "5500 0000" not in written(product)
    assert ("user", "My PIN is ••• and my bank is Triodos.") in product.transcript(ALICE)
    assert ("assistant", "You said My PIN is ••• and my bank is Triodos.") in product.transcript(ALICE)
    second = await a_call(product, server, "second", "What bank am I with, and what is my locker code?")
    assert "triodos" in shown(product, second) and "4711" in shown(product, second)


async def test_the_model_cannot_keep_it_either(product: Product, server: Edge) -> None:
    """It is asked to, and calls its tool."""

    def mind(request: Request) -> str | Call:
        if request.tool_has_answered or "keep" not in request.words:
            return "Fine."
        return Call(
            "remember", {"category": "FACT", "key": "safe", "value": request.words.removeprefix("Please keep: ")}
        )

    product.mind = mind
    await a_call(
        product,
        server,
        "first",
        "Please keep: my password is hunter2",
        "Off the record.",
        "Please keep: the divorce is in May",
        "Back on the record.",
        "Please keep: the party is in June",
    )
    assert not any(word in written(product) for word in ("hunter2", "divorce"))
    assert "the party is in June" in product.memories(ALICE)


async def test_a_secret_that_an_older_version_kept_is_not_shown(product: Product, server: Edge) -> None:
    await a_call(product, server, "first", "My bank is Triodos.")
    with sqlite3.connect(product.file) as db:
        db.execute("update memories set value = 'My bank is Triodos and my PIN is 4821.'")
        db.execute("update messages set text = 'My PIN is 4821.' where role = 'user'")
    room = await a_call(product, server, "first", "Which bank am I with?")
    assert "triodos" in shown(product, room) and "4821" not in shown(product, room)


async def test_what_nobody_said_is_no_memory(product: Product, server: Edge) -> None:
    product.mind = lambda request: "I am Rapport and I live in the cloud." if "who" in request.words else "Fine."
    await a_call(
        product,
        server,
        "first",
        "Tell me who you are.",
        "I am Rapport and I live in the cloud",
        "I'll see you in the next video.",
        "I live in Rome.",
    )
    assert product.memories(ALICE) == ["I live in Rome."]


async def test_the_log_and_the_metrics_tell_that_something_was_left_out_and_no_word_of_it(
    product: Product, server: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    counted = metrics.LEFT_OUT.labels("secret")
    before = counted._value.get()
    await a_call(product, server, "first", "My PIN is 4821.", "Off the record, I smoke.")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("rapport")]
    assert [line.rpartition(" ")[2] for line in ours if "[PRIVATE]" in line and "secret" in line] == ["secret"]
    assert any("off the record" in line for line in ours)
    assert not any("4821" in line or "smoke" in line for line in ours)
    assert counted._value.get() == before + 1
