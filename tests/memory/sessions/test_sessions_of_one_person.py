"""What is at hand in a session, in a second one of the same person, and what observers hear."""

# ruff: noqa: ASYNC240 - a test may wait for its own disk

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from identity import set_session_user
from memory.manager import MemoryManager
from memory.records import Category, Memory, Turn
from memory.sessions.live import Action
from memory.sessions.session import SessionMemory
from memory.stores.protocol import Store, StoreError
from memory.stores.sqlite import SqliteStore
from tests.memory.sessions.moody import session, values
from tests.memory.stores.contract import NOON

# -- one session


async def test_what_is_remembered_is_told_for_the_turn(manager: MemoryManager) -> None:
    set_session_user("alice@example.com")
    await manager.astore("PREFERENCE", "favorite_color", "blue")
    async with session(manager):
        assert "favorite_color: blue" in manager.brief("what is my favorite color")
    assert manager.brief("what is my favorite color") == "", "after the session there is nothing in process"


async def test_turns_that_the_model_sees_anyway_are_not_told_again(manager: MemoryManager) -> None:
    set_session_user("alice@example.com")
    async with session(manager) as opened:
        await opened.capture(Turn("turn-1", "user", "my cat is called Tilda", NOON))
        await opened.capture(Turn("turn-2", "user", "my dog is called Rex", NOON))
        assert "Tilda" in manager.brief("cat")
        told = manager.brief("cat dog", already_said={"turn-1", "turn-9"})
        assert "Tilda" not in told
        assert "Rex" in told
        assert manager.brief("cat dog", already_said=["turn-1", "turn-2"]) == ""


async def test_telling_needs_no_store(path: Path) -> None:
    set_session_user("alice@example.com")
    stores: list[Gone] = []

    class Gone(SqliteStore):
        gone = False

        def _use(self, run: Callable[[sqlite3.Connection], Any]) -> Any:
            assert not self.gone, "the store was asked"
            return super()._use(run)

    def open_store() -> Store:
        stores.append(Gone(path))
        return stores[-1]

    manager = MemoryManager(open_store, deadline=5)
    await manager.astore("FACT", "cat", "Tilda")
    async with session(manager):
        stores[0].gone = True
        assert "Tilda" in manager.brief("cat")
        assert values(await manager.arecall("cat")) == ["Tilda"]
        stores[0].gone = False
    await manager.aclose()


async def test_a_turn_is_captured_once_per_source_in_the_persons_words(manager: MemoryManager) -> None:
    async with session(manager, "alice@example.com") as opened:
        kept = await opened.capture(Turn("turn-1", "user", "well, i love reading books", NOON))
        key = f"user_input_{int(NOON.timestamp() * 1000)}"
        assert kept == [Memory(Category.INTEREST, key, "i love reading books", NOON, "turn-1")]
        assert await opened.capture(Turn("turn-1", "user", "well, i love reading books", NOON)) == []
        later = NOON + timedelta(seconds=9)
        assert await opened.capture(Turn("turn-1", "user", "i love playing chess", later)) == []
        await manager.flush(5)
    assert await manager.amemories() == kept


async def test_two_turns_of_one_millisecond_are_both_kept(manager: MemoryManager) -> None:
    set_session_user("alice@example.com")
    async with session(manager) as opened:
        await opened.capture(Turn("turn-1", "user", "i love reading books", NOON))
        await opened.capture(Turn("turn-2", "user", "i love playing chess", NOON))
        assert values(await manager.amemories()) == ["i love reading books", "i love playing chess"]
        await manager.flush(5)
    assert values(await manager.amemories()) == ["i love reading books", "i love playing chess"]


@pytest.mark.parametrize("text", ["What's my favorite color?", "do i have a dog", "forget my address", "hello", ""])
async def test_a_question_or_command_keeps_nothing_and_opens_nothing(
    manager: MemoryManager, path: Path, text: str
) -> None:
    set_session_user("alice@example.com")
    assert await manager.open_session().capture(Turn("turn-1", "user", text, NOON)) == []
    assert not path.exists()


@pytest.mark.parametrize("text", ["my name is \0Alice", "my name is \ud800Alice", "my name is Alice\udfff"], ids=ascii)
async def test_a_captured_turn_is_kept_without_what_no_database_takes(manager: MemoryManager, text: str) -> None:
    async with session(manager, "alice@example.com") as opened:
        assert values(await opened.capture(Turn("turn-1", "user", text, NOON))) == ["my name is Alice"]


# -- a second session of the same person


