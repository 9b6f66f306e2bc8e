"""Which memories matter for what was just said."""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from memory.recall import memories as recall
from memory.recall.memories import RecallIndex, spoken
from memory.recall.vectors import Vector
from memory.recall.words import words
from memory.records import Category, Memory
from tests.memory.stores.contract import NOON, said


def rank(memories: Iterable[Memory], query: str) -> list[Memory]:
    """Best first, from an index made for this once."""
    return RecallIndex(memories).search(query)


LIFE = [
    said(value, key, Category.FACT, later=i)
    for i, (key, value) in enumerate(
        [
            ("user_input_1", "my name is alice"),
            ("favorite_color", "blue"),
            ("user_input_2", "we moved to Lisbon in 2019"),
            ("user_input_3", "my cat is called Tilda"),
            ("user_input_4", "i love reading books about the sea"),
            ("user_input_5", "I'm allergic to nuts and penicillin"),
            ("user_input_6", "my sister's dog is called Rex"),
            ("locker_code", "4711"),
            ("user_input_7", "I work as a carpenter"),
            ("user_input_8", "meine Straße heißt Müllerweg"),
            ("user_input_9", "my wife works at the hospital"),
            ("user_input_10", "my birthday is in May"),
        ]
    )
]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("what is my name", "my name is alice"),
        ("what's my favorite color", "blue"),
        ("WHAT IS MY FAVORITE COLOR?!", "blue"),
        ("which color do I like", "blue"),
        ("when did we move to Lisbon", "we moved to Lisbon in 2019"),
        ("are we moving", "we moved to Lisbon in 2019"),
        ("tell me about my cats", "my cat is called Tilda"),
        ("what do I like to read", "i love reading books about the sea"),
        ("do you know a good book", "i love reading books about the sea"),
        ("can I eat nuts", "I'm allergic to nuts and penicillin"),
        ("what is the code of my locker", "4711"),
        ("wo ist der Müllerweg", "meine Straße heißt Müllerweg"),
        ("where does my wife work", "my wife works at the hospital"),
        ("when is my birthday", "my birthday is in May"),
        ("how is my sister", "my sister's dog is called Rex"),
    ],
)
def test_the_best_match_comes_first(query: str, best: str) -> None:
    assert [memory.value for memory in rank(LIFE, query)][:1] == [best]


@pytest.mark.parametrize("query", ["", "what is it", "and who are you", "photosynthesis", "?", "user input", "😀"])
def test_without_a_shared_word_nothing_matches(query: str) -> None:
    assert rank(LIFE, query) == []


def test_nobody_new_has_matches() -> None:
    assert rank([], "anything") == []


def test_of_equals_the_later_said_comes_first() -> None:
    places = [said("i live here", f"user_input_{i}", Category.FACT, later=i) for i in (3, 1, 2)]
    assert [memory.key for memory in rank(places, "where do i live")] == [f"user_input_{i}" for i in (3, 2, 1)]


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    memories = [said(f"my dog number {i}", f"k{i}", later=i) for i in range(20)]
    memories.append(said("tilda is a dragon", "k", later=-1))
    assert rank(memories, "dog tilda")[0].value == "tilda is a dragon"


def test_two_matching_words_count_more_than_one() -> None:
    memories = [said("red car", "a", later=2), said("red bike", "b", later=1), said("blue car", "c", later=3)]
    assert rank(memories, "the red bike")[0].value == "red bike"


def test_every_match_shares_a_word_and_nothing_else_does() -> None:
    dice = random.Random(2)  # noqa: S311 - examples, not secrets
    vocabulary = "cat dog house river code blue green Lisbon walk sing".split()
    for _ in range(200):
        memories = [said(" ".join(dice.choices(vocabulary, k=3)), f"k{i}", later=i) for i in range(dice.randint(0, 12))]
        query = " ".join(dice.choices(vocabulary, k=dice.randint(0, 3)))
        sharing = [m for m in memories if set(words(f"{m.key} {m.value}")) & set(words(query))]
        assert sorted(rank(memories, query), key=_key) == sorted(sharing, key=_key)


