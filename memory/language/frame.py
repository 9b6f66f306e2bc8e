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
_ASKED = (
    r"^(?:(?:please|can you|could you|would you|will you|(?:can|could|shall) we|you|now|so|ok|okay|well|and|then|hey|hi"
    r"|hello|just|let us|how about we|i (?:want|need|would like)(?: you)? to|we are going to|help me(?: to)?) )*"
)
_I = r"\b(?:i|my|we|our|call me)\b"
_PERSON = (
    rf"(?:him|her|them|(?:\w+ ){{0,2}}(?:someone|somebody|{'|'.join((*ONE_OF_EACH, *MANY_OF_EACH, *SAME_RELATIVE))}))"
)
_PLAY = r"(?:role-? ?play\w*|game|scene|scenario|skit|sketch|improv\w*|theat(?:re|er)|drama|interview|simulation)"
_TEXT = (
    r"(?:letter|email|message|bio|profile|speech|cv|resume|introduction|post|essay|article|script|ad|text|note|lyrics"
    r"|sentences?|paragraph|lines?|phrase|grammar|spelling|words|dialogue|story|novel|book|chapter|film|movie)"
)

_PLAY_BEGINS = re.compile(
    rf"{_ASKED}(?:pretend|role-? ?play|act out|improvise|simulate|rehearse|imagine (?:that )?you are|be (?:the|my)(?! "
    r"friend)|play (?:the (?:role|part)|doctors?|teachers?|pirates?|knights?|detectives?|shop|house|school)|(?:act"
    r"|speak|talk|answer|behave) (?:as|like) (?:if you|an?|my|the)|(?:do|have|try|start|practi[cs]e) (?:(?:an?|some"
    rf"|the|my|mock|job) )*{_PLAY}|you (?:are|be|play) (?:an?|the|my) (?!(?:great|good|nice|real|big|best)\b).* i (?:am"
    rf"|be|play|will be) (?:an?|the))\b|^(?:\w+ )?(?:in|for|during) (?:the|this|our|my|a) {_PLAY} (?:\w+ )?(?:i (?:am"
    r"|live|work)|my name|call me)\b|^(?:\w+ )?role-? ?play(?! (?:is|are|was|were|games?|can|has|helps)\b)|^(?:\w+ "
    r")?(?:scenario|in character|as (?:my|a|the) character)\b|\bi will (?:play|be) the\b"
)
_PLAY_ENDS = re.compile(
    rf"\b(?:end|stop|finish|quit|leave|exit|drop|enough|done|no more)\b(?: \w+){{0,3}} (?:{_PLAY}|story|pretending"
    rf"|acting|character)\b|\b(?:{_PLAY}|story) (?:is |has |was )?(?:over|ended|ends|done|finished)\b"
    r"|\bback to (?:me|us|reality|real life|normal|business|being)\b|\b(?:let us stop|stop (?:it|this|that|here))\b"
    r"|\b(?:me|myself) again$|^(?:that is )?(?:enough|cut|stop|the end|curtain)$"
)
_ASIDE = re.compile(
    r"\b(?:in (?:real life|reality|truth)|for real|out of character|the truth is|as myself|my real)\b|^seriously\b"
)
# It is somebody else's text, or they speak for somebody: here, or what they say next.
_TEXT_COMES = re.compile(
    rf"{_ASKED}(?:translate|proof-?read|spell-? ?check|rephrase|reword|rewrite|paraphrase|shorten|summari[sz]e"
    r"|transcribe|recite|quote|repeat after|take (?:a )?(?:dictation|note|this|that)|(?:correct|fix|check(?! out)|edit"
    rf"|improve|polish|read|type|repeat|format|copy|dictate|draft|compose|write) (?:\w+ ){{0,4}}(?:this|these|following"
    rf"|{_TEXT}))\b|\bto translate\b|\b(?:say|put|turn|need|want) (?:this|that|it|these) (?:in|into|to)\b"
    rf"|(?<=us )play\b|\bplaying an?\b|\b(?:(?:got|found) this|here (?:is|are) (?:the|my|an?|what)) (?:\w+ )?(?:{_TEXT}"
    r"|wrote|said|says)\b|\bread(?:ing)? (?:you|out|aloud|from|to you)\b|\bis (?:this|it|that) (?:correct|right|good"
    r"|proper)\b|(?<!\bi )\b(?:wants?|wanted|asks?|asked|told) (?:me )?to (?:type|write|say|send|pass|read|dictate"
    r"|tell|ask|talk|speak|introduce) (?:this|these|that|it|you|to|with|on|the following|something|herself|himself)\b"
    rf"|\b(?:typ|writ|speak|talk|ask|call|dictat|interpret|translat)ing (?:\w+ ){{0,2}}(?:for {_PERSON}|instead of)\b"
    r"|\bmy \w+ is (?:speaking|talking|typing)\b|\b(?:on behalf of|through me|instead of me|not me)\b|\bhelping (?:him"
    r"|her|them|my \w+) (?:to )?(?:use|type|talk)\b|\b(?:he|she|they) can not (?:type|speak|talk|write)\b"
)
# It is made up, from here on.
_FICTION = re.compile(
    rf"{_ASKED}(?:suppos(?:e|ing)|assum(?:e|ing)|imagine|say {_I}|what if|hypothetically|in theory|dear|once upon a "
    r"time|to whom it may concern|for the sake of argument|knock knock|this is (?:just )?a test|how (?:\w+ )+(?:say"
    rf"|write|put))\b|^(?:\w+ )?(?:in|for|during) (?!(?:real|fact|truth|reality)\b)(?:\w+ ){{1,4}}?(?:i (?:am|live"
    rf"|work)|my name|call me)\b|\bin it {_I}|\b{_TEXT} (?:says?|said|reads?|goes|starts|begins)\b|\bfor "
    r"example\b(?!\.)|\bas (?:if|though) i\b|\b(?:character|avatar|hero|heroine|protagonist|narrator|alter ego"
    r"|persona)(?:s name)? is\b"
)
_SENTENCE = re.compile(
    r"\b(?:am|are|as) (?:basically|practically|virtually|kind of|sort of|pretty much|more or less|a bit of|such)\b"
    r"|\b(?:so to speak|in a way|figuratively|in spirit|at heart|when it comes to|as good as|feels? like)\b|^(?:\w+ "
    r")?(?:if|when|whenever|unless|until|once|as soon as|maybe|perhaps|before|in case)\b|\b(?:he|she|they) (?:says?"
    r"|said|goes)$|\bas (?:he|she|they) says?$|(?:(?<!\bi )(?<!\bi have )\b(?:says?|said|sings?|thinks?|thought"
    r"|believe[sd]?|claim(?:s|ed)|writes?|wrote|assumes?|heard|goes|went|(?:was|were|is) like|song|poem|proverb)"
    rf"|\b(?:told|tells?) (?!you\b)\w+|\b(?:dream\w*|pretend\w*|wish(?:es)?|joked|lied?))(?: \w+){{0,3}}? {_I}"
)
_JOKE = re.compile(
    r"(?<!not )(?<!no )\b(?:kidding|joking)\b(?! aside)|\bjust a joke\b|\b(?:lol|(?:ha ?)+ha\w*|lmao|rofl)\b"
)
_TAKES_BACK = len("i was just")  # a joke that begins so early was the one before
_QUOTED = re.compile(
    r"(?i)[\"“”„«»][^\"“”„«»]*\b(?:i|i'm|my|we|our|call me)\b|(?<!\w)['‘](?:i|i'm|my|we|our|call me)\b.*['’](?!\w)"
)
# What comes after a colon is a text, unless it was announced as one's own: "About me: I live in Rome".
_COLON = re.compile(
    r"(?i)^(?!.*\b(?:me|myself|i|news|facts?|record|update|note|remember|information|reminder|correction|answer|way"
    r"|thing)\b.*[:：])[^:：]*\w[^:：]*[:：]\s*[\"'“‘]?(?:i|i'm|my|we|our|call me)\b"
)
_TEXT_IS_HERE = re.compile(r"[:：]\s*\w+\W+\w")  # "Translate: ich heiße Jo"
_QUOTATION_MARK = re.compile('["“”„«»]')
_PASTED = re.compile(
    r"(?im)^[ \t]*(?:from|to|subject|sent|date|cc|re|fwd?)[ \t]*:.*\n|^[ \t]*>|\bwrote:[ \t]*$|^[ \t]*sent from my\b"
    r"|(?:^|[.!?,]\s+)(?:(?:(?:best|kind|warm) )?(?:regards|wishes)|(?:yours )?(?:sincerely|truly|faithfully)|best"
    r"|cheers),\s*\w+(?: \w+)?\W*\Z|(?:^(?:\[[\d: ]+\] ?)?\w{1,20}(?: \w+)?:[ \t]+\S.*(?:\n|\Z)){2}"
)


def own_words(turn: str, sentences: Sequence[str], frame: Frame) -> tuple[list[bool], Frame]:
    """Of each sentence of the turn whether the person speaks of themselves in it; and the frame of the next turn."""
    playing, not_own = frame.playing, frame.others_text or bool(_PASTED.search(turn))
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
        text_comes = mark is not None and not (re.search(_I, form[mark.end() :]) or _TEXT_IS_HERE.search(sentence))
        not_own = not_own or bool(mark or _FICTION.search(form) or _COLON.search(sentence))
        if joke:
            own = [False] * len(own)
        unsure = not_own or in_quotation or _SENTENCE.search(form) or _QUOTED.search(sentence)
        is_joke = joke and joke.start() > _TAKES_BACK  # else it takes back what was said before
        own.append(not ((playing and not aside) or unsure or is_joke))
        in_quotation ^= len(_QUOTATION_MARK.findall(whole)) % 2 == 1
    return own, Frame(playing, text_comes)
