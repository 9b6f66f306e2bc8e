"""Whose words are these: does the person speak about themselves here? The one place that decides it; in English.

What is said in a role play, a story, a text to be translated, a quotation, a supposition or a joke, or for somebody
else, is kept, and names no fact: to name too little costs a name, to name too much destroys a truth. Each mark tells
how far it reaches: over its sentence; over the rest of the utterance, or the next one where nothing follows it; or, in
a role play, over all until it ends. `Frame` carries that from one utterance to the next.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memory.language.normal_form import plain
from memory.language.plausible import MANY_OF_EACH, ONE_OF_EACH, SAME_RELATIVE
from memory.language.words import one_of


@dataclass(frozen=True, slots=True)
class Frame:
    """How the next utterance is to be taken."""

    playing: bool = False
    """A role play goes on."""
    others_text: bool = False
    """The text is to come that shall be translated, or that somebody else has them say."""
    asked_name: bool = False
    """The agent has just asked what it may call them."""


# Searched in plain forms, but for `_QUOTED`, `_COLON` and `_PASTED`; in the first characters of a sentence.
_READ = 1000
_ASKED = rf"^(?:{one_of('polite')} )*"
_I = r"\b(?:i|my|we|our|call me)\b"
_PERSONS = "|".join({"someone", "somebody", "client", "patient"}.union(ONE_OF_EACH, MANY_OF_EACH, SAME_RELATIVE))
_PERSON = rf"(?:him|her|them|(?:\w+ ){{0,2}}(?:{_PERSONS}))"
_SELF = r"(?:i (?:am|live|work)|my name|call me)\b"
_PLAY, _TEXT = one_of("play"), one_of("text")

_PLAY_BEGINS = re.compile(
    rf"{_ASKED}(?:{one_of('play_begins')}|be my (?!friend)|(?:act|talk|answer|behave)(?: to me)? (?:as|like)"
    rf" (?:if|an?|my|the)|(?:do|have|try|start|practi[cs]e) (?:(?:an?|some|the|my|mock|job) )*{_PLAY}"
    rf"|you (?:are|be|play) (?:an?|the|my) (?!{one_of('praise')}\b).* i (?:am|be|play|will be) (?:an?|the|your))\b"
    rf"|^(?:\w+ )?(?:in|for|during) (?:the|this|our|my|a) {_PLAY} (?:\w+ )?{_SELF}|\bi will (?:play|be) the\b"
    rf"|^(?:\w+ )?(?:{one_of('in_play')}|role[- ]?play(?! (?:is|are|was|were|games?|can|has|helps)\b))\b"
)
_LETS_PLAY = re.compile(r"\blet us play\b.*\b(?:you|i) (?:are|am|be|will be|play) (?:now )?(?:an?|the)\b")
_PLAY_ENDS = re.compile(
    rf"\b(?:end|stop|finish|quit|leave|exit|drop|enough|done|no more)\b(?: \w+){{0,3}} (?:{_PLAY}|story|pretending)\b"
    rf"|\b(?:{_PLAY}|story) (?:is |has |was )?(?:over|ended|ends|done|finished)\b|\b{one_of('play_ends')}\b"
    r"|\b(?:me|myself) again$|^(?:that is )?(?:enough|cut|stop|the end|curtain)$"
)
_ASIDE = re.compile(rf"\b{one_of('aside')}\b|^seriously\b")
# It is somebody else's text, or they speak for somebody: here, or in what they say next.
_TEXT_COMES = re.compile(
    rf"{_ASKED}(?:{one_of('treat')}|{one_of('treat_text')} (?!out)(?:\w+ ){{0,4}}{_TEXT})\b"
    rf"|\b{one_of('for_somebody')}\b|(?<=us )play\b|\bplaying an?\b|\bis (?:this|it|that) (?:correct|right|good)\b"
    rf"|\b(?:(?:got|found) this|here (?:is|are) (?:the|my|an?|what)) (?:\w+ )?(?:{_TEXT}|poem|song|wrote|said|says)\b"
    r"|\b(?:say|put|turn|need|want) (?:this|that|it|these) (?:in|into|to)\b"
    r"|(?<!\bi )\b(?:wants?|wanted|would like|asks?|asked|told) (?:me )?to (?:type|write|say|send|pass|read|dictate"
    r"|tell|ask|talk|speak|introduce) (?:this|that|it|you|to|with|on|the following|something|herself|himself)\b"
    rf"|\b(?:typ|writ|speak|talk|ask|call|dictat|interpret|translat)ing (?:\w+ ){{0,2}}for {_PERSON}\b"
    rf"|\bmy \w+ is (?:speaking|talking|typing|taking over)\b|\bhelping {_PERSON} (?:to )?(?:use|type|talk)\b"
    r"|\b(?:he|she|they) can not (?:type|speak|talk|see|read|write)\b"
)
# It is made up, from here on.
_FICTION = re.compile(
    rf"{_ASKED}(?:{one_of('suppose')}|say {_I}|how (?:\w+ )+(?:say|write|put))\b|\b{one_of('made_up')}(?:s name)? is\b"
    rf"|^(?:\w+ )?(?:in|for|during) (?!(?:real|fact|truth|reality)\b)(?:\w+ ){{1,4}}?{_SELF}"
    rf"|\bin it {_I}|\b{_TEXT} (?:says?|said|reads?|goes|starts|begins)\b|\bfor example\b(?!\.)|\bas (?:if|though) i\b"
)
_SENTENCE = re.compile(
    rf"\b(?:am|are|as) {one_of('hedges')}\b|\b{one_of('figures')}\b|^(?:\w+ )?{one_of('conditions')}\b"
    rf"|(?<!\bi )\b(?:says?|said|goes)$|(?:(?<!\bi )(?<!\bi have )\b{one_of('others_say')}"
    rf"|\b(?:told|tells?) (?!you\b)\w+|\b(?:dream\w*|pretend\w*|wish(?:es)?|joked|lied?))(?: \w+){{0,3}}? {_I}"
)
_JOKE = re.compile(rf"(?<!not )(?<!no )\b(?:kidding|joking)\b(?! aside)|\b{one_of('jokes')}\b")
_TAKES_BACK = len("i was just")  # a joke that begins so early was the one before
_QUOTED = re.compile(rf"(?i)[\"“”„«»][^\"“”„«»]*{_I}|(?<!\w)['‘](?={_I}).*['’](?!\w)")
# What comes after a colon is a text, unless it was announced as one's own: "About me: I live in Rome".
_COLON = re.compile(rf"(?i)^(?!.*\b{one_of('own_news')}\b.*[:：])[^:：]*\w[^:：]*[:：]\s*[\"'“‘]?{_I}")
_TEXT_IS_HERE = re.compile(rf"(?i)[:：]\s*\w+\W+\w|\b(?:that|as) {_I}")  # "Translate: ich heiße Jo"
_QUOTATION_MARK = re.compile('["“”„«»]')
_PASTED = re.compile(
    r"(?im)^[ \t]*(?:from|to|subject|sent|date|cc|re|fwd?)[ \t]*:.*\n|^[ \t]*>|\bwrote:[ \t]*$|^[ \t]*sent from my\b"
    r"|(?:^|[.!?,]\s+)(?:(?:(?:best|kind|warm) )?(?:regards|wishes)|(?:yours )?(?:sincerely|truly|faithfully)|best"
    r"|cheers),\s*\w+(?: \w+)?\W*\Z|(?:^(?:\[[\d: ]+\] ?)?\w{1,20}(?: \w+)?:[ \t]+\S.*(?:\n|\Z)){2}"
)


def own_words(turn: str, sentences: Sequence[str], frame: Frame) -> tuple[list[bool], Frame]:
    """Of each sentence of the turn whether the person speaks of themselves in it; and the frame of the next turn."""
    playing = frame.playing or bool(_LETS_PLAY.search(plain(turn[:_READ])))
    not_own = frame.others_text or bool(_PASTED.search(turn))
    aside = in_quotation = text_comes = False
    own: list[bool] = []
    for whole in sentences:
        sentence = whole[:_READ].replace("’", "'")
        form = plain(sentence)
        if _PLAY_ENDS.search(form):
            playing = False
        elif _PLAY_BEGINS.search(form):
            playing, aside = True, False
        aside = aside or bool(_ASIDE.search(form))
        mark, joke = _TEXT_COMES.search(form), _JOKE.search(form)
        text_comes = mark is not None and not _TEXT_IS_HERE.search(sentence)
        not_own = not_own or bool(mark or _FICTION.search(form) or _COLON.search(sentence))
        if joke:
            own = [False] * len(own)
        unsure = not_own or in_quotation or _SENTENCE.search(form) or _QUOTED.search(sentence)
        is_joke = joke and joke.start() > _TAKES_BACK  # else it takes back what was said before
        own.append(not ((playing and not aside) or unsure or is_joke))
        in_quotation ^= len(_QUOTATION_MARK.findall(whole)) % 2 == 1
    return own, Frame(playing, text_comes)
