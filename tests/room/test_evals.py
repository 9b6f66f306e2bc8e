"""The scenarios of `make eval`, with a scripted mind: what a model must be able to answer, whoever curates.

What must be known stands in its request; what must be gone does not.
"""

from __future__ import annotations

import asyncio

import pytest

from evals.scenario import Scenario, scenarios
from memory.settings import MemorySettings
from tests.room.edge import Edge
from tests.room.product import Product
from tests.room.telling import Curate, answers_garbage, attentive, curates_nothing, known, told
from tests.room.worker import Worker, working

CURATORS: dict[str, Curate] = {
    "a model that curates": curates_nothing,
    "a model that answers garbage": answers_garbage,
}


@pytest.mark.parametrize("curator", CURATORS)
async def test_what_must_be_known_is_there_and_what_must_be_gone_is_not(
    product: Product, server: Edge, curator: str
) -> None:
    product.mind, product.curator = attentive, CURATORS[curator]
    product.set(memory=MemorySettings(memory_extraction="llm", resume_window=0))
    wrong: dict[str, list[str]] = {}

    async def live(scenario: Scenario, worker: Worker) -> None:
        for n, conversation in enumerate(scenario.conversations):
            room = server.room(f"{curator}: {scenario.name} {n}")
            person = f"{scenario.name}.{conversation.person}"
            await told(product, room, worker, person, *conversation.lines)
            for _, question in conversation.questions:
                if faults := question.faults_of_what_is_shown(known(product, room, question.ask)):
                    wrong[f"{scenario.name}: {question.ask}"] = faults

    every = scenarios()
    async with working(product.server) as worker:
        for few in range(0, len(every), 3):
            await asyncio.gather(*(live(scenario, worker) for scenario in every[few : few + 3]))
            await worker.idle()
    assert wrong == {}
