"""How long the database takes, and whether it takes longer the more it holds: 10,000 people with 10,000 memories
between them, and the same people with 1,000,000.

python bench/store.py [--full | --memories 10000 100000] [--users 10000] [--calls 1000] [--sql] [--json]

Each call goes through a real PostgREST and its gateway with a person's own token, as the worker's do, with another
person each time; with --sql it is the same transaction on a connection of our own. What a session starts with grows
with what the person has told (1 memory, then 100); the rest should not. Needs the test stack, fetched once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.stack.livekit_server import Unavailable
from tests.stack.postgres import Postgres
from tests.stack.postgrest import PostgREST

AIM = 1.5
"""At most so many times the p95 of the smallest size, at the largest."""

SIZES = (10_000, 100_000)
FULL = (10_000, 1_000_000)
CATEGORIES = ("FACT", "PREFERENCE", "PLAN", "GOAL", "INTEREST")
NOW = datetime.now(UTC)

Ask = Callable[[UUID, str, dict[str, Any]], object]


def load(database_url: str, users: int, memories: int) -> None:
    """So many people with equally many memories each, of the length of a spoken sentence, by COPY."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        with cursor.copy("copy public.profiles (id, is_first_login) from stdin") as copy:
            for number in range(users):
                copy.write_row((UUID(int=number), False))
        columns = "user_id, category, key, value, said_at, source"
        with cursor.copy(f"copy public.memories ({columns}) from stdin") as copy:
            # in the order in which they are said: everybody's are spread over the whole table
            for number in range(memories):
                said_at = NOW - timedelta(seconds=memories - number)
                value = f"statement {number} of somebody who likes {number % 97} things and one more than that"
                key, category = f"user_input_{number}", CATEGORIES[number % len(CATEGORIES)]
                copy.write_row((UUID(int=number % users), category, key, value, said_at, f"turn-{number}"))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("vacuum analyze public.profiles, public.memories")


def calls(number: int, user: UUID) -> list[tuple[str, dict[str, Any]]]:
    """What a job asks for at its start, and what it writes when somebody states something."""
    item = {
        "category": "FACT",
        "key": f"user_input_new_{number}",
        "value": "I have moved to the coast, to a small house with a garden",
        "said_at": datetime.now(UTC).isoformat(),
        "source": f"new-turn-{number}",
    }
    start = {
        "p_user_id": str(user),
        "p_email": None,
        "p_thread": "bench",
        "p_job": f"job-{number}",
        "p_room": "bench",
        "p_resume_seconds": 1800,
        "p_turns": 20,
    }
    return [("start_session", start), ("remember", {"p_user_id": str(user), "p_items": [item]})]


@contextmanager
def direct(dsn: str) -> Generator[Ask]:
    """As PostgREST asks, without it."""
    with psycopg.connect(dsn) as connection:

        def ask(user: UUID, function: str, arguments: dict[str, Any]) -> None:
            claims = json.dumps({"role": "voice_agent", "sub": str(user)})
            given = {name: Jsonb(value) if isinstance(value, list) else value for name, value in arguments.items()}
            named = ", ".join(f"{name} => %({name})s" for name in given)
            connection.execute(
                "select set_config('role', 'voice_agent', true), set_config('request.jwt.claims', %s, true)", [claims]
            )
            connection.execute(f"select public.{function}({named})".encode(), given).fetchone()
            connection.commit()

        yield ask


@contextmanager
def through_postgrest(dsn: str) -> Generator[Ask]:
    with tempfile.TemporaryDirectory() as folder, PostgREST(dsn, Path(folder)) as rest:
        connection = http.client.HTTPConnection(urlsplit(rest.url).netloc, timeout=30)

        def ask(user: UUID, function: str, arguments: dict[str, Any]) -> None:
            headers = {
                "apikey": rest.publishable_key,
                "Authorization": f"Bearer {rest.token(user, 'voice_agent')}",
                "Content-Type": "application/json",
            }
            connection.request("POST", f"/rest/v1/rpc/{function}", json.dumps(arguments), headers)
            answer = connection.getresponse()
            told = answer.read()
            assert answer.status == 200, told

        yield ask
        connection.close()


def measure(asks: dict[int, Ask], users: int, times: int) -> dict[int, dict[str, dict[str, float]]]:
    """p50 and p95 in milliseconds of each function at each size, once the first calls are over.

    All sizes in turns, so that a machine that grows busy slows all of them."""
    chance = random.Random(7)  # noqa: S311 - the same people each time
    taken: dict[int, dict[str, list[float]]] = {size: {} for size in asks}
    for number in range(-max(20, times // 10), times):
        user = UUID(int=chance.randrange(users))
        for function, arguments in calls(number, user):
            for size, ask in asks.items():
                began = time.perf_counter()
                ask(user, function, arguments)
                if number >= 0:
                    taken[size].setdefault(function, []).append((time.perf_counter() - began) * 1000)
    return {size: {function: quantiles(each) for function, each in figures.items()} for size, figures in taken.items()}


def quantiles(each: list[float]) -> dict[str, float]:
    return {"p50_ms": round(statistics.median(each), 3), "p95_ms": round(statistics.quantiles(each, n=20)[-1], 3)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memories", type=int, nargs="+", default=list(SIZES), help="sizes to compare, smallest first")
    parser.add_argument("--full", action="store_true", help=f"the sizes {FULL[0]:,} and {FULL[1]:,}")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=1000, help="calls of each function at each size")
    parser.add_argument("--sql", action="store_true", help="without PostgREST")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    sizes = list(FULL) if arguments.full else arguments.memories

    way = direct if arguments.sql else through_postgrest
    try:
        with Postgres() as postgres, ExitStack() as stack:
            asks: dict[int, Ask] = {}
            for memories in sizes:
                dsn = postgres.fresh_database()
                load(dsn, arguments.users, memories)
                asks[memories] = stack.enter_context(way(postgres.as_authenticator(dsn)))
            measured = measure(asks, arguments.users, arguments.calls)
            version = postgres.version
    except Unavailable as why:
        print(why, file=sys.stderr)
        return 2

    first, last = measured[sizes[0]], measured[sizes[-1]]
    ratios = {function: round(last[function]["p95_ms"] / first[function]["p95_ms"], 2) for function in first}
    result = {
        "postgres": version,
        "through": "sql" if arguments.sql else "postgrest",
        "users": arguments.users,
        "calls": arguments.calls,
        "memories": {str(memories): figures for memories, figures in measured.items()},
        "p95_ratio": ratios,
        "aim": AIM,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"Postgres {version}, {arguments.users:,} people, {result['through']}, milliseconds")
        for memories, figures in measured.items():
            for function, row in figures.items():
                print(f"  {memories:>9,} memories  {function:<14} p50 {row['p50_ms']:>8}   p95 {row['p95_ms']:>8}")
        print(f"  p95 at the largest size by that at the smallest: {ratios} (aim: at most {AIM})")
    return 0 if max(ratios.values()) <= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
