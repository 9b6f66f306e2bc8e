"""What counts as a word when memories are searched: in one spelling, without stop words, down to the stem.

Stems are Porter's (1980, "An algorithm for suffix stripping"), and stop words are English, in every language: forms of
words in others are what `memory.recall.spelling` finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import Stemmer  # pyright: ignore[reportMissingTypeStubs]

from memory.recall.letters import cut, letters

MONTHS = tuple("January February March April May June July August September October November December".split())

_STOP_WORDS = frozenset(
    "a about am an and are as at be been but by can could did do does for from had has have he her his how i i'd i'll "
    "i'm i've if in is it its just know me mine my of on or our ours she should so tell that the their them they this "
    "to told us was we were what what's when where which who whose why will with would you your".split()
)
_FIRST_PERSON = frozenset("i i'd i'll i'm i've my mine we we'd we'll we're we've our ours".split())
_KEPT_STEMS = 1 << 15
# Without a cache, since `_Stems` is one. A call holds the interpreter's lock, so threads can share it.
_porter = cast("Callable[[str], str]", Stemmer.Stemmer("porter", 0).stemWord)  # pyright: ignore[reportUnknownMemberType]


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
    """Every word of a text, in lower case and without accents."""
    return cut(letters(text.replace("’", "'").replace("_", " ")))


def stems(said: Iterable[str]) -> list[str]:
    """The stems of words as `all_words` gives them, without the stop words."""
    return list(filter(None, map(_stems.__getitem__, said)))


def first_person(said: Iterable[str]) -> int:
    """How often the speaker speaks of themselves: "I'm glad that my cat is back" is 2."""
    return sum(map(_FIRST_PERSON.__contains__, said))


def stem(word: str) -> str:
    """What English endings leave of a lower case word: "moved", "moving" and "moves" are all "move"."""
    word = word.removesuffix("'s")
    return _porter(word) if len(word) > 2 and word.isascii() and word.isalpha() else word
