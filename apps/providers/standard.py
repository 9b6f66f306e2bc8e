"""Any remote MCP server, by MCP's own authorization: no vendor in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol
from uuid import UUID

from mcp.client.auth import utils as helpers
from mcp.shared.auth import OAuthClientInformationFull
from pydantic import AnyUrl

from apps.core import Refused
from apps.providers import oauth
from apps.providers.protocol import Endpoint, Grant, Started
from apps.providers.reach import client as reach
from apps.settings import App

CALLBACK = "/oauth/callback"
DOCUMENT = "/oauth/client.json"


class Clients(Protocol):
    """The registrations of ours that are kept, by issuer: what one server gave us is never shown to another."""

    async def client(self, issuer: str) -> Grant | None: ...

    async def put_client(self, issuer: str, client: Grant) -> None: ...

    async def forget_client(self, issuer: str) -> None: ...


class Standard:
    def __init__(
        self,
        apps: Mapping[str, App],
        clients: Clients,
        *,
        public_url: str,
        name: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._apps = apps
        self._clients = clients
        self._name = name
        self._redirect = public_url + CALLBACK
        self._document = public_url + DOCUMENT

    def document(self) -> dict[str, object]:
        """What we are, for a server that looks it up at the address that is our name (`client_id`)."""
        return {
            "client_id": self._document,
            "client_name": self._name,
            "redirect_uris": [self._redirect],
            "grant_types": oauth.GRANTS,
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }

    async def start(self, person: UUID, app: str, *, state: str, scopes: str | None) -> Started:
        listed = self._apps[app]
        assert listed.url  # noqa: S101
        async with reach(local=listed.local, private=listed.private) as http:
            server = await oauth.discover(http, listed.url, local=listed.local)
            known = self._by_hand(listed) or self._by_document(server)
            known = known or await self._kept(server)
            if known is None:
                known = await oauth.register(http, server, name=self._name, redirect=self._redirect, local=listed.local)
                await self._clients.put_client(server.issuer, known.model_dump(mode="json", exclude_none=True))
        scope = helpers.union_scopes(listed.scope or server.scope, scopes)
        go_to, kept = oauth.authorization(server, known, redirect=self._redirect, state=state, scope=scope)
        return Started(go_to, {"app": app, "issuer": server.issuer, **self._where(listed), **kept})

    async def finish(self, kept: Grant, answer: Mapping[str, str]) -> Grant:
        async with reach(local=kept["local"], private=kept["private"]) as http:
            try:
                grant = await oauth.exchange(http, kept, answer, now=self._clock(), local=kept["local"])
            except oauth.ClientUnknown:
                await self._clients.forget_client(kept["issuer"])  # the next link registers us anew
                raise Refused("bad_app", "The app does not know us any more. Ask for a new link.") from None
        # what was granted is for the server that was listed: its address goes along, not that of a later list
        return {key: kept[key] for key in ("app", "url", "local", "private")} | grant

    async def confirm(self, person: UUID, grant: Grant) -> Grant:
        return grant

    def endpoint(self, person: UUID, grant: Grant) -> Endpoint:
        if self._apps[grant["app"]].url != grant["url"]:
            raise Refused("reconnect", "The app is at another address than the one that was signed in to.")
        return Endpoint(grant["url"], {"authorization": f"Bearer {grant['access']}"}, grant["local"], grant["private"])

    def stale(self, grant: Grant, now: float) -> bool:
        return grant["renew_at"] <= now

    def ends_at(self, grant: Grant) -> float | None:
        return None

    async def renew(self, person: UUID, grant: Grant) -> Grant:
        async with reach(local=grant["local"], private=grant["private"]) as http:
            return await oauth.refresh(http, grant, now=self._clock(), local=grant["local"])

    async def retire(self, grant: Grant) -> Grant:
        return grant

    async def revoke(self, grant: Grant) -> None:
        async with reach(local=grant["local"], private=grant["private"]) as http:
            await oauth.revoke(http, grant, local=grant["local"])

    def _where(self, app: App) -> Grant:
        return {"url": app.url, "local": app.local, "private": app.private}

    def _by_hand(self, app: App) -> OAuthClientInformationFull | None:
        if (by_hand := app.client) is None:
            return None
        secret = by_hand.client_secret
        return OAuthClientInformationFull(
            client_id=by_hand.client_id,
            client_secret=secret.get_secret_value() if secret else None,
            token_endpoint_auth_method=by_hand.token_endpoint_auth_method if secret else "none",
        )

    def _by_document(self, server: oauth.Server) -> OAuthClientInformationFull | None:
        if not helpers.is_valid_client_metadata_url(self._document):
            return None
        if not helpers.should_use_client_metadata_url(server.metadata, self._document):
            return None
        return helpers.create_client_info_from_metadata_url(self._document, [AnyUrl(self._redirect)])

    async def _kept(self, server: oauth.Server) -> OAuthClientInformationFull | None:
        if (kept := await self._clients.client(server.issuer)) is None:
            return None
        client = OAuthClientInformationFull.model_validate(kept)
        ends = client.client_secret_expires_at
        if (ends and ends < self._clock() + 60) or AnyUrl(self._redirect) not in (client.redirect_uris or []):
            return None
        return client
