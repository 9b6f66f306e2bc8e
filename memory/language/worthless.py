"""Which sentences are surely not worth keeping: questions, greetings, fillers, orders to the agent, noise.

Whatever a person says is kept, in any language, unless it is one of these. A wrong keep costs a line that search ranks
low; a wrong drop loses their words. So a sentence is dropped by signs that hold in any language (a question mark, no
word at all, brackets round a recogniser's noise), and by short lists where they are sure. The English rules ask for
words in an order that no other language has.
"""

from __future__ import annotations

import re
import unicodedata

from memory.language.normal_form import NUMBERS, plain
from memory.language.words import WORDS, one_of

_WH = "what|who|whom|whose|where|when|why|how|which"
_DO = "do|does|did|am|are|was|were|have|has|had|can|could|will|would|shall|should|may|might|must"
_WE = "i|you|we|they|he|she|it|there"
_QUESTION = re.compile(
    r"(?i)[?？؟]\W*$|^\W*¿"
    # where no mark is needed: Japanese, Chinese, Korean
    r"|(?:です|ます|でした|ました)か\W*$|[吗嗎]\W*$|까\W*$"
    # English turns verb and subject round: "where do i live", and not "when i was a child we lived in rome". A
    # statement without its subject begins with a verb as well: "Had a bypass in May".
    rf"|^(?:what|who|where|when|why|how)(?:'s|'re|n't)?(?: (?:is|{_DO}|about)\b|(?<=['s]s) |(?<='re) )"
    rf"|^(?:{_WH})(?: [^\s,]+){{0,3}} (?:(?:{_DO}) (?:{_WE})|is (?:it|he|she|there))\b"
    rf"|^(?:is|{_DO})(?:n't)? (?:{_WE}|this)\b|^(?:do|does|is|are|can|could|will|would|should) (?:my|your|our)\b"
    r"|^can't you\b|\bwhat$"
)
_BEFORE_THE_QUESTION = re.compile(r"^(.*\S)\s*[,;،、，]")
_STATEMENT_BYTES = 18
"""As much as four short words, or six Chinese characters: a part of a sentence that is longer may say something."""

_ORDER = re.compile(
    rf"(?i)^(?:please )*(?:{one_of('forget')}\b|(?:tell|show|give|remind|teach) (?:me|us) {one_of('of_what')}\b"
    rf"|{one_of('order')}\b(?!.*(?:\b(?:i|we|my|our)\b|\d))(?: \S+){{0,5}}\W*$)"
)
_SMALL_TALK = re.compile(rf"(?:{one_of('small_talk')}|that sounds \w+)(?: {one_of('after_small_talk')})*")
_NOISE = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|[♪♫][^♪♫]*")
# Read out from a page, to be used once.
_CODE = re.compile(rf"(?i)(?:(?:\d|{'|'.join(list(NUMBERS)[:10])})[ .,-]*){{4}}")
_WORDS = re.compile(r"[^\s.,;:!?…·।。、，！؟،]+")


def is_question(sentence: str) -> bool:
    """Does the sentence ask, whether or not it ends with a question mark?"""
    return bool(_QUESTION.search(sentence))


def is_worthless(sentence: str) -> bool:
    """Is it surely nothing that the person would want to be remembered?"""
    said = unicodedata.normalize("NFC", _NOISE.sub("", sentence)).strip()
    return (
        not any(map(str.isalnum, said))
        or bool(_CODE.fullmatch(said))
        or WORDS["says_nothing"].issuperset(_WORDS.findall(said.casefold().replace("’", "'")))
        or bool(_ORDER.search(said) or _SMALL_TALK.fullmatch(plain(said)))
        or (is_question(said) and not _states_something_first(said))
    )


def _states_something_first(question: str) -> bool:
    """ "I'm allergic to nuts, is that a problem?" """
    before = _BEFORE_THE_QUESTION.search(question)
    return before is not None and len(before[1].encode()) >= _STATEMENT_BYTES and not is_question(before[1])
