"""What a person said, said back to them: "my" turned to "your", and a question turned to "I don't know ..."."""

from __future__ import annotations

import re
from collections.abc import Sequence

from offline.concepts import PAST
from offline.english import ADVERBS, AUXILIARIES, BE, ME, MINE, QUESTION_WORDS, owned, words

_TURNED = {
    "i": "you", "me": "you", "my": "your", "mine": "yours", "myself": "yourself", "im": "you are",
    "we": "you", "us": "you", "our": "your", "ours": "yours", "ourselves": "yourselves",
    "i'm": "you are", "i've": "you have", "i'd": "you would", "i'll": "you will",
    "we're": "you are", "we've": "you have", "we'd": "you would", "we'll": "you will",
    "am": "are", "your": "my", "yours": "mine", "yourself": "myself",
    "you're": "I am", "you've": "I have", "you'll": "I will", "you'd": "I would",
}  # fmt: skip
_LOWERED = frozenset(
    "the a an this that these those there it in on at when every one two three some all both since after before today "
    "yesterday tomorrow last next now he she they his her their its and but because if as for with from to".split()
)


def second_person(text: str) -> str:
    """The speaker's words said back to them: "I'm glad my cat was" is "you are glad your cat was".

    No capital at the start and no mark at the end; names keep their capitals.
    """
    text = text.replace("’", "'").strip().rstrip(" .!?;,")
    pieces = re.split(r"([\w]+(?:'\w+)*)", text)
    said = [piece.lower() for piece in pieces[1::2]]
    for index, original in enumerate(pieces[1::2]):
        pieces[2 * index + 1] = _turn(said, index, original)
    return "".join(pieces)


def sentence(text: str) -> str:
    """With a capital at the start and a full stop at the end."""
    text = text.strip().rstrip(" .!?;,")
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _turn(said: Sequence[str], index: int, original: str) -> str:
    word = said[index]
    if original == "US":
        return original
    if word == "you":
        return "I" if _is_subject(said, index) else "me"
    if word in _TURNED:
        return _TURNED[word]
    if word in ("was", "wasn't") and _subject_before(said, index) in ME:
        return word.replace("was", "were")
    if word in ("are", "were") and _subject_before(said, index) == "you":
        return {"are": "am", "were": "was"}[word]
    return original.lower() if index == 0 and word in _LOWERED else original


def _is_subject(said: Sequence[str], index: int) -> bool:
    after = said[index + 1] if index + 1 < len(said) else ""
    return after in AUXILIARIES or after in ADVERBS or (index == 0 and bool(after))


def _subject_before(said: Sequence[str], index: int) -> str:
    for word in reversed(said[:index]):
        if word not in ADVERBS:
            return word
    return ""


# --- not knowing ----------------------------------------------------------------------------------------------


def unknown(question: str) -> str:
    """ "What is my favorite color?" -> "I don't know your favorite color yet." """
    asked = second_person(" ".join(_indirect(words(question))))
    asked = asked.replace(" 's", "'s")
    return f"I don't know {asked} yet." if asked else "I don't know that yet."


def _indirect(said: list[str]) -> list[str]:
    """The question as it stands inside another sentence, in the speaker's own person; empty if it is no question."""
    low = [word.lower() for word in said]
    if not low:
        return []
    at = next((index for index, word in enumerate(low) if word in AUXILIARIES), len(low))
    if low[0] not in QUESTION_WORDS:
        if at == 0:
            return _inverted(["whether"], said, 0)
        return said if low[0] in MINE or (low[0] == "the" and "my" in low) else []
    subject_first = next((index for index, word in enumerate(low) if word in ME or word in MINE), len(low))
    if subject_first < at:
        return [low[0], *said[1:]]
    return _inverted([low[0], *said[1:at]], said, at)


def _inverted(opening: list[str], said: list[str], at: int) -> list[str]:
    low = [word.lower() for word in said]
    end = _subject_end(low, at + 1)
    if end is None:
        return []
    verb, subject, rest = low[at], said[at + 1 : end], said[end:]
    if not rest and len(subject) > 2 and (verb in ("do", "does", "did") or opening == ["whether"]):
        subject, rest = subject[:-1], subject[-1:]  # "is my car red", "when did my team win"
    if verb in BE and not rest and opening == ["what"]:
        return subject
    if verb in ("do", "does", "did") and rest and rest[0].lower() not in ("not", "n't"):
        return [*opening, *subject, _agreeing(verb, rest[0]), *rest[1:]]
    return [*opening, *subject, verb, *rest]


def _subject_end(low: Sequence[str], start: int) -> int | None:
    if start >= len(low):
        return None
    if low[start] in ME:
        return start + 1
    if low[start] in MINE:
        return owned(low, start)
    if low[start] in ("the", "a", "an"):
        mine = next((index for index in range(start, len(low)) if low[index] in MINE), None)
        return owned(low, mine) if mine is not None else None
    return None


def _agreeing(auxiliary: str, verb: str) -> str:
    """The verb after "do", "does" or "did" once that is gone: "where did we move" -> "where we moved"."""
    if auxiliary == "do":
        return verb
    if auxiliary == "did":
        return PAST.get(verb.lower()) or _past(verb)
    if verb.lower() in ("have", "be"):
        return {"have": "has", "be": "is"}[verb.lower()]
    return _with_s(verb)


def _past(verb: str) -> str:
    if verb.endswith("e"):
        return f"{verb}d"
    if re.search(r"[^aeiou]y$", verb):
        return f"{verb[:-1]}ied"
    return f"{verb}ed"


def _with_s(verb: str) -> str:
    if re.search(r"[^aeiou]y$", verb):
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else f"{verb}s"


def joined(parts: Sequence[str]) -> str:
    """Parts as one sentence's list: "a, b and c"."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
