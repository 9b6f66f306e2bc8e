"""The rules that stand in for a language model.

It answers from what this request holds (the worker's memory lines, what the person said, what a tool answered) and
from nothing else: it keeps nothing, and what it does not find there it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offline import commands, english, facts, questions, small_talk, turn
from offline.concepts import concept
from offline.echo import joined, second_person, sentence, unknown
from offline.facts import Fact
from offline.turn import Turn


@dataclass(frozen=True)
class Say:
    """The reply is spoken text."""

    text: str


@dataclass(frozen=True)
class Call:
    """The reply is a tool call."""

    name: str
    arguments: dict[str, Any]


Decision = Say | Call

_MOST_READ_BACK = 6

_YES = re.compile(
    r"(?:(?:yes|yeah|yep|yup|sure|ok|okay|absolutely|definitely|of course|confirm|confirmed|correct|indeed)\b.*"
    r"|(?:i|we) (?:confirm|am sure|am certain|do|agree|mean it)\b.*"
    r"|(?:please )?(?:do it|go ahead|do so|please do|delete|erase|forget|wipe)\b.*"
    r"|that is (?:right|correct)\b.*|please\b.*)",
    re.IGNORECASE,
)
_NO = re.compile(
    r"(?:no|nope|nah|do not|stop|cancel|never ?mind|wait|keep|not now|rather not|i changed my mind|i do not)\b.*"
    r"|.*\b(?:do not|don't|changed my mind)\b.*",
    re.IGNORECASE,
)


def answer(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> Decision:
    """What the assistant says or calls next. Pure: the same request always gets the same answer."""
    now = turn.read(messages, tools)
    if len(messages) > 1 and _is_greeting_request(now.instructions):
        return Say(_greeting(now))
    if not now.said.strip():
        return Say(_unasked(now))
    return _confirmation(now) or _reply(now)


def _reply(now: Turn) -> Decision:
    phrase = small_talk.reply(_phrase(now.said), now.reply_before)
    if phrase:
        return Say(phrase)
    requests = [request for part in english.sentences(now.said) for request in _requests(part)]
    for kind, follow in _BY_KIND.items():
        decisions = [follow(now, request.about) for request in requests if request.kind == kind]
        if decisions:
            return _together(decisions)
    return Say(_acknowledgement(now))


def _together(decisions: Sequence[Decision]) -> Decision:
    """One call at a time, and what there is to say once no call is left."""
    call = next((decision for decision in decisions if isinstance(decision, Call)), None)
    said = dict.fromkeys(decision.text for decision in decisions if isinstance(decision, Say))
    return call or Say(" ".join(said))


def _requests(sentence: str) -> list[commands.Request]:
    """What a sentence asks for; speech comes without marks, so a question may follow a statement after an "and"."""
    request = commands.read(sentence)
    parts = english.clauses(sentence)
    if request.kind in ("tell", "other", "ask") and len(parts) > 1:
        return [asked for part in parts if (asked := commands.read(part)).kind in ("ask", "list")] or [request]
    return [request]


# --- speaking first ---------------------------------------------------------------------------------------------


def _is_greeting_request(instructions: str) -> bool:
    return bool(re.search(r"\b(greet|welcome|say hello|introduce yourself)", instructions, re.IGNORECASE))


def _unasked(now: Turn) -> str:
    """What to say when the person has said nothing: as this reply's instructions ask, or else a greeting."""
    verbatim = re.search(r"\bsay\b[^\"“]*[\"“]([^\"”]+)[\"”]", now.instructions, re.IGNORECASE)
    if verbatim:
        return verbatim[1]
    if re.search(r"\b(goodbye|good-bye|farewell)\b", now.instructions, re.IGNORECASE):
        return "Goodbye. It was good to talk to you."
    if re.search(r"\bstill (there|here)\b", now.instructions, re.IGNORECASE):
        return "Are you still there?"
    return _greeting(now)


def _greeting(now: Turn) -> str:
    instructions = now.instructions.lower()
    if _is_first_meeting(instructions, now):
        if re.search(
            r"memory is (currently )?(off|unavailable|not available)|cannot remember|can't remember", instructions
        ):
            return "Hello, I am Rapport. I can not remember anything right now. What is on your mind?"
        return "Hello, I am Rapport. I will remember what you tell me. What should I call you?"
    name = _name(now.known)
    if name:
        return f"Welcome back, {name}. It is good to hear from you."
    known = facts.latest(now.known)
    if known:
        return f"Welcome back. Last time you told me that {known[-1].to_them()}."
    return "Welcome back."


