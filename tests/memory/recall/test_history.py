"""What held before: which questions ask for it, and what of it they get."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memory.recall.history import asked_period, asks_about_the_past, past_that_fits
from memory.records import Category, Memory, Past

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def held(key: str, value: str, since: tuple[int, int], until: tuple[int, int]) -> Past:
    """From one month to another, each as (year, month)."""
    memory = Memory(Category.FACT, key, value, datetime(*since, 1, tzinfo=UTC))
    return Past(memory, datetime(*until, 1, tzinfo=UTC))


RED = held("favorite_color", "red", (2026, 1), (2026, 4))
GREEN = held("favorite_color", "green", (2026, 4), (2026, 9))
PORTO = held("home_city", "Porto", (2024, 1), (2026, 2))
SAID = held("user_input_7", "i walk to work", (2025, 1), (2026, 6))
LIFE = [PORTO, RED, SAID, GREEN]


ABOUT_THE_PAST = [
    "what was my favorite color before?",
    "where did I live before I moved to Lisbon",
    "what did my favorite color use to be",
    "what used to be my favorite color",
    "what was my previous job",
    "where did i previously live",
    "what was my favorite color in March",
    "what was my favorite color back in 2025",
    "what was my home city as of June 2025",
    "what is my old address",
    "where was i living last year",
    "what did i like two years ago",
    "what do i no longer like",
    "what don't i like any more",
    "what was it until the summer",
]


def test_this_asks_about_the_past() -> None:
    assert [question for question in ABOUT_THE_PAST if not asks_about_the_past(question)] == []


ABOUT_THE_PRESENT = [
    "what is my favorite color",
    "what was my name again",
    "what did i say about my cat",
    "remind me to call before dinner",
    "what should i do before the meeting in march",
    "where do i live",
    "how old is my cat",
    "my birthday is in May",
    "",
]


def test_this_does_not() -> None:
    assert [question for question in ABOUT_THE_PRESENT if asks_about_the_past(question)] == []
    assert [question for question in ABOUT_THE_PRESENT if past_that_fits(LIFE, question, NOW)] == []


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("what was my favorite color before", [GREEN, RED]),
        ("what was my favorite color in March", [RED]),
        ("what was my favorite color in march 2026", [RED]),
        ("what was my favorite color in May", [GREEN]),
        ("which colors did i like in 2026", [GREEN, RED]),
        ("which colors did i like in 2019", []),
        ("how did i use to get to work", [SAID]),
        ("what was my home city last year", [PORTO]),
    ],
)
def test_what_fits_is_what_the_question_names_latest_first(question: str, expected: list[Past]) -> None:
    assert past_that_fits(LIFE, question, NOW) == expected


def test_without_a_shared_word_the_facts_that_had_names_are_told() -> None:
    assert past_that_fits(LIFE, "where did i live in 2025", NOW) == [PORTO]
    assert past_that_fits(LIFE, "where did i live before", NOW) == [GREEN, RED, PORTO]


def test_at_most_so_many_are_told() -> None:
    life = [held(f"color_{i}", "red", (2025, 1), (2026, 1)) for i in range(40)]
    assert past_that_fits(life, "what was my color before", NOW, limit=3) == life[:-4:-1]


@pytest.mark.parametrize(
    ("question", "since", "until"),
    [
        ("in March", (2026, 3), (2026, 4)),
        ("in december", (2025, 12), (2026, 1)),
        ("in december 2024", (2024, 12), (2025, 1)),
        ("march of 2020", (2020, 3), (2020, 4)),
        ("in 2025", (2025, 1), (2026, 1)),
        ("last year", (2025, 1), (2026, 1)),
        ("last month", (2026, 10), (2026, 11)),
    ],
)
def test_a_month_or_a_year_is_a_period(question: str, since: tuple[int, int], until: tuple[int, int]) -> None:
    assert asked_period(question, NOW) == (datetime(*since, 1, tzinfo=UTC), datetime(*until, 1, tzinfo=UTC))


NO_MONTHS = """
What was my favorite color before, if I may ask?
may I ask what my favorite color was before
what was my job before the march of time took it
where did I live before we went on the march
what did I like before, march or waltz
you may tell me where I lived in the past
""".strip().splitlines()
MONTHS = """
what did I like in {}
where have I lived since {}
what was my job until {}
what was my job last {}
what was my plan by {}
what did I do during {}
where did I live before {}
where did I live in late {}
where did I live on the first of {}
what was my job {} 2026
what was my job {}, 2026
what was my job {} of 2026
""".strip().splitlines()


def test_may_and_march_are_months_only_beside_words_of_time() -> None:
    assert [question for question in NO_MONTHS if asked_period(question, NOW)] == []
    for name, number in (("May", 5), ("march", 3), ("April", 4)):
        month = datetime(2026, number, 1, tzinfo=UTC), datetime(2026, number + 1, 1, tzinfo=UTC)
        assert [one for one in MONTHS if asked_period(one.format(name), NOW) != month] == []


def test_who_asks_politely_is_told_all_that_held_before() -> None:
    assert past_that_fits(LIFE, "What was my favorite color before, if I may ask?", NOW) == [GREEN, RED]


def test_last_month_of_january_is_december() -> None:
    january = datetime(2026, 1, 15, tzinfo=UTC)
    assert asked_period("last month", january) == (datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


def test_a_question_without_a_time_has_no_period() -> None:
    assert asked_period("what was my favorite color before", NOW) is None