async def test_what_one_session_hears_the_others_of_that_person_know_at_once(manager: MemoryManager) -> None:
    told: dict[str, list[str]] = {}
    opened = asyncio.Barrier(3)

    async def listen(label: str, name: str, step: asyncio.Event, done: asyncio.Event) -> None:
        async with session(manager, name):
            await opened.wait()
            await step.wait()
            told[label] = [manager.brief("my cat"), *values(await manager.amemories())]
            done.set()

    step = asyncio.Event()
    events = [asyncio.Event(), asyncio.Event()]
    tasks = [
        asyncio.create_task(listen("second", "alice@example.com", step, events[0])),
        asyncio.create_task(listen("bob's", "bob@example.com", step, events[1])),
    ]
    async with session(manager, "alice@example.com") as hers:
        await opened.wait()
        await hers.capture(Turn("turn-1", "user", "my cat is called Tilda", NOON))
        step.set()
        await asyncio.gather(*tasks)
    assert "Tilda" in told["second"][0]
    assert told["second"][1:] == ["my cat is called Tilda"]
    assert told["bob's"] == [""]


async def test_what_is_replaced_or_forgotten_is_gone_from_the_open_session(manager: MemoryManager) -> None:
    async with session(manager, "alice@example.com"):
        await manager.astore("PREFERENCE", "favorite_color", "blue")
        await manager.astore("PREFERENCE", "favorite_color", "green")
        assert "green" in manager.brief("")
        assert "blue" not in manager.brief("")
        await manager.aforget("preference", "favorite_color")
        assert manager.brief("color") == ""


async def test_forgetting_everything_empties_the_open_session(manager: MemoryManager) -> None:
    async with session(manager, "alice@example.com") as opened:
        await manager.astore("PREFERENCE", "favorite_color", "blue")
        await opened.capture(Turn("turn-1", "user", "my cat is called Tilda", NOON))
        assert await manager.aforget_everything() == 2
        assert manager.brief("my cat") == ""
        assert await manager.amemories() == await manager.arecall("cat") == []
        await manager.astore("FACT", "dog", "Rex")
        assert values(await manager.amemories()) == ["Rex"]


async def test_a_synchronous_write_is_seen_by_the_open_session(manager: MemoryManager) -> None:
    async with session(manager, "alice@example.com"):
        await asyncio.to_thread(manager.store, "FACT", "cat", "Tilda")
        assert "Tilda" in manager.brief("")


async def test_memories_stay_in_process_until_the_last_session_ends(manager: MemoryManager) -> None:
    set_session_user("alice@example.com")
    await manager.astore("FACT", "cat", "Tilda")
    first, *others = [manager.open_session() for _ in range(3)]
    await first.load()
    first.close()
    others[0].close()
    assert "Tilda" in manager.brief("cat")
    others[1].close()
    assert manager.brief("cat") == ""
    assert manager._live._people == {}
    first.close()
    assert manager._live._people == {}


async def test_after_200_sessions_nothing_has_piled_up(manager: MemoryManager) -> None:
    async def one(i: int) -> None:
        async with session(manager, f"person-{i % 20}") as opened:
            opened.observers.append(lambda *_: None)
            await opened.capture(Turn(f"turn-{i}", "user", "my cat is called Tilda", NOON))
            await asyncio.sleep(0)

    await asyncio.gather(*(one(i) for i in range(200)))
    assert manager._live._people == {}
    assert len(manager._loops._by_loop) == 1
    await manager.flush(5)
    assert manager.depth() == 0


async def test_a_session_whose_loading_failed_can_be_closed_and_leaves_nothing(path: Path) -> None:
    manager = MemoryManager(lambda: SqliteStore(path / "missing"), deadline=5)
    path.touch()
    set_session_user("alice@example.com")
    opened = manager.open_session()
    with pytest.raises(StoreError):
        await opened.load()
    assert manager.brief("anything") == ""
    opened.close()
    assert manager._live._people == {}


async def test_what_is_said_while_memories_load_is_not_lost(path: Path) -> None:
    gate, manager = _manager_that_loads_late(path)
    async with _loading(manager, gate) as opened:
        await manager.astore("PREFERENCE", "favorite_color", "green")
        await opened.capture(Turn("turn-1", "user", "my cat is called Tilda", NOON))
        gate.set()
    await manager.flush(5)
    assert "green" in manager.brief("")
    assert "blue" not in manager.brief("")
    assert "Tilda" in manager.brief("")
    opened.close()
    await manager.aclose()


@pytest.mark.parametrize("everything", [True, False])
async def test_what_is_forgotten_while_memories_load_does_not_come_back(path: Path, everything: bool) -> None:
    gate, manager = _manager_that_loads_late(path)
    async with _loading(manager, gate) as opened:
        await (manager.aforget_everything() if everything else manager.aforget("PREFERENCE", "favorite_color"))
        gate.set()
    assert manager.brief("favorite color") == ""
    assert await manager.amemories() == []
    opened.close()
    await manager.aclose()