def _is_first_meeting(instructions: str, now: Turn) -> bool:
    if not _is_greeting_request(instructions) or re.search(r"\bif\b.*\b(otherwise|else)\b", instructions, re.DOTALL):
        return not now.known
    if re.search(r"\bnot (the|their|your) first\b", instructions):
        return False
    return bool(
        re.search(
            r"\b(never|first (time|conversation|call|meeting)|(not|n't|not yet) .{0,20}(spoken|met|talked)"
            r"|new (person|user|caller|here)|(know|known|remembered?) nothing|nothing (is )?(known|remembered))",
            instructions,
        )
    )


def _name(known: Sequence[Fact]) -> str:
    name = next((fact.own_name for fact in reversed(known) if fact.own_name), "")
    return name.capitalize() if name.islower() else name


# --- questions ------------------------------------------------------------------------------------------------


def _asked(now: Turn, about: str) -> Decision:
    if not english.has_first_person(english.lower_words(about)):
        return _asked_in_general(now, about)
    if re.search(r"\b(you|your)\b", about, re.IGNORECASE) and not re.search(
        r"\b(tell|told|say|said) you\b|\bcall me\b", about
    ):
        return _asked_in_general(now, about)
    question = questions.read(about)
    found = questions.find(question, now.known)
    if found:
        return Say(_told(question, found, about))
    if now.may_call("recall"):
        return Call("recall", {"query": about})
    return Say(_unknown(now, unknown(about)))


def _told(question: questions.Question, found: Sequence[questions.Found], about: str) -> str:
    said = joined([fact.to_them() for fact in questions.own_words_for(question, found)])
    if question.ask != "whether" or question.negative or found[-1].fact.is_past:
        return sentence(said)
    full = all(wanted in found[-1].fact.concepts or found[-1].level == 2 for wanted in question.wanted)
    if not full:
        return sentence(said)
    return f"{'No' if found[-1].fact.is_negative else 'Yes'}, {said}."


def _asked_in_general(now: Turn, about: str) -> Decision:
    """A question that is not about the speaker: something they told may still answer it ("who is Tilda?")."""
    question = questions.read(about)
    named = {concept(word.lower()) for word in english.words(about)[1:] if word[:1].isupper()}
    if question.wanted & named or len(question.wanted) > 1:
        found = questions.find(question, now.known)
        if found:
            return Say(sentence(found[-1].fact.to_them()))
    return Say(_acknowledgement(now))


def _unknown(now: Turn, plain: str) -> str:
    """Not knowing; and if a tool could not look, what it says."""
    if now.in_trouble("recall") and not now.found:
        return f"{plain} {sentence(now.results['recall'])}"
    return plain


# --- reading back ---------------------------------------------------------------------------------------------


def _read_back(now: Turn, _: str) -> Decision:
    if now.may_call("list_memories"):
        return Call("list_memories", {})
    known = facts.latest(now.known)
    if not known:
        trouble = now.in_trouble("list_memories")
        return Say(sentence(now.results["list_memories"]) if trouble else "Nothing yet. Tell me something about you.")
    read = known[-_MOST_READ_BACK:]
    more = len(known) - len(read)
    ending = f" And {more} more things." if more else ""
    return Say(" ".join(sentence(fact.to_them()) for fact in read) + ending)


def _read_topic(now: Turn, about: str) -> Decision:
    found = questions.find(questions.topic(about), now.known)
    if found:
        read = facts.latest(hit.fact for hit in found)[-_MOST_READ_BACK:]
        return Say(" ".join(sentence(fact.to_them()) for fact in read))
    if not english.has_first_person(english.lower_words(about)) and not now.memory and not now.earlier:
        return Say(small_talk.OFFLINE)
    if now.may_call("recall"):
        return Call("recall", {"query": about})
    return Say(_unknown(now, f"I don't know anything about {second_person(about)} yet."))


# --- remembering and forgetting -------------------------------------------------------------------------------


def _remember(now: Turn, about: str) -> Decision:
    if now.may_call("remember"):
        return Call("remember", {"category": _category(about), "key": _key(about), "value": about})
    told = second_person(about)
    if "remember" not in now.results:
        return Say(f"I heard that {told}, but I can not save it.")
    if now.did_nothing("remember"):
        return Say(sentence(now.results["remember"]))
    return Say(f"I will remember {'' if told.startswith('to ') else 'that '}{told}.")


