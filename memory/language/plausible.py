"""Is a value one that can stand under its key: a place, a name, a trade, a date? All take plain forms."""

from __future__ import annotations

import re

from memory.language.lexicon import (
    COUNTRIES_WITH_THE,
    DEMONYMS,
    JUDGEMENTS,
    MONTHS,
    NO_NAMES,
    NO_OBJECTS,
    NO_PLACES,
    NO_TRADE,
    OCCUPATIONS,
    SPELLED_NUMBERS,
)
from memory.language.normal_form import plain


def is_judgement(value: str) -> bool:
    """Does it say what something is like, rather than which or what it is?"""
    words = plain(value).split()
    return not words or words[0] in JUDGEMENTS


def is_place(value: str) -> bool:
    words = value.split()
    if words[0] == "the":
        return len(words) > 1 and words[-1] in COUNTRIES_WITH_THE
    if len(words) > 1:  # "New York", "Cape Town"
        words = words[
            words[0] in {"new", "long", "great", "old", "high"} : len(words) - (words[-1] in {"city", "town", "beach"})
        ]
    return 0 < len(words) <= 4 and not NO_PLACES & set(words) and not any(map(str.isdigit, value))


def is_name(value: str) -> bool:
    words = value.split()
    return len(words) <= 4 and not NO_NAMES & set(words) and words[0] not in DEMONYMS


def is_capital(value: str, statement: str) -> bool:
    """Is each word of it written with a capital in the statement, behind its first word?"""
    written = {word.strip(".,!?;:") for word in statement.replace("’", "'").split()[1:]}
    return all(part.capitalize() in written for part in value.split())


def is_written_as_a_name(value: str, statement: str) -> bool:
    """Where a statement has capitals, the value begins with one, or with an article: "a bakery", "the Hague".

    What a recogniser writes in small letters throughout may be anything, and so may what has no case."""
    if statement == statement.lower() or value.split(maxsplit=1)[0] in ("a", "an", "the"):
        return True
    first = re.split(r"[^\w.]", value)[0]
    capitals = {word.lower() for word in re.findall(r"[\w.]+", statement) if word != word.lower()}
    return "." in first or first.lower() == first.upper() or any(word.strip(".") == first for word in capitals)


def is_trade(value: str) -> bool:
    """`a primary school teacher at St Mary's`: the last word before any preposition is an occupation."""
    words = re.split(r" (?:at|for|in|with|of|on|from|who|by|near) ", value)[0].split()
    if not words or words[0] in ("not", "no", "my", "your", "his", "her", "our", "their"):
        return False
    trade = words[-1].removesuffix("s") if len(words[-1]) > 4 else words[-1]
    return len(words) <= 6 and not NO_TRADE & set(words[:-1]) and bool({words[-1], trade} & OCCUPATIONS)


def is_work(value: str) -> bool:
    """What follows "I work as": anything short that does not judge."""
    words = value.split()
    return len(words) <= 8 and words[0] not in JUDGEMENTS - {"a"} and words[0] not in {"if", "usual", "much", "long"}


_NO_ORGANISATIONS = frozenset(
    "home night nights weekends day least all times it my your his her our their fun free myself him them you us me a "
    "money peanuts this that these those least most first once noon midnight lunch dawn dusk height sea what where "
    "for to with no one being making getting becoming losing".split()
)
_NO_ORGANISATION = re.compile(
    r"(?:the (?:moment|weekend|weekends|same|best|time|money|office|evening|evenings|morning|mornings|day|day time)"
    r"|a (?:living|while|change|reason|bit|time|desk|computer|better|good|great|new one|distance)|an? (?:hour|day"
    r"|week|month|year|minute)s?|\d+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b.*"
)


def is_organisation(value: str) -> bool:
    words = value.split()
    if (
        _NO_ORGANISATION.fullmatch(value)
        or words[0].endswith("ing")
        or words[-1] in JUDGEMENTS - {"off", "home", "time", "full"}
    ):
        return False
    return len(words) <= 6 and (words[0] not in _NO_ORGANISATIONS or (words[0] == "a" and len(words) > 1))


def is_date(value: str) -> bool:
    words = set(value.split())
    if words & {"next", "tomorrow", "today", "soon", "coming", "this", "last", "week"}:
        return False
    return bool(words & MONTHS) or bool(re.search(r"\d", value))


def is_age(value: str) -> bool:
    words = value.split()
    if len(words) == 1 and words[0].isdigit():
        return 1 <= int(words[0]) <= 120
    return 0 < len(words) <= 3 and set(words) <= SPELLED_NUMBERS and len(set(words)) == len(words)


def is_adult_age(value: str) -> bool:
    """ "I'm two" alone may be anything (minutes away, doors down); "I'm forty two" is an age."""
    return is_age(value) and value not in "1 2 3 4 5 6 7 8 9 10 one two three four five six seven eight nine ten zero"


def is_number(value: str) -> bool:
    words = re.split(r"[ .-]+", value.lstrip("+"))
    digits = SPELLED_NUMBERS | {"oh", "o", "double", "triple", "plus", "dash", "extension"}
    return (len(words) > 1 or len(value) > 4) and all(word.isdigit() or word in digits for word in words)


def is_email(value: str) -> bool:
    return "@" in value or bool(re.fullmatch(r"\S.* at \S.* (?:dot .+|\S+\.\w+)", value))


def is_favorite(value: str) -> bool:
    """Nearly anything may be a favorite, but not what only comments on it."""
    words = value.split()
    if words[0] in {"hard", "difficult", "a", "none", "changing", "still", "not", "no", "so", "really", "always"}:
        return words[0] == "a" and len(words) > 1 and words[1] not in {"secret", "mystery", "bit", "lot"}
    return len(words) <= 12 and value not in {"it", "that", "this", "mine", "yours", "different", "the same", "gone"}


def is_object(value: str) -> bool:
    words = value.split()
    return len(words) <= 3 and not NO_OBJECTS & set(words) and not (len(words) > 1 and words[0].endswith("ing"))


def is_measure(value: str) -> bool:
    return bool({*value.split()} & SPELLED_NUMBERS) or any(character.isdigit() for character in value)


def is_anything(_: str) -> bool:
    return True


def is_calm(value: str) -> bool:
    return not is_judgement(value) and len(value.split()) <= 8
