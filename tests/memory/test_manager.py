"""Where memories meet the user of the running session.

Laid out by who is asking: a script, two people at once, an anonymous visitor, a session, a second session of the same
person, somebody whose store is slow, a reader of the log.
"""

# ruff: noqa: ASYNC240 - a test may wait for its own disk

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import Context, copy_context
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import identity
from identity import NoSessionUser, set_session_user
from memory.manager import MemoryManager, MemoryOff, Provenance
from memory.records import MAX_KEY_CHARACTERS, MAX_VALUE_CHARACTERS, Category, CategoryError, Memory, Past, Turn
from memory.sessions.live import Action
from memory.stores.protocol import Store, StoreError
from memory.stores.sqlite import SqliteStore
from tests.memory.sessions.moody import session, values
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


SPELLINGS = ["favorite_color", "favourite_colour", "user_favorite_color"]


@pytest.mark.parametrize("first", SPELLINGS)
def test_a_script_that_spells_a_key_otherwise_means_the_same(manager_of_a_script: MemoryManager, first: str) -> None:
    manager = manager_of_a_script
    set_session_user("alice@example.com")
    for color, key in enumerate([first, *SPELLINGS]):
        manager.store("PREFERENCE", key, str(color))
    assert manager.retrieve_all() == {first: "3"}
    assert len(manager.past()) == 3
    assert manager.retrieve("PREFERENCE", "colors_favorite") == "3"
    assert manager.retrieve("FACT", "favorite_color") is None
    assert manager.forget("PREFERENCE", "my favorite color")
    assert manager.memories() == []


def test_of_two_keys_that_are_there_each_stays_itself(manager_of_a_script: MemoryManager, path: Path) -> None:
    """As earlier versions have kept them."""
    manager, user = manager_of_a_script, set_session_user("alice@example.com")
    older = [Memory(Category.FACT, key, key, NOON) for key in ("user_name", "name")]

    async def keep() -> None:
        store = SqliteStore(path)
        await store.remember(user, older)
        await store.aclose()

    asyncio.run(keep())
    manager.store("FACT", "user_name", "Ann")
    assert manager.retrieve_all() == {"name": "name", "user_name": "Ann"}
    assert manager.retrieve("FACT", "name") == "name"
    assert manager.forget("FACT", "name")
    assert manager.retrieve_all() == {"user_name": "Ann"}


def test_a_key_in_another_order_replaces_nothing(manager_of_a_script: MemoryManager) -> None:
    """Whoever writes a program may mean two things by `pet` and `pets`."""
    set_session_user("alice@example.com")
    manager_of_a_script.store("FACT", "pet", "Rex")
    manager_of_a_script.store("FACT", "pets", "two")
    assert manager_of_a_script.retrieve_all() == {"pet": "Rex", "pets": "two"}


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


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_script_that_runs_a_hundred_loops_leaves_none_of_them_open(manager_of_a_script: MemoryManager) -> None:
    """With what a loop had closed at its end, whether it asked, had a session, or failed."""
    manager = manager_of_a_script
    set_session_user("alice@example.com")

    async def talk(text: str) -> None:
        opened = manager.open_session()
        await opened.load()
        await opened.capture(Turn(text, "user", "my cat is called Tilda", NOON))
        opened.close()
        raise ValueError(text)

    asyncio.run(manager.astore("FACT", "key", "first"))
    before = open_files()
    for i in range(100):
        asyncio.run(manager.astore("FACT", "key", str(i)))
        if i % 10 == 0:
            with pytest.raises(ValueError, match=str(i)):
                asyncio.run(talk(str(i)))
    assert manager._loops._by_loop == {}
    assert open_files() <= before


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
        await manager.open_session().load()
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
    async with session(manager) as opened:
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
        assert await opened.capture(Turn("turn-1", "user", "my name is Alice", NOON)) == []
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


# -- whoever starts sessions


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
    "load": lambda manager: manager.open_session().load(),
    "store": lambda manager: asyncio.to_thread(manager.store, "FACT", "a", "b"),
}


@pytest.mark.parametrize("call", HANGING.values(), ids=HANGING)
async def test_nobody_waits_longer_than_the_deadline(call: Callable[[MemoryManager], Awaitable[object]]) -> None:
    manager = MemoryManager(Stuck, deadline=0.05)  # type: ignore[arg-type]
    set_session_user("alice@example.com")
    with pytest.raises(StoreError, match=r"did not answer within 0\.05 s"):
        async with asyncio.timeout(10):
            await call(manager)
    if manager._background:  # left open, it would be closed when it is collected: in the middle of another test
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(manager.aclose(), manager._background))


async def test_a_caller_who_is_cancelled_is_cancelled(path: Path) -> None:
    manager = MemoryManager(Stuck, deadline=1)  # type: ignore[arg-type]
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
        await opened.load()
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
    async with session(manager, "alice@example.com") as opened:
        moment = datetime(2026, 11, 21, 12, 0, 0, 123000, tzinfo=UTC)
        await opened.capture(Turn("turn-1", "user", "i love reading books", moment))
        await manager.flush(5)
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
        await opened.capture(Turn("turn-1", "user", "i live in zanzibar", NOON))
        await opened.capture(Turn("turn-1", "user", "i live in zanzibar", NOON))
        await opened.capture(Turn("turn-2", "user", "where is zanzibar?", NOON))
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
