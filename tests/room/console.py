"""A console in memory: what `lk agent console` is to a worker, without a terminal or a socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from google.protobuf.json_format import MessageToDict
from livekit.agents.cli import AgentsConsole
from livekit.agents.cli.tcp_console import TcpAudioInput, TcpAudioOutput
from livekit.agents.voice.remote_session import SessionTransport
from livekit.protocol.agent_pb import agent_session as wire


class Console(SessionTransport):
    """Types into the one console job of a worker, and reads what its session says."""

    def __init__(self) -> None:
        self.answers: dict[str, wire.SessionResponse] = {}
        """By the request's id."""
        self.told: list[dict[str, object]] = []
        """What is no part of the conversation: of memories, and that it is over."""
        self._typed: asyncio.Queue[wire.AgentSessionMessage | None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def connected(self) -> bool:
        return self._loop is not None

    def type(self, words: str) -> str:
        """Enter a line; its answer appears in `answers` under the id that is returned."""
        assert self._loop and self._typed
        message = wire.AgentSessionMessage(request=run_input(words))
        self._loop.call_soon_threadsafe(self._typed.put_nowait, message)
        return message.request.request_id

    # -- the session host's side, in the job's loop

    async def start(self) -> None:
        self._typed = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    async def send_message(self, msg: wire.AgentSessionMessage) -> None:
        if msg.WhichOneof("message") == "response":
            self.answers[msg.response.request_id] = msg.response
        elif msg.event.HasField("debug_message"):
            self.told.append(MessageToDict(msg.event.debug_message.payload))

    def send_message_threadsafe(self, msg: wire.AgentSessionMessage) -> None:
        pass  # sound, which this console does not play

    async def close(self) -> None:
        if self._typed:
            self._typed.put_nowait(None)

    async def __anext__(self) -> wire.AgentSessionMessage:
        assert self._typed
        message = await self._typed.get()
        if message is None:
            raise StopAsyncIteration
        return message

    def __aiter__(self) -> Console:
        return self


def run_input(words: str) -> wire.SessionRequest:
    """What whoever may speak to a session's host sends to type something."""
    return wire.SessionRequest(request_id=words, run_input=wire.SessionRequest.RunInput(text=words))


@contextlib.contextmanager
def console() -> Iterator[Console]:
    """Put a text console where the framework looks for one, for the next fake job. Needs an `Edge` in place."""
    it = Console()
    with pytest.MonkeyPatch.context() as patch:
        stand_in = AgentsConsole()
        stand_in.enabled = True
        stand_in.console_mode = "text"
        stand_in._tcp_transport = it  # type: ignore[assignment]
        stand_in._tcp_audio_input = TcpAudioInput()
        stand_in._tcp_audio_output = TcpAudioOutput(it)  # type: ignore[arg-type]
        patch.setattr(AgentsConsole, "_instance", stand_in)
        yield it
