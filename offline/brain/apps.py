"""What the toy does with people's own apps: it connects them, and calls the tool that is named by an order's words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from offline.brain import english
from offline.brain.decision import Call, Decision, Say
from offline.brain.request import NOT_YET, Request

_CONNECT = re.compile(r"(?:please )?(?:re)?connect (?:me (?:to|with) )?(?:my )?(?P<app>.+)", re.IGNORECASE)
_DISCONNECT = re.compile(r"(?:please )?disconnect (?:me from )?(?:my )?(?P<app>.+)", re.IGNORECASE)
_MINE = re.compile(r"(?:what|which)(?: apps)? am i connected to|(?:what|which) apps\b", re.IGNORECASE)
_DIGIT = {word: str(n) for n, word in enumerate("zero one two three four five six seven eight nine".split())}
_YES = re.compile(r"(?:yes|yeah|yep|sure|ok|okay|please do|do it|go ahead)\b", re.IGNORECASE)
_DATA = re.compile(r"<data[^>\n]*>\n(.*)\n</data>", re.DOTALL)
# What a tool tells the agent to do, after what it tells.
_ADVICE = re.compile(r"(?:\.|;|:)? (?:Tell the|Offer|Ask the|Do not|From the person|They may)\b.*", re.DOTALL)
_SENT = "I have sent you a link to connect {}. Open it and sign in, then tell me the four digits that you see."


def decide(request: Request, said: str) -> Decision | None:
    """What to do, if it is about an app."""
    if "my_apps" not in request.tools:
        return None
    if told := next(_answers(request), ""):
        return Say(told)
    if request.asked:
        tool, arguments = request.asked
        agreed = _YES.match(said) and tool in request.tools
        return Call(tool, {**arguments, "confirmation": said}) if agreed else Say("Okay, I have not done it.")
    return _connecting(request, said) or _order(request, said)


def _connecting(request: Request, said: str) -> Decision | None:
    if _MINE.match(said):
        return Call("my_apps", {})
    if "finish_connecting" in request.tools and (number := _four_digits(said)):
        return Call("finish_connecting", {"number": number})
    for pattern, tool in ((_CONNECT, "connect_app"), (_DISCONNECT, "disconnect_app")):
        if (found := pattern.match(said)) and (app := _offered(request, tool, found["app"])):
            return Call(tool, {"app": app})
    return None


def _four_digits(said: str) -> str:
    words: list[str] = re.findall(r"[a-z]+|\d", said.lower())
    digits = [_DIGIT.get(word) or word for word in words]
    return "".join(digits) if len(digits) == 4 and all(map(str.isdigit, digits)) else ""


def _offered(request: Request, tool: str, name: str) -> str:
    properties: dict[str, Any] = request.schemas.get(tool, {}).get("properties", {})
    apps: list[str] = properties.get("app", {}).get("enum", [])
    return next((app for app in apps if set(english.content(app)) <= set(english.content(name))), "")


def _order(request: Request, said: str) -> Decision | None:
    """An app's tool whose words the order has: "add a task: buy milk", "what are my tasks"."""
    order, _, rest = said.partition(":")
    words = {*english.content(order), *(["list"] if english.is_question(said) else [])}
    for tool in sorted(request.tools):
        _, app, name = tool.rpartition("__")
        wanted = english.content(name.replace("_", " "))
        if not app or not wanted or not set(wanted) <= words:
            continue
        required = cast("list[str]", request.schemas[tool].get("required") or [])
        takes = [each for each in required if each != "confirmation"]
        if len(takes) <= 1:
            return Call(tool, {takes[0]: rest.strip()} if takes else {})
    return None


def _answers(request: Request) -> Iterator[str]:
    """What is said of what tools have answered in this turn."""
    for tool, result in request.results.items():
        if result.startswith(NOT_YET):
            what = tool.rpartition("__")[2].replace("_", " ")
            details = ", ".join(str(value) for name, value in request.arguments[tool].items() if name != "confirmation")
            yield f"Shall I {what}: {details}? Please answer yes or no."
        elif tool == "connect_app" and result.startswith("A link"):
            yield _SENT.format(request.arguments[tool]["app"])
        elif "__" in tool and (data := _DATA.search(result)):
            yield english.sentence(", ".join(data[1].splitlines()))
        elif "__" in tool or tool in {"my_apps", "connect_app", "finish_connecting", "disconnect_app"}:
            yield english.sentence(_ADVICE.sub("", result).replace("\n", ", "))
