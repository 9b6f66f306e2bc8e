"""Twenty people in twenty rooms of one process, all at once, typed and spoken: nobody's words become anybody else's."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.room.edge import Edge
from tests.room.models import Call, Request
from tests.room.product import Product
from tests.room.worker import until, working

TURNS = 10


def mind(request: Request) -> str | Call:
    """Repeats all secrets that it can see; keeps one by a tool when asked to."""
    if "please remember" in request.words and not request.tool_has_answered:
        return Call("remember", {"category": "FACT", "key": "badge", "value": request.words.rpartition(" ")[2]})
    return " ".join(secrets_in(request.everything)) or "Nothing yet."


def secrets_in(text: str) -> list[str]:
    return sorted(set(re.findall(r"secret\d\d[a-z]", text)))


@pytest.mark.parametrize("people", [6, pytest.param(20, marks=pytest.mark.soak)])
async def test_interleaved_turns_of_many_people_never_cross(people: int, product: Product, server: Edge) -> None:
    product.mind = mind

    async def live(number: int) -> None:
        person, room = f"person-{number}@example.com", server.room(f"room of {number}")
        room.join(person)
        own = [f"secret{number:02}{letter}" for letter in "abcde"]
        await worker.job(room.name)
        await product.greeted(room)
        await product.chat(room, person, f"my cat is called {own[0]}")
        await product.say(room, person, f"my street is {own[1]}")
        await product.chat(room, person, "what is my cat called")
        await product.say(room, person, "where do I live")
        await product.chat(room, person, f"please remember my badge {own[2]}")
        await product.say(room, person, f"i love {own[3]}")
        await product.chat(room, person, "what do I love")
        await product.say(room, person, f"our dog is {own[4]}")
        await product.chat(room, person, "who is our dog")
        await product.say(room, person, "what do you know about me")

        requests = product.requests(room)
        assert [secrets_in(request.everything) for request in requests][-1] == own
        assert all(set(secrets_in(request.everything)) <= set(own) for request in requests)
        assert len({request.words for request in requests if request.words}) == TURNS
        await until(lambda: secrets_in(" ".join(product.memories(person))) == own, f"what {person} told to be stored")
        room.close()

    async with working(product.server) as worker:
        await asyncio.gather(*(live(number) for number in range(people)))
        await worker.idle()

    kept = {f"person-{number}@example.com": f"secret{number:02}" for number in range(people)}
    for person, own in kept.items():
        assert all(secret.startswith(own) for secret in secrets_in(" ".join(product.memories(person))))
    assert len(secrets_in(" ".join(product.everything_stored()))) == people * 5
    assert product.services.memory._live._people == {}
