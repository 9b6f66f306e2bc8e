"""One thing under one key, whoever chose it: our rules, a model, a script. In English, as keys are.

`canonical_key` brings spellings of one name together: "favourite_colour", "user_favorite_color" and "my favorite color"
are `favorite_color`. `meant` finds which of the keys that are there somebody means who has the words, but not the key.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from memory.language.words import WORDS
from memory.records import STATEMENT_KEY

# What our table calls by another name (`memory.language.named_facts`).
_USUAL = {
    **dict.fromkeys(("date_of_birth", "birth_date", "birthdate"), "birthday"),
    **{"timezone": "time_zone", "full_name": "name", "city": "home_city", "city_of_residence": "home_city"},
    **{"phone_number": "phone", "e_mail": "email", "email_address": "email", "occupation": "job", "profession": "job"},
}
_BRITISH = re.compile(r"(?<![a-z])(fav|col|neighb|flav|behavi|hum|hon|lab|rum|harb|arm)our")
_SPELLED = {"fav": "favorite", "grey": "gray", "centre": "center", "mum": "mother", "mom": "mother", "dad": "father"}


def american(low: str) -> str:
    """What is in small letters as Americans spell it: "my favourite colour" is "my favorite color"."""
    return _BRITISH.sub(r"\1or", low)


def canonical_key(key: str) -> str:
    """The key in snake_case, American spelling, and without an owner; as it is where nothing would be left of it.

    The key of an unnamed statement stays as it is.
    """
    if key.startswith(STATEMENT_KEY):
        return key
    words = _words(key)
    while len(words) > 1 and words[0] in WORDS["owners"]:
        del words[0]
    name = "_".join(words)
    return _USUAL.get(name, name) or key


def spellings(key: str) -> list[str]:
    """The likeliest other keys of the same, for who cannot look at all that are there."""
    canonical = canonical_key(key)
    british = re.sub(_BRITISH.pattern.replace("our", "or"), r"\1our", canonical)
    return [one for one in (canonical, british, f"user_{canonical}", f"my_{canonical}") if one != key]


def meant(key: str, known: Iterable[str], *, loosely: bool = True) -> list[str]:
    """Which of the known keys are meant by this one, the likeliest first: itself and its other spellings; else,
    `loosely`, those of the same words in another order or number ("colors_favorite"), if they are one thing."""
    canonical = canonical_key(key)
    there = {one: canonical_key(one) for one in known if one == key or not one.startswith(STATEMENT_KEY)}
    if same := [one for one, its in there.items() if its == canonical]:
        return sorted(same, key=lambda one: (one != key, one != canonical, one))
    near = [one for one in there if _is_near(one, canonical)] if loosely else []
    return near if len({there[one] for one in near}) == 1 else []


def _words(key: str) -> list[str]:
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", re.sub(r"['’]s(?![^\W_])", "", unicodedata.normalize("NFKC", key)))
    words: list[str] = re.findall(r"[^\W_]+", american(parted.casefold()))
    return [_SPELLED.get(word, word) for word in words]


def _is_near(known: str, canonical: str) -> bool:
    one, other = (
        [_singular(word) for word in _words(key) if word not in WORDS["articles"] | {"of"}]
        for key in (known, canonical)
    )
    one = [word for word in one if word not in WORDS["owners"]] or one
    if not WORDS["directions"].isdisjoint(one):
        return one == other
    return sorted(one) == sorted(other) or "".join(one) == "".join(other)


def _singular(word: str) -> str:
    return re.sub(r"(?<=[^\W_]{2})(?:(?<=ss|ch|sh)es|(?<=x)es|(?<![sui])s)$", "", word).replace("ie", "y")
