"""What is known of a person in process: what a turn adds to it, and what it replaces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations
from uuid import UUID, uuid4

import pytest

from memory.language.statements import Statement, statements_in
from memory.records import Category, Memory, Past
from memory.sessions.person import Person
from tests.memory.stores.contract import NOON, said, stated

FACT, PREFERENCE, INTEREST = Category.FACT, Category.PREFERENCE, Category.INTEREST
BOOKS = "i love reading books"
KEY = f"user_input_{int(NOON.timestamp() * 1000)}"


def news(
    person: Person, turn: str, source: str = "turn-1", later: float = 0, conversation: UUID | None = None
) -> list[str]:
    """What of a turn was news, as "key: value"; it is known from then on."""
    found = person.news(statements_in(turn), source, NOON + timedelta(seconds=later), conversation)
    for memory in found:
        person.put(memory)
    return [f"{memory.key}: {memory.value}" for memory in found]


def held(person: Person) -> dict[str, str]:
    return {memory.key: memory.value for memory in person.index.memories()}


# -- what of a turn is news


def test_a_statement_is_kept_verbatim_with_turn_moment_and_conversation() -> None:
    conversation = uuid4()
    found = Person().news(statements_in(f"well, {BOOKS}"), "turn-1", NOON, conversation)
    assert found == [Memory(INTEREST, KEY, BOOKS, NOON, "turn-1", conversation)]


def test_a_named_fact_replaces_the_one_before_which_becomes_past() -> None:
    person = Person()
    assert news(person, "my favorite color is blue") == ["favorite_color: my favorite color is blue"]
    assert news(person, "actually my favorite color is green", "turn-2", later=60)
    assert list(held(person)) == ["favorite_color"]
    assert "green" in held(person)["favorite_color"]
    (past,) = person.past()
    assert "blue" in past.memory.value
    assert past.until == NOON + timedelta(seconds=60)


def test_a_turn_that_comes_again_states_nothing_new() -> None:
    person = Person()
    assert news(person, "my favorite color is blue", "turn-1")
    assert news(person, "my favorite color is green", "turn-2", later=60)
    assert news(person, "my favorite color is blue", "turn-1") == []
    assert "green" in held(person)["favorite_color"]


def test_a_turn_that_was_stored_before_states_nothing_new() -> None:
    current, past = said("green", later=60, source="turn-2"), Past(said("blue", source="turn-1"), NOON)
    for source in ("turn-1", "turn-2"):
        assert news(Person([current], [past]), "my favorite food is pizza", source, later=120) == []
    assert news(Person([current], [past]), "my favorite food is pizza", "turn-3", later=120)


def test_one_turn_may_state_several_things() -> None:
    person = Person()
    found = news(person, "my name is Alice. my favorite color is blue. i live in Rome. i love reading books.")
    assert {line.partition(":")[0] for line in found} == {"name", "favorite_color", "home_city", KEY}
    assert news(person, "my name is Alice. my favorite color is blue.", "turn-1") == []


def test_two_unnamed_statements_of_one_category_in_one_turn_have_two_keys() -> None:
    statements = [Statement(INTEREST, None, "i love books"), Statement(INTEREST, None, "i love chess")]
    found = Person().news(statements, "turn-1", NOON, None)
    assert len({memory.key for memory in found}) == 2
    assert all(memory.key.startswith("user_input_") for memory in found)


def test_a_taken_number_gives_way() -> None:
    person = Person([said("something else", KEY, INTEREST)])
    (line,) = news(person, BOOKS)
    assert line == f"user_input_{int(KEY.rpartition('_')[2]) + 1}: {BOOKS}"


@pytest.mark.parametrize(
    "again", [BOOKS, "I love reading books!", "well, I really love reading books", "I  LOVE reading books."]
)
def test_what_was_said_before_in_nearly_these_words_is_not_news(again: str) -> None:
    person = Person()
    assert news(person, BOOKS)
    assert news(person, again, "turn-2", later=60) == []
    assert len(held(person)) == 1


@pytest.mark.parametrize("other", ["i love reading poems", "i love writing books", "i love reading books and poems"])
def test_what_was_said_in_other_words_is_news(other: str) -> None:
    person = Person()
    assert news(person, BOOKS)
    assert len(news(person, other, "turn-2", later=60)) == 1


def test_what_was_said_before_is_found_among_very_many() -> None:
    many = [stated(f"i love reading books about subject {i}", i, source=f"turn-{i}") for i in range(2000)]
    person = Person([*many, said(BOOKS, "user_input_77777", INTEREST, later=-1e6)])
    assert news(person, "I love reading books.", "turn-x") == []


def test_a_statement_without_any_word_to_search_for_is_not_kept_twice() -> None:
    person = Person()
    statement = [Statement(FACT, None, "i am what i am")]
    assert person.index.search("i am what i am") == []
    (first,) = person.news(statement, "turn-1", NOON, None)
    person.put(first)
    assert person.news(statement, "turn-2", NOON + timedelta(seconds=9), None) == []


def test_the_same_value_again_in_other_marks_changes_only_its_time() -> None:
    person = Person()
    news(person, "my favorite color is blue")
    assert news(person, "My favourite colour is blue!", "turn-2", later=60) == [
        "favorite_color: my favorite color is blue"
    ]
    assert person.past() == []
    assert person.get(PREFERENCE, "favorite_color") == said("my favorite color is blue", later=60, source="turn-2")


def test_a_turn_that_is_heard_late_becomes_past_and_replaces_nothing() -> None:
    """A model read it for seconds, or it waited for a store, and the person asked for something else meanwhile."""
    person = Person([said("my favorite color is green", later=60)])
    assert news(person, "my favorite color is blue", later=0) == ["favorite_color: my favorite color is blue"]
    assert news(person, "my favorite color is Green!", "turn-2", later=1) == [], "it says what holds"
    assert held(person) == {"favorite_color": "my favorite color is green"}
    assert person.past() == [Past(said("my favorite color is blue", source="turn-1"), NOON + timedelta(seconds=60))]


COLORS = [said(color, later=10 * i) for i, color in enumerate(("red", "blue", "green", "teal"))]


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_in_whatever_order_values_arrive_the_last_said_holds_and_the_past_is_in_the_order_of_time(
    order: Sequence[int],
) -> None:
    person = Person()
    for i in order:
        person.put(COLORS[i])
    assert held(person) == {"favorite_color": "teal"}
    assert person.past() == [Past(one, after.said_at) for one, after in pairwise(COLORS)]
    for i in order:
        person.put(COLORS[i])
    assert len(person.past()) == 3, "what comes again changes nothing"


def test_of_two_values_of_one_moment_the_one_that_is_written_later_holds() -> None:
    person = Person([said("blue")])
    person.put(said("green"))
    assert held(person) == {"favorite_color": "green"}
    assert person.past() == [Past(said("blue"), NOON)]


def test_what_has_ended_ends_only_what_it_denies() -> None:
    person = Person()
    news(person, "i live in Rome")
    assert news(person, "i don't live in Rome any more", "turn-2", later=60)[0].startswith("home_city: ")
    person = Person()
    news(person, "i live in Porto")
    assert news(person, "i don't live in Rome any more", "turn-2", later=60)[0].startswith("user_input_")
    assert held(person)["home_city"] == "i live in Porto"


# -- what holds


def test_what_has_expired_is_not_known() -> None:
    gone = said("my aunt", "visitor", FACT, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    person = Person([gone, said()], [Past(gone, NOON), Past(said("red"), NOON)])
    assert person.get(FACT, "visitor") is None
    assert list(held(person)) == ["favorite_color"]
    assert [past.memory.value for past in person.past()] == ["red"]
    person.put(said("my uncle", "visitor", FACT, later=60))
    assert [past.memory.value for past in person.past()] == ["red"], "it is as if it had never been told"


def test_what_is_taken_out_goes_with_its_past_and_does_not_come_back() -> None:
    person = Person()
    news(person, "my favorite color is blue", "turn-1")
    news(person, "my favorite color is green", "turn-2", later=60)
    news(person, "i live in Rome", "turn-3", later=61)
    person.take_out(PREFERENCE, "favorite_color")
    assert held(person) == {"home_city": "i live in Rome"}
    assert person.past() == []
    assert person.get(PREFERENCE, "favorite_color") is None
    assert news(person, "my favorite color is green", "turn-2", later=60) == []
