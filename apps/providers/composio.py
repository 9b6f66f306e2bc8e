"""Composio, over its HTTP API: its SDK costs seconds and 100 MB, and eight requests take its place.

The project's key reaches the accounts of everybody in it. It is sent to the API's own origin and nowhere else, and no
job ever has it. The project's OAuth callback verifier must be on, with our page as its address: else a sign-in takes
effect before the person has said the digits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import httpx2

from apps.core import Refused
from apps.providers.protocol import Endpoint, Grant, Started
from apps.providers.reach import client as reach
from apps.settings import App

VERIFIER = "/oauth/composio"
SESSION_SECONDS = 86_400.0
"""A session of Composio's never ends by itself."""
_SESSIONS, _ACCOUNTS = "/api/v3.1/tool_router/session", "/api/v3.1/connected_accounts"
_DONE = (200, 201)
_GONE = (400, 403, 404)


class Composio:
    def __init__(
        self, apps: Mapping[str, App], key: str, url: str, public_url: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._apps = apps
        self._key = key
        self._url = url.rstrip("/")
        self._local = urlsplit(url).scheme == "http"
        self._verifier = public_url + VERIFIER
        self._clock = clock

    async def start(self, person: UUID, app: str, *, state: str, scopes: str | None) -> Started:
        kept = await self._session(person, {"app": app, "person": str(person)})
        body = {"toolkit": self._toolkit(app), "callback_url": f"{self._verifier}?state={state}"}
        try:
            made = await self._ask("POST", f"{_SESSIONS}/{kept['session']}/link", body)
            kept["account"] = str(made["connected_account_id"])
            go_to = str(made["redirect_url"])
        except BaseException:
            await self.revoke(kept)
            raise
        return Started(go_to, kept)

    async def finish(self, kept: Grant, answer: Mapping[str, str]) -> Grant:
        if "session_uri" not in answer:
            raise Refused("bad_app", "The operator must switch on the OAuth callback verifier at Composio.")
        return kept | {"session_uri": answer["session_uri"]}

    async def confirm(self, person: UUID, grant: Grant) -> Grant:
        """Until now Composio has exchanged nothing, and it does so for the person who began."""
        body = {"session_uri": grant["session_uri"], "user_id": _user(person)}
        made = await self._ask("POST", f"{_ACCOUNTS}/complete_auth", body)
        if made["connected_account_id"] != grant["account"]:
            raise Refused("bad_app", "Composio connected another account than the one that was asked for.")
        return {key: value for key, value in grant.items() if key != "session_uri"}

    def endpoint(self, person: UUID, grant: Grant) -> Endpoint:
        if _origin(grant["url"]) != _origin(self._url):
            raise Refused("bad_app", "Composio names an address that is not its own.")
        return Endpoint(grant["url"], {"x-api-key": self._key}, self._local)

    def stale(self, grant: Grant, now: float) -> bool:
        return grant.get("session") is None or grant["session_at"] + SESSION_SECONDS <= now

    def ends_at(self, grant: Grant) -> float | None:
        return grant["session_at"] + SESSION_SECONDS if grant.get("session") else None

    async def renew(self, person: UUID, grant: Grant) -> Grant:
        status = (await self._ask("GET", f"{_ACCOUNTS}/{grant['account']}"))["status"]
        if status != "ACTIVE":
            raise Refused("reconnect", "The app wants its person to sign in again.")
        return await self._session(person, await self.retire(grant))

    async def retire(self, grant: Grant) -> Grant:
        if grant.get("session"):
            await self._ask("DELETE", f"{_SESSIONS}/{grant['session']}", gone_is_fine=True)
        return {key: value for key, value in grant.items() if key not in ("session", "session_at", "url")}

    async def revoke(self, grant: Grant) -> None:
        if account := grant.get("account"):
            await self._ask("DELETE", f"{_ACCOUNTS}/{account}?revoke_on_delete=true", gone_is_fine=True)
        await self.retire(grant)

    async def _session(self, person: UUID, grant: Grant) -> Grant:
        """One person's, with the tools that are allowed and none of Composio's own."""
        app, toolkit, off = self._apps[grant["app"]], self._toolkit(grant["app"]), {"enable": False}
        body = {
            "user_id": _user(person),
            "toolkits": {"enable": [toolkit]},
            "tools": {toolkit: {"enable": [*app.reads, *app.writes]}},
            "manage_connections": off,
            "workbench": off,
            "search": off,
            "execute": {"enable_multi_execute": False},
            "preload": {"tools": "all"},
        }
        made = await self._ask("POST", _SESSIONS, body)
        got = grant | {
            "session": str(made["session_id"]),
            "session_at": self._clock(),
            "url": str(made["mcp"]["url"]),
        }
        if made["config"]["user_id"] != _user(person):
            await self.retire(got)
            raise Refused("bad_app", "Composio made somebody else's session.")
        return got

    async def _ask(
        self, method: str, path: str, body: Grant | None = None, *, gone_is_fine: bool = False
    ) -> dict[str, Any]:
        async with reach(local=self._local) as http:
            answer = await http.request(method, self._url + path, json=body, headers={"x-api-key": self._key})
        if gone_is_fine and answer.status_code in (*_GONE, 204):
            return {}
        if answer.status_code in _GONE:
            raise Refused("reconnect", "The app wants its person to sign in again.")
        if answer.status_code not in _DONE:
            # never its body, which may repeat what we sent
            raise Refused("app_down", "Composio does not answer just now.")
        return _object(answer)

    def _toolkit(self, app: str) -> str:
        toolkit = self._apps[app].toolkit
        assert toolkit  # noqa: S101
        return toolkit


def _user(person: UUID) -> str:
    """Our own name for them, which never changes: no e-mail address, and nothing that its SDK falls back to."""
    return str(person)


def _object(answer: httpx2.Response) -> dict[str, Any]:
    try:
        found: Any = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused("bad_app", "Composio answered nothing that can be read.")
    return cast("dict[str, Any]", found)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()
