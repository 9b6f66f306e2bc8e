"""Which memories matter for what was just said: BM25 over one person's few memories, in process, without I/O."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from memory.store import Memory

# Okapi BM25 with its usual constants (Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework").
_K1 = 1.2
_B = 0.75

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_STOP_WORDS = frozenset(
    "a about am an and are as at be been but by can could did do does for from had has have he her his how i i'd i'll "
    "i'm i've if in is it its just know me mine my of on or our ours she should so tell that the their them they this "
    "to told us was we were what what's when where which who whose why will with would you your user input".split()
)


def words(text: str) -> list[str]:
    """The content words of a text, lower case and without their commonest endings."""
    return [_stem(word) for word in _WORD.findall(text.lower().replace("_", " ")) if word not in _STOP_WORDS]


def rank(memories: Sequence[Memory], query: str) -> list[Memory]:
    """The memories that share a word with the query, best first; of equals the later said comes first."""
    documents = [Counter(words(f"{memory.key} {memory.value}")) for memory in memories]
    scores = _bm25(documents, set(words(query)))
    found = [(score, memory) for score, memory in zip(scores, memories, strict=True) if score > 0]
    return [memory for _, memory in sorted(found, key=lambda pair: (pair[0], pair[1].said_at), reverse=True)]


def _bm25(documents: list[Counter[str]], query: set[str]) -> list[float]:
    if not documents:
        return []
    average = sum(document.total() for document in documents) / len(documents) or 1.0
    frequency = {word: sum(word in document for document in documents) for word in query}
    rarity = {word: math.log(1 + (len(documents) - n + 0.5) / (n + 0.5)) for word, n in frequency.items() if n}
    return [
        sum(
            weight * document[word] * (_K1 + 1) / (document[word] + _K1 * (1 - _B + _B * document.total() / average))
            for word, weight in rarity.items()
        )
        for document in documents
    ]


def _stem(word: str) -> str:
    """Enough for "moved"/"move", "books"/"book", "reading"/"read"; a real stemmer gains nothing on so little text."""
    word = word.removesuffix("'s")
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
