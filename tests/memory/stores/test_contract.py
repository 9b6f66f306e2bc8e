"""Every sentence of `memory.stores.protocol`, for every store.

Laid out by method, in the protocol's order; then what holds for all of them: who may see what, what fits in, and how
failure sounds.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest

from memory.records import (
    MAX_KEY_CHARACTERS,
    MAX_VALUE_CHARACTERS,
    Category,
    Changes,
    Memory,
    Mention,
    Past,
    Rewording,
    Session,
    Turn,
)
from memory.stores.protocol import Store, StoreError
from tests.memory.stores.contract import (
    ALICE,
    BOB,
    HALF_AN_HOUR,
    NOON,
    Backend,
    said,
    started,
    stated,
    turn,
    vector_of,
)

FACT, PREFERENCE = Category.FACT, Category.PREFERENCE
LONG_AGO = timedelta(0)
"""A window in which nothing has happened yet."""


# -- ensure_profile


async def test_a_profile_is_made_if_it_was_missing(store: Store) -> None:
    before = datetime.now(UTC)
    profile, created = await store.ensure_profile(ALICE, "alice@example.com")
    assert created is True
    assert (profile.id, profile.email, profile.is_first_login) == (ALICE, "alice@example.com", True)
    assert profile.created_at.utcoffset() == timedelta(0)
    assert before - timedelta(minutes=1) <= profile.created_at <= datetime.now(UTC) + timedelta(minutes=1)


async def test_the_second_call_finds_the_same_profile(store: Store) -> None:
    first, _ = await store.ensure_profile(ALICE, None)
    assert await store.ensure_profile(ALICE, None) == (first, False)


async def test_an_existing_profile_keeps_its_first_login(store: Store) -> None:
    await store.ensure_profile(ALICE, None)
    await store.complete_first_login(ALICE)
    profile, created = await store.ensure_profile(ALICE, "alice@example.com")
    assert (profile.is_first_login, created) == (False, False)


async def test_an_email_is_filled_in_once(store: Store) -> None:
    seen = []
    for email in (None, "", "alice@example.com", "other@example.com", None):
        profile, _ = await store.ensure_profile(ALICE, email)
        seen.append(profile.email)
    assert seen == [None, None, "alice@example.com", "alice@example.com", "alice@example.com"]


async def test_of_100_callers_at_once_exactly_one_made_the_profile(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        answers = await asyncio.gather(*(stores[i % 4].ensure_profile(ALICE, "a@example.com") for i in range(100)))
    assert sum(created for _, created in answers) == 1
    assert len({profile for profile, _ in answers}) == 1


# -- complete_first_login


async def test_the_first_greeting_is_taken_once(store: Store) -> None:
    await store.ensure_profile(ALICE, None)
    assert [await store.complete_first_login(ALICE) for _ in range(3)] == [True, False, False]


async def test_nobody_unknown_has_a_first_greeting(store: Store) -> None:
    assert await store.complete_first_login(ALICE) is False


async def test_of_100_callers_at_once_exactly_one_takes_the_first_greeting(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        await stores[0].ensure_profile(ALICE, None)
        answers = await asyncio.gather(*(stores[i % 4].complete_first_login(ALICE) for i in range(100)))
    assert answers.count(True) == 1
    assert answers.count(False) == 99


# -- remember


async def test_what_is_kept_is_returned_and_found_again(store: Store) -> None:
    kept = await store.remember(ALICE, [said("blue")])
    assert kept == [said("blue")]
    assert await store.retrieve(ALICE, PREFERENCE, "favorite_color") == said("blue")
    assert await store.memories(ALICE) == [said("blue")]
    assert await store.past(ALICE) == []


async def test_nothing_to_remember_is_nothing_kept(store: Store) -> None:
    assert await store.remember(ALICE, []) == []
    assert await store.memories(ALICE) == []


async def test_several_are_kept_at_once_and_returned_in_their_order(store: Store) -> None:
    several = [said("x", key, category) for key in "zam" for category in (PREFERENCE, FACT)]
    assert await store.remember(ALICE, several) == several
    assert set(await store.memories(ALICE)) == set(several)


async def test_all_are_kept_or_none(store: Store) -> None:
    await store.remember(ALICE, [said("blue")])
    with pytest.raises(StoreError):
        await store.remember(ALICE, [said("green"), said("Tilda", "cat"), said("unstorable\ud800", "dog")])
    assert await store.memories(ALICE) == [said("blue")]
    assert await store.past(ALICE) == []


async def test_what_is_replaced_held_until_the_new_was_said(store: Store) -> None:
    room = await started(store)
    blue = said("blue", source="turn-1", conversation=room.conversation)
    await store.remember(ALICE, [blue])
    green = said("green", later=60)
    assert await store.remember(ALICE, [green]) == [green]
    assert await store.memories(ALICE) == [green]
    assert await store.past(ALICE) == [Past(blue, until=green.said_at)]


async def test_the_past_is_told_in_the_order_in_which_it_passed(store: Store) -> None:
    colors = ["blue", "green", "red", "blue", "gray"]
    for i, color in enumerate(colors):
        await store.remember(ALICE, [said(color, later=i), said(str(i), "other", FACT, later=i)])
    past = await store.past(ALICE)
    assert [p.memory.value for p in past if p.memory.category is PREFERENCE] == colors[:-1]
    assert [p.memory.value for p in past if p.memory.category is FACT] == list("0123")
    assert all(p.until == p.memory.said_at + timedelta(seconds=1) for p in past)


async def test_the_same_value_again_only_says_when_and_where(store: Store) -> None:
    room = await started(store)
    await store.remember(ALICE, [said("blue", source="turn-1")])
    again = said("blue", later=60, source="turn-2", conversation=room.conversation)
    assert await store.remember(ALICE, [again]) == [again]
    assert await store.memories(ALICE) == [again]
    assert await store.past(ALICE) == [], "nothing has changed"


async def test_the_same_value_again_may_last_longer_or_for_ever(store: Store) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    for expires_at in (soon, soon + timedelta(days=1), None):
        await store.remember(ALICE, [said(expires_at=expires_at)])
        assert await store.memories(ALICE) == [said(expires_at=expires_at)]


async def test_remembering_the_same_again_changes_nothing(store: Store) -> None:
    for _ in range(3):
        assert await store.remember(ALICE, [said()]) == [said()]
    assert await store.memories(ALICE) == [said()]
    assert await store.past(ALICE) == []


async def test_of_two_with_one_key_the_last_counts(store: Store) -> None:
    blue, cat, green = said("blue"), said("Tilda", "cat"), said("green", later=1)
    assert await store.remember(ALICE, [blue, cat, green]) == [cat, green]
    assert set(await store.memories(ALICE)) == {cat, green}
    assert await store.past(ALICE) == []


async def test_one_key_in_two_categories_is_two_memories(store: Store) -> None:
    await store.remember(ALICE, [said("blue", category=PREFERENCE)])
    await store.remember(ALICE, [said("green", category=FACT)])
    assert (await _value(store, PREFERENCE, "favorite_color"), await _value(store, FACT, "favorite_color")) == (
        "blue",
        "green",
    )
    assert await store.past(ALICE) == []


async def test_remembering_makes_the_profile_if_it_is_missing(store: Store) -> None:
    await store.remember(ALICE, [said()])
    profile, created = await store.ensure_profile(ALICE, None)
    assert created is False
    assert profile.is_first_login is True
    assert await store.complete_first_login(ALICE) is True


async def test_a_source_is_kept_once_in_each_category(store: Store) -> None:
    first = stated("I live in Rome", source="turn-1")
    await store.remember(ALICE, [first])
    for again in (
        first,
        stated("another value", source="turn-1"),
        stated("another key", 2000, source="turn-1"),
        stated("another time", source="turn-1", later=5),
        said("a name of its own", "home_city", FACT, source="turn-1"),
    ):
        assert await store.remember(ALICE, [again]) == []
    assert await store.memories(ALICE) == [first]
    other = said("another category", category=PREFERENCE, source="turn-1")
    assert await store.remember(ALICE, [other]) == [other]


async def test_one_turn_may_state_several_things_of_one_category(store: Store) -> None:
    several = [said("Alice", "name", FACT, source="turn-1"), said("Rome", "home_city", FACT, source="turn-1")]
    assert await store.remember(ALICE, several) == several
    assert await store.remember(ALICE, several) == [], "and is kept once"
    assert set(await store.memories(ALICE)) == set(several)


async def test_a_turn_that_comes_again_late_does_not_bring_the_past_back(store: Store) -> None:
    blue, green = said("blue", source="turn-1"), said("green", later=60, source="turn-2")
    await store.remember(ALICE, [blue])
    await store.remember(ALICE, [green])
    assert await store.remember(ALICE, [blue]) == []
    assert await store.memories(ALICE) == [green]
    assert await store.past(ALICE) == [Past(blue, green.said_at)]


# -- what comes late: an outbox delivers it, or another device


BY_TIME = [said(color, later=minute * 60, source=f"turn-{minute}") for minute, color in enumerate("abcd")]


async def test_in_whatever_order_values_come_the_last_one_said_holds(store: Store) -> None:
    for order in itertools.permutations(range(4)):
        await store.erase(ALICE)
        for place in order:
            await store.remember(ALICE, [BY_TIME[place]])
        assert await store.memories(ALICE) == [BY_TIME[3]], order
        assert await store.past(ALICE) == [Past(BY_TIME[i], BY_TIME[i + 1].said_at) for i in range(3)], order


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (1, 0, 2)])
async def test_a_value_that_came_back_held_twice_in_whatever_order_it_comes(
    store: Store, order: tuple[int, ...]
) -> None:
    told = [said(city, later=minute * 60, source=f"turn-{minute}") for minute, city in enumerate("aba")]
    for place in order:
        await store.remember(ALICE, [told[place]])
    assert await store.memories(ALICE) == [told[2]]
    assert await store.past(ALICE) == [Past(told[0], told[1].said_at), Past(told[1], told[2].said_at)]


async def test_of_two_late_values_of_one_time_the_later_call_wins(store: Store) -> None:
    blue, green, red = said("blue"), said("green"), said("red", later=60)
    for memory in (red, blue, green):
        await store.remember(ALICE, [memory])
    assert await store.past(ALICE) == [Past(blue, NOON), Past(green, red.said_at)]


async def test_what_is_told_late_holds_where_what_was_said_later_has_expired(store: Store) -> None:
    await store.remember(ALICE, [said("green", later=60, expires_at=NOON + timedelta(minutes=2))])
    blue = said("blue")
    assert await store.remember(ALICE, [blue]) == [blue]
    assert (await store.memories(ALICE), await store.past(ALICE)) == ([blue], [])


async def test_what_holds_is_returned_for_what_came_late(store: Store) -> None:
    porto, rome = said("Porto", "home_city", FACT, later=600), said("Rome", "home_city", FACT)
    await store.remember(ALICE, [porto])
    assert await store.remember(ALICE, [rome]) == [porto]
    assert await store.remember(ALICE, [rome]) == [porto], "and it is kept once"
    assert await store.past(ALICE) == [Past(rome, porto.said_at)]


async def test_the_same_value_that_comes_late_changes_nothing(store: Store) -> None:
    now, before = said("blue", later=60, source="turn-2"), said("blue", source="turn-1")
    await store.remember(ALICE, [now])
    assert await store.remember(ALICE, [before]) == [now]
    assert await store.memories(ALICE) == [now]
    assert await store.past(ALICE) == []


async def test_of_two_values_of_one_time_the_later_call_wins(store: Store) -> None:
    blue, green = said("blue", source="turn-1"), said("green", source="turn-2")
    await store.remember(ALICE, [blue])
    assert await store.remember(ALICE, [green]) == [green]
    assert await store.memories(ALICE) == [green]
    assert await store.past(ALICE) == [Past(blue, NOON)]


async def test_what_came_late_is_forgotten_exported_and_brought_back_with_the_rest(store: Store) -> None:
    await store.remember(ALICE, [said("green", later=60)])
    await store.remember(ALICE, [said("blue")])
    document = await store.export(ALICE)
    await store.erase(ALICE)
    await store.import_(ALICE, document)
    assert await store.export(ALICE) == document
    assert await store.past(ALICE) == [Past(said("blue"), NOON + timedelta(seconds=60))]
    assert await store.forget(ALICE, PREFERENCE, "favorite_color")
    assert await store.past(ALICE) == []


@pytest.mark.parametrize(("first", "second"), [("turn-1", "turn-2"), (None, "turn-2"), ("turn-1", None)])
async def test_two_statements_of_one_time_and_equal_words_are_two(
    store: Store, first: str | None, second: str | None
) -> None:
    words = said("I like tea", "user_input_1", FACT, source=first)
    again = replace(words, source=second)
    await store.remember(ALICE, [words])
    assert await store.remember(ALICE, [again]) == [replace(again, key="user_input_2")]
    assert len(await store.memories(ALICE)) == 2


async def test_the_same_words_that_nobody_said_in_a_turn_stay_where_they_are(store: Store) -> None:
    words = said("I like tea", "user_input_1", FACT)
    for _ in range(2):
        assert await store.remember(ALICE, [words]) == [words]
    assert await store.memories(ALICE) == [words]


async def test_what_is_left_out_does_not_keep_the_rest_out(store: Store) -> None:
    old, new = stated("old", 1, source="turn-1"), stated("new", 2, source="turn-2")
    await store.remember(ALICE, [old])
    assert await store.remember(ALICE, [old, new]) == [new]


async def test_a_statement_whose_number_is_taken_gets_the_next_free_one(store: Store) -> None:
    await store.remember(ALICE, [stated("one", 1999, source="turn-1")])
    await store.remember(ALICE, [stated("two", 2000, source="turn-2")])
    third = await store.remember(ALICE, [stated("three", 1999, source="turn-3")])
    assert third == [stated("three", 2001, source="turn-3")]
    assert [m.value for m in await store.memories(ALICE)] == ["one", "two", "three"]
    assert await store.remember(ALICE, [stated("three", 1999, source="turn-3")]) == []
    assert await store.past(ALICE) == []


async def test_two_statements_of_one_number_in_one_call_are_both_kept(store: Store) -> None:
    one, two = stated("one", source="turn-1"), stated("two", source="turn-1")
    assert await store.remember(ALICE, [one, two]) == [one, replace(two, key="user_input_2")]
    assert [m.value for m in await store.memories(ALICE)] == ["one", "two"]


@pytest.mark.parametrize(
    ("key", "following"),
    [("user_input_", "user_input_1"), ("user_input_9", "user_input_10"), ("user_input_12_x", "user_input_12_x1")],
)
async def test_the_number_stands_at_the_end_of_the_key(store: Store, key: str, following: str) -> None:
    await store.remember(ALICE, [said("one", key, source="turn-1")])
    assert await store.remember(ALICE, [said("two", key, source="turn-2")]) == [said("two", following, source="turn-2")]


async def test_a_statement_never_replaces_what_was_kept_on_request(store: Store) -> None:
    await store.remember(ALICE, [said("on request", "user_input_1", FACT)])
    await store.remember(ALICE, [stated("by the way", source="turn-1")])
    assert await _value(store, FACT, "user_input_1") == "on request"
    assert await _value(store, FACT, "user_input_2") == "by the way"


async def test_a_statement_without_a_source_that_comes_again_is_one(store: Store) -> None:
    again = said("I live in Rome", "user_input_1", FACT)
    assert [await store.remember(ALICE, [again]) for _ in range(2)] == [[again], [again]]
    assert await store.memories(ALICE) == [again]


async def test_of_50_deliveries_of_one_turn_one_is_kept(backend: Backend) -> None:
    once = stated("I live in Rome", source="turn-1")
    async with _handles(backend, 4) as stores:
        answers = await asyncio.gather(*(stores[i % 4].remember(ALICE, [once]) for i in range(50)))
        assert [answer for answer in answers if answer] == [[once]]
        assert await stores[0].memories(ALICE) == [once]


async def test_50_turns_of_one_millisecond_are_50_memories(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        turns = [stated(f"value {i}", source=f"turn-{i}") for i in range(50)]
        kept = await asyncio.gather(*(stores[i % 4].remember(ALICE, [turn]) for i, turn in enumerate(turns)))
        assert {m.key for (m,) in kept} == {f"user_input_{i}" for i in range(1, 51)}
        assert {m.value for m in await stores[1].memories(ALICE)} == {f"value {i}" for i in range(50)}


async def test_of_50_values_at_once_one_holds_and_49_are_past(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        await asyncio.gather(*(stores[i % 4].remember(ALICE, [said(str(i), later=i)]) for i in range(50)))
        (held,) = await stores[0].memories(ALICE)
        values = [past.memory.value for past in await stores[0].past(ALICE)]
    assert sorted([held.value, *values], key=int) == [str(i) for i in range(50)]


async def test_batches_with_the_same_keys_in_other_orders_do_not_block_each_other(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:

        async def remember(i: int) -> None:
            batch = [said(str(i), f"key {n}", later=i) for n in range(10)]
            await stores[i % 4].remember(ALICE, batch[::-1] if i % 2 else batch)

        await asyncio.gather(*(remember(i) for i in range(40)))
        held = await stores[0].memories(ALICE)
    assert len(held) == 10
    assert len({m.value for m in held}) == 1, "each batch is kept as a whole"


async def test_a_memory_says_in_which_conversation_it_was_told(store: Store) -> None:
    room = await started(store)
    told = said(source="turn-1", conversation=room.conversation)
    assert await store.remember(ALICE, [told]) == [told]
    assert (await started(store)).memories == [told]


async def test_a_memory_outlives_a_conversation_that_is_unknown(store: Store) -> None:
    strange = said(source="turn-1", conversation=uuid4())
    plain = replace(strange, conversation=None)
    assert await store.remember(ALICE, [strange]) == [plain]
    assert await store.memories(ALICE) == [plain]


# -- what expires


async def test_what_expires_holds_until_then_and_not_a_moment_longer(store: Store) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=0.7)
    visitor = said("my aunt is here", "visitor", FACT, expires_at=expires_at)
    await store.remember(ALICE, [visitor, said("blue")])
    seen: list[tuple[datetime, list[Memory], datetime]] = []
    async with asyncio.timeout(10):
        while not seen or visitor in seen[-1][1]:
            before = datetime.now(UTC)
            seen.append((before, await store.memories(ALICE), datetime.now(UTC)))
    assert len(seen) > 1, "it was there at first"
    assert all(visitor not in found for before, found, _ in seen if before > expires_at)
    assert all(visitor in found for _, found, after in seen if after < expires_at)
    assert await store.memories(ALICE) == [said("blue")]


async def test_what_has_expired_is_as_if_it_had_never_been_told(store: Store) -> None:
    gone = said("my aunt is here", "visitor", FACT, expires_at=datetime.now(UTC) - timedelta(microseconds=1))
    stays = said("my cat is here", "cat", FACT, expires_at=datetime.now(UTC) + timedelta(hours=1))
    await store.remember(ALICE, [gone, stays])
    assert await store.retrieve(ALICE, FACT, "visitor") is None
    assert await store.retrieve(ALICE, FACT, "cat") == stays
    assert await store.memories(ALICE) == (await started(store)).memories == [stays]


async def test_what_has_expired_is_not_in_the_past_of_what_comes_after_it(store: Store) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await store.remember(ALICE, [said("my aunt", "visitor", FACT, expires_at=yesterday)])
    await store.remember(ALICE, [said("my uncle", "visitor", FACT, later=60)])
    assert await store.memories(ALICE) == [said("my uncle", "visitor", FACT, later=60)]
    assert await store.past(ALICE) == (await started(store)).past == []


# -- retrieve


async def test_what_was_never_kept_is_not_found(store: Store) -> None:
    assert await store.retrieve(ALICE, PREFERENCE, "favorite_color") is None
    await store.remember(ALICE, [said()])
    assert await store.retrieve(ALICE, FACT, "favorite_color") is None
    for key in ("Favorite_Color", "favorite_colo", "favorite%", "favorite_color ", ""):
        assert await store.retrieve(ALICE, PREFERENCE, key) is None, key


# -- memories


async def test_nobody_new_has_memories_or_a_past(store: Store) -> None:
    assert await store.memories(ALICE) == []
    assert await store.past(ALICE) == []


async def test_memories_come_oldest_first_whatever_order_they_were_kept_in(store: Store) -> None:
    for later in (30, 0, 20, 86400, 10, 0.000001):
        await store.remember(ALICE, [said(str(later), f"key {later}", later=later)])
    assert [m.value for m in await store.memories(ALICE)] == ["0", "1e-06", "10", "20", "30", "86400"]


async def test_equal_times_come_by_category_and_key(store: Store) -> None:
    keys = ["b", "B", "a", "_", "ä", "10", "9", "é"]
    for key in keys:
        await store.remember(ALICE, [said("x", key, category) for category in (PREFERENCE, FACT, Category.OPINION)])
    expected = [(c, k) for c in ("FACT", "OPINION", "PREFERENCE") for k in sorted(keys)]
    assert [(m.category, m.key) for m in await store.memories(ALICE)] == expected
    assert [(m.category, m.key) for m in (await started(store)).memories] == expected


async def test_a_replaced_memory_moves_to_its_new_time(store: Store) -> None:
    await store.remember(ALICE, [said("first", "a")])
    await store.remember(ALICE, [said("second", "b", later=1)])
    await store.remember(ALICE, [said("third", "a", later=2)])
    assert [m.value for m in await store.memories(ALICE)] == ["second", "third"]


# -- forget


async def test_one_memory_is_forgotten_and_the_others_stay(store: Store) -> None:
    await store.remember(ALICE, [said("blue", "favorite_color"), said("Tilda", "favorite_cat")])
    await store.remember(ALICE, [said("a fact", "favorite_color", FACT)])
    assert await store.forget(ALICE, PREFERENCE, "favorite_color") is True
    assert {(m.category, m.value) for m in await store.memories(ALICE)} == {(PREFERENCE, "Tilda"), (FACT, "a fact")}
    assert await store.retrieve(ALICE, PREFERENCE, "favorite_color") is None


async def test_a_memory_is_forgotten_with_its_past(store: Store) -> None:
    for i, value in enumerate(("one", "two", "three")):
        await store.remember(ALICE, [said(value, later=i), said(value, "other", later=i)])
    assert await store.forget(ALICE, PREFERENCE, "favorite_color") is True
    assert {p.memory.key for p in await store.past(ALICE)} == {"other"}
    await store.remember(ALICE, [said("four", later=9)])
    assert {p.memory.key for p in await store.past(ALICE)} == {"other"}, "and it does not come back"


async def test_forgetting_what_is_not_there_is_false(store: Store) -> None:
    assert await store.forget(ALICE, PREFERENCE, "favorite_color") is False
    await store.remember(ALICE, [said()])
    assert [await store.forget(ALICE, PREFERENCE, "favorite_color") for _ in range(2)] == [True, False]


@pytest.mark.parametrize("key", ["%", "favorite%", "favorite_____r", "*", "' or 1=1 --"])
async def test_forgetting_takes_no_patterns(store: Store, key: str) -> None:
    await store.remember(ALICE, [said()])
    assert await store.forget(ALICE, PREFERENCE, key) is False
    assert len(await store.memories(ALICE)) == 1


# -- vectors, put_vectors


E5 = "e5"


async def test_a_vector_is_kept_byte_by_byte_under_its_models_name(store: Store) -> None:
    blue, cat = said("blue"), said("Tilda", "cat", later=1)
    await store.remember(ALICE, [blue, cat])
    every = vector_of(blue, *range(-128, 128))
    assert await store.put_vectors(ALICE, E5, [every]) == 1
    assert await store.put_vectors(ALICE, E5, [every, vector_of(cat, 1, -1)]) == 2
    assert await store.vectors(ALICE, E5) == [every, vector_of(cat, 1, -1)]
    assert await store.vectors(ALICE, "another") == []
    assert await store.memories(ALICE) == [blue, cat]


async def test_another_models_vector_takes_the_place(store: Store) -> None:
    await store.remember(ALICE, [said()])
    await store.put_vectors(ALICE, E5, [vector_of(said(), 1, 2)])
    assert await store.put_vectors(ALICE, "another", [vector_of(said(), 3)]) == 1
    assert await store.vectors(ALICE, E5) == []
    assert await store.vectors(ALICE, "another") == [vector_of(said(), 3)]


async def test_a_replaced_value_has_no_vector(store: Store) -> None:
    await store.remember(ALICE, [said("blue")])
    await store.put_vectors(ALICE, E5, [vector_of(said("blue"), 1, 2)])
    await store.remember(ALICE, [said("green", later=60)])
    assert await store.vectors(ALICE, E5) == []
    await store.remember(ALICE, [said("blue", later=120)])
    assert await store.vectors(ALICE, E5) == []


async def test_the_same_value_again_and_what_comes_late_leave_the_vector(store: Store) -> None:
    await store.remember(ALICE, [said("blue")])
    await store.put_vectors(ALICE, E5, [vector_of(said("blue"), 1, 2)])
    await store.remember(ALICE, [said("blue", later=60)])
    await store.remember(ALICE, [said("red", later=-60)])
    assert await store.vectors(ALICE, E5) == [vector_of(said("blue", later=60), 1, 2)]


async def test_a_late_vector_does_not_land_on_newer_text(store: Store) -> None:
    await store.remember(ALICE, [said("blue"), said("Tilda", "cat")])
    await store.remember(ALICE, [said("green", later=60)])
    late = [vector_of(said("blue"), 1), vector_of(said("Tilda", "cat"), 2), vector_of(said("Rex", "dog"), 3)]
    assert await store.put_vectors(ALICE, E5, late) == 1
    assert await store.vectors(ALICE, E5) == [vector_of(said("Tilda", "cat"), 2)]


async def test_vectors_go_with_what_is_forgotten_erased_or_expired(store: Store) -> None:
    gone = said("mars", "trip", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await store.remember(ALICE, [said(), said("Tilda", "cat"), gone])
    three = [vector_of(said(), 1), vector_of(said("Tilda", "cat"), 2), vector_of(gone, 3)]
    await store.put_vectors(ALICE, E5, three)
    assert await store.vectors(ALICE, E5) == sorted(three[:2], key=lambda vector: vector.key)
    await store.forget(ALICE, PREFERENCE, "cat")
    assert await store.vectors(ALICE, E5) == [vector_of(said(), 1)]
    await store.erase(ALICE)
    assert await store.put_vectors(ALICE, E5, three) == 0
    assert await store.vectors(ALICE, E5) == []
    assert (await store.ensure_profile(ALICE, None))[1], "a vector makes no profile"


async def test_vectors_are_not_exported_and_not_brought_back(store: Store) -> None:
    await store.remember(ALICE, [said()])
    before = await store.export(ALICE)
    await store.put_vectors(ALICE, E5, [vector_of(said(), 1)])
    assert await store.export(ALICE) == before
    await store.erase(ALICE)
    await store.import_(ALICE, before)
    assert await store.vectors(ALICE, E5) == []


async def test_vectors_are_each_persons_own(store: Store) -> None:
    for user in (ALICE, BOB):
        await store.remember(user, [said()])
    await store.put_vectors(ALICE, E5, [vector_of(said(), 1)])
    assert await store.vectors(BOB, E5) == []


async def test_vectors_and_memories_written_at_once_wait_for_each_other(backend: Backend) -> None:
    many = [said(str(i), f"key {i}") for i in range(20)]
    later = [said("again", f"key {i}", later=60) for i in range(20)]
    vectors = [vector_of(memory, 1) for memory in many]
    async with _handles(backend, 4) as stores:
        await stores[0].remember(ALICE, many)
        await asyncio.gather(
            stores[0].put_vectors(ALICE, E5, vectors),
            stores[1].put_vectors(ALICE, E5, vectors[::-1]),
            stores[2].remember(ALICE, later),
            stores[3].remember(ALICE, later[::-1]),
        )
        assert await stores[0].put_vectors(ALICE, E5, vectors) == 0
        assert await stores[0].vectors(ALICE, E5) == []


# -- memories_since


async def test_versions_tell_what_changed_since(store: Store) -> None:
    assert await store.memories_since(ALICE, -1) == Changes(0, 0, [])
    blue, cat = said("blue"), said("Tilda", "cat", later=1)
    await store.remember(ALICE, [blue])
    first = await store.memories_since(ALICE, -1)
    assert (first.count, first.memories) == (1, [blue])
    assert await store.memories_since(ALICE, first.version) == Changes(first.version, 1, [])
    await store.remember(ALICE, [cat])
    second = await store.memories_since(ALICE, first.version)
    assert second.version > first.version
    assert (second.count, second.memories) == (2, [cat])
    green = said("green", later=60)
    await store.remember(ALICE, [green])
    third = await store.memories_since(ALICE, second.version)
    assert (third.version > second.version, third.count, third.memories) == (True, 2, [green])
    assert (await store.memories_since(ALICE, -1)).memories == [cat, green]


async def test_the_same_value_again_is_a_change_as_it_was_said_later(store: Store) -> None:
    await store.remember(ALICE, [said()])
    before = await store.memories_since(ALICE, -1)
    await store.remember(ALICE, [said(later=60)])
    assert (await store.memories_since(ALICE, before.version)).memories == [said(later=60)]


async def test_what_is_forgotten_or_purged_makes_a_version_and_lowers_the_count(store: Store) -> None:
    gone = said("mars", "trip", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await store.remember(ALICE, [said(), said("Tilda", "cat"), gone])
    before = await store.memories_since(ALICE, -1)
    assert (before.count, len(before.memories)) == (2, 2)
    await store.forget(ALICE, PREFERENCE, "cat")
    after = await store.memories_since(ALICE, before.version)
    assert (after.version > before.version, after.count, after.memories) == (True, 1, [])
    await store.forget(ALICE, PREFERENCE, "cat")
    assert await store.memories_since(ALICE, before.version) == after, "nothing was there any more"
    await store.purge(NOON)
    purged = await store.memories_since(ALICE, after.version)
    assert (purged.version > after.version, purged.count) == (True, 1)


async def test_a_vector_is_no_change(store: Store) -> None:
    await store.remember(ALICE, [said()])
    before = await store.memories_since(ALICE, -1)
    await store.put_vectors(ALICE, E5, [vector_of(said(), 1)])
    assert await store.memories_since(ALICE, before.version) == Changes(before.version, 1, [])


async def test_what_comes_late_changes_no_memory(store: Store) -> None:
    await store.remember(ALICE, [said("blue")])
    before = await store.memories_since(ALICE, -1)
    await store.remember(ALICE, [said("red", later=-60)])
    assert (await store.memories_since(ALICE, before.version)).memories == []


async def test_after_an_erasure_versions_begin_anew(store: Store) -> None:
    for i in range(5):
        await store.remember(ALICE, [said(str(i), later=i)])
    before = await store.memories_since(ALICE, -1)
    await store.erase(ALICE)
    assert await store.memories_since(ALICE, before.version) == Changes(0, 0, [])
    await store.remember(ALICE, [said()])
    assert (await store.memories_since(ALICE, before.version)).version < before.version


async def test_an_import_is_a_change(store: Store) -> None:
    await store.remember(ALICE, [said(), said("Tilda", "cat", later=1)])
    document = await store.export(ALICE)
    await store.erase(ALICE)
    await store.import_(ALICE, document)
    told = await store.memories_since(ALICE, 0)
    assert (told.version > 0, told.count, told.memories) == (True, 2, [said(), said("Tilda", "cat", later=1)])


async def test_versions_are_each_persons_own(store: Store) -> None:
    await store.remember(BOB, [said()])
    assert await store.memories_since(ALICE, -1) == Changes(0, 0, [])


async def test_whoever_asks_in_between_misses_nothing_of_what_many_write_and_forget(backend: Backend) -> None:
    """Numbers are seen in their order: a later one never before an earlier one."""
    heard: dict[str, Memory] = {}
    version, done = -1, asyncio.Event()

    async def ask(store: Store) -> None:
        nonlocal version
        told = await store.memories_since(ALICE, version)
        assert told.version >= version
        version = told.version
        heard.update((memory.key, memory) for memory in told.memories)

    async def listen(store: Store) -> None:
        while not done.is_set():
            await ask(store)

    async def write(store: Store, name: str) -> None:
        for i in range(15):
            await store.remember(ALICE, [said(f"{i}", f"{name} {i % 10}", later=i), said(name, "shared", later=i)])
            await store.forget(ALICE, PREFERENCE, f"gone {i}")

    async with _handles(backend, 4) as stores:
        await stores[0].remember(ALICE, [said("x", f"gone {i}") for i in range(15)])
        listening = asyncio.create_task(listen(stores[0]))
        await asyncio.gather(*(write(store, name) for store, name in zip(stores[1:], "abc", strict=True)))
        done.set()
        await listening
        await ask(stores[0])
        now = await stores[0].memories(ALICE)
    assert {memory.key: memory for memory in now} == {key: heard[key] for key in heard if not key.startswith("gone")}


# -- start_session


async def test_a_session_starts_with_everything_in_one_call(store: Store) -> None:
    session = await store.start_session(
        ALICE, email="alice@example.com", thread="kitchen", job="job-1", room="r", resume_within=HALF_AN_HOUR, turns=10
    )
    assert (session.resumed, session.created) == (False, True)
    assert session.profile == (await store.ensure_profile(ALICE, None))[0]
    assert session.profile.email == "alice@example.com"
    assert (session.memories, session.past, session.turns, session.summary) == ([], [], [], None)
    await store.remember(ALICE, [said("blue")])
    await store.remember(ALICE, [said("green", later=60), said("Tilda", "cat", later=-60)])
    again = await started(store, thread="hall")
    assert again.created is False
    assert again.memories == [said("Tilda", "cat", later=-60), said("green", later=60)]
    assert again.past == [Past(said("blue"), NOON + timedelta(seconds=60))]


async def test_within_the_window_the_conversation_goes_on(store: Store) -> None:
    first = await started(store)
    turns = [turn("hi", later=1), turn("Hello, who", later=2, interrupted=True), turn("Alice", later=3)]
    await store.append_turns(ALICE, first.conversation, turns)
    await store.end_session(ALICE, first.id, "job-1", "left")
    second = await started(store, job="job-2")
    assert second.resumed is True
    assert second.conversation == first.conversation
    assert second.id != first.id, "the session had ended"
    assert second.turns == turns


async def test_after_the_window_another_conversation_begins_with_a_summary_of_the_last(store: Store) -> None:
    first = await started(store)
    await store.append_turns(ALICE, first.conversation, [turn()])
    await store.summarise(ALICE, first.conversation, "They said hello.")
    await store.end_session(ALICE, first.id, "job-1", "left")
    second = await started(store, job="job-2", resume_within=LONG_AGO)
    assert second.resumed is False
    assert second.conversation != first.conversation
    assert (second.turns, second.summary) == ([], "They said hello.")


async def test_where_nothing_is_resumed_a_second_try_doubles_nothing(store: Store) -> None:
    first = await started(store, resume_within=timedelta(0))
    again = await started(store, resume_within=timedelta(0))
    assert (again.id, again.conversation, again.resumed) == (first.id, first.conversation, False)
    assert len(await store.sessions(living=True, limit=10)) == 1
    other = await started(store, job="job-2", resume_within=timedelta(0))
    assert (other.conversation != first.conversation, other.resumed) == (True, False)


@pytest.mark.parametrize("joined", [False, True])
async def test_a_second_try_hears_what_the_first_one_heard(store: Store, joined: bool) -> None:
    before = await started(store, job="job-0", resume_within=LONG_AGO)
    await store.summarise(ALICE, before.conversation, "They said hello.")
    first = await started(store, resume_within=LONG_AGO)
    if joined:
        await started(store, job="job-2")
    await store.summarise(ALICE, first.conversation, "They said good-bye.")
    again = await started(store, resume_within=LONG_AGO)
    assert first.summary == "They said hello."
    assert again == first


async def test_a_conversation_exists_until_it_is_erased_and_for_its_person_alone(store: Store) -> None:
    room = await started(store)
    assert await store.conversation_exists(ALICE, room.conversation)
    assert not await store.conversation_exists(BOB, room.conversation)
    assert not await store.conversation_exists(ALICE, _SOMETHING)
    await store.erase(ALICE)
    assert not await store.conversation_exists(ALICE, room.conversation)


async def test_the_words_of_a_turn_are_its_persons(store: Store) -> None:
    room = await started(store)
    await store.append_turns(ALICE, room.conversation, [turn("hello there", name="item_1")])
    assert await store.turn_text(ALICE, room.conversation, "item_1") == "hello there"
    assert await store.turn_text(BOB, room.conversation, "item_1") is None
    assert await store.turn_text(ALICE, _SOMETHING, "item_1") is None
    assert await store.turn_text(ALICE, room.conversation, "item_2") is None


@pytest.mark.parametrize("name", ["a.b,c", "(a)", '"a"', "a&b=c#d%20?", "a b\\", "in.(a)", "null", "*", "tür"])
async def test_a_turn_is_found_by_its_very_id(store: Store, name: str) -> None:
    room = await started(store)
    await store.append_turns(ALICE, room.conversation, [turn("another"), turn("hello there", name=name)])
    assert await store.turn_text(ALICE, room.conversation, name) == "hello there"


async def test_a_resumed_conversation_needs_no_summary(store: Store) -> None:
    first = await started(store)
    await store.summarise(ALICE, first.conversation, "They said hello.")
    assert (await started(store, job="job-2")).summary is None


async def test_an_ended_conversation_that_was_followed_by_another_is_not_the_last_one(store: Store) -> None:
    first = await started(store)
    await store.end_session(ALICE, first.id, "job-1", "left")
    second = await started(store, job="job-2", resume_within=LONG_AGO)
    await store.end_session(ALICE, second.id, "job-2", "left")
    assert (await started(store, job="job-3")).conversation == second.conversation


async def test_a_turn_keeps_a_conversation_young(store: Store) -> None:
    """The last one is the one in which something happened last, not the one that began last."""
    first = await started(store)
    await started(store, job="job-2", resume_within=LONG_AGO)
    await store.append_turns(ALICE, first.conversation, [turn()])
    assert (await started(store, job="job-3")).conversation == first.conversation


async def test_another_thread_is_another_conversation(store: Store) -> None:
    kitchen, hall = await started(store, thread="kitchen"), await started(store, thread="hall")
    assert kitchen.conversation != hall.conversation
    assert kitchen.id != hall.id
    assert hall.resumed is False
    assert (await started(store, thread="kitchen")).conversation == kitchen.conversation


@pytest.mark.parametrize("thread", ["Kitchen", "kitchen ", "kitche_", "%"])
async def test_a_thread_is_found_by_its_very_name(store: Store, thread: str) -> None:
    first = await started(store, thread="kitchen")
    assert (await started(store, thread=thread)).conversation != first.conversation


async def test_a_second_job_joins_the_living_session(store: Store) -> None:
    first = await started(store, job="job-1")
    await store.append_turns(ALICE, first.conversation, [turn()])
    second = await started(store, job="job-2")
    assert (second.id, second.conversation, second.resumed) == (first.id, first.conversation, True)
    assert second.turns == [turn()]
    (record,) = await store.sessions(living=True, limit=10)
    assert set(record.jobs) == {"job-1", "job-2"}


async def test_a_job_that_asks_again_is_in_the_session_once(store: Store) -> None:
    first = await started(store)
    again = await started(store)
    assert (again.id, again.conversation) == (first.id, first.conversation)
    (record,) = await store.sessions(living=True, limit=10)
    assert record.jobs == ("job-1",)
    assert await store.end_session(ALICE, first.id, "job-1", "left") is True


async def test_only_the_last_turns_come_back_oldest_first(store: Store) -> None:
    first = await started(store)
    turns = [turn(str(i), later=i) for i in range(20)]
    await store.append_turns(ALICE, first.conversation, turns)
    assert (await started(store, job="job-2", turns=5)).turns == turns[-5:]
    assert (await started(store, job="job-3", turns=0)).turns == []


async def test_of_100_starts_at_once_there_is_one_session(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        answers = await asyncio.gather(*(started(stores[i % 4], job=f"job-{i}") for i in range(100)))
        (record,) = await stores[0].sessions(living=False, limit=1000)
    assert {(answer.id, answer.conversation) for answer in answers} == {(record.id, answers[0].conversation)}
    assert sum(answer.created for answer in answers) == 1
    assert sum(not answer.resumed for answer in answers) == 1
    assert set(record.jobs) == {f"job-{i}" for i in range(100)}


async def test_starts_of_many_people_and_threads_at_once_do_not_mix(backend: Backend) -> None:
    people, threads = [UUID(int=i) for i in range(1, 6)], ["kitchen", "hall", "garden"]
    async with _handles(backend, 4) as stores:
        jobs = [(user, thread, i) for i in range(4) for user in people for thread in threads]
        answers = await asyncio.gather(
            *(started(stores[i], user, thread, f"job-{user}-{thread}-{i}") for user, thread, i in jobs)
        )
    found = {(user, thread, answer.id) for (user, thread, _), answer in zip(jobs, answers, strict=True)}
    assert len(found) == len({session for _, _, session in found}) == 15


# -- append_turns


async def test_turns_are_written_once_per_id(store: Store) -> None:
    room = await started(store)
    assert await store.append_turns(ALICE, room.conversation, [turn("a", later=1), turn("b", later=2)]) == 2
    assert await store.append_turns(ALICE, room.conversation, [turn("b", later=2), turn("c", later=3)]) == 1
    assert await store.append_turns(ALICE, room.conversation, []) == 0
    assert await _turns(store) == [turn("a", later=1), turn("b", later=2), turn("c", later=3)]


async def test_turns_come_in_the_order_in_which_they_were_said(store: Store) -> None:
    room = await started(store)
    for later in (3, 1, 2):
        await store.append_turns(ALICE, room.conversation, [turn(str(later), later=later)])
    together = [turn(name, later=9) for name in ("z", "a", "m")]
    await store.append_turns(ALICE, room.conversation, together)
    assert await _turns(store) == [*(turn(str(i), later=i) for i in (1, 2, 3)), *together]


async def test_a_written_turn_can_be_corrected_to_what_was_heard(store: Store) -> None:
    room = await started(store)
    whole = Turn("item_1", "assistant", "Once upon a time there was", NOON)
    heard = replace(whole, text="Once upon", interrupted=True)
    assert await store.append_turns(ALICE, room.conversation, [whole, turn("stop", later=1)]) == 2
    assert await store.append_turns(ALICE, room.conversation, [heard]) == 0
    assert await _turns(store) == [heard, turn("stop", later=1)]


async def test_two_people_may_have_turns_of_one_id(store: Store) -> None:
    for user, text in ((ALICE, "blue"), (BOB, "red")):
        room = await started(store, user)
        assert await store.append_turns(user, room.conversation, [turn(text, name="item_1")]) == 1
    assert [t.text for t in await _turns(store, ALICE)] == ["blue"]
    assert [t.text for t in await _turns(store, BOB)] == ["red"]


async def test_nothing_is_written_into_a_conversation_of_another_person(store: Store) -> None:
    hers = await started(store, ALICE)
    await started(store, BOB)
    assert await store.append_turns(BOB, hers.conversation, [turn("injected")]) == 0
    assert await store.append_turns(BOB, uuid4(), [turn("injected")]) == 0
    for user in (ALICE, BOB):
        assert (await store.export(user))["turns"] == []


async def test_50_deliveries_of_one_turn_are_one(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        room = await started(stores[0])
        counts = await asyncio.gather(
            *(stores[i % 4].append_turns(ALICE, room.conversation, [turn()]) for i in range(50))
        )
        assert sum(counts) == 1
        assert await _turns(stores[0]) == [turn()]


async def test_two_devices_that_write_at_once_lose_and_mix_nothing(backend: Backend) -> None:
    async with _handles(backend, 2) as stores:
        room = await started(stores[0])
        turns = [[turn(f"{device} {i}", later=2 * i + device) for i in range(25)] for device in (0, 1)]

        async def write(device: int) -> None:
            for one in turns[device]:
                await stores[device].append_turns(ALICE, room.conversation, [one])

        await asyncio.gather(write(0), write(1))
        expected = sorted([*turns[0], *turns[1]], key=lambda one: one.said_at)
        assert (await started(stores[0], job="job-2", turns=1000)).turns == expected


# -- touch_session, end_session, summarise


async def test_a_touch_says_that_the_session_is_alive(store: Store) -> None:
    room = await started(store)
    before = (await _record(store, room)).seen_at
    assert await store.touch_session(ALICE, room.id) is True
    after = (await _record(store, room)).seen_at
    assert before < after <= datetime.now(UTC) + timedelta(minutes=1)


async def test_an_ended_or_unknown_session_cannot_be_touched(store: Store) -> None:
    room = await started(store)
    assert await store.touch_session(ALICE, uuid4()) is False
    await store.end_session(ALICE, room.id, "job-1", "left")
    assert await store.touch_session(ALICE, room.id) is False


async def test_a_session_ends_with_its_last_job(store: Store) -> None:
    room = await started(store, job="job-1")
    await started(store, job="job-2")
    assert await store.end_session(ALICE, room.id, "job-1", "left") is False
    record = await _record(store, room)
    assert (record.jobs, record.ended_at, record.end_reason) == (("job-2",), None, None)
    assert await store.end_session(ALICE, room.id, "job-1", "left") is False, "it is not in there any more"
    assert await store.end_session(ALICE, room.id, "job-2", "idle") is True
    record = await _record(store, room)
    assert record.end_reason == "idle"
    assert record.ended_at
    assert record.started_at <= record.ended_at
    assert await store.sessions(living=True, limit=10) == []


async def test_a_session_ends_once(store: Store) -> None:
    room = await started(store)
    assert [await store.end_session(ALICE, room.id, "job-1", reason) for reason in ("left", "idle")] == [True, False]
    assert (await _record(store, room)).end_reason == "left"


async def test_a_job_that_is_not_in_the_session_cannot_end_it(store: Store) -> None:
    room = await started(store, job="job-1")
    assert await store.end_session(ALICE, room.id, "job-9", "left") is False
    assert (await _record(store, room)).ended_at is None


async def test_of_20_ends_at_once_one_is_the_end(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        room = await started(stores[0], job="job-0")
        for i in range(1, 20):
            await started(stores[0], job=f"job-{i}")
        ends = [stores[i % 4].end_session(ALICE, room.id, f"job-{i}", "left") for i in range(20)]
        assert sorted(await asyncio.gather(*ends)) == [False] * 19 + [True]
        assert (await _record(stores[0], room)).jobs == ()


async def test_a_later_summary_replaces_the_one_before(store: Store) -> None:
    room = await started(store)
    assert await store.summarise(ALICE, room.conversation, "first") is True
    assert await store.summarise(ALICE, room.conversation, "second") is True
    assert (await started(store, job="job-2", resume_within=LONG_AGO)).summary == "second"


async def test_an_unknown_conversation_cannot_be_summarised(store: Store) -> None:
    assert await store.summarise(ALICE, uuid4(), "nothing") is False


# -- export, import_, erase


async def test_an_export_of_nobody_is_empty(store: Store) -> None:
    assert await store.export(ALICE) == {
        "profile": None,
        "memories": [],
        "past": [],
        "conversations": [],
        "sessions": [],
        "turns": [],
    }


async def test_an_export_holds_everything_and_is_json(store: Store) -> None:
    await _live(store, ALICE, "alice")
    document = await store.export(ALICE)
    assert json.loads(json.dumps(document)) == document
    sizes = {name: len(part) for name, part in document.items() if isinstance(part, list)}
    assert sizes == {"memories": 3, "past": 1, "conversations": 3, "sessions": 3, "turns": 4}
    assert document["profile"]["email"] == "alice@example.com"
    text = json.dumps(document)
    for words in ("alice green", "alice blue", "alice Tilda", "alice turn 0", "alice summary", "alice room 1"):
        assert words in text, words


async def test_an_export_is_the_same_whenever_it_is_made(store: Store) -> None:
    await _live(store, ALICE, "alice")
    assert len({_bytes(await store.export(ALICE)) for _ in range(3)}) == 1


async def test_export_erase_import_export_gives_the_same_bytes(store: Store) -> None:
    await _live(store, ALICE, "alice")
    await _live(store, BOB, "bob")
    before, of_bob = await store.export(ALICE), _bytes(await store.export(BOB))
    await store.erase(ALICE)
    await store.import_(ALICE, json.loads(json.dumps(before)))
    assert _bytes(await store.export(ALICE)) == _bytes(before)
    assert _bytes(await store.export(BOB)) == of_bob


async def test_after_an_import_the_person_is_known_again(store: Store) -> None:
    await _live(store, ALICE, "alice")
    document = await store.export(ALICE)
    await store.erase(ALICE)
    await store.import_(ALICE, document)
    room = await started(store, thread="kitchen", job="job-9")
    assert room.created is False
    assert [m.value for m in room.memories] == ["alice green", "alice Tilda", "alice likes books"]
    assert [t.text for t in room.turns] == ["alice turn 4"]
    assert room.resumed is True


async def test_after_an_import_the_past_passed_in_the_same_order(store: Store) -> None:
    for i, color in enumerate(("blue", "green", "red", "blue", "gray")):
        await store.remember(ALICE, [said(color, later=i), said(str(i), "other", FACT, later=-i)])
    past, document = await store.past(ALICE), await store.export(ALICE)
    await store.erase(ALICE)
    await store.import_(ALICE, document)
    assert await store.past(ALICE) == past


async def test_importing_twice_is_importing_once(store: Store) -> None:
    await _live(store, ALICE, "alice")
    document = await store.export(ALICE)
    for _ in range(2):
        await store.import_(ALICE, deepcopy(document))
    assert _bytes(await store.export(ALICE)) == _bytes(document)


async def test_an_import_keeps_what_stands_there_already(store: Store) -> None:
    await store.remember(ALICE, [said("blue"), said("Tilda", "cat")])
    document = await store.export(ALICE)
    await store.remember(ALICE, [said("green", later=60)])
    await store.forget(ALICE, PREFERENCE, "cat")
    await store.complete_first_login(ALICE)
    await store.import_(ALICE, document)
    assert [(m.key, m.value) for m in await store.memories(ALICE)] == [("cat", "Tilda"), ("favorite_color", "green")]
    assert [p.memory.value for p in await store.past(ALICE)] == ["blue"]
    assert (await store.ensure_profile(ALICE, None))[0].is_first_login is False


async def test_an_imported_turn_is_not_kept_again(store: Store) -> None:
    await store.remember(ALICE, [stated("I live in Rome", source="turn-1")])
    document = await store.export(ALICE)
    await store.erase(ALICE)
    await store.import_(ALICE, document)
    assert await store.remember(ALICE, [stated("I live in Rome", source="turn-1")]) == []


def _without(part: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.pop(part)


def _with(part: str, **fields: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document[part][0].update(fields)


SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "empty": lambda document: document.clear(),
    "a part is missing": _without("memories"),
    "a part is no list": lambda document: document.update(turns={"a": 1}),
    "no profile": lambda document: document.update(profile=None),
    "another person's": lambda document: document["profile"].update(id=str(BOB)),
    "no moment": _with("memories", said_at="yesterday"),
    "no category": _with("memories", category="HOBBY"),
    "no value": _with("memories", value=None),
    "no role": _with("turns", role="system"),
    "a conversation that is not in it": _with("turns", conversation_id=str(uuid4())),
    "a session of nothing": _with("sessions", conversation_id=str(uuid4())),
    "no id": _with("conversations", id="kitchen"),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
async def test_a_document_that_is_none_is_refused_and_changes_nothing(
    store: Store, spoil: Callable[[dict[str, Any]], object]
) -> None:
    await _live(store, ALICE, "alice")
    document = await store.export(ALICE)
    await store.erase(ALICE)
    await store.remember(ALICE, [said("red", "other")])
    before = _bytes(await store.export(ALICE))
    spoil(document)
    with pytest.raises(ValueError) as refused:
        await store.import_(ALICE, document)
    assert "alice green" not in str(refused.value)
    assert _bytes(await store.export(ALICE)) == before
    assert (await store.export(BOB))["profile"] is None


async def test_a_conversation_of_another_person_cannot_be_imported(store: Store) -> None:
    await _live(store, ALICE, "alice")
    theirs = await store.export(ALICE)
    await store.ensure_profile(BOB, None)
    own = (await store.export(BOB))["profile"]
    before = _bytes(theirs)
    with pytest.raises(ValueError):
        await store.import_(BOB, {**theirs, "profile": own})
    assert _bytes(await store.export(ALICE)) == before
    assert {name: part for name, part in (await store.export(BOB)).items() if part} == {"profile": own}


async def test_erasing_deletes_everything_counts_it_and_leaves_the_others(store: Store) -> None:
    await _live(store, ALICE, "alice")
    await _live(store, BOB, "bob")
    of_bob = _bytes(await store.export(BOB))
    assert await store.erase(ALICE) == {
        "profiles": 1,
        "memories": 3,
        "memory_history": 1,
        "conversations": 3,
        "sessions": 3,
        "messages": 4,
    }
    assert not any((await store.export(ALICE)).values())
    assert await store.memories(ALICE) == await store.past(ALICE) == []
    assert {record.user for record in await store.sessions(living=False, limit=100)} == {BOB}
    assert _bytes(await store.export(BOB)) == of_bob
    assert set((await store.erase(ALICE)).values()) == {0}


async def test_who_was_erased_is_a_stranger_again(store: Store) -> None:
    await store.ensure_profile(ALICE, "alice@example.com")
    await store.complete_first_login(ALICE)
    await store.erase(ALICE)
    profile, created = await store.ensure_profile(ALICE, None)
    assert (profile.email, profile.is_first_login, created) == (None, True, True)


async def test_nothing_of_an_erased_conversation_comes_back(store: Store) -> None:
    room = await started(store)
    await store.append_turns(ALICE, room.conversation, [turn()])
    await store.erase(ALICE)
    assert await store.append_turns(ALICE, room.conversation, [turn("late", later=1)]) == 0
    assert await store.touch_session(ALICE, room.id) is False
    assert await store.end_session(ALICE, room.id, "job-1", "left") is False
    assert await store.summarise(ALICE, room.conversation, "late") is False
    assert await store.complete_first_login(ALICE) is False
    assert not any((await store.export(ALICE)).values())


async def test_after_erasing_something_new_can_be_told(store: Store) -> None:
    room = await started(store)
    await store.erase(ALICE)
    told = said("blue", source="turn-1", conversation=room.conversation)
    assert await store.remember(ALICE, [told]) == [replace(told, conversation=None)]
    assert (await started(store)).resumed is False


# -- sessions, end_abandoned, take_lease, purge


async def test_sessions_are_listed_newest_first(store: Store) -> None:
    rooms = [await started(store, ALICE if i % 2 else BOB, f"thread {i}", f"job-{i}") for i in range(5)]
    await store.end_session(BOB, rooms[2].id, "job-2", "left")
    latest = await store.sessions(living=False, limit=10)
    assert [record.id for record in latest] == [room.id for room in reversed(rooms)]
    assert [record.thread for record in latest] == [f"thread {i}" for i in (4, 3, 2, 1, 0)]
    assert [record.user for record in latest] == [BOB, ALICE, BOB, ALICE, BOB]
    assert latest[0].room == "room of job-4"
    assert latest[0].jobs == ("job-4",)
    assert latest[0].started_at.utcoffset() == latest[0].seen_at.utcoffset() == timedelta(0)
    assert [record.thread for record in await store.sessions(living=True, limit=10)] == [
        f"thread {i}" for i in (4, 3, 1, 0)
    ]
    assert [record.thread for record in await store.sessions(living=True, limit=2)] == ["thread 4", "thread 3"]


async def test_sessions_that_nobody_touches_any_more_are_ended(store: Store) -> None:
    dead = await started(store, ALICE, "dead")
    ended = await started(store, ALICE, "ended")
    await store.end_session(ALICE, ended.id, "job-1", "left")
    alive = await started(store, BOB, "alive")
    unseen_since = (await _record(store, alive)).seen_at
    closed = await store.end_abandoned(unseen_since, "worker died")
    assert [(record.id, record.user, record.thread) for record in closed] == [(dead.id, ALICE, "dead")]
    assert closed[0].end_reason == "worker died"
    assert closed[0].ended_at
    assert (await _record(store, dead)).end_reason == "worker died"
    assert (await _record(store, ended)).end_reason == "left"
    assert (await _record(store, alive)).ended_at is None
    assert await store.end_abandoned(unseen_since, "worker died") == []


async def test_a_touched_session_is_not_abandoned(store: Store) -> None:
    room = await started(store)
    since = (await _record(store, room)).seen_at + timedelta(microseconds=1)
    await store.touch_session(ALICE, room.id)
    assert await store.end_abandoned(since, "worker died") == []


async def test_of_10_sweepers_at_once_one_ends_the_session(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        await started(stores[0])
        later = datetime.now(UTC) + timedelta(hours=1)
        closed = await asyncio.gather(*(stores[i % 4].end_abandoned(later, "worker died") for i in range(10)))
    assert sorted(map(len, closed)) == [0] * 9 + [1]


async def test_after_a_dead_session_the_conversation_goes_on_in_another(store: Store) -> None:
    dead = await started(store)
    await store.append_turns(ALICE, dead.conversation, [turn()])
    await store.end_abandoned(datetime.now(UTC) + timedelta(hours=1), "worker died")
    next_ = await started(store, job="job-2")
    assert (next_.conversation, next_.resumed, next_.turns) == (dead.conversation, True, [turn()])
    assert next_.id != dead.id


async def test_a_lease_has_one_holder(store: Store) -> None:
    assert await store.take_lease("sweeper", "worker-1", 60) is True
    assert await store.take_lease("sweeper", "worker-2", 60) is False
    assert await store.take_lease("sweeper", "worker-1", 60) is True
    assert await store.take_lease("another", "worker-2", 60) is True


async def test_a_lease_that_has_run_out_is_anybodys(store: Store) -> None:
    assert await store.take_lease("sweeper", "worker-1", 0.3) is True
    taken = datetime.now(UTC)
    async with asyncio.timeout(10):
        while not await store.take_lease("sweeper", "worker-2", 60):  # noqa: ASYNC110 - only the clock tells
            await asyncio.sleep(0.02)
    assert datetime.now(UTC) - taken > timedelta(seconds=0.2), "it was held for as long as it was taken"
    assert await store.take_lease("sweeper", "worker-1", 60) is False


async def test_of_20_workers_at_once_one_takes_the_lease(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        taken = await asyncio.gather(*(stores[i % 4].take_lease("sweeper", f"worker-{i}", 60) for i in range(20)))
    assert taken.count(True) == 1


async def test_old_turns_and_expired_memories_are_purged_of_everybody(store: Store) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for user in (ALICE, BOB):
        room = await started(store, user)
        await store.append_turns(user, room.conversation, [turn(str(i), later=i) for i in range(4)])
        await store.remember(user, [said("blue"), said("my aunt", "visitor", FACT, expires_at=yesterday)])
    counts = await store.purge(NOON + timedelta(seconds=2))
    assert (counts["messages"], counts["memories"]) == (4, 2)
    for user in (ALICE, BOB):
        assert await _turns(store, user) == [turn("2", later=2), turn("3", later=3)]
        assert [memory["value"] for memory in (await store.export(user))["memories"]] == ["blue"]
    assert set((await store.purge(NOON + timedelta(seconds=2))).values()) == {0}


# -- aclose


async def test_closing_twice_is_safe_and_loses_nothing(backend: Backend) -> None:
    store = backend.open()
    await store.aclose()
    store = backend.open()
    await store.remember(ALICE, [said()])
    await store.aclose()
    await store.aclose()
    async with _handles(backend, 1) as (another,):
        assert await another.memories(ALICE) == [said()]


async def test_after_closing_it_works_again_or_says_store_error(backend: Backend) -> None:
    store = backend.open()
    await store.remember(ALICE, [said()])
    await store.aclose()
    try:
        assert await store.memories(ALICE) == [said()]
    except StoreError:
        pass
    finally:
        await store.aclose()


async def test_what_one_handle_kept_another_sees_at_once(backend: Backend) -> None:
    async with _handles(backend, 2) as (one, other):
        await one.remember(ALICE, [said("blue")])
        assert await other.memories(ALICE) == [said("blue")]
        await other.forget(ALICE, PREFERENCE, "favorite_color")
        assert await one.memories(ALICE) == []


# -- two people with the same words: neither sees or changes anything of the other's


@pytest.fixture
async def shared(store: Store) -> Store:
    """Alice and Bob have kept the same category, key and source."""
    for user, value in ((ALICE, "blue"), (BOB, "red")):
        await store.ensure_profile(user, f"{value}@example.com")
        await store.remember(user, [said(value, source="turn-1")])
        await store.remember(user, [said(f"{value} too", "other", FACT)])
    return store


async def test_both_kept_the_same_source(shared: Store) -> None:
    assert [m.value for m in await shared.memories(ALICE)] == ["blue too", "blue"]
    assert [m.value for m in await shared.memories(BOB)] == ["red too", "red"]


async def test_each_has_a_profile_of_their_own(shared: Store) -> None:
    assert (await shared.ensure_profile(ALICE, None))[0].email == "blue@example.com"
    assert (await shared.ensure_profile(BOB, None))[0].email == "red@example.com"


async def test_ones_first_greeting_leaves_the_others(shared: Store) -> None:
    assert await shared.complete_first_login(ALICE) is True
    assert (await shared.ensure_profile(BOB, None))[0].is_first_login is True
    assert await shared.complete_first_login(BOB) is True


async def test_each_retrieves_their_own_value(shared: Store) -> None:
    assert await shared.retrieve(ALICE, PREFERENCE, "favorite_color") == said("blue", source="turn-1")
    assert await shared.retrieve(BOB, PREFERENCE, "favorite_color") == said("red", source="turn-1")


async def test_one_replaces_only_their_own_value(shared: Store) -> None:
    await shared.remember(ALICE, [said("green", later=60)])
    assert await shared.retrieve(BOB, PREFERENCE, "favorite_color") == said("red", source="turn-1")
    assert await shared.past(BOB) == []


async def test_a_number_taken_by_the_other_is_free_for_one(store: Store) -> None:
    await store.remember(ALICE, [stated("I live in Rome", source="turn-1")])
    kept = await store.remember(BOB, [stated("I live in Oslo", source="turn-1")])
    assert kept == [stated("I live in Oslo", source="turn-1")]


async def test_one_forgets_only_their_own(shared: Store) -> None:
    assert await shared.forget(ALICE, PREFERENCE, "favorite_color") is True
    assert len(await shared.memories(BOB)) == 2
    assert await shared.forget(ALICE, PREFERENCE, "favorite_color") is False


async def test_one_erases_only_their_own(shared: Store) -> None:
    assert (await shared.erase(ALICE))["memories"] == 2
    assert len(await shared.memories(BOB)) == 2


async def test_one_thread_of_two_people_is_two_conversations(store: Store) -> None:
    hers = await started(store, ALICE, "kitchen")
    await store.append_turns(ALICE, hers.conversation, [turn("hers")])
    await store.summarise(ALICE, hers.conversation, "hers")
    await store.remember(ALICE, [said()])
    his = await started(store, BOB, "kitchen")
    assert his.conversation != hers.conversation
    assert his.id != hers.id
    assert (his.resumed, his.turns, his.summary, his.memories) == (False, [], None, [])


async def test_one_cannot_touch_end_or_summarise_what_is_the_others(store: Store) -> None:
    hers = await started(store, ALICE)
    await started(store, BOB)
    before = _bytes(await store.export(ALICE))
    assert await store.touch_session(BOB, hers.id) is False
    assert await store.end_session(BOB, hers.id, "job-1", "left") is False
    assert await store.summarise(BOB, hers.conversation, "injected") is False
    assert _bytes(await store.export(ALICE)) == before


async def test_a_memory_cannot_hang_under_the_others_conversation(store: Store) -> None:
    hers = await started(store, ALICE)
    told = said("red", conversation=hers.conversation)
    assert await store.remember(BOB, [told]) == [replace(told, conversation=None)]


async def test_the_others_summary_is_not_told(store: Store) -> None:
    hers = await started(store, ALICE)
    await store.summarise(ALICE, hers.conversation, "hers")
    await started(store, BOB)
    assert (await started(store, BOB, job="job-2", resume_within=LONG_AGO)).summary is None


# -- what fits in, and comes out as it went in

TEXTS = {
    "emoji": "👩🏽‍🚀 loves 🍕",
    "Arabic": "أحب القراءة",
    "combining": "Rene\u0301 is not Ren\u00e9",
    "quotes": """it's "quoted" `so`""",
    "SQL": "'); drop table memories; --",
    "wildcards": "100% _ * ? \\",
    "placeholders": "$1 :name ? %s %(a)s {0}",
    "lines": "one\ntwo\r\nthree\ttab",
    "JSON": '{"a": [1, null]}',
    "the longest": "ü" * MAX_VALUE_CHARACTERS,
    "the longest in emoji": "😀" * MAX_VALUE_CHARACTERS,
    "null": "null",
    "empty-looking": "\u200b",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_any_text_comes_back_as_it_was_said(backend: Backend, text: str) -> None:
    kept = Memory(FACT, text[:MAX_KEY_CHARACTERS], text, NOON, text[:MAX_KEY_CHARACTERS])
    async with _handles(backend, 1) as (store,):
        assert await store.remember(ALICE, [kept]) == [kept]
    async with _handles(backend, 1) as (store,):
        assert await store.memories(ALICE) == [kept]
        assert await store.retrieve(ALICE, FACT, kept.key) == kept
        assert await store.remember(ALICE, [kept]) == []
        assert await store.forget(ALICE, FACT, kept.key) is True


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_any_thread_turn_and_summary_come_back_as_they_were(store: Store, text: str) -> None:
    short = text[:MAX_KEY_CHARACTERS]
    room = await started(store, thread=short, job=short)
    spoken = Turn(short, "user", text, NOON)
    assert await store.append_turns(ALICE, room.conversation, [spoken]) == 1
    assert await store.summarise(ALICE, room.conversation, text) is True
    assert (await started(store, thread=short, job="job-2")).turns == [spoken]
    assert await store.end_session(ALICE, room.id, "job-2", "left") is False
    assert await store.end_session(ALICE, room.id, short, short) is True
    assert (await _record(store, room)).end_reason == short
    assert (await started(store, thread=short, job="job-3", resume_within=LONG_AGO)).summary == text
    document = await store.export(ALICE)
    await store.erase(ALICE)
    await store.import_(ALICE, document)
    assert _bytes(await store.export(ALICE)) == _bytes(document)


