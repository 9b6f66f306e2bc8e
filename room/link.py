"""A link for one person in the room, and for nobody else."""

from __future__ import annotations

import asyncio
import json
from typing import Literal

from livekit import rtc
from livekit.agents.types import TOPIC_CHAT
from livekit.rtc.data_stream import StreamError

from room.participant import Caller, present

METHOD = "rapport.open_link"
"""What a page that can open links registers; it is called with `{"app": "Asana", "url": "https://…"}`."""
_RPC_SECONDS = 2.0
"""Without an own end an RPC to somebody who is not ready for it takes up to 7 s."""
_TEXT_SECONDS = 2.0


async def show_link(room: rtc.Room, caller: Caller, app: str, url: str) -> Literal["rpc", "text"] | None:
    """Show it to them: by an RPC, which alone tells that it has arrived, else as a message in their chat. None where
    they have no screen, or are not there."""
    if caller.kind != "standard" or present(room, caller.identity) != caller:
        return None
    own = room.local_participant
    try:
        async with asyncio.timeout(_RPC_SECONDS):
            link = json.dumps({"app": app, "url": url})
            await own.perform_rpc(destination_identity=caller.identity, method=METHOD, payload=link)
        return "rpc"
    except (rtc.RpcError, TimeoutError):
        pass
    try:
        async with asyncio.timeout(_TEXT_SECONDS):
            await own.send_text(f"{app}: {url}", topic=TOPIC_CHAT, destination_identities=[caller.identity])
    except (StreamError, TimeoutError):
        return None
    return "text" if present(room, caller.identity) == caller else None
