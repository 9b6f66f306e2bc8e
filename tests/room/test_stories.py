"""What somebody told is found two calls later: in any language, in any words, whoever curates."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memory.settings import MemorySettings
from tests.room.edge import Edge, EdgeRoom
from tests.room.product import Product
from tests.room.worker import Worker, until, working

STORIES = json.loads((Path(__file__).parents[1] / "fixtures" / "stories.json").read_text())["stories"]

CURATORS: dict[str, Callable[[], str] | None] = {
    "rules": None,
    "a model that finds nothing": lambda: '{"statements": []}',
    "a model that answers garbage": lambda: "Sure! Here is the JSON you asked for: {",
}


async def told(product: Product, room: EdgeRoom, worker: Worker, person: str, *words: str) -> None:
    """All of a call, while others have theirs."""
    await product.call(worker, room, person, *words)
    await until(lambda: all(product.endings(person)), "the call to end")


def known(product: Product, room: EdgeRoom, question: str) -> str:
    """All that the model could see when it was asked this, but for the question."""
    request = next(request for request in product.requests(room) if request.words == question)
    return request.everything.replace(question, "").lower()


@pytest.mark.parametrize("curator", CURATORS)
async def test_what_somebody_told_is_found_two_calls_later(product: Product, server: Edge, curator: str) -> None:
    answer = product.curator = CURATORS[curator]
    product.set(memory=MemorySettings(memory_extraction="llm" if answer else "rules", resume_window=0))
    lost: list[str] = []

    async def live(story: dict[str, Any], worker: Worker) -> None:
        person, questions = story["kind"], [question for question, _ in story["asked"]]
        first, second, third = (server.room(f"{curator}: {person} {n}") for n in range(3))
        await told(product, first, worker, person, *story["told"])
        await told(product, second, worker, person, "Good morning!", "Thanks, bye.")
        await told(product, third, worker, person, *questions)
        for question, words in story["asked"]:
            lost.extend(f"{question}: {word}" for word in words if word not in known(product, third, question))

    async with working(product.server) as worker:
        for few in range(0, len(STORIES), 3):
            await asyncio.gather(*(live(story, worker) for story in STORIES[few : few + 3]))
            await worker.idle()
    assert lost == []