def test_the_order_is_the_same_in_every_process() -> None:
    """Strings hash differently in each, so that an order taken from a set would differ too."""
    script = (
        "import json, random\n"
        "from memory.recall.memories import RecallIndex\n"
        "from tests.memory.stores.contract import said\n"
        "dice = random.Random(3)\n"
        "vocabulary = [f'word{i}' for i in range(40)]\n"
        "memories = [said(' '.join(dice.choices(vocabulary, k=dice.randint(1, 9))), f'k{i}', later=i % 7)"
        " for i in range(300)]\n"
        "queries = [' '.join(dice.choices(vocabulary, k=6)) for _ in range(40)]\n"
        "print(json.dumps([[memory.key for memory in RecallIndex(memories).search(query)] for query in queries]))\n"
    )
    root = Path(recall.__file__).parents[2]
    orders = []
    for seed in ("0", "1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, text=True, check=True
        )
        orders.append(json.loads(done.stdout))
    assert orders[0] == orders[1] == orders[2]
    assert len(orders[0][0]) > 50


def test_a_lifetime_of_memories_is_ranked_within_a_turn() -> None:
    dice = random.Random(4)  # noqa: S311 - examples, not secrets
    vocabulary = [f"word{i}" for i in range(2000)]
    index = RecallIndex(said(" ".join(dice.choices(vocabulary, k=12)), f"k{i}", later=i) for i in range(2000))
    start = time.thread_time()
    for _ in range(20):
        assert index.search("word1 word2 word3 word4 word5", 60)
    assert time.thread_time() - start < 20 * 0.02, "measured: about 0.0005 s each"


def _key(memory: Memory) -> str:
    return memory.key


# -- an index that is kept


def test_an_index_of_one_by_one_ranks_like_one_built_anew() -> None:
    dice = random.Random(6)  # noqa: S311 - examples, not secrets
    vocabulary = "cat dog house river code blue green Lisbon walk sing".split()
    conversations = [None, UUID(int=1), UUID(int=2)]
    index, kept = RecallIndex(), dict[str, Memory]()
    for i in range(300):
        key = f"k{dice.randint(0, 40)}"
        if dice.random() < 0.3:
            assert index.remove(Category.FACT, key) == (kept.pop(key, None) is not None)
            continue
        memory = said(
            " ".join(dice.choices(vocabulary, k=4)), key, Category.FACT, later=dice.randint(0, 9999) + i / 1000
        )
        kept[key] = memory = replace(memory, conversation=dice.choice(conversations))
        index.put(memory)
        query = " ".join(dice.choices(vocabulary, k=2))
        anew = RecallIndex(sorted(kept.values(), key=lambda memory: memory.said_at))
        assert index.search(query, now=NOON) == anew.search(query, now=NOON)
        assert index.memories(NOON) == anew.memories(NOON)
    assert len(index) == len(kept) > 10


def test_a_replaced_memory_is_found_by_its_new_words_only() -> None:
    index = RecallIndex([said("blue")])
    index.put(said("green", later=1))
    assert index.search("blue") == []
    assert [memory.value for memory in index.search("green")] == ["green"]
    assert len(index) == 1


def test_nothing_is_left_of_what_was_forgotten() -> None:
    index = RecallIndex([said("blue"), said("my pin is zanzibar", "user_input_1")])
    index.remove(Category.PREFERENCE, "user_input_1")
    assert b"zanzibar" not in pickle.dumps(vars(index))
    assert b"blue" in pickle.dumps(vars(index))
    index.clear()
    assert b"blue" not in pickle.dumps(vars(index))
    assert (index.memories(), index.search("blue"), len(index)) == ([], [], 0)


def test_a_memory_beside_one_that_matches_is_found_too() -> None:
    talk, other = UUID(int=1), UUID(int=2)
    asked = replace(said("we talked about my holiday", "user_input_1", later=1), conversation=talk)
    answer = replace(said("it was Corsica in the end", "user_input_2", later=2), conversation=talk)
    elsewhere = replace(said("it was Sweden in the end", "user_input_3", later=3), conversation=other)
    assert RecallIndex([asked, answer, elsewhere]).search("where did my holiday go") == [asked, answer]


@pytest.mark.parametrize(
    ("query", "found"),
    [("what did i say in May", "ran a race"), ("2025", "read a book"), ("which plans do i have", "fly to Rome")],
)
def test_a_memory_is_found_by_its_date_and_its_kind(query: str, found: str) -> None:
    memories = [
        Memory(Category.EXPERIENCE, "user_input_1", "ran a race", datetime(2024, 5, 7, tzinfo=UTC)),
        Memory(Category.EXPERIENCE, "user_input_2", "read a book", datetime(2025, 6, 7, tzinfo=UTC)),
        Memory(Category.PLAN, "user_input_3", "fly to Rome", datetime(2024, 7, 7, tzinfo=UTC)),
    ]
    assert [memory.value for memory in rank(memories, query)] == [found]


