"""Numbers as they are said: in digits of any script, with blanks and dashes, or word by word as recognisers write them.

The words are those for 0 to 9 in the languages in which `memory.language.private` knows secrets by their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# A line is a language, a word a digit; where there are two ways to say one, a stroke is between them.
_WORDS = """
    zero|oh|nought one two three four five six seven eight nine
    null eins|ein zwei|zwo drei vier fünf sechs sieben acht neun
    zéro un|une deux trois quatre cinq six sept huit neuf
    cero uno|una dos tres cuatro cinco seis siete ocho nueve
    zero um|uma dois|duas três quatro cinco seis|meia sete oito nove
    zero uno|una due tre quattro cinque sei sette otto nove
    nul een|één twee drie vier vijf zes zeven acht negen
    ноль|нуль один|одна два|две три четыре пять шесть семь восемь девять
    zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć
    sıfır bir iki üç dört beş altı yedi sekiz dokuz
    शून्य|ज़ीरो एक दो तीन चार पांच|पाँच छह|छः सात आठ नौ
    صفر واحد اثنان|اثنين ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة
"""
_HAN = "零一二三四五六七八九"
_VALUES = {
    word: str(value)
    for line in _WORDS.strip().splitlines()
    for value, ways in enumerate(line.split())
    for word in ways.split("|")
} | {character: str(value) for value, character in enumerate(_HAN)}
_VALUES["〇"] = "0"
_SAID: dict[str, list[str]] = {
    str(value): sorted((word for word, its in _VALUES.items() if its == str(value)), key=len, reverse=True)
    for value in range(10)
}

_WORD = rf"(?<!\w)(?:{'|'.join(sorted((w for w in _VALUES if len(w) > 1), key=len, reverse=True))})(?!\w)"
DIGIT = rf"(?:\d|{_WORD}|[{_HAN}〇])"
"""One digit; no group of digits is one."""
BETWEEN = r"(?:[\s.\-–—·/]{0,3}|,\s)"
"""What may stand between two digits of one number; a comma alone is in an amount."""
_CHARACTER = re.compile(rf"[\d{_HAN}〇]")
_ONE = re.compile(DIGIT, re.IGNORECASE)
_RUN = re.compile(rf"{DIGIT}(?:{BETWEEN}{DIGIT})*", re.IGNORECASE)
_GROUP = re.compile(rf"\d+|{DIGIT}", re.IGNORECASE)
# They are made of digits and dashes as well, and are no part of a longer number.
_DATE = re.compile(r"\b(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{2,4})\b")
_NO_MARKS = str.maketrans(dict.fromkeys(".,-–—·/", " "))


def how_many(text: str) -> int:
    """How many digits a text has, in any script or as words; a fraction of the work of any pattern here."""
    words = text.lower().translate(_NO_MARKS).split()
    return len(_CHARACTER.findall(text)) + sum(map(_VALUES.__contains__, words))


def run_of(least: int, most: int = 30) -> str:
    """A pattern for a number of so many digits."""
    return rf"{DIGIT}(?:{BETWEEN}{DIGIT}){{{least - 1},{most - 1}}}"


def digits_of(text: str) -> str:
    """The digits of a number that was said, as 0 to 9."""
    found = (match[0].lower() for match in _ONE.finditer(text))
    return "".join(_VALUES.get(each) or str(int(each)) for each in found)


def number_pattern(digits: str) -> str:
    """A pattern for the same number however it is said."""
    ways = (rf"(?:{each}|(?<!\w)(?:{'|'.join(_SAID[each])})(?!\w))" for each in digits)
    return rf"(?<!\d){BETWEEN.join(ways)}(?!\d)"


def groups(text: str) -> Iterator[list[tuple[int, int]]]:
    """Each long run of digits as the places of the groups in which it was said; dates are in none."""
    start = 0
    for date in [*_DATE.finditer(text), None]:
        end = date.start() if date else len(text)
        for run in _RUN.finditer(text, start, end):
            yield [group.span() for group in _GROUP.finditer(text, *run.span())]
        start = date.end() if date else end
