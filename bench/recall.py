"""How well and how fast a person's memories are searched, by the index that the worker uses.

python bench/recall.py --locomo PATH      quality: of what a question needs, how much is among the first 5 and 10
python bench/recall.py --languages PATH   quality by language and kind of question: how much is first, and among 5
python bench/recall.py --latency          one thread, 5,000 and 50,000 memories (this too with none of these)

With --embeddings as where EMBEDDINGS is local: a question's vector is made before its search, and what that takes
stands beside it. With --json as one JSON object, the last line.

--locomo takes a file of conversations as LoCoMo has them (Maharana et al., ACL 2024; data/locomo10.json of
snap-research/locomo, CC BY-NC 4.0, so that none comes with this project). A question's recall@k is the part of its
evidence among the first k turns of its conversation; the mean is over all questions with evidence of the form D3:12.
Reworded are those that share no word with any of their evidence.
--languages takes {"persons": [{"language", "memories": [{"id", "text", "conversation", "said_at"}],
"questions": [{"question", "evidence": [ids], "kind"}]}]}. Recall is the mean over a language's questions of a kind,
for "all" that over the languages but English. Kinds are the file's own; "words" share a content word with what they
ask for, "forms" share it in another form.
Held are R@5 of 70 and R@10 of 80; R@5 of 99 for "words" and of 88 for "forms"; searches of 5 ms and 15 ms at the 95th
percentile, and an index of 5,000 made in 200 ms.

Exit status: 0 held, 1 not, 2 the question was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from memory.embedding.embedders import EmbeddingsFailed, EmbeddingsOff, LocalEmbedder
from memory.recall.index import SearchIndex, Unit
from memory.recall.memories import RecallIndex, spoken
from memory.recall.vectors import Vector
from memory.recall.words import words
from memory.records import STATEMENT_KEY, Category, Memory

HELD_R5, HELD_R10 = 70.0, 80.0
HELD_KINDS_R5 = {"words": 99.0, "forms": 88.0}
HELD_P95_MS = {5_000: 5.0, 50_000: 15.0}
HELD_BUILD_MS = 200.0

_EVIDENCE = re.compile(r"D\d+:\d+")
_SESSION = re.compile(r"session_(\d+)")


_EMBEDDED = 500
"""Where searches are timed so many memories get vectors of their own, and the others the same again: a search takes as
long, and a model would take a quarter of an hour."""


class WrongFile(Exception):
    """It is not there, or holds something else."""


@dataclass(frozen=True)
class Conversation:
    """What is searched, by a turn's id, and what is asked: a question with the ids that answer it."""

    turns: dict[str, Unit]
    questions: list[tuple[str, set[str]]]


@dataclass(frozen=True)
class Person:
    """What somebody told in one language, and what is asked: a kind, a question, and the ids that answer it."""

    language: str
    memories: list[Memory]
    questions: list[tuple[str, str, set[str]]]


class Meaning:
    """The worker's embedder, on an event loop of its own. Raises `EmbeddingsOff`."""

    def __init__(self) -> None:
        self._embedder = LocalEmbedder()
        self._loop = asyncio.Runner()

    def told(self, texts: Sequence[str]) -> Vector:
        return self._loop.run(self._embedder.embed(texts))

    def asked(self, text: str) -> Vector:
        return self._loop.run(self._embedder.question(text))


class Stopwatch:
    """What questions took, in milliseconds: their vectors, if they get some, and their searches."""

    def __init__(self, meaning: Meaning | None) -> None:
        self._meaning = meaning
        self._vectors: list[float] = []
        self._searches: list[float] = []

    def ask(self, question: str, search: Callable[[Vector | None], list[Any]]) -> list[Any]:
        vector = None
        if self._meaning:
            vector, milliseconds = _timed(partial(self._meaning.asked, question))
            self._vectors.append(milliseconds)
        found, milliseconds = _timed(partial(search, vector))
        self._searches.append(milliseconds)
        return found

    def figures(self) -> dict[str, float]:
        vectors = {"vector_ms": round(statistics.median(self._vectors), 3)} if self._vectors else {}
        return vectors | _percentiles(self._searches)


# -- quality: conversations


