"""Embeddings without a model: words and their three-letter pieces, hashed. Same text, same vector, on any machine."""

from __future__ import annotations

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

# They say little about what a text is about.
_COMMON = frozenset(
    "a an the is are was were am be i me my we our you your it this that of to in on at for and or what which who "
    "where when how do does did".split()
)


def embed(text: str, dimensions: int) -> NDArray[np.float32]:
    """A unit vector; texts that share words, or parts of words, point the same way."""
    vector = np.zeros(dimensions)
    for word in re.findall(r"\w+", text.lower()) or [text]:
        weight = 0.25 if word in _COMMON else 1.0
        _add(vector, word, weight)
        padded = f"#{word}#"
        for start in range(len(padded) - 2):
            _add(vector, padded[start : start + 3], weight / 2)
    length = float(np.linalg.norm(vector))
    return (vector / length if length else vector).astype(np.float32)


def _add(vector: NDArray[np.float64], piece: str, weight: float) -> None:
    number = int.from_bytes(hashlib.blake2b(piece.encode(), digest_size=8).digest(), "big")
    vector[number % len(vector)] += weight if number >> 63 else -weight
