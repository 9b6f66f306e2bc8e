"""What a person's whole life takes: how large it is in the database, with its vectors, and how long its opening takes.

python bench/life.py [--utterances 5000] [--full] [--json]

One person tells so many utterances (--full: 50,000), through the worker's own stores: SQLite in a file, and Supabase
over a real PostgREST with a person's token. `bytes` is what the database has grown by for each utterance, its indexes
and all, without and with its vector; `start_ms` is the call in which a session begins, `vectors_ms` that in which the
vectors come back, `index_ms` the making of the index in process and `resident_bytes` what an utterance holds there.
Vectors are random ones of the local model's size: how long they are depends on no text.

Supabase is left out, and said to be, where the test stack cannot be had. Exit status: 0, or 2 for a wrong question.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from memory.records import STATEMENT_KEY, Category, Memory, MemoryVector
from memory.sessions.person import Person
from memory.stores.protocol import Store
from memory.stores.sqlite import SqliteStore
from tests.stack import postgres, postgrest
from tests.stack.livekit_server import Unavailable
from tests.supabase.project import Project

FULL = 50_000
USER = UUID(int=1)
MODEL = "bench"
NUMBERS = 384
"""As many as the local model gives (`memory.embedding.e5`)."""
AT_ONCE = 500
PATIENCE = 120.0

Size = Callable[[], int]


def told(count: int) -> list[Memory]:
    """Fifteen words each, one an hour; nothing else is known of them."""
    dice = random.Random(1)  # noqa: S311 - the same life in every run
    syllables = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]
    words = ["".join(dice.choices(syllables, k=dice.randint(1, 4))) for _ in range(12_000)]
    begin = datetime(2016, 1, 1, tzinfo=UTC)
    return [
        Memory(
            Category.FACT,
            f"{STATEMENT_KEY}{number}",
            f"I {' '.join(dice.choices(words, k=15))}",
            begin + timedelta(hours=number),
            f"turn-{number}",
        )
        for number in range(count)
    ]


def vectors_of(memories: Sequence[Memory]) -> list[MemoryVector]:
    numbers = np.random.default_rng(1).integers(-127, 128, (len(memories), NUMBERS), np.int8)
    return [
        MemoryVector(memory.category, memory.key, memory.said_at, row.tobytes())
        for memory, row in zip(memories, numbers, strict=True)
    ]


async def measured(store: Store, size: Size, memories: Sequence[Memory]) -> dict[str, float]:
    """Figures of this life in this store; `size` is how many bytes the database has."""
    empty = size()
    for start in range(0, len(memories), AT_ONCE):
        await store.remember(USER, memories[start : start + AT_ONCE])
    spoken = size()
    vectors = vectors_of(memories)
    for start in range(0, len(vectors), AT_ONCE):
        await store.put_vectors(USER, MODEL, vectors[start : start + AT_ONCE])
    whole = size()
    begin = store.start_session(
        USER, email=None, thread="bench", job="bench", room="bench", resume_within=timedelta(0), turns=20
    )
    session, start_ms = await _timed(begin)
    kept, vectors_ms = await _timed(store.vectors(USER, MODEL))
    gc.collect()
    process = psutil.Process()
    resident, began = process.memory_info().rss, time.perf_counter()
    person = Person(session.memories, session.past)
    index_ms = (time.perf_counter() - began) * 1000
    person.index.put_kept(kept)
    held = process.memory_info().rss - resident
    assert len(kept) == len(session.memories) == len(memories)
    return {
        "bytes": round((spoken - empty) / len(memories), 1),
        "bytes_with_vector": round((whole - empty) / len(memories), 1),
        "start_ms": round(start_ms, 1),
        "vectors_ms": round(vectors_ms, 1),
        "index_ms": round(index_ms, 1),
        "resident_bytes": round(held / len(memories), 1),
    }


async def _timed(work: Awaitable[Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    return await work, (time.perf_counter() - began) * 1000


async def in_sqlite(memories: Sequence[Memory]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "rapport.db"
        store = SqliteStore(file)
        await store.ensure_profile(USER, None)
        try:
            return await measured(store, lambda: _settled(file), memories)
        finally:
            await store.aclose()


def _settled(file: Path) -> int:
    """The file with all that was written into it, and its log as it is."""
    return sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))


async def in_supabase(memories: Sequence[Memory]) -> dict[str, float]:
    postgres.obtain()
    postgrest.obtain()
    project = Project()
    store = project.store("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_JWT_SECRET", role="voice_agent", patience=PATIENCE)

    def size() -> int:
        return int(str(project.rows("select pg_total_relation_size('public.memories')")[0][0]))

    try:
        await store.ensure_profile(USER, None)
        return await measured(store, size, memories)
    finally:
        await store.aclose()
        project.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=5_000)
    parser.add_argument("--full", action="store_true", help=f"{FULL:,} utterances")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    memories = told(FULL if arguments.full else arguments.utterances)
    result: dict[str, Any] = {"utterances": len(memories), "sqlite": asyncio.run(in_sqlite(memories))}
    try:
        result["supabase"] = asyncio.run(in_supabase(memories))
    except Unavailable as why:
        print(f"without Supabase: {why}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, figure in result.items():
            print(f"{name:>10}  {figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
