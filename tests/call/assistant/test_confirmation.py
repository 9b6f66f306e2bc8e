"""A model must not be able to say yes for the person."""

from __future__ import annotations

import pytest

from call.assistant.confirmation import SpokenConfirmation

BEFORE = ["hello", "please forget everything about me"]


def asked() -> SpokenConfirmation:
    """The person wants everything forgotten, and the model has just been told to ask them."""
    confirmation = SpokenConfirmation()
    assert confirmation.given(BEFORE, "") is False
    return confirmation


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("yes", "yes"),
        ("Yes!", "yes"),
        ("yes please", "Yes, please."),
        ("Yeah, go ahead", "yeah"),
        ("yes delete it all", "delete it all"),
        ("okay do it", "okay"),
        ("sure", "Sure"),
        ("YES, forget everything.", "yes forget everything"),
        ("well yes I am sure", "I am sure"),
    ],
)
def test_the_persons_own_yes_is_enough(answer: str, words: str) -> None:
    assert asked().given([*BEFORE, answer], words) is True


# -- what a model could try


@pytest.mark.parametrize("words", ["yes", "please forget everything about me", "forget everything", "please"])
def test_the_wish_itself_is_no_confirmation(words: str) -> None:
    confirmation = SpokenConfirmation()
    assert confirmation.given(BEFORE, words) is False
    assert confirmation.given(BEFORE, words) is False, "a second call in the same turn"
    assert confirmation.given(BEFORE, words) is False, "nor a third"


@pytest.mark.parametrize("words", ["yes", "", "please"])
def test_before_the_person_said_anything_nothing_is_confirmed(words: str) -> None:
    confirmation = SpokenConfirmation()
    assert confirmation.given([], words) is False
    assert confirmation.given([], words) is False


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("what do you mean", "yes"),
        ("I was there yesterday", "yes"),
        ("my eyes hurt", "yes"),
        ("yes", "yes please"),
        ("yes", "yesterday"),
        ("sure thing", "yes"),
        ("please do", "do please"),
        ("yes", BEFORE[-1]),
        ("", "yes"),
        ("", ""),
        ("...", "..."),
        ("ye s", "yes"),
    ],
)
def test_words_the_person_did_not_say_are_no_confirmation(answer: str, words: str) -> None:
    assert asked().given([*BEFORE, answer], words) is False


@pytest.mark.parametrize("words", ["", " ", "!", "\n", "_", "…", "\u200b"])
def test_empty_words_are_no_confirmation(words: str) -> None:
    assert asked().given([*BEFORE, "yes"], words) is False


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("no", "no"),
        ("No, please.", "please"),
        ("yes no wait", "yes"),
        ("yes, but not now", "yes"),
        ("no yes", "yes"),
        ("don't do it", "do it"),
        ("Don’t do it", "do it"),
        ("do not delete it", "delete it"),
        ("nope", "nope"),
        ("nah keep it", "keep it"),
        ("stop, I said yes to something else", "yes"),
        ("never say yes", "yes"),
        ("cancel that, yes", "yes"),
        ("yes I changed my mind, keep everything", "yes"),
        ("I can't say yes to that", "yes"),
        ("I won’t say yes", "yes"),
        ("hold on", "hold on"),
        ("yes? I'd rather keep it", "yes"),
    ],
)
def test_a_person_who_refuses_has_not_agreed(answer: str, words: str) -> None:
    assert asked().given([*BEFORE, answer], words) is False


@pytest.mark.parametrize(
    "answer",
    [
        "what happens then",
        "what do you mean",
        "hello",
        "can you repeat that please",
        "I don't know",
        "keep everything",
        "my cat is called Tilda",
        "what would you forget",
        "what happens if you delete everything",
        "did I say forget everything",
        "why would you delete it",
        "are you sure",
        "okay but what does that mean",
    ],
)
def test_an_answer_that_is_no_yes_is_none_even_when_it_is_quoted(answer: str) -> None:
    """Lets something through only when the person agreed: quoting any other answer is not enough."""
    assert asked().given([*BEFORE, answer], answer) is False


def test_two_turns_later_it_is_too_late() -> None:
    assert asked().given([*BEFORE, "what is the weather", "yes"], "yes") is False


def test_what_was_said_two_turns_ago_is_no_answer() -> None:
    assert asked().given([*BEFORE, "what is the weather", "yes"], "what is the weather") is False


def test_after_a_refusal_the_question_must_be_asked_again() -> None:
    confirmation = asked()
    assert confirmation.given([*BEFORE, "no"], "no") is False
    assert confirmation.given([*BEFORE, "no"], "yes") is False
    assert confirmation.given([*BEFORE, "no", "well yes"], "yes") is True


def test_after_a_misquote_the_question_must_be_asked_again() -> None:
    confirmation = asked()
    assert confirmation.given([*BEFORE, "yes"], "yes please") is False
    assert confirmation.given([*BEFORE, "yes"], "yes") is False
    assert confirmation.given([*BEFORE, "yes", "yes I said"], "yes") is True


def test_one_yes_is_good_for_one_deletion() -> None:
    confirmation = asked()
    turns = [*BEFORE, "yes"]
    assert confirmation.given(turns, "yes") is True
    assert confirmation.given(turns, "yes") is False
    turns.append("yes I like jazz")
    assert confirmation.given([*turns, "hm", "yes"], "yes") is False


def test_a_history_that_became_shorter_confirms_nothing() -> None:
    confirmation = asked()
    assert confirmation.given(["yes"], "yes") is False


# -- what it is about

MILK, EGGS = ("tasks", "add", '{"name": "milk"}'), ("tasks", "add", '{"name": "eggs"}')


def test_a_yes_to_one_thing_is_none_to_another() -> None:
    confirmation = SpokenConfirmation()
    assert confirmation.given(BEFORE, "", MILK) is False
    assert confirmation.given([*BEFORE, "yes"], "yes", EGGS) is False
    assert confirmation.given([*BEFORE, "yes"], "yes", MILK) is True


def test_one_yes_is_good_for_one_of_two_things_that_were_asked_about_together() -> None:
    confirmation = SpokenConfirmation()
    for thing in (MILK, EGGS):
        assert confirmation.given(BEFORE, "", thing) is False
    first = [*BEFORE, "yes"]
    assert confirmation.given(first, "yes", MILK) is True
    assert confirmation.given(first, "yes", EGGS) is False, "they are asked now"
    assert confirmation.given([*first, "yes please"], "yes", EGGS) is True


def test_what_is_asked_about_while_something_is_agreed_to_waits_for_its_own_yes() -> None:
    confirmation = SpokenConfirmation()
    assert confirmation.given(BEFORE, "", MILK) is False
    first = [*BEFORE, "yes"]
    assert confirmation.given(first, "", EGGS) is False
    assert confirmation.given(first, "yes", MILK) is True
    assert confirmation.given([*first, "yes"], "yes", MILK) is False
    assert confirmation.given([*first, "yes"], "yes", EGGS) is True
