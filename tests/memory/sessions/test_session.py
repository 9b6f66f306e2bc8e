"""What is known of a person in process: what a turn adds to it, what it replaces, and whose it is."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from memory.language.statements import Statement, statements_in
from memory.records import Category, Memory, Past
from memory.sessions.person import Known
from memory.sessions.session import LiveMemories, LiveSession
from tests.memory.stores.contract import ALICE, BOB, NOON, said, stated

FACT, PREFERENCE, INTEREST = Category.FACT, Category.PREFERENCE, Category.INTEREST
BOOKS = "i love reading books"
KEY = f"user_input_{int(NOON.timestamp() * 1000)}"


def news(
    known: Known, turn: str, source: str = "turn-1", later: float = 0, conversation: UUID | None = None
) -> list[str]:
    """What of a turn was news, as "key: value"; it is known from then on."""
    found = known.news(statements_in(turn), source, NOON + timedelta(seconds=later), conversation)
    for memory in found:
        known.put(memory)
    return [f"{memory.key}: {memory.value}" for memory in found]


def held(known: Known) -> dict[str, str]:
    return {memory.key: memory.value for memory in known.index.memories()}


# -- what of a turn is news


def test_a_statement_is_kept_verbatim_with_turn_moment_and_conversation() -> None:
    conversation = uuid4()
    found = Known().news(statements_in(f"well, {BOOKS}"), "turn-1", NOON, conversation)
    assert found == [Memory(INTEREST, KEY, BOOKS, NOON, "turn-1", conversation)]


def test_a_named_fact_replaces_the_one_before_which_becomes_past() -> None:
    known = Known()
    assert news(known, "my favorite color is blue") == ["favorite_color: my favorite color is blue"]
    assert news(known, "actually my favorite color is green", "turn-2", later=60)
    assert list(held(known)) == ["favorite_color"]
    assert "green" in held(known)["favorite_color"]
    (past,) = known.past()
    assert "blue" in past.memory.value
    assert past.until == NOON + timedelta(seconds=60)


def test_a_turn_that_comes_again_states_nothing_new() -> None:
    known = Known()
    assert news(known, "my favorite color is blue", "turn-1")
    assert news(known, "my favorite color is green", "turn-2", later=60)
    assert news(known, "my favorite color is blue", "turn-1") == []
    assert "green" in held(known)["favorite_color"]


def test_a_turn_that_was_stored_before_states_nothing_new() -> None:
    current, past = said("green", later=60, source="turn-2"), Past(said("blue", source="turn-1"), NOON)
    for source in ("turn-1", "turn-2"):
        assert news(Known([current], [past]), "my favorite food is pizza", source, later=120) == []
    assert news(Known([current], [past]), "my favorite food is pizza", "turn-3", later=120)


def test_one_turn_may_state_several_things() -> None:
    known = Known()
    found = news(known, "my name is Alice. my favorite color is blue. i live in Rome. i love reading books.")
    assert {line.partition(":")[0] for line in found} == {"name", "favorite_color", "home_city", KEY}
    assert news(known, "my name is Alice. my favorite color is blue.", "turn-1") == []


def test_two_unnamed_statements_of_one_category_in_one_turn_have_two_keys() -> None:
    statements = [Statement(INTEREST, None, "i love books"), Statement(INTEREST, None, "i love chess")]
    found = Known().news(statements, "turn-1", NOON, None)
    assert len({memory.key for memory in found}) == 2
    assert all(memory.key.startswith("user_input_") for memory in found)


def test_a_taken_number_gives_way() -> None:
    known = Known([said("something else", KEY, INTEREST)])
    (line,) = news(known, BOOKS)
    assert line == f"user_input_{int(KEY.rpartition('_')[2]) + 1}: {BOOKS}"


@pytest.mark.parametrize(
    "again", [BOOKS, "I love reading books!", "well, I really love reading books", "I  LOVE reading books."]
)
def test_what_was_said_before_in_nearly_these_words_is_not_news(again: str) -> None:
    known = Known()
    assert news(known, BOOKS)
    assert news(known, again, "turn-2", later=60) == []
    assert len(held(known)) == 1


@pytest.mark.parametrize("other", ["i love reading poems", "i love writing books", "i love reading books and poems"])
def test_what_was_said_in_other_words_is_news(other: str) -> None:
    known = Known()
    assert news(known, BOOKS)
    assert len(news(known, other, "turn-2", later=60)) == 1


def test_what_was_said_before_is_found_among_very_many() -> None:
    many = [stated(f"i love reading books about subject {i}", i, source=f"turn-{i}") for i in range(2000)]
    known = Known([*many, said(BOOKS, "user_input_77777", INTEREST, later=-1e6)])
    assert news(known, "I love reading books.", "turn-x") == []


def test_a_statement_without_any_word_to_search_for_is_not_kept_twice() -> None:
    known = Known()
    statement = [Statement(FACT, None, "i am what i am")]
    assert known.index.search("i am what i am") == []
    (first,) = known.news(statement, "turn-1", NOON, None)
    known.put(first)
    assert known.news(statement, "turn-2", NOON + timedelta(seconds=9), None) == []


def test_the_same_value_again_in_other_marks_changes_only_its_time() -> None:
    known = Known()
    news(known, "my favorite color is blue")
    assert news(known, "My favourite colour is blue!", "turn-2", later=60) == [
        "favorite_color: my favorite color is blue"
    ]
    assert known.past() == []
    assert known.get(PREFERENCE, "favorite_color") == said("my favorite color is blue", later=60, source="turn-2")


def test_what_was_said_earlier_does_not_replace_what_was_said_later() -> None:
    """A turn that a model read for seconds, or that waited for a store, after the person asked for something else."""
    known = Known([said("green", later=60)])
    assert news(known, "my favorite color is blue", later=0) == []
    assert held(known) == {"favorite_color": "green"}


def test_what_has_ended_ends_only_what_it_denies() -> None:
    known = Known()
    news(known, "i live in Rome")
    assert news(known, "i don't live in Rome any more", "turn-2", later=60)[0].startswith("home_city: ")
    known = Known()
    news(known, "i live in Porto")
    assert news(known, "i don't live in Rome any more", "turn-2", later=60)[0].startswith("user_input_")
    assert held(known)["home_city"] == "i live in Porto"


# -- what holds


def test_what_has_expired_is_not_known() -> None:
    gone = said("my aunt", "visitor", FACT, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    known = Known([gone, said()], [Past(gone, NOON), Past(said("red"), NOON)])
    assert known.get(FACT, "visitor") is None
    assert list(held(known)) == ["favorite_color"]
    assert [past.memory.value for past in known.past()] == ["red"]
    known.put(said("my uncle", "visitor", FACT, later=60))
    assert [past.memory.value for past in known.past()] == ["red"], "it is as if it had never been told"


def test_what_is_taken_out_goes_with_its_past_and_does_not_come_back() -> None:
    known = Known()
    news(known, "my favorite color is blue", "turn-1")
    news(known, "my favorite color is green", "turn-2", later=60)
    news(known, "i live in Rome", "turn-3", later=61)
    known.take_out(PREFERENCE, "favorite_color")
    assert held(known) == {"home_city": "i live in Rome"}
    assert known.past() == []
    assert known.get(PREFERENCE, "favorite_color") is None
    assert news(known, "my favorite color is green", "turn-2", later=60) == []


# -- whose it is


@pytest.fixture
def live() -> LiveMemories:
    return LiveMemories()


def opened(live: LiveMemories, user: UUID = ALICE, *memories: Memory) -> LiveSession:
    session = live.open(user)
    live.loaded(session, Known(memories))
    return session


def values(live: LiveMemories, user: UUID = ALICE) -> list[str]:
    return [memory.value for memory in live.of(user)]


def test_nothing_is_known_of_who_has_no_session(live: LiveMemories) -> None:
    live.put(ALICE, said())
    live.tell(ALICE, "remembered", [said()])
    assert live.take(ALICE, lambda _: [said()]) == [said()]
    assert live.of(ALICE) == live.past(ALICE) == live.search(ALICE, "blue", 8) == []
    assert live.brief(ALICE, "blue", ()).text == ""
    assert not live.is_loaded(ALICE)
    assert not live.has_all(ALICE)
    assert live.latest(ALICE) is None
    assert live._people == {}


def test_each_person_has_their_own(live: LiveMemories) -> None:
    opened(live, ALICE, said("blue"))
    opened(live, BOB, said("red"))
    live.put(ALICE, said("green", later=60))
    assert (values(live, ALICE), values(live, BOB)) == (["green"], ["red"])
    assert ([p.memory.value for p in live.past(ALICE)], live.past(BOB)) == (["blue"], [])
    live.take_out_everything(ALICE)
    assert (values(live, ALICE), values(live, BOB)) == ([], ["red"])


def test_loading_sets_the_event_and_says_that_all_is_known(live: LiveMemories) -> None:
    session = live.open(ALICE)
    assert not session.loaded.is_set()
    assert not live.is_loaded(ALICE)
    live.loaded(session, Known([said()]))
    assert session.loaded.is_set()
    assert live.is_loaded(ALICE)
    assert live.has_all(ALICE)


def test_what_happened_while_it_was_read_is_newer_than_what_was_read(live: LiveMemories) -> None:
    session = live.open(ALICE)
    live.put(ALICE, said("green", later=60))
    live.put(ALICE, said("Tilda", "cat", later=61))
    live.take_out(ALICE, said("old", "dog"))
    live.loaded(session, Known([said("blue"), said("old", "dog")]))
    assert values(live) == ["green", "Tilda"]
    assert [past.memory.value for past in live.past(ALICE)] == ["blue"]


def test_what_happened_while_it_was_read_again_is_newer_too(live: LiveMemories) -> None:
    session = opened(live, ALICE, said("blue"))
    live.await_loading(session)
    live.put(ALICE, said("green", later=60))
    live.loaded(session, Known([said("blue")]))
    assert values(live) == ["green"]
    live.await_loading(session)
    live.take_out_everything(ALICE)
    live.loaded(session, Known([said("green", later=60)]))
    assert values(live) == []


def test_who_has_closed_gets_nothing_more(live: LiveMemories) -> None:
    session = live.open(ALICE)
    live.close(session)
    live.loaded(session, Known([said()]))
    assert not session.loaded.is_set()
    assert live._people == {}


def test_a_closed_session_does_not_load_for_another_that_is_open(live: LiveMemories) -> None:
    late = live.open(ALICE)
    live.close(late)
    opened(live, ALICE, said("green"))
    live.loaded(late, Known([said("blue")]))
    assert values(live) == ["green"]


def test_after_everything_was_forgotten_no_session_of_the_person_has_a_conversation(live: LiveMemories) -> None:
    sessions = [opened(live, ALICE, said("blue")), live.open(ALICE), opened(live, BOB)]
    assert live.take_out_everything(ALICE) == [said("blue")]
    assert [session.erased for session in sessions] == [True, True, False]
    assert values(live) == []


def test_a_correction_is_about_what_the_same_person_said_before(live: LiveMemories) -> None:
    opened(live, ALICE)
    opened(live, BOB)
    assert live.statements_in(ALICE, "my favorite color is blue")[0][0].key == "favorite_color"
    assert live.statements_in(BOB, "no wait, it's green")[0] == []
    (correction,), before = live.statements_in(ALICE, "no wait, it's green")
    assert correction.key == "favorite_color"
    assert before
    assert before.value == "my favorite color is blue"


def test_after_everything_was_forgotten_nothing_can_be_corrected(live: LiveMemories) -> None:
    opened(live, ALICE)
    live.statements_in(ALICE, "my favorite color is blue")
    live.take_out_everything(ALICE)
    assert live.statements_in(ALICE, "no wait, it's green") == ([], None)


def test_a_person_of_many_memories_does_not_have_all_of_them_here(
    live: LiveMemories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Known, "complete", property(lambda _: False))
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
            live.search(ALICE, "value", 3)

    await asyncio.gather(*(asyncio.to_thread(write, thread) for thread in range(4)))
    assert len(live.of(ALICE)) == 400
    assert len(live.search(ALICE, "value", 1000)) == 400
