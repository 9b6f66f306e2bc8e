"""Get ready what the tests start, and say where it is: `python -m tests.stack`, or delete it again with `--remove`."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.stack import livekit_server, postgres, postgrest
from tests.stack.livekit_server import Unavailable, cache


def main(arguments: list[str]) -> int:
    if arguments == ["--remove"]:
        shutil.rmtree(cache(), ignore_errors=True)
        return 0
    if arguments:
        print("usage: python -m tests.stack [--remove]", file=sys.stderr)  # noqa: T201
        return 2
    return max(map(_obtained, (lambda: livekit_server.obtain(_tell), postgres.obtain, postgrest.obtain)))


def _obtained(obtain: Callable[[], Path]) -> int:
    try:
        print(obtain())  # noqa: T201
    except Unavailable as why:
        _tell(str(why))
        return 1
    return 0


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
