"""What of a curator's answer is believed: it is untrusted text, of somebody who has read what a stranger may have said.

Each part of it stands for itself: a quote that nobody said, an id that was not sent or a key that is none changes
nothing, and takes none of its neighbours along, for they are about other statements. All of it is refused where it is
no answer to what was asked (its shape, or more bad parts than good ones), and where it would take away more than a
small share of what was sent. What is believed cannot be much, even if it is a lie:

- A fact is in its statement's own words, and is kept beside it.
- What ends, ends by a new statement that was said later and gives no orders; one ends a few at most.
- What has been asked for (it has no source) is not ended: what they say later may replace it under its key.
- Nothing is deleted: what ended and what was set aside is in the past, and can be brought back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from memory.curation.request import CATEGORIES, MAX_STATEMENT_CHARACTERS, MOST_FACTS, Batch
from memory.language.keys import canonical_key
from memory.language.named_facts import category_of
from memory.language.normal_form import plain
from memory.language.quoting import is_instruction_like, is_quotation
from memory.records import STATEMENT_KEY, Category, Curation, Memory, Past

MAX_KEY_CHARACTERS = 64
MOST_ENDED_BY_ONE = 3
_SHARE = 8
"""At most one of so many of what was sent ends or is set aside; but one may always, and two may be replaced."""
_SHARE_SET_ASIDE = 4
"""At most one of so many new statements is set aside, or one of fewer, but never all there are: most of what our rules
keep is worth it."""
_MAX_ANSWER_CHARACTERS = 40_000

_KEY = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
# Thai, Lao, Burmese, Khmer, Japanese and Chinese set no blanks between words.
_UNSPACED = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_BORDER = rf"(?:(?<!\w)|(?<={_UNSPACED})|(?={_UNSPACED}))", rf"(?:(?!\w)|(?<={_UNSPACED})|(?={_UNSPACED}))"
# What is done to notes, told of more than one of them: an order, whatever it is dressed up as. English, on top of what
# holds for every language: the shares.
_ORDER = re.compile(
    r"(?i)\b(?:forget|delet\w+|eras\w+|wip\w+|remov\w+|discard\w*|ignor\w+|disregard\w*|overwrit\w+|renam\w+|outdated"
    r"|worthless|void|null|invalid)\b.{0,80}\b(?:all|every\w*|anything|memor\w+|notes?|facts?|statements?|ids?|others?"
    r"|earlier|previous|everything)\b"
    r"|\b(?:all|every\w*|memor\w+|notes|facts|statements|earlier|previous)\b.{0,80}\b(?:forgotten|deleted|erased|wiped"
    r"|removed|ended|outdated|worthless|void|null|invalid|false|wrong)\b"
)


class AnswerRefused(Exception):
    """Nothing of the answer is believed. The text names the defect and holds nothing of the answer."""


class TakesTooMuch(AnswerRefused):
    """It would end or set aside more than any talk can mean."""


class _Fact(BaseModel, extra="forbid", strict=True):
    key: str
    category: str
    quote: str


class _Statement(BaseModel, extra="forbid", strict=True):
    id: str
    facts: Annotated[list[_Fact], Field(max_length=64)]
    ends: Annotated[list[str], Field(max_length=64)]
    worth: Literal["keep", "nothing", "private"]


class _Answer(BaseModel, extra="forbid", strict=True):
    statements: Annotated[list[_Statement], Field(max_length=64)]


def believed(text: str, batch: Batch) -> Curation:
    """What of the answer to this batch is to be done. Raises `AnswerRefused`."""
    if len(text) > _MAX_ANSWER_CHARACTERS:
        raise AnswerRefused("the answer is too long")
    try:
        answer = _Answer.model_validate_json(text)
    except ValidationError as error:  # it also says where, in names that the model chose
        raise AnswerRefused(error.errors(include_input=False)[0]["msg"]) from None
    checking = _Checking(batch)
    for entry in answer.statements:
        checking.take(entry)
    return checking.result()


class _Checking:
    """What is believed so far, and how many parts were no good."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._statements = batch.statements
        self._all = batch.notes | batch.statements
        self._facts: list[Memory] = []
        self._ended: dict[str, Past] = {}
        self._wanted = set[str]()
        """What it would take away, believed or not: who wants everything gone is not believed in a part of it."""
        self._aside: dict[str, Past] = {}
        self._good = self._bad = 0

    def take(self, entry: _Statement) -> None:
        statement = self._statements.pop(entry.id, None)
        self._count(statement is not None)
        if statement is None:
            return  # of another request, or told twice
        orders = gives_orders(statement.value)
        facts = [] if orders else list(self._facts_of(entry.facts, statement))
        ended = [] if orders else list(self._ended_by(entry.ends, statement))
        self._wanted |= self._all.keys() & {*entry.ends, *([entry.id] if entry.worth != "keep" else [])}
        if entry.worth == "private":
            self._aside[entry.id] = Past(statement, statement.said_at)
            return
        self._facts += facts
        self._ended |= {name: Past(self._all[name], statement.said_at) for name in ended}
        # what states a fact, ends something or has a name of its own says something
        if entry.worth == "nothing" and not (facts or ended) and statement.key.startswith(STATEMENT_KEY):
            self._aside[entry.id] = Past(statement, statement.said_at)

    def result(self) -> Curation:
        """Raises `AnswerRefused`."""
        new, sent, wanted = len(self._batch.new), len(self._all), len(self._wanted)
        replaced = {(one.category, one.key) for one in self._all.values()} & {(f.category, f.key) for f in self._facts}
        if (
            wanted > max(1, sent // _SHARE)
            or len(replaced) > max(2, sent // _SHARE)
            or len(self._aside) > min(max(1, new // _SHARE_SET_ASIDE), new - 1)
        ):
            raise TakesTooMuch(f"it would take away {wanted} and replace {len(replaced)} of {sent}")
        if self._bad > self._good:
            raise AnswerRefused("more of it is wrong than right")
        ended = self._ended | self._aside  # who set a statement aside has said that it never held
        return Curation(self._batch.new, self._facts, list(ended.values()))

    def _facts_of(self, facts: Sequence[_Fact], statement: Memory) -> Iterator[Memory]:
        said, keys = _comparable(statement.value[:MAX_STATEMENT_CHARACTERS]), {canonical_key(statement.key)}
        for fact in facts[:MOST_FACTS]:
            key, quote = canonical_key(fact.key), " ".join(fact.quote.split())
            good = _is_key(fact.key) and fact.category in CATEGORIES and _is_said(quote, said)
            self._count(good)
            if good and key not in keys:  # what our rules have named stays as they have
                keys.add(key)
                yield self._fact(key, fact.category, quote, statement)

    def _fact(self, key: str, category: str, quote: str, statement: Memory) -> Memory:
        """Under the name that this has already, whoever gave it."""
        named = self._batch.names.get(key) or (category_of(key) or Category(category), key)
        return Memory(*named, quote, statement.said_at, statement.source, statement.conversation)

    def _ended_by(self, names: Sequence[str], statement: Memory) -> Iterator[str]:
        for name in list(dict.fromkeys(names))[:MOST_ENDED_BY_ONE]:
            memory = self._all.get(name)
            self._count(memory is not None)
            if memory and memory.source is not None and memory.said_at < statement.said_at:
                yield name

    def _count(self, good: bool) -> None:
        self._good += good
        self._bad += not good


def gives_orders(text: str) -> bool:
    """Is it about what to do with what was said, and so a reason for nothing?"""
    return is_instruction_like(text) or is_quotation(text) or bool(_ORDER.search(text))


def _is_key(key: str) -> bool:
    return (
        len(key) <= MAX_KEY_CHARACTERS
        and bool(_KEY.fullmatch(key))
        and not key.startswith(STATEMENT_KEY)
        and not is_instruction_like(key.replace("_", " "))
    )


def _is_said(quote: str, said: str) -> bool:
    """Is it a part of this, word by word? Case, marks and blanks make no difference."""
    words = _comparable(quote)
    return bool(words and re.search(_BORDER[0] + re.escape(words) + _BORDER[1], said))


def _comparable(text: str) -> str:
    return plain(unicodedata.normalize("NFC", text))
