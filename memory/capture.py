"""Which of a person's words are worth keeping: statements about themselves, and nothing else.

Rules over English text as people type it or a recogniser writes it (no case, no punctuation). What they let through
is stored verbatim; what they miss, the model can still store by its `remember` tool.
"""

from __future__ import annotations

import re

MAX_STATEMENT_CHARACTERS = 1000

# a dot ends a sentence only before a space: "3.50", "example.com"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
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
# A question turns verb and subject round, so "where do i live" is one, "when i was a child we lived in rome" is not.
_QUESTION = re.compile(
    r"\?\s*$"
    r"|^(?:what|who|whom|whose|where|when|why|how|which)\b(?! (?:i|we|my|our)\b)"
    r"|^(?:do|does|did|am|is|are|was|were|can|could|will|would|shall|should|may|might|must|have|has|had|isn't|aren't"
    r"|don't you|didn't|doesn't|can't you|won't you|haven't)\b",
    re.IGNORECASE,
)
# ... and one that is only quoted, "what i said", "why we are here", states nothing by itself; it needs a main clause.
_SUBORDINATE = re.compile(r"^(?:what|who|whom|whose|where|when|why|how|which)\b", re.IGNORECASE)
_MAIN_CLAUSE = re.compile(
    r"^\w+ (?:my|our|i|we)\b.+\b(?:i|we)\b|^\w+ (?:i|we) (?!am|are|was|were)\w+ .*\b(?:is|are|was|were) \w+",
    re.IGNORECASE,
)
_COMMAND = re.compile(
    r"^(?:tell|give|show|say|read|help|let|stop|wait|repeat|remind|forget|delete|erase|remove|connect|send|play|open"
    r"|find|look|explain|describe|talk|speak|listen|ignore|pretend|act|sing|write|make|set|start|end|hang|excuse|pardon"
    r"|never mind|don't remember|do not remember)\b",
    re.IGNORECASE,
)
# First person phrases that say nothing about the person: these whole (with a little after them), those however they go
# on. "i'm good" says nothing, "i'm good at chess" does.
_SMALL_TALK = re.compile(
    r"^(?:i (?:see|mean|know|think so|guess(?: so)?|hope so|understand|agree|suppose(?: so)?|forgot|beg your pardon"
    r"|don't know|do not know|don't think so|can't hear you|cannot hear you|can hear you|need (?:your )?help|got it)"
    r"|(?:i'm|i am) (?:good|fine|okay|ok|sorry|here|back|done|ready|not sure|well|listening|great|all right|alright)"
    r"|my (?:bad|pleasure|god|goodness)|(?:let's|let us) \w+)"
    r"(?:[ ,]+(?:thanks|thank you|now|too|then|today|really|that|it|you|yet|already|again|very|much|so|why))*[.!,\s]*$"
    r"|^(?:i (?:said|told you|asked|wonder|didn't (?:say|mean|ask|get)|have a question|want to (?:ask|talk|know)"
    r"|would like to (?:ask|know|talk)|(?:don't|do not) know (?:what|who|where|why|if|whether))"
    r"|i'd like to (?:ask|know|talk))\b",
    re.IGNORECASE,
)
_ABOUT_THE_SPEAKER = re.compile(
    r"\b(?:i|we)(?:'m|'ve|'d|'ll|'re)?\b"
    r"|^(?:my|our)\b|\b(?:and|but|because|that|so|,|since) (?:my|our)\b"
    r"|\b(?:is|are|was|were) (?:\w+ ){0,4}(?:my|mine|our|ours)\b|\bin my (?:opinion|view|experience)\b"
    r"|\b(?:call|calls|called|named) me\b",
    re.IGNORECASE,
)


def statement_in(turn: str) -> str | None:
    """The part of a user turn that states something about the speaker, in their own words; None if nothing does.

    Questions, greetings, commands and fillers are left out, sentence by sentence.
    """
    kept = [sentence for sentence in map(_stated, _SENTENCE_END.split(turn.replace("’", "'"))) if sentence]
    return " ".join(kept)[:MAX_STATEMENT_CHARACTERS] or None


def is_question(sentence: str) -> bool:
    """Does the sentence ask, whether or not it ends with a question mark?"""
    return bool(_QUESTION.search(sentence))


def _stated(sentence: str) -> str | None:
    words = _OPENER.sub("", " ".join(sentence.split()))
    words, asked = _ASKED_TO_REMEMBER.subn("", words)
    words = _OPENER.sub("", words) if asked else words
    if asked and words.endswith("?"):
        words = words.rstrip("?")
    if not words or is_question(words) or _COMMAND.match(words):
        return None
    if _SUBORDINATE.match(words) and not _MAIN_CLAUSE.match(words):
        return None
    if _SMALL_TALK.match(words):
        return None
    return words if asked or _ABOUT_THE_SPEAKER.search(words) else None
