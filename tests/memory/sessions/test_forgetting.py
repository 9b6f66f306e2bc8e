"""A thing is forgotten in every session and text of a person, over each store, whatever comes in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from memory.manager import MemoryManager
from memory.recall.redaction import Redaction, forgetting
from memory.records import Category, Memory, Mention, Rewording, Turn
from memory.sessions.session import SessionMemory
from memory.stores.protocol import StoreError
from memory.stores.sqlite import SqliteStore
from tests.memory.sessions.moody import Moody, start
from tests.memory.sessions.test_elsewhere import Device, device
from tests.memory.stores.contract import ALICE, Backend

CODE, TEA = "My diagnosis code is H 42.", "I like tea."
FACT = Category.FACT


@pytest.fixture
async def two(backend: Backend) -> AsyncIterator[tuple[Device, Device]]:
    async with AsyncExitStack() as devices:
        phone = await devices.enter_async_context(device(backend.open, "phone"))
        yield phone, await devices.enter_async_context(device(backend.open, "kitchen"))


def said(text: str, name: str, role: str = "user", *, later: float = 0) -> Turn:
    turn_role = "user" if role == "user" else "assistant"
    return Turn(name, turn_role, text, datetime.now(UTC) + timedelta(seconds=later))


async def tell(live: SessionMemory, text: str, name: str) -> None:
    """A turn of the person, as a call keeps it."""
    turn = said(text, name)
    live.append_turn(turn)
    live.hear(turn)
    live.settle()


async def export(backend: Backend) -> dict[str, Any]:
    store = backend.open()
    try:
        return await store.export(ALICE)
    finally:
        await store.aclose()


def texts(document: dict[str, Any]) -> list[str]:
    return [turn["text"] for turn in document["turns"]]


async def test_turns_answers_summaries_and_the_order_say_it_no_more(
    backend: Backend, two: tuple[Device, Device]
) -> None:
    phone, _ = two
    await tell(phone.live, f"{CODE} {TEA}", "item_1")
    phone.live.append_turn(said("Noted: H 42. Tea is fine.", "item_2", "assistant"))
    phone.live.summarise("The person's diagnosis code is H 42. They like tea.")
    await tell(phone.live, "forget my diagnosis code", "item_3")
    assert await phone.manager.aforget("FACT", "diagnosis_code") is True
    phone.live.append_turn(said("I forgot the code H 42.", "item_4", "assistant"))
    await phone.manager.flush(5)
    document = await export(backend)
    assert "H 42" not in str(document)
    assert texts(document) == [TEA, "Tea is fine.", "", ""]
    assert {one["summary"] for one in document["conversations"]} == {None, "They like tea."}
    assert [one["value"] for one in document["memories"]] == [TEA]


async def test_every_open_session_of_another_process_hears_of_it(backend: Backend, two: tuple[Device, Device]) -> None:
    phone, kitchen = two
    heard: list[Redaction | None] = []
    await tell(phone.live, f"{CODE} {TEA}", "item_1")
    await phone.manager.flush(5)
    await kitchen.live.catch_up()
    kitchen.live.on_redacted.append(heard.append)
    kitchen.live.append_turn(said("Your code is H 42, as you know.", "item_8", "assistant"))
    await kitchen.manager.flush(5)
    assert await phone.manager.aforget("FACT", "diagnosis_code")
    kitchen.live.append_turn(said("I repeat: H 42.", "item_9", "assistant"))
    await kitchen.manager.flush(5)
    assert ("forgotten", CODE) in await kitchen.catch_up()
    kitchen.live.append_turn(said("H 42, once more.", "item_10", "assistant"))
    await kitchen.manager.flush(5)
    assert [redaction and redaction(f"{CODE} {TEA}") for redaction in heard] == [TEA]
    assert "H 42" not in str(await export(backend))
    assert kitchen.knows.keys() == phone.knows.keys()
    assert list(kitchen.knows.values()) == [TEA]


async def test_what_they_say_again_afterwards_is_kept(backend: Backend, two: tuple[Device, Device]) -> None:
    phone, _ = two
    await tell(phone.live, CODE, "item_1")
    assert await phone.manager.aforget("FACT", "diagnosis_code")
    again = said("My diagnosis code is H 42 after all.", "item_2", later=0.001)
    phone.live.append_turn(again)
    phone.live.hear(again)
    phone.live.append_turn(said("H 42, as you wish.", "item_3", "assistant", later=0.002))
    phone.live.settle()
    await phone.manager.flush(5)
    document = await export(backend)
    assert texts(document) == ["", again.text, "H 42, as you wish."]
    assert "H 42" in str(document["memories"])


async def test_a_named_fact_and_the_utterance_that_says_it_are_reached_from_each_other(
    backend: Backend, two: tuple[Device, Device]
) -> None:
    phone, kitchen = two
    at = datetime.now(UTC)
    both = "My cat Tilda is black and I live in Rome."
    for first in (True, False):
        source = f"turn {first}"
        kept = [  # in one call, as what a turn states is: its source is kept once
            Memory(FACT, "user_input_1", both, at, source),
            Memory(Category.RELATIONSHIP, "cat_name", "My cat Tilda", at, source),
            Memory(Category.GOAL, "home_city", "I live in Rome", at, source),
        ]
        store = backend.open()
        await store.remember(ALICE, kept)
        await store.aclose()
        for each in (phone, kitchen):
            await each.catch_up()
        named = ("FACT", "user_input_1") if first else ("RELATIONSHIP", "cat_name")
        assert await phone.manager.aforget(*named)
        await kitchen.catch_up()
        left = {one["value"] for one in (await export(backend))["memories"]}
        assert not any("Tilda" in value for value in left), left
        assert set(kitchen.knows.values()) == set(phone.knows.values()) == left
        assert left == (set() if first else {"I live in Rome", "I live in Rome."})
        assert await phone.manager.apast() == await kitchen.manager.apast() == []


async def test_several_are_forgotten_at_once(backend: Backend, two: tuple[Device, Device]) -> None:
    phone, _ = two
    await tell(phone.live, f"{CODE} {TEA}", "item_1")
    await tell(phone.live, "I have been diagnosed with shingles.", "item_2")
    known = await phone.manager.amemories()
    gone = await phone.manager.aforget_these([memory for memory in known if memory.value != TEA])
    assert {memory.value for memory in gone} == {CODE, "I have been diagnosed with shingles."}
    assert texts(await export(backend)) == [TEA, ""]
    assert await phone.manager.aforget_these(gone) == []


# -- many things of one life

_TOLD = """
I was diagnosed with {0}|I am allergic to {0}|My {0} surgery is on Friday|I owe money to {0}|My ex is called {0}
I secretly applied at {0}|I am afraid of {0}|My therapist is {0}|I lost my job at {0}|My locker code is {0}
Ich nehme {0} gegen Schmerzen|Mein Hausarzt heißt {0}|Je suis suivi par {0}|Tomo {0} cada noche|Я лечусь у {0}
"""
_ANSWERS = "Noted, {0}.|So you told me about {0}, I see.|{0}? I am sorry to hear that. Shall we go on?"
_STAYS = "I like tea.|I have two cats.|Ich mag Kaffee.|What is the weather like?|我喜欢猫。|My garden is full of roses."


def life(count: int) -> list[tuple[str, str, str, str]]:
    """Of each thing: its word, what says it, the answer, and what was said in the same turn."""
    told, answers, stays = (each.strip().replace("\n", "|").split("|") for each in (_TOLD, _ANSWERS, _STAYS))
    names = [
        f"{first}{last}"
        for first in ("Zor", "Quil", "Ven", "Mar", "Tus")
        for last in ("bax", "ony", "idur", "elka", "ostin", "üren", "åmi", "opra", "ycek", "ulla")
    ]
    return [
        (name, told[n % len(told)].format(name), answers[n % len(answers)].format(name), stays[n % len(stays)])
        for n, name in enumerate(names[:count])
    ]


@pytest.mark.parametrize("count", [4, pytest.param(50, marks=pytest.mark.soak)])
async def test_of_many_things_each_is_forgotten_and_no_other(
    backend: Backend, two: tuple[Device, Device], tmp_path: Path, count: int
) -> None:
    phone, kitchen = two
    things = life(count)
    for n, (_, told, answer, stays) in enumerate(things):
        await tell(phone.live, f"{told}. {stays}", f"item_{n}")
        phone.live.append_turn(said(answer, f"answer_{n}", "assistant"))
    phone.live.summarise("; ".join(told for _, told, *_ in things)[:4000])
    await phone.manager.flush(30)
    await kitchen.live.catch_up()
    left, missing = list[str](), list[str]()
    for n, (word, _, _, stays) in enumerate(things):
        await tell(phone.live, f"Please forget {word}!", f"order_{n}")
        keys = [memory for memory in await phone.manager.amemories() if word in memory.value]
        assert await phone.manager.aforget_these(keys, about=f"forget {word}"), word
        await kitchen.live.catch_up()
        document = await export(backend)
        files = b"".join(path.read_bytes() for path in tmp_path.rglob("rapport.db*"))  # noqa: ASYNC240
        places = {**document, "phone": phone.knows, "kitchen": kitchen.knows, "past": await kitchen.manager.apast()}
        left += [f"{word} in {name}" for name, place in places.items() if word in str(place)]
        left += [f"{word} in a file"] if word.encode() in files else []
        missing += [f"{stays} of {word}"] if texts(document)[2 * n].strip() != stays else []
        missing += [other for other, told, *_ in things[n + 1 :] if other not in str(document["memories"])]
        missing += [told for _, told, *_ in things[n + 1 :] if told not in str(document["turns"])]
    assert (left, missing) == ([], [])
    assert kitchen.knows == phone.knows


# -- what comes in between, over SQLite


class Failing(SqliteStore):
    """Fails at the so manieth call of `redact`, before or after it did its work."""

    fails_at, after, calls = 0, False, 0

    async def redact(
        self,
        user: UUID,
        texts: Sequence[tuple[Mention, str]],
        memories: Sequence[Rewording],
        gone: Sequence[tuple[Category, str]],
    ) -> int:
        self.calls += 1
        if self.calls == self.fails_at and not self.after:
            raise StoreError("no")
        done = await super().redact(user, texts, memories, gone)
        if self.calls == self.fails_at:
            raise StoreError("no")
        return done


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("fails_at", [1, 2])
async def test_a_crash_in_between_can_be_asked_for_again(path: Path, fails_at: int, after: bool) -> None:
    store = Failing(path)
    store.fails_at, store.after = fails_at, after
    async with device(lambda: store) as phone:
        await tell(phone.live, f"{CODE} {TEA}", "item_1")
        with pytest.raises(StoreError):
            await phone.manager.aforget("FACT", "diagnosis_code")
        again = await phone.manager.aforget("FACT", "diagnosis_code")
        assert again is not (fails_at == 2 and after), "the memory goes last"
        document = await store.export(ALICE)
        assert (texts(document), [one["value"] for one in document["memories"]]) == ([TEA], [TEA])


async def test_what_waits_to_be_written_says_it_no_more(
    manager: MemoryManager, store: Moody, alice: SessionMemory
) -> None:
    """In a job of another thread, for whose store this one does not wait."""
    await start(alice)
    await tell(alice, f"{CODE} {TEA}", "item_1")
    await manager.flush(5)
    await tell(alice, "Thanks.", "item_2")
    store.gate.clear()
    late = said(f"Did you note that? {CODE}", "item_3")
    alice.append_turn(late)
    alice.hear(late)
    [code] = [memory for memory in manager._live.of(ALICE) if memory.key == "diagnosis_code"]
    planned = forgetting([code], *manager._live.snapshot(ALICE))
    manager._live.forget(ALICE, planned)
    assert alice.unsettled and alice.unsettled.text == "Did you note that?"
    store.gate.set()
    alice.settle()
    await manager.flush(5)
    turns = texts(await store.export(ALICE))
    assert turns[-1] == planned.redaction(late.text) == "Did you note that?"
    assert CODE not in alice.stated


async def test_a_forgetting_that_fails_leaves_every_word(
    manager: MemoryManager, store: Moody, alice: SessionMemory
) -> None:
    await start(alice)
    await tell(alice, CODE, "item_1")
    await manager.flush(5)
    before = await store.export(ALICE)
    store.down = True
    with pytest.raises(StoreError):
        await manager.aforget("FACT", "diagnosis_code")
    store.down = False
    alice.append_turn(said("H 42, yes.", "item_2", "assistant"))
    await manager.flush(5)
    after = await store.export(ALICE)
    assert (after["memories"], texts(after)) == (before["memories"], [CODE, "H 42, yes."])


async def test_a_conversation_of_last_week_is_not_taken_for_todays(path: Path) -> None:
    async with device(lambda: SqliteStore(path), "old") as old:
        await tell(old.live, CODE, "item_1")
    store = SqliteStore(path)
    before = (await store.export(ALICE))["conversations"][0]["active_at"]
    async with device(lambda: SqliteStore(path), "new") as new:
        assert await new.manager.aforget("FACT", "diagnosis_code")
        old_one = (await store.export(ALICE))["conversations"][0]
        assert (old_one["thread"], old_one["active_at"]) == ("old", before)
    await store.aclose()


async def test_thousands_of_turns_are_looked_at_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memory.sessions.forgetting._AT_ONCE", 3)
    async with device(lambda: SqliteStore(path)) as phone:
        await tell(phone.live, CODE, "item_1")
        for n in range(10):
            phone.live.append_turn(said(f"{n}. H 42. Fine.", f"answer_{n}", "assistant"))
            phone.live.append_turn(said("What is a diagnosis code for?", f"question_{n}"))
        assert await phone.manager.aforget("FACT", "diagnosis_code")
    store = SqliteStore(path)
    assert "H 42" not in str(await store.export(ALICE))
    await store.aclose()
