"""How well and how fast a person's memories are searched, by the index that the worker uses.

python bench/recall.py --locomo PATH   quality: of what a question needs, how much is among the first 5 and 10
python bench/recall.py --latency       one thread, 5,000 and 50,000 memories (this too with neither option)

With --embeddings as where EMBEDDINGS is local: what a vector takes, which is made before its search, stands beside it.
With --json as one JSON object.

PATH is a file of conversations as LoCoMo has them (Maharana et al., ACL 2024; data/locomo10.json of
snap-research/locomo, CC BY-NC 4.0, so that none comes with this project). A question's recall@k is the part of its
evidence among the first k turns of its conversation; the mean is over all questions with evidence of the form D3:12.
Reworded are those that share no word with any of their evidence.
Held are R@5 of 70 and R@10 of 80; searches of 5 ms and 15 ms at the 95th percentile, and an index of 5,000 made in
200 ms.

Exit status: 0 held, 1 not, 2 the question was wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from memory.recall.e5 import E5, NoModel, loaded
from memory.recall.index import SearchIndex, Unit
from memory.recall.memories import RecallIndex, spoken
from memory.recall.words import words
from memory.records import STATEMENT_KEY, Category, Memory

HELD_R5, HELD_R10 = 70.0, 80.0
HELD_P95_MS = {5_000: 5.0, 50_000: 15.0}
HELD_BUILD_MS = 200.0

_EVIDENCE = re.compile(r"D\d+:\d+")
_SESSION = re.compile(r"session_(\d+)")
_EMBEDDED = 50
"""Vectors that are made to measure latency, and then used again and again."""


class WrongFile(Exception):
    """It is not there, or holds something else."""


@dataclass(frozen=True)
class Conversation:
    """What is searched, by a turn's id, and what is asked: a question with the ids that answer it."""

    turns: dict[str, Unit]
    questions: list[tuple[str, set[str]]]


# -- quality


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


def quality(path: Path, embedder: E5 | None) -> dict[str, Any]:
    """Percent, and milliseconds a search. Raises `WrongFile`."""
    recalls: list[tuple[float, float]] = []
    reworded: list[tuple[float, float]] = []
    times: list[float] = []
    for conversation in conversations(path):
        index = SearchIndex[str]()
        index.put_all(conversation.turns.items())
        if embedder:
            for key, unit in conversation.turns.items():
                index.put_vector(key, embedder.vector(unit.text, "passage"))
        for question, evidence in conversation.questions:
            meant = embedder.vector(question, "query") if embedder else None
            found, milliseconds = _timed(
                lambda index=index, question=question, meant=meant: index.search(question, 10, meant)
            )
            times.append(milliseconds)
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
    return result | _percentiles(times) | {"held": held}


def _percent(recalls: list[tuple[float, float]]) -> list[float]:
    return [round(100 * statistics.fmean(column), 2) for column in zip(*recalls, strict=True)] or [0.0, 0.0]


def _recall(found: list[str], evidence: set[str]) -> float:
    return len(evidence.intersection(found)) / len(evidence)


# -- latency


def latency(embedder: E5 | None) -> dict[str, Any]:
    """Milliseconds: to build the index, to add one memory, and to search, by the number of memories."""
    dice = random.Random(1)  # noqa: S311 - the same people in every run
    sizes = {size: _measured(size, dice, embedder) for size in HELD_P95_MS}
    held = sizes[5_000]["build_ms"] <= HELD_BUILD_MS
    held = held and all(sizes[size]["p95_ms"] <= most for size, most in HELD_P95_MS.items())
    return {str(size): figures for size, figures in sizes.items()} | {"held": held}


def _measured(size: int, dice: random.Random, embedder: E5 | None, searches: int = 400) -> dict[str, float]:
    sentences = _sentences(dice)
    life = [_memory(next(sentences), place) for place in range(size + searches)]
    builds = [_timed(lambda: RecallIndex(life[:size]))[1] for _ in range(5 if size <= 5_000 else 1)]
    index = RecallIndex(life[:size])

    def embed(memories: list[Memory]) -> None:
        if embedder:
            index.put_vectors(memories, np.resize(vectors, (len(memories), vectors.shape[1])))

    some = [spoken(memory) for memory in life[:_EMBEDDED]]
    made = [_timed(partial(embedder.vector, text, "passage")) for text in some] if embedder else []
    vectors = np.array([vector for vector, _ in made])
    embed(life[:size])
    adds: list[float] = []
    times: list[float] = []
    for memory in life[size:]:  # as in a call: each turn is searched for, then kept
        question = " ".join(dice.sample(dice.choice(life).value.split(), 8))
        meant = vectors[len(times) % len(vectors)] if embedder else None
        times.append(_timed(lambda question=question, meant=meant: index.search(question, 60, vector=meant))[1])
        adds.append(_timed(lambda memory=memory: index.put(memory))[1])
        embed([memory])
    return {
        "build_ms": round(statistics.median(builds), 1),
        "first_build_ms": round(builds[0], 1),  # which has to find the stem of every word
        **({"vector_ms": round(statistics.median(time for _, time in made), 1)} if made else {}),
        "add_p95_ms": _percentiles(adds)["p95_ms"],
    } | _percentiles(times)


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
    what.add_argument("--latency", action="store_true", help="measure latency")
    parser.add_argument("--embeddings", action="store_true", help="with vectors of meaning, as EMBEDDINGS=local")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    try:
        embedder = loaded() if arguments.embeddings else None
        result = quality(arguments.locomo, embedder) if arguments.locomo else latency(embedder)
    except (WrongFile, NoModel) as error:
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
