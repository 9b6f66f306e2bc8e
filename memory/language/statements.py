"""Which of a person's words are worth keeping: statements about themselves, and nothing else.

Rules over English text as people type it or a recogniser writes it (no case, no punctuation). What they let through
is stored verbatim; what they miss, the model can still store by its `remember` tool.

A statement that says a named fact (`memory.language.named_facts`) has its key. A turn gives one statement for each key
that is in it, and one for all the rest of it that is about the speaker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from livekit import blingfire

from memory.language.categorise import categorise
from memory.language.named_facts import Named, named, takes_any_value
from memory.language.normal_form import normal_form, plain, same_statement
from memory.language.plausible import is_judgement
from memory.language.quoting import is_instruction_like, is_quotation, quoted, without_own_block
from memory.records import Category

__all__ = ["Statement", "is_question", "normal_form", "same_statement", "settled", "statements_in"]

MAX_STATEMENT_CHARACTERS = 1000

# Blingfire expects a capital after a dot. Those who write none are followed where a new clause is sure to begin.
_SMALL_SENTENCE_END = re.compile(
    r"(?<=[!?।॥])\s+|\n+|(?<=[a-z]{3}\.)\s+(?=(?:i|i'm|i've|im|we|my|our|it|it's|its|that's|no|yes|oh|and|but|so|what|how"
    r"|where|when|who|why|do|can|hi|hello|thanks|sorry|actually)\b)"
)
_OPENER = re.compile(
    r"^(?:(?:well|so|and|but|oh|ah|um+|uh+|hmm+|ok|okay|yes|yeah|yep|no|nope|hey|hi|hello|actually|anyway|please|thanks"
    r"|thank you|by the way|you know|sure|right|also|then)\b[\s,;:-]*)+",
    re.IGNORECASE,
)
# ... and so do words that take back what was said before: "no wait", "scratch that", "I've changed my mind".
_TAKING_BACK = re.compile(
    r"^(?:(?:no|oh|oops|ah|well|and|but|actually|sorry|wait|hold on|hang on|scratch that|correction|my mistake|my bad"
    r"|i take that back|i (?:misspoke|was wrong)|that's wrong|that is wrong|that's not right|let me correct (?:that"
    r"|myself)"
    r"|strike that|or rather|i meant?|i(?:'ve| have)? changed my mind(?: about (?:that|it))?|on second thoughts?"
    r"|not anymore"
    r"|come to think of it)\b[\s,;:.!-]*)+(?=$|(?:i|i'm|i've|im|ive|we|my|our|it|its|it's|that's|make|call"
    r"|you can call|now|these)\b)",
    re.IGNORECASE,
)
_FIRMLY = re.compile(
    r"\b(?:wait|hold on|hang on|scratch|strike|correct|correction|mistake|my bad|take that back|misspoke|was wrong"
    r"|wrong"
    r"|not right|rather|i meant?|changed my mind|second thoughts?|oops)\b",
    re.IGNORECASE,
)
# "it's green", after something that has a key
_IT_IS = re.compile(
    r"(?:it|that|the answer) (?:is|was|should be|should have been|must be|has changed to|changed to|has become|became"
    r"|will be) (?:not .+ (?:but|it is) )?(?P<value>.+)|(?:its|make (?:that|it)|i meant?|i meant to say) (?P<value2>.+)"
)
_IT_USED_TO_BE = re.compile(
    r"(?:it|that) (?:used to be|was) .+? but (?:(?:now|these days) )?(?:it is |that is )?(?:now )?(?P<value>.+)"
)
_ASKED_TO_REMEMBER = re.compile(
    r"^(?:can you |could you |would you )?(?:please )?(?:remember|note|keep in mind|do not forget|don't forget)"
    r"(?: that| this)?[\s,:]+",
    re.IGNORECASE,
)
# A question turns verb and subject round, so "where do i live" is one, "when i was a child we lived in rome" is not.
_QUESTION = re.compile(
    r"\?\s*$"
    r"|^(?:what|who|whom|whose|where|when|why|how|which)\b(?! (?:i|we|my|our)\b)"
    r"|^(?:do|does|did|am|is|are|was|were|can|could|will|would|shall|should|may|might|must|have|has|had|isn't|aren't"
    r"|don't you|didn't|doesn't|can't you|won't you|haven't)\b",
    re.IGNORECASE,
)
# ... and one that is only quoted, "what i said", "why we are here", states nothing by itself; it needs a main clause.
_SUBORDINATE = re.compile(r"^(?:what|who|whom|whose|where|when|why|how|which)\b", re.IGNORECASE)
_MAIN_CLAUSE = re.compile(
    r"^\w+ (?:my|our|i|we)\b.+\b(?:i|we)\b|^\w+ (?:i|we) (?!am|are|was|were)\w+ .*\b(?:is|are|was|were) \w+",
    re.IGNORECASE,
)
_COMMAND = re.compile(
    r"^(?:tell|give|show|say|read|help|let|stop|wait|repeat|remind|forget|delete|erase|remove|connect|send|play|open"
    r"|find|look|explain|describe|talk|speak|listen|ignore|pretend|act|sing|write|make|set|start|end|hang|excuse|pardon"
    r"|never mind|don't remember|do not remember)\b",
    re.IGNORECASE,
)
# First person phrases that say nothing about the person: these whole (with a little after them), those however they go
# on. "i'm good" says nothing, "i'm good at chess" does.
_SMALL_TALK = re.compile(
    r"^(?:i (?:see|mean|know|think so|guess(?: so)?|hope so|understand|agree|suppose(?: so)?|forgot|beg your pardon"
    r"|don't know|do not know|don't think so|can't hear you|cannot hear you|can hear you|need (?:your )?help|got it)"
    r"|(?:i'm|i am) (?:good|fine|okay|ok|sorry|here|back|done|ready|not sure|well|listening|great|all right|alright)"
    r"|my (?:bad|pleasure|god|goodness)|(?:let's|let us) \w+)"
    r"(?:[ ,]+(?:thanks|thank you|now|too|then|today|really|that|it|you|yet|already|again|very|much|so|why))*[.!,\s]*$"
    r"|^(?:i(?: have|'ve)? changed my mind(?! about)|i (?:said|told you|asked|wonder|didn't (?:say|mean|ask|get)"
    r"|have a question|want to (?:ask|talk|know)"
    r"|would like to (?:ask|know|talk)|(?:don't|do not) know (?:what|who|where|why|if|whether))"
    r"|i'd like to (?:ask|know|talk))\b",
    re.IGNORECASE,
)
_ABOUT_THE_SPEAKER = re.compile(
    r"\b(?:i|we)(?:'m|'ve|'d|'ll|'re)?\b"
    r"|^(?:my|our)\b|\b(?:and|but|because|that|so|,|since) (?:my|our)\b"
    r"|\b(?:is|are|was|were|be|became|become) (?:\w+ ){0,4}(?:my|mine|our|ours)\b|\bin my (?:opinion|view|experience)\b"
    r"|\b(?:call|calls|called|named) me\b",
    re.IGNORECASE,
)


_MEANT = re.compile(r"(?:i meant|make (?:it|that)) (?!(?:it|that|well|no|to|what|every\w*|business|quick|up|so)\b)")
# Where one clause about the speaker ends and the next begins.
_SUBJECT = r"(?:i|i'm|i've|im|ive|i'd|my|we|we're|we've|our|you can call|call me)\b"
_JOINT = re.compile(
    r"(?:\s*[,;]\s*|\s+)(?:(?:and|but|plus|also|so|then|now|these days|nowadays|no wait|wait no|wait|no|sorry"
    r"|scratch that|i mean"
    rf"|or rather|actually|today|instead)\b[\s,]*)+(?={_SUBJECT}|(?:it's|it is|its)\b)|\s*[,;]\s*(?={_SUBJECT}"
    rf"|(?:it's|it is)\b)",
    re.IGNORECASE,
)
_BARE_JOINT = re.compile(rf"\s+(?={_SUBJECT})", re.IGNORECASE)
# What cannot stand alone, because it points back into its sentence.
_POINTS_BACK = re.compile(
    r"\b(?:it|its|it's|that|that's|this|there|them|they|they're|him|he|he's|her|she|she's|one|ones|so|too|both|either"
    r"|neither|else|same|instead)\b",
    re.IGNORECASE,
)
# "if I get the job, I live in Rome", "she said, my name is Ann": the second clause holds only with the first.
_CONDITION = re.compile(
    r"^(?:if|when|whenever|unless|until|suppose|imagine|once|as soon as|maybe|perhaps|before|in case)\b", re.IGNORECASE
)
_REPORTS = re.compile(
    r"\b(?:said|says|say|saying|told \w+|tells \w+|thinks?|thought|believes?d?|asked|like|claims?|claimed|heard|wrote"
    r"|dreamed"
    r"|dreamt|pretend\w*|wish|wished|means?|sings?|sang)$",
    re.IGNORECASE,
)
_MAX_CLAUSES = 8
_MAX_SENTENCES = 100
"""Nobody speaks for longer in one turn; a pasted text is judged by its beginning, at about 1 ms a sentence."""


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


def statements_in(turn: str, before: Statement | None = None) -> list[Statement]:
    """What a user turn states about its speaker, in the order of the turn, each key at most once.

    Questions, greetings, commands and fillers are left out, sentence by sentence; so is what looks like our own block
    of memories. `before` is the last statement of the person's previous turn: "no wait, it's green" is about that.
    What would give the agent orders is quoted, and has no key.
    """
    found: list[Statement] = []
    firmly = False
    for sentence in _sentences(without_own_block(turn).replace("’", "'"))[:_MAX_SENTENCES]:
        opening = _TAKING_BACK.match(" ".join(sentence.split()))
        firmly = firmly or bool(opening and _FIRMLY.search(opening[0]))
        about = next((one for one in reversed(found) if one.key), before)
        correction = _correction(sentence, about, firmly=firmly, opened=bool(opening))
        for statement in [correction] if correction else list(_of_sentence(sentence)):
            _add(found, statement, replacing=bool(correction) or firmly)
        firmly = firmly and bool(opening and opening.end() == len(" ".join(sentence.split())))
    return [replace(one, value=one.value[:MAX_STATEMENT_CHARACTERS]) for one in found]


def settled(statement: Statement, current: str | None) -> Statement:
    """The statement as it is to be stored, given the current value under its key.

    "I don't live in Rome any more" ends "I live in Rome"; it says nothing against "I live in Porto", which it would
    replace under its key, so it then has none.
    """
    if statement.denies is None or (current is not None and _speaks_of(current, statement.denies)):
        return statement
    return replace(statement, category=categorise(statement.value), key=None, denies=None)


def is_question(sentence: str) -> bool:
    """Does the sentence ask, whether or not it ends with a question mark?"""
    return bool(_QUESTION.search(sentence))


def _sentences(text: str) -> list[str]:
    """Whole ones: no dot of "St. Louis", "Dr. Smith" or "8 p.m." ends one."""
    _, places = blingfire.text_to_sentences_with_offsets(text)
    return [part for start, end in places for part in _SMALL_SENTENCE_END.split(text[start:end])]


def _stated(sentence: str) -> str | None:
    words = _TAKING_BACK.sub("", " ".join(sentence.split()))
    words = _OPENER.sub("", words)
    words, asked = _ASKED_TO_REMEMBER.subn("", words)
    words = _OPENER.sub("", words) if asked else words
    if asked and words.endswith("?"):
        words = words.rstrip("?")
    if not words or is_question(words) or _COMMAND.match(words):
        return None
    if _SUBORDINATE.match(words) and not _MAIN_CLAUSE.match(words):
        return None
    if _SMALL_TALK.match(words):
        return None
    return words if asked or _ABOUT_THE_SPEAKER.search(words) or named(words) else None


# -- from a sentence to statements


def _of_sentence(sentence: str) -> Iterator[Statement]:
    words = _stated(sentence)
    if words is None:
        return
    if is_instruction_like(words):
        yield Statement(Category.FACT, None, quoted(words[: MAX_STATEMENT_CHARACTERS - len(quoted(""))]))
        return
    for clause, name in _clauses(words):
        if name:
            yield Statement(name.category, name.key, clause, name.denies)
        else:
            yield Statement(categorise(clause), None, clause)


def _clauses(words: str) -> list[tuple[str, Named | None]]:
    """The parts of a sentence that can stand alone, with their names; the whole if it cannot be taken apart."""
    parts = _cut(words, _JOINT)
    names = _names([words[part] for part in parts])
    if len(parts) > 1 and any(names):
        return _by_key(words, parts, names)
    whole = named(words)
    bare = _cut(words, _BARE_JOINT) if whole is None else []
    names = [named(words[part]) for part in bare]
    if len(bare) > 1 and all(names):
        return _by_key(words, bare, names)
    return [(words, whole)]


def _names(parts: list[str]) -> list[Named | None]:
    """What each part is about. One that cannot stand alone is about what its neighbour is about."""
    names: list[Named | None] = []
    for part in parts:
        name = named(part)
        earlier = next((one for one in reversed(names) if one), None)
        value = _value_of_it(plain(part)) if name is None and earlier else None
        if earlier and value and not is_judgement(value):
            name = Named(earlier.category, earlier.key)  # "but now it's green"
        names.append(name)
    for at, part in enumerate(parts):
        if names[at] is None and _leans(part):
            beside = names[at - 1] if at else next((name for name in names if name), None)
            names[at] = beside and replace(beside, denies=beside.denies or "")
    return names


def _by_key(words: str, parts: list[slice], names: list[Named | None]) -> list[tuple[str, Named | None]]:
    """Neighbouring parts of one key, verbatim, make one clause. That something has ended is what it says only if no
    part of it says what is now."""
    runs: list[tuple[slice, list[Named]]] = []
    last: str | None = None
    for part, name in zip(parts, names, strict=True):
        key = name.key if name else None
        if runs and key == last:
            runs[-1] = (slice(runs[-1][0].start, part.stop), [*runs[-1][1], *([name] if name else [])])
        else:
            runs.append((part, [name] if name else []))
        last = key
    return [(words[run], min(of, key=_how_final) if of else None) for run, of in runs]


def _how_final(name: Named) -> int:
    return 0 if name.denies is None else 1 if name.denies else 2


def _leans(part: str) -> bool:
    """Would the part say nothing, or something else, without its sentence?"""
    return bool(_POINTS_BACK.search(part)) or len(part.split()) < 4 or _stated(part) is None


def _cut(words: str, joint: re.Pattern[str]) -> list[slice]:
    if len(words) > MAX_STATEMENT_CHARACTERS:
        return [slice(0, len(words))]
    joints = list(joint.finditer(words))
    starts, stops = [0, *(one.end() for one in joints)], [*(one.start() for one in joints), len(words)]
    parts = [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]
    texts = [words[part].strip(" ,;") for part in parts]
    whole = (
        len(parts) > _MAX_CLAUSES
        or not all(texts)
        or any(_CONDITION.match(text) for text in texts)
        or any(_REPORTS.search(text) for text in texts[:-1])
    )
    return [slice(0, len(words))] if whole else parts


def _correction(sentence: str, about: Statement | None, *, firmly: bool, opened: bool) -> Statement | None:
    """ "No wait, it's green", said of what `about` says."""
    if about is None or about.key is None or len(sentence) > MAX_STATEMENT_CHARACTERS:
        return None
    words = _TAKING_BACK.sub("", " ".join(sentence.split())) if opened else _OPENER.sub("", " ".join(sentence.split()))
    said = plain(words)
    value = _value_of_it(said)
    if (
        value is None
        or len(value.split()) > 6
        or is_question(words)
        or is_judgement(value)
        or is_instruction_like(words)
    ):
        return None
    corrects = opened or bool(_IT_USED_TO_BE.fullmatch(said)) or words != " ".join(sentence.split())
    sure = firmly or bool(_MEANT.match(said)) or (corrects and takes_any_value(about.key))
    return Statement(about.category, about.key, words) if sure else None


def _value_of_it(said: str) -> str | None:
    match = _IT_USED_TO_BE.fullmatch(said) or _IT_IS.fullmatch(re.sub(r"^(?:now|but now|these days) ", "", said))
    if match is None:
        return None
    return next((value for name, value in match.groupdict().items() if name.startswith("value") and value), None)


def _add(found: list[Statement], statement: Statement, *, replacing: bool) -> None:
    """One statement for each key, and one for all that has none; what was taken back in the same turn is gone."""
    quote = is_quotation(statement.value)
    for at, one in enumerate(found):
        if one.key != statement.key or (one.key is None and quote != is_quotation(one.value)):
            continue
        if one.key is not None and replacing:
            found[at] = statement
            return
        if len(one.value) >= MAX_STATEMENT_CHARACTERS:
            return
        value = f"{one.value} {statement.value}"
        category = one.category if one.key else categorise(value)
        denies = statement.denies if one.denies else None
        found[at] = Statement(Category.FACT if quote else category, one.key, value, denies)
        return
    found.append(statement)


def _speaks_of(current: str, denied: str) -> bool:
    known = set(normal_form(current).split())
    return bool(known) and set(normal_form(denied).split()) <= known
