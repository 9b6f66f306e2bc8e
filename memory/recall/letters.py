"""The letters of a text in whatever language, written one way and cut into words; nobody asks which language it is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain, pairwise

# What people leave out when they type, and what is no letter of its own: accents (of Greek and Cyrillic letters too),
# Hebrew points, Arabic vowel signs and the stroke that makes an Arabic word longer. No other mark goes: without its
# vowel signs a Hindi or a Thai word is another one.
_LEFT_OUT = "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed"
_MARKS = re.compile(f"[{_LEFT_OUT}]+")
_SAME = str.maketrans(
    {
        **{"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "ð": "d", "þ": "th"},
        # the last letter of a word that is written in two ways, and Persian keys for Arabic letters
        **{"ى": "ي", "ة": "ه", "ک": "ك", "ی": "ي"},
    }
)

# `\w` knows no mark, and with these blocks' marks vowels are written: those of India, of Thailand, Laos, Tibet, Myanmar
# and Cambodia. Their signs that end a sentence are left out.
_LETTER = (
    r"[\w\u0900-\u0963\u0966-\u0dff\u0e00-\u0e4f\u0e80-\u0eff\u0f18-\u0f39\u0f3e-\u0fc6\u1000-\u1049\u1050-\u109f"
    r"\u1780-\u17d3]"
)
_WORD = re.compile(rf"{_LETTER}+(?:'{_LETTER}+)?")
_ASCII_WORD = re.compile(r"\w+(?:'\w+)?", re.ASCII)

# Thai, Lao, Myanmar, Khmer, Japanese and Chinese.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff"
)
_RUN = re.compile(f"([{_UNSPACED}]+)|[^{_UNSPACED}]+")
_ANY_UNSPACED = re.compile(f"[{_UNSPACED}]")


def letters(text: str) -> str:
    """The text in lower case and one spelling of it: "CAFÉ" as "cafe", "Straße" as "strasse", "ｶﾞ" as "ガ"."""
    if text.isascii():
        return text.lower()
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFKC", bare).translate(_SAME)


def cut(text: str) -> list[str]:
    """The words of what `letters` gives. Where a script puts no spaces between them, every two characters that stand
    beside each other are one, and each alone is: whichever of them are a word is among them."""
    if text.isascii():
        return _ASCII_WORD.findall(text)
    found: list[str] = _WORD.findall(text)
    if not _ANY_UNSPACED.search(text):
        return found
    return list(chain.from_iterable(map(_cut_word, found)))


def _cut_word(word: str) -> Iterator[str]:
    for run in _RUN.finditer(word):
        unspaced = run[1]
        if unspaced:
            yield from unspaced
            yield from map("".join, pairwise(unspaced))
        elif other := run[0].strip("'"):
            yield other


def runs(text: str) -> Iterator[tuple[str, bool]]:
    """The words of what `letters` gives, and each stretch of a script that puts no spaces between its words, uncut:
    with True."""
    for word in _WORD.findall(text):
        for run in _RUN.finditer(word):
            if found := run[0].strip("'"):
                yield found, run[1] is not None
