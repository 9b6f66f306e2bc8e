"""Where memories meet the user of the running session.

Laid out by who is asking: a script, two people at once, an anonymous visitor, a session, a second session of the same
person, somebody whose store is slow, a reader of the log.
"""

# ruff: noqa: ASYNC240 - a test may wait for its own disk

from __future__ import annotations

import asyncio
import inspect
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import identity
import memory.recall.brief
from identity import NoSessionUser, set_session_user
from memory.manager import MemoryManager, MemoryOff, Provenance
from memory.records import MAX_KEY_CHARACTERS, MAX_VALUE_CHARACTERS, Category, CategoryError, Memory, Past
from memory.sessions.session import Action, LiveSession
from memory.stores.protocol import Store, StoreError
from memory.stores.sqlite import SqliteStore
from tests.memory.stores.contract import ALICE, BOB, NOON

TWINS = ["store", "retrieve", "retrieve_all", "forget", "recall", "memories", "past", "why", "forget_everything"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rapport.db"


@pytest.fixture
async def manager(path: Path) -> AsyncIterator[MemoryManager]:
    manager = MemoryManager(lambda: SqliteStore(path), deadline=5)
    yield manager
    await manager.aclose()


@asynccontextmanager
async def session(manager: MemoryManager, name: str | None = None) -> AsyncIterator[LiveSession]:
    if name:
        set_session_user(name)
    opened = manager.open_session()
    try:
        await manager.load(opened)
        yield opened
    finally:
        manager.close_session(opened)


def values(memories: list[Memory]) -> list[str]:
    return [memory.value for memory in memories]


# -- a script: the twins


@pytest.mark.parametrize("name", TWINS)
def test_every_method_has_an_awaitable_twin_that_is_called_alike(name: str) -> None:
    sync, awaitable = getattr(MemoryManager, name), getattr(MemoryManager, f"a{name}")
    assert inspect.signature(sync) == inspect.signature(awaitable)
    assert inspect.iscoroutinefunction(awaitable)
    assert not inspect.iscoroutinefunction(sync)


SCENARIO: list[tuple[str, tuple[Any, ...]]] = [
    ("retrieve", ("PREFERENCE", "favorite_color")),
    ("memories", ()),
    ("store", ("PREFERENCE", "favorite_color", "blue")),
    ("store", ("preference", "favorite_color", " green ")),
    ("store", ("FACT", "cat", "Tilda")),
    ("retrieve", ("Preference", "favorite_color")),
    ("retrieve", ("FACT", "dog")),
    ("retrieve_all", ("fact",)),
    ("retrieve_all", ("GOAL",)),
    ("recall", ("my favorite color",)),
    ("recall", ("photosynthesis",)),
    ("recall", ("favorite color cat", 1)),
    ("memories", ()),
    ("past", ()),
    ("why", ("FACT", "cat")),
    ("why", ("FACT", "dog")),
    ("forget", ("FACT", "cat")),
    ("forget", ("FACT", "cat")),
    ("store", ("HOBBY", "a", "b")),
    ("store", ("FACT", " ", "b")),
    ("store", ("FACT", "a", "")),
    ("retrieve", ("HOBBY", "a")),
    ("retrieve_all", ("HOBBY",)),
    ("forget", ("HOBBY", "a")),
    ("forget_everything", ()),
    ("forget_everything", ()),
    ("memories", ()),
]


def test_the_twins_agree_on_a_whole_scenario(path: Path) -> None:
    manager = MemoryManager(lambda: SqliteStore(path), deadline=5)

    def said_by(method: Callable[..., Any], arguments: tuple[Any, ...]) -> object:
        try:
            answer = method(*arguments)
            return _timeless(asyncio.run(_awaited(manager, answer)) if inspect.isawaitable(answer) else answer)
        except ValueError as error:
            return type(error), str(error)

    set_session_user("alice@example.com")
    sync = [said_by(getattr(manager, name), arguments) for name, arguments in SCENARIO]
    set_session_user("bob@example.com")
    awaited = [said_by(getattr(manager, f"a{name}"), arguments) for name, arguments in SCENARIO]
    assert sync == awaited
    assert sync[5] == "green"
    assert sync[13] == [(Category.PREFERENCE, "favorite_color", "blue")]
    assert sync[14:16] == ["Tilda", None]
    assert sync[-3:] == [1, 0, []]


async def _awaited(manager: MemoryManager, answer: Awaitable[object]) -> object:
    try:
        return await answer
    finally:
        await manager.aclose()


def _timeless(answer: object) -> object:
    if isinstance(answer, list):
        return [_timeless(one) for one in answer]
    if isinstance(answer, Provenance):
        return answer.words
    memory = answer.memory if isinstance(answer, Past) else answer
    return (memory.category, memory.key, memory.value) if isinstance(memory, Memory) else answer


@pytest.mark.parametrize("name", TWINS)
async def test_without_a_user_nothing_is_touched(manager: MemoryManager, path: Path, name: str) -> None:
    arguments = {"store": ("FACT", "a", "b"), "retrieve": ("FACT", "a"), "retrieve_all": ("FACT",)}
    arguments |= {"forget": ("FACT", "a"), "recall": ("a",), "why": ("FACT", "a")}
    with pytest.raises(NoSessionUser):
        getattr(manager, name)(*arguments.get(name, ()))
    with pytest.raises(NoSessionUser):
        await getattr(manager, f"a{name}")(*arguments.get(name, ()))
    assert not path.exists()


async def test_without_a_user_a_session_neither_opens_nor_writes(manager: MemoryManager, path: Path) -> None:
    with pytest.raises(NoSessionUser):
        manager.open_session()
    with pytest.raises(NoSessionUser):
        await manager.complete_first_login()
    with pytest.raises(NoSessionUser):
        await manager.capture("my name is Alice", "turn-1", NOON)
    with pytest.raises(NoSessionUser):
        manager.brief("anything")
    assert not path.exists()
    assert manager._live._people == {}


async def test_inside_a_running_loop_a_synchronous_call_works_and_says_that_it_blocks(
    manager: MemoryManager, caplog: pytest.LogCaptureFixture
) -> None:
    set_session_user("alice@example.com")
    manager.store("FACT", "cat", "Tilda")
    assert [r.levelname for r in caplog.records if "blocks the event loop" in r.getMessage()] == ["WARNING"]
    assert manager.retrieve("FACT", "cat") == "Tilda"
    assert await manager.aretrieve("FACT", "cat") == "Tilda"


def test_outside_a_loop_a_synchronous_call_does_not_complain(
    manager_of_a_script: MemoryManager, caplog: pytest.LogCaptureFixture
) -> None:
    set_session_user("alice@example.com")
    manager_of_a_script.store("FACT", "cat", "Tilda")
    assert manager_of_a_script.retrieve("FACT", "cat") == "Tilda"
    assert "blocks" not in caplog.text


@pytest.fixture
def manager_of_a_script(path: Path) -> MemoryManager:
    return MemoryManager(lambda: SqliteStore(path), deadline=5)


async def test_an_awaited_call_does_not_complain(manager: MemoryManager, caplog: pytest.LogCaptureFixture) -> None:
    set_session_user("alice@example.com")
    await manager.astore("FACT", "cat", "Tilda")
    assert "blocks" not in caplog.text


async def test_each_loop_gets_a_store_of_its_own(path: Path) -> None:
    """Async clients cannot be shared between loops."""
    loops: list[asyncio.AbstractEventLoop] = []

    def open_store() -> Store:
        loops.append(asyncio.get_running_loop())
        return SqliteStore(path)

    manager = MemoryManager(open_store, deadline=5)
    set_session_user("alice@example.com")
    for _ in range(3):
        await manager.astore("FACT", "a", "b")
        manager.store("FACT", "a", "b")
    assert len(loops) == len(set(loops)) == 2
    await manager.aclose()
    await manager.astore("FACT", "a", "b")
    assert len(loops) == 3
    await manager.aclose()


# -- what may be stored


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  blue \n", "blue"),
        ("bl\0ue", "blue"),
        ("\0 blue \0", "blue"),
        ("bl\ud800ue\udfff", "blue"),
        ("👩‍🚀 ü", "👩‍🚀 ü"),
        ("two\nlines", "two\nlines"),
        ("ü" * MAX_VALUE_CHARACTERS, "ü" * MAX_VALUE_CHARACTERS),
    ],
)
async def test_a_value_is_kept_without_what_no_database_takes(manager: MemoryManager, given: str, kept: str) -> None:
    set_session_user("alice@example.com")
    assert (await manager.astore("FACT", "key", given)).value == kept
    assert await manager.aretrieve("FACT", "key") == kept


