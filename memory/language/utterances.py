"""Which turns of a person are one utterance, and how they read together.

A pause of half a second ends a turn, and seldom a thought: "my daughter's name is" and "Clara" are one statement. A
turn goes on with the one before it as long as the person cannot have reacted to anything in between: no answer was
heard to its end, hardly anything of one was heard at all, and they were not silent for long.
"""

from __future__ import annotations

import re
from dataclasses import replace

from memory.records import Turn

SILENCE_SECONDS = 8.0
"""After so long without a word from either side, what comes is something new."""
# An interruption takes half a second of speech, and who goes on talking has not reacted to what they hear; who answers
# an answer has heard more of it than this. In the middle of a sentence people are slower to stop.
_HEARD_SECONDS, _HEARD_IN_A_SENTENCE_SECONDS = 1.0, 2.5

_OPEN = re.compile(
    r"(?:[,;:…–—、，،；：-]|\.\.\.)\s*$"
    r"|\b(?:a|an|the|my|our|your|his|their|is|are|was|were|am|i|i'm|it's|he's|she's|and|or|but|because|if|than|with|of|to"
    r"|from|for|in|at|by|on|called|named|um+|uh+|er+|hmm+)[\s.…,–—-]*$",
    re.IGNORECASE,
)
# "Tell me what my name is.", "I know who you are."
_ASKED = re.compile(
    r"\b(?:what|who|whose|where|how|when|which|why)\b[^.!?]*\b(?:is|are|was|were|am)[\s.]*$", re.IGNORECASE
)
_ENDED = re.compile(r"[.!?。！？।॥؟]['\")\]»”’]*\s*$")
# A recogniser begins each part with a capital; a name keeps its own.
_SMALL = re.compile(r"^(?:A|An|The|My|And|Or|But|Because|With|Of|To|From|For|In|At|By|On)\b")
_CLAUSE = re.compile(r"(?:i|i'm|i've|im|ive|i'd|my|we|we're|we've|our)\b", re.IGNORECASE)


def unfinished(text: str) -> bool:
    """Does it stop in the middle of a sentence? By its last mark in any language, by its last word in English."""
    return bool(_OPEN.search(text)) and not _ASKED.search(text)


def heard_enough(text: str) -> float:
    """How much of an answer somebody who said this must have heard, in seconds, to have reacted to it."""
    return _HEARD_IN_A_SENTENCE_SECONDS if unfinished(text) else _HEARD_SECONDS


def continued(said: Turn, more: Turn) -> Turn:
    """The utterance as if it had been one turn, with the id and the time of its first."""
    return replace(said, text=_joined(said.text, more.text))


def _joined(first: str, second: str) -> str:
    """A recogniser ends each part with a full stop and begins it with a capital; whoever types often writes neither."""
    if unfinished(first):
        first = first.rstrip(" .…,–—-")
    elif _ENDED.search(first):
        return f"{first} {second}"
    elif _CLAUSE.match(second):
        return f"{first}\n{second}"
    return f"{first} {_SMALL.sub(lambda word: word[0].lower(), second, count=1)}"