@pytest.mark.parametrize("category", Category)
async def test_every_category_comes_back(store: Store, category: Category) -> None:
    await store.remember(ALICE, [said(category=category)])
    found = await store.retrieve(ALICE, category, "favorite_color")
    assert found
    assert isinstance(found.category, Category)
    assert found.category is category


MOMENTS = [
    datetime(2026, 11, 21, 12, 0, 0, 1, tzinfo=UTC),
    datetime(2026, 11, 21, 12, 0, 0, 0, tzinfo=UTC),
    datetime(2026, 11, 21, 12, 0, 0, 999999, tzinfo=UTC),
    datetime(2026, 3, 1, 2, 0, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=timezone(timedelta(hours=-9))),
    datetime(2000, 2, 29, 23, 59, 59, tzinfo=UTC),
]


@pytest.mark.parametrize("moment", MOMENTS, ids=str)
async def test_a_moment_comes_back_in_utc_to_the_microsecond(store: Store, moment: datetime) -> None:
    room = await started(store)
    await store.append_turns(ALICE, room.conversation, [Turn("item_1", "user", "hello", moment)])
    await store.remember(ALICE, [Memory(FACT, "key", "value", moment)])
    await store.remember(ALICE, [Memory(FACT, "key", "other", moment, expires_at=moment + timedelta(days=365_000))])
    found, (past,), (spoken,) = (
        await store.retrieve(ALICE, FACT, "key"),
        await store.past(ALICE),
        await _turns(store),
    )
    assert found
    assert found.expires_at
    for seen in (found.said_at, past.memory.said_at, past.until, spoken.said_at):
        assert seen == moment
        assert seen.utcoffset() == timedelta(0)
    assert found.expires_at == moment + timedelta(days=365_000)
    assert found.expires_at.utcoffset() == timedelta(0)


