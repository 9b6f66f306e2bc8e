"""What words are about: a light stemmer, and small tables of everyday words that mean the same here."""

from __future__ import annotations

from functools import cache

# Concepts the rules ask for by name.
NAME, AGE, LIVE, WORK, FROM = "name", "age", "live", "work", "from"
LIKE, FAVORITE, WANT = "like", "favorite", "want"

_SAME = {
    NAME: "name names named call calls called nickname",
    AGE: "age aged old",
    LIVE: "live reside stay move relocate home hometown city town address location residence house flat apartment",
    WORK: "work job profession occupation career employer employed",
    LIKE: "like love enjoy adore hobby hobbies interest interested passion fond",
    FAVORITE: "favorite favourite favorites favourites prefer preferred",
    WANT: "want wish hope goal dream aim",
    "hate": "hate dislike detest",
    "color": "color colour",
    "mother": "mother mom mum mama mommy mummy",
    "father": "father dad daddy papa",
    "child": "child children kid",
    "grandmother": "grandmother grandma granny",
    "grandfather": "grandfather grandpa granddad",
    "partner": "partner spouse",
    "allergy": "allergy allergies allergic",
    "birthday": "birthday birthdate bday born",
    "movie": "movie film",
    "phone": "phone mobile cellphone telephone",
    "vacation": "vacation holiday",
    "doctor": "doctor physician",
    "tall": "tall height",
    "weigh": "weigh weight",
    "begin": "begin began begun start",
    "have": "have has having own",
    "speak": "speak spoken",
    "buy": "buy purchase",
    "go": "go goes gone",
    "study": "study studies studied studying",
    "marry": "marry married marriage wedding",
}

_KINDS = {
    "color": "red blue green yellow purple orange pink black white brown grey gray turquoise violet teal",
    "pet": "cat dog parrot hamster rabbit fish horse bird turtle kitten puppy snake",
    "animal": "cat dog parrot hamster rabbit fish horse bird turtle kitten puppy snake",
    "drink": "tea coffee water beer wine juice milk cocoa lemonade cider",
    "food": "pizza pasta sushi curry bread cheese chocolate soup salad rice noodles tacos lasagna ramen",
    "fruit": "apple banana pear orange mango cherry peach plum grape strawberry",
    "sport": "tennis football soccer basketball hockey golf swimming running rugby volleyball cricket climbing",
    "music": "jazz rock pop blues classical opera metal punk techno reggae folk",
    "instrument": "piano guitar violin drums flute cello trumpet saxophone ukulele",
    "language": "english spanish french german italian portuguese japanese chinese russian arabic dutch polish",
    "car": "volvo toyota ford bmw audi honda tesla fiat volkswagen mazda nissan renault peugeot skoda",
    "season": "spring summer autumn fall winter",
    "sibling": "brother sister",
    "parent": "mother father",
    "family": "mother father brother sister wife husband son daughter child",
}

_BASE_AND_PAST = (
    "go went have had buy bought meet met see saw eat ate drink drank speak spoke grow grew teach taught leave "
    "left get got make made say said tell told think thought know knew come came take took give gave find found "
    "lose lost drive drove write wrote read read sing sang run ran begin began put put do did wear wore sleep "
    "slept feel felt keep kept hear heard win won fly flew break broke choose chose forget forgot send sent spend "
    "spent "
).split()
PAST: dict[str, str] = dict(zip(_BASE_AND_PAST[::2], _BASE_AND_PAST[1::2], strict=True))
"""The past of irregular verbs."""

# What someone is by trade ends like this, unless it is one of those.
_TRADE_ENDINGS = ("er", "or", "ist", "ian", "ant", "eer", "man", "ect", "ess", "yst")
_TRADES = frozenset("nurse chef cook pilot student lawyer judge clerk surgeon coach scientist therapist vet".split())
_NO_TRADES = frozenset(
    "vegetarian brother sister mother father fan lover believer beginner learner member player runner reader "
    "person swimmer stranger smoker drinker sleeper giant mess human woman man winner loser teetotaler owner "
    "never ever over under older younger taller together better other neither either order number for or "
    "supporter eater walker hiker dreamer thinker christian listener".split()
)

_VOWELS = frozenset("aeiouy")


@cache
def concept(word: str) -> str:
    """What a word (lower case) is about: its synonym group, or else its stem."""
    return _groups().get(word) or _groups().get(stem(word)) or stem(word)


@cache
def kinds_of(word: str) -> frozenset[str]:
    """The kinds of thing this word names: "blue" is a color."""
    return frozenset(concept(kind) for kind, words in _KINDS.items() if concept(word) in map(concept, words.split()))


def names_a_trade(word: str) -> bool:
    """Whether "I am a ..." with this word says what someone does for work."""
    return word in _TRADES or (word.endswith(_TRADE_ENDINGS) and word not in _NO_TRADES and len(word) > 4)


def stem(word: str) -> str:
    """Light stemming, good enough to find "moved" with "move" and "dogs" with "dog"."""
    for ending, instead in (("ies", "y"), ("ied", "y")):
        if word.endswith(ending) and len(word) > 4:
            return word.removesuffix(ending) + instead
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) > 2 and _VOWELS & set(rest):
            word = _undouble(rest)
            break
    return word.removesuffix("e") if len(word) > 3 else word


def _undouble(word: str) -> str:
    return word[:-1] if word[-1] == word[-2] and word[-1] not in "lsz" else word


@cache
def _groups() -> dict[str, str]:
    groups: dict[str, str] = {}
    for name, words in _SAME.items():
        for word in words.split():
            groups[word] = name
            groups.setdefault(stem(word), name)
    for base, past in PAST.items():
        groups.setdefault(past, groups.get(base) or stem(base))
    # "I stayed in Rome" is a visit, "I am staying in Rome" is where someone lives.
    groups["stayed"] = "stayed"
    return groups
