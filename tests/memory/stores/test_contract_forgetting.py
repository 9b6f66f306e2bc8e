"""What the protocol says of `mentions`, `redact` and retention, for every store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from memory.records import Category, Mention, Past, Rewording, Session, folded
from memory.stores.protocol import Store
from tests.memory.stores.contract import (
    ALICE,
    BOB,
    NOON,
    said,
    started,
    stated,
    turn,
    vector_of,
)

LONG_AGO = timedelta(0)
PREFERENCE = Category.PREFERENCE


async def kept(store: Store, user: UUID = ALICE) -> list[str]:
    return [each["text"] for each in (await store.export(user))["turns"]]


async def summary(store: Store, user: UUID = ALICE) -> list[str | None]:
    return [each["summary"] for each in (await store.export(user))["conversations"]]


async def told(store: Store, *texts: str, user: UUID = ALICE, thread: str = "kitchen") -> Session:
    room = await started(store, user, thread=thread, job=f"job of {thread}", resume_within=LONG_AGO)
    await store.append_turns(
        user, room.conversation, [turn(text, later=n, name=f"{thread}_{n}") for n, text in enumerate(texts)]
    )
    return room


# -- mentions


async def test_summaries_and_turns_that_mention_a_word_are_found_oldest_first(store: Store) -> None:
    hall = await told(store, "in the hall: TEAL", "nothing", thread="hall")
    kitchen = await told(store, "nothing", "my color is Teal.", "")
    await store.summarise(ALICE, kitchen.conversation, "She likes teal things.")
    await told(store, "teal", user=BOB)
    found = [
        Mention(kitchen.conversation, None, "She likes teal things."),
        Mention(hall.conversation, "hall_0", "in the hall: TEAL"),
        Mention(kitchen.conversation, "kitchen_1", "my color is Teal."),
    ]
    assert await store.mentions(ALICE, ["teal"], 0, 10) == found
    assert await store.mentions(ALICE, ["tea", "mauve"], 0, 2) == found[:2]
    assert await store.mentions(ALICE, ["teal"], 2, 2) == found[2:]
    assert await store.mentions(ALICE, ["teal"], 3, 2) == await store.mentions(ALICE, [], 0, 9) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Ich habe GÜRTELROSE!", "gurtelros"),
        ("Gürtelrose, klein", "gurtelros"),
        ("in der Straße", "straße"),
        ("Her name is Jose\u0301.", "jose"),
        ("ОЛЬГА дома", "ольга"),
        ("Ольга дома", "ольга"),
        ("Μαρία", "μαρια"),
        ("你有糖尿病吗", "糖尿"),
        ("ガンです", folded("ガン")),
        ("मुझे मधुमेह है", folded("मधुमेह")),
        ("나는 김치를 좋아해", folded("김치")),
    ],
)
async def test_a_word_is_found_in_every_script_and_spelling(store: Store, text: str, word: str) -> None:
    await told(store, text)
    assert [each.text for each in await store.mentions(ALICE, [word], 0, 9)] == [text]


# -- redact


async def test_texts_become_what_is_left_of_them_and_no_conversation_is_active_by_it(store: Store) -> None:
    room = await told(store, "I like tea. I smoke.", "I smoke.", "hello")
    await store.summarise(ALICE, room.conversation, "I smoke")
    before = await store.export(ALICE)
    found = await store.mentions(ALICE, ["smok"], 0, 9)
    left = {"I like tea. I smoke.": "I like tea."}
    changes = [(each, left.get(each.text, "")) for each in found]
    assert await store.redact(ALICE, changes, [], []) == 3
    assert (await kept(store), await summary(store)) == (["I like tea.", "", "hello"], [None])
    after = await store.export(ALICE)
    assert [one["active_at"] for one in after["conversations"]] == [one["active_at"] for one in before["conversations"]]
    assert await store.redact(ALICE, changes, [], []) == 0
    assert await store.export(ALICE) == after


async def test_a_text_that_changed_since_it_was_found_is_left_alone(store: Store) -> None:
    room = await told(store, "I smoke.")
    await store.summarise(ALICE, room.conversation, "I smoke")
    found = await store.mentions(ALICE, ["smok"], 0, 9)
    await store.append_turns(ALICE, room.conversation, [turn("I smoke. I like tea.", name="kitchen_0")])
    await store.summarise(ALICE, room.conversation, "I smoke; I like tea")
    assert await store.redact(ALICE, [(each, "") for each in found], [], []) == 0
    assert (await kept(store), await summary(store)) == (["I smoke. I like tea."], ["I smoke; I like tea"])


async def test_a_memory_says_less_and_nothing_of_it_is_past(store: Store) -> None:
    both = stated("I smoke and I like tea", source="item_1")
    (other,) = await store.remember(ALICE, [stated("I live in Rome", 2, source="item_2")])
    await store.remember(ALICE, [both])
    await store.put_vectors(ALICE, "e5", [vector_of(both, 1, 2)])
    version = (await store.memories_since(ALICE, -1)).version
    assert await store.redact(ALICE, [], [Rewording(both, "I like tea")], []) == 1
    tea = stated("I like tea", source="item_1")
    assert await store.memories(ALICE) == [tea, other]
    assert await store.past(ALICE) == []
    assert (await store.memories_since(ALICE, version)).memories == [tea]
    assert await store.vectors(ALICE, "e5") == []
    assert await store.redact(ALICE, [], [Rewording(both, "I like tea")], []) == 0
    assert await store.remember(ALICE, [both]) == [], "its turn stays known"


async def test_a_line_of_the_past_says_less_or_goes(store: Store) -> None:
    for n, city in enumerate(["I live in Rome and smoke", "I smoke", "I live in Oslo"]):
        await store.remember(ALICE, [said(city, "home_city", later=n)])
    first, second = said("I live in Rome and smoke", "home_city"), said("I smoke", "home_city", later=1)
    changes = [Rewording(first, "I live in Rome"), Rewording(second, "")]
    assert await store.redact(ALICE, [], changes, []) == 2
    assert await store.past(ALICE) == [Past(said("I live in Rome", "home_city"), NOON + timedelta(seconds=1))]
    assert [one.value for one in await store.memories(ALICE)] == ["I live in Oslo"]
    assert await store.redact(ALICE, [], changes, []) == 0


async def test_a_memory_that_says_something_else_by_now_is_left_alone(store: Store) -> None:
    await store.remember(ALICE, [said("teal", later=9)])
    assert await store.redact(ALICE, [], [Rewording(said("blue"), ""), Rewording(said("green"), "gray")], []) == 0
    assert await store.memories(ALICE) == [said("teal", later=9)]


async def test_what_is_gone_goes_with_its_past_and_is_counted(store: Store) -> None:
    await store.remember(ALICE, [said("blue"), said("Rex", "dog")])
    await store.remember(ALICE, [said("teal", later=1)])
    before = await store.memories_since(ALICE, -1)
    assert await store.redact(ALICE, [], [], [(PREFERENCE, "favorite_color"), (PREFERENCE, "nothing")]) == 1
    after = await store.memories_since(ALICE, before.version)
    assert (after.version > before.version, after.count) == (True, 1)
    assert (await store.memories(ALICE), await store.past(ALICE)) == ([said("Rex", "dog")], [])
    assert await store.redact(ALICE, [], [], [(PREFERENCE, "favorite_color")]) == 0


async def test_nobody_else_loses_anything(store: Store) -> None:
    for user in (ALICE, BOB):
        room = await told(store, "I smoke", user=user)
        await store.summarise(user, room.conversation, "I smoke")
        await store.remember(user, [said("I smoke", "smokes"), said("blue")])
    hers, his = await store.export(ALICE), await store.export(BOB)
    everything = [Rewording(said("I smoke", "smokes"), "")], [(PREFERENCE, "favorite_color")]
    found = await store.mentions(BOB, ["smok"], 0, 9)
    assert await store.redact(ALICE, [(each, "") for each in found], [], []) == 0
    assert (await store.export(ALICE), await store.export(BOB)) == (hers, his)
    await store.redact(ALICE, [], *everything)
    assert await store.export(BOB) == his


# -- purge


async def test_a_summary_is_not_older_than_its_turns(store: Store) -> None:
    old, new = await told(store, "old", "new"), await started(store, thread="hall", job="job-9")
    await store.append_turns(ALICE, new.conversation, [turn("new", later=5)])
    for room in (old, new):
        await store.summarise(ALICE, room.conversation, "hello")
    await store.purge(NOON + timedelta(seconds=1))
    left = {UUID(each["id"]): each["summary"] for each in (await store.export(ALICE))["conversations"]}
    assert left == {old.conversation: None, new.conversation: "hello"}
    await store.purge(datetime.now(UTC) + timedelta(days=1))
    assert (await kept(store), await summary(store)) == ([], [None, None])
