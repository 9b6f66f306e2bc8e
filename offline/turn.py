"""What one chat request holds: who is asked to say what, and what may be known."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from offline import commands, lines, questions
from offline.facts import Fact

Message = Mapping[str, Any]

# A tool answers in words. These tell that it could not do its work, those that there was nothing to do.
_TROUBLE = re.compile(
    r"\b(off|unavailable|not available|fail\w*|error|cannot|can't|can not|couldn't|could not|unable|timed out|try again"
    r"|right now|sorry|refused|not working|not reach\w*)\b",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"\b(nothing|no memor\w+|none|not|didn't|wasn't|isn't|without|no such)\b", re.IGNORECASE)


@dataclass
class Turn:
    """The last turn of a request, and what came before it."""

    said: str = ""
    """What the person said now; empty when the agent is to speak of itself."""
    instructions: str = ""
    """The latest system message of this turn: what this reply is to be, or the standing instructions."""
    memory: list[Fact] = field(default_factory=list[Fact])
    earlier: list[Fact] = field(default_factory=list[Fact])
    """Told earlier in this conversation and not forgotten since."""
    reply_before: str = ""
    results: dict[str, str] = field(default_factory=dict[str, str])
    """What the tools called in this turn answered, by tool name."""
    calls: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The arguments of the tools called in this turn, by tool name."""
    calls_before: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The same for the turn before."""
    tools: frozenset[str] = frozenset()

    def may_call(self, tool: str) -> bool:
        """Whether this tool is offered and was not called in this turn yet."""
        return tool in self.tools and tool not in self.results

    def in_trouble(self, tool: str) -> bool:
        """Whether the tool was called and its answer sounds as if it could not do its work."""
        return bool(_TROUBLE.search(self.results.get(tool, "")))

    def did_nothing(self, tool: str) -> bool:
        """Whether its answer sounds as if what was asked has not been done, for whatever reason."""
        return self.in_trouble(tool) or bool(_NOTHING.search(self.results.get(tool, "")))

    @property
    def found(self) -> list[Fact]:
        """What the tools called in this turn brought."""
        return [fact for result in self.results.values() for fact in lines.remembered(result)]

    @property
    def known(self) -> list[Fact]:
        """All that may be known about the person in this turn, oldest first."""
        return [*self.memory, *self.found, *self.earlier, *commands.told(self.said)]


def read(messages: Sequence[Message], tools: Sequence[Message]) -> Turn:
    """The turn that this request asks for."""
    turn = Turn(tools=_tool_names(tools))
    names: dict[str, str] = {}
    for message in messages:
        text, role = text_of(message), message.get("role")
        if _is_memory(role, text):
            turn.memory += lines.remembered(text)
        elif role in ("system", "developer"):
            turn.instructions = text
        elif role == "user":
            _begin(turn, text)
        elif role == "assistant":
            _hear_assistant(turn, message, text, names)
        elif role == "tool":
            _hear_tool(turn, names.get(str(message.get("tool_call_id")), str(message.get("name"))), text)
    return turn


def text_of(message: Message) -> str:
    """The text of a message whose content is a string, a list of parts or nothing."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = cast("list[Message]", content) if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts)


def _is_memory(role: object, text: str) -> bool:
    return role in ("user", "system", "developer") and text.lstrip().startswith("<memory>")


def _tool_names(tools: Sequence[Message]) -> frozenset[str]:
    functions = [cast("Message", tool.get("function") or {}) for tool in tools]
    return frozenset(str(function.get("name")) for function in functions)


def _begin(turn: Turn, text: str) -> None:
    """The person speaks: what was this turn becomes the past."""
    if turn.said:
        turn.earlier += commands.told(turn.said)
    turn.instructions = ""
    turn.said, turn.results = text, {}


def _hear_assistant(turn: Turn, message: Message, text: str, names: dict[str, str]) -> None:
    calls = cast("list[Message]", message.get("tool_calls") or [])
    for call in calls:
        function = cast("Message", call.get("function") or {})
        names[str(call.get("id"))] = str(function.get("name"))
        turn.calls[str(function.get("name"))] = _arguments(function.get("arguments"))
    if text and not calls:
        _end(turn, text)


def _end(turn: Turn, text: str) -> None:
    """The agent has answered: what was said is told, and the turn is over."""
    turn.earlier += commands.told(turn.said)
    turn.said, turn.results, turn.instructions = "", {}, ""
    turn.calls_before, turn.calls = turn.calls, {}
    turn.reply_before = text


def _hear_tool(turn: Turn, name: str, text: str) -> None:
    turn.results[name] = text
    if turn.did_nothing(name):
        return
    if name == "forget":
        for topic in commands.topics_to_forget(turn.said):
            forgotten = {hit.fact for hit in questions.find(questions.topic(topic), turn.earlier)}
            turn.earlier = [fact for fact in turn.earlier if fact not in forgotten]
    elif name == "forget_everything" and turn.calls.get(name, {}).get("confirmation"):
        turn.earlier = []


def _arguments(text: object) -> dict[str, Any]:
    try:
        arguments = json.loads(str(text))
    except ValueError:
        return {}
    return cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {}
