"""Which known words look like one that nobody said: another form of it, or the same word mistyped or misheard."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

_ALIKE = 0.3
"""Dice's coefficient (1945) of the trigrams that two words have: twice the shared ones by all. Between 0.2 and 0.4 it
makes little difference what is asked for; trigrams told forms of words apart better than pairs and fours did."""
_SHORTEST = 3


class Spelling:
    """Distinct words by their trigrams. Learning and forgetting one take microseconds."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._words: list[str] = []
        """By number; numbers grow and are never used again."""
        self._sizes = array("i")
        """How many trigrams each has."""
        self._having = defaultdict[str, "array[int]"](_no_numbers)
        """The numbers of the words that have a trigram, ascending."""

    def learn(self, words: Iterable[str]) -> None:
        """Know words that were not known."""
        for word in words:
            if _is_spelt(word):
                number = self._numbers[word] = len(self._words)
                grams = _trigrams(word)
                self._words.append(word)
                self._sizes.append(len(grams))
                for gram in grams:
                    self._having[gram].append(number)

    def forget(self, word: str) -> None:
        """Keep no trace of a word."""
        number = self._numbers.pop(word, None)
        if number is None:
            return
        self._words[number] = ""
        for gram in _trigrams(word):
            having = self._having[gram]
            del having[bisect_left(having, number)]
            if not having:
                del self._having[gram]

    def like(self, word: str) -> list[tuple[str, float]]:
        """The known words that look like this one, and how much: 1 would be the same."""
        if not _is_spelt(word):
            return []
        grams = _trigrams(word)
        having = b"".join(self._having[gram] for gram in grams if gram in self._having)
        shared = np.bincount(np.frombuffer(having, self._sizes.typecode))
        # no word has fewer trigrams than it shares: most are too far from this one, whatever their size
        near = np.flatnonzero(shared * (2 - _ALIKE) >= _ALIKE * len(grams))
        sizes = np.frombuffer(self._sizes, self._sizes.typecode)[near] if len(near) else near
        alike = 2 * shared[near] / (sizes + len(grams))
        return [(self._words[n], how) for n, how in zip(near.tolist(), alike.tolist(), strict=True) if how >= _ALIKE]


def _is_spelt(word: str) -> bool:
    """Of a number no other one is a form, and a word of one or two letters looks like too many."""
    return len(word) >= _SHORTEST and (word.isalpha() or not any(map(str.isdigit, word)))


def _trigrams(word: str) -> set[str]:
    """With the start marked, where words that have to do with each other are alike, and not the end."""
    return set(map("".join, zip(f"^{word}", word, word[1:], strict=False)))


def _no_numbers() -> array[int]:
    return array("i")
