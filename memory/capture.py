"""Which of a person's words are worth keeping: statements about themselves, and nothing else.

Rules over English text as people type it or a recogniser writes it (no case, no punctuation). What they let through
is stored verbatim; what they miss, the model can still store by its `remember` tool.
"""

from __future__ import annotations

import re

MAX_STATEMENT_CHARACTERS = 1000

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_OPENER = re.compile(
    r"^(?:(?:well|so|and|but|oh|ah|um+|uh+|hmm+|ok|okay|yes|yeah|yep|no|nope|hey|hi|hello|actually|anyway|please|thanks"
    r"|thank you|by the way|you know|sure|right|also|then)\b[\s,;:-]*)+",
    re.IGNORECASE,
)
_ASKED_TO_REMEMBER = re.compile(
    r"^(?:can you |could you |would you )?(?:please )?(?:remember|note|keep in mind|do not forget|don't forget)"
    r"(?: that| this)?[\s,:]+",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"\?\s*$"
    r"|^(?:what|who|whom|whose|where|when|why|how|which)(?:'s|'re|'d)?\b(?! (?:i|we) (?:\w+ ){1,3}(?:is|are|was)\b)"
    r"|^(?:do|does|did|am|is|are|was|were|can|could|will|would|shall|should|may|might|must|have|has|had|isn't|aren't"
    r"|don't you|didn't|doesn't|can't you|won't you|haven't)\b",
    re.IGNORECASE,
)
_COMMAND = re.compile(
    r"^(?:tell|give|show|say|read|help|let|stop|wait|repeat|remind|forget|delete|erase|remove|connect|send|play|open"
    r"|find|look|explain|describe|talk|speak|listen|ignore|pretend|act|sing|write|make|set|start|end|hang|excuse|pardon"
    r"|never mind|don't remember|do not remember)\b",
    re.IGNORECASE,
)
# First person phrases that say nothing about the person.
_SMALL_TALK = re.compile(
    r"^(?:i (?:see|mean|know|think so|guess|guess so|hope so|understand|agree|suppose|suppose so|said|told you"
    r"|asked|don't know|do not know|don't think so|can't hear|cannot hear|didn't (?:say|mean|ask|get)|wonder"
    r"|have a question|want to (?:ask|talk|know)|would like to (?:ask|know|talk)|need (?:your )?help"
    r"|got it|forgot|can hear)"
    r"|i'd like to (?:ask|know|talk)"
    r"|i'm (?:good|fine|okay|ok|sorry|here|back|done|ready|not sure|well|listening|great)"
    r"|i am (?:good|fine|okay|ok|sorry|here|back|done|ready|not sure|well|listening|great)"
    r"|my (?:bad|pleasure|god|goodness)|oh my|let's|let us)\b",
    re.IGNORECASE,
)
# "i'm sorry" says nothing; "i'm well known in rome" does: small talk ends soon after it began.
_SMALL_TALK_MAX_WORDS = 6
_ABOUT_THE_SPEAKER = re.compile(
    r"\b(?:i|we)(?:'m|'ve|'d|'ll|'re)?\b"
    r"|^(?:my|our)\b|\b(?:and|but|because|that|so|,|since) (?:my|our)\b"
    r"|\b(?:is|are|was|were) (?:\w+ ){0,2}(?:my|mine|our|ours)\b"
    r"|\b(?:call|calls|called|named) me\b",
    re.IGNORECASE,
)


def statement_in(turn: str) -> str | None:
    """The part of a user turn that states something about the speaker, in their own words; None if nothing does.

    Questions, greetings, commands and fillers are left out, sentence by sentence.
    """
    kept = [sentence for sentence in map(_stated, _SENTENCE.findall(turn.replace("’", "'"))) if sentence]
    return " ".join(kept)[:MAX_STATEMENT_CHARACTERS] or None


def _stated(sentence: str) -> str | None:
    words = _OPENER.sub("", " ".join(sentence.split()))
    words, asked = _ASKED_TO_REMEMBER.subn("", words)
    words = _OPENER.sub("", words) if asked else words
    if asked and words.endswith("?"):
        words = words.rstrip("?")
    if not words or _QUESTION.search(words) or _COMMAND.match(words):
        return None
    if _SMALL_TALK.match(words) and len(words.split()) <= _SMALL_TALK_MAX_WORDS:
        return None
    return words if asked or _ABOUT_THE_SPEAKER.search(words) else None
