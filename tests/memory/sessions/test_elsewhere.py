"""What one person tells on one device is known on the other: two processes' worth of managers, over each store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from identity import set_session_user
from memory.manager import MemoryManager
from memory.records import Category, Changes, Memory, Turn
from memory.sessions.session import SessionMemory
from memory.stores.protocol import Store, StoreError, StoreOutdated
from memory.stores.sqlite import SqliteStore
from tests.memory.sessions.moody import CAT, HASTY, Moody, rows, start
from tests.memory.stores.contract import ALICE, NOON, Backend, said

NAME = "alice@example.com"
FACT, PREFERENCE = Category.FACT, Category.PREFERENCE


@dataclass
class Device:
    """One process with a call of the person."""

    manager: MemoryManager
    live: SessionMemory
    heard: list[tuple[str, str]]
    """What observers were told."""

    @property
    def knows(self) -> dict[str, str]:
        return {memory.key: memory.value for memory in self.manager._live.of(self.live.user)}

    async def catch_up(self) -> list[tuple[str, str]]:
        """What was news."""
        self.heard.clear()
        await self.live.catch_up()
        return self.heard


@asynccontextmanager
async def device(open_store: Callable[[], Store], name: str = "device") -> AsyncIterator[Device]:
    manager = MemoryManager(open_store, 5, timing=HASTY)
    set_session_user(NAME)
    live = manager.open_session()
    heard: list[tuple[str, str]] = []
    live.observers.append(lambda action, memory: heard.append((action, memory.value)))
    await start(live, thread=name, job=name)
    try:
        yield Device(manager, live, heard)
    finally:
        live.close()
        await manager.aclose()


@pytest.fixture
async def two(backend: Backend) -> AsyncIterator[tuple[Device, Device]]:
    async with AsyncExitStack() as devices:
        phone = await devices.enter_async_context(device(backend.open, "phone"))
        yield phone, await devices.enter_async_context(device(backend.open, "kitchen"))


async def test_what_one_is_told_the_other_tells(two: tuple[Device, Device]) -> None:
    phone, kitchen = two
    await phone.manager.astore("PREFERENCE", "favorite_color", "blue")
    assert kitchen.knows == {}
    assert await kitchen.catch_up() == [("remembered", "blue")]
    assert "blue" in kitchen.live.brief("what is my favorite color")
    assert await kitchen.catch_up() == []


async def test_what_was_said_in_a_turn_too(two: tuple[Device, Device]) -> None:
    phone, kitchen = two
    await kitchen.catch_up()
    await phone.live.capture(Turn("turn-1", "user", CAT, NOON))
    assert await phone.manager.flush(5) == 0
    assert [action for action, _ in await kitchen.catch_up()] == ["remembered"]
    assert "Tilda" in kitchen.live.brief("what is my cat called")


async def test_what_is_replaced_there_becomes_past_here(two: tuple[Device, Device]) -> None:
    phone, kitchen = two
    await phone.manager.astore("PREFERENCE", "favorite_color", "blue")
    await kitchen.catch_up()
    await phone.manager.astore("PREFERENCE", "favorite_color", "green")
    assert await kitchen.catch_up() == [("remembered", "green")]
    assert kitchen.knows == {"favorite_color": "green"}
    assert [past.memory.value for past in await kitchen.manager.apast()] == ["blue"]
    assert await kitchen.manager.apast() == await phone.manager.apast()


async def test_what_is_forgotten_there_is_not_told_here_nor_what_it_replaced(two: tuple[Device, Device]) -> None:
    phone, kitchen = two
    for color in ("blue", "green"):
        await phone.manager.astore("PREFERENCE", "favorite_color", color)
    await phone.manager.astore("FACT", "cat", "Tilda")
    await kitchen.catch_up()
    await phone.manager.aforget("PREFERENCE", "favorite_color")
    assert await kitchen.catch_up() == [("forgotten", "green")]
    assert kitchen.knows == {"cat": "Tilda"}
    assert "green" not in kitchen.live.brief("what is my favorite color")
    assert await kitchen.manager.apast() == []
    assert await kitchen.catch_up() == []


async def test_forgotten_and_another_told_at_once_is_noticed(two: tuple[Device, Device]) -> None:
    phone, kitchen = two
    await phone.manager.astore("FACT", "cat", "Tilda")
    await phone.manager.astore("FACT", "dog", "Rex")
    await kitchen.catch_up()
    await phone.manager.aforget("FACT", "cat")
    await phone.manager.astore("FACT", "bird", "Pip")
    assert sorted(await kitchen.catch_up()) == [("forgotten", "Tilda"), ("remembered", "Pip")]
    assert kitchen.knows == {"dog": "Rex", "bird": "Pip"}


async def test_own_writes_come_back_and_nobody_is_told(two: tuple[Device, Device]) -> None:
    phone, _ = two
    await phone.manager.astore("FACT", "cat", "Tilda")
    await phone.live.capture(Turn("turn-1", "user", "I live in Lisbon", NOON))
    assert await phone.manager.flush(5) == 0
    before = phone.knows
    for _ in range(2):
        assert await phone.catch_up() == []
    assert phone.knows == before
    assert len(before) == 2


async def test_the_newer_truth_holds_here_as_there(two: tuple[Device, Device], backend: Backend) -> None:
    phone, kitchen = two
    store = backend.open()
    await phone.manager.astore("FACT", "cat", "Tilda")
    await kitchen.catch_up()
    await store.remember(ALICE, [said("Minka", "cat", FACT, later=-60)])  # was said long before, and comes late
    await store.aclose()
    assert await kitchen.catch_up() == []
    assert kitchen.knows == {"cat": "Tilda"}


async def test_what_was_erased_elsewhere_is_unknown_here_and_new_talk_is_not(two: tuple[Device, Device]) -> None:
    phone, kitchen = two
    for i in range(5):
        await phone.manager.astore("FACT", f"cat {i}", "Tilda")
    await kitchen.catch_up()
    await phone.manager.aforget_everything()
    assert await kitchen.live.touch() is False
    assert kitchen.knows == {}
    await phone.manager.astore("FACT", "dog", "Rex")
    assert await kitchen.catch_up() == [("remembered", "Rex")]
    assert kitchen.knows == {"dog": "Rex"}


async def test_an_erasure_that_is_not_known_yet_is_heard_of_by_the_count(two: tuple[Device, Device]) -> None:
    phone, kitchen = two
    await phone.manager.astore("FACT", "cat", "Tilda")
    await kitchen.catch_up()
    await phone.manager.aforget_everything()
    assert await kitchen.catch_up() == [("forgotten", "Tilda")]
    assert await kitchen.live.touch() is False
    assert kitchen.knows == {}


async def test_as_much_told_anew_as_was_erased_is_noticed(two: tuple[Device, Device]) -> None:
    phone, kitchen = two
    await phone.manager.astore("FACT", "cat", "Tilda")
    await phone.manager.astore("FACT", "cat", "Minka")
    await kitchen.catch_up()
    await phone.manager.aforget_everything()
    await phone.manager.astore("FACT", "dog", "Rex")
    assert sorted(await kitchen.catch_up()) == [("forgotten", "Minka"), ("remembered", "Rex")]
    assert kitchen.knows == {"dog": "Rex"}


# -- what waits here


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rapport.db"


class Busy(SqliteStore):
    """Writes of memories wait for `free`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.free = asyncio.Event()
        self.free.set()
        self.asked: list[str] = []

    async def remember(self, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
        await self.free.wait()
        return await super().remember(user, memories)

    async def memories(self, user: UUID) -> list[Memory]:
        self.asked.append("memories")
        return await super().memories(user)

    async def memories_since(self, user: UUID, version: int) -> Changes:
        self.asked.append(f"since {version}")
        return await super().memories_since(user, version)


async def test_what_waits_in_the_outbox_survives_and_is_written(path: Path) -> None:
    busy = Busy(path)
    async with device(lambda: SqliteStore(path), "phone") as phone, device(lambda: busy, "kitchen") as kitchen:
        await phone.manager.astore("FACT", "dog", "Rex")
        await phone.manager.astore("FACT", "bird", "Pip")
        await kitchen.catch_up()
        busy.free.clear()
        await kitchen.live.capture(Turn("turn-1", "user", CAT, NOON))
        await phone.manager.aforget("FACT", "bird")
        await phone.manager.astore("FACT", "horse", "Max")
        assert await kitchen.catch_up() == [("remembered", "Max")]
        assert set(kitchen.knows.values()) == {"Rex", "Pip", "Max", CAT}
        busy.free.set()
        assert await kitchen.manager.flush(5) == 0
        assert await kitchen.catch_up() == [("forgotten", "Pip")]
        assert set(kitchen.knows.values()) == {"Rex", "Max", CAT}
        await phone.catch_up()
        assert phone.knows == kitchen.knows


async def test_what_changes_here_while_the_store_is_asked_is_not_undone(path: Path) -> None:
    class Slow(SqliteStore):
        asked, answer = asyncio.Event(), asyncio.Event()

        async def memories_since(self, user: UUID, version: int) -> Changes:
            told = await super().memories_since(user, version)
            self.asked.set()
            await self.answer.wait()
            return told

    slow = Slow(path)
    async with device(lambda: SqliteStore(path), "phone") as phone, device(lambda: slow, "kitchen") as kitchen:
        await phone.manager.astore("FACT", "dog", "Rex")
        slow.answer.set()
        await kitchen.catch_up()
        await phone.manager.astore("FACT", "cat", "Tilda")
        await kitchen.catch_up()
        slow.asked.clear()
        slow.answer.clear()
        await phone.manager.astore("FACT", "dog", "Rex the Second")
        asking = asyncio.create_task(kitchen.live.catch_up())
        await slow.asked.wait()
        await kitchen.manager.aforget("FACT", "dog")
        slow.answer.set()
        await asking
        assert kitchen.knows == {"cat": "Tilda"}, "an answer that is older than what was forgotten brings nothing back"
        await kitchen.catch_up()
        assert kitchen.knows == {"cat": "Tilda"}


async def test_all_is_read_only_where_the_count_differs_and_once(path: Path) -> None:
    busy = Busy(path)
    async with device(lambda: SqliteStore(path), "phone") as phone, device(lambda: busy, "kitchen") as kitchen:
        await phone.manager.astore("FACT", "dog", "Rex")
        await phone.manager.astore("FACT", "cat", "Tilda")
        for _ in range(3):
            await kitchen.catch_up()
        assert busy.asked == ["since -1", "since 2", "since 2"]
        await phone.manager.aforget("FACT", "cat")
        for _ in range(3):
            await kitchen.catch_up()
        assert busy.asked[3:] == ["since 2", "memories", "since 3", "since 3"]


async def test_a_database_without_the_migration_is_told_of_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Old(SqliteStore):
        asked = 0

        async def memories_since(self, user: UUID, version: int) -> Changes:
            self.asked += 1
            raise StoreOutdated("no such function")

    old = Old(path)
    async with device(lambda: old) as kitchen:
        await kitchen.manager.astore("FACT", "dog", "Rex")
        for _ in range(4):
            assert await kitchen.catch_up() == []
        assert kitchen.knows == {"dog": "Rex"}
        assert await kitchen.live.touch()
    assert old.asked == 1
    assert [record.levelname for record in caplog.records if "no such function" in record.message] == ["WARNING"]


async def test_a_store_that_fails_changes_nothing(path: Path) -> None:
    moody = Moody(path)
    async with device(lambda: moody) as kitchen:
        await kitchen.manager.astore("FACT", "dog", "Rex")
        moody.down = True
        for _ in range(5):
            with pytest.raises(StoreError):
                await kitchen.live.catch_up()
        moody.down = False
        await kitchen.manager.astore("FACT", "cat", "Tilda")  # its failures are held against nobody
        assert await kitchen.catch_up() == []
    assert len(rows(path, "memories")) == 2


async def test_nobody_anonymous_asks(path: Path) -> None:
    moody = Moody(path)
    manager = MemoryManager(lambda: moody, 5, timing=HASTY)
    set_session_user("human_user")
    live = manager.open_session()
    await live.load()
    await live.catch_up()
    live.close()
    await manager.aclose()
    assert moody.asked == 0