def conversations(path: Path) -> list[Conversation]:
    """Raises `WrongFile`."""
    try:
        return [_conversation(one) for one in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongFile(f"{path}: not conversations of LoCoMo's shape ({type(error).__name__}: {error})") from error


def _conversation(document: dict[str, Any]) -> Conversation:
    talk = document["conversation"]
    numbers = sorted(int(match[1]) for match in map(_SESSION.fullmatch, talk) if match)
    turns = [(number, turn) for number in numbers for turn in talk[f"session_{number}"]]
    units = {
        turn["dia_id"]: Unit(
            f"{turn['text']} {turn.get('blip_caption', '')}",
            session=number,
            order=place,
            speaker=turn["speaker"],
            # "1:47 pm on 18 May, 2023"
            date=talk.get(f"session_{number}_date_time", "").rpartition(" on ")[2],
        )
        for place, (number, turn) in enumerate(turns)
    }
    questions = [(item["question"], _evidence(item["evidence"])) for item in document["qa"]]
    return Conversation(units, [(question, evidence) for question, evidence in questions if evidence])


def _evidence(cited: list[Any]) -> set[str]:
    """Some strings hold two ids, some none that is well formed."""
    return {turn for one in cited for turn in _EVIDENCE.findall(str(one))}


def quality(path: Path, meaning: Meaning | None) -> dict[str, Any]:
    """Percent, and milliseconds a search. Raises `WrongFile`."""
    recalls: list[tuple[float, float]] = []
    reworded: list[tuple[float, float]] = []
    watch = Stopwatch(meaning)
    for conversation in conversations(path):
        index = SearchIndex[str]()
        index.put_all(conversation.turns.items())
        if meaning:
            said = [f'{unit.speaker} said, "{unit.text.strip()}"' for unit in conversation.turns.values()]
            for key, vector in zip(conversation.turns, meaning.told(said), strict=True):
                index.put_vector(key, vector)
        for question, evidence in conversation.questions:
            found = watch.ask(question, partial(index.search, question, 10))
            recalls.append((_recall(found[:5], evidence), _recall(found, evidence)))
            told = {
                word for turn in evidence & conversation.turns.keys() for word in words(conversation.turns[turn].text)
            }
            if told.isdisjoint(words(question)):
                reworded.append(recalls[-1])
    if not recalls:
        raise WrongFile(f"{path}: no question with evidence")
    r5, r10 = _percent(recalls)
    held = r5 >= HELD_R5 and r10 >= HELD_R10
    of_reworded = dict(zip(("r5", "r10"), _percent(reworded), strict=True)) | {"n": len(reworded)}
    result = {"r5": r5, "r10": r10, "n": len(recalls), "reworded": of_reworded}
    return result | watch.figures() | {"held": held}


def _percent(recalls: list[tuple[float, float]]) -> list[float]:
    return [round(100 * mean, 2) for mean in _means(recalls)] or [0.0, 0.0]


def _means(rows: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(statistics.fmean(column) for column in zip(*rows, strict=True))


def _recall(found: list[str], evidence: set[str]) -> float:
    return len(evidence.intersection(found)) / len(evidence)


# -- quality: languages


def persons(path: Path) -> list[Person]:
    """Raises `WrongFile`."""
    try:
        return [_person(one) for one in json.loads(path.read_text(encoding="utf-8"))["persons"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongFile(f"{path}: not persons and their questions ({type(error).__name__}: {error})") from error


def _person(document: dict[str, Any]) -> Person:
    memories = [
        Memory(
            Category.EXPERIENCE,
            f"{STATEMENT_KEY}{item['id']}",
            item["text"],
            datetime.fromisoformat(item["said_at"]),
            item["id"],
            UUID(int=item["conversation"]),
        )
        for item in document["memories"]
    ]
    questions = [(item["kind"], item["question"], set[str](item["evidence"])) for item in document["questions"]]
    return Person(document["language"], memories, [question for question in questions if question[2]])


def quality_by_language(path: Path, meaning: Meaning | None) -> dict[str, Any]:
    """R@1 and R@5 in percent, and milliseconds a search. Raises `WrongFile`."""
    recalls = defaultdict[str, defaultdict[str, list[tuple[float, float]]]](lambda: defaultdict(list))
    watch = Stopwatch(meaning)
    for person in persons(path):
        index = RecallIndex(person.memories)
        if meaning:
            index.put_vectors(person.memories, meaning.told([spoken(memory) for memory in person.memories]))
        for kind, question, evidence in person.questions:
            search = partial(index.search, question, 5, None, ())
            found = [memory.source for memory in watch.ask(question, search)]
            recalls[kind][person.language].append((_recall(found[:1], evidence), _recall(found, evidence)))
    if not recalls:
        raise WrongFile(f"{path}: no question with evidence")
    recall = {kind: _by_language(of_kind) for kind, of_kind in recalls.items()}
    held = all(recall[kind]["all"][1] >= least for kind, least in HELD_KINDS_R5.items() if kind in recall)
    asked = sum(len(of_language) for of_kind in recalls.values() for of_language in of_kind.values())
    return {"recall": recall, "n": asked} | watch.figures() | {"held": held}


def _by_language(recalls: dict[str, list[tuple[float, float]]]) -> dict[str, list[float]]:
    """And of all languages but English; of English, if there is no other."""
    means = {language: _means(of_language) for language, of_language in recalls.items()}
    others = [mean for language, mean in means.items() if language != "en"] or list(means.values())
    means["all"] = _means(others)
    return {language: [round(100 * part, 2) for part in mean] for language, mean in means.items()}


# -- latency


def latency(meaning: Meaning | None) -> dict[str, Any]:
    """Milliseconds: to build the index, to add one memory, and to search, by the number of memories."""
    dice = random.Random(1)  # noqa: S311 - the same people in every run
    sizes = {size: _measured(size, dice, meaning) for size in HELD_P95_MS}
    held = sizes[5_000]["build_ms"] <= HELD_BUILD_MS
    held = held and all(sizes[size]["p95_ms"] <= most for size, most in HELD_P95_MS.items())
    return {str(size): figures for size, figures in sizes.items()} | {"held": held}


def _measured(size: int, dice: random.Random, meaning: Meaning | None, searches: int = 400) -> dict[str, float]:
    sentences = _sentences(dice)
    life = [_memory(next(sentences), place) for place in range(size + searches)]
    builds = [_timed(lambda: RecallIndex(life[:size]))[1] for _ in range(5 if size <= 5_000 else 1)]
    index = RecallIndex(life[:size])
    embedding: dict[str, float] = {}
    vectors: Vector | None = None
    if meaning:
        some = [spoken(memory) for memory in life[:_EMBEDDED]]
        made, milliseconds = _timed(partial(meaning.told, some))
        vectors = np.resize(made, (len(life), made.shape[1]))
        _, putting = _timed(partial(index.put_vectors, life[:size], vectors[:size]))
        embedding["embed_ms"] = round(milliseconds * size / len(some) + putting, 1)  # behind the conversation

    adds: list[float] = []
    watch = Stopwatch(meaning)
    for place in range(size, len(life)):  # as in a call: each turn is searched for, then kept
        question = " ".join(dice.sample(dice.choice(life).value.split(), 8))
        watch.ask(question, partial(index.search, question, 60, None, ()))
        adds.append(_timed(partial(index.put, life[place]))[1])
        if vectors is not None:
            index.put_vectors([life[place]], vectors[place : place + 1])
    return {
        "build_ms": round(statistics.median(builds), 1),
        "first_build_ms": round(builds[0], 1),  # which has to find the stem of every word
        **embedding,
        "add_p95_ms": _percentiles(adds)["p95_ms"],
    } | watch.figures()


def _sentences(dice: random.Random) -> Iterator[str]:
    """Fifteen words each, which occur as often as words do: the n-th most frequent in proportion to 1/(n + 3)
    (Zipf's law with Mandelbrot's correction)."""
    syllables = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]
    vocabulary = ["".join(dice.choices(syllables, k=dice.randint(2, 4))) for _ in range(12_000)]
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(vocabulary))))
    while True:
        yield " ".join(dice.choices(vocabulary, cum_weights=weights, k=15))


