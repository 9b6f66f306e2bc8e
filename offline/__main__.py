"""`python -m offline`: the server as a process of its own.

Once it listens it writes one JSON line to stdout, `{"event": "listening", "base_url": ...}`. It ends with 0 on
SIGINT, SIGTERM and, if asked, when its stdin closes; with 2 if the port is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import os
import signal
import sys
import threading
from types import FrameType

from offline.api.server import HOST, OfflineServer, shared_ear


def main() -> int:
    """Run until told to stop; returns the exit status."""
    options = _options()
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        reason = "is in use" if error.errno == errno.EADDRINUSE else "is not allowed"
        sys.stderr.write(f"offline: port {options.port} on {HOST} {reason}\n")
        return 2
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m offline", description="An OpenAI-compatible server, all offline.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, picks a free one")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when stdin reaches its end")
    parser.add_argument("--control", action="store_true", help="plan faults and read requests at /control/")
    return parser.parse_args()


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    _stop_on_signals(stop)
    if options.until_stdin_closes:
        _stop_with_stdin(stop)
    # Without --control nobody can read the record, and it would hold all that was said.
    async with OfflineServer(port=options.port, record=options.control, control=options.control) as server:
        sys.stdout.write(json.dumps({"event": "listening", "base_url": server.base_url}) + "\n")
        sys.stdout.flush()
        shared_ear().warm()
        await stop.wait()
    shared_ear().close()


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def handle(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    # not loop.add_signal_handler, which Windows has not
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _stop_with_stdin(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def wait() -> None:
        # os.read takes no lock of sys.stdin, so this thread cannot trouble the interpreter's end.
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="stdin", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
