"""What a person said as statements: all of it that is worth keeping, in their own words.

Everything is kept but what is surely worthless (`memory.language.worthless`). A statement that says a named fact
(`memory.language.named_facts`) has its key; these rules are for English, and judge no other language. A turn gives one
statement for each key that is in it, and one for all the rest.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace

from memory.language.frame import Frame, own_words
from memory.language.named_facts import Named, called, categorise, named, takes_any_value
from memory.language.normal_form import normal_form, plain
from memory.language.plausible import is_calm
from memory.language.quoting import is_instruction_like, is_quotation, quoted, without_own_block
from memory.language.sentences import sentences
from memory.language.words import one_of
from memory.language.worthless import is_question, is_worthless
from memory.records import Category

MAX_STATEMENT_CHARACTERS = 1000

# Blingfire expects a capital after a dot. Those who write none are followed where a new clause is sure to begin.
_SMALL_SENTENCE_END = re.compile(rf"(?<=[!?।॥])\s+|\n+|(?<=[a-z]{{3}}\.)\s+(?={one_of('clause')}\b)")
_OPENER = re.compile(rf"(?i)^(?:{one_of('opener')}\b[\s,;:-]*)+")
# ... and so do words that take back what was said before: "no wait", "scratch that", "I've changed my mind".
_TAKING_BACK = re.compile(
    rf"(?i)^(?:(?:no|oh|oops|well|and|but|actually|sorry)\b[\s,]*)*(?:{one_of('takes_back')}\b[\s,;:.!-]*)+"
    r"(?=$|(?:i|im|ive|we|my|our|its?|call|you can call)\b)"
)
# "it's green", after something that has a key
_IT_IS = re.compile(
    r"(?:it (?P<change>used to be .+ but (?:now )?it )?(?:is|was|should be)|its) (?:now )?(?P<value>.+)"
)
_ASKED_TO_REMEMBER = re.compile(rf"(?i)^(?:(?:can|could|would) you )?(?:please )?{one_of('remember')}[\s,:]+")
# Where one clause about the speaker ends and the next begins.
_JOINT = re.compile(
    rf"(?i)((?:\s*[,;]\s*|\s+(?={one_of('joint')}\b))(?:{one_of('joint')}\b[\s,]*)*"
    r"(?=(?:i|im|ive|my|we|our|you can call|call me|it's|it is|its)\b))"
)
# What cannot stand alone, because it points back into its sentence.
_POINTS_BACK = re.compile(rf"(?i)\b{one_of('points_back')}\b")
_OWN = Frame()
_MAX_SENTENCES = 100
"""Nobody speaks for longer in one turn; of a pasted text, at about 1 ms a sentence, the rest is kept unread."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a person stated about themselves: `value` is their own words.

    `key` is None where nobody could name it for sure. `denies` is the value, in plain form, of which it says only
    that it holds no longer.
    """

    category: Category
    key: str | None
    value: str
    denies: str | None = None


def statements_in(turn: str, before: Statement | None = None, frame: Frame = _OWN) -> list[Statement]:
    """What a user turn states, as `heard` finds it."""
    return heard(turn, before, frame)[0]


def heard(turn: str, before: Statement | None, frame: Frame, language: str = "") -> tuple[list[Statement], Frame]:
    """What a user turn states about its speaker, in the order of the turn, each key at most once; and the frame in
    which the next turn is to be taken.

    Questions, greetings, commands and fillers are left out, sentence by sentence; so is what looks like our own block
    of memories. `before` is the last statement of the person's previous turn: "no wait, it's green" is about that.
    What is nobody's statement about themselves (`memory.language.frame`) has no key. What would give the agent orders
    is quoted too, and so is what the words alone do not show to be said in a role play, or by somebody else.

    `language` is an ISO 639 code, "" for an unknown one. What English opens with is cut off in no other: "no bebo café"
    would say the contrary.
    """
    english = language in ("", "en")
    found: list[Statement] = []
    taken_back = False
    parts = _sentences(turn)
    own, after = own_words(turn, parts[:_MAX_SENTENCES], frame)
    for sentence, is_own in zip(parts[:_MAX_SENTENCES], own, strict=True):
        said = " ".join(sentence.split())
        words = _TAKING_BACK.sub("", said) if english else said
        taken_back = taken_back or words != said
        if not words:
            continue  # "No wait." is about the next sentence
        about = next((one for one in reversed(found) if one.key), before)
        correction = _correction(words, about, taken_back=taken_back) if is_own else None
        stated = _stated(words, english=english)
        for statement in [correction] if correction else list(_of_sentence(stated, frame, is_own=is_own)):
            _add(found, statement, replacing=taken_back)
        taken_back = False
    for statement in _unnamed(" ".join(parts[_MAX_SENTENCES:])):
        _add(found, statement, replacing=False)
    is_asked_still = frame.asked_name and not found and not any(map(is_question, parts))
    return found, replace(after, asked_name=is_asked_still)


def settled(statement: Statement, current: str | None) -> Statement:
    """The statement as it is to be stored, given the current value under its key.

    "I don't live in Rome any more" ends "I live in Rome"; it says nothing against "I live in Porto", which it would
    replace under its key, so it then has none.
    """
    ended, known = (set(normal_form(text or "").split()) for text in (statement.denies, current))
    if ended <= known:  # also where nothing has ended
        return statement
    return replace(statement, category=categorise(statement.value), key=None, denies=None)


def _sentences(turn: str) -> list[str]:
    """Whole ones, without our own words."""
    text = without_own_block(turn).replace("’", "'")
    return [part for sentence in sentences(text) for part in _SMALL_SENTENCE_END.split(sentence)]


def _stated(sentence: str, *, english: bool = True) -> str | None:
    """Without what it opens with, if it is English; None if it is worthless."""
    words, asked = _ASKED_TO_REMEMBER.subn("", _OPENER.sub("", sentence)) if english else (sentence, 0)
    if asked:
        words = _OPENER.sub("", words).rstrip("?")
    return None if is_worthless(words) else words


# -- from a sentence to statements


def _of_sentence(stated: str | None, frame: Frame, *, is_own: bool) -> Iterator[Statement]:
    if stated is None:
        return
    if is_instruction_like(stated) or not is_own:
        yield from _unnamed(stated, quote=frame.playing or frame.others_text)
        return
    for clause, name in _clauses(stated, asked_name=frame.asked_name):
        if name:
            yield Statement(name.category, name.key, clause, name.denies)
        else:
            yield from _unnamed(clause)


def _unnamed(words: str, *, quote: bool = False) -> Iterator[Statement]:
    """All of it, in as many statements as it takes."""
    quote = quote or is_instruction_like(words)
    category = Category.FACT if quote else categorise(words)
    for part in textwrap.wrap(words, MAX_STATEMENT_CHARACTERS - len(quoted("")), break_on_hyphens=False):
        yield Statement(category, None, quoted(part) if quote else part)


def _clauses(words: str, *, asked_name: bool) -> list[tuple[str, Named | None]]:
    """The parts of a sentence that can stand alone, with their names.

    What cannot stand alone stays with its neighbour, and neighbours under one key are one clause, verbatim.
    """
    clauses: list[tuple[str, Named | None]] = []
    pieces = ["", *(_JOINT.split(words) if len(words) <= MAX_STATEMENT_CHARACTERS else [words])]
    for joint, part in zip(pieces[::2], pieces[1::2], strict=True):
        name = named(part) or (called(part) if asked_name else None)
        before, its = clauses.pop() if clauses else ("", None)
        if not before or _belong(before, its, part, name):
            # That something has ended is what they say only if neither says what is now.
            clauses.append((before + joint + part, name if name and (its is None or name.denies is None) else its))
        else:
            clauses += [(before, its), (part, name)]
    return clauses


def _belong(one: str, its: Named | None, other: str, others: Named | None) -> bool:
    if its and others:
        return its.key == others.key
    return not (its or others) or _leans(other if its else one)


def _leans(part: str) -> bool:
    """Would the part say nothing, or something else, without its sentence?"""
    return bool(_POINTS_BACK.search(part)) or len(part.split()) < 4 or _stated(part) is None


def _correction(words: str, about: Statement | None, *, taken_back: bool) -> Statement | None:
    """ "No wait, it's green", said of what `about` says."""
    match = _IT_IS.fullmatch(plain(words))
    if match is None or not (taken_back or match["change"]) or not is_calm(match["value"]):
        return None
    if about is None or about.key is None or not takes_any_value(about.key):
        return None
    return None if is_question(words) or is_instruction_like(words) else replace(about, value=words, denies=None)


def _add(found: list[Statement], statement: Statement, *, replacing: bool) -> None:
    """One statement for each key, and one for all that has none; what was taken back in the same turn is gone."""
    quote = is_quotation(statement.value)
    for at, one in reversed(list(enumerate(found))):
        if one.key != statement.key or (one.key is None and quote != is_quotation(one.value)):
            continue
        value = f"{one.value} {statement.value}".replace('" they said: "', " ")  # two quotations are one
        if one.key is not None and replacing:
            found[at] = statement
        elif len(value) <= MAX_STATEMENT_CHARACTERS:
            category = one.category if one.key or quote else categorise(value)
            found[at] = Statement(category, one.key, value, statement.denies if one.denies else None)
        else:
            found.append(replace(statement, key=None, category=categorise(statement.value)))
        return
    found.append(statement)
