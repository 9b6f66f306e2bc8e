"""A search index over what was said, in process: BM25 over each unit and what stands around it, without I/O.

One recipe for every kind of talk. Its constants were chosen on conversations of LoCoMo's, checked by choosing on all
but one of them and trying on that one; `bench/recall.py` measures them. Units may have vectors too, by which what is
near the question in meaning counts beside what shares its words.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, count, islice, pairwise
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from memory.recall.spelling import Spelling
from memory.recall.vectors import Vector, Vectors
from memory.recall.words import all_words, first_person, stems, words

# Okapi BM25 (Robertson & Zaragoza 2009, "The Probabilistic Relevance Framework"). Usual is b = 0.75; turns of a talk
# differ less in length than documents do.
_K1 = 1.2
_B = 0.6

# A word of the question counts once per unit, from the nearest place where it stands: the unit itself counts 1, its
# neighbours in the same session less. An answer seldom repeats the words of the question before it.
_ONE_BEFORE = np.float32(0.6)
_TWO_BEFORE = np.float32(0.4)
_ONE_AFTER = np.float32(0.4)
_TWO_AFTER = np.float32(0.2)
_SESSION = 0.75
"""The weight of the session's own BM25: what its talk was about."""
_SPEAKER_NAMED = 2.0
_OF_THEMSELVES = 1.25
"""Times log(1 + first person words): those who speak of themselves tell more about themselves than those who ask."""
_TALKATIVE = 4.0
"""Times log(the speaker's mean length / everybody's): an assistant that answers at length repeats every word of a
person, and of two people who talk alike neither loses anything."""

# How near to the question a unit is, and how near with its neighbours, each in standard deviations from this person's
# others: the scale of the vectors themselves differs from model to model. A statement may have strange neighbours.
_OWN_MEANING = np.float32(0.5)
_MEANING_AROUND = np.float32(0.5)
_TRUST = 2.0
"""So many times that more a meaning counts where nobody said any word of the question, and nothing more where one unit
has all of them. A weight that is always the same loses answers that were told in the question's words, or drowns those
that were not in words of every sentence."""
_NEAR = 1.0
"""So near is a unit found that shares no word with the question: more, and nothing would be found among five."""

_COUNT_BITS = 8
_MOST = (1 << _COUNT_BITS) - 1
"""How often a word may count in one unit; BM25 hardly tells 20 from 200."""

_ROUNDING = 1e-5
"""Vectors of length 1 that are nearer to one another than this are the same."""

_NOBODY = 0
"""The slot that no unit has: the neighbour of the first and the last of a session."""

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Unit:
    """One thing that was said. `order` is its place in its `session`; one without a session has no neighbours.
    `date` is searched like the text, as people say it: "7 May 2023"."""

    text: str
    session: Hashable | None = None
    order: float = 0.0
    speaker: str = ""
    date: str = ""


@dataclass(slots=True)
class _Entry(Generic[K]):
    key: K
    unit: Unit
    length: int
    """How many words count in it."""
    spoken: int
    """How many words were said, stop words and all."""
    speaker: _Speaker
    session: _Session


class _Session:
    """Its units in their order, each as (order, slot). One that is said outside of any has a session of its own."""

    __slots__ = ("name", "number", "units")

    def __init__(self, name: Hashable | None, number: int) -> None:
        self.name = name
        self.number = number
        self.units: list[tuple[float, int]] = []


class _Speaker:
    """How much someone says: in how many units, how many words."""

    __slots__ = ("number", "spoken", "units")

    def __init__(self, number: int) -> None:
        self.number = number
        self.units = 0
        self.spoken = 0


class _Standing(NamedTuple):
    """Where one word stands, by postings: one that was asked for, or that looks like it."""

    asked: int
    """The place of the one that was asked for among the others."""
    packed: NDArray[np.int64]
    alike: float
    """How much it is like the one that was asked for."""
    worth: float


