"""A test can tell what the agent said from a recording of its voice alone."""

from pathlib import Path

import pytest

from offline.speech.mouth import encode, speak
from tests.offline.listening import heard_sentence, heard_words

COLORS = ["blue", "red", "green"]
REPLIES = [
    *(f"Your favorite color is {color}." for color in COLORS),
    "I don't know your favorite color yet.",
    "Welcome back.",
]


@pytest.mark.parametrize("color", COLORS)
def test_tells_the_spoken_color(color: str, tmp_path: Path) -> None:
    recording = tmp_path / "agent.wav"
    recording.write_bytes(encode(speak(f"Your favorite color is {color}."), "wav"))
    assert heard_words(recording, COLORS) == color


def test_hears_no_color_where_none_is_spoken() -> None:
    assert heard_words(encode(speak("I don't know your favorite color yet."), "wav"), COLORS) == ""


@pytest.mark.parametrize("reply", REPLIES)
def test_tells_one_reply_from_another(reply: str) -> None:
    assert heard_sentence(encode(speak(reply), "wav"), REPLIES) == reply


def test_hears_it_through_a_lossy_codec() -> None:
    assert heard_words(encode(speak("Your favorite color is green."), "opus"), COLORS) == "green"


def test_a_sentence_that_is_no_candidate_is_not_taken_for_one() -> None:
    assert heard_sentence(encode(speak("The train to Berlin leaves at nine."), "wav"), REPLIES) == ""
