"""A console job's two ends: what it shows beside the conversation, and when it is over."""

from __future__ import annotations

import os
import signal
import threading

from google.protobuf.struct_pb2 import Struct
from livekit import rtc
from livekit.agents import AgentSession
from livekit.protocol.agent_pb.agent_session import DebugMessage


def show_in_console(session: AgentSession[None], payload: dict[str, str]) -> None:
    """Send the console a debug event of its session.

    For console jobs only: the payload carries the person's words, and in a room others may be listening.
    """
    struct = Struct()
    struct.update(payload)
    # AgentSession narrows emit() to its own events; debug messages travel beside them
    rtc.EventEmitter.emit(session, "debug_message", DebugMessage(payload=struct))


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
