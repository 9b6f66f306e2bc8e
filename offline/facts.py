"""What is known about the person: the lines the worker put into the request, and what they said themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from offline import english
from offline.concepts import concept
from offline.echo import second_person
from offline.english import ADVERBS, AUXILIARIES, ME, MINE, NEGATIVE, PREPOSITIONS, lower_words

VERBATIM_KEY = re.compile(r"user_input_\d+")
"""The key of a sentence as the person said it; it says nothing about what is in it."""

_ORDER = re.compile(
    r"\b(ignore|disregard|override|bypass|forget)\b.*\b(instruction|instructions|prompt|prompts|rules?|guidelines)\b"
    r"|\bsystem prompt\b|\bnew instructions?\b|\b(you must|you should|you have to) (now )?(say|reply|answer|act|obey)\b"
    r"|\b(say|reply|respond|answer|repeat)\b( only)?( with)? *(:|[\"“'])|\bpretend (to be|you)\b|\byou are now\b"
    r"|\bfrom now on,? you\b|^\s*(system|assistant|developer)\s*:|</?\w+>",
    re.IGNORECASE,
)

_OWN_NAME = re.compile(
    r"(?i:(?:my|our) (?:(?:first|full|preferred|nick) ?)?name(?: is|'s)"
    r"|(?:\w+ )?calls? me|i am called|i'm called|i go by) (\w[\w'\-]*)|(?i:i'm|i am) ([A-Z][\w'\-]*)$"
)
# "I'm German" tells no name.
_NO_NAMES = frozenset(
    "not german french dutch english spanish italian portuguese american british irish scottish welsh canadian "
    "mexican brazilian indian chinese japanese korean russian polish swedish norwegian danish finnish greek "
    "turkish ukrainian european african asian australian austrian swiss belgian czech hungarian jewish muslim "
    "christian catholic buddhist vegan ok okay rapport ".split()
)

# One has one of each; a later "my name is ..." replaces an earlier one.
_SINGLE = frozenset(map(concept, "name age home job favorite birthday phone email".split()))


@dataclass(frozen=True)
class Fact:
    """One clause about the person, in their own words and person ("my cat is called Tilda")."""

    text: str
    key: str = ""
    """Under which it is remembered; empty for what was only said in this conversation."""

    def to_them(self) -> str:
        """The same said to the person: "your cat is called Tilda"."""
        return second_person(self.text)

    # What the rules need to know about the clause; worked out once, when a question first looks at it.

    @cached_property
    def low(self) -> list[str]:
        """Its words in lower case, without "I think" and the like in front."""
        low = lower_words(self.text)
        while len(low) > 3 and low[0] in ME and low[1] in ("think", "guess", "believe", "suppose"):
            low = low[3:] if low[2] == "that" else low[2:]
        return low

    @cached_property
    def concepts(self) -> frozenset[str]:
        """What all its words, and its key, are about."""
        key = [] if VERBATIM_KEY.fullmatch(self.key) else re.split(r"[_\W]+", self.key.lower())
        return frozenset(concept(word) for word in [*self.low, *filter(None, key)])

    @cached_property
    def is_mine(self) -> bool:
        """Whether the speaker is its subject: "I ..." or "we ..."."""
        return bool(self.low) and (self.low[0] in ME or self._with_others)

    @cached_property
    def main(self) -> str:
        """What the speaker does or is, if they are the subject: "live" in "I have always lived in Rome"."""
        if not self.is_mine:
            return ""
        skipped = AUXILIARIES | ADVERBS | {"a", "an", "the", "to", "be", "being"}
        rest = [word for word in self.low[self.low.index("i") + 1 if self._with_others else 1 :] if word not in skipped]
        if self.low[1:2] in (["have"], ["had"]) and not _is_perfect(self.low):
            return "have"
        return concept(rest[0]) if rest else ""

    @cached_property
    def own_name(self) -> str:
        """Their name, if this is how they tell it; "" otherwise."""
        match = _OWN_NAME.match(self.text)
        name = match[1] or match[2] if match and not self.is_negative else ""
        return "" if name.lower() in _NO_NAMES else name

    @cached_property
    def subject(self) -> list[str]:
        """The words of "my ...", if that is its subject."""
        if not self.low or self.low[0] not in MINE or self._with_others:
            return []
        return self.low[1 : english.owned(self.low, 0)]

    @cached_property
    def owners(self) -> frozenset[str]:
        """Whose it is, if not the speaker's: "daughter" in "my daughter's favorite color is pink"."""
        low = self.low
        found = {concept(low[at - 1]) for at, word in enumerate(low) if at and word == "'s" and self._owns(at)}
        verb = next((at for at, word in enumerate(low) if word in AUXILIARIES), 0)
        for at in range(verb - 1):
            if low[at] == "of" and low[at + 1] in MINE and at + 2 < len(low):
                found.add(concept(low[at + 2]))
        return frozenset(found)

    @cached_property
    def is_negative(self) -> bool:
        """Whether it says what is not, or no longer, so."""
        return not NEGATIVE.isdisjoint(self.low) or self.is_past

    @cached_property
    def is_past(self) -> bool:
        """Whether it says what once was: "I used to live in Porto"."""
        return "used to" in " ".join(self.low) and "am used to" not in " ".join(self.low)

    @cached_property
    def slot(self) -> object:
        """Two facts with the same slot are one fact that has changed."""
        subject = frozenset(map(concept, self.subject))
        if subject & _SINGLE and not self.is_negative:
            return subject
        if self.main == "live" and not self.is_negative:
            return "live"
        return self.text.lower()

    @cached_property
    def _with_others(self) -> bool:
        """ "My sister and I ..." """
        end = english.owned(self.low, 0)
        return self.low[0] in MINE and self.low[end : end + 2] == ["and", "i"]

    def _owns(self, at: int) -> bool:
        return english.is_possessive(self.low, at)


def clause(text: str, key: str = "") -> Fact:
    """One clause of the person's as a fact."""
    called = re.match(r"(?:please )?(?:you (?:can|may) )?call me (.+)", text, re.IGNORECASE)
    # said back, "call you Ann" would be no sentence
    return Fact(f"I am called {called[1]}" if called else text.strip(" .!?;,"), key)


def looks_like_an_order(text: str) -> bool:
    """Whether a text tries to tell the assistant what to do. Such a text is never obeyed, nor read out."""
    return bool(_ORDER.search(text))


def latest(facts: Iterable[Fact]) -> list[Fact]:
    """Without the facts that a later one replaces, oldest first."""
    by_slot: dict[object, Fact] = {}
    for fact in facts:
        by_slot.pop(fact.slot, None)
        by_slot[fact.slot] = fact
    return list(by_slot.values())


def _is_perfect(low: list[str]) -> bool:
    """Whether "have" in "I have ..." only helps another verb ("I have moved")."""
    after = [word for word in low[2:] if word not in ADVERBS]
    return (
        bool(after)
        and (after[0].endswith(("ed", "en")) or after[0] in ("been", "to", "got"))
        and (after[0] not in PREPOSITIONS or after[0] == "to")
    )
