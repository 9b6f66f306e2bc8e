"""Questions about the speaker, and the fact that answers one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from offline import english
from offline.concepts import AGE, FAVORITE, FROM, LIKE, LIVE, NAME, WANT, WORK, concept, kinds_of, names_a_trade
from offline.english import AUXILIARIES, MINE, PREPOSITIONS, QUESTION_WORDS, lower_words
from offline.facts import Fact

Ask = Literal["what", "who", "where", "when", "why", "old", "many", "long", "whether", "topic"]

# In a question these say nothing about what is asked.
_EMPTY = (
    AUXILIARIES
    | QUESTION_WORDS
    | english.FIRST_PERSON
    | english.ADVERBS - {"not", "never"}
    | PREPOSITIONS
    | frozenset(
        "a an the this that these those it there and or but if whether so as than then 's to not please you your yours "
        "kind type sort thing things something anything stuff again exactly now days today's more most best else "
        "any tell told say said mention mentioned ask asked know known remember much many long often one two".split()
    )
)
_MODIFIERS_OF_NAME = frozenset(("full", "first", "real", "own", "given"))

# Verbs that only carry a noun: "what car do I drive" asks for the car.
_LIGHT = frozenset(
    map(concept, "have get go use drive take wear keep do make see plan play eat drink read speak".split())
)

# What "I" and "my ..." share: "where do I live" and "what is my address".
_SELF = frozenset((NAME, AGE, LIVE, WORK, FROM))

_PLACES = frozenset("city town country place village street neighborhood neighbourhood state area part".split())
_TIMES = frozenset("time day date month year hour weekday".split())

# "Who do I work for" asks for what follows "for", or "at".
_STRANDED = {"with": {"with", "to"}, "for": {"for", "at"}, "from": {"from"}, "about": {"about", "of"}}

_NUMBERS = frozenset(
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand".split()
)
_AMOUNTS = _NUMBERS | {"a", "an", "no", "since", "every", "daily"}
_TIME_WORDS = (
    _NUMBERS
    | _TIMES
    | frozenset(
        "january february march april may june july august september october november december monday tuesday "
        "wednesday thursday friday saturday sunday today tonight tomorrow yesterday morning afternoon evening "
        "night noon midnight week weekend weekends weeks months years days spring summer autumn fall winter "
        "christmas easter halloween thanksgiving ago soon later next last every daily weekly monthly first second "
        "third fourth fifth sixth seventh eighth ninth tenth twelfth twentieth thirtieth before after since until "
        "during am pm o'clock always never breakfast lunch dinner ".split()
    )
)
# "My city is ..." names a place without a preposition; "my house is red" does not.
_NAMED_PLACES = frozenset("city town hometown village country address location residence".split())
_HERE = frozenset("here there home abroad downtown upstairs downstairs nearby outside inside".split())
_TO_A_PLACE = frozenset(
    "in at to on near from by under over behind inside beside next into outside around across".split()
)


@dataclass(frozen=True)
class Question:
    """What is asked, as far as the words tell."""

    ask: Ask
    wanted: frozenset[str]
    """The concepts an answer must be about."""
    owned: frozenset[str] = frozenset()
    """Those of "my ...", if the question has one."""
    ends_in: str = ""
    """A preposition at the end: "who do I live with"."""
    of_speaker: bool = True
    """Whether it is asked in the first person at all."""
    negative: bool = False
    past: bool = False

    @property
    def about_self(self) -> frozenset[str]:
        """Which of the speaker's own attributes it asks for; empty if it is about somebody or something else."""
        if not self.of_speaker or self.owned - _SELF:
            return frozenset()
        return self.wanted & _SELF


@dataclass(frozen=True)
class Found:
    """A fact that answers a question, and how well: 2 is in so many words, 1 by what usually goes together."""

    fact: Fact
    level: int


def read(text: str) -> Question:
    """The question in these words; lead-ins such as "do you know" must be gone."""
    low = lower_words(text)
    ask = _ask(low)
    content = _content(low, ask)
    owned: frozenset[str] = frozenset()
    mine = next((at for at, word in enumerate(low) if word in MINE), None)
    if mine is not None:
        owned = frozenset(map(concept, low[mine + 1 : english.owned(low, mine)]))
    if ask == "whether" and low[0] in english.BE and len(owned) > 1 and english.owned(low, mine or 0) == len(low):
        owned -= {concept(low[-1])}  # "is my car red"
    wanted = frozenset(map(concept, content))
    if NAME in wanted:
        wanted -= _MODIFIERS_OF_NAME
    return Question(
        ask,
        wanted,
        owned & wanted,
        low[-1] if low and low[-1] in PREPOSITIONS and ask != "where" else "",
        of_speaker=english.has_first_person(low),
        negative=not {"not", "never", "hate", "dislike"}.isdisjoint(low),
        past="use to" in " ".join(low) or "used to" in " ".join(low),
    )


def topic(text: str) -> Question:
    """What "forget X" and "what do you know about X" name."""
    return replace(read(text), ask="topic", ends_in="")


