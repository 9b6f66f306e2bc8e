"""A text without the secrets in it: each gives way to three dots, and all the rest stays as it was said."""

from __future__ import annotations

import re
from collections.abc import Iterable

from memory.language.private.digits import digits_of, how_many, number_pattern, run_of
from memory.language.private.named import named_secrets
from memory.language.private.numbers import Span, secret_numbers
from memory.language.sentences import sentences

MASK = "•••"
_MASKS = re.compile(rf"{MASK}(?:[\s,.–-]*{MASK})+")
# Where one clause ends and the next begins, as far as marks and the commonest words tell.
_JOINT = re.compile(r"([,;、，；]\s*|\s+(?:and|but|und|aber|et|mais|y|pero|e|mas|ma|en|maar|и|но|और)\s+)")
_NAMING_WORDS, _NAMING_BYTES = 6, 30
"""What is left of a clause without its secret says nothing else, where it is no longer than this."""
_NUMBER = re.compile(run_of(1, 40), re.IGNORECASE)
_TELLING = 4
"""Fewer digits may be any number."""
_WORD = re.compile(r"[^\W_]+")


def secrets_in(text: str) -> list[Span]:
    """Where the secrets of a text stand, in order, none within another."""
    digits = how_many(text)
    found = {*secret_numbers(text, digits), *named_secrets(text, digits)}
    apart: list[Span] = []
    for start, end in sorted(found):
        if MASK in text[start:end]:
            continue
        if apart and start < apart[-1][1]:
            apart[-1] = apart[-1][0], max(end, apart[-1][1])
        else:
            apart.append((start, end))
    return apart


def without(text: str, spans: Iterable[Span]) -> str:
    """The text with these parts masked."""
    for start, end in sorted(spans, reverse=True):
        text = f"{text[:start]}{MASK}{text[end:]}"
    return _MASKS.sub(MASK, text)


def masked(text: str) -> str:
    """The text without its secrets."""
    return without(text, secrets_in(text))


def again(secret: str) -> re.Pattern[str] | None:
    """Finds a secret where it is said again without its name; None for one that cannot be told from other words: a
    plain word, and a number of three digits."""
    if _NUMBER.fullmatch(secret):
        digits = digits_of(secret)
        return re.compile(number_pattern(digits), re.IGNORECASE) if len(digits) >= _TELLING else None
    words = _WORD.findall(secret)
    if len(words) < 2 and not any(map(str.isdigit, secret)):
        return None
    apart = r"[\W_]+".join(map(re.escape, words))
    return re.compile(rf"(?<![^\W_]){apart}(?![^\W_])", re.IGNORECASE)


def worth_keeping(masked_text: str) -> str:
    """A masked text without the clauses that said nothing but a secret."""
    if MASK not in masked_text:
        return masked_text
    return " ".join(filter(None, map(_without_names, sentences(masked_text))))


def _without_names(sentence: str) -> str:
    joints, clauses = _JOINT.split(sentence)[1::2], _JOINT.split(sentence)[::2]
    left = [(joint, clause) for joint, clause in zip(["", *joints], clauses, strict=True) if not _only_names(clause)]
    return "".join([clause if n == 0 else joint + clause for n, (joint, clause) in enumerate(left)])


def _only_names(clause: str) -> bool:
    rest = clause.replace(MASK, " ")
    return MASK in clause and len(_WORD.findall(rest)) <= _NAMING_WORDS and len(rest.encode()) <= 2 * _NAMING_BYTES
