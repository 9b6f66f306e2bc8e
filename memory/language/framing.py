"""What a statement begins and ends with that does not matter to what it states: "I think", "these days", "for good"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memory.language.normal_form import without_fillers

_WHEN = (
    r"(?:today|yesterday|lately|these days|nowadays|right now|at the moment|at present|at this point|for now"
    r"|last (?:night|week|weekend|month|year|spring|summer|autumn|fall|winter|\w+day|january|february|march|april|may"
    r"|june|july|august|september|october|november|december)|this (?:morning|week|month|year|spring|summer|autumn"
    r"|fall|winter)|earlier this \w+|(?:a|an|one|two|three|four|five|six|seven|eight|nine|ten|\d+|a few|a couple of"
    r"|some|many) (?:day|week|month|year)s? ago|as of (?:today|this \w+|last \w+|\w+day|\w+ \d+|\d{4}|january"
    r"|february|march|april|may|june|july|august|september|october|november|december)|from (?:today|this day"
    r"|here)(?: on(?:wards?)?| forward)?|from on|in \d{4}|in (?:january|february|march|april|may|june|july|august"
    r"|september|october|november|december)(?: \d{4})?)"
)
_LEAD = re.compile(
    r"(?:(?:i (?:think|guess|believe|mean|meant|said|would say|suppose)|you know what|you know|you see|by the way"
    r"|in fact|to be honest|turns out|it turns out|as you know|for the record|guess what|good news|big news|update"
    r"|on second thoughts?|come to think of it|plans changed|things (?:have )?changed|a lot has changed"
    r"|it is official|remember|note|scratch that|correction|my mistake|sorry|wait|no|yes|so|and|but|because|then"
    r"|anyway|as it is|since then|after \w+ years|unfortunately|sadly|luckily|happily|thankfully|instead|by now"
    r"|in the end|of course|these days|hi|hello|hey|as a matter of fact|well then|i have (?:got )?news"
    r"|i changed my mind"
    r"|i have changed my mind|let me correct (?:that|myself)|" + _WHEN + r") )+"
)
_TAIL = re.compile(
    r"(?: (?:instead|though|by the way|you know|i think|i guess|as well|after all|in fact|to be honest|so much|a lot"
    r"|a bit|a little|very much|thank you|thanks|right|for good|permanently|full time|part time|already|these days"
    r"|unfortunately|sadly|luckily|thankfully|of course|either|at all|the most|the best|best|most|better|again|by now"
    r"|since (?:i was \w+|\w+ \d{4}|\d{4}|last \w+|january|february|march|april|may|june|july|august|september"
    r"|october|november|december|then|birth)|for (?:a|an|the last|the past|about|over|almost|nearly|many|some|several"
    r"|a few|one|two|three|four|five|six|seven|eight|nine|ten|\d+)(?: \w+){0,3} (?:day|week|month|year|decade)s?"
    r"|for (?:years|ages|decades|months)|" + _WHEN + r"))+$"
)
_CHANGE = re.compile(
    r"\b(?:now|these days|nowadays|lately|any more|instead|from now on|switched|changed|as of|no longer|actually)\b"
)


def forms(said: str) -> Iterator[str]:
    """What rules are tried on: without what it begins and ends with first, all that was said last."""
    clean = without_fillers(said)
    lead = _LEAD.match(clean)
    bare = clean[lead.end() :] if lead else clean
    tail = _TAIL.search(bare)
    if tail:
        yield bare[: tail.start()]
    yield from (bare, clean, said)


def speaks_of_a_change(said: str) -> bool:
    """Does it say that something is now otherwise?"""
    return bool(_CHANGE.search(said))
