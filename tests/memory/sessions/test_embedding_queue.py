"""Memories found by their meaning: while a session goes on, by nobody else, and waited for in a turn for a moment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from identity import set_session_user
from memory.embedding.embedders import Embedder, EmbeddingsFailed, EmbeddingsOff
from memory.manager import MemoryManager
from memory.recall.vectors import Vector
from memory.records import Memory
from memory.sessions.session import SessionMemory
from memory.sessions.timing import Timing
from memory.stores.sqlite import SqliteStore
from tests.memory.stores.contract import ALICE, BOB

QUESTION, ANSWER = "what do I do for a living", "I am a carpenter"
SOON = Timing(look=0.01, longest_backoff=0.02)
ABOUT = (("living", "carpenter", "baker"), ("cat", "dog"), ("Lisbon",), ("tea",))


class Remote:
    """A model elsewhere: it knows four subjects, and takes its time."""

    model = "four subjects"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self.closed = False

    async def question(self, text: str) -> Vector:
        return (await self.embed([text]))[0]

    async def embed(self, texts: Sequence[str]) -> Vector:
        self.asked += texts
        await self.open.wait()
        if self.error:
            raise self.error
        rows = [[1.0 if any(word in text for word in words) else 0.1 for words in ABOUT] for text in texts]
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    async def aclose(self) -> None:
        self.closed = True


@asynccontextmanager
async def managing(path: Path, embedder: Embedder | None, **options: float) -> AsyncIterator[MemoryManager]:
    manager = MemoryManager(
        lambda: SqliteStore(path), options.get("deadline", 5), open_embedder=lambda: embedder, timing=SOON
    )
    try:
        yield manager
    finally:
        await manager.aclose()


@asynccontextmanager
async def call(manager: MemoryManager, name: str = "alice@example.com") -> AsyncIterator[SessionMemory]:
    """A session with its background work, as the worker has it."""
    set_session_user(name)
    live = manager.open_session()
    await live.load()
    following = asyncio.create_task(live.follow_meaning())
    try:
        yield live
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        live.close()


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110 - of what happens in the background nobody tells a test
            await asyncio.sleep(0.005)


async def told(manager: MemoryManager, *values: str) -> None:
    for number, value in enumerate(values):
        await manager.astore("FACT", f"user_input_{number}", value)


LIFE = (ANSWER, "the cat sleeps", "we moved to Lisbon", "I drink tea", "a dog and a cat", "Lisbon is far")


def without_vector(manager: MemoryManager, live: SessionMemory, limit: int) -> list[Memory]:
    with manager._live.person(live.user) as person:
        return person.index.without_vector(limit)


def settled(manager: MemoryManager, live: SessionMemory) -> Callable[[], bool]:
    return lambda: not without_vector(manager, live, 1)


@asynccontextmanager
async def living(
    path: Path, embedder: Embedder, **options: float
) -> AsyncIterator[tuple[MemoryManager, SessionMemory]]:
    """Alice's session, when all that she told before has its vectors."""
    async with managing(path, embedder, **options) as manager:
        set_session_user("alice@example.com")
        await told(manager, *LIFE)
        async with call(manager) as live:
            await until(settled(manager, live))
            yield manager, live


async def test_without_an_embedder_nothing_runs_and_words_alone_find(path: Path) -> None:
    async with managing(path, None) as manager:
        set_session_user("alice@example.com")
        live = manager.open_session()
        await live.load()
        await told(manager, *LIFE)
        await live.follow_meaning()  # returns
        assert await manager.arecall(QUESTION) == []
        assert len(without_vector(manager, live, 99)) == len(LIFE)


async def test_the_tool_finds_what_was_told_before_and_in_the_call(path: Path) -> None:
    embedder = Remote()
    async with managing(path, embedder) as manager:
        set_session_user("alice@example.com")
        await told(manager, *LIFE)
        async with call(manager) as live:
            await until(settled(manager, live))
            assert [memory.value for memory in await manager.arecall(QUESTION)] == [ANSWER]
            await manager.astore("FACT", "user_input_9", "once I was a baker")
            await until(settled(manager, live))
            assert [memory.value for memory in await manager.arecall(QUESTION)] == ["once I was a baker", ANSWER]
            assert sorted(embedder.asked[: len(LIFE)]) == sorted(LIFE)
        assert embedder.closed is False
    assert embedder.closed


@pytest.mark.parametrize("early", [True, False])
async def test_a_turn_has_it_that_was_expected_or_that_waits_a_moment(path: Path, early: bool) -> None:
    embedder = Remote()
    async with living(path, embedder) as (_, live):
        embedder.asked.clear()
        recalled: list[str] = []
        live.observers.append(lambda _action, memory: recalled.append(memory.value))
        if early:
            live.expect(QUESTION)
            await asyncio.sleep(0.02)
        else:
            await live.understand(QUESTION, 5)
        live.brief(QUESTION)
        assert recalled == [ANSWER]
        live.brief(QUESTION)
        assert embedder.asked == [QUESTION], "after a tool's answer it is asked no more"


async def test_who_looks_without_waiting_has_it_at_the_second_look(path: Path) -> None:
    async with living(path, Remote()) as (manager, live):
        recalled: list[str] = []
        live.observers.append(lambda _action, memory: recalled.append(memory.value))
        manager.brief(QUESTION)
        assert recalled == []
        await asyncio.sleep(0.02)
        manager.brief(QUESTION)
        assert recalled == [ANSWER]


