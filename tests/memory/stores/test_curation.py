"""What `memory.stores.protocol` says of curation, for every store: named facts beside their statement, ends that can be
taken back, and nothing that happens twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from memory.records import Category, Curation, Memory, Past
from memory.stores.protocol import Store
from tests.memory.stores.contract import ALICE, BOB, Backend, said, started, stated, vector_of

FACT = Category.FACT
ROME = stated("Ich wohne in Rom", 1, source="item_1")
PORTO = stated("Ich bin nach Porto gezogen", 2, source="item_2", later=60)
HUM = stated("so so la la", 3, source="item_3", later=120)
AT_ROME = replace(ROME, key="home_city")
AT_PORTO = replace(PORTO, key="home_city")


def until(memory: Memory, reason: Memory) -> Past:
    return Past(memory, reason.said_at)


def aside(memory: Memory) -> Past:
    return Past(memory, memory.said_at)


# -- what no curator has seen


async def test_what_was_said_in_a_turn_waits_for_a_curator_the_oldest_first(store: Store) -> None:
    await store.remember(ALICE, [HUM, ROME, said("blue", source="item_9", later=9), said("Rex", "dog_name", FACT)])
    assert [memory.value for memory in await store.uncurated(ALICE, 10)] == ["Ich wohne in Rom", "blue", "so so la la"]
    assert [memory.value for memory in await store.uncurated(ALICE, 2)] == ["blue", "so so la la"]
    assert await store.uncurated(BOB, 10) == []


async def test_what_a_curator_has_seen_waits_no_more_unless_its_value_changes(store: Store) -> None:
    blue = said("blue", source="item_1")
    await store.remember(ALICE, [blue])
    assert await store.curate(ALICE, Curation([blue])) == Curation([blue], [], [])
    assert await store.uncurated(ALICE, 10) == []
    await store.remember(ALICE, [said("blue", source="item_2", later=1)])
    assert await store.uncurated(ALICE, 10) == []
    await store.remember(ALICE, [red := said("red", source="item_3", later=2)])
    assert await store.uncurated(ALICE, 10) == [red]


async def test_what_has_expired_waits_for_nobody(store: Store) -> None:
    await store.remember(ALICE, [replace(ROME, expires_at=datetime.now(UTC) - timedelta(seconds=1))])
    assert await store.uncurated(ALICE, 10) == []


async def test_an_import_is_curated_anew(store: Store) -> None:
    await store.remember(ALICE, [ROME])
    await store.curate(ALICE, Curation([ROME]))
    document = await store.export(ALICE)
    await store.erase(ALICE)
    await store.import_(ALICE, document)
    assert await store.uncurated(ALICE, 10) == [ROME]
    assert await store.export(ALICE) == document


# -- facts


async def test_a_fact_is_kept_beside_its_statement_and_replaces_what_stood_there(store: Store) -> None:
    await store.remember(ALICE, [ROME, PORTO, said("I live in Oslo", "home_city", FACT, later=-60)])
    done = await store.curate(ALICE, Curation([ROME, PORTO], [AT_ROME, AT_PORTO]))
    assert done == Curation([ROME, PORTO], [AT_ROME, AT_PORTO], [])
    assert await store.memories(ALICE) == [ROME, AT_PORTO, PORTO]
    assert [(one.memory.value, one.until) for one in await store.past(ALICE)] == [
        ("I live in Oslo", ROME.said_at),
        ("Ich wohne in Rom", PORTO.said_at),
    ]
    assert await store.uncurated(ALICE, 10) == [], "what a curator named is not news to one"


async def test_what_is_done_twice_is_done_once(store: Store) -> None:
    await store.remember(ALICE, [ROME, PORTO, HUM])
    everything = Curation([ROME, PORTO, HUM], [AT_PORTO], [until(ROME, PORTO), aside(HUM)])
    await store.curate(ALICE, everything)
    before = await store.export(ALICE)
    assert await store.curate(ALICE, everything) == Curation([], [], [])
    assert await store.export(ALICE) == before


async def test_of_two_curators_at_once_one_is_heard(backend: Backend, store: Store) -> None:
    other = backend.open()
    mine = Curation([ROME, PORTO], [AT_PORTO])
    theirs = Curation([ROME, PORTO], [replace(AT_PORTO, key="town")], [until(ROME, PORTO)])
    await store.remember(ALICE, [ROME, PORTO])
    for round_ in range(5):
        answers = await asyncio.gather(store.curate(ALICE, mine), other.curate(ALICE, theirs))
        assert sorted(len(answer.seen) for answer in answers) == ([0, 2] if round_ == 0 else [0, 0])
    keys = {memory.key for memory in await store.memories(ALICE)}
    assert keys in ({"home_city", ROME.key, PORTO.key}, {"town", PORTO.key})
    await other.aclose()


async def test_what_was_said_later_is_never_overwritten(store: Store) -> None:
    now = said("I moved to Lima", "home_city", FACT, later=600, source="item_9")
    await store.remember(ALICE, [PORTO, now])
    await store.curate(ALICE, Curation([PORTO], [AT_PORTO], [Past(now, PORTO.said_at)]))
    assert await store.retrieve(ALICE, FACT, "home_city") == now
    assert [(one.memory, one.until) for one in await store.past(ALICE)] == [(AT_PORTO, now.said_at)]


async def test_what_our_rules_named_in_the_same_turn_stays_whole(store: Store) -> None:
    whole = replace(AT_PORTO, value="Porto, with my sister")
    await store.remember(ALICE, [PORTO, whole])
    assert (await store.curate(ALICE, Curation([PORTO], [AT_PORTO]))).facts == []
    assert await store.retrieve(ALICE, FACT, "home_city") == whole
    assert await store.past(ALICE) == []


async def test_an_older_fact_does_not_come_where_a_later_one_has_ended(store: Store) -> None:
    await store.remember(ALICE, [ROME, AT_PORTO, HUM])
    await store.curate(ALICE, Curation([AT_PORTO, HUM], [], [until(AT_PORTO, HUM)]))
    assert (await store.curate(ALICE, Curation([ROME], [AT_ROME]))).facts == []
    assert await store.retrieve(ALICE, FACT, "home_city") is None


@pytest.mark.parametrize("changed", ["forgotten", "said anew", "never there"])
async def test_nothing_follows_from_a_statement_that_is_not_there_any_more(store: Store, changed: str) -> None:
    """The person had it forgotten while a curator read it."""
    await store.remember(ALICE, [PORTO, HUM])
    if changed == "forgotten":
        await store.forget(ALICE, FACT, PORTO.key)
    elif changed == "said anew":
        await store.forget(ALICE, FACT, PORTO.key)
        await store.remember(ALICE, [replace(PORTO, value="something else", source="item_7", key=PORTO.key)])
    of = replace(PORTO, key="user_input_77") if changed == "never there" else PORTO
    before = await store.export(ALICE)
    assert await store.curate(ALICE, Curation([of], [AT_PORTO], [until(ROME, of), aside(of)])) == Curation([], [], [])
    assert await store.export(ALICE) == before


async def test_a_fact_of_no_statement_that_was_seen_is_left_out(store: Store) -> None:
    await store.remember(ALICE, [ROME, PORTO])
    invented = replace(AT_PORTO, source="item_99")
    moved = replace(AT_PORTO, said_at=PORTO.said_at + timedelta(days=1))
    assert (await store.curate(ALICE, Curation([PORTO], [AT_ROME, invented, moved]))).facts == []
    assert await store.memories(ALICE) == [ROME, PORTO]


# -- ends


async def test_what_ended_is_past_with_all_it_was(store: Store) -> None:
    conversation = (await started(store)).conversation
    rome = replace(ROME, conversation=conversation)
    await store.remember(ALICE, [rome, PORTO])
    await store.put_vectors(ALICE, "e5", [vector_of(rome, 1, 2)])
    version = (await store.memories_since(ALICE, -1)).version
    done = await store.curate(ALICE, Curation([PORTO], [], [until(rome, PORTO)]))
    assert done.ended == [until(rome, PORTO)] == await store.past(ALICE)
    assert await store.memories(ALICE) == [PORTO]
    assert await store.vectors(ALICE, "e5") == []
    changes = await store.memories_since(ALICE, version)
    assert (changes.count, changes.version > version) == (1, True), "other devices hear of it"
    assert (await started(store, job="job-2")).past == [until(rome, PORTO)]
    assert [row["value"] for row in (await store.export(ALICE))["past"]] == [ROME.value]


async def test_what_was_set_aside_is_kept_as_something_that_never_held(store: Store) -> None:
    await store.remember(ALICE, [ROME, HUM])
    await store.curate(ALICE, Curation([ROME, HUM], [], [aside(HUM)]))
    (one,) = await store.past(ALICE)
    assert (one.memory, one.until, one.set_aside) == (HUM, HUM.said_at, True)
    assert await store.remember(ALICE, [replace(HUM, key="user_input_9")]) == [], "its turn is known"


async def test_what_ends_ends_for_a_reason_that_was_seen_and_came_later(store: Store) -> None:
    await store.remember(ALICE, [ROME, PORTO, HUM])
    unreasoned = [until(ROME, HUM), until(PORTO, ROME), aside(ROME), Past(ROME, ROME.said_at - timedelta(1))]
    assert (await store.curate(ALICE, Curation([PORTO], [], unreasoned))).ended == []
    assert await store.memories(ALICE) == [ROME, PORTO, HUM]


async def test_what_has_changed_since_is_not_ended(store: Store) -> None:
    was, now = said("blue", source="item_1"), said("red", source="item_2", later=1)
    await store.remember(ALICE, [was])
    await store.remember(ALICE, [now, PORTO])
    assert (await store.curate(ALICE, Curation([PORTO], [], [until(was, PORTO)]))).ended == []
    assert now in await store.memories(ALICE)


async def test_what_they_asked_to_be_kept_does_not_end(store: Store) -> None:
    asked = said("level 3", "parking_level", FACT)
    await store.remember(ALICE, [asked, PORTO])
    assert (await store.curate(ALICE, Curation([PORTO], [], [until(asked, PORTO)]))).ended == []
    assert asked in await store.memories(ALICE)


async def test_nobody_reaches_another_persons_memories_or_makes_a_person(store: Store) -> None:
    await store.remember(ALICE, [ROME, PORTO])
    assert await store.curate(BOB, Curation([PORTO], [AT_PORTO], [until(ROME, PORTO)])) == Curation([], [], [])
    assert await store.memories(ALICE) == [ROME, PORTO]
    assert (await store.export(BOB))["profile"] is None


async def test_a_conversation_of_somebody_else_is_left_out_of_a_fact(store: Store) -> None:
    theirs = (await started(store, BOB)).conversation
    await store.remember(ALICE, [PORTO])
    await store.curate(ALICE, Curation([PORTO], [replace(AT_PORTO, conversation=theirs)]))
    assert await store.retrieve(ALICE, FACT, "home_city") == AT_PORTO


async def test_times_of_another_zone_are_the_same_times(store: Store) -> None:
    await store.remember(ALICE, [ROME, PORTO])
    there = timezone(timedelta(hours=5, minutes=30))
    porto = replace(PORTO, said_at=PORTO.said_at.astimezone(there))
    assert len((await store.curate(ALICE, Curation([porto], [], [until(ROME, porto)]))).ended) == 1
