"""Vectors of meaning beside the slots of a search index, and which of them are near a question's. No I/O."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""Of length 1, or all zeros where a text says nothing; several are the rows of one array."""


class Vectors:
    """At most one for each slot. Adding one and dropping one take microseconds, but for the rare growing."""

    def __init__(self) -> None:
        self._rows = np.zeros((0, 0), np.float32)
        self._there = np.zeros(0, np.bool_)
        self._sum = np.zeros(0)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, slot: int) -> bool:
        return slot < len(self._there) and bool(self._there[slot])

    def put(self, slot: int, vector: Vector) -> None:
        """Raises `ValueError` if it has another number of dimensions than those that are here."""
        if not self._count:
            self._rows, self._there = np.zeros((0, len(vector)), np.float32), np.zeros(0, np.bool_)
            self._sum = np.zeros(len(vector))
        if len(vector) != self._rows.shape[1]:
            raise ValueError(f"a vector of {len(vector)} numbers, beside others of {self._rows.shape[1]}")
        self.drop(slot)
        if slot >= len(self._there):
            more = max(2 * len(self._there), slot + 1, 256) - len(self._there)
            self._rows = np.pad(self._rows, ((0, more), (0, 0)))
            self._there = np.pad(self._there, (0, more))
        self._rows[slot], self._there[slot] = vector, True
        self._sum += vector
        self._count += 1

    def drop(self, slot: int) -> None:
        if slot in self:
            self._sum -= self._rows[slot]
            self._rows[slot], self._there[slot] = 0, False
            self._count -= 1

    def nearness(self, vector: Vector, slots: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """How much nearer to this one each of the first so many slots is than they are on average, and which of them
        have a vector; of the others it is 0. What all of a person's talk has in common is left out of it, so that the
        question tells them apart."""
        near, there = np.zeros(slots, np.float32), np.zeros(slots, np.bool_)
        if self._count and len(vector) == self._rows.shape[1]:
            known = self._there[:slots]
            there[: len(known)] = known
            mean = (self._sum / self._count).astype(np.float32)
            towards = vector - mean
            near[: len(known)] = self._rows[:slots] @ towards - mean @ towards
            near[~there] = 0
        return near, there
