"""Who wants everything forgotten is forgotten: in every table, in the file's bytes, in the index, and in the call that
goes on. By voice and by an operator's command; of nobody else anything is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from call.assistant import prompts
from identity import livekit_identity_to_uuid
from memory.records import Category, Memory
from memory.stores.sqlite import SqliteStore
from tests.room.edge import Edge, EdgeRoom, edge
from tests.room.models import Call, Request
from tests.room.product import Product, shipped
from tests.room.worker import Worker, until, working

ROOT = Path(__file__).parent.parent
ALICE, BOB = "alice@example.com", "bob@example.com"
LIVES = {ALICE: "marmalade", BOB: "lighthouse"}
"""A word that stands in all that the person says."""
FORGET = "please forget everything about me"

Rows = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def no_loop_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in tests/room: jobs are threads here."""
    monkeypatch.setenv("LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS", "0")


@pytest.fixture
def server() -> Iterator[Edge]:
    with edge() as it:
        yield it


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    for it in shipped(tmp_path):
        it.mind = obedient
        yield it


def obedient(request: Request) -> str | Call:
    """Deletes when it is told to, as the shipped instructions have it; else it says something."""
    if request.tool_has_answered:
        return "Shall I forget everything?" if "yes or no" in request.everything else "Done."
    if request.words == FORGET:
        return Call("forget_everything", {"confirmation": ""})
    if request.words == "yes":
        return Call("forget_everything", {"confirmation": "yes"})
    return "I see."


# -- what there is


def rows(file: Path) -> Rows:
    """Everything in every table of the file."""
    with contextlib.closing(sqlite3.connect(file)) as db:
        tables = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
        return {table: sorted(db.execute(f"select * from {table}"), key=repr) for table in tables}  # noqa: S608


def of(person: str, found: Rows) -> Rows:
    """The rows that hold anything of theirs."""
    theirs = str(livekit_identity_to_uuid(person)), person, LIVES[person]
    return {
        table: [row for row in table_rows if any(mark in str(cell) for cell in row for mark in theirs)]
        for table, table_rows in found.items()
    }


def counts(found: Rows) -> Counter[str]:
    return Counter({table: len(table_rows) for table, table_rows in found.items() if table_rows})


def bytes_on_disk(file: Path) -> bytes:
    """The store and what SQLite keeps beside it."""
    return b"".join(path.read_bytes() for path in sorted(file.parent.glob(f"{file.name}*")))


async def lived(worker: Worker, product: Product, room: EdgeRoom, person: str) -> None:
    """A call in which they told everything that is kept of somebody: facts, one that changed, and the talk itself."""
    word = LIVES[person]
    await begun(worker, product, room, person)
    for turn in (
        f"My favorite color is {word}.",
        f"My favorite color is {word} blue.",
        f"I live in {word}.",
        f"I have two cats called {word}.",
    ):
        await product.chat(room, person, turn)
    await ended(worker, product, room)


async def begun(worker: Worker, product: Product, room: EdgeRoom, person: str) -> None:
    room.join(person)
    await worker.job(room.name)
    await product.greeted(room)


async def ended(worker: Worker, product: Product, room: EdgeRoom) -> None:
    room.close()
    await worker.idle()


async def both_lived(worker: Worker, product: Product, server: Edge) -> None:
    for person in LIVES:
        await lived(worker, product, server.room(f"first room of {person}"), person)
    for person in LIVES:
        found = counts(of(person, rows(product.file)))
        assert set(found) == {"profiles", "conversations", "sessions", "messages", "memories", "memory_history"}


def told_of(word: str, request: Request) -> list[str]:
    """What the model sees with that word in it."""
    return [item.text_content or "" for item in request.chat_ctx.messages() if word in (item.text_content or "")]


