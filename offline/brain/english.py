"""The little English that the toy needs: which words say something, who is meant, and what is a question."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

import Stemmer  # pyright: ignore[reportMissingTypeStubs]

_STEM = cast("Callable[[str], str]", Stemmer.Stemmer("english").stemWord)  # pyright: ignore[reportUnknownMemberType]

_EMPTY = frozenset(
    "a an the and or but so that this these those it its of in on at to for with from by as about into than then there"
    " is are am was were be been being do does did done have has had can could will would shall should may might must"
    " what who whom whose where when why how which i me my mine myself we us our ours you your yours he she they them"
    " his her their not no yes please tell told say said know remember again just really very now today any some"
    " s m re ve ll d t thing things something anything everything used use before ago".split()
)
# What is asked for by one word is often told in another.
_ALIKE = {
    "live": "home city move hometown",
    "work": "job employ",
    "job": "work employ",
    "living": "job work",
    "old": "age birthday born",
    "call": "name",
    "name": "call",
    "pet": "cat dog",
    "born": "birthday",
    "colour": "color",
}
_QUESTION = re.compile(
    r".*\?\s*$|(?:what|who|whom|whose|where|when|why|how|which|do|does|did|is|are|am|was|were|can|could|will|would"
    r"|should|have|has|had)\b",
    re.IGNORECASE | re.DOTALL,
)
_SECOND_PERSON = {
    "i am": "you are",
    "i'm": "you're",
    "i was": "you were",
    "am i": "are you",
    "was i": "were you",
    "i've": "you've",
    "i'd": "you'd",
    "i'll": "you'll",
    "we're": "you're",
    "we've": "you've",
    "i": "you",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "we": "you",
    "us": "you",
    "our": "your",
    "ours": "yours",
}
# "my sister lives in Rome": the sister; "my dentist appointment is today": the dentist appointment
_SUBJECT = re.compile(r"(?:my|our) (\w+'s\b|\w+(?: \w+){0,2}(?= (?:is|are|was|were)\b)|\w+)", re.IGNORECASE)
_OWNED = re.compile(r"\b(?:my|our) (\w+)", re.IGNORECASE)
_FIRST_PERSON = re.compile(rf"\b(?:{'|'.join(_SECOND_PERSON)})\b", re.IGNORECASE)


def is_question(words: str) -> bool:
    """Does it ask, also where a recogniser wrote no question mark?"""
    return _QUESTION.match(words.strip()) is not None


def is_about_the_speaker(words: str) -> bool:
    return _FIRST_PERSON.search(words) is not None


def said_to_them(words: str) -> str:
    """ "My cat is called Tilda." -> "your cat is called Tilda"."""
    plain = words.strip().rstrip(".!?").replace("’", "'")
    return _FIRST_PERSON.sub(lambda found: _SECOND_PERSON[found[0].lower()], plain)


def sentence(words: str) -> str:
    """With a capital, and a full stop where no mark stands."""
    words = words.strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")


def content(words: str) -> list[str]:
    """The stems of the words that say something, in their order."""
    found = re.findall(r"[^\W_]+", words.lower().replace("favourite", "favorite"))
    return [_STEM(word) for word in found if word not in _EMPTY]


def alike(stem: str) -> set[str]:
    """The stem, and those in which it is often told."""
    return {stem, *(_STEM(word) for word in _ALIKE.get(stem, "").split())}


def tells_of(question: str, words: str, stems: set[str]) -> bool:
    """May these words, with these stems, answer a question of the speaker's? "My sister lives in Rome" does not tell
    where they live, nor "I live in Rome" where their sister does."""
    if not is_about_the_speaker(question):
        return True
    asked = set[str]().union(*map(alike, content(question)))
    subject = _SUBJECT.match(words)
    of_them = not subject or bool(asked.intersection(content(subject[1])))
    return of_them and all(alike(stem) & stems for stem in content(" ".join(_OWNED.findall(question))))
