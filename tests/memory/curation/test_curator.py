"""How often a curator is asked, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from memory.curation.check import AnswerRefused
from memory.curation.curator import Budget, Curator
from memory.curation.request import RESPONSE_FORMAT, Batch
from tests.memory.stores.contract import stated

BATCH = Batch([stated("Ich mag Feigen", source="item_1")])


def asked(budget: Budget, turns: int) -> int:
    """How many requests it allows in so many turns."""
    requests = 0
    for _ in range(turns):
        budget.turn()
        if budget.allows:
            budget.asked()
            requests += 1
    return requests


@pytest.mark.parametrize("turns", [0, 1, 3, 4, 7, 8, 100])
def test_once_for_four_turns_at_most(turns: int) -> None:
    assert asked(Budget(), turns) == turns // 4


def test_what_was_left_over_counts_as_the_turns_in_which_it_was_said() -> None:
    budget = Budget()
    budget.left_over(3)
    assert budget.allows is False
    budget.turn()
    assert budget.allows is True
    budget.asked()
    assert budget.allows is False


def test_turns_of_this_call_are_not_left_over_from_another() -> None:
    budget = Budget()
    for _ in range(3):
        budget.turn()
    budget.left_over(3)
    assert budget.allows is False


def test_after_a_failure_only_the_calls_own_turns_count() -> None:
    budget = Budget()
    budget.left_over(16)
    budget.asked()
    budget.failed()
    assert asked(budget, 8) == 1


async def test_what_it_cost_is_counted_whatever_comes_of_it() -> None:
    answers = iter(['{"statements": []}', "garbage", ""])

    async def ask(_: list[dict[str, str]], form: dict[str, Any], spent: Callable[[int], None]) -> str:
        assert form is RESPONSE_FORMAT
        spent(7)
        await asyncio.sleep(0.01)
        return next(answers) or await asyncio.Event().wait() or ""

    curator = Curator(ask, 0.05)
    await curator.curated(BATCH, None)
    with pytest.raises(AnswerRefused):
        await curator.curated(BATCH, None)
    with pytest.raises(TimeoutError):
        await curator.curated(BATCH, None)
    spent = curator.spent
    assert (spent.requests, spent.refused, spent.tokens) == (3, 2, 21)
    assert 0.06 < spent.seconds < 5
