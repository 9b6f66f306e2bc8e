"""What a statement is about: which kind of thing it says, and which named fact, if any: something of which there is one
current value.

A named fact has a key, and the same key said again replaces it: that is how "I moved to Porto" ends "I live in Rome".
So a wrong key destroys a fact, while a missing one only leaves a statement unnamed: it is kept beside what it changes,
and the later one holds. Hence few keys, of what a person is asked for most; a rule has to fit the whole statement, with
a plausible value (`memory.language.plausible`), or there is no key.

- One value at a time: `name`, `home_city`, `time_zone`, `job`, `favorite_<thing>`, `wife_name`.
- What is counted or coded is called by its own words: "my locker code is 4711" is `locker_code`.
- Many at a time: the key names the member, so that they add up: `allergy_peanuts`, `sister_anna`, `dog_rex`.
- Where a text has capitals, a name, a place or an organisation must have one: "I moved to vim" names no city.
- "I don't live in Rome any more" says only what has ended. It has the key, and `denies` says of what: it may replace
  a current value that speaks of that, and no other (see `memory.language.statements.settled`).

The key decides the category, since a store replaces by (category, key).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from memory.language import plausible, time_zones
from memory.language.normal_form import forms, plain, without_fillers
from memory.language.words import WORDS, read
from memory.records import Category

MAX_NAMED_CHARACTERS = 240
"""A statement longer than this holds more than one fact, and a rule that tried it could take long."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a statement is about. `denies` is the value, in plain form, that it only says has ended."""

    category: Category
    key: str
    denies: str | None = None


def named(statement: str) -> Named | None:
    """The key of a statement about the speaker, None if nobody could name it for sure."""
    if len(statement) > MAX_NAMED_CHARACTERS:
        return None
    found = (
        _named(key, fits, match.groupdict(""), statement)
        for form in forms(plain(statement))
        for key, fits, patterns in _RULES
        for match in filter(None, (pattern.fullmatch(form) for pattern in patterns))
    )
    return next(filter(None, found), None)


def categorise(statement: str) -> Category:
    """Which kind of memory a statement is; FACT where no rule says more."""
    form = without_fillers(plain(statement))
    return next((category for category, rule in _CATEGORIES if rule.search(form)), Category.FACT)


def called(answer: str) -> Named | None:
    """The name in an answer to "what may I call you?": "Marta", "It's Marta.", "Hi, Marta here"."""
    match = _CALLED.fullmatch(without_fillers(plain(answer))) if len(answer) <= MAX_NAMED_CHARACTERS else None
    if match is None or not plausible.is_name(name := match["value"]) or plausible.has_a_digit(name):
        return None
    sure = plausible.is_written_as_a_name(name, answer) if answer != answer.lower() else " " not in name
    return Named(Category.FACT, "name") if sure else None


def category_of(key: str) -> Category | None:
    """Where a key belongs that is in the table; None for any other."""
    if key.startswith("favorite_"):
        return Category.PREFERENCE
    return Category.FACT if key in _KEYS else None


def takes_any_value(key: str) -> bool:
    """Can "it's ..." stand for a new value of the key? Of a favorite it can; of a home, "it's ..." describes it."""
    return bool(re.fullmatch(rf"favorite_.*|.*name|.*{_PARTS['numbered']}|phone|email|birthday|age", key))


def _named(key: str, fits: Callable[[str], bool], groups: dict[str, str], statement: str) -> Named | None:
    value = groups.get("denied") or groups.get("value")
    if value and not fits(value):
        return None
    if value and fits in _PROPER and not plausible.is_written_as_a_name(value, statement):
        return None
    if "role" in groups:
        return _relative(groups["role"], groups["value"], among_others=bool(groups["other"]))
    key = key.format(thing=_slug(groups.get("thing", "")))
    return Named(category_of(key) or Category.FACT, key, groups.get("denied"))


def _relative(role: str, name: str, *, among_others: bool) -> Named | None:
    """Of a wife there is one, of a sister there may be more."""
    role = plausible.SAME_RELATIVE.get(role, role)
    if role in plausible.PETS:
        return Named(Category.FACT, f"{role}_{_slug(name) if among_others else 'name'}")
    if role in plausible.ONE_OF_EACH and not among_others:
        return Named(Category.RELATIONSHIP, f"{_slug(role)}_name")
    return Named(Category.RELATIONSHIP, f"{role}_{_slug(name)}") if role in plausible.MANY_OF_EACH else None


def _slug(thing: str) -> str:
    return "_".join(re.findall(r"[^\W_]+", thing))


# -- the table

_FILE = read("facts.toml")
_TABLE: list[dict[str, str]] = _FILE["facts"]
_KINDS: dict[str, str] = _FILE["kinds"]
_PERSONS = WORDS["more_persons"].union(plausible.ONE_OF_EACH, plausible.MANY_OF_EACH, plausible.SAME_RELATIVE)
# "My doctor told me to rest" is a fact.
_PARTS: dict[str, str] = {**_FILE["parts"], "person": f"(?:{'|'.join(_PERSONS - {'doctor'})})"}
_PROPER = (plausible.is_name, plausible.is_place, plausible.is_organisation, time_zones.is_time_zone)
_TESTS: tuple[Callable[[str], bool], ...] = (
    *(*_PROPER, plausible.is_work, plausible.is_trade, plausible.is_date, plausible.is_age, plausible.is_number),
    *(plausible.is_email, plausible.is_calm, plausible.has_a_digit, bool),
)
_FITS = {test.__name__: test for test in _TESTS}


def _pattern(written: str) -> re.Pattern[str]:
    """With its parts written out, and theirs."""
    while (whole := re.sub(r"\{([a-z]+)\}", lambda part: _PARTS[part[1]], written)) != written:
        written = whole
    return re.compile(written)


_RULES = [(fact["key"], _FITS[fact["fits"]], [*map(_pattern, fact["said"].splitlines())]) for fact in _TABLE]
_KEYS = {fact["key"] for fact in _TABLE}
# Each with or without an s behind it.
_CATEGORIES = [
    (Category[kind], _pattern(rf"\b(?:{said.strip()})s?\b".replace("\n", "|"))) for kind, said in _KINDS.items()
]
_CALLED = _pattern("{called}")
