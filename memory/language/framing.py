"""What a statement begins and ends with that does not matter to what it states: "I think", "these days", "for good"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memory.language.normal_form import without_fillers

_WHEN = (
    r"(?:today|yesterday|lately|these days|nowadays|right now|at the moment|for now|from (?:now )?on|by now"
    r"|(?:last|this) \w+|in \d{4}|since \w+(?: \d{4})?|for (?:\w+ ){0,2}(?:days|weeks|months|years)"
    r"|(?:a|an|\w+) (?:day|week|month|year)s? ago)"
)
_LEAD = re.compile(
    r"(?:(?:i (?:think|guess|believe|mean|meant)|you know|by the way|in fact|to be honest|scratch that|correction"
    r"|my mistake|sorry|wait|no|yes|so|and|but|because|then|anyway|hi|hello|hey|i (?:have )?changed my mind|"
    + _WHEN
    + r") )+"
)
_TAIL = re.compile(
    r"(?: (?:instead|though|by the way|you know|i think|i guess|as well|in fact|to be honest|thank you|thanks|right"
    r"|full time|part time|again|" + _WHEN + r"))+$"
)


def forms(said: str) -> Iterator[str]:
    """What rules are tried on: without what it begins and ends with first, all that was said last."""
    clean = without_fillers(said)
    lead = _LEAD.match(clean)
    bare = clean[lead.end() :] if lead else clean
    tail = _TAIL.search(bare)
    if tail:
        yield bare[: tail.start()]
    yield from (bare, clean)