@pytest.mark.parametrize("empty", ["", " ", "\0", "\ud800", " \0\n\t\udfff "])
@pytest.mark.parametrize("which", ["key", "value"])
async def test_what_is_empty_is_refused(manager: MemoryManager, path: Path, which: str, empty: str) -> None:
    set_session_user("alice@example.com")
    with pytest.raises(ValueError, match=f"the {which} is empty"):
        await manager.astore("FACT", *((empty, "value") if which == "key" else ("key", empty)))
    assert not path.exists()


@pytest.mark.parametrize(("which", "longest"), [("key", MAX_KEY_CHARACTERS), ("value", MAX_VALUE_CHARACTERS)])
async def test_what_is_too_long_is_refused_with_both_numbers(manager: MemoryManager, which: str, longest: int) -> None:
    set_session_user("alice@example.com")
    long = "x" * (longest + 1)
    with pytest.raises(ValueError, match=f"the {which} has {longest + 1} characters, at most {longest}") as refused:
        await manager.astore("FACT", *((long, "value") if which == "key" else ("key", long)))
    assert "xxx" not in str(refused.value)
    await manager.astore("FACT", *((long[1:], "value") if which == "key" else ("key", long[1:])))


async def test_an_unknown_category_is_refused_before_anything_is_opened(manager: MemoryManager, path: Path) -> None:
    set_session_user("alice@example.com")
    with pytest.raises(CategoryError, match="PREFERENCE"):
        await manager.astore("HOBBY", "key", "value")
    assert not path.exists()


