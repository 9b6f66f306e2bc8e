"""One thing said in two ways: forms of a statement in which case, marks, contractions and fillers make no difference.

English, typed or as a recogniser writes it. Nothing here is ever stored or shown; what is stored are people's own
words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from memory.language.keys import american

# With or without its apostrophe: recognisers and hurried people leave it out.
_WRITTEN_OUT = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
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
]
# What else is one word said in two ways.
_ONE_WAY = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"'s (?=(?:called|named|a|an|not|now|my|our|no longer)\b)", " is "),
        (r"\b(favou?rite \w+(?: \w+)?)'s (?!.*\b(?:is|are|was)\b)", r"\1 is "),
        (r"'s?\b", "s"),
        (r"\bgonna\b", "going to"),
        (r"\bwanna\b", "want to"),
        (r"\b(?:anymore|any longer)\b", "any more"),
        (r"\be[- ]mail\b", "email"),
    )
]
# A dot, an @ or a hyphen belongs to a word only between two of its characters: "alice@example.com", "3.5".
_TOKEN = re.compile(r"[+#]?\w+(?:[.@'+-]+\w+)*")

# They change how a thing is said, not what is said.
_FILLERS = frozenset(
    "um uh erm hmm just really actually currently recently finally officially absolutely totally truly still "
    "definitely honestly basically simply quite already too also now very oh well okay ok please".split()
)
_ARTICLES = frozenset("a an the".split())
NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
}


# What a statement begins and ends with that does not matter to what it states: "I think", "these days", "for good".
_WHEN = (
    r"(?:today|yesterday|lately|these days|nowadays|right now|at the moment|for now|from (?:now )?on|by now"
    r"|(?:last|this) \w+|in \d{4}|since \w+(?: \d{4})?|for (?:\w+ ){0,2}(?:days|weeks|months|years)"
    r"|(?:a|an|\w+) (?:day|week|month|year)s? ago)"
)
_LEAD = re.compile(
    r"^(?:(?:i (?:think|guess|believe|mean|meant)|i (?:said|told you)|as (?:i said|you know)|good news"
    r"|(?:quick )?update|one more thing|you know"
    r"|by the way|in fact|to be honest|just so you know|i wanted? (?:to let you know|to tell you|you to know)(?: that)?"
    r"|in real life|in reality|seriously|for real|(?:jokes|joking|kidding) aside|kidding|scratch that|correction"
    r"|my mistake|sorry|wait|no|yes|yeah|so|and|but|because|then|anyway|hi|hello|hey|i (?:have )?changed my mind|"
    + _WHEN
    + r") )+"
)
_TAIL = re.compile(
    r"(?: (?:instead|though|by the way|you know|i think|i guess|as well|in fact|to be honest|for real|thank you|thanks"
    r"|right|full time|part time|again|(?:nice|pleased|good) to meet you|" + _WHEN + r"))+$"
)


def plain(text: str) -> str:
    """Lower case, contractions written out, no marks, one blank between words."""
    low = written_out(american(text.replace("’", "'").lower()))
    for pattern, replacement in _ONE_WAY:
        low = pattern.sub(replacement, low)
    return " ".join(_TOKEN.findall(low))


def written_out(low: str) -> str:
    """A text in small letters without contractions; its marks stay."""
    for pattern, replacement in _WRITTEN_OUT:
        low = pattern.sub(replacement, low)
    return low


def without_fillers(plain_text: str) -> str:
    """A plain form without "um", "really", "now" and the like; the form itself if nothing else is in it."""
    return " ".join(word for word in plain_text.split() if word not in _FILLERS) or plain_text


def forms(said: str) -> Iterable[str]:
    """What rules are tried on: without what it begins and ends with first, all that was said last."""
    clean = without_fillers(said)
    bare = _LEAD.sub("", clean)
    return dict.fromkeys((_TAIL.sub("", bare), bare, clean))


def normal_form(text: str) -> str:
    """Equal for two statements that say the same in nearly the same words; a key for look-ups, never shown."""
    bare = without_fillers(plain(text)).split()
    return " ".join(NUMBERS.get(word, word) for word in bare if word not in _ARTICLES) or " ".join(bare)


def same_statement(one: str, other: str) -> bool:
    """Would keeping both be keeping one thing twice?"""
    return normal_form(one) == normal_form(other)
