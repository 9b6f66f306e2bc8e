"""What of one session's turns may be kept: the state of a conversation that is partly off the record.

It is the session's own: what somebody asks for on one device says nothing of another. What it needs to hide a secret
that is said again, it holds in memory until the session ends, and nowhere else.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from memory.language.private.digits import digits_of, run_of
from memory.language.private.masking import MASK, again, masked, secrets_in, without, worth_keeping
from memory.language.private.named import asks_for_a_secret, awaits_a_secret
from memory.language.private.nobodys import is_echo, is_invented
from memory.language.private.off_record import Stance, after_back, stance_of
from memory.language.sentences import sentences
from memory.language.worthless import is_worthless
from memory.records import Turn

LeftOut = Literal["off the record", "secret", "echo", "invented"]

_LAST_TURNS = 40
"""So many can still be taken back: an utterance, and what was answered."""
_MOST_SENTENCES = 100
"""Nobody says more in one turn; of a pasted text the rest asks for nothing."""
_TOGETHER = 3
"""A secret may be said over so many turns."""
_MOST_SECRETS, _MOST_AT_HAND = 50, 500
_NUMBER = re.compile(run_of(3), re.IGNORECASE)
_ONE_WORD = re.compile(r"(\S{5,}?)[.!。]*")
# What comes next may be meant.
_THIS = re.compile(r"(?i)\b(?:this|dies|dieses|das hier|ceci|ça|esto|isto|isso|questo|dit|это)\b|これ|这|這|यह|هذا")
_ENDS_IN_A_DIGIT = re.compile(r"\d[\s.,…–-]*$")


@dataclass(frozen=True, slots=True)
class Heard:
    """What of a turn may be kept."""

    transcript: Sequence[Turn] = ()
    """To be written: the turn itself, and earlier ones whose text is another now."""
    statement: Turn | None = None
    """What of the person's turn may be remembered."""
    taken_back: str | None = None
    """The utterance before, by the id of its first turn: it is not to be remembered any more."""
    left_out: Sequence[LeftOut] = ()


@dataclass(slots=True)
class _Said:
    turn: Turn
    utterance: str


