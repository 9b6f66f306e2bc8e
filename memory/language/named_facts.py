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
    if match is None or not plausible.is_name(match["value"]):
        return None
    written = [word for word in answer.split() if word.strip(".,!?").lower() in match["value"].split()]
    as_names = all(word != word.lower() for word in written) if answer != answer.lower() else len(written) == 1
    return Named(Category.FACT, "name") if as_names or answer.lower() == answer.upper() else None


def category_of(key: str) -> Category | None:
    """Where a key belongs that is in the table; None for any other."""
    if key.startswith("favorite_"):
        return Category.PREFERENCE
    return Category.FACT if key in _FACTS else None


def takes_any_value(key: str) -> bool:
    """Can "it's ..." stand for a new value of the key? Of a favorite it can; of a home, "it's ..." describes it."""
    return bool(re.fullmatch(rf"favorite_.*|.*name|.*(?:{_NUMBERED})|phone|email|birthday|age", key))


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

_WE = r"(?:i|we|my \w+ and i|\w+ and i)"
_V = r"(?P<value>.+?)"
_D = r"(?P<denied>.+?)(?: any more)?"
_PLACE = _V + r"(?: (?:with|because|since|near|where|which|until|as|while|alone|together|for|after|from|in|on|by) .*)?"
_THING = r"(?P<thing>(?!(?:things?|parts?|ones?|ways?|memory|moment|time)\b)[a-z][\w-]*(?: [a-z][\w-]*){0,2}?)"
_FAVORITE = rf"(?:my|our) (?:new |current |all time )?favorite {_THING}(?: of all time| ever)?"
_MARITAL = r"(?:married|single|divorced|engaged|widowed)"
_NUMBERED = "number|code|pin|size"
_NUMBER = rf"(?P<thing>(?:[a-z-]+ ){{0,2}}(?:{_NUMBERED}))"
_ALLERGEN = r"(?P<thing>(?!(?:it|that|this|them|you|any|work)\b)[^ ]+(?: (?!and\b|or\b|but\b|any\b)[^ ]+)?)"

_ROLE = r"(?P<role>best friend|[a-zé]+?)"
_WHOSE = rf"(?:my|our) (?P<other>other )?(?:(?:new|older|younger|little|big) )?{_ROLE}"
_NAME = r"(?P<value>[^ ]+(?: [^ ]+)?)"

_CALLED = re.compile(
    r"(?:(?:hi|hello|hey|sure|yes|it is|this is|i am|my name is|the name is|you can|you may|call|calls|me|my|people"
    r"|friends|they|everyone|everybody|say) )*"
    r"(?P<value>[\w'-]+(?: [\w'-]+){0,2}?)(?: (?:here|speaking|is (?:fine|good|my name)|will do|thanks))?"
)

