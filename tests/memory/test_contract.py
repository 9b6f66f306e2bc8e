"""Every sentence of `memory.store`, for every store.

Laid out by method, in the protocol's order; then what holds for all of them: who may see what, what fits in, and how
failure sounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from memory.categories import Category
from memory.store import MAX_KEY_CHARACTERS, MAX_VALUE_CHARACTERS, Memory, Store, StoreError
from tests.memory.contract import ALICE, BACKENDS, BOB, NOON, Backend, said

FACT, PREFERENCE = Category.FACT, Category.PREFERENCE


@pytest.fixture(params=BACKENDS.values(), ids=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with request.param(tmp_path) as backend:
        yield backend


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    store = backend.open()
    yield store
    await store.aclose()


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


async def test_of_100_callers_at_once_exactly_one_takes_the_first_greeting(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        await stores[0].ensure_profile(ALICE, None)
        answers = await asyncio.gather(*(stores[i % 4].complete_first_login(ALICE) for i in range(100)))
    assert answers.count(True) == 1
    assert answers.count(False) == 99


async def test_forgetting_everything_does_not_bring_the_first_greeting_back(store: Store) -> None:
    await store.ensure_profile(ALICE, None)
    await store.complete_first_login(ALICE)
    await store.remember(ALICE, said())
    await store.forget_everything(ALICE)
    assert await store.complete_first_login(ALICE) is False


# -- remember


async def test_what_is_kept_is_returned_and_found_again(store: Store) -> None:
    kept = await store.remember(ALICE, said("blue"))
    assert kept == said("blue")
    assert await store.retrieve(ALICE, PREFERENCE, "favorite_color") == said("blue")
    assert await store.memories(ALICE) == [said("blue")]


async def test_the_same_key_replaces_value_time_and_source(store: Store) -> None:
    await store.remember(ALICE, said("blue", source="turn-1"))
    assert await store.remember(ALICE, said("green", later=60)) == said("green", later=60)
    assert await store.memories(ALICE) == [said("green", later=60)]


async def test_remembering_the_same_again_changes_nothing(store: Store) -> None:
    for _ in range(3):
        assert await store.remember(ALICE, said()) == said()
    assert await store.memories(ALICE) == [said()]


async def test_one_key_in_two_categories_is_two_memories(store: Store) -> None:
    await store.remember(ALICE, said("blue", category=PREFERENCE))
    await store.remember(ALICE, said("green", category=FACT))
    assert (await _value(store, PREFERENCE, "favorite_color"), await _value(store, FACT, "favorite_color")) == (
        "blue",
        "green",
    )


async def test_remembering_makes_the_profile_if_it_is_missing(store: Store) -> None:
    await store.remember(ALICE, said())
    profile, created = await store.ensure_profile(ALICE, None)
    assert created is False
    assert profile.is_first_login is True
    assert await store.complete_first_login(ALICE) is True


async def test_a_source_is_kept_once_whatever_comes_with_it(store: Store) -> None:
    first = said("I live in Rome", "user_input_1000", FACT, source="turn-1")
    await store.remember(ALICE, first)
    for again in (
        first,
        said("another value", "user_input_1000", FACT, source="turn-1"),
        said("another key", "user_input_2000", FACT, source="turn-1"),
        said("another category", "user_input_1000", PREFERENCE, source="turn-1"),
        said("another time", "user_input_1000", FACT, source="turn-1", later=5),
    ):
        assert await store.remember(ALICE, again) is None
    assert await store.memories(ALICE) == [first]


async def test_a_key_taken_by_another_source_gets_the_next_free_number(store: Store) -> None:
    await store.remember(ALICE, said("one", "user_input_1999", FACT, source="turn-1"))
    await store.remember(ALICE, said("two", "user_input_2000", FACT, source="turn-2"))
    third = await store.remember(ALICE, said("three", "user_input_1999", FACT, source="turn-3"))
    assert third == said("three", "user_input_2001", FACT, source="turn-3")
    assert [m.value for m in await store.memories(ALICE)] == ["one", "two", "three"]
    assert await store.remember(ALICE, said("three", "user_input_1999", FACT, source="turn-3")) is None


@pytest.mark.parametrize(
    ("key", "following"), [("note", "note1"), ("note9", "note10"), ("note99", "note100"), ("2024 note", "2024 note1")]
)
async def test_the_number_stands_at_the_end_of_the_key(store: Store, key: str, following: str) -> None:
    await store.remember(ALICE, said("one", key, source="turn-1"))
    kept = await store.remember(ALICE, said("two", key, source="turn-2"))
    assert kept
    assert kept.key == following


async def test_a_turn_never_replaces_what_was_kept_on_request(store: Store) -> None:
    await store.remember(ALICE, said("on request", "user_input_1", FACT))
    await store.remember(ALICE, said("by the way", "user_input_1", FACT, source="turn-1"))
    assert await _value(store, FACT, "user_input_1") == "on request"
    assert await _value(store, FACT, "user_input_2") == "by the way"


async def test_of_50_deliveries_of_one_turn_one_is_kept(backend: Backend) -> None:
    turn = said("I live in Rome", "user_input_1", FACT, source="turn-1")
    async with _handles(backend, 4) as stores:
        answers = await asyncio.gather(*(stores[i % 4].remember(ALICE, turn) for i in range(50)))
        assert [answer for answer in answers if answer] == [turn]
        assert await stores[0].memories(ALICE) == [turn]


async def test_50_turns_of_one_millisecond_are_50_memories(backend: Backend) -> None:
    async with _handles(backend, 4) as stores:
        turns = [said(f"value {i}", "user_input_1", FACT, source=f"turn-{i}") for i in range(50)]
        kept = await asyncio.gather(*(stores[i % 4].remember(ALICE, turn) for i, turn in enumerate(turns)))
        assert {m.key for m in kept if m} == {f"user_input_{i}" for i in range(1, 51)}
        assert {m.value for m in await stores[1].memories(ALICE)} == {f"value {i}" for i in range(50)}


# -- retrieve


async def test_what_was_never_kept_is_not_found(store: Store) -> None:
    assert await store.retrieve(ALICE, PREFERENCE, "favorite_color") is None
    await store.remember(ALICE, said())
    assert await store.retrieve(ALICE, FACT, "favorite_color") is None
    for key in ("Favorite_Color", "favorite_colo", "favorite%", "favorite_color ", ""):
        assert await store.retrieve(ALICE, PREFERENCE, key) is None, key


# -- memories


async def test_nobody_new_has_memories(store: Store) -> None:
    assert await store.memories(ALICE) == []


async def test_memories_come_oldest_first_whatever_order_they_were_kept_in(store: Store) -> None:
    for later in (30, 0, 20, 86400, 10, 0.000001):
        await store.remember(ALICE, said(str(later), f"key {later}", later=later))
    assert [m.value for m in await store.memories(ALICE)] == ["0", "1e-06", "10", "20", "30", "86400"]


async def test_equal_times_come_by_category_and_key(store: Store) -> None:
    keys = ["b", "B", "a", "_", "ä", "10", "9", "é"]
    for key in keys:
        for category in (PREFERENCE, FACT, Category.OPINION):
            await store.remember(ALICE, said("x", key, category))
    expected = [(c, k) for c in ("FACT", "OPINION", "PREFERENCE") for k in sorted(keys)]
    assert [(m.category, m.key) for m in await store.memories(ALICE)] == expected


async def test_a_replaced_memory_moves_to_its_new_time(store: Store) -> None:
    await store.remember(ALICE, said("first", "a"))
    await store.remember(ALICE, said("second", "b", later=1))
    await store.remember(ALICE, said("third", "a", later=2))
    assert [m.value for m in await store.memories(ALICE)] == ["second", "third"]


# -- forget


async def test_one_memory_is_forgotten_and_the_others_stay(store: Store) -> None:
    await store.remember(ALICE, said("blue", "favorite_color"))
    await store.remember(ALICE, said("Tilda", "favorite_cat"))
    await store.remember(ALICE, said("a fact", "favorite_color", FACT))
    assert await store.forget(ALICE, PREFERENCE, "favorite_color") is True
    assert {(m.category, m.value) for m in await store.memories(ALICE)} == {(PREFERENCE, "Tilda"), (FACT, "a fact")}
    assert await store.retrieve(ALICE, PREFERENCE, "favorite_color") is None


async def test_forgetting_what_is_not_there_is_false(store: Store) -> None:
    assert await store.forget(ALICE, PREFERENCE, "favorite_color") is False
    await store.remember(ALICE, said())
    assert [await store.forget(ALICE, PREFERENCE, "favorite_color") for _ in range(2)] == [True, False]


@pytest.mark.parametrize("key", ["%", "favorite%", "favorite_____r", "*", "' or 1=1 --"])
async def test_forgetting_takes_no_patterns(store: Store, key: str) -> None:
    await store.remember(ALICE, said())
    assert await store.forget(ALICE, PREFERENCE, key) is False
    assert len(await store.memories(ALICE)) == 1


# -- forget_everything


async def test_everything_is_forgotten_and_counted_and_the_profile_stays(store: Store) -> None:
    profile, _ = await store.ensure_profile(ALICE, "alice@example.com")
    for i in range(7):
        await store.remember(ALICE, said(str(i), f"key {i}", source=f"turn-{i}" if i % 2 else None))
    assert [await store.forget_everything(ALICE) for _ in range(2)] == [7, 0]
    assert await store.memories(ALICE) == []
    assert await store.ensure_profile(ALICE, None) == (profile, False)


async def test_nobody_new_has_nothing_to_forget(store: Store) -> None:
    assert await store.forget_everything(ALICE) == 0


# -- aclose


async def test_closing_twice_is_safe_and_loses_nothing(backend: Backend) -> None:
    store = backend.open()
    await store.aclose()
    store = backend.open()
    await store.remember(ALICE, said())
    await store.aclose()
    await store.aclose()
    async with _handles(backend, 1) as (another,):
        assert await another.memories(ALICE) == [said()]


async def test_after_closing_it_works_again_or_says_store_error(backend: Backend) -> None:
    store = backend.open()
    await store.remember(ALICE, said())
    await store.aclose()
    try:
        assert await store.memories(ALICE) == [said()]
    except StoreError:
        pass
    finally:
        await store.aclose()


async def test_what_one_handle_kept_another_sees_at_once(backend: Backend) -> None:
    async with _handles(backend, 2) as (one, other):
        await one.remember(ALICE, said("blue"))
        assert await other.memories(ALICE) == [said("blue")]
        await other.forget(ALICE, PREFERENCE, "favorite_color")
        assert await one.memories(ALICE) == []


# -- two people with the same words: neither sees or changes anything of the other's


@pytest.fixture
async def shared(store: Store) -> Store:
    """Alice and Bob have kept the same category, key and source."""
    for user, value in ((ALICE, "blue"), (BOB, "red")):
        await store.ensure_profile(user, f"{value}@example.com")
        await store.remember(user, said(value, source="turn-1"))
        await store.remember(user, said(f"{value} too", "other", FACT))
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
    await shared.remember(ALICE, said("green"))
    assert await shared.retrieve(BOB, PREFERENCE, "favorite_color") == said("red", source="turn-1")


async def test_a_key_taken_by_the_other_is_free_for_one(shared: Store) -> None:
    await shared.forget(ALICE, PREFERENCE, "favorite_color")
    kept = await shared.remember(ALICE, said("green", source="turn-2"))
    assert kept == said("green", source="turn-2")


async def test_one_forgets_only_their_own(shared: Store) -> None:
    assert await shared.forget(ALICE, PREFERENCE, "favorite_color") is True
    assert len(await shared.memories(BOB)) == 2
    assert await shared.forget(ALICE, PREFERENCE, "favorite_color") is False


async def test_one_forgets_everything_only_of_their_own(shared: Store) -> None:
    assert await shared.forget_everything(ALICE) == 2
    assert len(await shared.memories(BOB)) == 2


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
        assert await store.remember(ALICE, kept) == kept
    async with _handles(backend, 1) as (store,):
        assert await store.memories(ALICE) == [kept]
        assert await store.retrieve(ALICE, FACT, kept.key) == kept
        assert await store.remember(ALICE, kept) is None
        assert await store.forget(ALICE, FACT, kept.key) is True


@pytest.mark.parametrize("category", Category)
async def test_every_category_comes_back(store: Store, category: Category) -> None:
    await store.remember(ALICE, said(category=category))
    found = await store.retrieve(ALICE, category, "favorite_color")
    assert found
    assert isinstance(found.category, Category)
    assert found.category is category


@pytest.mark.parametrize(
    "said_at",
    [
        datetime(2026, 11, 21, 12, 0, 0, 1, tzinfo=UTC),
        datetime(2026, 11, 21, 12, 0, 0, 0, tzinfo=UTC),
        datetime(2026, 11, 21, 12, 0, 0, 999999, tzinfo=UTC),
        datetime(2026, 3, 1, 2, 0, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=timezone(timedelta(hours=-9))),
        datetime(2000, 2, 29, 23, 59, 59, tzinfo=UTC),
    ],
    ids=str,
)
async def test_a_moment_comes_back_in_utc_to_the_microsecond(store: Store, said_at: datetime) -> None:
    await store.remember(ALICE, Memory(FACT, "key", "value", said_at))
    found = await store.retrieve(ALICE, FACT, "key")
    assert found
    assert found.said_at == said_at
    assert found.said_at.utcoffset() == timedelta(0)


async def test_moments_of_different_time_zones_are_ordered_as_moments(store: Store) -> None:
    tokyo, denver = timezone(timedelta(hours=9)), timezone(timedelta(hours=-7))
    moments = {
        "third": datetime(2026, 11, 21, 5, 0, tzinfo=denver),
        "first": datetime(2026, 11, 21, 11, 0, tzinfo=tokyo),
        "second": datetime(2026, 11, 21, 11, 30, tzinfo=UTC),
    }
    for key, said_at in moments.items():
        await store.remember(ALICE, Memory(FACT, key, key, said_at))
    assert [m.key for m in await store.memories(ALICE)] == ["first", "second", "third"]


# -- failure is a StoreError, and never holds what was to be stored

SECRET = "locker-4711"
CALLS: dict[str, Callable[[Store, str], Awaitable[object]]] = {
    "ensure_profile": lambda store, text: store.ensure_profile(ALICE, text),
    "remember": lambda store, text: store.remember(ALICE, said(text, source="turn-1")),
    "remember under a key": lambda store, text: store.remember(ALICE, said("value", text)),
    "remember from a source": lambda store, text: store.remember(ALICE, said("value", source=text)),
    "retrieve": lambda store, text: store.retrieve(ALICE, FACT, text),
    "forget": lambda store, text: store.forget(ALICE, FACT, text),
}
NAMELESS: dict[str, Callable[[Store, str], Awaitable[object]]] = {
    "complete_first_login": lambda store, _: store.complete_first_login(ALICE),
    "memories": lambda store, _: store.memories(ALICE),
    "forget_everything": lambda store, _: store.forget_everything(ALICE),
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
    await store.remember(ALICE, said())  # and it did not leave a transaction open
    assert await store.memories(ALICE) == [said()]


async def test_a_failed_write_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.remember(ALICE, said("value\udfff"))
    assert (await store.ensure_profile(ALICE, None))[1] is True


@asynccontextmanager
async def _handles(backend: Backend, count: int) -> AsyncIterator[list[Store]]:
    """Several handles on the same data, closed at the end."""
    stores = [backend.open() for _ in range(count)]
    yield stores
    for store in stores:
        await store.aclose()


async def _value(store: Store, category: Category, key: str) -> str | None:
    found = await store.retrieve(ALICE, category, key)
    return found.value if found else None
