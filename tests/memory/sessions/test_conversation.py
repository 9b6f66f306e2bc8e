"""A session's conversation in a real store: found or begun, perhaps late; written as it happens; ended; forgotten.

Laid out by what the store does: it answers, it answers late, it is down, it forgets.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

import memory.sessions.outbox
from identity import NoSessionUser, WrongSessionUser, set_session_user
from memory.language.statements import Statement
from memory.manager import MemoryManager, MemoryOff
from memory.records import MAX_THREAD_CHARACTERS, MAX_TURN_CHARACTERS, Category, Memory, Session, Turn
from memory.sessions.session import LiveSession
from memory.stores.protocol import StoreError
from memory.stores.sqlite import SqliteStore
from tests.memory.stores.contract import ALICE, BOB, HALF_AN_HOUR, NOON, said, turn

T = TypeVar("T")
CAT = "my cat is called Tilda"


class Moody(SqliteStore):
    """A real store that answers late while `gate` is closed, and not at all while it is `down`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate = asyncio.Event()
        self.gate.set()
        self.down = False
        self.asked = 0
        self.asked_again = asyncio.Event()

    async def _transact(
        self,
        begin: str,
        run: Callable[[sqlite3.Connection], T],
        then: Callable[[sqlite3.Connection], None] | None = None,
    ) -> T:
        self.asked += 1
        self.asked_again.set()
        await self.gate.wait()
        if self.down:
            raise StoreError("the store is down")
        return await super()._transact(begin, run, then)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rapport.db"