async def test_moments_of_different_time_zones_are_ordered_as_moments(store: Store) -> None:
    tokyo, denver = timezone(timedelta(hours=9)), timezone(timedelta(hours=-7))
    moments = {
        "third": datetime(2026, 11, 21, 5, 0, tzinfo=denver),
        "first": datetime(2026, 11, 21, 11, 0, tzinfo=tokyo),
        "second": datetime(2026, 11, 21, 11, 30, tzinfo=UTC),
    }
    room = await started(store)
    for key, moment in moments.items():
        await store.remember(ALICE, [Memory(FACT, key, key, moment)])
        await store.append_turns(ALICE, room.conversation, [Turn(key, "user", key, moment)])
    assert [m.key for m in await store.memories(ALICE)] == ["first", "second", "third"]
    assert [t.id for t in await _turns(store)] == ["first", "second", "third"]


# -- failure is a StoreError, and never holds what was to be stored

SECRET = "locker-4711"


async def _append_to_a_conversation(store: Store, text: str) -> None:
    room = await started(store)
    await store.append_turns(ALICE, room.conversation, [turn(text)])


_SOMETHING = uuid4()
CALLS: dict[str, Callable[[Store, str], Awaitable[object]]] = {
    "ensure_profile": lambda store, text: store.ensure_profile(ALICE, text),
    "remember": lambda store, text: store.remember(ALICE, [said(text, source="turn-1")]),
    "remember under a key": lambda store, text: store.remember(ALICE, [said("value", text)]),
    "remember from a source": lambda store, text: store.remember(ALICE, [said("value", source=text)]),
    "retrieve": lambda store, text: store.retrieve(ALICE, FACT, text),
    "forget": lambda store, text: store.forget(ALICE, FACT, text),
    "start_session": lambda store, text: started(store, ALICE, text),
    "start_session for a job": lambda store, text: started(store, ALICE, job=text),
    "append_turns": _append_to_a_conversation,
    "summarise": lambda store, text: store.summarise(ALICE, _SOMETHING, text),
    "redact a text": lambda store, text: store.redact(ALICE, [(Mention(_SOMETHING, "item_1", text), "")], [], []),
    "redact a memory": lambda store, text: store.redact(ALICE, [], [Rewording(said(text), text)], []),
    "end_abandoned": lambda store, text: store.end_abandoned(NOON, text),
    "take_lease": lambda store, text: store.take_lease(text, "worker-1", 60),
}
NAMELESS: dict[str, Callable[[Store, str], Awaitable[object]]] = {
    "complete_first_login": lambda store, _: store.complete_first_login(ALICE),
    "memories": lambda store, _: store.memories(ALICE),
    "past": lambda store, _: store.past(ALICE),
    "touch_session": lambda store, _: store.touch_session(ALICE, _SOMETHING),
    "conversation_exists": lambda store, _: store.conversation_exists(ALICE, _SOMETHING),
    "turn_text": lambda store, _: store.turn_text(ALICE, _SOMETHING, "item_1"),
    "end_session": lambda store, _: store.end_session(ALICE, _SOMETHING, "job-1", "left"),
    "export": lambda store, _: store.export(ALICE),
    "erase": lambda store, _: store.erase(ALICE),
    "sessions": lambda store, _: store.sessions(living=True, limit=10),
    "purge": lambda store, _: store.purge(NOON),
    "mentions": lambda store, _: store.mentions(ALICE, ["word"], 0, 10),
    "redact": lambda store, _: store.redact(ALICE, [], [], [(FACT, "cat")]),
}


