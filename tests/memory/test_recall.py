"""Which memories matter for what was just said."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memory import recall
from memory.categories import Category
from memory.recall import rank, words
from memory.store import Memory
from tests.memory.contract import said

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
        "from memory.recall import rank\n"
        "from tests.memory.contract import said\n"
        "dice = random.Random(3)\n"
        "vocabulary = [f'word{i}' for i in range(40)]\n"
        "memories = [said(' '.join(dice.choices(vocabulary, k=dice.randint(1, 9))), f'k{i}', later=i % 7)"
        " for i in range(300)]\n"
        "queries = [' '.join(dice.choices(vocabulary, k=6)) for _ in range(40)]\n"
        "print(json.dumps([[memory.key for memory in rank(memories, query)] for query in queries]))\n"
    )
    root = Path(recall.__file__).parent.parent
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
    memories = [said(" ".join(dice.choices(vocabulary, k=12)), f"k{i}", later=i) for i in range(2000)]
    start = time.perf_counter()
    rank(memories, "word1 word2 word3 word4 word5")
    assert time.perf_counter() - start < 0.5, "measured: about 0.03 s"


def _key(memory: Memory) -> str:
    return memory.key