def test_an_expired_memory_is_neither_found_nor_listed() -> None:
    end = NOON + timedelta(hours=1)
    parking = replace(said("parking on level four", "car"), expires_at=end)
    index = RecallIndex([parking, said("blue")])
    assert index.search("parking", now=end - timedelta(microseconds=1)) == [parking]
    assert index.search("parking", now=end) == []
    assert parking not in index.memories(end)
    assert parking not in list(index.always(end)) + list(index.latest(end))


def test_what_has_expired_is_not_counted() -> None:
    index = RecallIndex([said("blue"), replace(said("red", "car"), expires_at=NOON)])
    assert len(index) == 1


def test_a_memory_that_was_told_again_without_an_end_does_not_expire() -> None:
    index = RecallIndex([replace(said("blue"), expires_at=NOON + timedelta(hours=1))])
    index.put(said("blue"))
    assert index.memories(NOON + timedelta(days=1)) == [said("blue")]


def test_over_its_limit_the_oldest_statements_are_left_to_the_store() -> None:
    talk = [said(f"i saw bird {i}", f"user_input_{i}", Category.FACT, later=i) for i in range(10)]
    index = RecallIndex([said("blue", later=-1), *talk], limit=5)
    assert index.left_out == 6
    assert index.memories(NOON) == [said("blue", later=-1), *talk[6:]], "a preference stays, however old"
    assert RecallIndex(talk).left_out == 0


def test_turns_that_are_not_wanted_do_not_take_the_place_of_others() -> None:
    talk = [said(f"i saw bird {i}", f"user_input_{i}", later=i, source=f"turn-{i}") for i in range(100)]
    found = RecallIndex(talk).search("bird", 3, without=[f"turn-{i}" for i in range(5, 100)])
    assert [memory.source for memory in found] == ["turn-4", "turn-3", "turn-2"]


@pytest.mark.parametrize(
    ("category", "key", "told"),
    [
        (Category.PREFERENCE, "favorite_color", True),
        (Category.PREFERENCE, "user_input_1", True),
        (Category.FACT, "name", True),
        (Category.RELATIONSHIP, "wife", True),
        (Category.FACT, "user_input_1", False),
        (Category.RELATIONSHIP, "user_input_1", False),
        (Category.PLAN, "holiday", False),
    ],
)
def test_preferences_and_who_the_person_is_are_always_told(category: Category, key: str, told: bool) -> None:
    assert list(RecallIndex([said("x", key, category)]).always()) == [said("x", key, category)] * told


# -- by meaning


def vectors(*rows: tuple[float, ...]) -> Vector:
    return np.array(rows, np.float32)


def test_nothing_is_left_of_the_vector_of_what_was_forgotten() -> None:
    index = RecallIndex([said("blue"), said("my pin is zanzibar", "user_input_1")])
    secret, other = (np.cos(np.arange(32, dtype=np.float32) * turn) / 4 for turn in (2, 3))
    kept_secret, kept_other = (np.rint(vector * 4 * 127).astype(np.int8).tobytes() for vector in (secret, other))
    index.put_vectors([said("my pin is zanzibar", "user_input_1"), said("blue")], np.stack([secret, other]))
    assert kept_secret in pickle.dumps(vars(index))
    index.remove(Category.PREFERENCE, "user_input_1")
    assert kept_secret not in pickle.dumps(vars(index))
    assert kept_other in pickle.dumps(vars(index))
    index.clear()
    assert kept_other not in pickle.dumps(vars(index))


def test_a_vector_comes_too_late_for_what_was_replaced_or_forgotten_meanwhile() -> None:
    index = RecallIndex([said("blue"), said("Tilda", "cat")])
    asked = index.without_vector(9)
    index.put(said("green", later=1))
    index.remove(Category.PREFERENCE, "cat")
    index.put_vectors(asked, vectors((1, 0), (0, 1)))
    assert [memory.value for memory in index.without_vector(9)] == ["green"]


def test_what_has_a_name_gets_its_vector_with_it() -> None:
    assert spoken(said("blue")) == "favorite color: blue"
    assert spoken(said("i live here", "user_input_1")) == "i live here"
