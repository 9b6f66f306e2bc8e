"""What counts as a word."""

from __future__ import annotations

from memory.recall.words import all_words, first_person, stem, words

FAMILIES = [
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
]


def test_forms_of_one_word_have_one_stem() -> None:
    assert [family for family in FAMILIES if len({stem(word) for word in family.split()}) != 1] == []


def test_other_words_keep_their_own() -> None:
    pairs = [("sing", "sin"), ("red", "r"), ("business", "bus"), ("rate", "rat")]
    assert [(one, other) for one, other in pairs if stem(one) == stem(other)] == []


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
