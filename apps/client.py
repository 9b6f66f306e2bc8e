"""The service of the apps, as a job asks it: plain HTTP, in the name of one person."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import aiohttp
import jwt

AUDIENCE = "rapport-apps"
TOKEN_SECONDS = 60
CALL_SECONDS = 5.0
"""The service takes 4.5 s for a tool at most; a person waits for an answer no longer than 6."""
_CONNECT_SECONDS = 2.0


class Refused(Exception):
    """The service did not do it; `code` says why. Its own, and `service_down`: it was not reached, and nothing is done.

    No text of it goes anywhere: it may be the person's.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class AppsClient:
    """Everything of one person and one call. Make it in the loop that uses it."""

    def __init__(self, url: str, secret: str, person: UUID, who: str, measure: Callable[[float, str], None]) -> None:
        """`who` is the name that the page of a link shows; `measure` is told how long each call of a tool took, in
        seconds, and how it ended."""
        self._url = url.rstrip("/")
        self._secret = secret
        self._claims = {"sub": str(person), "who": who, "aud": AUDIENCE}
        self._measure = measure
        # one connection a request: of one that the service closed meanwhile nobody knows whether a write was read
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        )
        self._running: set[asyncio.Timeout] = set()
        self._over = False

    async def apps(self) -> list[dict[str, str]]:
        """What is offered, as `app`, `title` and `status`: available, connected or expired. Raises `Refused`."""
        return (await self._ask("GET", "/v1/apps", seconds=2.0))["apps"]

    async def tools(self) -> tuple[list[dict[str, Any]], set[str]]:
        """The tools of all connected apps, and the apps that do not answer just now. Raises `Refused`."""
        answer = await self._ask("GET", "/v1/tools", seconds=3.0)
        return answer["tools"], set(answer.get("silent", []))

    async def link(self, app: str) -> tuple[str, int]:
        """A link with which the person connects the app, and for how many minutes it is good. Raises `Refused`."""
        answer = await self._ask("POST", f"/v1/apps/{app}/link", seconds=2.0)
        return answer["url"], answer["minutes"]

    async def confirm(self, digits: str) -> str:
        """The app that is connected now. Raises `Refused`."""
        return (await self._ask("POST", "/v1/confirm", {"code": digits}, seconds=CALL_SECONDS))["app"]

    async def disconnect(self, app: str) -> None:
        """Raises `Refused`."""
        await self._ask("DELETE", f"/v1/apps/{app}", seconds=3.0)

    async def call(self, app: str, tool: str, arguments: dict[str, Any], *, writes: bool) -> tuple[str, bool]:
        """What the app answers, and whether it says that it failed. Raises `Refused`: for a write, `not_known` where it
        may have been done."""
        began, how = time.perf_counter(), "error"
        try:
            lost = "not_known" if writes else "app_down"
            path, body = f"/v1/tools/{app}/{tool}", {"arguments": arguments}
            answer = await self._ask("POST", path, body, seconds=CALL_SECONDS, lost=lost)
            how = "error" if answer["error"] else "done"
        except Refused as refused:
            how = refused.code
            raise
        finally:
            self._measure(time.perf_counter() - began, how)
        return answer["text"], answer["error"]

    def cut_short(self) -> None:
        """The call ends: nothing of what runs is waited for, and nothing more is asked."""
        self._over = True
        for deadline in self._running:
            if not deadline.expired():
                deadline.reschedule(asyncio.get_running_loop().time())

    async def aclose(self) -> None:
        self.cut_short()
        await self._http.close()

    async def _ask(
        self, method: str, path: str, body: object = None, *, seconds: float, lost: str = "app_down"
    ) -> dict[str, Any]:
        """Raises `Refused`: `lost` where the answer does not come."""
        if self._over:
            raise Refused("service_down")
        token = jwt.encode({**self._claims, "exp": int(time.time()) + TOKEN_SECONDS}, self._secret, algorithm="HS256")
        request = self._http.request(
            method, self._url + path, json=body, headers={"authorization": f"Bearer {token}"}, allow_redirects=False
        )
        try:
            async with asyncio.timeout(seconds) as deadline:
                self._running.add(deadline)
                try:
                    async with request as response:
                        answer: Any = await response.json()
                finally:
                    self._running.discard(deadline)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Refused("service_down") from error
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise Refused(lost) from error
        if response.status != 200 or not isinstance(answer, dict):
            told = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
            raise Refused(str(told.get("code", lost)))
        return cast("dict[str, Any]", answer)