def find(question: Question, facts: Sequence[Fact]) -> list[Found]:
    """The facts that answer best, oldest first; the last one is the answer. Empty if none does."""
    found = _found(question, facts)
    for looser in _loosened(question) if not found else ():
        found = [Found(hit.fact, 1) for hit in _found(looser, facts)]
        if found:
            break
    top = max((hit.level for hit in found), default=0)
    return [hit for hit in found if hit.level == top]


def _found(question: Question, facts: Sequence[Fact]) -> list[Found]:
    if not question.wanted:
        return []
    return [
        Found(fact, level)
        for at, fact in enumerate(facts)
        if (level := _level(question, fact)) and not _taken_back(fact, facts[at + 1 :])
    ]


def _loosened(question: Question) -> Iterable[Question]:
    """The same question asked for less."""
    heavy = question.wanted - (_LIGHT - question.owned)
    if heavy and heavy != question.wanted and question.ask != "topic":
        yield replace(question, wanted=heavy)
    if question.ask == "whether":
        # "Is my favorite color red?" is answered by what it is.
        subject = question.owned or question.wanted & _SELF
        if subject and subject != question.wanted:
            yield replace(question, ask="what", wanted=subject)


def _ask(low: Sequence[str]) -> Ask:
    first = next((word for word in low if word in QUESTION_WORDS), "")
    after = list(low[low.index(first) + 1 :]) if first else list[str]()
    if not first and low and low[0] in AUXILIARIES:
        return "whether"
    if first in ("what", "which") and after and after[0] in _PLACES | _TIMES:
        return "where" if after[0] in _PLACES else "when"
    if first == "how":
        return _how(after[0] if after else "")
    for ask in ("who", "where", "when", "why"):
        if first == ask:
            return ask
    return "who" if first in ("whom", "whose") else "what"


def _how(word: str) -> Ask:
    if word == "old":
        return "old"
    if word in ("many", "much", "tall", "heavy"):
        return "many"
    if word in ("long", "often"):
        return "long"
    return "what"


def _content(low: Sequence[str], ask: Ask) -> list[str]:
    content = [word for at, word in enumerate(low) if word not in _EMPTY or _is_main_have(low, at)]
    if ask == "where" and low[-1] == "from":
        content.append(FROM)
    if ask in ("where", "when") and len(content) > 1:
        content = [word for word in content if word not in (_PLACES if ask == "where" else _TIMES)]
    if "email" in content:
        content = [word for word in content if word != "address"]
    if ask == "who" and not content:
        content = ["name"]
    if not [word for word in content if word not in ("work", "living")] and list(low[-3:]).count("do") and "i" in low:
        content = ["work"]
    if content and content[-1] == "living" and "do" in low:
        content = ["work"]
    return content


def _is_main_have(low: Sequence[str], at: int) -> bool:
    """Whether "have" is what is asked ("what pets do I have") and not an auxiliary."""
    return (
        low[at] in ("have", "has", "had", "own") and at > 0 and any(word in ("do", "did", "does") for word in low[:at])
    )


# --- does this fact answer it? --------------------------------------------------------------------------------


def _level(question: Question, fact: Fact) -> int:
    if question.ask != "topic" and not _fits_in_kind(question, fact):
        return 0
    levels = [_covers(question, wanted, fact) for wanted in question.wanted]
    if not all(levels) or not _same_owner(question, fact):
        return 0
    return min([*levels, _closeness(question, fact)])


def _fits_in_kind(question: Question, fact: Fact) -> bool:
    if question.ask != "whether" and fact.is_negative != question.negative and not (question.past and fact.is_past):
        return False
    if question.ends_in in _STRANDED and _STRANDED[question.ends_in].isdisjoint(fact.low):
        return False
    match question.ask:
        case "where":
            fits = _names_a_place(question, fact)
        case "when":
            fits = _names_a_time(fact)
        case "why":
            fits = not {"because", "since", "for", "so"}.isdisjoint(fact.low)
        case "old":
            fits = _tells_an_age(fact)
        case "many" | "long":
            fits = any(word in _AMOUNTS or word[0].isdigit() for word in fact.low)
        case "what" | "who" | "whether" | "topic":
            fits = True
    return fits


def _covers(question: Question, wanted: str, fact: Fact) -> int:
    """2 if the fact has this concept, 1 if it has what usually goes with it, 0 if it has nothing of it."""
    if wanted in fact.concepts:
        return 2
    if (wanted == AGE and _tells_an_age(fact)) or (wanted == WORK and _names_a_trade(fact)):
        return 2
    goes_with = {
        FAVORITE: LIKE in fact.concepts and not fact.subject,
        LIKE: FAVORITE in fact.concepts,
        FROM: "born" in fact.low,
        WANT: "going to" in " ".join(fact.low),
        # "my sister is Anna"
        NAME: bool(fact.own_name or (fact.subject and re.search(r" (?:is|are) [A-Z]", fact.text))),
    }
    return 1 if goes_with.get(wanted) or wanted in _named_kinds(fact) else 0


