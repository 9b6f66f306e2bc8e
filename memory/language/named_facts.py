"""Named facts: which statements say something of which there is one current value, and what it is called.

A named fact has a key, and the same key said again replaces it: that is how "I moved to Porto" ends "I live in Rome".
So a wrong key destroys a fact, while a missing one only leaves a statement unnamed: a rule has to fit the whole
statement, with a plausible value (`memory.language.plausible`), or there is no key.

- One value at a time: `name`, `home_city`, `job`, `employer`, `favorite_<thing>`, `<relation>_name`, ... Whatever is
  written under the key replaces what was there.
- Many at a time: the key names the member, so that they add up and each can change by itself: `allergy_peanuts`,
  `sister_anna`, `dog_rex`, `taste_mushrooms`.
- Where a text has capitals, a name, a place or an organisation must have one: "I moved to vim" names no city.
- A key that is not in the table: "my <attribute> is ...", where the attribute's last word is one of which people have
  one ("my locker code is 4711" is `locker_code`).
- "I don't live in Rome any more" says only what has ended. It has the key, and `denies` says of what: it may replace
  a current value that speaks of that, and no other (see `memory.language.statements.settled`).

The key decides the category, since a store replaces by (category, key).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from memory.language.framing import forms, speaks_of_a_change
from memory.language.lexicon import ATTRIBUTES, COMPANIONS, KINDS, MANY_OF_EACH, ONE_OF_EACH, PETS
from memory.language.normal_form import plain
from memory.language.plausible import (
    is_adult_age,
    is_age,
    is_anything,
    is_calm,
    is_capital,
    is_date,
    is_email,
    is_favorite,
    is_measure,
    is_name,
    is_number,
    is_object,
    is_organisation,
    is_place,
    is_trade,
    is_work,
    is_written_as_a_name,
)
from memory.records import Category

MAX_NAMED_CHARACTERS = 240
"""A statement longer than this holds more than one fact, and a rule that tried it could take long."""

_MAX_KEY_WORDS = 6


@dataclass(frozen=True, slots=True)
class Named:
    """What a statement is about. `denies` is the value, in plain form, that it only says has ended."""

    category: Category
    key: str
    denies: str | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    """Groups of the pattern: `thing` goes into the key, `value` and `denied` must be plausible."""

    key: str
    category: Category
    plausible: Callable[[str], bool]
    pattern: re.Pattern[str]


def named(statement: str) -> Named | None:
    """The key of a statement about the speaker, None if nobody could name it for sure."""
    if len(statement) > MAX_NAMED_CHARACTERS:
        return None
    said = plain(statement)
    changed = speaks_of_a_change(said)
    for form in dict.fromkeys(forms(said)):
        for rule in _RULES:
            match = rule.pattern.fullmatch(form)
            if match and (found := _fit(rule, match, statement)):
                return found
        if found := _preferred(form, changed) or _relative(form, statement) or _attribute(form):
            return found
    return None


def category_of(key: str) -> Category | None:
    """Where a key belongs that is in the table; None for any other."""
    if key in _CATEGORIES:
        return _CATEGORIES[key]
    if key.startswith(("favorite_", "eats_", "drinks_")):
        return Category.PREFERENCE
    if key.startswith("taste_"):
        return _taste_category(key.removeprefix("taste_"))
    return None


def takes_any_value(key: str) -> bool:
    """Can "it's ..." stand for a new value of the key? Of a favorite it can; of a home, "it's ..." describes it."""
    return key.startswith("favorite_") or key in _ATTRIBUTE_KEYS or key.rpartition("_")[2] in (ATTRIBUTES | {"name"})


def _fit(rule: _Rule, match: re.Match[str], statement: str) -> Named | None:
    given = {name: text for name, text in match.groupdict().items() if text is not None}
    values = [text for name, text in given.items() if name.startswith(("value", "denied"))]
    denied = next((text for name, text in given.items() if name.startswith("denied")), None)
    thing = given.get("thing")
    if not all(rule.plausible(value) for value in values):
        return None
    if rule.plausible in _PROPER and not all(is_written_as_a_name(value, statement) for value in values):
        return None
    if thing is None:
        return Named(rule.category, rule.key, denied)
    slug = _slug(thing)
    if slug is None:
        return None
    if rule.key == "taste_{thing}":
        return Named(_taste_category(slug), f"taste_{slug}") if is_object(thing) else None
    return Named(rule.category, rule.key.format(thing=slug), denied)


def _slug(thing: str) -> str | None:
    words = re.findall(r"[^\W_]+", thing)
    return "_".join(words) if 0 < len(words) <= _MAX_KEY_WORDS else None


def _taste_category(slug: str) -> Category:
    """What one does ("hiking") is an interest, what one has or meets ("mushrooms") a preference: whichever way it
    is felt about, so that a change of mind finds the same row."""
    return Category.INTEREST if slug.endswith("ing") and "_" not in slug else Category.PREFERENCE


# -- the table

_WE = r"(?:i|we|my family|my \w+ and i|me and my \w+|\w+ and i)"
_MOVED = r"(?:(?:have )?(?:moved|relocated)(?: back| over| house| home| away| out| here| in together)*)"
_SIDE = (
    r"(?: (?:with|because|since|near|where|which|after|until|next to|not far|close|on my own|by myself|as|while|alone"
    r"|together|just outside|right outside|for (?:work|school|love|a|my|his|her|our|the))\b.*)?"
)
_PLACE = rf"(?P<value>[^ ]+(?: [^ ]+){{0,4}}?){_SIDE}"
_GONE_PLACE = rf"(?P<denied>[^ ]+(?: [^ ]+){{0,4}}?){_SIDE}"
_V = r"(?P<value>.+?)"
_D = r"(?P<denied>.+?)"
_AS = r"(?: (?:as|in|because|since) .+)?"
_ANY_MORE = r"(?: any more)?"
_THING = (
    r"(?P<thing>(?!(?:thing|things|part|parts|one|ones|way|ways|memory|moment|time|times)\b)[a-z][\w-]*(?: (?!(?:to"
    r"|of|in|thing|things|at|for|about|on|from|by|with|when|is|was|are|and|or|has|would|as|used"
    r"|who)\b)[a-z][\w-]*){0,2}?)"
)
_FAVORITE = rf"(?:my|our) (?:(?:new|current|all time|absolute|number one|very|own|latest|present) )*favorite {_THING}"
_OBJECT = r"(?P<thing>[^ ]+(?: [^ ]+){0,2}?)"
_FEEL = r"(?:love|like|adore|enjoy|hate|dislike|detest|loathe|despise|liking|loving|enjoying|hating|appreciate)"
_NAME = r"(?P<value>[^ ]+(?: [^ ]+){0,3}?)"

FACT, PREFERENCE, RELATIONSHIP = Category.FACT, Category.PREFERENCE, Category.RELATIONSHIP
_SPOUSE = "(?:wife|husband|partner|girlfriend|boyfriend|fiancee?)"

_TABLE: tuple[tuple[str, Category, Callable[[str], bool], tuple[str, ...]], ...] = (
    (
        "name",
        FACT,
        is_name,
        (
            rf"my (?:new |real |actual |full |legal |given |preferred )?name is (?:not \w+ (?:it is |but "
            rf"|any more it is )?)?{_NAME}",
            rf"my name (?:has )?changed to {_NAME}|i (?:have )?changed my name to {_NAME.replace('value', 'value2')}",
            rf"my name (?:is not|is no longer|used to be) {_D}{_ANY_MORE}",
            rf"my name used to be .+? but (?:it is |it was changed to |i am called |i go by ){_NAME}",
            rf"(?:you can |you may |you should |just |everybody should )?call me {_NAME}(?: from now on| not \w+)?",
            rf"i (?:am called|go by|am going by|would rather be called|prefer to be called|want to be called"
            rf"|would prefer to be called|prefer being called|would like to be called) {_NAME}",
            rf"do not call me {_D}{_ANY_MORE}|(?:i do not go by|i no longer go by)"
            rf" {_D.replace('denied', 'denied2')}{_ANY_MORE}",
        ),
    ),
    (
        "home_city",
        FACT,
        is_place,
        (
            rf"{_WE} (?:live|reside|am living|are living|am based|are based|am located) (?:over |out |down "
            rf"|up )?in {_PLACE}",
            rf"{_WE} have (?:lived|been living) in {_PLACE} (?:since|for) .+",
            rf"{_WE} {_MOVED} to {_PLACE}",
            rf"{_WE} {_MOVED} from .+? to {_PLACE}",
            rf"{_WE} (?:have )?(?:settled|settled down) in {_PLACE}",
            rf"(?:(?:my|our) (?:new )?)?home is in {_PLACE}",
            rf"where (?:i|we) live is (?:called )?{_PLACE}",
            rf"(?:my|our) (?:new )?(?:home )?(?:city|home city) is {_PLACE}",
            rf"{_WE} (?:do not live|no longer live|used to live) in .+? (?:but|i|and)(?: i| we| it is)?(?: live"
            rf"| moved| am| are| am living)?(?: in| to)? {_PLACE}",
            rf"{_WE} (?:do not live|no longer live|am not living|are not living|am no longer living|stopped living"
            rf"|used to live) in {_GONE_PLACE}{_ANY_MORE}",
            rf"{_WE} {_MOVED} (?:from|of|out of|away from) {_GONE_PLACE}",
        ),
    ),
    (
        "birthday",
        FACT,
        is_date,
        (rf"my birthday is (?:not .+? (?:but|it is) )?(?:on |in |the )*{_V}", rf"i was born on (?:the )?{_V}"),
    ),
    (
        "job",
        FACT,
        is_work,
        (
            rf"i (?:have )?(?:work|am working|have been working|worked my way up|started working|started"
            rf"|got a (?:new )?job|got hired|have a (?:new )?job|was hired|retrained|began|took a (?:new )?job"
            rf"|found (?:a (?:new )?job|work)|am employed|switched to working|started a new job) as {_V}",
            rf"i (?:used to work as|was) .+? but (?:i )?(?:work|am|am working|became) as {_V}",
            r"i (?:am|have been|have become|became) (?:unemployed|retired|a student|out of work|between jobs"
            r"|self employed|self-employed|freelancing|jobless|a pensioner|a stay at home (?:mom|dad|mum|parent))",
            r"i (?:have )?(?:lost|quit|left|resigned from|changed|switched|gave up) (?:my|the|that) (?:old )?job",
            r"i (?:have )?(?:changed|switched) jobs",
            r"i (?:was|got|have been|am) (?:fired|laid off|sacked|made redundant|let go)(?: from (?:my|work).*)?",
            r"i (?:have )?(?:retired|am retiring)",
            r"i (?:do not|no longer) work any more",
            rf"i (?:no longer work|do not work|am not working|used to work|stopped working|quit working)"
            rf" as {_D}{_ANY_MORE}",
        ),
    ),
    (
        "job",
        FACT,
        is_trade,
        (
            rf"i (?:am|became|have become|turned into|trained as|got promoted to|was promoted to"
            rf"|have been promoted to|was made|am employed as|qualified as|am working as) {_V}",
            rf"my (?:new |day |current |main |latest |present )*(?:job|profession|occupation|work) is (?:being "
            rf"|working as |to be |that of )?{_V}",
            rf"i (?:am not {_D}|am no longer {_D.replace('denied', 'denied2')}"
            rf"|stopped being {_D.replace('denied', 'denied3')}){_ANY_MORE}",
            rf"i used to be {_D}",
            rf"i (?:used to be|was|am not|am no longer) .+? but (?:i )?(?:am|became|work as|am working as"
            rf"|have become) {_V}",
        ),
    ),
    (
        "employer",
        FACT,
        is_organisation,
        (
            rf"i (?:work|am working|have been working|started working|went to work) (?:at|for) {_V}{_AS}",
            rf"i (?:have )?(?:got|have|took|found|started|landed) a (?:new )?job (?:at|with|for) {_V}{_AS}",
            rf"i (?:was|am|got|have been) (?:hired|employed) (?:by|at) {_V}{_AS}",
            rf"i started at {_V}{_AS}",
            rf"i (?:have )?joined {_V} as .+",
            rf"my (?:new |current )*(?:employer|company|workplace) is (?:called )?{_V}",
            rf"my (?:new |current )*job is (?:at|with) {_V}",
            rf"i (?:used to work|do not work|no longer work) (?:at|for|with) .+? (?:but|and) (?:i )?(?:work |am "
            rf"|am working |moved |it is )?(?:at|for|with|to) {_V}",
            rf"i (?:left|quit) .+? (?:to join|and joined) {_V}",
            rf"i (?:no longer work|do not work|am not working|am no longer working|used to work|stopped working"
            rf"|quit working|am no longer|resigned) (?:at|for|with|from) {_D}{_ANY_MORE}",
            r"i (?:have )?(?:left|quit) (?P<denied>.+(?<!ing))",
        ),
    ),
    (
        "age",
        FACT,
        is_age,
        (
            rf"i am (?:only )?{_V} years? old(?: not .+)?",
            rf"i (?:have )?turned {_V}(?: years old)?",
            rf"my age is {_V}",
        ),
    ),
    ("age", FACT, is_adult_age, (rf"i am {_V}(?: not \w+(?: \w+)?)?",)),
    (
        "marital_status",
        FACT,
        is_anything,
        (
            r"i am (?:not |no longer )?(?:happily |newly )?(?:married|single|divorced|engaged|widowed|separated"
            r"|in a relationship|a widow|a widower|a bachelor|a single (?:mom|mum|mother|dad|father"
            r"|parent))(?: (?:to|from) (?:\w+|my (?!job|work|career)\w+))?(?: any more)?",
            r"(?:i|we|\w+ and i|my \w+ and i|me and my \w+) (?:are |am )?(?:have )?(?:got )?(?:married|divorced"
            r"|engaged|separated)(?: (?:to|from) (?:\w+|my (?!job|work|career)\w+))?",
            rf"(?:i|we|my {_SPOUSE} and i) (?:have )?(?:broke|broken|split) up(?: with (?:my )?{_SPOUSE})?",
            rf"i (?:do not |no longer )?(?:have|have got|got) (?:a|an|any) (?:new )?{_SPOUSE}(?: any more)?",
        ),
    ),
    (
        "phone",
        FACT,
        is_number,
        (
            rf"(?:my|our) (?:new |current |work |cell |mobile |home )*(?:phone|mobile|cell"
            rf"|telephone)(?: phone)?(?: number)? (?:is|has changed to|changed to) {_V}",
            rf"my (?:new )?number (?:is|has changed to|changed to) {_V}",
        ),
    ),
    (
        "email",
        FACT,
        is_email,
        (rf"(?:my|our) (?:new |current |work )*(?:email|mail)(?: address)? (?:is|has changed to|changed to) {_V}",),
    ),
    (
        "favorite_{thing}",
        PREFERENCE,
        is_favorite,
        (
            rf"{_FAVORITE}(?: of all time| ever| in the world)? used to be .+? (?:but|and)(?: then)? (?:it is "
            rf"|it became |it has become |it changed to |i prefer |that is |i like |i love )?{_V}",
            rf"{_FAVORITE}(?: of all time| ever| in the world)? (?:is not|is no longer) .+? (?:but|it is"
            rf"|any more it is) {_V}",
            rf"{_FAVORITE}(?: of all time| ever| in the world)? (?:is not|are not|is no longer|isnt|used to be"
            rf"|was) {_D}{_ANY_MORE}",
            rf"{_FAVORITE}(?: of all time| ever| in the world)? (?:is|are|has become|have become|became"
            rf"|has changed to|changed to|has changed it is|changed it is|would be|remains|would have to be|must be"
            rf"|has to be|has always been|turned into|switched to|went from .+? to|has changed from .+? to"
            rf"|changed from .+? to) {_V}",
            rf"(?P<value>(?!(?:it|that|this|he|she|they|what|which|who|one|those"
            rf"|these) )[^ ]+(?: [^ ]+){{0,5}}?) (?:is|are|has become|became) {_FAVORITE}(?: of all time| ever"
            rf"| in the world)?",
            rf"(?:i do not have|i have no|i no longer have)(?: a| any)? favorite {_THING}{_ANY_MORE}",
            rf"i (?:have )?changed {_FAVORITE} to {_V}",
            rf"(?P<denied>.+?) (?:used to be|is not|is no longer|was) {_FAVORITE}(?: of all time| ever"
            rf"| in the world)?{_ANY_MORE}",
            rf"i (?:have )?changed my mind about {_FAVORITE}(?:(?: and)? it is {_V})?",
            rf"i have a new favorite {_THING} (?:it is |and it is |which is |called )?{_V}",
        ),
    ),
    (
        "taste_{thing}",
        PREFERENCE,
        is_anything,
        (
            rf"i (?:do not |did not |no longer |used to |can not |have started to |started to |have come to "
            rf"|have grown to |have learned to |learned to |have started |started |have stopped |stopped |came to "
            rf"|grew to |do )?{_FEEL} {_OBJECT}{_ANY_MORE}",
            rf"i can not (?:stand|bear|tolerate) {_OBJECT}{_ANY_MORE}",
            rf"i am (?:not |no longer )?(?:a |an )?(?:big |huge |great |massive )?(?:fan of|fond of|crazy about|into"
            rf"|keen on) {_OBJECT}{_ANY_MORE}",
            rf"i (?:have )?(?:gone|went) off {_OBJECT}",
            rf"i (?:have )?changed my mind about {_OBJECT}(?: and)? i (?:do not |no longer |can not )?"
            rf"(?:{_FEEL}|stand|bear) (?:it|them){_ANY_MORE}",
            rf"{_OBJECT} (?:are|is) not (?:for me|my thing){_ANY_MORE}",
        ),
    ),
    (
        "diet",
        PREFERENCE,
        is_anything,
        (
            r"(?:i|we) (?:am|are|went|became|have become|have gone|turned|have turned|am not|am no longer"
            r"|stopped being|used to be)(?: a| an| not| strictly)* (?:vegetarian|vegan|pescatarian|pescetarian"
            r"|flexitarian|carnivore|gluten free|keto|halal|kosher|paleo)s?(?: any more)?",
            r"i (?:only )?(?:eat|keep) (?:halal|kosher|vegan|vegetarian|keto|paleo|gluten free)(?: food)?",
        ),
    ),
    (
        "allergy_{thing}",
        FACT,
        is_anything,
        (
            r"i am (?:not |no longer |severely |mildly |deathly |highly |very )?allergic to (?P<thing>(?!(?:it|that"
            r"|this|them|you|any|work|mornings)\b)[^ ]+(?: (?!and\b|or\b|but\b|any\b)[^ ]+)?)(?: any more)?",
        ),
    ),
)

_PROPER = (is_name, is_place, is_organisation)
_ATTRIBUTE_KEYS = frozenset("name phone email birthday age".split())
_CATEGORIES = {key: category for key, category, _, _ in _TABLE if "{" not in key}


_RULES = tuple(
    _Rule(key, category, plausible, re.compile(pattern))
    for key, category, plausible, patterns in _TABLE
    for pattern in patterns
)


# -- rules that need more than a pattern

_PREFERS = re.compile(
    r"i (?:prefer|am more of an?) (?P<value>[^ ]+)(?: (?:person|drinker|lover))?(?: (?:over|to|than|instead of"
    r"|rather than) .+| more| better)?"
)


def _preferred(form: str, changed: bool) -> Named | None:
    """ "These days I prefer tea" is about one's favorite drink; "I prefer blue" may be about this shirt."""
    match = _PREFERS.fullmatch(form)
    kind = KINDS.get(match["value"]) if match else None
    if kind == "color" and not changed:
        return None
    return Named(PREFERENCE, f"favorite_{kind}") if kind else None