async def test_what_was_said_so_far_is_not_asked_for_any_more_once_more_is_said(path: Path) -> None:
    embedder = Remote()
    async with living(path, embedder) as (_, live):
        before = asyncio.all_tasks()
        embedder.open.clear()
        for said in ("what do I", "what do I do", QUESTION, QUESTION):
            live.expect(said)
        await asyncio.sleep(0.02)
        assert len(asyncio.all_tasks() - before) == 1
        assert embedder.asked.count(QUESTION) == 1
        embedder.open.set()


async def test_who_has_no_vectors_waits_for_none(path: Path) -> None:
    async with managing(path, None) as manager:
        set_session_user("alice@example.com")
        live = manager.open_session()
        live.expect(QUESTION)
        await live.understand(QUESTION, 5)
        await live.load()
        live.expect(QUESTION)
        async with asyncio.timeout(0.1):
            await live.understand(QUESTION, 5)
        live.close()


async def test_a_turn_waits_for_a_moment_and_a_search_no_longer_than_the_deadline(path: Path) -> None:
    embedder = Remote()
    async with living(path, embedder, deadline=1.0) as (manager, live):
        embedder.open.clear()  # from now on nothing is ever answered
        start = time.perf_counter()
        await live.understand("do I like tea", 0.02)
        assert 0.015 < time.perf_counter() - start < 0.5, "a moment, and not the deadline"
        assert "tea" in manager.brief("do I like tea")
        start = time.perf_counter()
        assert "I drink tea" in [memory.value for memory in await manager.arecall("do I like tea")]
        assert time.perf_counter() - start > 0.9
        start = time.perf_counter()
        await manager.arecall("do I like tea")
        assert time.perf_counter() - start < 0.5, "what has just failed is left alone for a moment"


async def test_the_end_of_a_session_leaves_no_task(path: Path) -> None:
    embedder = Remote()
    async with managing(path, embedder) as manager:
        set_session_user("alice@example.com")
        await told(manager, *LIFE)
        before = asyncio.all_tasks()
        embedder.open.clear()
        async with call(manager):
            await asyncio.sleep(0.02)
            manager.brief(QUESTION)
            manager.brief("another question")
            assert len(asyncio.all_tasks() - before) >= 2
        assert asyncio.all_tasks() == before


async def test_a_failure_is_loud_and_without_words_and_is_got_over(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = Remote()
    embedder.error = EmbeddingsFailed("InternalServerError 500")
    measured: list[bool] = []
    manager = MemoryManager(
        lambda: SqliteStore(path),
        5,
        timing=SOON,
        open_embedder=lambda: embedder,
        measure_embedding=lambda _seconds, succeeded: measured.append(succeeded),
    )
    set_session_user("alice@example.com")
    await told(manager, *LIFE)
    async with call(manager) as live:
        await until(lambda: "[EMBEDDINGS FAILED] InternalServerError 500" in caplog.text)
        assert [memory.value for memory in await manager.arecall("tea")] == ["I drink tea"]
        embedder.error = None
        await until(settled(manager, live))
        assert [memory.value for memory in await manager.arecall(QUESTION)] == [ANSWER]
    await manager.aclose()
    assert {True, False} == set(measured)
    assert all(record.levelno == logging.ERROR for record in caplog.records if "EMBEDDINGS" in record.message)
    assert not any(word in caplog.text for value in LIFE for word in (value, QUESTION))


async def test_one_that_cannot_be_had_says_why_and_words_find(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def none() -> Embedder:
        raise EmbeddingsOff("set OPENAI_API_KEY")

    manager = MemoryManager(lambda: SqliteStore(path), 5, timing=SOON, open_embedder=none)
    set_session_user("alice@example.com")
    await told(manager, *LIFE)
    async with call(manager):
        await until(lambda: "[EMBEDDINGS OFF] set OPENAI_API_KEY" in caplog.text)
        assert [memory.value for memory in await manager.arecall("tea")] == ["I drink tea"]
    await manager.aclose()


async def test_what_is_forgotten_is_found_by_nothing_even_while_its_vector_is_made(path: Path) -> None:
    embedder = Remote()
    async with living(path, embedder) as (manager, live):
        await manager.aforget("FACT", "user_input_0")
        assert ANSWER not in {memory.value for memory in await manager.arecall(QUESTION)}
        embedder.open.clear()
        await manager.astore("FACT", "user_input_0", ANSWER)
        await until(lambda: embedder.asked[-1] == ANSWER)
        await manager.aforget_everything()
        embedder.open.set()
        await asyncio.sleep(0.05)
        assert await manager.arecall(QUESTION) == []
        assert len(manager._live._people[live.user].person.index._index._vectors) == 0


async def test_two_people_at_once_find_their_own(path: Path) -> None:
    async with managing(path, Remote()) as manager:

        async def talk(name: str, work: str) -> list[str]:
            set_session_user(name)
            await told(manager, work, *LIFE[1:])
            async with call(manager, name) as live:
                assert live.user == (ALICE if name.startswith("alice") else BOB)
                await until(settled(manager, live))
                await asyncio.sleep(0.02)
                manager.brief(QUESTION)
                await asyncio.sleep(0.02)
                block = manager.brief(QUESTION)
                assert work in block
                return [memory.value for memory in await manager.arecall(QUESTION)]

        found = await asyncio.gather(
            asyncio.create_task(talk("alice@example.com", ANSWER)),
            asyncio.create_task(talk("bob@example.com", "I am a baker")),
        )
        assert found == [[ANSWER], ["I am a baker"]]


async def test_who_has_no_session_any_more_has_no_vectors_asked_for(path: Path) -> None:
    embedder = Remote()
    async with managing(path, embedder) as manager:
        async with call(manager):
            await told(manager, *LIFE)
        embedder.asked.clear()
        await manager.arecall(QUESTION)
        manager.brief(QUESTION)
        await asyncio.sleep(0.03)
        assert embedder.asked == []