def operator(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m memory`, as somebody at a terminal runs it on this store."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUPABASE_")}
    environment |= {"RAPPORT_HOME": str(file.parent), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "memory", *arguments]
    # in a directory where nobody has a .env
    return subprocess.run(
        command, check=False, cwd=file.parent, env=environment, capture_output=True, text=True, timeout=60
    )


# -- by voice


async def test_whoever_says_so_and_confirms_it_is_forgotten_in_every_table(product: Product, server: Edge) -> None:
    room = server.room("forget me")
    async with working(product.server) as worker:
        await both_lived(worker, product, server)
        others = of(BOB, rows(product.file))
        await begun(worker, product, room, ALICE)
        await product.say(room, ALICE, FORGET)
        assert of(ALICE, rows(product.file))["memories"], "nobody has agreed yet"
        await product.say(room, ALICE, "yes")
        assert counts(of(ALICE, rows(product.file))) == {}
        assert b"marmalade" not in bytes_on_disk(product.file)
        await product.say(room, ALICE, "what day is it")
        await ended(worker, product, room)
    assert counts(of(ALICE, rows(product.file))) == {}, "the end of the call has brought something back"
    assert of(BOB, rows(product.file)) == others
    assert b"marmalade" not in bytes_on_disk(product.file)
    assert b"lighthouse" in bytes_on_disk(product.file)


async def test_who_does_not_confirm_it_is_not_forgotten(product: Product, server: Edge) -> None:
    room = server.room("not so fast")
    async with working(product.server) as worker:
        await both_lived(worker, product, server)
        before = of(ALICE, rows(product.file))["memories"]
        await begun(worker, product, room, ALICE)
        await product.say(room, ALICE, FORGET)
        await product.say(room, ALICE, "no, keep it")
        await product.say(room, ALICE, "yes")  # to something else
        await ended(worker, product, room)
    assert set(before) <= set(of(ALICE, rows(product.file))["memories"])


async def test_the_call_that_goes_on_knows_nothing_more(product: Product, server: Edge) -> None:
    """Neither what was told in an earlier call, nor in this one before it was forgotten."""
    room = server.room("who am I")
    async with working(product.server) as worker:
        await both_lived(worker, product, server)
        await begun(worker, product, room, ALICE)
        await product.say(room, ALICE, "where do I live")
        assert told_of("marmalade", product.requests(room)[-1])
        await product.say(room, ALICE, "I work as a marmalade maker.")
        await product.say(room, ALICE, FORGET)
        await product.say(room, ALICE, "yes")
        await product.say(room, ALICE, "where do I live again")
        asked = product.requests(room)[-1]
        assert asked.words == "where do I live again"
        assert told_of("marmalade", asked) == []
        user = livekit_identity_to_uuid(ALICE)
        live = product.services.memory._live
        assert live.is_loaded(user)
        assert live.of(user) == []
        with live.person(user) as person:
            assert (person.past(), person.index.search("marmalade")) == ([], [])
        await product.say(room, ALICE, "I live in Oslo.")
        await product.say(room, ALICE, "thank you")
        assert told_of("Oslo", product.requests(room)[-1]), "the call itself goes on"
        await ended(worker, product, room)


async def test_who_was_forgotten_is_a_stranger_in_the_next_call(product: Product, server: Edge) -> None:
    room, next_room = server.room("farewell"), server.room("hello")
    async with working(product.server) as worker:
        await both_lived(worker, product, server)
        await begun(worker, product, room, ALICE)
        await product.say(room, ALICE, FORGET)
        await product.say(room, ALICE, "yes")
        await ended(worker, product, room)
        await begun(worker, product, next_room, ALICE)
        await ended(worker, product, next_room)
    [greeting] = product.requests(next_room)
    assert told_of(prompts.FIRST_GREETING, greeting)
    assert "marmalade" not in greeting.everything


# -- by an operator


async def test_an_operator_erases_one_person_from_every_table(product: Product, server: Edge) -> None:
    async with working(product.server) as worker:
        await both_lived(worker, product, server)
    before = rows(product.file)
    done = operator(product.file, "erase", "--identity", ALICE, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert counts(of(ALICE, rows(product.file))) == {}
    assert of(BOB, rows(product.file)) == of(BOB, before)
    assert b"marmalade" not in bytes_on_disk(product.file)


async def test_a_call_that_goes_on_while_an_operator_erases_knows_nothing_more(product: Product, server: Edge) -> None:
    """From the next sign of life on, which finds that there is no session any more."""
    product.services = dataclasses.replace(product.services, heartbeat=0.05)
    room = server.room("meanwhile")
    user = livekit_identity_to_uuid(ALICE)
    async with working(product.server) as worker:
        await both_lived(worker, product, server)
        await begun(worker, product, room, ALICE)
        await product.say(room, ALICE, "where do I live")
        assert operator(product.file, "erase", "--identity", ALICE, "--yes").returncode == 0
        await until(lambda: not product.services.memory._live.of(user), "the call to notice")
        await product.say(room, ALICE, "where do I live again")
        assert told_of("marmalade", product.requests(room)[-1]) == []
        await ended(worker, product, room)
    assert "marmalade" not in str(rows(product.file))


async def test_what_is_told_and_forgotten_on_another_device_is_in_a_call_that_goes_on(
    product: Product, server: Edge
) -> None:
    product.services = dataclasses.replace(product.services, look_elsewhere=0.05)
    room, user = server.room("one device"), livekit_identity_to_uuid(ALICE)
    elsewhere = SqliteStore(product.file)

    def known() -> list[str]:
        return [memory.value for memory in product.services.memory._live.of(user)]

    async with working(product.server) as worker:
        await begun(worker, product, room, ALICE)
        await elsewhere.remember(user, [Memory(Category.FACT, "cat", "marmalade", datetime.now(UTC))])
        await until(lambda: known() == ["marmalade"], "the call to hear of it")
        await product.say(room, ALICE, "what is my cat called")
        assert told_of("marmalade", product.requests(room)[-1])
        await elsewhere.forget(user, Category.FACT, "cat")
        await until(lambda: known() == [], "the call to hear that it is gone")
        await product.say(room, ALICE, "what is my cat called now")
        assert told_of("marmalade", product.requests(room)[-1]) == []
        await ended(worker, product, room)
    await elsewhere.aclose()


async def test_an_export_that_is_brought_back_is_exported_with_the_same_bytes(product: Product, server: Edge) -> None:
    async with working(product.server) as worker:
        await both_lived(worker, product, server)
    before = rows(product.file)
    first, second = product.file.parent / "first.json", product.file.parent / "second.json"
    for arguments in (
        ["export", "--identity", ALICE, "--output", str(first)],
        ["erase", "--identity", ALICE, "--yes"],
        ["import", str(first), "--identity", ALICE],
        ["export", "--identity", ALICE, "--output", str(second)],
    ):
        done = operator(product.file, *arguments)
        assert done.returncode == 0, done.stderr
    assert second.read_bytes() == first.read_bytes()
    assert first.read_text(encoding="utf-8").count("marmalade") > 4
    assert of(BOB, rows(product.file)) == of(BOB, before)
    assert counts(of(ALICE, rows(product.file))) == counts(of(ALICE, before))
