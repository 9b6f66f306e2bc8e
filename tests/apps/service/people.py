"""Who uses the service: a job that speaks for one person, and a browser."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid5

import httpx2
import jwt
import pytest

SECRET = "a secret that jobs and the service share"
_PEOPLE = UUID("1c2a0b9e-55a4-4d43-8f0b-2f8f2f0f4d10")


class Refusal(Exception):
    def __init__(self, code: str, why: str, status: int) -> None:
        super().__init__(f"{status} {code}: {why}")
        self.code, self.why, self.status = code, why, status


async def refused(asking: Awaitable[Any]) -> str:
    """The code with which it is refused."""
    with pytest.raises(Refusal) as told:
        await asking
    return told.value.code


class Job:
    """One person's, at one process of the service."""

    def __init__(self, url: str, name: str, secret: str = SECRET, verify: Any = False) -> None:
        self.name = name
        self.person = uuid5(_PEOPLE, name)
        self._url = url
        self._secret = secret
        self._http = httpx2.AsyncClient(timeout=20, verify=verify)

    def token(self, **claims: Any) -> str:
        usual = {"sub": str(self.person), "who": self.name, "aud": "rapport-apps", "exp": int(time.time()) + 60}
        return jwt.encode(usual | claims, self._secret, algorithm="HS256")

    async def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {token or self.token()}"}
        answer = await self._http.request(method, f"{self._url}/v1{path}", json=body, headers=headers)
        told = answer.json()
        if answer.status_code != 200:
            raise Refusal(told["code"], told["why"], answer.status_code)
        return told

    def at(self, url: str) -> Job:
        """The same person at another process."""
        return Job(url, self.name, self._secret)

    async def link(self, app: str = "tasks") -> str:
        return (await self.ask("POST", f"/apps/{app}/link"))["url"]

    async def confirm(self, code: str) -> str:
        return (await self.ask("POST", "/confirm", {"code": code}))["app"]

    async def call(self, tool: str, app: str = "tasks", **arguments: Any) -> str:
        told = await self.ask("POST", f"/tools/{app}/{tool}", {"arguments": arguments})
        return ("ERROR " if told["error"] else "") + told["text"]

    async def tools(self) -> list[str]:
        return [f"{tool['app']}.{tool['tool']}" for tool in (await self.ask("GET", "/tools"))["tools"]]

    async def status(self, app: str = "tasks") -> str:
        told = (await self.ask("GET", "/apps"))["apps"]
        return next(each["status"] for each in told if each["app"] == app)

    async def disconnect(self, app: str = "tasks") -> None:
        await self.ask("DELETE", f"/apps/{app}")

    async def connect(self, app: str = "tasks", account: str | None = None) -> None:
        """The whole flow, in a browser of their own."""
        page = await Browser().sign_in(await self.link(app), account or self.name)
        assert await self.confirm(page.digits) == app

    async def aclose(self) -> None:
        await self._http.aclose()


@dataclass
class Page:
    status: int
    text: str
    url: str

    @property
    def why(self) -> str:
        found = re.search(r"id=why>([^<]*)<", self.text)
        return found[1] if found else ""

    @property
    def digits(self) -> str:
        found = re.search(r"id=code>([\d ]+)<", self.text)
        assert found, self.text
        return found[1].replace(" ", "")


class Browser:
    """A cookie jar and what people do with it. (A real one is in test_browser.)"""

    def __init__(self, verify: Any = False) -> None:
        self._http = httpx2.AsyncClient(timeout=20, verify=verify)

    @property
    def cookies(self) -> list[Any]:
        return list(self._http.cookies.jar)

    async def open(self, url: str) -> Page:
        return await self._follow("GET", url)

    async def press(self, url: str, **headers: str) -> Page:
        """The page's button, without going on to the app."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return _page(await self._http.post(url, headers=named))

    async def to_the_app(self, link: str) -> str:
        """Press Continue; where that leads."""
        answer = await self._http.post(link)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def pressed(self, address: str) -> str:
        """Press the only button there; where that leads."""
        return (await self._http.post(address)).headers["location"]

    async def at_the_app(self, address: str, account: str) -> str:
        """Sign in there; the address that it sends the browser back to."""
        page = await self._follow("GET", address)
        answer = await self._http.post(page.url, data={"account": account})
        return answer.headers["location"]

    async def ticket(self, address: str) -> str:
        """Of the sign-in that waits at the app."""
        return parse_qs(urlsplit((await self._follow("GET", address)).url).query)["ticket"][0]

    async def back(self, link: str, account: str) -> str:
        return await self.at_the_app(await self.to_the_app(link), account)

    async def sign_in(self, link: str, account: str) -> Page:
        return await self.open(await self.back(link, account))

    async def _follow(self, method: str, url: str) -> Page:
        answer = await self._http.request(method, url)
        while answer.is_redirect:
            answer = await self._http.get(answer.url.join(answer.headers["location"]))
        return _page(answer)


def _page(answer: httpx2.Response) -> Page:
    return Page(answer.status_code, answer.text, str(answer.url))
