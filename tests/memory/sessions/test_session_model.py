"""A session whose turns a model reads."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from memory.language.statements import Statement
from memory.manager import MemoryManager
from memory.records import Category, Turn
from memory.sessions.session import SessionMemory
from tests.memory.sessions.moody import CAT, rows, start
from tests.memory.stores.contract import NOON

# The deadline, in seconds, of somebody who has no time.
impatient = pytest.mark.parametrize("deadline", [0.05])


async def test_a_model_finds_the_statements_instead_of_our_rules(
    manager: MemoryManager, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    heard: list[tuple[str, Statement | None]] = []

    async def extract(said: str, *, before: Statement | None) -> list[Statement]:
        heard.append((said, before))
        return [Statement(Category.FACT, "pet", "a cat called Tilda")]

    await alice.capture(Turn("item_1", "user", "my favorite color is blue", NOON))
    (kept,) = await alice.capture(Turn("item_2", "user", CAT, NOON), extract=extract)
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

    (kept,) = await alice.capture(Turn("item_1", "user", CAT, NOON), extract=extract)
    assert kept.value == CAT
    assert type(error).__name__ in caplog.text
    assert "marmalade" not in caplog.text


async def test_a_model_that_finds_nothing_keeps_nothing(manager: MemoryManager, alice: SessionMemory) -> None:
    await start(alice)

    async def extract(_: str, *, before: Statement | None) -> list[Statement]:
        return []

    assert await alice.capture(Turn("item_1", "user", CAT, NOON), extract=extract) == []
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

    capturing = asyncio.create_task(alice.capture(Turn("item_1", "user", CAT, NOON), extract=extract))
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

    capturing = asyncio.create_task(alice.capture(Turn("item_1", "user", CAT, NOON), extract=extract))
    await reading.wait()
    forgetting = asyncio.create_task(manager.aforget("FACT", "pet"))
    await asyncio.sleep(0)
    gate.set()
    assert await forgetting is True
    await capturing
    assert await manager.flush(5) == 0
    assert rows(path, "memories") == []
    assert manager.brief("cat") == ""
