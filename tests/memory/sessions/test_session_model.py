"""A session whose turns a model reads."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from identity import set_session_user
from memory.language.statements import Statement
from memory.manager import MemoryManager
from memory.records import Category, Turn
from memory.sessions.session import SessionMemory
from tests.memory.sessions.moody import CAT, Moody, rows, start
from tests.memory.stores.contract import NOON

# The deadline, in seconds, of somebody who has no time.
impatient = pytest.mark.parametrize("deadline", [0.5])


async def test_a_model_finds_the_statements_instead_of_our_rules(
    manager: MemoryManager, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    heard: list[tuple[str, Statement | None]] = []

    async def extract(said: str, *, before: Statement | None) -> list[Statement]:
        heard.append((said, before))
        return [Statement(Category.FACT, "pet", "a cat called Tilda")]

    await alice.capture(Turn("item_1", "user", "my favorite color is blue", NOON))
    alice.extract = extract
    (kept,) = await alice.capture(Turn("item_2", "user", CAT, NOON))
    assert (kept.key, kept.value, kept.source) == ("pet", "a cat called Tilda", "item_2")
    ((said_, before),) = heard
    assert said_ == CAT
    assert before
    assert before.key == "favorite_color"
    assert await manager.flush(5) == 0
    assert {row["key"] for row in rows(path, "memories")} == {"favorite_color", "pet"}


@pytest.mark.parametrize("error", [RuntimeError("marmalade"), ValueError("marmalade"), TimeoutError()], ids=repr)
async def test_when_the_model_fails_our_rules_are_used(
    manager: MemoryManager, alice: SessionMemory, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    await start(alice)

    async def extract(_: str, *, before: Statement | None) -> list[Statement]:
        raise error

    alice.extract = extract
    (kept,) = await alice.capture(Turn("item_1", "user", CAT, NOON))
    assert kept.value == CAT
    assert type(error).__name__ in caplog.text
    assert "marmalade" not in caplog.text


async def test_a_model_that_finds_nothing_keeps_nothing(manager: MemoryManager, alice: SessionMemory) -> None:
    await start(alice)

    async def extract(_: str, *, before: Statement | None) -> list[Statement]:
        return []

    alice.extract = extract
    assert await alice.capture(Turn("item_1", "user", CAT, NOON)) == []
    assert await manager.amemories() == []


@pytest.mark.parametrize("everything", [True, False])
@impatient
async def test_what_a_model_finds_after_it_was_forgotten_is_not_kept(
    manager: MemoryManager, alice: SessionMemory, path: Path, everything: bool
) -> None:
    """It read the turn while the person already wanted it gone."""
    await start(alice)
    await manager.astore("FACT", "pet", "a cat")
    reading, gate = asyncio.Event(), asyncio.Event()

    async def extract(_: str, *, before: Statement | None) -> list[Statement]:
        reading.set()
        await gate.wait()
        return [Statement(Category.FACT, "pet", "a cat called Tilda")]

    alice.extract = extract
    capturing = asyncio.create_task(alice.capture(Turn("item_1", "user", CAT, NOON)))
    await reading.wait()
    await (manager.aforget_everything() if everything else manager.aforget("FACT", "pet"))
    gate.set()
    assert await capturing == []
    assert await manager.flush(5) == 0
    assert rows(path, "memories") == []
    assert not alice.reading


async def test_forgetting_waits_for_what_a_model_is_about_to_find(
    manager: MemoryManager, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    reading, gate = asyncio.Event(), asyncio.Event()

    async def extract(_: str, *, before: Statement | None) -> list[Statement]:
        reading.set()
        await gate.wait()
        return [Statement(Category.FACT, "pet", "a cat called Tilda")]

    alice.extract = extract
    capturing = asyncio.create_task(alice.capture(Turn("item_1", "user", CAT, NOON)))
    await reading.wait()
    forgetting = asyncio.create_task(manager.aforget("FACT", "pet"))
    await asyncio.sleep(0)
    gate.set()
    assert await forgetting is True
    await capturing
    assert await manager.flush(5) == 0
    assert rows(path, "memories") == []
    assert manager.brief("cat") == ""


# -- the call ends meanwhile


async def never(_: str, *, before: Statement | None) -> list[Statement]:
    await asyncio.sleep(3600)
    return []


@pytest.mark.parametrize("begun", [True, False])
async def test_a_call_that_ends_while_a_model_reads_keeps_what_our_rules_found(
    manager: MemoryManager, alice: SessionMemory, path: Path, begun: bool
) -> None:
    stored = await start(alice)
    alice.append_turn(Turn("item_1", "user", CAT, NOON))
    alice.extract = never
    capturing = asyncio.create_task(alice.capture(Turn("item_1", "user", CAT, NOON)))
    await asyncio.sleep(0.01 if begun else 0)
    async with asyncio.timeout(4):
        assert await alice.end("left", 5) == 0
    (kept,) = await capturing
    assert (kept.value, kept.conversation) == (CAT, stored.conversation)
    assert [row["source"] for row in rows(path, "memories")] == ["item_1"]
    assert [row["summary"] for row in rows(path, "conversations")] == [CAT]
    assert rows(path, "sessions")[0]["end_reason"] == "left"


async def test_whoever_waits_for_a_model_may_be_cancelled_and_nothing_is_lost(
    manager: MemoryManager, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    alice.extract = never
    capturing = asyncio.create_task(alice.capture(Turn("item_1", "user", CAT, NOON)))
    await asyncio.sleep(0.01)
    capturing.cancel()
    await asyncio.wait([capturing])
    assert await alice.end("left", 5) == 0
    assert [row["value"] for row in rows(path, "memories")] == [CAT]


async def test_after_the_end_no_second_store_is_opened(store: Moody, path: Path) -> None:
    opened: list[Moody] = []
    manager = MemoryManager(lambda: opened.append(store) or store, deadline=5)
    set_session_user("alice@example.com")
    session = manager.open_session()
    await start(session)
    session.extract = never
    capturing = asyncio.create_task(session.capture(Turn("item_1", "user", CAT, NOON)))
    await asyncio.sleep(0.01)
    await manager.aclose()
    session.close()
    await asyncio.wait([capturing], timeout=5)
    assert len(opened) == 1


async def test_a_models_summary_is_not_replaced_by_ours(
    manager: MemoryManager, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    alice.append_turn(Turn("item_1", "user", CAT, NOON))
    alice.extract = never
    capturing = asyncio.create_task(alice.capture(Turn("item_1", "user", CAT, NOON)))
    await asyncio.sleep(0.01)
    alice.summarise("They have a cat.")
    assert await alice.end("left", 5) == 0
    await capturing
    assert [row["summary"] for row in rows(path, "conversations")] == ["They have a cat."]


async def test_what_can_be_stored_nowhere_is_told_of_whoever_has_found_it(
    manager: MemoryManager, alice: SessionMemory, caplog: pytest.LogCaptureFixture
) -> None:
    async def extract(_: str, *, before: Statement | None) -> list[Statement]:
        return [Statement(Category.FACT, "pet", "a cat called Tilda")]

    await start(alice)
    await manager.aclose()
    for found_by in (None, extract):
        caplog.clear()
        alice.extract = found_by
        alice.hear(Turn(f"item_{found_by}", "user", CAT, NOON))
        alice.settle()
        await asyncio.gather(*alice.reading, return_exceptions=True)
        assert "[MEMORY FAILED]" in caplog.text and "Tilda" not in caplog.text