class Discretion:
    """Asked about each committed turn of a session, in order."""

    def __init__(self) -> None:
        self.off_record = False
        """The person has asked that nothing be kept, and has not taken it back."""
        self._answers_too = False
        """What the agent says next answers something that is not kept."""
        self._instead: dict[str, str] = {}
        """What is kept of a turn by its id, where it is not the turn's own words."""
        self._last = deque[_Said](maxlen=_LAST_TURNS)
        self._again = deque[re.Pattern[str]](maxlen=_MOST_SECRETS)
        """Finds secrets that were said in this session, without their names."""
        self._words = deque[re.Pattern[str]](maxlen=_MOST_SECRETS)
        """Secrets that are plain words: they are hidden in what the agent says alone."""
        self._masked: dict[tuple[str, bool], str] = {}
        """Texts that were asked about: the model is sent the same ones in every turn."""
        self._agent = ""
        """What the agent said last."""

    def hear(self, turn: Turn, unsettled: str | None = None) -> Heard:
        """`unsettled` is the first turn of the utterance that a person's turn may go on with."""
        if any(said.turn.id == turn.id for said in self._last) or turn.id in self._instead:
            text = self.kept_of(turn)  # it is delivered again
            return Heard([replace(turn, text=text)] if text else [])
        return self._hear_person(turn, unsettled) if turn.role == "user" else self._hear_agent(turn)

    def masked(self, text: str, *, by_agent: bool = False) -> str:
        """A text without the secrets of anybody, and without those that were said in this session."""
        if (known := self._masked.get((text, by_agent))) is not None:
            return known
        hidden = self.without_said(masked(text))
        for secret in self._words if by_agent else ():
            hidden = secret.sub(MASK, hidden)
        if len(self._masked) >= _MOST_AT_HAND:
            self._masked.clear()
        self._masked[text, by_agent] = hidden
        return hidden

    def without_said(self, text: str) -> str:
        """A text without the secrets that were said in this session; a fraction of the work of `masked`."""
        for secret in self._again:
            text = secret.sub(MASK, text)
        return text

    def statement(self, text: str) -> str:
        """What of an utterance may be remembered."""
        return worth_keeping(self.masked(text))

    def kept_of(self, turn: Turn) -> str:
        """What of a turn may be told later; empty where it is nothing."""
        return self.masked(self._instead.get(turn.id, turn.text), by_agent=turn.role == "assistant")

    # -- the agent

    def _hear_agent(self, turn: Turn) -> Heard:
        self._agent = turn.text
        self._note(turn, self._last[-1].utterance if self._last else turn.id)
        if self.off_record or self._answers_too:
            self._instead[turn.id] = ""
            return Heard()
        return Heard([replace(turn, text=self.masked(turn.text, by_agent=True))])

    # -- the person

    def _hear_person(self, turn: Turn, unsettled: str | None) -> Heard:
        agent, before = self._agent, [said.turn for said in self._last if said.turn.role == "user"][-_TOGETHER:]
        text, stances = self._on_record(turn.text)
        whole = not stances
        found: list[LeftOut] = ["off the record"] if stances or (self.off_record and not text) else []
        back = self._before(unsettled) if Stance.BEFORE in stances else unsettled if Stance.THIS in stances else None
        corrected = self._taken_back(back) if back else []
        self._answers_too = bool(found) and (self.off_record or not text)
        if not text:
            self._instead[turn.id] = ""
            self._note(turn, unsettled or turn.id)
            return Heard(corrected, None, back, found)
        said = turn if whole else replace(turn, text=text)
        mine, earlier = self._hide(said, before, agent)
        if mine.text != said.text or earlier:
            found.append("secret")
        if mine.text != turn.text:
            self._instead[turn.id] = mine.text
        self._note(turn, unsettled or turn.id)
        nobody: list[LeftOut] = ["invented"] if is_invented(text) else ["echo"] if is_echo(text, agent) else []
        statement = None if nobody else said if earlier else mine  # one secret over several turns is hidden as a whole
        return Heard([*corrected, *earlier, mine], statement, back, [*found, *nobody])

    def _on_record(self, text: str) -> tuple[str, list[Stance]]:
        """What of a turn is on the record, and which sentences of it asked for something."""
        kept: list[str] = []
        asked: list[Stance] = []
        everything = True
        parts = sentences(text)
        for n, sentence in enumerate(parts):
            stance = stance_of(sentence) if n < _MOST_SENTENCES else Stance.NOTHING
            if self.off_record and stance is not Stance.BACK:
                everything = False
                continue
            match stance:
                case Stance.NOTHING:
                    kept.append(sentence)
                    continue
                case Stance.BACK if not self.off_record:
                    kept.append(sentence)
                    continue
                case Stance.BACK:
                    self.off_record = False
                    kept += [rest] if (rest := after_back(sentence)) else []
                case Stance.FROM_HERE:
                    self.off_record = True
                case Stance.ALL_FROM_HERE:
                    self.off_record = True
                    kept.clear()
                case Stance.BEFORE if not kept and (n == len(parts) - 1 or not _THIS.search(sentence)):
                    asked.append(stance)
                    continue
                case _:  # it is about the whole utterance
                    asked.append(Stance.THIS)
                    return "", asked
            asked.append(stance)
        if everything and not asked:
            return text, []
        return " ".join(kept), asked

    def _before(self, unsettled: str | None) -> str | None:
        """The utterance that came before."""
        theirs = [said.utterance for said in self._last if said.turn.role == "user"]
        return unsettled or (theirs[-1] if theirs else None)

    def _taken_back(self, utterance: str) -> list[Turn]:
        """The turns of an utterance, and what was answered, as they stand in the transcript from now on."""
        turns = [said.turn for said in self._last if said.utterance == utterance]
        kept = [turn for turn in turns if self._instead.get(turn.id) != ""]
        self._instead |= {turn.id: "" for turn in turns}
        return [replace(turn, text=MASK) for turn in kept]

    def _note(self, turn: Turn, utterance: str) -> None:
        self._last.append(_Said(turn, utterance))

    # -- secrets

    def _hide(self, turn: Turn, before: Sequence[Turn], agent: str) -> tuple[Turn, list[Turn]]:
        """The turn without its secrets; and earlier turns, where one secret was said over several."""
        together = self._goes_on_with(before)
        lead = "".join(f"{one.text.rstrip(' .,…–-')} " for one in together)
        text = lead + turn.text
        spans = secrets_in(text)
        spans = [(start, end) for start, end in spans if end > len(lead)]
        if not spans and asks_for_a_secret(agent):
            spans = [(start + len(lead), end + len(lead)) for start, end in _answer(turn.text)]
        for start, end in spans:
            self._learn(text[start:end])
        mine = without(turn.text, [(max(0, start - len(lead)), end - len(lead)) for start, end in spans])
        earlier: list[Turn] = []
        at = 0
        for one in together:
            length = len(one.text.rstrip(" .,…–-"))
            theirs = [(max(0, start - at), min(length, end - at)) for start, end in spans if start < at + length]
            theirs = [(start, end) for start, end in theirs if start < end]
            if theirs:
                for start, end in theirs:
                    self._learn(one.text[start:end])
                self._instead[one.id] = without(one.text, theirs)
                earlier.append(replace(one, text=self._instead[one.id]))
            at += length + 1
        if earlier:
            self._learn(turn.text[: max(0, spans[0][1] - len(lead))])
        return replace(turn, text=self.masked(mine)), earlier

    def _goes_on_with(self, before: Sequence[Turn]) -> list[Turn]:
        """The last turns that a secret may have begun in: they stop at its name, or in the middle of a number."""
        together: list[Turn] = []
        for turn in reversed(before):
            kept = self._instead.get(turn.id, turn.text)
            if not kept or not (_ENDS_IN_A_DIGIT.search(kept) or awaits_a_secret(kept)):
                break
            together.insert(0, replace(turn, text=kept))
        return together

    def _learn(self, secret: str) -> None:
        self._masked.clear()
        if (pattern := again(secret)) is not None:
            self._again.append(pattern)
        elif not digits_of(secret):
            self._words.append(re.compile(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])", re.IGNORECASE))


def _answer(text: str) -> list[tuple[int, int]]:
    """The secret in the answer to "what is your PIN?": a number, or the one word that it is."""
    if found := list(_NUMBER.finditer(text)):
        return [number.span() for number in found]
    word = _ONE_WORD.fullmatch(text.strip())
    start = text.index(word[1]) if word else 0
    return [(start, start + len(word[1]))] if word and not is_worthless(text) else []
