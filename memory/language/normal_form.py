"""One thing said in two ways: forms of a statement in which case, marks, contractions and fillers make no difference.

English, typed or as a recogniser writes it. Nothing here is ever stored or shown; what is stored are people's own
words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from memory.language.keys import american
from memory.language.words import WORDS, one_of

# With or without its apostrophe: recognisers and hurried people leave it out.
_WRITTEN_OUT = (
    (r"\b(?:can't|cant|cannot)\b", "can not"),
    (r"\b(?:won't|wont)\b", "will not"),
    (r"\b(do|does|did|is|are|was|were|have|has|had|could|would|should)(?:n't|nt)\b", r"\1 not"),
    (r"\bi'?m\b", "i am"),
    (r"\bi'?ve\b", "i have"),
    (r"'ve\b", " have"),
    (r"'re\b", " are"),
    (r"'ll\b", " will"),
    (r"'d\b", " would"),
    (r"\blet's\b", "let us"),
    (r"\b(it|he|she|that|this|what|who|where|there|here|name|everything|everybody|everyone)'s\b", r"\1 is"),
)
# What else is one word said in two ways.
_ONE_WAY = (
    (r"'s (?=(?:called|named|a|an|not|now|my|our|no longer)\b)", " is "),
    (r"\b(favou?rite \w+(?: \w+)?)'s (?!.*\b(?:is|are|was)\b)", r"\1 is "),
    (r"'s?\b", "s"),
    (r"\bgonna\b", "going to"),
    (r"\bwanna\b", "want to"),
    (r"\b(?:anymore|any longer)\b", "any more"),
    (r"\be[- ]mail\b", "email"),
)
# A dot, an @ or a hyphen belongs to a word only between two of its characters: "alice@example.com", "3.5".
_TOKEN = re.compile(r"[+#]?\w+(?:[.@'+-]+\w+)*")

_COUNTED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
NUMBERS = {word: str(number) for number, word in enumerate(_COUNTED.split())}
# What a statement begins and ends with that does not matter to what it states: "I think", "these days", "for good".
_WHEN = (
    rf"(?:{one_of('when')}|(?:last|this) \w+|in \d{{4}}|since \w+(?: \d{{4}})?"
    r"|for (?:\w+ ){0,2}(?:days|weeks|months|years)|\w+ (?:day|week|month|year)s? ago)"
)
_LEAD = re.compile(rf"^(?:(?:{one_of('lead')}|{_WHEN}) )+")
_TAIL = re.compile(rf"(?: (?:{one_of('tail')}|{_WHEN}))+$")


def plain(text: str) -> str:
    """Lower case, contractions written out, no marks, one blank between words."""
    low = written_out(american(text.replace("’", "'").lower()))
    for pattern, replacement in _ONE_WAY:
        low = re.sub(pattern, replacement, low)
    return " ".join(_TOKEN.findall(low))


def written_out(low: str) -> str:
    """A text in small letters without contractions; its marks stay."""
    for pattern, replacement in _WRITTEN_OUT:
        low = re.sub(pattern, replacement, low)
    return low


def without_fillers(plain_text: str) -> str:
    """A plain form without "um", "really", "now" and the like; the form itself if nothing else is in it."""
    return " ".join(word for word in plain_text.split() if word not in WORDS["fillers"]) or plain_text


def forms(said: str) -> Iterable[str]:
    """What rules are tried on: without what it begins and ends with first, all that was said last."""
    clean = without_fillers(said)
    bare = _LEAD.sub("", clean)
    return dict.fromkeys((_TAIL.sub("", bare), bare, clean))


def normal_form(text: str) -> str:
    """Equal for two statements that say the same in nearly the same words; a key for look-ups, never shown."""
    bare = without_fillers(plain(text)).split()
    return " ".join(NUMBERS.get(word, word) for word in bare if word not in WORDS["articles"]) or " ".join(bare)


def same_statement(one: str, other: str) -> bool:
    """Would keeping both be keeping one thing twice?"""
    return normal_form(one) == normal_form(other)
