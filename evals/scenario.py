"""Scenarios: who tells what in which conversation, what is asked later, and whether an answer is right.

A file of `evals/` is one scenario:

    about: A home that changes in a later conversation.
    conversations:
      - person: ana                       # an identity of its own in each run
        says:
          - I live in Rome.
      - person: ana
        says:
          - We moved to Porto in June.
          - ask: "Where do I live?"
            known: [porto]                # each must be in the answer; "a|b" where either will do
            wrong: [you live in rome]     # none may be in it
          - ask: "How am I?"
            gone: [shingles]              # nor any of these, which the model must not even be shown
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError

HERE = Path(__file__).parent


class WrongScenario(Exception):
    """A file is no scenario; the text says where and why."""


class Question(BaseModel, extra="forbid", frozen=True):
    """What is asked; parts of its right answer and of a wrong one, and what must be gone."""

    ask: Annotated[str, Field(min_length=1)]
    known: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def faults(self, answer: str) -> list[str]:
        """What is wrong with an answer, each in a few words; nothing if it is right."""
        return self.faults_of_what_is_shown(answer) + self._has(answer, self.wrong)

    def faults_of_what_is_shown(self, told: str) -> list[str]:
        """The same of what a model is told before it answers: nothing if it can answer right."""
        folded = told.casefold()
        missing = [word for word in self.known if not any(one.casefold() in folded for one in word.split("|"))]
        return [f"lacks {word!r}" for word in missing] + self._has(told, self.gone)

    @staticmethod
    def _has(text: str, words: tuple[str, ...]) -> list[str]:
        return [f"has {word!r}" for word in words if word.casefold() in text.casefold()]


class Conversation(BaseModel, extra="forbid", frozen=True):
    """One call of one person: what they say, line by line."""

    person: Annotated[str, Field(min_length=1)]
    says: Annotated[tuple[str | Question, ...], Field(min_length=1)]

    @property
    def lines(self) -> list[str]:
        return [said.ask if isinstance(said, Question) else said for said in self.says]

    @property
    def questions(self) -> list[tuple[int, Question]]:
        """With their places among the lines."""
        return [(place, said) for place, said in enumerate(self.says) if isinstance(said, Question)]


class _File(BaseModel, extra="forbid"):
    about: str
    conversations: Annotated[tuple[Conversation, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Scenario:
    """Conversations one after the other; each begins when the one before is over."""

    name: str
    about: str
    conversations: tuple[Conversation, ...]

    @property
    def questions(self) -> int:
        return sum(len(conversation.questions) for conversation in self.conversations)


def scenarios(folder: Path = HERE) -> list[Scenario]:
    """All of a folder, by name. Raises `WrongScenario`."""
    return [_read(path) for path in sorted(folder.glob("*.yaml"))]


def _read(path: Path) -> Scenario:
    try:
        document: Any = yaml.safe_load(path.read_text("utf-8"))
        file = _File.model_validate(document)
    except (ValidationError, yaml.YAMLError) as error:
        raise WrongScenario(f"{path.name}: {error}") from None
    scenario = Scenario(path.stem, file.about, file.conversations)
    if not scenario.questions:
        raise WrongScenario(f"{path.name}: nothing is asked, so nothing can be wrong")
    return scenario