@pytest.mark.parametrize("call", [*CALLS.values(), *NAMELESS.values()], ids=[*CALLS, *NAMELESS])
async def test_an_unreachable_store_says_store_error(
    backend: Backend, call: Callable[[Store, str], Awaitable[object]]
) -> None:
    store = backend.broken()
    for _ in range(2):
        with pytest.raises(StoreError) as failed:
            await call(store, SECRET)
        assert SECRET not in str(failed.value)
    await store.aclose()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_text_that_no_database_takes_is_a_store_error(
    store: Store, call: Callable[[Store, str], Awaitable[object]]
) -> None:
    with pytest.raises(StoreError) as failed:
        await call(store, f"{SECRET}\ud800")
    assert SECRET not in str(failed.value)
    await store.remember(ALICE, [said()])  # and it did not leave a transaction open
    assert await store.memories(ALICE) == [said()]


async def test_a_failed_write_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.remember(ALICE, [said("value\udfff")])
    assert (await store.ensure_profile(ALICE, None))[1] is True


async def test_a_failed_turn_keeps_the_whole_batch_out(store: Store) -> None:
    room = await started(store)
    with pytest.raises(StoreError):
        await store.append_turns(ALICE, room.conversation, [turn("fine"), turn("unstorable\ud800", name="item_2")])
    assert (await store.export(ALICE))["turns"] == []


