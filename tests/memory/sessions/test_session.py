"""A session in a real store: found or begun, written as it happens, ended; and whose it is."""

from __future__ import annotations

import asyncio
import logging
from contextvars import copy_context
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import memory.sessions.session
from identity import set_session_user
from memory.language.statements import heard
from memory.manager import MemoryManager, MemoryOff
from memory.records import MAX_THREAD_CHARACTERS, MAX_TURN_CHARACTERS, Turn
from memory.sessions.session import SessionClosed, SessionMemory
from memory.stores.protocol import StoreError
from memory.stores.sqlite import SqliteStore
from tests.memory.sessions.moody import CAT, HASTY, Moody, rows, start, texts
from tests.memory.stores.contract import ALICE, BOB, NOON, turn

# -- it answers


async def test_a_session_starts_by_asking_the_store_once(
    manager: MemoryManager, store: Moody, alice: SessionMemory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stored = await start(alice)
    assert store.asked == 1
    assert (stored.resumed, stored.created, stored.profile.email) == (False, True, "alice@example.com")
    assert alice.stored == stored
    assert alice.conversation == stored.conversation
    assert alice.loaded.is_set()
    assert caplog.messages == [
        f"[PROFILE CREATE] Profile created for user: {ALICE}",
        f"[CONVERSATION] new for user: {ALICE}",
    ]


async def test_what_was_known_is_told_from_the_first_turn_on(manager: MemoryManager, alice: SessionMemory) -> None:
    await manager.astore("PREFERENCE", "favorite_color", "blue")
    await manager.astore("PREFERENCE", "favorite_color", "green")
    stored = await start(alice)
    assert [memory.value for memory in stored.memories] == ["green"]
    assert "green" in manager.brief("what is my favorite color")
    assert [past.memory.value for past in await manager.apast()] == ["blue"]


async def test_turns_are_written_as_they_happen_once_and_corrected(
    manager: MemoryManager, path: Path, alice: SessionMemory
) -> None:
    await start(alice)
    alice.append_turn(turn("hello", later=1))
    assert await manager.flush(5) == 0
    assert texts(path) == ["hello"]
    whole = Turn("item_2", "assistant", "Once upon a time there was", NOON + timedelta(seconds=2))
    alice.append_turn(whole)
    alice.append_turn(turn("hello", later=1))
    alice.append_turn(Turn("item_2", "assistant", "Once upon", whole.said_at, interrupted=True))
    assert await manager.flush(5) == 0
    assert texts(path) == ["hello", "Once upon"]
    assert [row["interrupted"] for row in rows(path, "messages")] == [0, 1]


async def test_a_turn_is_written_as_far_as_databases_take_it(
    manager: MemoryManager, path: Path, alice: SessionMemory
) -> None:
    await start(alice)
    alice.append_turn(turn("hel\0lo \ud800there ", name="item_1"))
    alice.append_turn(turn("x" * (MAX_TURN_CHARACTERS + 1), name="item_2", later=1))
    assert await manager.flush(5) == 0
    assert texts(path) == ["hello there", "x" * MAX_TURN_CHARACTERS]


async def test_the_second_job_of_the_same_person_goes_on_where_the_first_stopped(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path
) -> None:
    first = await start(alice)
    alice.append_turn(turn("hello"))
    assert await alice.end("left", 5) == 0
    alice.close()
    another_worker = MemoryManager(lambda: SqliteStore(path), deadline=5)
    session = another_worker.open_session()
    second = await start(session, job="job-2")
    assert (second.conversation, second.resumed, second.turns) == (first.conversation, True, [turn("hello")])
    assert second.id != first.id
    await another_worker.aclose()


async def test_a_new_conversation_knows_the_summary_of_the_last(manager: MemoryManager, alice: SessionMemory) -> None:
    await start(alice)
    alice.summarise("  They talked about cats. ")
    alice.summarise(" \0 ")
    assert await alice.end("left", 5) == 0
    second = await start(manager.open_session(), job="job-2", resume_within=timedelta(0))
    assert second.summary == "They talked about cats."


async def test_a_session_ends_with_its_reason(manager: MemoryManager, alice: SessionMemory, path: Path) -> None:
    await start(alice)
    assert await alice.end("idle", 5) == 0
    (row,) = rows(path, "sessions")
    assert (row["end_reason"], row["jobs"]) == ("idle", "[]")
    assert row["ended_at"]


async def test_a_session_can_be_ended_when_nobody_is_bound_any_more(
    manager: MemoryManager, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    alice.append_turn(turn("bye"))

    async def end() -> int:
        return await alice.end("left", 5)

    assert await asyncio.create_task(end(), context=_nobody()) == 0
    assert texts(path) == ["bye"]
    assert rows(path, "sessions")[0]["end_reason"] == "left"


async def test_a_memory_says_from_which_conversation_turn_and_words_it_comes(
    manager: MemoryManager, alice: SessionMemory
) -> None:
    stored = await start(alice)
    words = f"well hello there, {CAT} and she is lovely."
    alice.append_turn(turn(words, name="item_1"))
    kept = await alice.capture(Turn("item_1", "user", words, NOON))
    for memory_ in kept:
        assert (memory_.source, memory_.conversation) == ("item_1", stored.conversation)
        why = await manager.awhy(memory_.category, memory_.key)
        assert why
        assert (why.words, why.said_at, why.conversation) == (words, NOON, stored.conversation)
    assert kept


async def test_what_was_asked_for_says_its_conversation_too(manager: MemoryManager, alice: SessionMemory) -> None:
    stored = await start(alice)
    await manager.astore("FACT", "locker", "4711")
    why = await manager.awhy("fact", "locker")
    assert why
    assert (why.words, why.conversation) == ("4711", stored.conversation)
    assert await manager.awhy("FACT", "nothing") is None


async def test_each_of_two_sessions_of_a_person_writes_into_its_own_thread(
    manager: MemoryManager, store: Moody, alice: SessionMemory
) -> None:
    kitchen = await start(alice)
    hall = await start(second := manager.open_session(), thread="hall", job="job-2")
    for session, name in ((alice, "item_1"), (second, "item_2")):
        session.append_turn(turn(name, name=name))
    (one,) = await alice.capture(Turn("item_1", "user", "i love reading books", NOON))
    (two,) = await second.capture(Turn("item_2", "user", "i love playing chess", NOON))
    assert (one.conversation, two.conversation) == (kitchen.conversation, hall.conversation)
    assert await manager.flush(5) == 0
    document = await store.export(ALICE)
    written = {(row["conversation_id"], row["text"]) for row in document["turns"]}
    assert written == {(str(kitchen.conversation), "item_1"), (str(hall.conversation), "item_2")}


async def test_a_touched_session_is_alive(manager: MemoryManager, alice: SessionMemory) -> None:
    assert await alice.touch() is False, "it has not started"
    await start(alice)
    assert await alice.touch() is True


async def test_a_session_that_was_taken_for_dead_lives_again_with_the_next_turn(
    manager: MemoryManager, store: Moody, alice: SessionMemory, path: Path
) -> None:
    first = await start(alice)
    await store.end_abandoned(datetime.now(UTC) + timedelta(hours=1), "worker died")
    assert await alice.touch() is False
    assert len(rows(path, "sessions")) == 1, "somebody silent is not there for sure"
    alice.append_turn(turn("still here"))
    alice.append_turn(turn("are you?", later=1))
    assert await manager.flush(5) == 0
    assert len(rows(path, "sessions")) == 2
    assert alice.stored
    assert alice.stored.id != first.id
    assert alice.conversation == first.conversation
    assert texts(path) == ["still here", "are you?"]
    assert await alice.touch() is True


async def test_a_session_that_was_taken_for_dead_asks_for_no_more_than_its_conversation(
    store: Moody, alice: SessionMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(alice)
    await store.end_abandoned(datetime.now(UTC) + timedelta(hours=1), "worker died")
    for name in ("export", "memories", "past", "start_session"):
        monkeypatch.setattr(store, name, None)
    for _ in range(6):
        assert await alice.touch() is False
    assert alice.forgotten_at is None


async def test_why_something_is_known_asks_for_no_more_than_its_turn(
    manager: MemoryManager, store: Moody, alice: SessionMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    await start(alice)
    alice.append_turn(Turn("item_1", "user", f"well, {CAT}", NOON))
    (kept,) = await alice.capture(Turn("item_1", "user", f"well, {CAT}", NOON))
    monkeypatch.setattr(store, "export", None)
    why = await manager.awhy(kept.category, kept.key)
    assert why
    assert why.words == f"well, {CAT}"


async def test_what_was_said_over_several_turns_is_one_memory_with_all_its_words(
    manager: MemoryManager, alice: SessionMemory
) -> None:
    await start(alice)
    for said in (Turn("item_1", "user", "My cat is called.", NOON), Turn("item_2", "user", "Tilda.", NOON)):
        alice.append_turn(said)
        alice.hear(said)
    assert await manager.amemories() == [], "it is not whole"
    alice.settle()
    (kept,) = await manager.amemories()
    assert (kept.value, kept.source) == ("My cat is called Tilda.", "item_1")
    why = await manager.awhy(kept.category, kept.key)
    assert why and why.words == "My cat is called Tilda."


async def test_what_was_not_whole_is_kept_when_the_session_ends_and_before_anything_is_forgotten(
    manager: MemoryManager, alice: SessionMemory
) -> None:
    await start(alice)
    alice.hear(Turn("item_1", "user", CAT, NOON))
    await manager.aforget("FACT", "shoe_size")
    (kept,) = await manager.amemories()
    assert await manager.aforget(kept.category, kept.key)
    alice.hear(Turn("item_2", "user", "Our boat is green.", NOON))
    await alice.end("left", 5)
    assert [one.value for one in await manager.amemories()] == ["Our boat is green."]


async def test_only_the_event_loop_that_hears_them_settles_what_they_say(alice: SessionMemory) -> None:
    async def settle() -> None:
        alice.settle()

    await start(alice)
    alice.hear(Turn("item_1", "user", CAT, NOON))
    await asyncio.to_thread(asyncio.run, settle())
    assert alice.unsettled
    await settle()
    assert not alice.unsettled


async def test_what_was_not_whole_when_everything_was_forgotten_is_forgotten_too(
    manager: MemoryManager, alice: SessionMemory
) -> None:
    await start(alice)
    alice.hear(Turn("item_1", "user", CAT, NOON))
    await manager.aforget_everything()
    await alice.end("left", 5)
    assert await manager.amemories() == []


# -- what it was about


async def test_a_turn_is_read_once_and_summed_up_at_the_end_and_now_and_then(
    alice: SessionMemory, store: Moody, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        memory.sessions.session, "heard", lambda said, *before: read.append(said) or heard(said, *before)
    )
    written: list[str] = []
    summarise = store.summarise

    async def counted(user: UUID, conversation: UUID, summary: str) -> bool:
        written.append(summary)
        return await summarise(user, conversation, summary)

    monkeypatch.setattr(store, "summarise", counted)
    await start(alice)
    turns = [Turn(f"item_{i}", "user", f"i love the number {i}", NOON + timedelta(seconds=i)) for i in range(20)]
    for each in turns:
        alice.append_turn(each)
        await alice.capture(each)
        await alice.touch()
    assert await alice.end("left", 5) == 0
    assert read == [each.text for each in turns]
    assert len(written) == 2, "the first thing that was said, and all of it at the end"
    (row,) = rows(path, "conversations")
    assert row["summary"] == written[-1] == "; ".join(each.text for each in turns)


@pytest.mark.parametrize("timing", [replace(HASTY, summary=0.05)])
async def test_a_call_that_ends_without_a_word_leaves_a_summary_that_is_not_old(
    manager: MemoryManager, alice: SessionMemory, path: Path
) -> None:
    await start(alice)
    for i in range(2):
        alice.append_turn(Turn(f"item_{i}", "user", f"i love the number {i}", NOON))
        await alice.capture(Turn(f"item_{i}", "user", f"i love the number {i}", NOON))
    await asyncio.sleep(0.06)
    await alice.touch()
    await manager.flush(5)
    assert [row["summary"] for row in rows(path, "conversations")] == ["i love the number 0; i love the number 1"]


async def test_where_no_transcript_is_kept_there_is_no_summary_of_it(alice: SessionMemory, path: Path) -> None:
    await start(alice)
    await alice.capture(turn(CAT))
    assert await alice.end("left", 5) == 0
    assert [row["summary"] for row in rows(path, "conversations")] == [None]


# -- what it is begun with


@pytest.mark.parametrize("thread", ["", " \0 ", "x" * (MAX_THREAD_CHARACTERS + 1)])
async def test_a_thread_must_be_a_name(manager: MemoryManager, store: Moody, alice: SessionMemory, thread: str) -> None:
    with pytest.raises(ValueError, match="the thread"):
        await start(alice, thread=thread)
    assert store.asked == 0


# -- whose it is


async def test_a_session_is_its_users_whoever_is_bound_where_it_is_called(
    manager: MemoryManager, alice: SessionMemory, path: Path
) -> None:
    async def talk() -> None:
        await start(alice)
        alice.append_turn(turn(CAT, name="item_1"))
        await alice.capture(turn(CAT, name="item_1"))
        assert await alice.touch() is True
        assert "Tilda" in alice.brief("cat")
        assert await alice.end("left", 5) == 0

    set_session_user("bob@example.com")
    await talk()
    await asyncio.create_task(talk(), context=_nobody())
    for table in ("messages", "memories", "sessions"):
        assert {row["user_id"] for row in rows(path, table)} == {str(ALICE)}, table
    assert manager.brief("cat") == "", "the manager asks who is bound"


async def test_after_it_is_closed_nothing_is_written_or_read(alice: SessionMemory, path: Path) -> None:
    await start(alice)
    assert await alice.end("left", 5) == 0
    for _ in range(2):
        alice.close()
    for refused in (
        lambda: alice.append_turn(turn("too late")),
        lambda: alice.summarise("too late"),
        lambda: alice.brief("cat"),
    ):
        with pytest.raises(SessionClosed):
            refused()
    for refused in (
        alice.load,
        alice.touch,
        alice.follow_meaning,
        lambda: alice.capture(turn(CAT)),
        lambda: start(alice),
    ):
        with pytest.raises(SessionClosed):
            await refused()
    assert texts(path) == rows(path, "memories") == rows(path, "conversations")[1:] == []


async def test_an_anonymous_visitor_has_no_conversation(manager: MemoryManager, store: Moody) -> None:
    set_session_user("human_user")
    session = manager.open_session()
    with pytest.raises(MemoryOff):
        await start(session)
    session.append_turn(turn("hello"))
    session.summarise("nothing")
    assert await session.capture(Turn("item_1", "user", CAT, NOON)) == []
    assert await session.touch() is False
    assert await session.end("left", 5) == 0
    assert store.asked == 0


async def test_two_people_at_once_keep_their_words_apart(manager: MemoryManager, path: Path) -> None:
    async def talk(name: str) -> None:
        set_session_user(f"{name}@example.com")
        session = manager.open_session()
        await start(session, job=name)
        for i in range(20):
            session.append_turn(turn(f"{name} {i}", later=i))
            await session.capture(Turn(f"{name}-{i}", "user", f"i love {name} number {i}", NOON))
            await asyncio.sleep(0)
        assert await session.end("left", 10) == 0

    await asyncio.gather(*(asyncio.create_task(talk(name)) for name in ("alice", "bob")))
    for table, column, count in (("messages", "text", 20), ("memories", "value", 20)):
        found = rows(path, table)
        assert len(found) == 2 * count
        assert all(("alice" in row[column]) == (row["user_id"] == str(ALICE)) for row in found)
        assert {row["user_id"] for row in found} == {str(ALICE), str(BOB)}


# -- how it is measured


async def test_each_call_of_the_store_is_measured(store: Moody) -> None:
    measured: list[tuple[str, bool]] = []
    manager = MemoryManager(
        lambda: store, 5, measure=lambda name, seconds, ok: measured.append((name, ok and seconds > 0))
    )
    set_session_user("alice@example.com")
    session = manager.open_session()
    await start(session)
    session.append_turn(turn())
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


async def test_a_key_that_is_spelled_otherwise_in_a_session_is_the_one_that_is_known(
    manager: MemoryManager, alice: SessionMemory
) -> None:
    await start(alice)
    for value, key in enumerate(("favourite_colour", "favorite_color", "user_favorite_color")):
        await manager.astore("PREFERENCE", key, str(value))
    assert await manager.aretrieve_all("PREFERENCE") == {"favourite_colour": "2"}


async def test_a_role_play_lasts_as_long_as_its_session(manager: MemoryManager, alice: SessionMemory) -> None:
    await start(alice)

    async def say(session: SessionMemory, *words: str) -> None:
        for number, text in enumerate(words):
            name = f"{text} {number}"
            await session.capture(turn(text, name=name, later=number))

    await say(alice, "My name is Vera and I live in Oulu.", "In the role play, I'm Max.", "My name is Max.")
    other_device = manager.open_session()
    await other_device.load()
    await say(other_device, "I'm a nurse.")
    await say(alice, "I live in Berlin.")
    known = await manager.aretrieve_all("FACT")
    assert (known["name"], known["home_city"], known["job"]) == ("My name is Vera", "I live in Oulu.", "I'm a nurse.")
    assert await manager.apast() == []
    alice.close()
    again = manager.open_session()
    await again.load()
    await say(again, "I live in Turku.")
    assert (await manager.aretrieve("FACT", "home_city")) == "I live in Turku."