async def test_what_is_forgotten_while_a_second_session_loads_does_not_come_back(path: Path) -> None:
    gate, manager = _manager_that_loads_late(path)
    gate.set()
    async with session(manager, "alice@example.com"):
        gate.clear()
        async with _loading(manager, gate) as opened:
            await manager.aforget_everything()
            gate.set()
        assert manager.brief("favorite color") == ""
        opened.close()
    await manager.aclose()


def _manager_that_loads_late(path: Path) -> tuple[asyncio.Event, MemoryManager]:
    """A manager whose loading has read the rows, but hands them out only when the gate opens."""
    gate = asyncio.Event()

    class Late(SqliteStore):
        async def memories(self, user: UUID) -> list[Memory]:
            found = await super().memories(user)
            await gate.wait()
            return found

    return gate, MemoryManager(lambda: Late(path), deadline=5)


@asynccontextmanager
async def _loading(manager: MemoryManager, gate: asyncio.Event) -> AsyncIterator[SessionMemory]:
    """Alice likes blue, and her session is in the middle of loading that; at the end it has loaded."""
    set_session_user("alice@example.com")
    await manager.astore("PREFERENCE", "favorite_color", "blue")
    opened = manager.open_session()
    loading = asyncio.create_task(opened.load())
    await asyncio.sleep(0.1)
    assert not loading.done()
    yield opened
    await loading


async def test_a_session_that_opens_later_knows_what_another_process_stored(manager: MemoryManager, path: Path) -> None:
    another_process = MemoryManager(lambda: SqliteStore(path), deadline=5)
    set_session_user("alice@example.com")
    await manager.astore("PREFERENCE", "favorite_color", "blue")
    await manager.astore("PREFERENCE", "favorite_food", "pizza")
    async with session(manager):
        await another_process.astore("PREFERENCE", "favorite_color", "green")
        await another_process.aforget("PREFERENCE", "favorite_food")
        async with session(manager):
            assert "green" in manager.brief("")
            assert "pizza" not in manager.brief("")
    await another_process.aclose()


# -- observers


async def test_an_observer_hears_of_what_happens_to_its_users_memories(manager: MemoryManager) -> None:
    heard: list[tuple[Action, str]] = []
    async with session(manager, "alice@example.com") as opened:
        opened.observers.append(lambda action, memory: heard.append((action, memory.key)))
        await manager.astore("PREFERENCE", "favorite_color", "blue")
        manager.brief("what is my favorite color")
        manager.brief("photosynthesis")
        await manager.aforget("PREFERENCE", "favorite_color")
        await manager.aforget("PREFERENCE", "favorite_color")
        (kept,) = await opened.capture(Turn("turn-1", "user", "my cat is called Tilda", NOON))
        await opened.capture(Turn("turn-1", "user", "my cat is called Tilda", NOON))
        await manager.flush(5)
        await manager.aforget_everything()
    color = "favorite_color"
    assert heard == [
        ("remembered", color),
        ("recalled", color),
        ("forgotten", color),
        ("remembered", kept.key),
        ("forgotten", kept.key),
    ]


async def test_observers_hear_only_of_their_own_user(manager: MemoryManager) -> None:
    heard: dict[str, list[str]] = {"alice": [], "bob": []}

    async def person(name: str) -> None:
        async with session(manager, name) as opened:
            opened.observers.append(lambda _, memory: heard[name].append(memory.value))
            for i in range(50):
                await manager.astore("FACT", f"key{i}", f"{name} {i}")
                manager.brief(f"{name} {i}")
                await asyncio.sleep(0)

    await asyncio.gather(person("alice"), person("bob"))
    for name, said in heard.items():
        assert len(said) >= 100
        assert all(value.startswith(name) for value in said)


async def test_an_observer_hears_nothing_after_the_session(manager: MemoryManager) -> None:
    heard: list[Action] = []
    async with session(manager, "alice@example.com") as opened:
        opened.observers.append(lambda action, _: heard.append(action))
    await manager.astore("FACT", "cat", "Tilda")
    async with session(manager):
        await manager.astore("FACT", "dog", "Rex")
    assert heard == []


async def test_a_session_that_ended_hears_nothing_while_another_of_that_person_goes_on(
    manager: MemoryManager,
) -> None:
    """Otherwise a person with one long session collects the observers of all their short ones."""
    heard: list[str] = []

    async def short_session() -> None:
        async with session(manager, "alice@example.com") as opened:
            opened.observers.append(lambda action, _: heard.append(f"short {action}"))

    async with session(manager, "alice@example.com") as opened:
        opened.observers.append(lambda action, _: heard.append(f"long {action}"))
        await asyncio.create_task(short_session())
        await manager.astore("FACT", "cat", "Tilda")
    assert heard == ["long remembered"]
