"""The socket between a console worker and us."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

from livekit.protocol.agent_pb import agent_session as pb

from terminal.options import Options
from terminal.process import Worker, before
from terminal.sound import RATE

if TYPE_CHECKING:
    from livekit.agents.voice.remote_session import SessionTransport
else:
    SessionTransport = object  # only the type checker needs it; importing it takes 3 s, see `meet`


class ConsoleTransport(SessionTransport):
    """Our end of the socket.

    Each message is shown to `receive` before `RemoteSession` sees it: `RemoteSession` drops the audio, and an event
    that came before a response is dealt with before the request returns. `lost` is set when the worker is gone.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lost = asyncio.Event()
        self.over = asyncio.Event()
        """The agent has hung up: that the worker is gone then is no failure."""
        self.receive: Callable[[pb.AgentSessionMessage], None] = lambda _: None
        self._reader = reader
        self._writer = writer

    async def start(self) -> None:
        pass  # the worker connected to us

    async def send_message(self, msg: pb.AgentSessionMessage) -> None:
        data = msg.SerializeToString()
        self._writer.write(struct.pack(">I", len(data)) + data)  # one write: two tasks send, frames must not mix
        with contextlib.suppress(ConnectionError):  # `lost` tells, from the reading side
            await self._writer.drain()

    async def send_audio(self, frame: bytes) -> None:
        audio = pb.AgentSessionMessage.ConsoleIO.AudioFrame(
            data=frame, sample_rate=RATE, num_channels=1, samples_per_channel=len(frame) // 2
        )
        await self.send_message(pb.AgentSessionMessage(audio_input=audio))

    async def send_playback_finished(self) -> None:
        finished = pb.AgentSessionMessage.ConsoleIO.AudioPlaybackFinished()
        await self.send_message(pb.AgentSessionMessage(audio_playback_finished=finished))

    async def close(self) -> None:
        self._writer.close()

    def __aiter__(self) -> AsyncIterator[pb.AgentSessionMessage]:
        return self

    async def __anext__(self) -> pb.AgentSessionMessage:
        try:
            (length,) = struct.unpack(">I", await self._reader.readexactly(4))
            message = pb.AgentSessionMessage.FromString(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.lost.set()
            raise StopAsyncIteration from None
        self.receive(message)
        return message


async def meet(worker: Worker, options: Options, environment: Mapping[str, str]) -> ConsoleTransport:
    """Start the worker and wait for it at a port of ours.

    Raises:
        Failure: it did not come.
    """
    connected: asyncio.Future[ConsoleTransport] = asyncio.get_running_loop().create_future()

    def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not connected.done():
            connected.set_result(ConsoleTransport(reader, writer))

    async def arrive() -> None:
        # 3 s of processor time, while the worker does the same beside us.
        await asyncio.to_thread(importlib.import_module, "livekit.agents.voice.remote_session")
        await connected

    server = await asyncio.start_server(welcome, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    command = ("-m", "livekit.agents", "console", str(options.agent), "--connect-addr", address)
    try:
        await worker.start(*command, folder=options.agent.parent, environment=environment)
        if not await before(worker.ended, arrive(), options.start_timeout):
            late = f"the agent did not connect within {options.start_timeout:.0f} s"
            raise worker.failure(f"{late}; on a slow machine raise --start-timeout")
    finally:
        server.close()  # to newcomers; waiting for it would wait for the worker to hang up
    return connected.result()
