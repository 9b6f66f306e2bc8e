"""What counts as a word when memories are searched: lower case, without stop words, down to the stem."""

from __future__ import annotations

import re
from collections.abc import Iterable

MONTHS = tuple("January February March April May June July August September October November December".split())

_WORD = re.compile(r"\w+(?:'\w+)?")
_STOP_WORDS = frozenset(
    "a about am an and are as at be been but by can could did do does for from had has have he her his how i i'd i'll "
    "i'm i've if in is it its just know me mine my of on or our ours she should so tell that the their them they this "
    "to told us was we were what what's when where which who whose why will with would you your".split()
)
_FIRST_PERSON = frozenset("i i'd i'll i'm i've my mine we we'd we'll we're we've our ours".split())
_KEPT_STEMS = 1 << 15


class _Stems(dict[str, str]):
    """What is left of each word that was seen, nothing of a stop word: most of an index's making is this look-up."""

    def __missing__(self, word: str) -> str:
        if len(self) >= _KEPT_STEMS:
            self.clear()
        left = self[word] = "" if word in _STOP_WORDS else stem(word)
        return left


_stems = _Stems()


def words(text: str) -> list[str]:
    """The stems of a text's words, in their order, without those that stand in every sentence."""
    return stems(all_words(text))


def all_words(text: str) -> list[str]:
    """Every word of a text, lower case."""
    return _WORD.findall(text.lower().replace("’", "'").replace("_", " "))


def stems(said: Iterable[str]) -> list[str]:
    """The stems of words as `all_words` gives them, without the stop words."""
    return list(filter(None, map(_stems.__getitem__, said)))


def first_person(said: Iterable[str]) -> int:
    """How often the speaker speaks of themselves: "I'm glad that my cat is back" is 2."""
    return sum(map(_FIRST_PERSON.__contains__, said))


# M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, with its author's later "logi" rule. Against
# the commonest endings alone ("s", "ed", "ing") it finds one more of a hundred turns among the first ten.

_STEP_2 = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "bli": "ble", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble", "logi": "log",
}  # fmt: skip
_STEP_3 = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_SHAPES = str.maketrans("abcdefghijklmnopqrstuvwxz", "vcccvcccvcccccvcccccvcccc")
_STEP_4 = tuple(
    "ement ance ence able ible ment ant ent ion ism ate iti ous ive ize al er ic ou".split()
)  # longest first


def stem(word: str) -> str:
    """What English endings leave of a lower case word: "moved", "moving" and "moves" are all "move"."""
    word = word.removesuffix("'s")
    if len(word) < 3 or not (word.isascii() and word.isalpha()):
        return word
    word = _without_plural(word)
    word = _without_past_or_participle(word)
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    word = _replaced(_replaced(word, _STEP_2), _STEP_3)
    word = _without_suffix(word)
    return _tidied(word)


def _without_plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _without_past_or_participle(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    rest = word[:-2] if word.endswith("ed") else word[:-3] if word.endswith("ing") else ""
    if not _has_vowel(rest):
        return word
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if _ends_double(rest) and rest[-1] not in "lsz":
        return rest[:-1]
    return rest + "e" if _measure(rest) == 1 and _ends_short(rest) else rest


def _replaced(word: str, endings: dict[str, str]) -> str:
    if not word.endswith(tuple(endings)):
        return word
    ending = max((ending for ending in endings if word.endswith(ending)), key=len)
    rest = word.removesuffix(ending)
    return rest + endings[ending] if _measure(rest) > 0 else word


def _without_suffix(word: str) -> str:
    if not word.endswith(_STEP_4):
        return word
    rest = word.removesuffix(next(ending for ending in _STEP_4 if word.endswith(ending)))
    taken = _measure(rest) > 1 and (not word.endswith("ion") or rest.endswith(("s", "t")))
    return rest if taken else word


def _tidied(word: str) -> str:
    rest = word[:-1]
    if word.endswith("e") and (_measure(rest) > 1 or (_measure(rest) == 1 and not _ends_short(rest))):
        word = rest
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word


def _shape(word: str) -> str:
    """The word with v for each vowel and c for each consonant; y is a vowel after a consonant."""
    shape = word.translate(_SHAPES)
    while (place := shape.find("y")) >= 0:
        shape = shape[:place] + ("v" if shape[:place].endswith("c") else "c") + shape[place + 1 :]
    return shape


def _measure(word: str) -> int:
    """How often a consonant follows a vowel: 0 in "tree", 1 in "trouble", 2 in "private"."""
    return _shape(word).count("vc")


def _has_vowel(word: str) -> bool:
    return "v" in _shape(word)


def _ends_double(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and word[-1] not in "aeiou"


def _ends_short(word: str) -> bool:
    """Does it end like "hop": consonant, vowel, consonant, the last none of w, x, y?"""
    return _shape(word).endswith("cvc") and word[-1] not in "wxy"
