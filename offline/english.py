"""Just enough English grammar: words, sentences, clauses, and where "my ..." ends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from offline.concepts import stem

BE = frozenset("am is are was were be been being".split())
AUXILIARIES = BE | frozenset("do does did have has had can could will would shall should may might must".split())
MINE = frozenset(("my", "our"))
ME = frozenset(("i", "we"))
FIRST_PERSON = MINE | ME | frozenset("me us mine ours myself ourselves".split())
QUESTION_WORDS = frozenset("what who whom whose where when which why how".split())
PREPOSITIONS = frozenset(
    "in on at to from of for with by near about under over behind inside beside next around into through since "
    "until before after during between above below outside across".split()
)
ADVERBS = frozenset(
    "not never always usually often really just also still now currently once sometimes already recently both all "
    "only even almost actually probably maybe originally mostly absolutely totally truly too so very ever soon".split()
)
NEGATIVE = frozenset("not never no hate dislike hardly without neither".split())

# Words that may follow "my ..." as its verb; any other word there belongs to what is mine.
_VERBS = frozenset(
    map(
        stem,
        "live work love like hate want need play go come study have get eat drink speak move grow call name turn start "
        "teach drive make say tell think know prefer enjoy own keep run walk sleep sing dance cook read write paint "
        "travel visit stay leave arrive begin end open close cost weigh look feel taste bark bite sit stand hurt "
        "break die pass retire graduate marry meet remember forget lives takes gives went came got told said made "
        "bought moved grew left lost found taught".split(),
    )
)

_CONTRACTIONS = (
    (r"\b(i)'?m\b", r"\1 am"),
    (r"\b(can)'?t\b", r"\1 not"),
    (r"\b(won)'?t\b", "will not"),
    (r"\b(do|does|did|is|are|was|were|have|has|had|would|could|should)n'?t\b", r"\1 not"),
    (r"\b(i|you|we|they|who|what|where|that)'?ve\b", r"\1 have"),
    (r"\b(i|you|we|they|he|she|it|who|that|there)'ll\b", r"\1 will"),
    (r"\b(i|you|we|they|he|she|who)'d\b", r"\1 would"),
    (r"\b(you|we|they|what|where|who)'re\b", r"\1 are"),
    (r"\b(what|where|who|when|how|which|why|it|that|there|he|she|here)'s\b", r"\1 is"),
    (r"\b(what|where|who|when|how)s\b", r"\1 is"),
    (r"\b(my name|our name|my birthday)'s\b(?=\s+\S+)", r"\1 is"),
    (r"(\w)'s\b", r"\1 's"),
    (r"(\ws)'(?=\s|$)", r"\1 's"),
)


def words(text: str) -> list[str]:
    """The words of a text, contractions taken apart, in their own capitals; "'s" is a word of its own."""
    text = text.replace("’", "'")
    for pattern, instead in _CONTRACTIONS:
        text = re.sub(pattern, instead, text, flags=re.IGNORECASE)
    return re.findall(r"'s(?!\w)|[^\W_]+(?:['@.:/+\-&][^\W_]+)*", text)


def lower_words(text: str) -> list[str]:
    """The same in lower case."""
    return [word.lower() for word in words(text)]


def sentences(text: str) -> list[str]:
    """The sentences of a text, each with its end mark."""
    # a mark ends a sentence only before a space: not in "3.5"; nor after a title
    parts = re.split(r"(?<!\bDr\.)(?<!\bMr\.)(?<!\bMrs\.)(?<!\bMs\.)(?<!\bSt\.)(?<=[.!?;\n])\s+", text.strip())
    return [part for part in parts if part.strip(" .!?;,")]


def clauses(sentence: str) -> list[str]:
    """Parts of a sentence that speak for themselves: "I live in Rome and my cat is called Tilda" has two."""
    start = (
        r"(?=(?:i|we|my|our)(?:'\w+)?\b(?!\s+and\b)"
        r"|(?:what|where|who|when|how(?: old| many)?)(?:'s|\s+(?:is|are|am|do|does|did|was|were))\b)"
    )
    parts = re.split(rf"(?:,\s*(?:and|but|so)?|\s+(?:and|but))\s+{start}", sentence, flags=re.IGNORECASE)
    if not _tells(parts[0]) and len(parts) > 1:
        return [sentence]  # "my sister and I were in Rome"
    return [part for part in parts if part.strip(" .!?;,")]


def _tells(part: str) -> bool:
    low = lower_words(part)
    return not ME.isdisjoint(low) or any(word in AUXILIARIES or stem(word) in _VERBS for word in low)


def owned(low: Sequence[str], start: int) -> int:
    """Where the noun phrase after low[start], a "my", ends: the index of the first word that is not part of it."""
    end = start + 2
    while end < len(low) and not _ends_noun_phrase(low, end):
        end += 1
    return min(end, len(low))


def _ends_noun_phrase(low: Sequence[str], at: int) -> bool:
    word = low[at]
    if word == "'s":
        return not is_possessive(low, at)
    if low[at - 1] == "'s":
        return False
    if (
        word in AUXILIARIES
        or word in PREPOSITIONS
        or word in ADVERBS
        or word in ("that", "which", "who", "and", "a", "an", "the")
    ):
        return True
    # "my favorite drink is tea": a verb's name before "is" is a thing
    if at + 1 < len(low):
        is_noun = low[at + 1] in AUXILIARIES or low[at + 1] == "'s"
    else:  # "what is my favorite drink", but "what does my sister drink"
        is_noun = not word.endswith("ed") and BE.issuperset(AUXILIARIES & set(low[:at]))
    return stem(word) in _VERBS and not is_noun


def is_possessive(low: Sequence[str], at: int) -> bool:
    """Whether the "'s" at this place owns what follows ("my cat's name is ...") or is an "is" ("my cat's three")."""
    if at + 1 >= len(low) or low[at + 1] in ("called", "named", "not", "a", "an", "the", "in", "on", "at", "from"):
        return False
    if QUESTION_WORDS & set(low[:at]) or low[at - 1] == "'s":
        return True
    return any(word in AUXILIARIES or stem(word) in _VERBS for word in low[at + 2 :])


def has_first_person(low: Sequence[str]) -> bool:
    """Whether these words speak of the speaker."""
    return not FIRST_PERSON.isdisjoint(low)


def each_clause(text: str) -> Iterator[str]:
    """Every clause of every sentence."""
    for part in sentences(text):
        yield from clauses(part)
