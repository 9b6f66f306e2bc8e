"""A session in which something is forgotten, here or elsewhere."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory.manager import MemoryManager
from memory.records import Turn
from memory.sessions.session import SessionMemory
from memory.stores.protocol import StoreError
from memory.stores.sqlite import SqliteStore
from tests.memory.sessions.moody import CAT, Moody, rows, start, texts
from tests.memory.stores.contract import ALICE, BOB, NOON, said, turn


async def test_what_is_forgotten_is_gone_in_the_next_turn_and_does_not_come_back(
    manager: MemoryManager, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    (color,) = await alice.capture(Turn("item_1", "user", "my favorite color is blue", NOON))
    assert await manager.aforget(color.category, color.key) is True
    assert manager.brief("favorite color") == ""
    assert await alice.capture(Turn("item_1", "user", "my favorite color is blue", NOON)) == []
    assert await manager.flush(5) == 0
    assert rows(path, "memories") == rows(path, "memory_history") == []


async def test_forgetting_everything_leaves_nothing_anywhere_while_the_call_goes_on(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path
) -> None:
    await store.remember(BOB, [said("red")])
    await start(alice)
    second = manager.open_session()
    await start(second, thread="hall", job="job-2")
    alice.append_turn(turn(CAT))
    await alice.capture(Turn("item_1", "user", CAT, NOON))
    await manager.astore("PREFERENCE", "favorite_color", "blue")
    store.gate.clear()
    alice.append_turn(turn("this still waits", later=1))
    await alice.capture(Turn("item_2", "user", "i love reading books", NOON))
    alice.summarise("about cats")
    forgetting = asyncio.create_task(manager.aforget_everything())
    await asyncio.sleep(0)
    store.gate.set()
    assert await forgetting == 3
    for session in (alice, second):
        session.append_turn(turn("everything is forgotten", later=2))
        session.summarise("she wanted all forgotten")
        assert await session.touch() is False
        assert session.conversation is None
        assert await session.end("left", 5) == 0
    for table in ("memories", "memory_history", "conversations", "sessions", "messages", "profiles"):
        assert {row.get("user_id", row.get("id")) for row in rows(path, table)} <= {str(BOB)}, table
    assert manager.brief("cat color books") == ""
    assert await manager.amemories() == await manager.apast() == await manager.arecall("cat") == []
    assert manager.depth() == 0


async def test_a_session_that_was_taken_for_dead_and_then_forgotten_stays_forgotten(
    manager: MemoryManager, store: Moody, alice: SessionMemory
) -> None:
    await start(alice)
    await store.end_abandoned(datetime.now(UTC) + timedelta(hours=1), "worker died")
    assert await alice.touch() is False
    await manager.aforget_everything()
    alice.append_turn(turn("hello"))
    assert await manager.flush(5) == 0
    assert not any((await store.export(ALICE)).values())


async def test_closing_writes_what_still_waits(manager: MemoryManager, alice: SessionMemory, path: Path) -> None:
    await start(alice)
    alice.append_turn(turn("bye"))
    await manager.aclose()
    assert texts(path) == ["bye"]


async def test_a_key_made_of_the_persons_words_is_not_logged(
    manager: MemoryManager, alice: SessionMemory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await start(alice)
    (game,) = await alice.capture(turn("I have a dog called Xiangqi"))
    (allergy,) = await alice.capture(turn("I am allergic to penicillin"))
    assert ("xiangqi" in game.key, allergy.key) == (True, "allergy_penicillin"), "there are such keys"
    await manager.flush(5)
    for kept in (game, allergy):
        assert await manager.awhy(kept.category, kept.key)
        assert await manager.aforget(kept.category, kept.key) is True
    for tag in ("[MEMORY CATEGORIZATION]", "[MEMORY STORED]", "[MEMORY FORGOTTEN]"):
        assert caplog.text.count(tag) == 2
    assert not any(word in caplog.text.lower() for word in ("xiangqi", "penicillin"))


async def test_a_forgetting_that_failed_forgets_nothing(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    await manager.astore("FACT", "cat", "Tilda")
    store.down = True
    alice.append_turn(turn("hello"))
    with pytest.raises(StoreError):
        await manager.aforget_everything()
    assert "Tilda" in manager.brief("cat")
    store.down = False
    assert await manager.flush(5) == 0
    assert texts(path) == ["hello"]


async def test_after_everything_was_forgotten_something_new_is_kept(
    manager: MemoryManager, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    await manager.aforget_everything()
    (dog,) = await alice.capture(Turn("item_9", "user", "my dog is called Rex", NOON))
    assert dog.conversation is None
    assert await manager.flush(5) == 0
    assert [row["value"] for row in rows(path, "memories")] == ["my dog is called Rex"]
    assert "Rex" in manager.brief("dog")


async def test_after_everything_was_forgotten_the_next_call_is_a_strangers(
    manager: MemoryManager, alice: SessionMemory
) -> None:
    await start(alice)
    assert await manager.complete_first_login() is True
    await manager.aforget_everything()
    await alice.end("left", 5)
    alice.close()
    stored = await start(manager.open_session(), job="job-2")
    assert (stored.created, stored.resumed, stored.profile.is_first_login) == (True, False, True)


async def test_what_another_process_erased_does_not_come_back_through_this_one(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    await SqliteStore(path).erase(ALICE)
    assert await alice.touch() is False
    alice.summarise("about cats")
    assert await alice.end("left", 5) == 0
    assert not any((await store.export(ALICE)).values())
