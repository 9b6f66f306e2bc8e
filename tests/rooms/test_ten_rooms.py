"""Many rooms at once on one worker: each gets its agent, and nothing of one reaches another."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from tests.rooms.person import Person, together
from tests.stack.livekit_server import LiveKitServer
from tests.stack.models import Asked
from tests.stack.worker import Worker

Fresh = Callable[[str], str]

# A name that no other is a part of, and that a person could give a cat.
NAMES = ["Amber", "Biscuit", "Clover", "Domino", "Ember", "Figaro", "Ginger", "Hazel", "Indigo", "Jasper"]


@pytest.mark.parametrize(
    ("people", "rounds"),
    [pytest.param(3, 2, marks=pytest.mark.thorough), pytest.param(10, 5, marks=pytest.mark.soak)],
    ids=["three rooms", "ten rooms"],
)
async def test_people_in_rooms_of_their_own_at_once_never_cross(
    livekit_server: LiveKitServer, worker: Worker, asked: Asked, fresh: Fresh, people: int, rounds: int
) -> None:
    names = NAMES[:people]
    everybody = [Person(livekit_server, fresh(name), fresh(f"of {name}"), microphone=False) for name in names]

    async def live(person: Person, name: str) -> None:
        await person.answer(seconds=60)
        for number in range(rounds):
            await person.type(f"my cat is called {name} the {number + 1}")
            await person.answer(seconds=60)
            await person.type("what is my cat called")
            answer = await person.answer(seconds=60)
            assert f"{name} the {number + 1}" in answer.text

    async with together(*everybody):
        await asyncio.gather(*(live(person, name) for person, name in zip(everybody, names, strict=True)))

    for person, name in zip(everybody, names, strict=True):
        await worker.keeps(person.identity, 1)
        assert _names_in("\n".join(each.value for each in worker.kept(person.identity))) == {name}
        assert _names_in("\n".join(each.text for each in person.transcripts)) == {name}
    assert all(len(_names_in(conversation)) <= 1 for conversation in asked.conversations)
    assert len(asked.conversations) >= people * (1 + 2 * rounds)


def _names_in(text: str) -> set[str]:
    return set(re.findall("|".join(NAMES), text))
