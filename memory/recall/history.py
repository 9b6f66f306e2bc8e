"""What held before: whether a question asks for it, and which of it fits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo

from memory.language.normal_form import normal_form
from memory.recall.memories import RecallIndex
from memory.recall.words import MONTHS, words
from memory.records import STATEMENT_KEY, Memory, Past, statement_key

# "may" and "march" are words of every day: they are months after a word of time, or before a year.
_SURE = "|".join(month for month in MONTHS if month not in ("March", "May"))
_MONTH = re.compile(
    rf"(?P<sure>\b(?:in|since|until|till|last|by|during|before|after|on|of|from)(?: early| late| mid| last)? )?"
    rf"\b(?P<month>{_SURE}|(?:March|May)(?(sure)|(?=[ ,]+(?:of )?(?:19|20)\d\d)))\b"
    r"(?:[ ,]+(?:of )?(?P<year>(?:19|20)\d\d)\b)?",
    re.IGNORECASE,
)
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_LAST = re.compile(r"\blast (month|year)\b", re.IGNORECASE)

_ALWAYS_PAST = re.compile(
    r"\b(?:used to|use to|previous(?:ly)?|formerly|former|as of|back then|no longer|in the past|(?:my|the) old(?:er)?"
    r"|ever changed?)\b|(?:\bnot|n't)\b.* any ?more\b",
    re.IGNORECASE,
)
_IN_THE_PAST_TENSE = re.compile(r"\b(?:was|were|did|had|have i)\b", re.IGNORECASE)
_THEN = re.compile(
    rf"\b(?:before|earlier|originally|at first|at (?:the|that) time|until|ago|last (?:month|year)"
    rf"|(?:in|on|since|by|during|of) (?:(?:early|late|mid|last) )?(?:{'|'.join(MONTHS)}|(?:19|20)\d\d))\b",
    re.IGNORECASE,
)

# They say that the past is asked for, not what of it.
_ABOUT_TIME = frozenset(
    words(
        "before used previous previously formerly former then back longer anymore any more past old older ever change "
        "changed earlier originally first time until ago last month year not don't didn't wasn't " + " ".join(MONTHS)
    )
)

# Of more the oldest are not looked through: a turn should not wait for a life's corrections.
_LOOKED_THROUGH = 500


def asks_about_the_past(question: str) -> bool:
    """Is it about what held before? "What was my favorite color in March", "where did I use to live"; but not "what
    is my favorite color", nor "what did I say about my cat"."""
    then = _IN_THE_PAST_TENSE.search(question) and _THEN.search(question)
    return bool(then or _ALWAYS_PAST.search(question))


def past_that_fits(past: Sequence[Past], question: str, now: datetime, limit: int = 5) -> list[Past]:
    """What of the past the question asks for, at most `limit`, best first; none if it asks about the present.

    A question that names a month or a year wants what held then. One that shares no word with anything ("where did I
    live before?", of a `home_city`) gets the last facts that had names.
    """
    if not asks_about_the_past(question):
        return []
    period = asked_period(question, now)
    held = [one for one in reversed(past[-_LOOKED_THROUGH:]) if not one.set_aside]
    recent = [one for one in held if period is None or _held_in(one, period)]
    asked = {word for word in words(question) if word not in _ABOUT_TIME and not word.isdigit()}
    shared = [len(asked.intersection(_words_of(one))) for one in recent]
    fitting = sorted((-count, place) for place, count in enumerate(shared) if count)
    if fitting:
        return [recent[place] for _, place in fitting[:limit]]
    return [one for one in recent if not one.memory.key.startswith(STATEMENT_KEY)][:limit]


def to_bring_back(gone: Sequence[Past], known: Iterable[Memory], what: str) -> Memory | None:
    """What of it somebody means who says that it still holds: by its key the last that stood there, else what says the
    same, else what shares most of the words. None if it is known anyway, or nothing is like it."""
    values = {normal_form(memory.value) for memory in known}
    lost = [one.memory for one in gone if normal_form(one.memory.value) not in values]
    under_key = [memory for memory in lost if memory.key == what]
    in_words = [memory for memory in lost if normal_form(memory.value) == normal_form(what)]
    found = under_key[-1:] or in_words[-1:] or RecallIndex(lost).search(what, 1)
    return found[0] if found else None


def again(memory: Memory) -> str:
    """The key under which it comes back: what nobody named gets a new one."""
    return statement_key(datetime.now(UTC)) if memory.key.startswith(STATEMENT_KEY) else memory.key


def asked_period(question: str, now: datetime) -> tuple[datetime, datetime] | None:
    """From when to when the question asks, if it names a month or a year. A month without a year is the last such.
    Days begin where those of `now` do."""
    if found := _LAST.search(question):
        if found[1].lower() == "year":
            return _year(now.year - 1, now.tzinfo)
        return _month(now.year - (now.month == 1), (now.month - 2) % 12 + 1, now.tzinfo)
    if found := _MONTH.search(question):
        month = MONTHS.index(found["month"].capitalize()) + 1
        year = int(found["year"]) if found["year"] else now.year - (month > now.month)
        return _month(year, month, now.tzinfo)
    if found := _YEAR.search(question):
        return _year(int(found[0]), now.tzinfo)
    return None


def _year(year: int, zone: tzinfo | None) -> tuple[datetime, datetime]:
    return datetime(year, 1, 1, tzinfo=zone), datetime(year + 1, 1, 1, tzinfo=zone)


def _month(year: int, month: int, zone: tzinfo | None) -> tuple[datetime, datetime]:
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    return datetime(year, month, 1, tzinfo=zone), end


def _held_in(past: Past, period: tuple[datetime, datetime]) -> bool:
    return past.memory.said_at < period[1] and past.until > period[0]


def _words_of(past: Past) -> list[str]:
    key = "" if past.memory.key.startswith(STATEMENT_KEY) else past.memory.key
    return words(f"{key} {past.memory.value}")
