"""Whole conversations with the shipped worker: `make talk` as a person uses it, without a server or a key.

Each conversation is a process of its own, so whatever is known in the next one went through the store.
"""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import pytest

from tests.conftest import SPEECH, Talk
from tests.offline.listening import heard_words


async def test_what_alice_said_comes_back_in_her_words_in_a_new_process_and_bob_hears_nothing_of_it(talk: Talk) -> None:
    first = await talk(
        "alice@example.com",
        *("my favorite color is blue", "my cat is called Tilda", "I work as a carpenter", "we moved to Lisbon"),
    )
    again, stranger = await asyncio.gather(
        talk("alice@example.com", "what is my favorite color", "what is my cat called", "where do I live"),
        talk("bob@example.com", "what is my favorite color", "goodbye", "where do I live"),
    )

    assert "I am Rapport" in first.greeting
    assert "I am Rapport" not in again.greeting
    assert "my favorite color is blue" in first.of("memory")
    told = ["blue", "Tilda", "Lisbon"]
    assert [word in answer for word, answer in zip(told, again.answers, strict=True)] == [True] * 3
    assert "don't know" in stranger.answers[0]
    assert stranger.answers[1:] == ["Goodbye. It was good to talk to you."], "the agent hangs up"
    assert [word for word in told if word in str(stranger.events)] == []


async def test_what_is_forgotten_is_not_known_any_more_and_all_of_it_takes_a_yes(talk: Talk) -> None:
    told = await talk(
        "alice@example.com",
        *("my cat is called Tilda", "my favorite color is blue", "forget my cat", "what is my cat called"),
        *("forget everything", "no wait", "what is my favorite color"),
    )
    after = await talk(
        "alice@example.com", "what is my cat called", "forget everything", "yes", "what is my favorite color"
    )

    assert "Tilda" not in told.answers[3]
    assert "blue" in told.answers[6]
    assert "Tilda" not in after.answers[0]
    assert "blue" not in after.answers[3]


@pytest.mark.thorough
async def test_a_spoken_statement_is_answered_aloud_in_another_process(talk: Talk, tmp_path: Path) -> None:
    answer = tmp_path / "answer.wav"
    await talk("alice@example.com", options=("--say", str(SPEECH / "blue.rms.wav")))
    asked = await talk("alice@example.com", options=("--say", str(SPEECH / "ask_color.rms.wav"), "--save", str(answer)))

    assert asked.of("user") == ["what is my favorite color"]
    assert heard_words(answer, ["blue", "red", "green"]) == "blue"


@pytest.mark.thorough
async def test_two_people_who_speak_at_the_same_time_hear_their_own(talk: Talk, tmp_path: Path) -> None:
    await talk("bob@example.com", "my favorite color is green")
    both = [
        ("alice@example.com", "blue.rms.wav", "ask_color.rms.wav"),
        ("bob@example.com", "hello.rms.wav", "ask_color.awb.wav"),
    ]
    alice, bob = await asyncio.gather(
        *(talk(who, options=("--say", str(SPEECH / first), str(SPEECH / second))) for who, first, second in both)
    )

    assert "blue" in alice.answers[1]
    assert "green" in bob.answers[1]
    assert "green" not in str(alice.events)
    assert "blue" not in str(bob.events)


def test_the_recordings_are_what_they_are_called() -> None:
    for recording in SPEECH.glob("*.wav"):
        with wave.open(str(recording)) as file:
            assert (file.getframerate(), file.getnchannels()) == (16000, 1), recording.name
