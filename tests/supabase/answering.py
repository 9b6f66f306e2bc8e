"""Servers that a project can meet on its way: they answer wrongly, late, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus


class Hangs:
    """It takes the request and says nothing."""


class HangsUp:
    """It takes the request and closes the connection."""


@dataclass(frozen=True)
class Late:
    """It takes its time."""

    seconds: float
    answer: bytes


Answer = bytes | Late | Hangs | HangsUp
Behaviour = Callable[[int], Answer]
"""What the n-th request gets, from 0."""


def answer(status: int, body: str = "", content_type: str = "application/json", **headers: str) -> bytes:
    fields = {"Date": formatdate(usegmt=True), "Content-Type": content_type, "Content-Length": str(len(body.encode()))}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in (fields | headers).items()]
    return "\r\n".join([f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *lines, "", body]).encode()


def error(status: int, code: str | None, message: str = "locker-4711", **more: str) -> bytes:
    """As PostgREST refuses: with rows of the person in its details."""
    said = {"code": code, "message": message, "details": "Failing row contains (locker-4711).", "hint": None, **more}
    return answer(status, json.dumps(said))


PAGE = "<html><body>locker-4711 is away for maintenance</body></html>"


class Server:
    """`url` is where it is; `requests` counts what came; `heads` are the requests' lines and headers; `connections` are
    open now, `most` were at once."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.url = ""
        self.heads: list[str] = []
        self.connections: set[asyncio.StreamWriter] = set()
        self.most = 0

    @property
    def requests(self) -> int:
        return len(self.heads)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        self.most = max(self.most, len(self.connections))
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next(
                    (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0
                )
                await reader.readexactly(length)
                self.heads.append(head)
                match self.behaviour(self.requests - 1):
                    case Hangs():
                        await reader.read()
                        return
                    case HangsUp():
                        return
                    case Late(seconds, text):
                        await asyncio.sleep(seconds)
                        writer.write(text)
                    case text:
                        writer.write(text)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.connections.discard(writer)
            writer.close()

    def hang_up(self) -> None:
        for writer in self.connections:
            writer.close()


@asynccontextmanager
async def answering(behaviour: Behaviour | Answer) -> AsyncIterator[Server]:
    """A server that does so, while the block runs."""
    does = behaviour if callable(behaviour) else lambda _: behaviour
    server = Server(does)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        server.hang_up()