def _same_owner(question: Question, fact: Fact) -> bool:
    if fact.low and fact.low[0] in ("he", "she", "they", "it", "his", "her", "their", "its"):
        return False
    if not fact.owners <= question.wanted:
        return False
    subject = frozenset(map(concept, fact.subject)) | _kinds_of_subject(fact)
    if subject and not subject & question.wanted and question.ask != "topic":
        return False
    return all(_is_own(attribute, question.wanted, fact) for attribute in question.about_self)


def _is_own(attribute: str, wanted: frozenset[str], fact: Fact) -> bool:
    """Whether this fact is about the speaker's own name, age, home or work, not somebody else's."""
    if fact.subject:
        return _is_own_subject(attribute, [word for word in fact.subject if word != "'s"])
    text = " ".join(fact.low)
    own = {
        NAME: bool(re.match(r"(everyone |people |they )?calls? me\b|i (am called|go by)\b", text) or fact.own_name),
        AGE: fact.main == AGE or bool(re.match(r"i (am|just turned|turned|will be|was)\b", text)),
        WORK: fact.main == WORK or _names_a_trade(fact) or (fact.main in _LIGHT and "job" in fact.low),
        FROM: fact.main in (FROM, concept("come"), concept("born")),
        LIVE: fact.main == LIVE,
    }
    # "where do I want to live": what is asked for is the wish
    return (own[attribute] and (fact.is_mine or attribute == NAME)) or fact.main in wanted - _SELF


def _is_own_subject(attribute: str, subject: Sequence[str]) -> bool:
    if attribute == NAME:  # "my cat name" is not mine
        return all(concept(word) == NAME or word in _MODIFIERS_OF_NAME | {"last", "middle"} for word in subject)
    return attribute in map(concept, subject) and "email" not in subject


def _closeness(question: Question, fact: Fact) -> int:
    """1 for "my dentist appointment" when any appointment is asked for."""
    extra = frozenset(map(concept, fact.subject)) - question.wanted - {"'s"}
    return 1 if extra else 2


def _taken_back(fact: Fact, later: Sequence[Fact]) -> bool:
    """Whether a later "I no longer ..." says that this is not so any more."""
    told = frozenset(map(concept, fact.low)) - frozenset(map(concept, _EMPTY))
    return not fact.is_negative and any(other.is_negative and told <= other.concepts for other in later)


def _names_a_place(question: Question, fact: Fact) -> bool:
    if not _NAMED_PLACES.isdisjoint(fact.subject) and not english.BE.isdisjoint(fact.low):
        return True
    prepositions = _TO_A_PLACE | {"for"} if WORK in question.wanted else _TO_A_PLACE
    for word, after in zip(fact.low, [*fact.low[1:], ""], strict=True):
        if word in prepositions and after and after not in _TIME_WORDS and not after[0].isdigit():
            return True
    return not _HERE.isdisjoint(fact.low[1:])


def _names_a_time(fact: Fact) -> bool:
    return any(word in _TIME_WORDS or word.removesuffix("s") in _TIME_WORDS or word[0].isdigit() for word in fact.low)


_AGE_TOLD = re.compile(
    r"\b(am|is|are|turned|turn|be|'s)( \w+ly| just| now| about| almost)? 9( 9)?( years?\b| now$| today$|$)"
    r"|\b9 years? old|\bage is"
)


def _tells_an_age(fact: Fact) -> bool:
    return bool(_AGE_TOLD.search(" ".join("9" if word in _NUMBERS or word.isdigit() else word for word in fact.low)))


def _names_a_trade(fact: Fact) -> bool:
    match = re.match(r"(?:i am|i became|my \w+ is)(?: now| also)? (?:a|an) (.+)", " ".join(fact.low))
    if not match:
        return False
    noun = re.split(rf"\b(?:{'|'.join(PREPOSITIONS)}|and|who|that|now)\b", match[1])[0].split()
    return bool(noun) and names_a_trade(noun[-1])


def _named_kinds(fact: Fact) -> frozenset[str]:
    """The kinds of what the fact ends in or goes on to name: "I have two dogs", "I have a cat called Tilda"."""
    found = set(_kinds_of_subject(fact))
    for word, after in zip(fact.low, [*fact.low[1:], ""], strict=True):
        if not after or after in PREPOSITIONS or after in _AFTER_A_THING or concept(after) == NAME:
            found |= kinds_of(word)
    return frozenset(found)


def _kinds_of_subject(fact: Fact) -> frozenset[str]:
    return kinds_of(fact.subject[0]) if len(fact.subject) == 1 else frozenset()


_AFTER_A_THING = frozenset("and or most best but very every".split())


def own_words_for(question: Question, found: Sequence[Found]) -> list[Fact]:
    """The facts to say: all that one likes or has, if that is asked, and otherwise the latest only."""
    if question.wanted <= {LIKE, "have", "hate", "pet", "allergy"} or question.ask == "topic":
        return [hit.fact for hit in found]
    return [found[-1].fact] if found else []
