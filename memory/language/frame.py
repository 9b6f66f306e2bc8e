"""Whose words are these: does the person speak about themselves here? The one place that decides it; in English.

What is said in a role play, a story, a text to be translated, a quotation, a supposition or a joke, or for somebody
else, is kept, and names no fact: to name too little costs a name, to name too much destroys a truth. Each mark tells
how far it reaches: over its sentence, over the rest of the utterance, over the next one too where the text is still to
come, or, in a role play, over all until it ends. `Frame` carries that from one utterance to the next.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memory.language.normal_form import plain
from memory.language.plausible import MANY_OF_EACH, ONE_OF_EACH


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
    r"^(?:(?:please|can|could|would|will|you|now|so|ok|okay|well|and|then|hey|hi|hello|just|quickly|let us"
    r"|i (?:want|need|would like) you to|help me(?: to)?) )*"
)
_LETS = r"\b(?:let us|shall we|can we|could we|how about we|i want to|i would like to|we are going to) "
_I = r"(?:i|my|we|our|call me)\b"
_PLAY = r"(?:role-? ?play(?:s|ing)?|game|scene|scenario|skit|sketch|simulation|campaign|improv\w*|adventure|play)"
_STORY = r"(?:story|stories|novel|book|chapter|dreams?|film|movie|script|poem|song|comic|(?:fairy )?tale|fantasy|head)"
_LETTER = r"(?:letter|email|message|bio|profile|speech|cv|resume|story|introduction|post|essay|article|script|ad)"
_TEXT = (
    rf"(?:{_LETTER}|this|these|following|text|note|sentences?|paragraph|poem|song|lyrics|lines?|phrase|grammar"
    r"|spelling|words|dialogue)"
)
_PERSON = rf"(?:\w+ ){{0,2}}(?:{'|'.join((*ONE_OF_EACH, *MANY_OF_EACH, 'mom', 'mum', 'dad', 'client', 'patient'))})"

_PLAY_BEGINS = re.compile(
    rf"{_ASKED}(?:pretend\b|be (?:the|my)\b(?! friend)|imagine (?:that )?you are (?:an?|the|my)\b"
    r"|play the (?:role|part)\b|(?:act|speak|talk|answer|behave) (?:as|like) (?:if you|an?|my|the)\b"
    r"|you (?:are|will be|be|play) (?:an?|the|my) (?!(?:great|good|nice|real|big|best)\b).* i (?:am|will be|play)"
    r" (?:an?|the|your)\b)"
    rf"|{_LETS}(?:\w+ ){{1,3}}(?:role-? ?play\w*|make-? ?believe|roles)|{_LETS}(?:(?:pretend|role-? ?play)\b|act out"
    r"|improvise|simulate|play (?:doctor|teacher|pirate|knight|detective|shop|house)|(?:make up"
    r"|write) (?:\w+ ){1,3}together"
    r"|(?:do|practi[cs]e|rehearse|have|run) (?:(?:an?|the|my|some|mock|job) )*(?:interview|scene|sketch|skit|improv"
    r"|theat(?:re|er)|drama))"
    rf"|^(?:\w+ )?(?:in|for|during) (?:the|this|our|my|a) {_PLAY} (?:\w+ )?(?:i (?:am|live|work)|my name|call me)\b"
    rf"|^(?:\w+ )?(?:in (?:the|this|our|my|a) )?role-? ?play(?! (?:is|are|was|were|games?|can|has|helps)\b)"
    r"|^(?:\w+ )?(?:scenario|in character|as (?:my|a|the) character)\b|\bi will (?:play|be) the (?:role|part)\b"
)
_LETS_PLAY = re.compile(rf"{_LETS}play\b")
_ROLES = re.compile(r"\b(?:you|i) (?:are|am|will be|be|play|will play) (?:now )?(?:an?|the)\b")
_PLAY_ENDS = re.compile(
    rf"\b(?:end|stop|finish|quit|leave|exit|drop|enough|done|no more)\b(?: \w+){{0,3}} (?:{_PLAY}|story|playing"
    r"|pretending|acting|act|character|interview|games)\b"
    rf"|\b(?:{_PLAY}|story|interview|pretending|acting) (?:is |has |was )?(?:over|ended|ends|done|finished)\b"
    r"|\bback to (?:me|us|reality|real life|normal|myself|being (?:me|myself)|the real world|business|ourselves)\b"
    r"|\b(?:joking|kidding|jokes?) aside\b|\blet us stop\b|\bstop (?:it|this|that|here)\b|\b(?:me|myself) again$"
    r"|^(?:that is )?(?:enough|cut|stop|the end|curtain)$"
)
_ASIDE = re.compile(
    r"\b(?:in (?:real life|reality|truth)|for real|out of character|the truth is|as myself|my real)\b"
    r"|^(?:\w+ )?seriously\b"
)
_TEXT_COMES = re.compile(
    rf"{_ASKED}(?:translate|proof-?read|spell-? ?check|rephrase|reword|rewrite|paraphrase|shorten|summari[sz]e"
    rf"|transcribe"
    r"|repeat after|take (?:a )?dictation|take (?:this|that|a note) down|put (?:\w+ ){1,2}into"
    rf"|(?:correct|fix|check(?! out)|edit|improve|polish|read|type|repeat|format|copy"
    rf"|dictate) (?:\w+ ){{0,3}}{_TEXT})\b"
    r"|\b(?:need|have|you) to translate\b|^(?:übersetz|traduis|traduce|traduci|traduz|vertaal|przetłumacz|переведи)"
    rf"|翻译|翻訳|\bhere (?:is|are) (?:the|my|an?|what|his|her) (?:\w+ ){{0,3}}(?:{_TEXT}|wrote|said|says)\b"
    rf"|\bi (?:got|received|found) this {_TEXT}\b|\b(?:asks?|asked|told|wants?|wanted) me to (?:type|write|say|send"
    r"|enter|pass|read|dictate|tell|ask) (?:this|these|that|it|you|on|for|the following)\b"
    r"|\b(?:typing|writing|speaking|talking|asking|calling|dictating|interpreting|translating)(?: \w+){0,2}"
    rf" (?:for (?:him|her|them|someone|somebody|{_PERSON})|instead of|in place of)\b|\bon behalf of\b"
    rf"|\b(?:he|she|they|{_PERSON}) (?:wants|would like|wanted) (?:me )?to (?:say|introduce|type|take over"
    rf"|(?:tell|ask|talk to|speak to|speak with) you)\b|\bmy {_PERSON} is (?:speaking|talking|typing|taking over)\b"
    r"|\bin (?:his|her|their) (?:own )?words\b|\b(?:through|instead of) me\b|\bnot me\b|\bhelping (?:him|her|them"
    r"|my \w+) (?:to )?(?:use|type|talk)\b|\b(?:he|she|they) can not (?:type|speak|talk|see|write|read)\b"
    r"|\b(?:rehearse|recite)\b|^quote\b"
    r"|\bread(?:ing)? (?:you|out|aloud|from|to you)\b|\bis (?:this|it|that) (?:correct|right|good|proper)\b"
    r"|\b(?:this|that|it|these) (?:\w+ )?(?:in|into|to) (?:german|french|spanish|italian|english|dutch|portuguese"
    r"|russian|polish|turkish|greek|arabic|hindi|chinese|japanese|korean|latin)\b"
)
_TEXT_IS_HERE = re.compile(r"(?i)[:：]\s*\w+\W+\w|\b(?:that|as) (?:i|my|we|our)\b")  # "Translate: I live in Rome"
_REST = re.compile(
    rf"{_ASKED}(?:suppos(?:e|ing)|assum(?:e|ing)|imagine|say (?:that )?{_I}|what if|hypothetically|in theory|dear \w+"
    rf"|to whom it may concern|for the sake of argument|knock knock|(?:draft|compose|write)\b.* {_LETTER}\b)"
    rf"|\bonce upon a time\b|\bthis is (?:just )?a test\b"
    r"|\bhow (?:to|do|would|can|should) (?:(?:you|i|we|one) )?(?:say|write|translate|put)\b|\bin it (?:i|my)\b"
    rf"|\b(?:in|for|from) (?:my|the|this|that|a|our|his|her) (?:\w+ )?{_STORY}\b|\bfor (?:example|instance)\b(?!\.)"
    rf"|\b(?:{_TEXT}|{_STORY}) (?:says?|said|reads?|goes|sings?|starts|begins)\b|\bas (?:if|though) i\b"
    rf"|\bin (?:minecraft|roblox|fortnite|skyrim|the sims|second life)\b"
    r"|\b(?:my|the) (?:\w+ )?(?:character|avatar|hero|heroine|protagonist|narrator|alter ego|persona)(?:s name)? is\b"
)
_SENTENCE = re.compile(
    r"\b(?:am|are|as) (?:basically|practically|virtually|kind of|sort of|pretty much|more or less|a bit of|such)\b"
    r"|\b(?:so to speak|in a way|figuratively|in spirit|at heart|when it comes to|as good as|feels? like)\b"
    r"|^(?:\w+ )?(?:if|when|whenever|unless|until|once|as soon as|maybe|perhaps|before|in case)\b"
    r"|\b(?:he|she|they) (?:says?|said|goes)$|\bas (?:they|he|she) says?$"
    rf"|{_ASKED}(?:write|draft|compose|say|sing|reply|answer|(?:tell|text|send|email) (?:him|her|them|my \w+))\b"
    r"|(?:(?<!\bi )(?<!\bi have )\b(?:says?|said|thinks?|thought|believe[sd]?|claim(?:s|ed)|wrote|assumes?|heard|goes"
    r"|went|(?:was|were|is) like|song|poem|proverb)|\b(?:told|tells?) (?!you\b)\w+|\b(?:dream\w*|pretend\w*|wish(?:es)?"
    rf"|joked|lied?))(?: \w+){{0,2}}? {_I}"
)
_JOKE = re.compile(r"(?<!not )(?<!no )\b(?:kidding|joking)\b(?! aside)|\bjust a joke\b|\b(?:lol|haha\w*|lmao|rofl)\b")
_TAKES_BACK = len("i was just")  # a joke that begins so early was the one before
_QUOTED = re.compile(
    r"(?i)[\"“”„«»][^\"“”„«»]*\b(?:i|i'm|my|we|our|call me)\b|(?<!\w)['‘](?:i|i'm|my|we|our|call me)\b.*['’](?!\w)"
    r"|\b(?:says?|said|saying|told (?:me|us|him|her|them)|wrote|writes|replied|goes|sings?|reads?|asked) ?[:：]"
)
# What comes after a colon is a text, unless it was announced as one's own: "About me: I live in Rome".
_COLON = re.compile(
    r"(?i)^(?!.*\b(?:me|myself|i|news|facts?|record|update|note|remember|information|reminder|correction|answer|way"
    r"|thing)\b.*[:：])[^:：]*\w[^:：]*[:：]\s*[\"'“‘]?(?:i|i'm|my|we|our|call me)\b"
)
_QUOTATION_MARK = re.compile('["“”„«»]')
_PASTED = re.compile(
    r"(?im)^[ \t]*(?:from|to|subject|sent|date|cc|re|fwd?)[ \t]*:.*\n|^[ \t]*>|\bwrote:[ \t]*$|^[ \t]*sent from my\b"
    r"|\b(?:forwarded|original) message\b|^[ \t]*(?:hi|hey|hello) (?!rapport)\w+,[ \t]*\n"
    r"|(?:^|[.!?,]\s+)(?:(?:(?:best|kind|warm) )?(?:regards|wishes)|(?:yours )?(?:sincerely|truly|faithfully)|best"
    r"|cheers),\s*\w+(?: \w+)?\W*\Z|(?:^(?:\[[\d: ]+\] ?)?\w{1,20}(?: \w+)?:[ \t]+\S.*(?:\n|\Z)){2}"
)


def own_words(turn: str, sentences: Sequence[str], frame: Frame) -> tuple[list[bool], Frame]:
    """Of each sentence of the turn whether the person speaks of themselves in it; and the frame of the next turn."""
    forms = [plain(sentence[:_READ]) for sentence in sentences]
    playing, rest = frame.playing, frame.others_text or bool(_PASTED.search(turn))
    aside = quoting = text_comes = False
    own: list[bool] = []
    for sentence, form in zip(sentences, forms, strict=True):
        if _PLAY_ENDS.search(form):
            playing = False
        elif _PLAY_BEGINS.search(form) or (_LETS_PLAY.search(form) and _ROLES.search(" ".join(forms)[:_READ])):
            playing, aside = True, False
        text_comes = bool(_TEXT_COMES.search(form))
        rest = rest or text_comes or bool(_REST.search(form) or _COLON.search(sentence[:_READ].replace("’", "'")))
        aside = aside or bool(_ASIDE.search(form))
        joke = _JOKE.search(form)
        if joke:
            own = [False] * len(own)
        is_joke = joke is not None and joke.start() > _TAKES_BACK  # else it takes back what was said before
        marked = _SENTENCE.search(form) or _QUOTED.search(sentence[:_READ].replace("’", "'"))
        own.append(not ((playing and not aside) or rest or quoting or marked or is_joke))
        quoting ^= len(_QUOTATION_MARK.findall(sentence)) % 2 == 1
    return own, Frame(playing, text_comes and not _TEXT_IS_HERE.search(sentences[-1]))