_MEMBER = r"(?P<name>[^ ]+(?: [^ ]+)?)"
_ROLE = r"(?P<role>[a-z-]+(?: in law)?|(?:best friend|ex wife|ex husband|mother in law|father in law))"
_WHOSE = (
    r"(?:my|our) (?P<other>other )?(?:(?:new|older|younger|oldest|youngest|eldest|little|big|first|second|third|late"
    r"|pet|only|middle|baby|elder|current|lovely) )*"
)
_RELATIVES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_WHOSE}{_ROLE} (?:is|was) (?:called|named) {_MEMBER}",
        rf"{_WHOSE}{_ROLE}s (?:new )?name is {_MEMBER}",
        rf"{_WHOSE}{_ROLE} name is {_MEMBER}",
        rf"the name of {_WHOSE}{_ROLE} is {_MEMBER}",
        rf"{_MEMBER} is the name of {_WHOSE}{_ROLE}",
        rf"(?:i|we) (?:have )?renamed {_WHOSE}{_ROLE} (?:to )?{_MEMBER}",
    )
)
_ADDED = re.compile(
    r"(?:i|we) (?:also )?(?:have|got|have got|adopted|have adopted|bought) (?:a|an|another|one|one more|a second)"
    rf" (?:(?:new|older|younger|little|big|baby|pet|best) )*{_ROLE} (?:called|named|whose name is) {_MEMBER}"
)
_IS_MY = re.compile(rf"{_MEMBER} is {_WHOSE}{_ROLE}")
_MY_IS = re.compile(rf"{_WHOSE}{_ROLE} is {_MEMBER}")
_HOW_OLD = re.compile(rf"{_WHOSE}{_ROLE} is (?P<age>.+?)(?: years old)?")