class SearchIndex(Generic[K]):
    """Units under keys of the caller's choice. `put` and `remove` take a fraction of a millisecond. One thread only.

    Each unit lives in a slot of its own, a number that grows and is never used again; what a search needs of it is in
    columns by slot. They are of `array`, which grows in place and is read by numpy without a copy.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._slots: dict[K, int] = {}
        self._entries: dict[int, _Entry[K]] = {}
        self._postings = defaultdict[str, "array[int]"](_no_slots)
        """In which slots a word stands, ascending, and how often in each: slot << _COUNT_BITS | count."""
        self._spelling = Spelling()
        """Of the words that stand somewhere."""
        self._sessions: dict[Hashable, _Session] = {}
        self._speakers: dict[str, _Speaker] = {}
        self._living_sessions = 0
        self._length = 0
        self._vectors = Vectors()
        # the columns by slot, which begin with the row of _NOBODY
        self._lengths = array("f", [0])
        self._before = array("q", [_NOBODY])
        self._after = array("q", [_NOBODY])
        self._session = array("q", [0])
        self._speaker = array("q", [0])
        self._of_themselves = array("f", [0])
        # by a session's number
        self._session_lengths = array("f")

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, key: K, unit: Unit) -> None:
        """Add a unit, in place of the one under this key."""
        self.put_all([(key, unit)])

    def put_all(self, units: Iterable[tuple[K, Unit]]) -> None:
        """`put` of each; of many this costs a fraction of it."""
        new = dict(units)
        for key in new:
            self.remove(key)
        said = [all_words(unit.text) for unit in new.values()]
        found = [_counting(unit, words) for unit, words in zip(new.values(), said, strict=True)]
        self._post(found)
        for (key, unit), words_said, words_found in zip(new.items(), said, found, strict=True):
            speaker, session = self._speaker_of(unit), self._session_of(unit)
            self._join(_Entry(key, unit, len(words_found), len(words_said), speaker, session), first_person(words_said))

    def remove(self, key: K) -> bool:
        """Take a unit out, and every trace of its words; False if there is none under this key."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return False
        entry = self._entries.pop(slot)
        for word in set(_counting(entry.unit, all_words(entry.unit.text))):
            postings = self._postings[word]
            del postings[bisect_left(postings, slot << _COUNT_BITS)]
            if not postings:
                del self._postings[word]
                self._spelling.forget(word)
        self._vectors.drop(slot)
        self._leave(entry, slot)
        return True

    def put_vector(self, key: K, vector: Vector) -> None:
        """Give a unit that is here its vector. Raises `ValueError` for one of another size than the others'."""
        self._vectors.put(self._slots[key], vector)

    def put_vector_bytes(self, key: K, data: bytes) -> None:
        """The same of one as `vector_bytes` told it. Raises `ValueError`."""
        self._vectors.put_bytes(self._slots[key], data)

    def vector_bytes(self, key: K) -> bytes:
        """The vector of a unit that has one, as it is kept here: nothing is lost on the way back."""
        return self._vectors.bytes_of(self._slots[key])

    def vector(self, key: K) -> Vector | None:
        """That of a unit; None where it has none, or is not here."""
        slot = self._slots.get(key)
        return None if slot is None or slot not in self._vectors else self._vectors.vector(slot)

    def drop_vectors(self) -> None:
        self._vectors = Vectors()

    def without_vector(self, limit: int) -> list[K]:
        """Units that have none, the newest first."""
        if len(self._vectors) == len(self._slots):
            return []
        lacking = (entry.key for slot, entry in reversed(self._entries.items()) if slot not in self._vectors)
        return list(islice(lacking, limit))

    def search(self, query: str, limit: int | None = None, vector: Vector | None = None) -> list[K]:
        """The keys of what fits the query best, at most `limit`, best first; of equals the later one.

        Only what shares a word with the query, or has a neighbour that does; of a word that nobody said, one that looks
        like it. With the query's `vector` also what is near it in meaning.
        """
        asked = list(dict.fromkeys(words(query)))
        around, sessions = self._scores(asked)
        meaning = None if vector is None else self._by_meaning(vector)
        found = np.flatnonzero((around > 0) if meaning is None else (around > 0) | (meaning >= _NEAR))
        scores = (
            around[found]
            + _SESSION * sessions[_view(self._session)[found]]
            + _view(self._of_themselves)[found]
            + self._by_speaker(query)[_view(self._speaker)[found]]
        )
        if meaning is not None:
            scores += (1 + _TRUST * (1 - self._covered(asked, around))) * meaning[found]
        if limit is not None and limit < len(found):
            best = scores >= np.partition(scores, -limit)[-limit] if limit > 0 else np.zeros(len(found), bool)
            found, scores = found[best], scores[best]
        by_slot = zip(scores.tolist(), found.tolist(), strict=True)
        ranked = sorted(((score, self._entries[slot].unit.order, slot) for score, slot in by_slot), reverse=True)
        return [self._entries[slot].key for _, _, slot in ranked[:limit]]

    def _scores(self, asked: list[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What each unit scores by the words in it and around it (by slot), and each session (by number).

        All words at once: a search is made of many small steps, which cost more each than what they do.
        """
        around = np.zeros(len(self._lengths), np.float32)
        sessions = np.zeros(len(self._session_lengths), np.float32)
        if not (standing := self._standing(asked)):
            return around, sessions
        packed = [one.packed for one in standing]
        sizes = [len(one) for one in packed]
        posted = np.concatenate(packed)
        slots, counts = posted >> _COUNT_BITS, (posted & _MOST).astype(np.float32)
        words = np.repeat(np.array([one.asked for one in standing]), sizes)
        alike = np.repeat(np.array([one.alike for one in standing], np.float32), sizes)
        worth = np.repeat(np.array([one.worth for one in standing], np.float32), sizes)
        lengths, mean = _view(self._lengths), self._length / len(self._slots)
        own = _bm25(counts, _norms(lengths[slots], mean), alike * worth)
        around = self._reached(words, slots, own)
        places = words * len(sessions) + _view(self._session)[slots]
        in_session = np.bincount(places, counts * alike).astype(np.float32)
        having = np.flatnonzero(in_session > 0)  # of booleans they are found in a fifth of the time
        words, numbers = np.divmod(having, len(sessions))
        worth = np.array([_rarity(n, self._living_sessions) for n in np.bincount(words).tolist()], np.float32)[words]
        norms = _norms(_view(self._session_lengths)[numbers], self._length / self._living_sessions)
        np.add.at(sessions, numbers, _bm25(in_session[having], norms, worth))
        return around, sessions

    def _reached(
        self, words: NDArray[np.int64], slots: NDArray[np.int64], own: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What each unit scores by words (numbered from 0) that score so much `own` in these slots: each word counts
        once, from the nearest place where it stands."""
        before, after = _view(self._before), _view(self._after)
        later, sooner = after[slots], before[slots]
        reached = np.zeros((words[-1] + 1, len(self._lengths)), np.float32)
        rows, flat = words * len(self._lengths), reached.reshape(-1)
        for place, score in (
            (slots, own),
            (later, _ONE_BEFORE * own),
            (after[later], _TWO_BEFORE * own),
            (sooner, _ONE_AFTER * own),
            (before[sooner], _TWO_AFTER * own),
        ):
            np.maximum.at(flat, rows + place, score)
        reached[:, _NOBODY] = 0
        return reached.sum(axis=0)

    def _standing(self, asked: list[str]) -> list[_Standing]:
        """Where the words stand; one that nobody said stands where those do that look like it, as far as they do."""
        standing: list[_Standing] = []
        for n, word in enumerate(asked):
            like = [(word, 1.0)] if word in self._postings else self._spelling.like(word)
            found = ((_view(self._postings[known]), alike) for known, alike in like)
            standing += (_Standing(n, at, alike, _rarity(len(at), len(self._slots))) for at, alike in found)
        return standing

    def _covered(self, asked: list[str], around: NDArray[np.float32]) -> float:
        """How much of what was asked anybody said in these words, from 0 to 1."""
        most = sum(_rarity(len(self._postings.get(word, ())), len(self._slots)) for word in asked)
        return min(1.0, float(around.max()) / most) if most else 0.0

    def _by_meaning(self, vector: Vector) -> NDArray[np.float32]:
        """How near each unit is to the query, alone and with what stands around it; 0 without a vector."""
        near, there = self._vectors.nearness(vector, len(self._lengths))
        before, after = _view(self._before), _view(self._after)
        # the second neighbour of a unit is the first one of its neighbour: half the look-ups
        sooner = np.take(_ONE_BEFORE * near + _TWO_BEFORE * np.take(near, before), before)
        later = np.take(_ONE_AFTER * near + _TWO_AFTER * np.take(near, after), after)
        around = ((near + sooner + later) * there).astype(np.float32, copy=False)
        of = len(self._vectors)
        meaning = _OWN_MEANING * _deviations(near, of) + _MEANING_AROUND * _deviations(around, of)
        return meaning.astype(np.float32, copy=False)

    def _by_speaker(self, query: str) -> NDArray[np.float32]:
        """What a speaker's units score for being theirs, by the speaker's number."""
        asked = {word.removesuffix("'s") for word in all_words(query)}
        scores = np.zeros(len(self._speakers), np.float32)
        mean = sum(speaker.spoken for speaker in self._speakers.values()) / max(1, len(self._slots))
        for name, speaker in self._speakers.items():
            if speaker.spoken:
                scores[speaker.number] -= _TALKATIVE * math.log(speaker.spoken / speaker.units / mean)
            if not asked.isdisjoint(all_words(name)):
                scores[speaker.number] += _SPEAKER_NAMED
        return scores

    def _speaker_of(self, unit: Unit) -> _Speaker:
        speaker = self._speakers.get(unit.speaker)
        if speaker is None:
            speaker = self._speakers[unit.speaker] = _Speaker(len(self._speakers))
        return speaker

    def _session_of(self, unit: Unit) -> _Session:
        session = None if unit.session is None else self._sessions.get(unit.session)
        if session is None:
            session = _Session(unit.session, len(self._session_lengths))
            self._session_lengths.append(0)
            self._living_sessions += 1
            if unit.session is not None:
                self._sessions[unit.session] = session
        return session

    def _post(self, found: list[list[str]]) -> None:
        """Enter the words of units that will get the next slots."""
        if not any(found):
            return
        numbers = defaultdict[str, int](count().__next__)
        words = np.fromiter(map(numbers.__getitem__, chain.from_iterable(found)), np.int64)
        slots = np.repeat(np.arange(len(found)) + len(self._lengths), [len(one) for one in found])
        pairs, counts = np.unique(words << 32 | slots, return_counts=True)
        packed = ((pairs & 0xFFFFFFFF) << _COUNT_BITS | np.minimum(counts, _MOST)).tobytes()
        bounds = np.searchsorted(pairs >> 32, np.arange(len(numbers) + 1)) * _no_slots().itemsize
        self._spelling.learn(word for word in numbers if word not in self._postings)
        for word, (start, end) in zip(numbers, pairwise(bounds.tolist()), strict=True):
            self._postings[word].frombytes(packed[start:end])

    def _join(self, entry: _Entry[K], first_persons: int) -> None:
        slot = len(self._lengths)
        speaker, session, units = entry.speaker, entry.session, entry.session.units
        self._slots[entry.key], self._entries[slot] = slot, entry
        self._length += entry.length
        speaker.units += 1
        speaker.spoken += entry.spoken
        self._session_lengths[session.number] += entry.length
        self._lengths.append(entry.length)
        self._of_themselves.append(_OF_THEMSELVES * math.log1p(first_persons))
        self._speaker.append(speaker.number)
        self._session.append(session.number)
        self._before.append(_NOBODY)
        self._after.append(_NOBODY)
        place = bisect_left(units, (entry.unit.order, slot))
        units.insert(place, (entry.unit.order, slot))
        if place > 0:
            self._link(units[place - 1][1], slot)
        if place + 1 < len(units):
            self._link(slot, units[place + 1][1])

    def _leave(self, entry: _Entry[K], slot: int) -> None:
        session = entry.session
        self._length -= entry.length
        entry.speaker.units -= 1
        entry.speaker.spoken -= entry.spoken
        self._session_lengths[session.number] -= entry.length
        del session.units[bisect_left(session.units, (entry.unit.order, slot))]
        self._link(self._before[slot], self._after[slot])
        self._before[slot] = self._after[slot] = _NOBODY
        if not session.units:
            self._sessions.pop(session.name, None)
            self._living_sessions -= 1

    def _link(self, one: int, next_one: int) -> None:
        if one != _NOBODY:
            self._after[one] = next_one
        if next_one != _NOBODY:
            self._before[next_one] = one


def _counting(unit: Unit, said: list[str]) -> list[str]:
    """The words of a unit that count, of those that were said in it and what is known of it."""
    return [*stems(said), *_words_about(unit.speaker, unit.date)]


def _no_slots() -> array[int]:
    return array("q")


@lru_cache(maxsize=1024)
def _words_about(speaker: str, date: str) -> tuple[str, ...]:
    """Searched like the text; the same for many units in a row."""
    return tuple(words(f"{speaker} {date}"))


def _rarity(having: int, of: int) -> float:
    """What a word that stands in so many of all documents is worth."""
    return math.log(1 + (of - having + 0.5) / (having + 0.5))


def _bm25(counts: NDArray[np.float32], norms: NDArray[np.float32], worth: NDArray[np.float32]) -> NDArray[np.float32]:
    """One word's part of the scores of the documents that have it so often, of what it is worth in each."""
    scores = np.float32(_K1 + 1) * worth * counts / (counts + norms)
    return scores.astype(np.float32, copy=False)


def _norms(lengths: NDArray[np.float32], mean: float) -> NDArray[np.float32]:
    norms = lengths * np.float32(_K1 * _B / mean) + np.float32(_K1 * (1 - _B))
    return norms.astype(np.float32, copy=False)


def _deviations(values: NDArray[np.float32], of: int) -> NDArray[np.float32]:
    """In standard deviations of so many units, beside which there is 0. What differs by a rounding alone is alike."""
    if not of:
        return values
    mean = float(values.sum()) / of
    spread = math.sqrt(max(0.0, float(values @ values) / of - mean * mean))
    return values / np.float32(spread) if spread > _ROUNDING else np.zeros_like(values)


def _view(column: array[Any]) -> NDArray[Any]:
    """The column as numpy sees it, without a copy. It cannot grow while the view lives."""
    return np.frombuffer(column, column.typecode) if column else np.zeros(0, column.typecode)