@pytest.mark.parametrize("key", [" favorite_color ", "favorite\0_color", "favorite_color\ud800"], ids=ascii)
async def test_what_was_stored_under_a_key_is_found_and_forgotten_under_the_same_key(
    manager: MemoryManager, key: str
) -> None:
    set_session_user("alice@example.com")
    await manager.astore("PREFERENCE", key, "blue")
    assert await manager.aretrieve("PREFERENCE", key) == "blue"
    assert await manager.aforget("PREFERENCE", key) is True


async def test_values_of_a_category_come_oldest_first(manager: MemoryManager) -> None:
    set_session_user("alice@example.com")
    for key in ("c", "a", "b"):
        await manager.astore("FACT", key, key.upper())
    await manager.astore("GOAL", "d", "D")
    assert list((await manager.aretrieve_all("FACT")).items()) == [("c", "C"), ("a", "A"), ("b", "B")]
    assert await manager.aretrieve_all() == {"c": "C", "a": "A", "b": "B", "d": "D"}


@pytest.mark.parametrize("opened", [True, False])
async def test_recall_is_limited_to_the_best(manager: MemoryManager, opened: bool) -> None:
    set_session_user("alice@example.com")
    if opened:
        await manager.load(manager.open_session())
    for i in range(12):
        await manager.astore("FACT", f"dog{i}", "my dog barks")
    await manager.astore("FACT", "best", "my dog Rex barks")
    found = await manager.arecall("does my dog Rex bark")
    assert len(found) == 8
    assert found[0].key == "best"
    assert await manager.arecall("does my dog Rex bark", 2) == found[:2]


# -- two people at once


async def test_two_tasks_of_two_people_never_mix(manager: MemoryManager) -> None:
    async def person(name: str) -> int:
        set_session_user(name)
        foreign = 0
        async with session(manager):
            for i in range(200):
                await manager.astore("FACT", f"key{i % 10}", f"{name} {i}")
                await asyncio.sleep(0)
                seen = values(await manager.amemories())
                seen += [
                    await manager.aretrieve("FACT", f"key{i % 10}") or "lost",
                    *values(await manager.arecall(name)),
                ]
                foreign += sum(not value.startswith(name) for value in seen)
                foreign += ("alice" in manager.brief(name)) == (name == "bob")
        return foreign

    assert await asyncio.gather(person("alice"), person("bob")) == [0, 0]