_CATEGORIES = {
    "RELATIONSHIP": r"\b(mother|mom|mum|father|dad|sister|brother|wife|husband|partner|girlfriend|boyfriend|son"
    r"|daughter|friend|kids?|children|aunt|uncle|cousin|grand\w+|boss|colleague|neighbou?r)\b",
    "PREFERENCE": r"\b(favou?rite|prefer\w*|rather|hate|dislike|allergic|vegetarian|vegan)\b",
    "GOAL": r"\b(want to|would like to|goal|hope to|dream|trying to|learn\w*)\b",
    "PLAN": r"\b(going to|plan\w*|will|tomorrow|next \w+|tonight|appointment|meeting|flight)\b|^to ",
    "INTEREST": r"\b(love|like|enjoy|interested|hobby|hobbies|fan of|passion\w*)\b",
    "OPINION": r"\b(think|believe|opinion|feel that)\b",
    "EXPERIENCE": r"\b(went|visited|saw|met|was|were|have been|learned|travell?ed|moved|grew up|studied)\b",
}


def _category(about: str) -> str:
    return next((name for name, words in _CATEGORIES.items() if re.search(words, about, re.IGNORECASE)), "FACT")


def _key(about: str) -> str:
    """ "my favorite color is blue" -> "favorite_color"; without such a subject, the first words that say something."""
    fact = Fact(about)
    said = [word for word in fact.subject if word != "'s"] if fact.subject and not fact.owners else fact.low
    skipped = english.AUXILIARIES | english.FIRST_PERSON | english.PREPOSITIONS | english.ADVERBS
    said = [re.sub(r"\W+", "", word) for word in said if word not in skipped | {"a", "an", "the", "that", "and", "'s"}]
    return "_".join(word for word in said[:4] if word) or "note"


def _forget(now: Turn, about: str) -> Decision:
    if "forget" in now.results:
        if now.did_nothing("forget"):
            return Say(sentence(now.results["forget"]))
        return Say(f"Okay, I have forgotten {_as_topic(about)}.")
    if "forget" not in now.tools:
        return Say("I can not forget anything here.")
    stored = [*now.memory, *now.found]
    topics = map(questions.topic, commands.topics_to_forget(now.said))
    keys = [hit.fact.key for topic in topics for hit in questions.find(topic, stored)]
    if keys:
        return Call("forget", {"keys": list(dict.fromkeys(keys))})
    if now.may_call("recall"):
        return Call("recall", {"query": about})
    return Say(_unknown(now, f"There is nothing remembered about {_as_topic(about)}."))


def _as_topic(about: str) -> str:
    low = english.lower_words(about)
    states = low and (low[0] in english.ME or (low[0] in english.MINE and english.owned(low, 0) < len(low)))
    return f"that {second_person(about)}" if states else second_person(about)


def _forget_what(_: Turn, __: str) -> Decision:
    return Say("What should I forget?")


def _forget_everything(now: Turn, _: str) -> Decision:
    return _forget_all(now, "")


def _confirmation(now: Turn) -> Decision | None:
    """The answer to "are you sure?", which the tool asked for in the turn before; None if this is not that."""
    if "forget_everything" in now.results and now.calls.get("forget_everything", {}).get("confirmation"):
        return Say(sentence(now.results["forget_everything"]))
    asked = now.calls_before.get("forget_everything")
    if asked is None or asked.get("confirmation"):
        return None
    said = _phrase(now.said)
    if _NO.fullmatch(said):
        return Say("Okay, nothing was forgotten.")
    return _forget_all(now, now.said.strip()) if _YES.fullmatch(said) else None


def _forget_all(now: Turn, confirmation: str) -> Decision:
    if now.may_call("forget_everything"):
        return Call("forget_everything", {"confirmation": confirmation})
    if "forget_everything" in now.results:
        return Say(now.results["forget_everything"].strip())
    return Say("I can not forget anything here.")


# --- everything else ------------------------------------------------------------------------------------------


def _acknowledgement(now: Turn) -> str:
    told = commands.told(now.said)
    if not told:
        return small_talk.OFFLINE
    return f"Got it, {joined([fact.to_them() for fact in told])}."


def _phrase(said: str) -> str:
    """Words only, contractions taken apart, for comparing with phrases."""
    return " ".join(english.words(said)).replace(" 's", "'s")


_BY_KIND = {
    "forget_everything": _forget_everything,
    "forget": _forget,
    "forget_what": _forget_what,
    "remember": _remember,
    "list": _read_back,
    "topic": _read_topic,
    "ask": _asked,
}
