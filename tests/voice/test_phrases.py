"""What is said without a model, in a language that is not in the table: translated once, or English."""

from __future__ import annotations

import json
from typing import Any

import pytest

from voice.phrases import ENGLISH, PHRASES, Phrases, phrases_in

SWEDISH = {
    "apology": "Ursäkta, något gick fel. Säg det igen, tack.",
    "hold_on": "Ett ögonblick. ",
    "farewell": "Ursäkta, jag kan inte fortsätta nu. Ring gärna igen om en stund. Hej då.",
}


class Mind:
    def __init__(self, answer: str) -> None:
        self.asked: list[str] = []
        self._answer = answer

    async def __call__(self, messages: list[dict[str, str]], _: dict[str, Any]) -> str:
        self.asked.append(messages[0]["content"])
        return self._answer


@pytest.mark.parametrize("language", ["", *PHRASES])
async def test_for_a_usual_language_nobody_is_asked(language: str) -> None:
    mind = Mind("")
    assert await phrases_in(language, mind) == PHRASES.get(language, ENGLISH)
    assert mind.asked == []


async def test_for_another_the_model_is_asked_once() -> None:
    mind = Mind(json.dumps(SWEDISH))
    assert await phrases_in("sv", mind) == Phrases(**SWEDISH)
    assert len(mind.asked) == 1
    assert "'sv'" in mind.asked[0]


@pytest.mark.parametrize(
    "answer",
    [
        "Sure! Here is the JSON you asked for: {",
        "[]",
        json.dumps({"apology": "Ursäkta."}),
        json.dumps(SWEDISH | {"more": "x"}),
        json.dumps(SWEDISH | {"hold_on": " "}),
        json.dumps(SWEDISH | {"hold_on": 1}),
        json.dumps(SWEDISH | {"apology": "och " * 100}),
    ],
)
async def test_an_answer_that_nobody_can_say_is_none(answer: str) -> None:
    assert await phrases_in("sv", Mind(answer)) == ENGLISH
