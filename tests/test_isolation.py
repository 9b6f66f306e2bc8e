"""Many people at once, typed and spoken, interleaved: nobody hears, reads or overwrites what is somebody else's."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from identity import livekit_identity_to_uuid
from tests.conftest import SPEECH, Talk

COLORS = "blue red green pink white black brown orange yellow purple".split()


class Person:
    """Somebody with a favorite color and a pet that nobody else has."""

    def __init__(self, number: int) -> None:
        self.identity = f"person-{number}@example.com"
        self.color = f"{COLORS[number % len(COLORS)]} number {number:02}"  # none is a part of another
        self.pet = f"Pet{number:03}"

    @property
    def secrets(self) -> tuple[str, str]:
        return self.color, self.pet

    async def talk(self, talk: Talk, *, aloud: bool) -> str:
        """Eight typed turns in two conversations, and two spoken ones in a third; returns all that was said to them."""
        told = await talk(
            self.identity,
            *(f"my favorite color is {self.color}", f"my cat is called {self.pet}", "hello", "what is my cat called"),
        )
        asked = await talk(
            self.identity,
            *("what is my favorite color", "what is my cat called", "what do you know about me", "thank you"),
        )
        assert self.pet in told.answers[3]
        assert self.color in asked.answers[0]
        assert self.pet in asked.answers[1]
        return str([told.events, asked.events, await self._speak(talk) if aloud else ""])

    async def _speak(self, talk: Talk) -> str:
        recordings = [str(SPEECH / name) for name in ("ask_color.rms.wav", "books.rms.wav")]
        spoken = await talk(self.identity, options=("--say", *recordings))
        assert self.color in spoken.answers[0]
        assert spoken.of("user") == ["what is my favorite color", "i love reading books"]
        return str(spoken.events)


async def hold_all(talk: Talk, people: Sequence[Person], at_once: int, *, aloud: bool) -> None:
    for first in range(0, len(people), at_once):
        together = people[first : first + at_once]
        heard = await asyncio.gather(*(person.talk(talk, aloud=aloud) for person in together))
        for person, everything in zip(together, heard, strict=True):
            others = [secret for other in people if other is not person for secret in other.secrets]
            assert [secret for secret in others if secret in everything] == []


def stored(file: Path) -> dict[str, set[str]]:
    """Everything that is stored, by user."""
    by_user: dict[str, set[str]] = {}
    with sqlite3.connect(file) as db:
        for user, value in db.execute("select user_id, value from memories"):
            by_user.setdefault(user, set()).add(value)
    return by_user


async def in_two_processes(count: int, talk: Talk, home: Path, *, aloud: bool) -> None:
    people = [Person(number) for number in range(count)]
    await hold_all(talk, people, at_once=2, aloud=aloud)
    assert stored(home / "rapport.db") == {
        str(livekit_identity_to_uuid(person.identity)): {
            f"my favorite color is {person.color}",
            f"my cat is called {person.pet}",
            *(["i love reading books"] if aloud else []),
        }
        for person in people
    }


@pytest.mark.thorough
async def test_people_in_two_processes_at_once_keep_what_is_theirs(talk: Talk, home: Path) -> None:
    await in_two_processes(2, talk, home, aloud=False)


@pytest.mark.soak
async def test_200_turns_of_20_people_in_two_processes_at_once(talk: Talk, home: Path) -> None:
    await in_two_processes(20, talk, home, aloud=True)
