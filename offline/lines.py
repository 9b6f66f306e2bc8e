"""The lines in which the worker gives what it remembers of the person, and its tools answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from offline import commands
from offline.english import BE
from offline.facts import VERBATIM_KEY, Fact, looks_like_an_order

_LINE = re.compile(r"^\s*-\s*(\d{4}-\d{2}-\d{2})\s+([A-Z_]+)\s+([^\s:]+):\s*(.*\S)\s*$")
_SENTENCE = re.compile(r"^(?:i|we|my|our|i'\w+|we'\w+)\b", re.IGNORECASE)

# How a key that is a verb reads: "lives_in: Rome" is "I live in Rome".
_VERB_KEYS = {
    "lives": "live", "live": "live", "works": "work", "work": "work", "likes": "like", "like": "like",
    "loves": "love", "love": "love", "enjoys": "enjoy", "prefers": "prefer", "hates": "hate", "dislikes": "dislike",
    "wants": "want", "has": "have", "owns": "own", "speaks": "speak", "plays": "play", "studies": "study",
    "drives": "drive", "plans": "plan", "is": "am", "was": "was", "born": "was born", "moved": "moved",
    "allergic": "am allergic", "interested": "am interested", "married": "am married",
}  # fmt: skip


def remembered(text: str) -> list[Fact]:
    """The facts in lines of the form `- 2026-11-21 CATEGORY key: value`, in their order; other lines say nothing."""
    return [fact for line in text.splitlines() if (match := _LINE.match(line)) for fact in _facts(match[3], match[4])]


def _facts(key: str, value: str) -> Iterator[Fact]:
    if looks_like_an_order(value):
        return
    if VERBATIM_KEY.fullmatch(key) or _SENTENCE.match(value):
        for fact in commands.told(value, of_anyone=True):
            yield replace(fact, key=key)
    else:
        yield Fact(_as_sentence(key, value), key)


def _as_sentence(key: str, value: str) -> str:
    parts = [part for part in re.split(r"[_\-.]+", key.lower()) if part]
    if parts and parts[0] in ("user", "users", "my", "their"):
        parts = parts[1:] or parts
    if parts and parts[0] in _VERB_KEYS:
        return " ".join(["I", _VERB_KEYS[parts[0]], *parts[1:], value])
    if value.split(maxsplit=1)[0].lower() in BE:
        return f"my {' '.join(parts)} {value}"
    return f"my {' '.join(parts)} {'are' if _is_plural(parts) else 'is'} {value}"


def _is_plural(parts: list[str]) -> bool:
    return bool(parts) and parts[-1].endswith("s") and not parts[-1].endswith(("ss", "us", "is", "news"))