def _relative(form: str, statement: str) -> Named | None:
    """Who is called how: of a wife there is one, of a sister there may be more."""
    for pattern in (*_RELATIVES, _ADDED):
        if (match := pattern.fullmatch(form)) and is_name(match["name"]):
            called = _called(match["role"], match["name"], adds=pattern is _ADDED or bool(match["other"]))
            return called if is_written_as_a_name(match["name"], statement) else None
    if (match := _HOW_OLD.fullmatch(form)) and is_age(match["age"]):
        return _aged(match["role"])
    match = _IS_MY.fullmatch(form)
    if match and (match["name"] in COMPANIONS or match["name"] in KINDS or match["role"] in PETS):
        return None
    # "my boss is karen" reads like "my boss is strict"; only a capital tells them apart
    if match is None and (match := _MY_IS.fullmatch(form)) and not is_capital(match["name"], statement):
        return None
    if match is None or not is_name(match["name"]) or not is_written_as_a_name(match["name"], statement):
        return None
    return _called(match["role"], match["name"])


def _aged(role: str) -> Named | None:
    owner = role if role in PETS else ONE_OF_EACH.get(role)
    return Named(FACT if role in PETS else RELATIONSHIP, f"{owner}_age") if owner else None


def _called(role: str, name: str, *, adds: bool = False) -> Named | None:
    slug = _slug(name)
    if role in PETS:
        singular = role.removesuffix("s")
        return Named(FACT, f"{singular}_{slug}" if adds else f"{singular}_name")
    if role in ONE_OF_EACH and not adds:
        return Named(RELATIONSHIP, f"{ONE_OF_EACH[role]}_name")
    return Named(RELATIONSHIP, f"{role}_{slug}") if role in MANY_OF_EACH else None