def test_threads_of_two_people_never_mix(manager_of_a_script: MemoryManager) -> None:
    manager = manager_of_a_script

    def person(name: str) -> list[str]:
        set_session_user(name)
        seen: list[str] = []
        for i in range(25):
            manager.store("FACT", f"key{i % 5}", f"{name} {i}")
            seen += values(manager.memories())
        return [value for value in seen if not value.startswith(name)]

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(Context().run, person, name) for name in ("alice", "bob", "carol", "dave")]
        assert [call.result(timeout=30) for call in calls] == [[], [], [], []]


async def test_the_user_is_whoever_called_even_if_another_is_bound_before_it_is_done(path: Path) -> None:
    gate = asyncio.Event()

    class Late(SqliteStore):
        async def remember(self, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
            await gate.wait()
            return await super().remember(user, memories)

    manager = MemoryManager(lambda: Late(path), deadline=5)
    context = copy_context()
    context.run(set_session_user, "alice@example.com")
    writing = asyncio.create_task(manager.astore("FACT", "name", "Alice"), context=context)
    await asyncio.sleep(0.01)
    context.run(set_session_user, "bob@example.com")
    gate.set()
    await writing
    store = SqliteStore(path)
    assert (values(await store.memories(ALICE)), values(await store.memories(BOB))) == (["Alice"], [])
    await store.aclose()
    await manager.aclose()


async def test_nobody_reads_or_deletes_what_another_person_stored(manager: MemoryManager) -> None:
    set_session_user("alice@example.com")
    await manager.astore("FACT", "name", "Alice")
    set_session_user("bob@example.com")
    assert await manager.aretrieve("FACT", "name") is None
    assert await manager.aretrieve_all("FACT") == {}
    assert await manager.amemories() == []
    assert await manager.arecall("name Alice") == []
    assert await manager.aforget("FACT", "name") is False
    assert await manager.aforget_everything() == 0
    set_session_user("alice@example.com")
    assert await manager.aretrieve("FACT", "name") == "Alice"


# -- an anonymous visitor


async def test_an_anonymous_visitor_writes_nothing_and_finds_nothing(manager: MemoryManager, path: Path) -> None:
    set_session_user("human_user")
    async with session(manager):
        for write in (
            manager.astore("FACT", "a", "b"),
            manager.aforget("FACT", "a"),
            manager.aforget_everything(),
        ):
            with pytest.raises(MemoryOff, match="ANONYMOUS_IDENTITIES"):
                await write
        for sync in (
            lambda: manager.store("FACT", "a", "b"),
            lambda: manager.forget("FACT", "a"),
            manager.forget_everything,
        ):
            with pytest.raises(MemoryOff):
                sync()
        assert await manager.capture("my name is Alice", "turn-1", NOON) == []
        assert await manager.aretrieve("FACT", "a") is None
        assert await manager.awhy("FACT", "a") is None
        assert await manager.apast() == []
        assert await manager.aretrieve_all("FACT") == {}
        assert await manager.amemories() == await manager.arecall("name") == []
        assert manager.brief("what is my name") == ""
    assert _rows(path, "memories") == _rows(path, "profiles") == []


async def test_an_anonymous_visitor_does_not_find_what_was_once_stored_under_that_name(
    manager: MemoryManager, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANONYMOUS_IDENTITIES", "none")
    identity._settings.cache_clear()
    set_session_user("human_user")
    await manager.astore("FACT", "name", "Alice")
    monkeypatch.delenv("ANONYMOUS_IDENTITIES")
    identity._settings.cache_clear()
    set_session_user("human_user")
    async with session(manager):
        assert await manager.aretrieve("FACT", "name") is None
        assert await manager.aretrieve_all("FACT") == {}
        assert await manager.amemories() == await manager.arecall("name") == []
        assert manager.brief("name") == ""
    assert len(_rows(path, "memories")) == 1, "and it is not deleted either"


# -- the session's side


async def test_a_profile_is_made_once_and_announced_once(
    manager: MemoryManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    profiles = [await manager.ensure_profile(ALICE, "alice@example.com") for _ in range(3)]
    assert profiles[0] == profiles[1] == profiles[2]
    assert profiles[0].email == "alice@example.com"
    announced = [message for message in caplog.messages if "PROFILE" in message]
    assert announced == [f"[PROFILE CREATE] Profile created for user: {ALICE}"]


async def test_the_first_greeting_is_taken_once_per_person(manager: MemoryManager) -> None:
    await manager.ensure_profile(ALICE)
    await manager.ensure_profile(BOB)
    set_session_user("alice@example.com")
    assert [await manager.complete_first_login() for _ in range(2)] == [True, False]
    set_session_user("bob@example.com")
    assert await manager.complete_first_login() is True


async def test_what_is_remembered_is_told_for_the_turn(manager: MemoryManager) -> None:
    set_session_user("alice@example.com")
    await manager.astore("PREFERENCE", "favorite_color", "blue")
    async with session(manager):
        assert "favorite_color: blue" in manager.brief("what is my favorite color")
    assert manager.brief("what is my favorite color") == "", "after the session there is nothing in process"


async def test_turns_that_the_model_sees_anyway_are_not_told_again(manager: MemoryManager) -> None:
    set_session_user("alice@example.com")
    async with session(manager):
        await manager.capture("my cat is called Tilda", "turn-1", NOON)
        await manager.capture("my dog is called Rex", "turn-2", NOON)
        assert "Tilda" in manager.brief("cat")
        told = manager.brief("cat dog", already_said={"turn-1", "turn-9"})
        assert "Tilda" not in told
        assert "Rex" in told
        assert manager.brief("cat dog", already_said=["turn-1", "turn-2"]) == ""


async def test_what_was_looked_through_costs_no_turn_anything(
    manager: MemoryManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_session_user("alice@example.com")
    for number in range(100):
        await manager.astore("FACT", f"pet_{number}", f"a cat called Tilda the {number}th")
    judged: list[str] = []
    monkeypatch.setattr(memory.recall.brief, "is_instruction_like", lambda text: bool(judged.append(text)))
    async with session(manager) as live:
        await manager.look_through(live)
        assert len({text for text in judged if text.startswith("pet_")}) == 100
        judged.clear()
        for number in range(100):
            assert f"Tilda the {number}th" in manager.brief(f"who is Tilda the {number}th")
        assert judged == []


async def test_what_is_forgotten_while_it_is_looked_through_leaves_nothing(manager: MemoryManager) -> None:
    set_session_user("alice@example.com")
    for number in range(20):
        await manager.astore("FACT", "pet_0" if number == 0 else f"fact_{number}", f"old {number}")
    async with session(manager) as live:
        looking = asyncio.create_task(manager.look_through(live))
        await asyncio.sleep(0)
        await manager.aforget("FACT", "pet_0")
        await looking
        assert "old 0" not in manager.brief("what is old 0")
        await manager.astore("FACT", "pet_0", "new 0")
        assert "pet_0: new 0" in manager.brief("what is my pet 0")


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
    set_session_user("alice@example.com")
    kept = await manager.capture("well, i love reading books", "turn-1", NOON)
    key = f"user_input_{int(NOON.timestamp() * 1000)}"
    assert kept == [Memory(Category.INTEREST, key, "i love reading books", NOON, "turn-1")]
    assert await manager.capture("well, i love reading books", "turn-1", NOON) == []
    assert await manager.capture("i love playing chess", "turn-1", NOON + timedelta(seconds=9)) == []
    assert await manager.amemories() == kept


async def test_two_turns_of_one_millisecond_are_both_kept(manager: MemoryManager) -> None:
    set_session_user("alice@example.com")
    async with session(manager):
        await manager.capture("i love reading books", "turn-1", NOON)
        await manager.capture("i love playing chess", "turn-2", NOON)
        assert values(await manager.amemories()) == ["i love reading books", "i love playing chess"]
        await manager.flush(5)
    assert values(await manager.amemories()) == ["i love reading books", "i love playing chess"]


@pytest.mark.parametrize("turn", ["What's my favorite color?", "do i have a dog", "forget my address", "hello", ""])
async def test_a_question_or_command_keeps_nothing_and_opens_nothing(
    manager: MemoryManager, path: Path, turn: str
) -> None:
    set_session_user("alice@example.com")
    assert await manager.capture(turn, "turn-1", NOON) == []
    assert not path.exists()


@pytest.mark.parametrize("turn", ["my name is \0Alice", "my name is \ud800Alice", "my name is Alice\udfff"], ids=ascii)
async def test_a_captured_turn_is_kept_without_what_no_database_takes(manager: MemoryManager, turn: str) -> None:
    set_session_user("alice@example.com")
    assert values(await manager.capture(turn, "turn-1", NOON)) == ["my name is Alice"]


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
    async with session(manager, "alice@example.com"):
        await opened.wait()
        await manager.capture("my cat is called Tilda", "turn-1", NOON)
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
    async with session(manager, "alice@example.com"):
        await manager.astore("PREFERENCE", "favorite_color", "blue")
        await manager.capture("my cat is called Tilda", "turn-1", NOON)
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
    await manager.load(first)
    manager.close_session(first)
    manager.close_session(others[0])
    assert "Tilda" in manager.brief("cat")
    manager.close_session(others[1])
    assert manager.brief("cat") == ""
    assert manager._live._people == {}
    manager.close_session(first)
    assert manager._live._people == {}


async def test_after_200_sessions_nothing_has_piled_up(manager: MemoryManager) -> None:
    async def one(i: int) -> None:
        async with session(manager, f"person-{i % 20}") as opened:
            opened.observers.append(lambda *_: None)
            await manager.capture("my cat is called Tilda", f"turn-{i}", NOON)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(i) for i in range(200)))
    assert manager._live._people == {}
    assert len(manager._clients) == 1
    await manager.flush(5)
    assert manager.depth() == 0


async def test_a_session_whose_loading_failed_can_be_closed_and_leaves_nothing(path: Path) -> None:
    manager = MemoryManager(lambda: SqliteStore(path / "missing"), deadline=5)
    path.touch()
    set_session_user("alice@example.com")
    opened = manager.open_session()
    with pytest.raises(StoreError):
        await manager.load(opened)
    assert manager.brief("anything") == ""
    manager.close_session(opened)
    assert manager._live._people == {}


async def test_what_is_said_while_memories_load_is_not_lost(path: Path) -> None:
    gate, manager = _manager_that_loads_late(path)
    async with _loading(manager, gate) as opened:
        await manager.astore("PREFERENCE", "favorite_color", "green")
        await manager.capture("my cat is called Tilda", "turn-1", NOON)
        gate.set()
    await manager.flush(5)
    assert "green" in manager.brief("")
    assert "blue" not in manager.brief("")
    assert "Tilda" in manager.brief("")
    manager.close_session(opened)
    await manager.aclose()


@pytest.mark.parametrize("everything", [True, False])
async def test_what_is_forgotten_while_memories_load_does_not_come_back(path: Path, everything: bool) -> None:
    gate, manager = _manager_that_loads_late(path)
    async with _loading(manager, gate) as opened:
        await (manager.aforget_everything() if everything else manager.aforget("PREFERENCE", "favorite_color"))
        gate.set()
    assert manager.brief("favorite color") == ""
    assert await manager.amemories() == []
    manager.close_session(opened)
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
        manager.close_session(opened)
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
async def _loading(manager: MemoryManager, gate: asyncio.Event) -> AsyncIterator[LiveSession]:
    """Alice likes blue, and her session is in the middle of loading that; at the end it has loaded."""
    set_session_user("alice@example.com")
    await manager.astore("PREFERENCE", "favorite_color", "blue")
    opened = manager.open_session()
    loading = asyncio.create_task(manager.load(opened))
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
        (kept,) = await manager.capture("my cat is called Tilda", "turn-1", NOON)
        await manager.capture("my cat is called Tilda", "turn-1", NOON)
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


# -- somebody whose store is slow


class Stuck:
    """A store that does not answer."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[None]]:
        async def hang(*_: object) -> None:
            await asyncio.sleep(60)

        return hang


HANGING: dict[str, Callable[[MemoryManager], Awaitable[object]]] = {
    "astore": lambda manager: manager.astore("FACT", "a", "b"),
    "aretrieve": lambda manager: manager.aretrieve("FACT", "a"),
    "aretrieve_all": lambda manager: manager.aretrieve_all("FACT"),
    "aforget": lambda manager: manager.aforget("FACT", "a"),
    "arecall": lambda manager: manager.arecall("a"),
    "amemories": lambda manager: manager.amemories(),
    "aforget_everything": lambda manager: manager.aforget_everything(),
    "ensure_profile": lambda manager: manager.ensure_profile(ALICE),
    "complete_first_login": lambda manager: manager.complete_first_login(),
    "load": lambda manager: manager.load(manager.open_session()),
    "capture": lambda manager: manager.capture("my name is Alice", "turn-1", NOON),
    "store": lambda manager: asyncio.to_thread(manager.store, "FACT", "a", "b"),
}


@pytest.mark.parametrize("call", HANGING.values(), ids=HANGING)
async def test_nobody_waits_longer_than_the_deadline(call: Callable[[MemoryManager], Awaitable[object]]) -> None:
    manager = MemoryManager(Stuck, deadline=0.05)  # type: ignore[arg-type]
    set_session_user("alice@example.com")
    with pytest.raises(StoreError, match=r"did not answer within 0\.05 s"):
        async with asyncio.timeout(10):
            await call(manager)


async def test_a_caller_who_is_cancelled_is_cancelled(path: Path) -> None:
    manager = MemoryManager(Stuck, deadline=30)  # type: ignore[arg-type]
    set_session_user("alice@example.com")
    call = asyncio.create_task(manager.amemories())
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_what_could_not_be_stored_is_not_told_as_if_it_were() -> None:
    manager = MemoryManager(Stuck, deadline=0.05)  # type: ignore[arg-type]
    set_session_user("alice@example.com")
    heard: list[Action] = []
    opened = manager.open_session()
    opened.observers.append(lambda action, _: heard.append(action))
    with pytest.raises(StoreError):
        await manager.load(opened)
    with pytest.raises(StoreError):
        await manager.astore("FACT", "cat", "Tilda")
    assert manager.brief("cat") == ""
    assert heard == []


# -- a reader of the log

SPOKEN = ["zanzibar", "quokka", "4711", "lighthouse", "marmalade"]


async def test_a_captured_turn_is_logged_by_kind_and_key(
    manager: MemoryManager, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    set_session_user("alice@example.com")
    await manager.capture("i love reading books", "turn-1", datetime(2026, 11, 21, 12, 0, 0, 123000, tzinfo=UTC))
    assert caplog.messages == [
        "[MEMORY CATEGORIZATION] user_input_1795262400123 -> INTEREST",
        f"[MEMORY STORED] INTEREST user_input_1795262400123 for user: {ALICE}",
    ]


async def test_no_log_line_holds_what_was_said(
    manager: MemoryManager, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "asyncio")
    await manager.ensure_profile(ALICE, "marmalade@example.com")
    async with session(manager, "alice@example.com") as opened:
        opened.observers.append(lambda *_: None)
        await manager.capture("i live in zanzibar", "turn-1", NOON)
        await manager.capture("i live in zanzibar", "turn-1", NOON)
        await manager.capture("where is zanzibar?", "turn-2", NOON)
        await manager.flush(5)
        await manager.astore("FACT", "locker", "4711")
        await manager.astore("FACT", "pet", "quokka")
        manager.store("FACT", "home", "lighthouse")
        await manager.aretrieve("FACT", "locker")
        await manager.arecall("quokka lighthouse")
        manager.brief("who keeps marmalade in the lighthouse")
        with pytest.raises(ValueError, match="characters"):
            await manager.astore("FACT", "pet", "quokka" * 4000)
        await manager.aforget("FACT", "pet")
        await manager.complete_first_login()
        await manager.aforget_everything()
    assert len(caplog.messages) >= 8
    assert [m for m in caplog.messages if any(word in m.lower() for word in SPOKEN)] == []


@pytest.mark.parametrize("key", ["cat\n[MEMORY STORED] forged", "cat\r\u2028forged", "cat\x1b[2Jforged"], ids=ascii)
async def test_a_key_cannot_forge_a_log_line(
    manager: MemoryManager, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    caplog.set_level(logging.INFO)
    set_session_user("alice@example.com")
    await manager.astore("FACT", key, "Tilda")
    await manager.aforget("FACT", key)
    assert all(message.isprintable() for message in caplog.messages)


def _rows(path: Path, table: str) -> list[Any]:
    """Everything that is in the file, of anybody."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"select * from {table}").fetchall()  # noqa: S608
