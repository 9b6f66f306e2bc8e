"""What the toy says or calls next: the line it was handed that shares most with the question, or that it knows none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from offline.brain import apps, english
from offline.brain.decision import Call, Decision, Say
from offline.brain.request import Fact, Request, read, what_to_forget

OFFLINE = "I am the offline voice, so I only know what you have told me."
_MOST_READ_BACK = 6
# The part of a question's words that a line must share.
_ENOUGH = 0.6

_GREETING = re.compile(r"(?:hello|hi|hey|good (?:morning|afternoon|evening))\b", re.IGNORECASE)
_THANKS = re.compile(r"(?:thank you|thanks)\b", re.IGNORECASE)
_BYE = re.compile(r"(?:good)?bye\b", re.IGNORECASE)
_LIST = re.compile(
    r"(?:what (?:else )?(?:do|did|have)|tell me (?:all|everything)) (?:you|i) (?:know|remember|tell you|told you)"
    r"(?: about me)?(?: so far)?$|do you (?:know|remember) anything about me$|list\b",
    re.IGNORECASE,
)
_REMEMBER = re.compile(r"(?:please |can you )*(?:remember|note) (?:that )?(?!wh|how|my name\b)", re.IGNORECASE)
_FORGET = re.compile(r"(?:please )?(?:forget|delete|erase|remove)\b", re.IGNORECASE)
_ALL = re.compile(r"\b(?:everything|all)\b(?! about my\b)", re.IGNORECASE)
_WHY = re.compile(r"(?:why|how) (?:do|did|are|come) you (?:know|remember|say|think)\b", re.IGNORECASE)
_TELL = re.compile(r"(?:please )?(?:tell me|say)(?: about)?\b", re.IGNORECASE)
_BEFORE = re.compile(r"\b(?:before|used to|was|were|did)\b", re.IGNORECASE)
_YES = re.compile(r"(?:yes|yeah|yep|sure|ok|okay|please do|do it|go ahead)\b(?!.*\b(?:no|not|don't)\b)", re.IGNORECASE)
_TOPIC = re.compile(r"(?:what|who|where|when|which|how)(?:'s| is| are| was| were| am)? (?P<what>(?:my|our)\b.+)", re.I)
_GOODBYE = "Goodbye. It was good to talk to you."
_TO_SAY = "as follows:\n"
_INSTRUCTED = {
    "goodbye": _GOODBYE,
    "still there": "Are you still there?",
    "too long for you": "That was too long for me. Please tell me less at once.",
}


def answer(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> Decision:
    """What the assistant says or calls next. Pure: the same request always gets the same answer."""
    request = read(messages, tools)
    said = request.said.rstrip("?.! ")
    if not said:
        return Say(_by_itself(request))
    if decision := apps.decide(request, said):
        return decision
    if "forget_everything" in request.results:
        return _forget_everything(request, said)
    if "yes or no" in request.said_before and not _FORGET.match(said):
        return _confirmation(request, said)
    for pattern, follow in _ORDERS:
        if pattern.match(said):
            return follow(request, said)
    return _tell(request, said) if english.is_question(request.said) else Say(_acknowledgement(said))


def _by_itself(request: Request) -> str:
    """A greeting, a question whether somebody is there, a goodbye: as the instructions for this reply ask."""
    if "forget" in request.results:
        return _trouble(request, "forget") or "Okay, I have forgotten that."
    if words := _instructed(request.instructions):
        return words
    asked = request.instructions.lower()
    if "never spoken" in asked or not (asked or request.facts):
        return f"Hello, I am {request.agent}. I will remember what you tell me. What should I call you?"
    if "welcome" not in asked:
        return "Hello. What can I do for you?"
    known = [fact for fact in request.facts if not fact.past]
    if name := next((fact.value for fact in reversed(known) if fact.key == "name"), ""):
        called = name.split()[-1]
        return f"Welcome back, {called.capitalize() if called.islower() else called}. It is good to hear from you."
    return f"Welcome back. Last time you told me that {known[-1].to_them}." if known else "Welcome back."


def _instructed(asked: str) -> str:
    if _TO_SAY in asked:
        return asked.partition(_TO_SAY)[2]
    return next((words for phrase, words in _INSTRUCTED.items() if phrase in asked.lower()), "")


def _tell(request: Request, said: str) -> Decision:
    question = _TELL.sub("", said).strip()
    if found := _found(request, question):
        return Say(english.sentence(found.to_them))
    about_them = english.is_about_the_speaker(question)
    if about_them and request.may_call("recall"):
        return Call("recall", {"query": question})
    if not about_them:
        return Say(OFFLINE)
    topic = _TOPIC.match(question)
    unknown = f"I don't know {english.said_to_them(topic['what']) if topic else 'that'} yet."
    return Say(f"{unknown} {_trouble(request, 'recall')}".strip())


def _found(request: Request, question: str) -> Fact | None:
    """What shares the most words with the question, and of equals the latest; of the past only where it is asked for,
    and then first."""
    wanted = [english.alike(stem) for stem in english.content(question)]
    asks_before = bool(_BEFORE.search(question))
    best, most = None, (False, _ENOUGH)
    for fact in request.facts:
        stems = fact.stems
        shared = sum(bool(words & stems) for words in wanted) / max(1, len(wanted))
        fits = (shared == 1 or bool(wanted and wanted[-1] & stems)) and english.tells_of(question, fact.words, stems)
        if fact.past <= asks_before and fits and shared >= _ENOUGH and (fact.past, shared) >= most:
            best, most = fact, (fact.past, shared)
    return best


def _list(request: Request, said: str) -> Decision:
    if request.may_call("list_memories"):
        return Call("list_memories", {})
    if trouble := _trouble(request, "list_memories"):
        return Say(trouble)
    told = list(dict.fromkeys(fact.to_them for fact in request.facts if not fact.past))
    if not told:
        return Say("Nothing yet. Tell me something about you.")
    more = f" And {len(told) - _MOST_READ_BACK} more things." if len(told) > _MOST_READ_BACK else ""
    return Say(" ".join(map(english.sentence, told[-_MOST_READ_BACK:])) + more)


def _why(request: Request, said: str) -> Decision:
    if "why" in request.results:
        told = english.said_to_them(request.results["why"]).replace("They", "You")
        return Say(_trouble(request, "why") or f"{told}.")
    fact = _found(request, _WHY.sub("", said))
    if fact and fact.key and request.may_call("why"):
        return Call("why", {"category": fact.category, "key": fact.key})
    return Say("You told me so." if fact else OFFLINE)


def _remember(request: Request, said: str) -> Decision:
    what = _REMEMBER.sub("", said, count=1)
    if request.may_call("remember"):
        name = "_".join(english.content(re.split(r"\b(?:is|are|was|were)\b", what)[0])[:4])
        return Call("remember", {"category": "FACT", "key": name or "note", "value": what})
    told = english.said_to_them(what)
    if "remember" not in request.results:
        return Say(f"I heard that {told}, but I can not save it.")
    return Say(_trouble(request, "remember") or f"I will remember that {told}.")


def _forget(request: Request, said: str) -> Decision:
    if _ALL.search(said):
        return _forget_everything(request, "")
    what = what_to_forget(said)
    if "forget" in request.results:
        return Say(_trouble(request, "forget") or f"Okay, I have forgotten {english.said_to_them(what)}.")
    if "forget" not in request.tools:
        return Say("I can not forget anything here.")
    wanted = set(english.content(what))
    found = [fact for fact in request.facts if wanted and wanted <= fact.stems]
    keys = [fact.key for fact in found if fact.key and english.tells_of(what, fact.words, fact.stems)]
    if keys:
        return Call("forget", {"keys": list(dict.fromkeys(keys))})
    if request.may_call("recall"):
        return Call("recall", {"query": what})
    unknown = f"There is nothing remembered about {english.said_to_them(what)}."
    return Say(f"{unknown} {_trouble(request, 'recall')}".strip())


def _confirmation(request: Request, said: str) -> Decision:
    if _YES.match(said):
        return _forget_everything(request, said)
    return Say("Okay, nothing was forgotten.")


def _forget_everything(request: Request, confirmation: str) -> Decision:
    if request.may_call("forget_everything"):
        return Call("forget_everything", {"confirmation": confirmation})
    if "forget_everything" in request.results:
        return Say(_trouble(request, "forget_everything") or request.results["forget_everything"].strip())
    return Say("I can not forget anything here.")


def _trouble(request: Request, tool: str) -> str:
    """What a tool says of itself where it could not do its work; empty where it could."""
    result = request.results.get(tool, "")
    if "Tell the person so" not in result and not result.startswith(("Not done", "Nothing is kept")):
        return ""
    return result.partition(" Tell the person so")[0].replace("Your memory", "My memory")


def _acknowledgement(said: str) -> str:
    if english.is_about_the_speaker(said):
        return f"Got it, {english.said_to_them(said)}."
    if _GREETING.match(said):
        return "Hello."
    return "You are welcome." if _THANKS.match(said) else OFFLINE


def _end_call(request: Request, said: str) -> Decision:
    return Call("end_call", {}) if request.may_call("end_call") else Say(_GOODBYE)


_ORDERS: tuple[tuple[re.Pattern[str], Callable[[Request, str], Decision]], ...] = (
    (_REMEMBER, _remember),
    (_FORGET, _forget),
    (_WHY, _why),
    (_LIST, _list),
    (_TELL, _tell),
    (_BYE, _end_call),
)
