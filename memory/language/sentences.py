"""Where a text's sentences are, in any language: no dot of "St. Louis", "Dr. Smith" or "8 p.m." ends one."""

from __future__ import annotations

from livekit import blingfire


def sentence_places(text: str) -> list[tuple[int, int]]:
    """Where each begins and ends; blanks between them are in none."""
    _, places = blingfire.text_to_sentences_with_offsets(text)
    return [(start, end) for start, end in places]


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_places(text)]