@pytest.fixture
async def store(path: Path, monkeypatch: pytest.MonkeyPatch) -> Moody:
    monkeypatch.setattr(memory.sessions.outbox, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(memory.sessions.outbox, "_LONGEST_PAUSE", 0.01)
    return Moody(path)


@pytest.fixture
async def manager(store: Moody) -> AsyncIterator[MemoryManager]:
    manager = MemoryManager(lambda: store, deadline=5)
    manager._client()._breaker._rest = 0.02
    yield manager
    store.gate.set()
    await manager.aclose()


@pytest.fixture
async def impatient(manager: MemoryManager) -> MemoryManager:
    manager._deadline = manager._client().deadline = 0.05
    return manager


async def start(
    manager: MemoryManager,
    session: LiveSession,
    *,
    thread: str = "kitchen",
    job: str = "job-1",
    resume_within: timedelta = HALF_AN_HOUR,
) -> Session:
    return await manager.start_session(
        session, thread=thread, job=job, room="room", resume_within=resume_within, turns=10, email="alice@example.com"
    )


@pytest.fixture
def alice(manager: MemoryManager) -> LiveSession:
    set_session_user("alice@example.com")
    return manager.open_session()


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    """Everything that is in the file, of anybody."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"select * from {table}")]  # noqa: S608


def texts(path: Path) -> list[str]:
    return [row["text"] for row in sorted(rows(path, "messages"), key=lambda row: (row["said_at"], row["seq"]))]


async def until(store: Moody, asked: int) -> None:
    async with asyncio.timeout(5):
        while store.asked < asked:
            store.asked_again.clear()
            await store.asked_again.wait()


# -- it answers


async def test_a_session_starts_by_asking_the_store_once(
    manager: MemoryManager, store: Moody, alice: LiveSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stored = await start(manager, alice)
    assert store.asked == 1
    assert (stored.resumed, stored.created, stored.profile.email) == (False, True, "alice@example.com")
    assert alice.stored == stored
    assert alice.conversation == stored.conversation
    assert alice.loaded.is_set()
    assert caplog.messages == [
        f"[PROFILE CREATE] Profile created for user: {ALICE}",
        f"[CONVERSATION] new for user: {ALICE}",
    ]


async def test_what_was_known_is_told_from_the_first_turn_on(manager: MemoryManager, alice: LiveSession) -> None:
    await manager.astore("PREFERENCE", "favorite_color", "blue")
    await manager.astore("PREFERENCE", "favorite_color", "green")
    stored = await start(manager, alice)
    assert [memory.value for memory in stored.memories] == ["green"]
    assert "green" in manager.brief("what is my favorite color")
    assert [past.memory.value for past in await manager.apast()] == ["blue"]


async def test_turns_are_written_as_they_happen_once_and_corrected(
    manager: MemoryManager, path: Path, alice: LiveSession
) -> None:
    await start(manager, alice)
    manager.append_turn(alice, turn("hello", later=1))
    assert await manager.flush(5) == 0
    assert texts(path) == ["hello"]
    whole = Turn("item_2", "assistant", "Once upon a time there was", NOON + timedelta(seconds=2))
    manager.append_turn(alice, whole)
    manager.append_turn(alice, turn("hello", later=1))
    manager.append_turn(alice, Turn("item_2", "assistant", "Once upon", whole.said_at, interrupted=True))
    assert await manager.flush(5) == 0
    assert texts(path) == ["hello", "Once upon"]
    assert [row["interrupted"] for row in rows(path, "messages")] == [0, 1]


async def test_a_turn_is_written_as_far_as_databases_take_it(
    manager: MemoryManager, path: Path, alice: LiveSession
) -> None:
    await start(manager, alice)
    manager.append_turn(alice, turn("hel\0lo \ud800there ", name="item_1"))
    manager.append_turn(alice, turn("x" * (MAX_TURN_CHARACTERS + 1), name="item_2", later=1))
    assert await manager.flush(5) == 0
    assert texts(path) == ["hello there", "x" * MAX_TURN_CHARACTERS]


async def test_the_second_job_of_the_same_person_goes_on_where_the_first_stopped(
    manager: MemoryManager, store: Moody, alice: LiveSession, path: Path
) -> None:
    first = await start(manager, alice)
    manager.append_turn(alice, turn("hello"))
    assert await manager.end_session(alice, "left", 5) == 0
    manager.close_session(alice)
    another_worker = MemoryManager(lambda: SqliteStore(path), deadline=5)
    session = another_worker.open_session()
    second = await start(another_worker, session, job="job-2")
    assert (second.conversation, second.resumed, second.turns) == (first.conversation, True, [turn("hello")])
    assert second.id != first.id
    await another_worker.aclose()


async def test_a_new_conversation_knows_the_summary_of_the_last(manager: MemoryManager, alice: LiveSession) -> None:
    await start(manager, alice)
    manager.summarise(alice, "  They talked about cats. ")
    manager.summarise(alice, " \0 ")
    assert await manager.end_session(alice, "left", 5) == 0
    second = await start(manager, manager.open_session(), job="job-2", resume_within=timedelta(0))
    assert second.summary == "They talked about cats."


async def test_a_session_ends_with_its_reason(manager: MemoryManager, alice: LiveSession, path: Path) -> None:
    await start(manager, alice)
    assert await manager.end_session(alice, "idle", 5) == 0
    (row,) = rows(path, "sessions")
    assert (row["end_reason"], row["jobs"]) == ("idle", "[]")
    assert row["ended_at"]


async def test_a_session_can_be_ended_when_nobody_is_bound_any_more(
    manager: MemoryManager, alice: LiveSession, path: Path
) -> None:
    await start(manager, alice)
    manager.append_turn(alice, turn("bye"))

    async def end() -> int:
        return await manager.end_session(alice, "left", 5)

    assert await asyncio.create_task(end(), context=_nobody()) == 0
    assert texts(path) == ["bye"]
    assert rows(path, "sessions")[0]["end_reason"] == "left"


async def test_a_memory_says_from_which_conversation_turn_and_words_it_comes(
    manager: MemoryManager, alice: LiveSession
) -> None:
    stored = await start(manager, alice)
    words = f"well hello there, {CAT} and she is lovely."
    manager.append_turn(alice, turn(words, name="item_1"))
    kept = await manager.capture(words, "item_1", NOON, session=alice)
    for memory_ in kept:
        assert (memory_.source, memory_.conversation) == ("item_1", stored.conversation)
        why = await manager.awhy(memory_.category, memory_.key)
        assert why
        assert (why.words, why.said_at, why.conversation) == (words, NOON, stored.conversation)
    assert kept


async def test_what_was_asked_for_says_its_conversation_too(manager: MemoryManager, alice: LiveSession) -> None:
    stored = await start(manager, alice)
    await manager.astore("FACT", "locker", "4711")
    why = await manager.awhy("fact", "locker")
    assert why
    assert (why.words, why.conversation) == ("4711", stored.conversation)
    assert await manager.awhy("FACT", "nothing") is None


async def test_each_of_two_sessions_of_a_person_writes_into_its_own_thread(
    manager: MemoryManager, alice: LiveSession
) -> None:
    kitchen = await start(manager, alice)
    hall = await start(manager, second := manager.open_session(), thread="hall", job="job-2")
    for session, name in ((alice, "item_1"), (second, "item_2")):
        manager.append_turn(session, turn(name, name=name))
    (one,) = await manager.capture("i love reading books", "item_1", NOON, session=alice)
    (two,) = await manager.capture("i love playing chess", "item_2", NOON, session=second)
    assert (one.conversation, two.conversation) == (kitchen.conversation, hall.conversation)
    assert await manager.flush(5) == 0
    document = await manager._client().ask("export", lambda store: store.export(ALICE))
    written = {(row["conversation_id"], row["text"]) for row in document["turns"]}
    assert written == {(str(kitchen.conversation), "item_1"), (str(hall.conversation), "item_2")}


async def test_a_touched_session_is_alive(manager: MemoryManager, alice: LiveSession) -> None:
    assert await manager.touch(alice) is False, "it has not started"
    await start(manager, alice)
    assert await manager.touch(alice) is True


async def test_a_session_that_was_taken_for_dead_lives_again_with_the_next_turn(
    manager: MemoryManager, store: Moody, alice: LiveSession, path: Path
) -> None:
    first = await start(manager, alice)
    await store.end_abandoned(datetime.now(UTC) + timedelta(hours=1), "worker died")
    assert await manager.touch(alice) is False
    assert len(rows(path, "sessions")) == 1, "somebody silent is not there for sure"
    manager.append_turn(alice, turn("still here"))
    manager.append_turn(alice, turn("are you?", later=1))
    assert await manager.flush(5) == 0
    assert len(rows(path, "sessions")) == 2
    assert alice.stored
    assert alice.stored.id != first.id
    assert alice.conversation == first.conversation
    assert texts(path) == ["still here", "are you?"]
    assert await manager.touch(alice) is True


@pytest.mark.parametrize("thread", ["", " \0 ", "x" * (MAX_THREAD_CHARACTERS + 1)])
async def test_a_thread_must_be_a_name(manager: MemoryManager, store: Moody, alice: LiveSession, thread: str) -> None:
    with pytest.raises(ValueError, match="the thread"):
        await start(manager, alice, thread=thread)
    assert store.asked == 0


# -- whose it is


async def test_nobody_writes_into_another_persons_session(
    manager: MemoryManager, alice: LiveSession, path: Path
) -> None:
    await start(manager, alice)
    set_session_user("bob@example.com")
    with pytest.raises(WrongSessionUser):
        manager.append_turn(alice, turn("injected"))
    with pytest.raises(WrongSessionUser):
        await start(manager, alice)
    with pytest.raises(WrongSessionUser):
        await manager.load(alice)
    assert await manager.flush(5) == 0
    assert texts(path) == []
    assert [row["id"] for row in rows(path, "profiles")] == [str(ALICE)]


async def test_without_a_user_nothing_is_written(manager: MemoryManager, alice: LiveSession, path: Path) -> None:
    await start(manager, alice)

    async def write() -> None:
        with pytest.raises(NoSessionUser):
            manager.append_turn(alice, turn("nobody's"))
        with pytest.raises(NoSessionUser):
            await manager.capture(CAT, "item_1", NOON, session=alice)

    await asyncio.create_task(write(), context=_nobody())
    assert await manager.flush(5) == 0
    assert texts(path) == rows(path, "memories") == []


async def test_an_anonymous_visitor_has_no_conversation(manager: MemoryManager, store: Moody) -> None:
    set_session_user("human_user")
    session = manager.open_session()
    with pytest.raises(MemoryOff):
        await start(manager, session)
    manager.append_turn(session, turn("hello"))
    manager.summarise(session, "nothing")
    assert await manager.capture(CAT, "item_1", NOON, session=session) == []
    assert await manager.touch(session) is False
    assert await manager.end_session(session, "left", 5) == 0
    assert store.asked == 0


async def test_two_people_at_once_keep_their_words_apart(manager: MemoryManager, path: Path) -> None:
    async def talk(name: str) -> None:
        set_session_user(f"{name}@example.com")
        session = manager.open_session()
        await start(manager, session, job=name)
        for i in range(20):
            manager.append_turn(session, turn(f"{name} {i}", later=i))
            await manager.capture(f"i love {name} number {i}", f"{name}-{i}", NOON, session=session)
            await asyncio.sleep(0)
        assert await manager.end_session(session, "left", 10) == 0

    await asyncio.gather(*(asyncio.create_task(talk(name)) for name in ("alice", "bob")))
    for table, column, count in (("messages", "text", 20), ("memories", "value", 20)):
        found = rows(path, table)
        assert len(found) == 2 * count
        assert all(("alice" in row[column]) == (row["user_id"] == str(ALICE)) for row in found)
        assert {row["user_id"] for row in found} == {str(ALICE), str(BOB)}


# -- it answers late


async def test_a_late_store_costs_the_deadline_and_is_merged_when_it_answers(
    impatient: MemoryManager, store: Moody, alice: LiveSession, path: Path
) -> None:
    manager = impatient
    await SqliteStore(path).remember(ALICE, [said("blue")])
    store.gate.clear()
    with pytest.raises(StoreError, match="did not answer"):
        await start(manager, alice)
    assert not alice.loaded.is_set()
    manager.append_turn(alice, turn("hello"))
    assert await manager.capture(CAT, "item_1", NOON + timedelta(seconds=60), session=alice) == []
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


async def test_what_is_news_is_decided_against_what_arrives_late(
    impatient: MemoryManager, store: Moody, alice: LiveSession, path: Path
) -> None:
    manager = impatient
    known = [
        Memory(Category.INTEREST, "user_input_1", "i love reading books", NOON, "old-1"),
        said("i live in Rome", "home_city", Category.FACT),
    ]
    await SqliteStore(path).remember(ALICE, known)
    store.gate.clear()
    with pytest.raises(StoreError):
        await start(manager, alice)
    later = NOON + timedelta(seconds=60)
    await manager.capture("I love reading books!", "item_1", later, session=alice)
    await manager.capture("i don't live in Rome any more", "item_2", later, session=alice)
    store.gate.set()
    assert await manager.flush(5) == 0
    found = {row["key"]: row["value"] for row in rows(path, "memories")}
    assert found == {"user_input_1": "i love reading books", "home_city": "i don't live in Rome any more"}


async def test_a_person_who_left_before_the_store_answered_leaves_nothing_in_the_process(
    impatient: MemoryManager, store: Moody, alice: LiveSession, path: Path
) -> None:
    store.gate.clear()
    with pytest.raises(StoreError):
        await start(impatient, alice)
    impatient.append_turn(alice, turn("hello"))
    impatient.close_session(alice)
    store.gate.set()
    assert await impatient.end_session(alice, "left", 5) == 0
    assert impatient._live._people == {}
    assert texts(path) == ["hello"]
    assert rows(path, "sessions")[0]["end_reason"] == "left"


async def test_who_stops_waiting_for_the_start_does_not_stop_the_start(
    manager: MemoryManager, store: Moody, alice: LiveSession
) -> None:
    store.gate.clear()
    starting = asyncio.create_task(start(manager, alice))
    await until(store, 1)
    starting.cancel()
    await asyncio.wait([starting])
    assert starting.cancelled()
    store.gate.set()
    async with asyncio.timeout(5):
        await alice.loaded.wait()


# -- it is down


async def test_a_start_that_fails_at_once_is_told_at_once_and_tried_on(
    manager: MemoryManager, store: Moody, alice: LiveSession, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.down = True
    with pytest.raises(StoreError, match="is down"):
        await start(manager, alice)
    manager.append_turn(alice, turn("hello"))
    await manager.capture(CAT, "item_1", NOON, session=alice)
    await until(store, 4)
    assert not alice.loaded.is_set()
    assert manager.depth() == 3
    store.down = False
    async with asyncio.timeout(5):
        await alice.loaded.wait()
    assert await manager.flush(5) == 0
    assert texts(path) == ["hello"]
    assert [row["value"] for row in rows(path, "memories")] == [CAT]
    assert "LOST" not in caplog.text


async def test_an_outage_in_the_middle_loses_and_doubles_nothing(
    manager: MemoryManager, store: Moody, alice: LiveSession, path: Path
) -> None:
    await start(manager, alice)
    for i in range(30):
        store.down = i % 10 in range(3, 8)
        manager.append_turn(alice, turn(f"turn {i}", later=i))
        await manager.capture(f"i love the number {i}", f"item_turn {i}", NOON + timedelta(seconds=i), session=alice)
        for _ in range(10):
            await asyncio.sleep(0)
    store.down = False
    assert await manager.end_session(alice, "left", 10) == 0
    assert texts(path) == [f"turn {i}" for i in range(30)]
    assert sorted(row["source"] for row in rows(path, "memories")) == sorted(f"item_turn {i}" for i in range(30))
    assert rows(path, "sessions")[0]["end_reason"] == "left"


async def test_a_lost_answer_doubles_nothing_and_the_live_session_keeps_the_truth(
    manager: MemoryManager, store: Moody, alice: LiveSession, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(manager, alice)
    remember, lost = store.remember, []

    async def losing(user: Any, memories: Sequence[Memory]) -> list[Memory]:
        kept = await remember(user, memories)
        if not lost:
            lost.append(kept)
            raise StoreError("the answer was lost")
        return kept

    monkeypatch.setattr(store, "remember", losing)
    await manager.capture("my favorite color is blue", "item_1", NOON, session=alice)
    assert await manager.flush(5) == 0
    assert lost
    assert len(rows(path, "memories")) == 1
    assert rows(path, "memory_history") == []
    assert "blue" in manager.brief("favorite color")
    assert await manager.apast() == []


async def test_a_write_that_is_confirmed_late_does_not_bring_an_old_value_back(
    manager: MemoryManager, store: Moody, alice: LiveSession
) -> None:
    await start(manager, alice)
    store.gate.clear()
    for i, color in enumerate(("blue", "green")):
        await manager.capture(f"my favorite color is {color}", f"item_{i}", NOON + timedelta(seconds=i), session=alice)
    store.gate.set()
    told: list[str] = []
    alice.observers.append(lambda *_: told.append(manager._live.brief(ALICE, "color", ()).text))
    assert await manager.flush(5) == 0
    assert len(told) >= 2
    assert all("color is green" in one and "color is blue" not in one for one in told)
    assert [past.memory.value for past in await manager.apast()] == ["my favorite color is blue"]


async def test_what_is_asked_for_does_not_overtake_what_was_said_before(
    manager: MemoryManager, store: Moody, alice: LiveSession, path: Path
) -> None:
    await start(manager, alice)
    store.gate.clear()
    await manager.capture("my favorite color is blue", "item_1", NOON, session=alice)
    asking = asyncio.create_task(manager.astore("PREFERENCE", "favorite_color", "green"))
    await until(store, 2)
    store.gate.set()
    await asking
    assert [row["value"] for row in rows(path, "memories")] == ["green"]
    assert [row["value"] for row in rows(path, "memory_history")] == ["my favorite color is blue"]


async def test_a_dead_store_costs_nobody_their_deadline_each_time(
    impatient: MemoryManager, store: Moody, alice: LiveSession
) -> None:
    impatient._client()._breaker._rest = 3600
    store.gate.clear()
    for _ in range(3):
        with pytest.raises(StoreError, match="did not answer"):
            await impatient.amemories()
    asked = store.asked
    for call in (
        impatient.amemories,
        lambda: impatient.astore("FACT", "a", "b"),
        lambda: impatient.aforget("FACT", "a"),
        impatient.aforget_everything,
    ):
        with pytest.raises(StoreError, match="left alone"):
            await call()
    assert store.asked == asked
    assert len(rows_if_any(store)) == 0


def rows_if_any(store: Moody) -> list[dict[str, Any]]:
    return rows(store._path, "profiles") if store._path.exists() else []


async def test_while_what_was_said_before_waits_for_a_dead_store_the_next_wish_is_refused_at_once(
    manager: MemoryManager, store: Moody, alice: LiveSession
) -> None:
    await start(manager, alice)
    manager._deadline = manager._client().deadline = 3600
    manager._client()._breaker._rest = 3600
    store.down = True
    await manager.capture(CAT, "item_1", NOON, session=alice)
    await until(store, 4)
    async with asyncio.timeout(5):
        with pytest.raises(StoreError, match="still waits"):
            await manager.astore("FACT", "a", "b")
    manager._deadline = manager._client().deadline = 0.05


async def test_shutdown_waits_no_longer_than_it_may_and_tells_what_is_lost(
    manager: MemoryManager, store: Moody, alice: LiveSession, caplog: pytest.LogCaptureFixture
) -> None:
    await start(manager, alice)
    store.down = True
    manager.append_turn(alice, turn("marmalade"))
    async with asyncio.timeout(5):
        assert await manager.end_session(alice, "left", 0.05) == 2
    await manager.aclose()
    lost = [message for message in caplog.messages if message.startswith("[MEMORY LOST]")]
    assert lost == [f"[MEMORY LOST] {what} of user {ALICE}: the process ends" for what in ("a turn", "an end")]
    assert "marmalade" not in caplog.text


# -- it forgets


async def test_what_is_forgotten_is_gone_in_the_next_turn_and_does_not_come_back(
    manager: MemoryManager, alice: LiveSession, path: Path
) -> None:
    await start(manager, alice)
    (color,) = await manager.capture("my favorite color is blue", "item_1", NOON, session=alice)
    assert await manager.aforget(color.category, color.key) is True
    assert manager.brief("favorite color") == ""
    assert await manager.capture("my favorite color is blue", "item_1", NOON, session=alice) == []
    assert await manager.flush(5) == 0
    assert rows(path, "memories") == rows(path, "memory_history") == []


async def test_forgetting_everything_leaves_nothing_anywhere_while_the_call_goes_on(
    manager: MemoryManager, store: Moody, alice: LiveSession, path: Path
) -> None:
    await store.remember(BOB, [said("red")])
    await start(manager, alice)
    second = manager.open_session()
    await start(manager, second, thread="hall", job="job-2")
    manager.append_turn(alice, turn(CAT))
    await manager.capture(CAT, "item_1", NOON, session=alice)
    await manager.astore("PREFERENCE", "favorite_color", "blue")
    store.gate.clear()
    manager.append_turn(alice, turn("this still waits", later=1))
    await manager.capture("i love reading books", "item_2", NOON, session=alice)
    manager.summarise(alice, "about cats")
    forgetting = asyncio.create_task(manager.aforget_everything())
    await asyncio.sleep(0)
    store.gate.set()
    assert await forgetting == 3
    for session in (alice, second):
        manager.append_turn(session, turn("everything is forgotten", later=2))
        manager.summarise(session, "she wanted all forgotten")
        assert await manager.touch(session) is False
        assert session.conversation is None
        assert await manager.end_session(session, "left", 5) == 0
    for table in ("memories", "memory_history", "conversations", "sessions", "messages", "profiles"):
        assert {row.get("user_id", row.get("id")) for row in rows(path, table)} <= {str(BOB)}, table
    assert manager.brief("cat color books") == ""
    assert await manager.amemories() == await manager.apast() == await manager.arecall("cat") == []
    assert manager.depth() == 0


async def test_a_session_that_was_taken_for_dead_and_then_forgotten_stays_forgotten(
    manager: MemoryManager, store: Moody, alice: LiveSession
) -> None:
    await start(manager, alice)
    await store.end_abandoned(datetime.now(UTC) + timedelta(hours=1), "worker died")
    assert await manager.touch(alice) is False
    await manager.aforget_everything()
    manager.append_turn(alice, turn("hello"))
    assert await manager.flush(5) == 0
    assert not any((await store.export(ALICE)).values())


async def test_closing_writes_what_still_waits(manager: MemoryManager, alice: LiveSession, path: Path) -> None:
    await start(manager, alice)
    manager.append_turn(alice, turn("bye"))
    await manager.aclose()
    assert texts(path) == ["bye"]


async def test_a_key_made_of_the_persons_words_is_not_logged(
    manager: MemoryManager, alice: LiveSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await start(manager, alice)
    (kept,) = await manager.capture("I love Xiangqi", "item_1", NOON, session=alice)
    assert "xiangqi" in kept.key, "there is such a key"
    await manager.flush(5)
    assert "[MEMORY STORED]" in caplog.text
    assert "xiangqi" not in caplog.text.lower()


async def test_a_forgetting_that_failed_forgets_nothing(
    manager: MemoryManager, store: Moody, alice: LiveSession, path: Path
) -> None:
    await start(manager, alice)
    await manager.astore("FACT", "cat", "Tilda")
    store.down = True
    manager.append_turn(alice, turn("hello"))
    with pytest.raises(StoreError):
        await manager.aforget_everything()
    assert "Tilda" in manager.brief("cat")
    store.down = False
    assert await manager.flush(5) == 0
    assert texts(path) == ["hello"]


async def test_after_everything_was_forgotten_something_new_is_kept(
    manager: MemoryManager, alice: LiveSession, path: Path
) -> None:
    await start(manager, alice)
    await manager.aforget_everything()
    (dog,) = await manager.capture("my dog is called Rex", "item_9", NOON, session=alice)
    assert dog.conversation is None
    assert await manager.flush(5) == 0
    assert [row["value"] for row in rows(path, "memories")] == ["my dog is called Rex"]
    assert "Rex" in manager.brief("dog")


async def test_after_everything_was_forgotten_the_next_call_is_a_strangers(
    manager: MemoryManager, alice: LiveSession
) -> None:
    await start(manager, alice)
    assert await manager.complete_first_login() is True
    await manager.aforget_everything()
    await manager.end_session(alice, "left", 5)
    manager.close_session(alice)
    stored = await start(manager, manager.open_session(), job="job-2")
    assert (stored.created, stored.resumed, stored.profile.is_first_login) == (True, False, True)


async def test_what_another_process_erased_does_not_come_back_through_this_one(
    manager: MemoryManager, store: Moody, alice: LiveSession, path: Path
) -> None:
    await start(manager, alice)
    await SqliteStore(path).erase(ALICE)
    assert await manager.touch(alice) is False
    manager.summarise(alice, "about cats")
    assert await manager.end_session(alice, "left", 5) == 0
    assert not any((await store.export(ALICE)).values())


# -- what a model finds in a turn


async def test_a_model_finds_the_statements_instead_of_our_rules(
    manager: MemoryManager, alice: LiveSession, path: Path
) -> None:
    await start(manager, alice)
    heard: list[tuple[str, Statement | None]] = []

    async def extract(said: str, *, before: Statement | None) -> list[Statement]:
        heard.append((said, before))
        return [Statement(Category.FACT, "pet", "a cat called Tilda")]

    await manager.capture("my favorite color is blue", "item_1", NOON, session=alice)
    (kept,) = await manager.capture(CAT, "item_2", NOON, session=alice, extract=extract)
    assert (kept.key, kept.value, kept.source) == ("pet", "a cat called Tilda", "item_2")
    ((said_, before),) = heard
    assert said_ == CAT
    assert before
    assert before.key == "favorite_color"
    assert await manager.flush(5) == 0
    assert {row["key"] for row in rows(path, "memories")} == {"favorite_color", "pet"}


@pytest.mark.parametrize("error", [RuntimeError("marmalade"), ValueError("marmalade"), TimeoutError()], ids=repr)
async def test_when_the_model_fails_our_rules_are_used(
    manager: MemoryManager, alice: LiveSession, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    await start(manager, alice)

    async def extract(_: str, *, before: Statement | None) -> list[Statement]:
        raise error

    (kept,) = await manager.capture(CAT, "item_1", NOON, session=alice, extract=extract)
    assert kept.value == CAT
    assert type(error).__name__ in caplog.text
    assert "marmalade" not in caplog.text


async def test_a_model_that_finds_nothing_keeps_nothing(manager: MemoryManager, alice: LiveSession) -> None:
    await start(manager, alice)

    async def extract(_: str, *, before: Statement | None) -> list[Statement]:
        return []

    assert await manager.capture(CAT, "item_1", NOON, session=alice, extract=extract) == []
    assert await manager.amemories() == []


@pytest.mark.parametrize("everything", [True, False])
async def test_what_a_model_finds_after_it_was_forgotten_is_not_kept(
    impatient: MemoryManager, alice: LiveSession, path: Path, everything: bool
) -> None:
    """It read the turn while the person already wanted it gone."""
    manager = impatient
    await start(manager, alice)
    await manager.astore("FACT", "pet", "a cat")
    reading, gate = asyncio.Event(), asyncio.Event()

    async def extract(_: str, *, before: Statement | None) -> list[Statement]:
        reading.set()
        await gate.wait()
        return [Statement(Category.FACT, "pet", "a cat called Tilda")]

    capturing = asyncio.create_task(manager.capture(CAT, "item_1", NOON, session=alice, extract=extract))
    await reading.wait()
    await (manager.aforget_everything() if everything else manager.aforget("FACT", "pet"))
    gate.set()
    assert await capturing == []
    assert await manager.flush(5) == 0
    assert rows(path, "memories") == []
    assert not manager._reading


async def test_forgetting_waits_for_what_a_model_is_about_to_find(
    manager: MemoryManager, alice: LiveSession, path: Path
) -> None:
    await start(manager, alice)
    reading, gate = asyncio.Event(), asyncio.Event()

    async def extract(_: str, *, before: Statement | None) -> list[Statement]:
        reading.set()
        await gate.wait()
        return [Statement(Category.FACT, "pet", "a cat called Tilda")]

    capturing = asyncio.create_task(manager.capture(CAT, "item_1", NOON, session=alice, extract=extract))
    await reading.wait()
    forgetting = asyncio.create_task(manager.aforget("FACT", "pet"))
    await asyncio.sleep(0)
    gate.set()
    assert await forgetting is True
    await capturing
    assert await manager.flush(5) == 0
    assert rows(path, "memories") == []
    assert manager.brief("cat") == ""


# -- how it is measured


async def test_each_call_of_the_store_is_measured(store: Moody) -> None:
    measured: list[tuple[str, bool]] = []
    manager = MemoryManager(
        lambda: store, 5, measure=lambda name, seconds, ok: measured.append((name, ok and seconds > 0))
    )
    set_session_user("alice@example.com")
    session = manager.open_session()
    await start(manager, session)
    manager.append_turn(session, turn())
    await manager.flush(5)
    store.down = True
    with pytest.raises(StoreError):
        await manager.astore("FACT", "a", "b")
    assert measured == [("start_session", True), ("append_turns", True), ("remember", False)]
    store.down = False
    await manager.aclose()


def _nobody() -> Any:
    """The context of code that nobody is bound in."""
    context = copy_context()
    context.run(identity_unbound)
    return context


def identity_unbound() -> None:
    import identity

    identity._in_context.set(None)
