"""A session whose store answers late, or is down: nothing is lost, doubled or overtaken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from memory.manager import MemoryManager
from memory.records import Category, Memory, Turn
from memory.sessions.session import SessionMemory
from memory.stores.protocol import StoreError
from memory.stores.sqlite import SqliteStore
from tests.memory.sessions.moody import CAT, HASTY, Moody, rows, start, texts, until
from tests.memory.stores.contract import ALICE, NOON, said, turn

# -- it answers late

# The deadline, in seconds, of somebody who has no time.
impatient = pytest.mark.parametrize("deadline", [0.05])
# A store that failed is not tried again while the test runs.
unforgiving = pytest.mark.parametrize("timing", [replace(HASTY, rest=3600)])


@impatient
async def test_a_late_store_costs_the_deadline_and_is_merged_when_it_answers(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path
) -> None:
    await SqliteStore(path).remember(ALICE, [said("blue")])
    store.gate.clear()
    with pytest.raises(StoreError, match="did not answer"):
        await start(alice)
    assert not alice.loaded.is_set()
    alice.append_turn(turn("hello"))
    assert await alice.capture(Turn("item_1", "user", CAT, NOON + timedelta(seconds=60))) == []
    assert manager.brief("favorite color") == ""
    store.gate.set()
    async with asyncio.timeout(5):
        await alice.loaded.wait()
    assert "blue" in manager.brief("favorite color")
    assert await manager.flush(5) == 0
    assert "Tilda" in manager.brief("cat")
    assert texts(path) == ["hello"]
    (memory_,) = [row for row in rows(path, "memories") if row["source"] == "item_1"]
    assert memory_["conversation_id"] == str(alice.conversation)


@impatient
async def test_what_is_news_is_decided_against_what_arrives_late(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path
) -> None:
    known = [
        Memory(Category.INTEREST, "user_input_1", "i love reading books", NOON, "old-1"),
        said("i live in Rome", "home_city", Category.FACT),
    ]
    await SqliteStore(path).remember(ALICE, known)
    store.gate.clear()
    with pytest.raises(StoreError):
        await start(alice)
    later = NOON + timedelta(seconds=60)
    await alice.capture(Turn("item_1", "user", "I love reading books!", later))
    await alice.capture(Turn("item_2", "user", "i don't live in Rome any more", later))
    store.gate.set()
    assert await manager.flush(5) == 0
    found = {row["key"]: row["value"] for row in rows(path, "memories")}
    assert found == {"user_input_1": "i love reading books", "home_city": "i don't live in Rome any more"}


@impatient
async def test_a_person_who_left_before_the_store_answered_leaves_nothing_in_the_process(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path
) -> None:
    store.gate.clear()
    with pytest.raises(StoreError):
        await start(alice)
    alice.append_turn(turn("hello"))
    alice.close()
    store.gate.set()
    assert await alice.end("left", 5) == 0
    assert manager._live._people == {}
    assert texts(path) == ["hello"]
    assert rows(path, "sessions")[0]["end_reason"] == "left"


@impatient
async def test_what_waited_for_a_late_store_is_not_lost_when_its_first_write_fails(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember, tries = store.remember, 0

    async def failing_once(user: Any, memories: Sequence[Memory]) -> list[Memory]:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise StoreError("not just now")
        return await remember(user, memories)

    monkeypatch.setattr(store, "remember", failing_once)
    store.gate.clear()
    with pytest.raises(StoreError):
        await start(alice)
    await alice.capture(Turn("item_1", "user", CAT, NOON))
    store.gate.set()
    assert await manager.flush(5) == 0
    assert [row["value"] for row in rows(path, "memories")] == [CAT]


async def test_who_stops_waiting_for_the_start_does_not_stop_the_start(
    manager: MemoryManager, store: Moody, alice: SessionMemory
) -> None:
    store.gate.clear()
    starting = asyncio.create_task(start(alice))
    await until(store, 1)
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    store.gate.set()
    async with asyncio.timeout(5):
        await alice.loaded.wait()


# -- it is down


async def test_a_start_that_fails_at_once_is_told_at_once_and_tried_on(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.down = True
    with pytest.raises(StoreError, match="is down"):
        await start(alice)
    alice.append_turn(turn("hello"))
    await alice.capture(Turn("item_1", "user", CAT, NOON))
    await until(store, 4)
    assert not alice.loaded.is_set()
    assert manager.depth() == 4, "the start, the turn, a summary and the statement"
    store.down = False
    async with asyncio.timeout(5):
        await alice.loaded.wait()
    assert await manager.flush(5) == 0
    assert texts(path) == ["hello"]
    assert [row["value"] for row in rows(path, "memories")] == [CAT]
    assert "LOST" not in caplog.text


async def test_an_outage_in_the_middle_loses_and_doubles_nothing(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    for i in range(30):
        store.down = i % 10 in range(3, 8)
        alice.append_turn(turn(f"turn {i}", later=i))
        await alice.capture(Turn(f"item_turn {i}", "user", f"i love the number {i}", NOON + timedelta(seconds=i)))
        for _ in range(10):
            await asyncio.sleep(0)
    store.down = False
    assert await alice.end("left", 10) == 0
    assert texts(path) == [f"turn {i}" for i in range(30)]
    assert sorted(row["source"] for row in rows(path, "memories")) == sorted(f"item_turn {i}" for i in range(30))
    assert rows(path, "sessions")[0]["end_reason"] == "left"


async def test_a_lost_answer_doubles_nothing_and_the_live_session_keeps_the_truth(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(alice)
    remember, lost = store.remember, []

    async def losing(user: Any, memories: Sequence[Memory]) -> list[Memory]:
        kept = await remember(user, memories)
        if not lost:
            lost.append(kept)
            raise StoreError("the answer was lost")
        return kept

    monkeypatch.setattr(store, "remember", losing)
    await alice.capture(Turn("item_1", "user", "my favorite color is blue", NOON))
    assert await manager.flush(5) == 0
    assert lost
    assert len(rows(path, "memories")) == 1
    assert rows(path, "memory_history") == []
    assert "blue" in manager.brief("favorite color")
    assert await manager.apast() == []


async def test_a_write_that_is_confirmed_late_does_not_bring_an_old_value_back(
    manager: MemoryManager, store: Moody, alice: SessionMemory
) -> None:
    await start(alice)
    store.gate.clear()
    for i, color in enumerate(("blue", "green")):
        await alice.capture(Turn(f"item_{i}", "user", f"my favorite color is {color}", NOON + timedelta(seconds=i)))
    store.gate.set()
    told: list[str] = []
    alice.observers.append(lambda action, _: told.append(alice.brief("color")) if action == "remembered" else None)
    assert await manager.flush(5) == 0
    assert len(told) >= 2
    assert all("color is green" in one and "color is blue" not in one for one in told)
    assert [past.memory.value for past in await manager.apast()] == ["my favorite color is blue"]


async def test_what_is_asked_for_does_not_overtake_what_was_said_before(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    store.gate.clear()
    await alice.capture(Turn("item_1", "user", "my favorite color is blue", NOON))
    asking = asyncio.create_task(manager.astore("PREFERENCE", "favorite_color", "green"))
    await until(store, 2)
    store.gate.set()
    await asking
    assert [row["value"] for row in rows(path, "memories")] == ["green"]
    assert [row["value"] for row in rows(path, "memory_history")] == ["my favorite color is blue"]


@impatient
@unforgiving
async def test_a_dead_store_costs_nobody_their_deadline_each_time(
    manager: MemoryManager, store: Moody, alice: SessionMemory
) -> None:
    store.gate.clear()
    for _ in range(3):
        with pytest.raises(StoreError, match="did not answer"):
            await manager.amemories()
    asked = store.asked
    for call in (
        manager.amemories,
        lambda: manager.astore("FACT", "a", "b"),
        lambda: manager.aforget("FACT", "a"),
        manager.aforget_everything,
    ):
        with pytest.raises(StoreError, match="left alone"):
            await call()
    assert store.asked == asked
    assert len(rows_if_any(store)) == 0


def rows_if_any(store: Moody) -> list[dict[str, Any]]:
    return rows(store.path, "profiles") if store.path.exists() else []


@unforgiving
async def test_while_what_was_said_before_waits_for_a_dead_store_the_next_wish_is_refused_at_once(
    manager: MemoryManager, store: Moody, alice: SessionMemory
) -> None:
    await start(alice)
    store.down = True
    await alice.capture(Turn("item_1", "user", CAT, NOON))
    await until(store, 4)
    async with asyncio.timeout(5):
        with pytest.raises(StoreError, match="still waits"):
            await manager.astore("FACT", "a", "b")


async def test_shutdown_waits_no_longer_than_it_may_and_tells_what_is_lost(
    manager: MemoryManager, store: Moody, alice: SessionMemory, caplog: pytest.LogCaptureFixture
) -> None:
    await start(alice)
    store.down = True
    alice.append_turn(turn("marmalade"))
    async with asyncio.timeout(5):
        assert await alice.end("left", 0.05) == 2
    await manager.aclose()
    lost = [message for message in caplog.messages if message.startswith("[MEMORY LOST]")]
    assert lost == [f"[MEMORY LOST] {what} of user {ALICE}: the process ends" for what in ("a turn", "an end")]
    assert "marmalade" not in caplog.text
