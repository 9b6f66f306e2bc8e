"""Two people and more in one process, each with a store that answers or fails them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from identity import set_session_user
from memory.manager import MemoryManager
from memory.records import Memory
from memory.sessions.client import StoreClient
from memory.sessions.session import SessionMemory
from memory.sessions.timing import Timing
from memory.stores.protocol import Store, StoreError
from memory.stores.sqlite import SqliteStore
from tests.memory.sessions.moody import rows, start
from tests.memory.stores.contract import ALICE, BOB, turn

PATIENT = Timing(first_pause=0.01, longest_pause=0.05, rest=3600)


class Partial(SqliteStore):
    """Hangs for whoever is in trouble, whatever is asked of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.in_trouble = {ALICE}

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name in ("start_session", "append_turns", "remember", "retrieve", "memories", "touch_session", "forget"):

            async def ask(user: UUID, *arguments: Any, **options: Any) -> Any:
                if user in self.in_trouble:
                    await asyncio.sleep(3600)
                return await found(user, *arguments, **options)

            return ask
        return found


async def session_of(manager: MemoryManager, name: str) -> SessionMemory:
    set_session_user(f"{name}@example.com")
    return manager.open_session()


async def test_the_trouble_of_one_person_reaches_nobody_else(path: Path) -> None:
    store = Partial(path)
    manager = MemoryManager(lambda: store, deadline=1.0, timing=PATIENT)
    alice = await session_of(manager, "alice")
    with pytest.raises(StoreError):
        await start(alice)
    for i in range(5):
        alice.append_turn(turn(f"hers {i}", later=i))
    for _ in range(4):  # until she is left alone
        with pytest.raises(StoreError):
            await manager.amemories()
    bob = await session_of(manager, "bob")
    await start(bob)
    for i in range(5):
        bob.append_turn(turn(f"his {i}", later=i))
    await manager.astore("FACT", "locker", "4711")
    assert await manager.aretrieve("FACT", "locker") == "4711"
    assert await bob.touch() is True
    assert await bob.end("left", 5) == 0
    assert manager.depth() == 6, "hers, and none of his"
    assert [(row["user_id"], row["text"]) for row in rows(path, "messages")] == [
        (str(BOB), f"his {i}") for i in range(5)
    ]
    await manager.aclose()


async def test_each_persons_writes_are_made_in_their_order_when_their_trouble_is_over(path: Path) -> None:
    store = Partial(path)
    manager = MemoryManager(
        lambda: store, deadline=0.2, timing=Timing(write=0.2, first_pause=0.001, longest_pause=0.01, rest=0.02)
    )
    alice = await session_of(manager, "alice")
    with pytest.raises(StoreError):
        await start(alice)
    for i in range(9):
        alice.append_turn(turn(f"turn {i}", later=i))
    store.in_trouble.clear()
    assert await alice.end("left", 10) == 0
    assert [row["text"] for row in rows(path, "messages")] == [f"turn {i}" for i in range(9)]
    await manager.aclose()


@dataclass
class Dead:
    """A store that answers only the healthy."""

    healthy: set[UUID] = field(default_factory=set[UUID])
    asked: int = 0

    async def memories(self, user: UUID) -> list[Memory]:
        self.asked += 1
        if user not in self.healthy:
            raise StoreError("down")
        return []

    async def aclose(self) -> None: ...


async def failed(client: StoreClient, user: UUID) -> str:
    try:
        await client.of(user).ask(Store.memories)
    except StoreError as error:
        return str(error)
    return ""


async def test_a_store_that_is_down_for_everybody_is_left_alone_by_those_who_come_next() -> None:
    dead = Dead()
    client = StoreClient(dead, 5, PATIENT)  # type: ignore[arg-type]
    first, second, third = uuid4(), uuid4(), uuid4()
    for _ in range(5):
        assert await failed(client, first)
    assert dead.asked == 3
    assert await failed(client, second) == "down", "one person's trouble may be theirs alone"
    for _ in range(5):
        await failed(client, second)
    assert dead.asked == 6
    assert await failed(client, third) == "down", "nobody is refused who was not failed themselves"
    for _ in range(5):
        assert "fails everybody" in await failed(client, third)
    assert dead.asked == 7
    await client.aclose()


async def test_a_store_that_answers_somebody_is_not_down_for_everybody() -> None:
    first, second, third, well = uuid4(), uuid4(), uuid4(), uuid4()
    dead = Dead({well})
    client = StoreClient(dead, 5, PATIENT)  # type: ignore[arg-type]
    for _ in range(5):
        for user in (first, second):
            await failed(client, user)
        assert not await failed(client, well)
    assert await failed(client, third) == "down"
    await client.aclose()


async def test_what_is_kept_of_people_does_not_pile_up() -> None:
    users = [uuid4() for _ in range(100)]
    dead = Dead(set(users))
    client = StoreClient(dead, 5, PATIENT)  # type: ignore[arg-type]
    for user in users:
        await failed(client, user)
    assert len(client._people) == 1
    await client.aclose()
