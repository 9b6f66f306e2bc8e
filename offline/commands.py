"""What a sentence asks for: to remember, to forget, to read back, to answer. Decided by its first words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from offline import english, facts
from offline.english import AUXILIARIES, ME, MINE, QUESTION_WORDS, lower_words
from offline.facts import Fact

Kind = Literal["remember", "forget", "forget_everything", "forget_what", "list", "topic", "ask", "tell", "other"]


@dataclass(frozen=True)
class Request:
    """A sentence as a request, and the words it is about."""

    kind: Kind
    about: str = ""


# Words one starts a sentence with, that say nothing.
_OPENING = re.compile(
    r"(?:(?:hey|hi|hello|good (?:morning|afternoon|evening)|okay|ok|so|well|um+|uh+|er+|hmm+|and|but|then|please|yes"
    r"|yeah|no|nope|oh|ah|also|actually|listen|look|alright|all right|right|great|thanks|thank you|cool|nice|sorry"
    r"|excuse me|by the way|anyway|rapport|you know|just so you know|to be honest|guess what|now)\b"
    r"(?!\s+(?:is|are|was|much|for)\b)(?: there| rapport)?[\s,.!:;\-]*)+",
    re.IGNORECASE,
)
_POLITELY = (
    r"(?:(?:please|now|just|then|kindly) )*"
    r"(?:(?:can|could|would|will) you |i (?:want|need|would like) you to |you (?:can|should|may|must) "
    r"|i would like to ask you to |make sure (?:to |you |that you ))?"
    r"(?:(?:please|also|just|kindly) )*"
)
_ASKING = re.compile(
    r"(?:(?:can|could|would|will|do|did) you (?:please |still |even |also |happen to )*"
    r"(?:tell me|remind me of|remind me|know|remember|recall|say)(?: again)?"
    r"|(?:please )?(?:tell me|remind me of|remind me(?! to\b))(?: again)?"
    r"|i (?:want to|would like to|need to) know|i (?:wonder|was wondering)"
    r"|i (?:forgot|have forgotten|can not remember|do not remember)"
    r"|let me know|any idea|(?:do you have )?an idea"
    r"|(?:did|have) i (?:ever |already )*(?:tell|told|mention|mentioned)(?: to)?(?: you)?"
    r"|(?:please )?remember(?= (?:what|who|where|when|which|why|how)\b))"
    r"(?: if| whether| that| about)? (?=\S)",
    re.IGNORECASE,
)

_REMEMBER = re.compile(
    _POLITELY + r"(?:"
    r"(?:remember|do not forget|never forget|keep in mind|bear in mind|make a note|take a note|note|note down)"
    r"(?: this| it)?,? (?P<that>that )"
    r"|(?:remember|do not forget|never forget|keep in mind|make a note of|note down|note)[:,]?(?: this)?[:,]? "
    r")(?P<about>.+)",
    re.IGNORECASE,
)
_FORGET = re.compile(
    _POLITELY + r"(?P<verb>forget|do not remember|stop remembering|delete|erase|remove|wipe|clear|drop)\b(?P<about>.*)",
    re.IGNORECASE,
)
# What stands between "forget" and its object, and after it.
_ABOUT = re.compile(
    r"^(?:,|that\b(?= \S+ )|about\b|the fact that\b|(?:everything|anything|all of|all|what)(?= .*\babout\b)"
    r"|(?:that )?(?:you|i) (?:still |have |ever )*(?:know|remember|have|said|told you|stored|saved|say|tell you)"
    r"(?= about\b)"
    r"|(?:your |any |the )?(?:memory|memories|entry|note|information|data) (?:of|about|on)\b)\s*",
    re.IGNORECASE,
)
_AFTERTHOUGHT = re.compile(
    r"[\s,]*\b(?:please|now|right now|again|from (?:your |the )?memory|for me|will you|would you|thanks|thank you"
    r"|permanently|completely|forever|for good|today|so far|if you can)[\s.!?]*$",
    re.IGNORECASE,
)
_ABOUT_ME = r"(?: (?:about|of|on|from) (?:me|myself|us))?"
_EVERYTHING = re.compile(
    r"(?:about )?(?:(?:everything|all|it all|all of it|all of that|anything|me|everything else|who i am"
    r"|(?:everything|all|anything|what|whatever)(?: that)?"
    r"(?: you (?:know|remember|have|stored|saved)| i (?:have )?(?:ever )?(?:told|tell|said|say)(?: to)?(?: you)?)?"
    r"|(?:all |all of )?(?:(?:my|the|your|our) )?(?:(?:whole|entire|personal|stored) )?"
    r"(?:data|memory|memories|information|info|profile|history|records?)"
    rf"){_ABOUT_ME})",
    re.IGNORECASE,
)

_STILL = r"(?:(?:still|already|really|actually|even|just|ever) )*"
_KNOWING = r"(?:know|remember|recall|remembered|learned|have|got|stored|saved)(?: stored| saved)?"
_TELLING = r"(?:told|tell|said|say|shared|share|teach|taught)(?: to)?(?: you)?(?: to remember)?"
_LIST = re.compile(
    r"(?:"
    rf"what(?: else| all| exactly)? (?:do|can|did|have) you {_STILL}{_KNOWING}"
    rf"|what(?: else| all| exactly| things)? (?:have|did|do) i {_STILL}(?:(?:ask|tell) you to remember|{_TELLING})"
    rf"|(?:do|did|can) you {_STILL}(?:know|remember|recall|have)(?: anything| something| things| everything)?"
    r"(?= .*\bme\b| anything| something|$)"
    r"|(?:tell|remind|show|give) me (?:everything|all|what|anything|something|some things|the things)(?: that| else)?"
    r"(?: you (?:know|remember|have)| i (?:have )?(?:told|said)(?: you)?)?"
    r"|(?:tell me|talk) about (?:me|myself)|what is (?:in|on) your memory|what is (?:stored|saved|remembered|known)"
    r"|(?:list|show|show me|read|read out|read back|read me|recite)(?: all)?(?: of)?(?: my| your| the)?"
    r"(?: saved| stored)? (?:memory|memories|facts|everything|what|all|things)(?: that)?"
    r"(?: you (?:know|remember|have))?"
    r"|what(?: kind of)? (?:memories|information|facts|things|data) do you (?:have|know|remember)"
    rf"){_ABOUT_ME}(?: so far| by now| now| already| today| before| yesterday| last time| until now| up to now"
    r"| in (?:your )?memory| from before| from last time| to remember| at all| yet| anything)*",
    re.IGNORECASE,
)
_TOPIC = re.compile(
    rf"(?:what(?: else| all)? (?:do|did|can|have) (?:you|i) {_STILL}(?:know|remember|recall|have|mention|{_TELLING})"
    rf"|(?:do|did|can|have) (?:you|i) {_STILL}(?:know|remember|have|mention|{_TELLING}) (?:anything|something|things)"
    r"|tell me(?: everything| all| what| something| anything| more)?(?: that)?(?: you (?:know|remember))?)"
    r" about (?P<about>.+)",
    re.IGNORECASE,
)

# Who else can be the subject of a statement about the speaker: "everyone likes me".
_OTHERS = frozenset(
    "it he she they this that these those people everyone everybody nobody someone somebody the a an there his her "
    "their".split()
)

# A clause that begins with one of these orders something; it tells nothing.
_IMPERATIVES = frozenset(
    "tell call play send turn set open show give help let make find book order buy add remind stop start read write "
    "sing say repeat explain list delete remove erase wake check look search get take put ignore pretend act forget "
    "remember keep note change update go come wait please do don't answer ask disregard translate spell speak talk "
    "leave".split()
)


def read(sentence: str) -> Request:
    """What this sentence asks for."""
    text = _plain(sentence)
    bare = without_opening(text)
    return (
        _forgetting(bare)
        or _reading_back(bare)
        or _remembering(bare)
        or _asking(bare, is_marked=sentence.rstrip().endswith("?"))
        or Request("tell" if told(bare) else "other", bare)
    )


def told(text: str, *, of_anyone: bool = False) -> list[Fact]:
    """The facts in something the person said. What they ask to remember is one; what they ask, or order, is not.

    With `of_anyone`, what they say of others is one, too.
    """
    found: list[Fact] = []
    for part in english.sentences(text):
        request = _remembering(without_opening(_plain(part))) or Request("tell", part)
        for clause in english.clauses(request.about):
            bare = without_opening(clause)
            if _states_something(bare, of_anyone=of_anyone):
                found.append(facts.clause(bare))
    return found


def topics_to_forget(text: str) -> list[str]:
    """What the person asks to forget: "forget my name and my job" is two topics."""
    topics: list[str] = []
    for part in english.sentences(text):
        request = read(part)
        if request.kind == "forget":
            topics += re.split(r",?\s+(?:and|or)\s+(?=my\b|our\b|that\b|about\b|where\b|what\b)", request.about)
    return [without_asking(_repeatedly(_ABOUT, topic)) for topic in topics]


def without_opening(text: str) -> str:
    """Without "well, hello, ..." in front; a text that has nothing else stays as it is."""
    return _OPENING.sub("", text, count=1).lstrip(" ,") or text if _OPENING.match(text) else text


def without_asking(text: str) -> str:
    """Without "do you know ..." in front."""
    text = without_opening(text)
    match = _ASKING.match(text)
    return text[match.end() :] if match else text


_APART = (
    (r"\bdo(?:n['’]t|nt)\b", "do not"),
    (r"\bcan['’]?t\b", "can not"),
    (r"\b(what|who|where)['’]?s\b", r"\1 is"),
    (r"\bi['’]d like\b", "I would like"),
    (r"\b(what|i)['’]ve\b", r"\1 have"),
)


def _plain(sentence: str) -> str:
    """Without the contractions the patterns above could meet and without an end mark; else as it was said."""
    for pattern, instead in _APART:
        sentence = re.sub(pattern, instead, sentence, flags=re.IGNORECASE)
    return re.sub(r"\s+", " ", sentence).strip().rstrip(" .!?;,")


def _forgetting(text: str) -> Request | None:
    match = _FORGET.fullmatch(text)
    if not match or facts.looks_like_an_order(text):
        return None
    about = _repeatedly(_AFTERTHOUGHT, match["about"].strip(" ,:"))
    if _EVERYTHING.fullmatch(about):
        return Request("forget_everything")
    about = _repeatedly(_ABOUT, about)
    if about.lower() in ("", "it", "about it"):
        return Request("other", text)
    if about.lower() in ("that", "this", "these", "those", "them", "what i said", "what i just said"):
        return Request("forget_what")
    forgets = match["verb"].lower() in ("forget", "do not remember", "stop remembering")
    # "delete my address", but not "remove the lid"
    if not forgets and not english.has_first_person(lower_words(about)):
        return Request("other", text)
    return Request("forget", about)


def _repeatedly(pattern: re.Pattern[str], text: str) -> str:
    """The text once this pattern is found nowhere in it any more."""
    while (shorter := pattern.sub("", text)) != text:
        text = shorter
    return text


def _reading_back(text: str) -> Request | None:
    bare = _AFTERTHOUGHT.sub("", text)
    if _LIST.fullmatch(bare):
        return Request("list")
    match = _TOPIC.fullmatch(bare)
    if match and match["about"].lower() in ("me", "myself", "us"):
        return Request("list")
    if match and match["about"].lower() not in ("you", "yourself", "it", "this", "that"):
        return Request("topic", match["about"])
    return None


def _remembering(text: str) -> Request | None:
    match = _REMEMBER.fullmatch(text)
    if not match:
        return None
    about = match["about"].strip(" ,:")
    low = lower_words(about)
    if not low or low[0] in QUESTION_WORDS:
        return None
    # "please remember my name" asks for it; "please remember my name is Ann" tells it
    tells = match["that"] or low[0] == "to" or (low[0] in ME and len(low) > 1) or _has_verb(low)
    return Request("remember", about) if tells else None


def _has_verb(low: list[str]) -> bool:
    end = english.owned(low, 0) if low[0] in MINE else 1
    return end < len(low)


def _asking(text: str, *, is_marked: bool) -> Request | None:
    rest = without_asking(text)
    low = lower_words(rest)
    if not low:
        return None
    asked = rest != text
    if asked and low[0] in ME and not is_marked and "that" in lower_words(text):
        return None  # "do you know that I like tea" without the mark
    if _is_question(low, asked=asked, is_marked=is_marked):
        return Request("ask", rest)
    return None


def _is_question(low: list[str], *, asked: bool, is_marked: bool) -> bool:
    if low[0] in QUESTION_WORDS:
        return asked or is_marked or not _begins_a_statement(low)
    return asked or is_marked or (low[0] in AUXILIARIES and len(low) > 1 and low[1] != "not")


def _begins_a_statement(low: list[str]) -> bool:
    """ "When I was young I lived in Rome", "what I like is tea": the subject comes before any auxiliary."""
    return len(low) > 4 and low[1] in ME | MINE


def _states_something(clause: str, *, of_anyone: bool) -> bool:
    low = lower_words(clause)
    if not low or facts.looks_like_an_order(clause):
        return False
    if re.match(r"(?:please |you can |everyone |people |they )?calls? me \S", " ".join(low)):
        return True
    text = _plain(clause)
    if _forgetting(text) or _reading_back(text) or _asking(text, is_marked=clause.rstrip().endswith("?")):
        return False
    if low[0] in _IMPERATIVES and not (len(low) > 1 and low[1] in AUXILIARIES):
        return False
    return of_anyone or (not _is_fragment(low) and _speaks_of_self(low))


def _is_fragment(low: list[str]) -> bool:
    """ "My color" says nothing of it."""
    return len(low) < 2 or (low[0] in MINE and english.owned(low, 0) == len(low))


def _speaks_of_self(low: list[str]) -> bool:
    if low[0] in _OTHERS and not {"me", "us"}.isdisjoint(low):
        return True
    return not {"i", "we", "my", "our", "mine", "ours"}.isdisjoint(low)
