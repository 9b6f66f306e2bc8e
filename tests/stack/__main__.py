"""Get ready what the tests of real rooms need, and say where it is: `python -m tests.stack`."""

import sys

from tests.stack.livekit_server import Unavailable, obtain


def main() -> int:
    try:
        server = obtain(lambda what: print(what, file=sys.stderr, flush=True))  # noqa: T201
    except Unavailable as why:
        print(why, file=sys.stderr)  # noqa: T201
        return 1
    print(server)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
