"""What the agent said, heard in a recording of its voice: for tests of the whole spoken loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from offline.speech.ear import Ear, plain_words, read_audio


def heard_sentence(audio: Path | bytes, candidates: Sequence[str]) -> str:
    """Which of these sentences, word by word, is spoken in this recording; "" if none is.

    `audio` is a file, or its bytes, in any format. The candidates are all that may be heard, so name every reply
    that would be wrong as well. Blocks for about 0.1 s per second of speech, and 0.5 s for a new set of candidates.
    Raises `ValueError` for words that are not in the recogniser's dictionary.
    """
    data = audio if isinstance(audio, bytes) else audio.read_bytes()
    heard = _ear(tuple(candidates)).hear_now(read_audio(data))
    return next((candidate for candidate in candidates if plain_words(candidate) == heard), "")


def heard_words(audio: Path | bytes, candidates: Sequence[str], sentence: str = "Your favorite color is {}.") -> str:
    """Which candidate is spoken in the place of `{}`; "" if the sentence is another.

    "I don't know your favorite color yet." and its like belong to the sentences that may be heard.
    """
    filled = {sentence.format(candidate): candidate for candidate in candidates}
    others = (
        "I don't know your favorite color yet.",
        "Got it, your favorite color is blue.",
        "I don't know your name yet.",
    )
    return filled.get(heard_sentence(audio, [*filled, *others]), "")


@cache
def _ear(sentences: tuple[str, ...]) -> Ear:
    return Ear(sentences, size=1)
