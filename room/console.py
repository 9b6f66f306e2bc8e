"""When a console job is over."""

from __future__ import annotations

import os
import signal
import threading


def end_with_the_console() -> None:
    """Stop this process when whoever talks to it is gone, however they went.

    A console worker outlives its connection: without this, a killed `talk.py` leaves one running for ever. `talk.py`
    holds the other end of our stdin and says so by CONSOLE_LIFELINE; elsewhere stdin may be anything, and is not read.
    """
    if os.environ.get("CONSOLE_LIFELINE") != "stdin":
        return
    main_thread = threading.main_thread().ident
    assert main_thread is not None  # noqa: S101 - a running process has one

    def wait() -> None:
        os.read(0, 1)  # returns at end of file, and nothing is ever written
        signal.pthread_kill(main_thread, signal.SIGTERM)

    threading.Thread(target=wait, name="console-lifeline", daemon=True).start()
