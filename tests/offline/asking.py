"""Chat requests as the worker sends them, for tests of the brain."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from offline.brain.answer import Call, Say, answer

Message = dict[str, Any]

ALL_TOOLS = ("remember", "recall", "list_memories", "forget", "forget_everything", "end_call")


def memory(*lines: str) -> Message:
    """The worker's memory message. A line without a key is what the person said verbatim."""
    dated = [
        line if line.startswith("- ") else f"- 2026-11-20 FACT user_input_17636400{number:05d}: {line}"
        for number, line in enumerate(lines)
    ]
    return user("\n".join(["<memory>", *dated, "</memory>"]))


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def called(tool: str, result: str, **arguments: Any) -> list[Message]:
    """A tool call of the assistant, and what the tool answered."""
    function = {"name": tool, "arguments": json.dumps(arguments)}
    call = {"id": f"call_{tool}", "type": "function", "function": function}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": result},
    ]


def tools(names: Iterable[str]) -> list[Message]:
    return [{"type": "function", "function": {"name": name, "parameters": {}}} for name in names]


def decide(*messages: Message | list[Message], offered: Iterable[str] = ()) -> Say | Call:
    """What the brain decides on a request with these messages after the standing instructions."""
    flat: list[Message] = [system("You are Rapport, a voice agent that remembers.")]
    for message in messages:
        flat += message if isinstance(message, list) else [message]
    return answer(flat, tools(offered))


def say(*messages: Message | list[Message], offered: Iterable[str] = ()) -> str:
    """What the brain says; fails if it calls a tool instead."""
    decision = decide(*messages, offered=offered)
    assert isinstance(decision, Say), decision
    return decision.text


def call(*messages: Message | list[Message], offered: Iterable[str] = ALL_TOOLS) -> Call:
    """Which tool the brain calls; fails if it speaks instead."""
    decision = decide(*messages, offered=offered)
    assert isinstance(decision, Call), decision
    return decision
