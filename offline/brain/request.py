"""What one chat request holds: what was said last, what is known, and what tools there are and have answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from offline.brain import english

Message = Mapping[str, Any]

_LINE = re.compile(
    r"^\s*-\s*\d{4}-\d\d-\d\d(?P<past> to \d{4}-\d\d-\d\d, no longer true:)?"
    r"\s+(?P<category>[A-Z_]+)\s+(?P<key>[^\s:]+):\s*(?P<value>.*\S)\s*$"
)
_BLOCKS = re.compile(r"<(memory|earlier_conversation|instructions)>\n?(.*?)\n?</\1>", re.DOTALL)
_UNNAMED = re.compile(r"user_input_\d+")
# what stands for somebody who has said nothing
_STAGE_DIRECTION = re.compile(r"\([^()]*\)")
# Said of nobody: in a role play, in a story, to be translated, or by somebody else.
_NOT_OF_THEMSELVES = re.compile(
    r"(?:please )?(?:translate|shorten|pretend|imagine|suppose|write)\b|they said: "
    r"|in (?:the|this|my|our|a) (?:role[- ]?play|game|story|novel|dream)\b",
    re.IGNORECASE,
)
_ROLE_PLAY = re.compile(r"\brole[- ]?play\b", re.IGNORECASE)
_OVER = re.compile(r"\b(?:stop|end|over|enough)\b", re.IGNORECASE)
_INTRODUCED = re.compile(r"^(?:it's|it is|this is)\s+|\W*\b(?:here|speaking)\W*$", re.IGNORECASE)
_NAMED = re.compile(r"You are (?P<name>[^.,\n]+)[.,]")
_ASKED_TO_FORGET = re.compile(r"\b(?:forget|delete|erase|remove)\b(?P<what>.*)", re.IGNORECASE | re.DOTALL)


NOT_YET = "Not done yet"
"""So begins the answer of a tool that waits for the person's yes."""


@dataclass(frozen=True)
class Fact:
    """Something the person told; without a key it stands in this conversation alone."""

    words: str
    key: str = ""
    category: str = ""
    past: bool = False

    @property
    def to_them(self) -> str:
        """As it is told to the person, without a full stop: "your cat is called Tilda"."""
        named = self.key and not _UNNAMED.fullmatch(self.key)
        if not named or english.is_about_the_speaker(self.words):
            return english.said_to_them(self.words)
        return f"your {self.key.replace('_', ' ')} is {self.value}"

    @property
    def value(self) -> str:
        """Without what it was introduced with: "It's Marta." is Marta."""
        return _INTRODUCED.sub("", self.words).rstrip(".")

    @property
    def stems(self) -> set[str]:
        name = "" if _UNNAMED.fullmatch(self.key) else self.key.replace("_", " ")
        return set(english.content(f"{name} {self.words}"))


@dataclass
class Request:
    agent: str = "Rapport"
    """What the agent is called."""
    said: str = ""
    """What the person said last; empty where the agent is to speak by itself."""
    instructions: str = ""
    """For this reply alone."""
    said_before: str = ""
    """The agent's own last words before that."""
    facts: list[Fact] = field(default_factory=list[Fact])
    """Oldest first, with what tools found in this turn."""
    playing: bool = False
    """A role play goes on."""
    tools: set[str] = field(default_factory=set[str])
    schemas: dict[str, Message] = field(default_factory=dict[str, Message])
    """What tools take, by their names."""
    asked: tuple[str, dict[str, Any]] | None = None
    """The tool, and its arguments, of which the person was asked in their last turn whether they agree."""
    results: dict[str, str] = field(default_factory=dict[str, str])
    """What tools answered in this turn, by their names."""
    arguments: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def may_call(self, tool: str) -> bool:
        return tool in self.tools and tool not in self.results


def read(messages: Sequence[Message], tools: Sequence[Message] = ()) -> Request:
    """What the messages say, whose last is the person's or a tool's."""
    functions = [cast("Message", tool["function"]) for tool in tools if "function" in tool]
    schemas = {str(each["name"]): cast("Message", each.get("parameters") or {}) for each in functions}
    request = Request(tools=set(schemas), schemas=schemas)
    names: dict[str, str] = {}
    for message in messages:
        text = _text(message)
        match message["role"]:
            case "user":
                _hear(request, text)
            case "assistant":
                request.said_before = text or request.said_before
                for call in cast("list[Message]", message.get("tool_calls") or []):
                    names[str(call["id"])] = name = str(call["function"]["name"])
                    request.arguments[name] = _arguments(call)
            case "tool":
                name = names.get(str(message.get("tool_call_id")), "")
                request.results[name] = text
                _take_result(request, name, text)
            case _:  # of its standing instructions a toy understands its name
                request.agent = found["name"] if (found := _NAMED.match(text)) else request.agent
    return request


def _hear(request: Request, text: str) -> None:
    """A message of the person: with what the worker put before their words, and perhaps with none of theirs."""
    blocks: dict[str, str] = dict(_BLOCKS.findall(text))
    words = _BLOCKS.sub("", text).strip()
    words = "" if _STAGE_DIRECTION.fullmatch(words) else words.split("\n\n")[-1]
    request.facts += _lines(blocks.get("memory", ""))
    request.instructions = blocks.get("instructions", "")
    waits = [name for name, result in request.results.items() if result.startswith(NOT_YET)]
    request.asked = (waits[-1], request.arguments[waits[-1]]) if waits else None
    request.said, request.results, request.arguments = words, {}, {}
    if _ROLE_PLAY.search(words):
        request.playing = not _OVER.search(words)
    if words and not english.is_question(words) and english.is_about_the_speaker(words) and not _orders(words):
        request.facts += [] if request.playing or _NOT_OF_THEMSELVES.match(words) else [Fact(words)]


def _take_result(request: Request, name: str, text: str) -> None:
    request.facts += _lines(text)
    if name == "forget" and text.startswith("Forgotten"):
        gone = set(english.content(what_to_forget(request.said)))
        request.facts = [fact for fact in request.facts if not gone or not gone <= fact.stems]


def what_to_forget(words: str) -> str:
    found = _ASKED_TO_FORGET.search(words)
    return found["what"].strip() if found else ""


def _orders(words: str) -> bool:
    return bool(
        re.match(
            r"(?:please )?(?:forget|delete|erase|remove|remember|tell|list|(?:re|dis)?connect|add|complete)\b",
            words,
            re.IGNORECASE,
        )
    )


def _lines(text: str) -> Iterator[Fact]:
    for line in text.splitlines():
        if (found := _LINE.match(line)) and not _NOT_OF_THEMSELVES.match(found["value"]):
            yield Fact(found["value"], found["key"], found["category"], past=bool(found["past"]))


def _text(message: Message) -> str:
    content: Any = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in cast("list[Message]", content))


def _arguments(call: Message) -> dict[str, Any]:
    try:
        arguments: Any = json.loads(call["function"].get("arguments") or "{}")
    except ValueError:
        return {}
    return cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}
