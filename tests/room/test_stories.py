"""What somebody told is found two calls later, in any language and any words, and what is private or was forgotten is
not: whoever curates."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from memory.settings import MemorySettings
from tests.room.edge import Edge
from tests.room.product import Product
from tests.room.telling import Curate, answers_garbage, attentive, curates_nothing, known, scripted, told
from tests.room.worker import Worker, working

STORIES = json.loads((Path(__file__).parents[1] / "fixtures" / "stories.json").read_text())["stories"]
FACTS = {key: quote for story in STORIES for key, quote in story.get("facts", {}).items()}

NOTHING = "a model that finds nothing"
CURATORS: dict[str, Curate | None] = {
    "rules": None,
    NOTHING: curates_nothing,
    "a model that answers garbage": answers_garbage,
    "a model that names facts": scripted(FACTS),
}


@pytest.mark.parametrize(
    "curator", [pytest.param(name, marks=pytest.mark.thorough if name == NOTHING else ()) for name in CURATORS]
)
async def test_what_somebody_told_is_found_two_calls_later(product: Product, server: Edge, curator: str) -> None:
    product.mind, product.curator = attentive, CURATORS[curator]
    product.set(memory=MemorySettings(memory_extraction="llm" if product.curator else "rules", resume_window=0))
    wrong: list[str] = []

    async def live(story: dict[str, Any], worker: Worker) -> None:
        person, questions = story["kind"], [question for question, *_ in story["asked"]]
        first, second, third = (server.room(f"{curator}: {person} {n}") for n in range(3))
        await told(product, first, worker, person, *story["told"])
        await told(product, second, worker, person, "Good morning!", "Thanks, bye.")
        await told(product, third, worker, person, *questions)
        for question, must, *may_not in story["asked"]:
            seen = known(product, third, question)
            wrong.extend(f"{question} lacks {word}" for word in must if word not in seen)
            wrong.extend(f"{question} has {word}" for words in may_not for word in words if word in seen)
        if curator == "a model that names facts":
            named = [f"{key}: {quote}".lower() for key, quote in story.get("facts", {}).items()]
            wrong.extend(f"no {fact}" for fact in named if fact not in known(product, third, questions[-1]))

    async with working(product.server) as worker:
        for few in range(0, len(STORIES), 3):
            await asyncio.gather(*(live(story, worker) for story in STORIES[few : few + 3]))
            await worker.idle()
    assert wrong == []
