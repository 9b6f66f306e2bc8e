"""How the service talks to an app: to no private address, along no redirect, for no answer without an end.

What others tell us, an app's metadata above all, may name any address. So each is checked when a connection to it is
made, after its name is resolved, and the connection goes to the very address that was checked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

import httpcore2
import httpx2

from apps.core import CALL_SECONDS, Outcome, Refused, outcome_of

CONNECT_SECONDS = 2.0
MAX_ANSWER_BYTES = 1024 * 1024
"""The SDK bounds an event of a stream by as much, and a plain answer not at all."""


@dataclass
class Attempt:
    """What the wire told of one request of ours: the SDK's errors do not say it."""

    connected: bool = False
    status: int | None = None
    refused: Refused | None = None
    """What to tell, where it is known better than by the status."""

    def begin(self) -> None:
        self.connected, self.status, self.refused = False, None, None

    @property
    def answered(self) -> bool:
        return self.status == 200

    @property
    def outcome(self) -> Outcome:
        return outcome_of(connected=self.connected, status=self.status)


attempt: ContextVar[Attempt | None] = ContextVar("rapport_apps_attempt", default=None)
"""Set around a request; the SDK sends it from a task that inherits it."""


def fit(url: object, *, local: bool) -> str:
    """An address that we may ask at all, before it is resolved. `local`: this machine's own, over http, will do.

    Raises `Refused`.
    """
    text = str(url)
    parts = urlsplit(text)
    if parts.scheme == "http" and not (local and _is_loopback(parts.hostname or "")):
        raise Refused("bad_app", "The app names an address that is not safe: it does not begin with https.")
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise Refused("bad_app", "The app names an address that is none.")
    return text


def client(*, local: bool, private: bool = False, auth: httpx2.Auth | None = None) -> httpx2.AsyncClient:
    """A client of its own for each connection: a shared one would share its cookies. `local`: this machine's addresses
    are allowed, and no others of private networks; `private`: all are."""
    return httpx2.AsyncClient(
        auth=auth,
        transport=_Transport(local=local, private=private),
        timeout=httpx2.Timeout(CALL_SECONDS, connect=CONNECT_SECONDS),
        follow_redirects=False,
        headers={"accept-encoding": "identity"},  # else a small answer may become a large one
        trust_env=False,
    )


@cache
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than a call. `SSL_CERT_FILE` adds a company's own."""
    return httpx2.create_ssl_context()


class _Transport(httpx2.AsyncHTTPTransport):
    """Tells the `attempt` what happens, and ends an answer that is too long."""

    def __init__(self, *, local: bool, private: bool) -> None:
        super().__init__(verify=_tls())
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_tls(),
            max_connections=10,
            keepalive_expiry=30.0,
            network_backend=_Guard(local=local, private=private),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        told = attempt.get() or Attempt()
        # a later request of the same attempt, with a new token, is told anew
        told.connected, told.status = True, None
        try:
            response = await super().handle_async_request(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol):
            told.connected = False
            raise
        told.status = response.status_code
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101
        response.stream = _Bounded(response.stream, endless=_is_event_stream(response))
        return response


def _is_event_stream(response: httpx2.Response) -> bool:
    """One that stays open: each of its events is bounded by the SDK."""
    return response.headers.get("content-type", "").lower().startswith("text/event-stream")


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, *, endless: bool) -> None:
        self._inner = inner
        self._endless = endless

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for part in self._inner:
            seen += len(part)
            if seen > MAX_ANSWER_BYTES and not self._endless:
                raise httpx2.ReadError("the answer is too long")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Guard(httpcore2.AsyncNetworkBackend):
    def __init__(self, *, local: bool, private: bool) -> None:
        # the library exports it only where anyio is installed, which a type checker cannot know
        self._inner: httpcore2.AsyncNetworkBackend = cast("Any", httpcore2).AnyIOBackend()
        self._local = local
        self._private = private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        address = await self._resolve(host, port, timeout)
        return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)

    async def _resolve(self, host: str, port: int, seconds: float | None) -> str:
        try:
            async with asyncio.timeout(seconds):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("its name was not resolved in time") from None
        except OSError:
            raise httpcore2.ConnectError("its name is not known") from None
        addresses = [str(each[4][0]) for each in found]
        if not addresses or not all(self._allowed(address) for address in addresses):
            raise httpcore2.ConnectError("its address is of a private network")
        return addresses[0]

    def _allowed(self, address: str) -> bool:
        if self._private:
            return True
        return _is_loopback(address) if self._local else _is_public(address)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    # an IPv4 address may be written as one of IPv6
    ip = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None) or ip
    return ip.is_global and not ip.is_multicast