# A key, what a `value` or what is `denied` must be (`bool`: anything), patterns. `thing` goes into the key.
_TABLE: tuple[tuple[str, Callable[[str], bool], *tuple[str, ...]], ...] = (
    (
        "name",
        plausible.is_name,
        rf"my (?:new |real |full )?name is (?:not \w+ (?:it is |but ))?{_V}",
        rf"(?:you can |i (?:want|would like) you to )?call me {_V}",
        rf"i (?:am called|go by|prefer to be called|would like to be called) {_V}",
        rf"my name is (?:not|no longer) {_D}",
    ),
    (
        "home_city",
        plausible.is_place,
        rf"{_WE} (?:have lived|live|am living|are living|am based|are based) in {_PLACE}",
        rf"{_WE} (?:have )?(?:moved|relocated) (?:back |from .+ )?to {_PLACE}",
        rf"(?:(?:my|our) )?home is in {_PLACE}",
        rf"where (?:i|we) live is (?:called )?{_V}",
        rf"{_WE} (?:do not live|no longer live|used to live) in {_D}",
    ),
    ("time_zone", time_zones.is_time_zone, rf"my (?:new |current )?time ?zone (?:is|has changed to) {_V}"),
    ("birthday", plausible.is_date, rf"my birthday is {_V}", rf"i was born on {_V}"),
    (
        "job",
        plausible.is_work,
        rf"i (?:work|am working|have worked|started|started working|got a (?:new )?job) as {_V}",
        rf"i (?:no longer work|do not work|used to work) as {_D}",
        r"i (?:am|became|have become|got) (?:unemployed|retired|fired|laid off)|i (?:have )?(?:lost|quit) my job",
    ),
    (
        "job",
        plausible.is_trade,
        rf"i (?:am|became|have become) {_V}",
        rf"my (?:new )?(?:job|profession) is {_V}",
        rf"i (?:am not|am no longer|used to be) {_D}",
    ),
    (
        "employer",
        plausible.is_organisation,
        rf"i (?:work|am working|started working) (?:at|for) {_V}(?: as .+)?",
        rf"i (?:got|have) a (?:new )?job (?:at|with) {_V}(?: as .+)?",
        rf"i (?:no longer work|do not work|used to work) (?:at|for) {_D}",
    ),
    ("age", plausible.is_age, rf"i am {_V} years? old", rf"i (?:have )?turned {_V}"),
    ("age", plausible.is_adult_age, rf"i am {_V}"),
    (
        "marital_status",
        bool,
        rf"i am (?:not |no longer )?{_MARITAL}(?: any more)?",
        rf"{_WE} (?:have )?(?:got )?{_MARITAL}",
    ),
    ("phone", plausible.is_number, rf"my (?:new )?(?:(?:phone|mobile|cell) )?(?:phone )?number is {_V}"),
    ("email", plausible.is_email, rf"my (?:new )?email(?: address)? is {_V}"),
    ("address", plausible.has_a_digit, rf"(?:my|our) (?:new )?address is {_V}"),
    ("{thing}", plausible.has_a_digit, rf"my (?:new )?{_NUMBER} (?:is|has changed to) {_V}"),
    (
        "favorite_{thing}",
        plausible.is_calm,
        rf"{_FAVORITE} (?:is|are|has become|has changed to) (?:not .+ (?:it is|but) )?{_V}",
        rf"{_V} (?:is|are|has become) {_FAVORITE}",
        rf"{_FAVORITE} (?:is not|are not|is no longer|used to be) {_D}",
    ),
    ("allergy_{thing}", bool, rf"i am (?:not |no longer |severely )?allergic to {_ALLERGEN}(?: any more)?"),
    (
        "{role}_name",  # or what `_relative` makes of it
        plausible.is_name,
        rf"{_WHOSE} is (?:called|named) {_NAME}",
        rf"{_WHOSE}s? (?:new )?name is {_NAME}",
        rf"{_NAME} is the name of {_WHOSE}",
        rf"(?:i|we) (?:have|got) (?P<other>a|an|another) {_ROLE} (?:called|named) {_NAME}",
    ),
)
_RULES = [(key, fits, [re.compile(pattern) for pattern in patterns]) for key, fits, *patterns in _TABLE]
_PROPER = (plausible.is_name, plausible.is_place, plausible.is_organisation, time_zones.is_time_zone)
_FACTS = {key for key, *_ in _TABLE if "{" not in key}

# -- categories

_MORE = {"spouse", "parent", "children", "grandparent", "grandkid", "in-law"}
# "My doctor told me to rest" is a fact.
_PERSONS = "|".join(
    (plausible.ONE_OF_EACH | plausible.MANY_OF_EACH | plausible.SAME_RELATIVE.keys() | _MORE) - {"doctor"}
)
# Patterns of plain forms without fillers, each with or without an s behind it. The first rule that matches decides, so
# the telling words come before the general ones: "i want to visit my sister" is a goal, "my sister lives in rome" a
# relationship.
_KINDS = {
    Category.PREFERENCE: "favorite|call me|(?:i|we) (?:would )?(?:much )?(?:prefer|rather)"
    "|(?:i|we) (?:hate|dislike|can not stand|do not (?:like|enjoy|eat|drink))",
    Category.GOAL: "my (?:goal|dream|aim|ambition)|(?:i|we) (?:want|hope|wish|aim|try) to"
    "|(?:i am|we are) (?:trying|hoping|working|learning) (?:to|on|how)",
    Category.PLAN: r"(?:i am|we are) (?:going|planning|about) to|(?:i|we) will \w+|(?:i|we) (?:plan|intend) to"
    "|next (?:week|month|year|summer|winter|spring|weekend)|tomorrow",
    Category.INTEREST: "(?:i|we) (?:love|like|enjoy|adore|collect|play)|hobby|hobbie"
    "|(?:i am|we are) (?:interested in|into|fond of|passionate about)",
    Category.OPINION: "(?:i|we) (?:do not )?(?:think|believe|feel|find|reckon|guess|doubt)|in my (?:opinion|view)",
    Category.RELATIONSHIP: rf"(?:my|our|(?:i|we) have) (?:\w+ ){{0,2}}(?:{_PERSONS})"
    "|(?:married|engaged|divorced) (?:to|from)",
    Category.EXPERIENCE: "(?:i|we) (?:once )?(?:went|visited|saw|met|tried|learned|learnt|grew up|travell?ed|studied"
    "|used to|was in|were in|have (?:been|seen|met|tried|done))"
    "|yesterday|last (?:week|month|year|night|summer|winter|spring|weekend)",
}
_CATEGORIES = [(category, re.compile(rf"\b(?:{pattern})s?\b")) for category, pattern in _KINDS.items()]
