"""What a console shows beside the conversation."""

from __future__ import annotations

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
