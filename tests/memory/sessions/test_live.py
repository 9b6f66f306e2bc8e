"""Who has a session here: what is known of them, whose it is, and what changes while it is read."""

from __future__ import annotations

import asyncio
import threading
from uuid import UUID

import pytest

from memory.language.statements import statements_in
from memory.records import Memory
from memory.sessions.live import LiveMemories, OpenSession
from memory.sessions.person import Person
from tests.memory.stores.contract import ALICE, BOB, NOON, said, stated


def entered(live: LiveMemories, user: UUID) -> OpenSession:
    session = OpenSession(user, remembered=True)
    live.enter(session)
    return session


def past(live: LiveMemories, user: UUID = ALICE) -> list[str]:
    with live.person(user) as person:
        return [one.memory.value for one in person.past()]


def found(live: LiveMemories, query: str, limit: int = 8) -> list[Memory]:
    with live.person(ALICE) as person:
        return person.index.search(query, limit)


@pytest.fixture
def live() -> LiveMemories:
    return LiveMemories()


def opened(live: LiveMemories, user: UUID = ALICE, *memories: Memory) -> OpenSession:
    session = entered(live, user)
    live.loaded(session, Person(memories))
    return session


def values(live: LiveMemories, user: UUID = ALICE) -> list[str]:
    return [memory.value for memory in live.of(user)]


def test_nothing_is_known_of_who_has_no_session(live: LiveMemories) -> None:
    live.put(ALICE, said())
    live.tell(ALICE, "remembered", [said()])
    assert len(live.take(ALICE, statements_in("my name is Alice"), "turn-1", NOON, None)) == 1
    assert live.of(ALICE) == past(live) == found(live, "blue") == []
    assert not live.is_loaded(ALICE)
    assert not live.has_all(ALICE)
    assert live.sessions(ALICE) == []
    assert live._people == {}


@pytest.mark.parametrize("waiting", [True, False])
def test_what_the_store_has_not_is_gone_unless_something_waits_to_be_written(live: LiveMemories, waiting: bool) -> None:
    opened(live, ALICE, said())
    assert live.take_over(ALICE, [], live.changes(ALICE), waiting=waiting, all_of_them=True)
    assert bool(values(live)) is waiting


def test_each_person_has_their_own(live: LiveMemories) -> None:
    opened(live, ALICE, said("blue"))
    opened(live, BOB, said("red"))
    live.put(ALICE, said("green", later=60))
    assert (values(live, ALICE), values(live, BOB)) == (["green"], ["red"])
    assert (past(live), past(live, BOB)) == (["blue"], [])
    live.take_out_everything(ALICE)
    assert (values(live, ALICE), values(live, BOB)) == ([], ["red"])


def test_loading_sets_the_event_and_says_that_all_is_known(live: LiveMemories) -> None:
    session = entered(live, ALICE)
    assert not session.loaded.is_set()
    assert not live.is_loaded(ALICE)
    live.loaded(session, Person([said()]))
    assert session.loaded.is_set()
    assert live.is_loaded(ALICE)
    assert live.has_all(ALICE)


def test_what_happened_while_it_was_read_is_newer_than_what_was_read(live: LiveMemories) -> None:
    session = entered(live, ALICE)
    live.put(ALICE, said("green", later=60))
    live.put(ALICE, said("Tilda", "cat", later=61))
    live.take_out(ALICE, said("old", "dog"))
    live.loaded(session, Person([said("blue"), said("old", "dog")]))
    assert values(live) == ["green", "Tilda"]
    assert past(live) == ["blue"]


def test_what_happened_while_it_was_read_again_is_newer_too(live: LiveMemories) -> None:
    session = opened(live, ALICE, said("blue"))
    live.await_loading(session)
    live.put(ALICE, said("green", later=60))
    live.loaded(session, Person([said("blue")]))
    assert values(live) == ["green"]
    live.await_loading(session)
    live.take_out_everything(ALICE)
    live.loaded(session, Person([said("green", later=60)]))
    assert values(live) == []


def test_who_has_closed_gets_nothing_more(live: LiveMemories) -> None:
    session = entered(live, ALICE)
    live.leave(session)
    live.loaded(session, Person([said()]))
    assert not session.loaded.is_set()
    assert live._people == {}


def test_a_closed_session_does_not_load_for_another_that_is_open(live: LiveMemories) -> None:
    late = entered(live, ALICE)
    live.leave(late)
    opened(live, ALICE, said("green"))
    live.loaded(late, Person([said("blue")]))
    assert values(live) == ["green"]


def test_after_everything_was_forgotten_no_session_of_the_person_has_a_conversation(live: LiveMemories) -> None:
    sessions = [opened(live, ALICE, said("blue")), entered(live, ALICE), opened(live, BOB)]
    assert live.take_out_everything(ALICE) == [said("blue")]
    assert [session.forgotten_at is not None for session in sessions] == [True, True, False]
    assert values(live) == []


def test_a_person_of_many_memories_does_not_have_all_of_them_here(
    live: LiveMemories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Person, "complete", property(lambda _: False))
    opened(live, ALICE, said())
    assert live.is_loaded(ALICE)
    assert not live.has_all(ALICE)


async def test_threads_of_one_person_lose_nothing(live: LiveMemories) -> None:
    opened(live, ALICE)
    start = threading.Barrier(4)

    def write(thread: int) -> None:
        start.wait()
        for i in range(100):
            live.put(ALICE, stated(f"value {thread} {i}", 1000 * thread + i, source=f"turn-{thread}-{i}"))
            found(live, "value", 3)

    await asyncio.gather(*(asyncio.to_thread(write, thread) for thread in range(4)))
    assert len(live.of(ALICE)) == 400
    assert len(found(live, "value", 1000)) == 400