_MY_ATTRIBUTE = re.compile(
    r"(?:my|our) (?:(?:new|current) )?(?P<thing>[a-z][\w-]*(?: [a-z][\w-]*){0,3}?) (?:is not"
    r"|is no longer) (?P<denied>.+?)(?: any more)?|(?:my|our) (?:(?:new"
    r"|current) )?(?P<thing2>[a-z][\w-]*(?: [a-z][\w-]*){0,3}?) (?:is|has changed to|changed to|was changed to"
    r"|are) (?P<value>.+?)"
)
_OF_OTHERS = re.compile(r"\b(?:is|are|was|were|that|which|who|of|in|at|for|and|or|to|from|with)\b")
_OWN_NAMES = frozenset("first last middle maiden full user stage pen family artist band company".split())


def _attribute(form: str) -> Named | None:
    """The rule for new keys: what people have one of, called by its own words."""
    match = _MY_ATTRIBUTE.fullmatch(form)
    if match is None:
        return None
    thing, value = match["thing"] or match["thing2"], match["denied"] or match["value"]
    words = thing.split()
    ours = words[-1] in ATTRIBUTES or (len(words) == 2 and words[1] == "name" and words[0] in _OWN_NAMES)
    if not ours or _OF_OTHERS.search(thing) or not is_calm(value) or words[0] == "favorite":
        return None
    if words[-1] in {"number", "code", "pin", "size", "zip", "zipcode", "postcode"} and not is_measure(value):
        return None
    if words[-1] in {"address", "birthday", "anniversary", "deadline", "bedtime"} and not (
        is_date(value) or "@" in value
    ):
        return None
    slug = _slug(" ".join([words[0].removesuffix("s") if _is_possessive(words) else words[0], *words[1:]]))
    return Named(FACT, slug, match["denied"]) if slug else None


def _is_possessive(words: list[str]) -> bool:
    """ "my wife's birthday", plainly "wifes birthday"."""
    owner = words[0].removesuffix("s")
    return len(words) > 1 and words[0] != owner and owner in (set(ONE_OF_EACH) | MANY_OF_EACH | PETS)