@asynccontextmanager
async def _handles(backend: Backend, count: int) -> AsyncIterator[list[Store]]:
    """Several handles on the same data, closed at the end."""
    stores = [backend.open() for _ in range(count)]
    yield stores
    for store in stores:
        await store.aclose()


async def _live(store: Store, user: UUID, name: str) -> None:
    """Somebody's whole life here: a row in every table, and more than one where order could matter."""
    rooms: list[Session] = []
    for i in range(3):
        room = await store.start_session(
            user,
            email=f"{name}@example.com",
            thread="kitchen" if i < 2 else "hall",
            job=f"{name} job {i}",
            room=f"{name} room {i}",
            resume_within=LONG_AGO,
            turns=10,
        )
        rooms.append(room)
        if i < 2:
            await store.end_session(user, room.id, f"{name} job {i}", "left")
    first, second, _ = (room.conversation for room in rooms)
    await store.append_turns(user, first, [turn(f"{name} turn {i}", later=5) for i in range(3)])
    await store.append_turns(user, second, [turn(f"{name} turn 4", later=1, interrupted=True)])
    await store.summarise(user, first, f"{name} summary")
    await store.remember(user, [said(f"{name} blue", source="item_1", conversation=first)])
    later = datetime.now(UTC) + timedelta(days=400)
    await store.remember(user, [said(f"{name} green", later=60, source="item_2", expires_at=later)])
    await store.remember(user, [said(f"{name} Tilda", "cat", FACT, later=60.5, conversation=second)])
    await store.remember(user, [stated(f"{name} likes books", source="item_3", later=61)])


async def _turns(store: Store, user: UUID = ALICE) -> list[Turn]:
    """All turns of the kitchen's last conversation."""
    return (await started(store, user, job=f"reader {uuid4()}", turns=1000)).turns


async def _record(store: Store, session: Session) -> Any:
    return next(record for record in await store.sessions(living=False, limit=1000) if record.id == session.id)


async def _value(store: Store, category: Category, key: str) -> str | None:
    found = await store.retrieve(ALICE, category, key)
    return found.value if found else None


def _bytes(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True)
