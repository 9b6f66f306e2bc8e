"""Vectors of meaning beside the slots of a search index, and which of them are near a question's. No I/O."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""Of length 1, or all zeros where a text says nothing; several are the rows of one array."""

_MOST = 127
_BLOCK = 256
"""So many rows at a time are made floats: of 384 numbers they stay in a core's own cache, so that a search reads a
quarter of what it would of floats, and takes less time."""


class Vectors:
    """At most one for each slot, kept as bytes. Adding and dropping one take microseconds, but for the rare growing.

    A number is a byte of the largest number's 127ths, which loses no answer; what it stands for follows from the
    vector's length, which is 1.
    """

    def __init__(self) -> None:
        self._start(0)

    def _start(self, numbers: int) -> None:
        self._rows = np.zeros((0, numbers), np.int8)
        self._scales = np.zeros(0, np.float32)
        """What a byte's 1 is in each row; 0 where there is nothing."""
        self._there = np.zeros(0, np.bool_)
        self._sum = np.zeros(numbers)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, slot: int) -> bool:
        return slot < len(self._there) and bool(self._there[slot])

    def put(self, slot: int, vector: Vector) -> None:
        """Raises `ValueError` if it has another number of dimensions than those that are here."""
        largest = np.abs(vector).max(initial=0)
        row = np.rint(vector * (_MOST / largest)) if largest else vector
        self.put_bytes(slot, row.astype(np.int8).tobytes())

    def put_bytes(self, slot: int, data: bytes) -> None:
        """The same of one that was bytes already. Raises `ValueError`."""
        row = np.frombuffer(data, np.int8)
        if not self._count:
            self._start(len(row))
        if len(row) != self._rows.shape[1]:
            raise ValueError(f"a vector of {len(row)} numbers, beside others of {self._rows.shape[1]}")
        self.drop(slot)
        if slot >= len(self._there):
            self._grow(max(2 * len(self._there), slot + 1, 256) - len(self._there))
        length = np.linalg.norm(row.astype(np.float32))
        self._rows[slot], self._there[slot] = row, True
        self._scales[slot] = 1 / length if length else 0
        self._sum += self.vector(slot)
        self._count += 1

    def bytes_of(self, slot: int) -> bytes:
        """Its numbers as they are kept here."""
        return self._rows[slot].tobytes()

    def drop(self, slot: int) -> None:
        if slot in self:
            self._sum -= self.vector(slot)
            self._rows[slot], self._scales[slot], self._there[slot] = 0, 0, False
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
            near[: len(known)] = self._products(towards, len(known)) - mean @ towards
            near[~there] = 0
        return near, there

    def _products(self, vector: Vector, slots: int) -> NDArray[np.float32]:
        products = np.empty(slots, np.float32)
        floats = np.empty((_BLOCK, len(vector)), np.float32)
        for start in range(0, slots, _BLOCK):
            rows = self._rows[start : min(start + _BLOCK, slots)]
            floats[: len(rows)] = rows
            np.dot(floats[: len(rows)], vector, out=products[start : start + len(rows)])
        return products * self._scales[:slots]

    def vector(self, slot: int) -> Vector:
        """As it is kept here: of length 1 but for what its bytes lose."""
        return self._rows[slot] * self._scales[slot]

    def _grow(self, more: int) -> None:
        self._rows = np.pad(self._rows, ((0, more), (0, 0)))
        self._scales = np.pad(self._scales, (0, more))
        self._there = np.pad(self._there, (0, more))
