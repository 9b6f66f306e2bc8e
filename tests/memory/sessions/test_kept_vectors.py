"""Vectors that are kept with the memories: the next session finds them, and nobody's model is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from identity import set_session_user
from memory.manager import MemoryManager
from memory.records import Memory, MemoryVector, Turn
from memory.stores.protocol import StoreError, StoreOutdated
from memory.stores.sqlite import SqliteStore
from tests.memory.sessions.moody import rows
from tests.memory.sessions.test_embedding_queue import (
    ANSWER,
    LIFE,
    QUESTION,
    SOON,
    Remote,
    call,
    managing,
    settled,
    told,
    until,
)
from tests.memory.stores.contract import ALICE, NOON, said


def kept(path: Path) -> int:
    return sum(row["vector"] is not None for row in rows(path, "memories"))


async def first_call(path: Path, embedder: Remote) -> None:
    async with managing(path, embedder) as manager:
        set_session_user("alice@example.com")
        await told(manager, *LIFE)
        async with call(manager):
            await until(lambda: kept(path) == len(LIFE))


async def test_a_second_session_finds_them_without_a_model(path: Path) -> None:
    await first_call(path, Remote())
    again = Remote()
    async with managing(path, again) as manager, call(manager) as live:
        await until(settled(manager, live))
        assert again.asked == []
        assert [memory.value for memory in await manager.arecall(QUESTION)] == [ANSWER]
        assert again.asked == [QUESTION]


async def test_they_come_back_as_they_were(path: Path) -> None:
    await first_call(path, Remote())
    store = SqliteStore(path)
    before = await store.vectors(ALICE, Remote.model)
    await store.aclose()
    async with managing(path, Remote()) as manager, call(manager) as live:
        await until(settled(manager, live))
        with manager._live.person(live.user) as person:
            index = person.index._index
            assert [index.vector_bytes(f"{one.category} {one.key}") for one in before] == [one.data for one in before]
    assert [len(one.data) for one in before] == [4] * len(LIFE)


async def test_another_model_makes_its_own(path: Path) -> None:
    await first_call(path, Remote())
    other = Remote()
    other.model = "another"
    async with managing(path, other) as manager, call(manager) as live:
        await until(settled(manager, live))
        assert sorted(other.asked) == sorted(LIFE)
        await until(lambda: {row["vector_model"] for row in rows(path, "memories")} == {"another"})


async def test_only_what_is_new_is_asked_for(path: Path) -> None:
    await first_call(path, Remote())
    async with managing(path, None) as manager:
        set_session_user("alice@example.com")
        await told(manager, "I am a baker")  # in place of the answer
        await manager.astore("FACT", "cat", "a new one")
    again = Remote()
    async with managing(path, again) as manager, call(manager) as live:
        await until(settled(manager, live))
        assert len(again.asked) == 2
        await until(lambda: kept(path) == len(rows(path, "memories")))


async def test_what_is_said_in_a_call_is_kept_until_it_is_erased(path: Path) -> None:
    async with managing(path, Remote()) as manager, call(manager):
        await told(manager, ANSWER)
        await until(lambda: kept(path) == 1)
        await manager.aforget_everything()
        assert rows(path, "memories") == []


async def test_a_vector_waits_for_the_memory_that_it_belongs_to(path: Path) -> None:
    written, embedder = asyncio.Event(), Remote()

    class Slow(SqliteStore):
        async def remember(self, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
            await written.wait()
            return await super().remember(user, memories)

    manager = MemoryManager(lambda: Slow(path), 5, timing=SOON, open_embedder=lambda: embedder)
    async with call(manager) as live:
        await live.capture(Turn("item_1", "user", ANSWER, NOON))
        await until(settled(manager, live))
        await asyncio.sleep(5 * SOON.look)
        assert len(embedder.asked) == 1
        written.set()
        await until(lambda: kept(path) == 1)
    await manager.aclose()


async def test_vectors_of_another_size_give_way(path: Path) -> None:
    await first_call(path, Remote())
    store = SqliteStore(path)
    there = await store.vectors(ALICE, Remote.model)
    wrong = [MemoryVector(one.category, one.key, one.said_at, bytes(7)) for one in there[1:]]
    await store.put_vectors(ALICE, Remote.model, wrong)
    await store.aclose()
    async with managing(path, Remote()) as manager, call(manager) as live:
        await until(lambda: {len(row["vector"]) for row in rows(path, "memories")} == {4})
        await until(settled(manager, live))
        assert [memory.value for memory in await manager.arecall(QUESTION)] == [ANSWER]


class KeepsNone(SqliteStore):
    """Everything but vectors; `error` is what it says to them."""

    def __init__(self, path: Path, error: StoreError | None = None) -> None:
        super().__init__(path)
        self.error = error
        self.asked: list[str] = []

    async def vectors(self, user: UUID, model: str) -> list[MemoryVector]:
        self.asked.append("vectors")
        if self.error:
            raise self.error
        return []

    async def put_vectors(self, user: UUID, model: str, vectors: Sequence[MemoryVector]) -> int:
        self.asked.append("put_vectors")
        if self.error:
            raise self.error
        return 0


async def _two_calls(path: Path, store: KeepsNone) -> None:
    manager = MemoryManager(lambda: store, 5, timing=SOON, open_embedder=Remote)
    set_session_user("alice@example.com")
    await told(manager, *LIFE)
    for number in range(2):
        async with call(manager) as live:
            await until(settled(manager, live))
            assert [memory.value for memory in await manager.arecall(QUESTION)] == [ANSWER]
            for more in range(5):
                await manager.astore("FACT", f"cat {number} {more}", "a cat")
                await until(settled(manager, live))
    await manager.aclose()


async def test_a_database_without_the_migration_is_told_of_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = KeepsNone(path, StoreOutdated("no such function"))
    await _two_calls(path, store)
    assert [record.levelname for record in caplog.records if "no such function" in record.message] == ["WARNING"]
    assert store.asked == ["vectors"]
    assert not any(value in caplog.text for value in LIFE)


async def test_a_store_that_fails_at_vectors_fails_at_nothing_else(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = KeepsNone(path, StoreError("no answer"))
    await _two_calls(path, store)
    assert store.asked.count("put_vectors") > 3
    assert "made anew in the next session: no answer" in caplog.text


async def test_nobody_anonymous_has_any_kept(path: Path) -> None:
    store = KeepsNone(path)
    manager = MemoryManager(lambda: store, 5, timing=SOON, open_embedder=Remote)
    set_session_user("human_user")
    live = manager.open_session()
    await live.load()
    manager._live.put(live.user, said())
    following = asyncio.create_task(live.follow_meaning())
    await until(settled(manager, live))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    live.close()
    await manager.aclose()
    assert store.asked == []
