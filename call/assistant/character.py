"""Who the agent is in this deployment: its name, its character, its greetings, and tools of its own."""

from __future__ import annotations

import unicodedata
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from call.assistant import prompts

# It is sent with every turn: about 2,000 tokens.
_LONGEST_CHARACTER = 8_000
_LONGEST_GREETING = 1_000
_LONGEST_NAME = 64
# Control characters, lone surrogates, line and paragraph separators.
_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})


def _usable(text: str, most: int, besides: str = "\t\n\r") -> str:
    text = text.strip()
    if not text:
        raise ValueError("it is blank: write something, or unset it")
    if len(text) > most:
        raise ValueError(f"it has {len(text)} characters: shorten it to {most}")
    for position, character in enumerate(text):
        if character not in besides and unicodedata.category(character) in _REFUSED:
            raise ValueError(f"it has a control character (U+{ord(character):04X}) at position {position}: remove it")
    return text


def _read(file: str | Path) -> str:
    path = Path(file).absolute()
    try:
        with path.open("rb") as opened:
            # a character has four bytes at most; of a longer file nobody needs to know how long it is
            data = opened.read(4 * _LONGEST_CHARACTER + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): name a text file, or unset it") from None
    if len(data) > 4 * _LONGEST_CHARACTER:
        raise ValueError(f"{path} is too long: shorten it to {_LONGEST_CHARACTER} characters")
    try:
        return _usable(data.decode("utf-8-sig"), _LONGEST_CHARACTER)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


_Greeting = Annotated[str, AfterValidator(partial(_usable, most=_LONGEST_GREETING))]


class CharacterSettings(BaseSettings):
    """What makes the agent this deployment's own. A process reads it once, when it starts.

    `agent_display_name` is what it calls itself, and what its participant is called in a room.
    `character` is the text of INSTRUCTIONS_FILE, which takes the place of ours. `greeting` is what it says to somebody
    whom it meets for the first time, `return_greeting` to everybody else: words, or directions. In all three `{name}`
    stands for its name.
    `tools_module` is a module whose functions are tools, and `tool_deadline` how long, in seconds, each may take: the
    end of a call waits for one that runs, within its own 20.
    """

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, env_ignore_empty=True, frozen=True
    )

    agent_display_name: Annotated[str, AfterValidator(partial(_usable, most=_LONGEST_NAME, besides=""))] = "Rapport"
    character: Annotated[str, BeforeValidator(_read)] | None = Field(default=None, alias="INSTRUCTIONS_FILE")
    greeting: _Greeting | None = None
    return_greeting: _Greeting | None = None
    tools_module: str | None = None
    tool_deadline: float = Field(default=10.0, gt=0, le=15)

    @property
    def instructions(self) -> str:
        """What the agent is told: its character, and what keeps memory safe whoever it is."""
        return f"{self._named(self.character or prompts.CHARACTER)}\n\n{prompts.MEMORY_RULES}"

    @property
    def first_greeting(self) -> str:
        return prompts.GREET.format(self._named(self.greeting)) if self.greeting else prompts.FIRST_GREETING

    @property
    def later_greeting(self) -> str:
        said = self.return_greeting
        return prompts.GREET.format(self._named(said)) if said else prompts.RETURN_GREETING

    def _named(self, text: str) -> str:
        return text.replace("{name}", self.agent_display_name)
