"""Is a value one that can stand under its key: a place, a name, a trade, a date? All take plain forms."""

from __future__ import annotations

import re

from memory.language.normal_form import NUMBERS
from memory.language.words import WORDS

PETS, MANY_OF_EACH = WORDS["pets"], WORDS["many_of_each"]
ONE_OF_EACH = WORDS["one_of_each"] | {"best friend"}
SAME_RELATIVE = {"mom": "mother", "mum": "mother", "dad": "father", "fiancée": "fiancee", "fiancé": "fiance"}
_VAGUE = WORDS["vague"]
_SPELLED_NUMBERS = NUMBERS.keys() | WORDS["tens"]
_DIGITS = _SPELLED_NUMBERS | {"oh", "o", "double", "triple", "plus"}


def is_name(value: str) -> bool:
    words = value.split()
    return len(words) <= 4 and (_VAGUE | WORDS["no_name"]).isdisjoint(words)


def is_place(value: str) -> bool:
    words = value.split()
    if words[0] == "the":
        return len(words) > 1 and words[-1] in WORDS["countries_with_the"]
    if len(words) > 1:  # "New York", "Mexico City"
        words = words[words[0] == "new" : len(words) - (words[-1] in {"city", "town"})]
    return is_name(" ".join(words)) and not has_a_digit(value)


def is_written_as_a_name(value: str, statement: str) -> bool:
    """Where a statement has capitals, the value begins with one, or with an article: "a bakery", "the Hague".

    What a recogniser writes in small letters throughout may be anything, and so may what has no case."""
    if statement == statement.lower() or value.split(maxsplit=1)[0] in WORDS["articles"]:
        return True
    first = re.split(r"[^\w.]", value)[0]
    capitals = {word.lower() for word in re.findall(r"[\w.]+", statement) if word != word.lower()}
    return "." in first or first.lower() == first.upper() or any(word.strip(".") == first for word in capitals)


def is_trade(value: str) -> bool:
    """`a primary school teacher at St Mary's`: the last word before any preposition is an occupation."""
    words = re.split(r" (?:at|for|in|with|of|on|from|who|by|near) ", value)[0].split()
    return len(words) <= 6 and words[-1] in WORDS["trades"] and (_VAGUE | WORDS["no_trade"]).isdisjoint(words)


def is_work(value: str) -> bool:
    """What follows "I work as": anything short that does not judge."""
    words = value.split()
    return len(words) <= 8 and words[0] not in _VAGUE | {"usual", "much", "long"}


def is_organisation(value: str) -> bool:
    words = value.split()
    telling = words[-1] if words[0] in WORDS["articles"] else words[0]
    return len(words) <= 6 and telling not in _VAGUE | WORDS["no_organisation"] and not re.match(r"\d|\w+ing\b", value)


def is_date(value: str) -> bool:
    words = set(value.split())
    relative = words & {"next", "tomorrow", "today", "soon", "this", "last", "week"}
    return not relative and (bool(words & WORDS["months"]) or has_a_digit(value))


def is_age(value: str) -> bool:
    words = value.split()
    if value.isdigit():
        return 1 <= int(value) <= 120
    return len(words) <= 2 and _SPELLED_NUMBERS.issuperset(words) and len(set(words)) == len(words)


def is_number(value: str) -> bool:
    words = re.split(r"[ .-]+", value.lstrip("+"))
    return (len(words) > 1 or len(value) > 4) and all(word.isdigit() or word in _DIGITS for word in words)


def is_email(value: str) -> bool:
    return "@" in value or bool(re.fullmatch(r"\S.* at \S.* dot .+", value))


def is_calm(value: str) -> bool:
    """Does it say which or what something is, rather than what it is like?"""
    words = value.split()
    return 0 < len(words) <= 12 and words[0] not in _VAGUE


def has_a_digit(value: str) -> bool:
    return any(map(str.isdigit, value))
