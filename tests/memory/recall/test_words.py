"""What counts as a word."""

from __future__ import annotations

import pytest

from memory.recall.words import all_words, first_person, stem, words


@pytest.mark.parametrize(
    "family",
    [
        "move moves moved moving",
        "walk walks walked walking",
        "study studies studied studying",
        "hop hopped hopping",
        "paint paints painted painting",
        "relation relational",
        "adopt adopts adoption adopted",
        "happy happiness",
        "organize organizes organization organizer",
        "cat cats cat's",
        "agree agreed agrees",
    ],
)
def test_forms_of_one_word_have_one_stem(family: str) -> None:
    assert len({stem(word) for word in family.split()}) == 1


@pytest.mark.parametrize(("one", "other"), [("sing", "sin"), ("red", "r"), ("business", "bus"), ("rate", "rat")])
def test_other_words_keep_their_own(one: str, other: str) -> None:
    assert stem(one) != stem(other)


@pytest.mark.parametrize(
    ("word", "porter"),
    [
        ("caresses", "caress"), ("ponies", "poni"), ("feed", "feed"), ("plastered", "plaster"),
        ("conflated", "conflat"),
        ("falling", "fall"), ("filing", "file"), ("sky", "sky"), ("vietnamization", "vietnam"), ("operator", "oper"),
        ("sensibiliti", "sensibl"), ("electriciti", "electr"), ("goodness", "good"), ("revival", "reviv"),
        ("irritant", "irrit"), ("probate", "probat"), ("rate", "rate"), ("cease", "ceas"), ("controll", "control"),
        ("roll", "roll"),
    ],
)  # fmt: skip
def test_the_stems_are_those_of_the_paper(word: str, porter: str) -> None:
    assert stem(word) == porter


def test_words_that_are_not_english_stay_as_they_are() -> None:
    assert words("Straße Müllerweg 4711 東京 b2b") == ["straße", "müllerweg", "4711", "東京", "b2b"]


def test_words_of_every_sentence_do_not_count() -> None:
    assert words("What is it that I should've told you about?") == words("should've")
    assert words("what is my favorite_color") == words("favorite color")


def test_an_apostrophe_is_one_however_it_is_written() -> None:
    assert all_words("I’m Tilda's") == ["i'm", "tilda's"]


def test_who_speaks_of_themselves_is_counted() -> None:
    assert first_person(all_words("I'm glad that my cat is back, icy as it is")) == 2
    assert first_person(all_words("How are you?")) == 0