def _memory(sentence: str, place: int) -> Memory:
    """One of twenty of its conversation, an hour after the one before."""
    said_at = datetime(2016, 1, 1, tzinfo=UTC) + timedelta(hours=place)
    key = f"{STATEMENT_KEY}{place}"
    return Memory(Category.EXPERIENCE, key, f"I {sentence}", said_at, f"turn-{place}", UUID(int=place // 20))


# -- both


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    done = work()
    return done, (time.perf_counter() - start) * 1000


def _percentiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {f"p{percent}_ms": round(ordered[len(ordered) * percent // 100], 3) for percent in (50, 95)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--locomo", type=Path, metavar="PATH", help="measure quality on this file")
    what.add_argument("--languages", type=Path, metavar="PATH", help="measure quality by language on this file")
    what.add_argument("--latency", action="store_true", help="measure latency")
    parser.add_argument("--embeddings", action="store_true", help="with vectors of meaning, as EMBEDDINGS=local")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    try:
        meaning = Meaning() if arguments.embeddings else None
        if arguments.locomo:
            result = quality(arguments.locomo, meaning)
        elif arguments.languages:
            result = quality_by_language(arguments.languages, meaning)
        else:
            result = latency(meaning)
    except (WrongFile, EmbeddingsOff, EmbeddingsFailed) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, figure in result.items():
            print(f"{name:>8}  {figure}")
    sys.exit(0 if result["held"] else 1)


if __name__ == "__main__":
    main()
