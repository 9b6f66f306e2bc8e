"""Half a sentence and the rest of it are one statement."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce

import pytest

from memory.language.statements import statements_in
from memory.language.utterances import continued, unfinished
from memory.records import Turn

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        (["my favorite color is", "green"], {"favorite_color": "my favorite color is green"}),
        (["my favorite color is...", "Green."], {"favorite_color": "my favorite color is Green."}),
        (["My daughter's name is", "Clara"], {"daughter_clara": "My daughter's name is Clara"}),
        (["I live in", "The Hague"], {"home_city": "I live in the Hague"}),
        (["I'm allergic to", "bees", "and to wasps"], {None: "I'm allergic to bees and to wasps"}),
        (["I live in Rome", "my name is Ann"], {"home_city": "I live in Rome", "name": "my name is Ann"}),
        (["I live in Rome.", "My name is Ann."], {"home_city": "I live in Rome.", "name": "My name is Ann."}),
    ],
)
def test_what_was_said_in_parts_reads_as_it_was_meant(parts: list[str], kept: dict[str | None, str]) -> None:
    turns = [Turn(f"item_{number}", "user", text, NOON) for number, text in enumerate(parts)]
    whole = reduce(continued, turns)
    assert {one.key: one.value for one in statements_in(whole.text)} == kept
    assert (whole.id, whole.said_at) == ("item_0", NOON)


@pytest.mark.parametrize(
    "text", ["my favorite color is", "I like it, because", "I went to the", "私は、", "well,", "and"]
)
def test_who_stops_in_the_middle_has_not_finished(text: str) -> None:
    assert unfinished(text)


@pytest.mark.parametrize(
    "text",
    [
        "my favorite color is green",
        "I live in Rome.",
        "That is what I like.",
        "Tell me what my favorite color is.",
        "You know who I am",
        "はい。",
        "",
    ],
)
def test_who_has_said_it_all_has(text: str) -> None:
    assert not unfinished(text)
