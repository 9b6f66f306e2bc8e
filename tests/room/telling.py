"""People who tell the shipped worker something, a mind that does what they ask for, and models that curate it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.room.edge import EdgeRoom
from tests.room.models import Call, Request
from tests.room.product import Product
from tests.room.worker import Worker, until

Curate = Callable[[list[dict[str, str]]], str]

_LINE = re.compile(r"- \d{4}-\d{2}-\d{2} \w+ (?P<key>\S+): (?P<said>.+)")
_NOT_SAID = re.compile(
    r"user_input_\d+|\d{4}-\d\d-\d\dT[\d:.+]+|[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}"
    r'|"(?:id|call_id|group_id)": "[^"]*"|"created_at": [\d.]+|(?:item|msg)_[0-9a-f]+'
)
_FORGET = re.compile(r"(?i)forget (?P<what>.+?)[.!]*$")


def attentive(request: Request) -> str | Call:
    """Looks up and forgets what it is told to; repeats everything else."""
    order = _FORGET.match(request.words)
    if not order:
        return f"You said {request.words}"
    if not request.tool_has_answered:
        return Call("list_memories", {})
    wanted = {word for word in re.findall(r"\w+", order["what"].lower()) if len(word) > 3}
    lines = _LINE.finditer(getattr(request.chat_ctx.items[-1], "output", ""))
    keys = [line["key"] for line in lines if wanted & set(re.findall(r"[^\W_]+", line[0].lower()))]
    return Call("forget", {"keys": keys}) if keys else "It is forgotten."


def scripted(facts: Mapping[str, str]) -> Curate:
    """Names each statement that holds one of these quotes by its key, and keeps all."""

    def curate(messages: list[dict[str, str]]) -> str:
        entries: list[dict[str, Any]] = []
        for statement in json.loads(messages[-1]["content"]).get("statements", ()):
            named = [
                {"key": key, "category": "FACT", "quote": quote}
                for key, quote in facts.items()
                if quote in statement["said"]
            ]
            entries.append({"id": statement["id"], "facts": named, "ends": [], "worth": "keep"})
        return json.dumps({"statements": entries})

    return curate


def curates_nothing(_: list[dict[str, str]]) -> str:
    return '{"statements": []}'


def answers_garbage(_: list[dict[str, str]]) -> str:
    return "Sure! Here is the JSON you asked for: {"


async def told(product: Product, room: EdgeRoom, worker: Worker, person: str, *words: str) -> None:
    """All of a call, while others have theirs."""
    await product.call(worker, room, person, *words)
    await until(lambda: all(product.endings(person)), "the call to end")


def known(product: Product, room: EdgeRoom, question: str) -> str:
    """All that the model could see when it was asked this, but for the question."""
    request = next(request for request in product.requests(room) if request.words == question)
    return spoken_of(request.everything.replace(question, ""))


def spoken_of(everything: str) -> str:
    """What people can have said in it, in small letters: no times, no ids. A PIN may stand in those by chance."""
    return _NOT_SAID.sub("", everything).lower()
