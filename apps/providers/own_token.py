"""A server of the operator's own that takes a token of ours for each person.

There is nothing to sign in to, and no token is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from uuid import UUID

import jwt

from apps.providers.protocol import Endpoint, Grant, Started
from apps.settings import App

TOKEN_SECONDS = 300


class OwnToken:
    """HS256: `sub` is the person's UUID, `aud` the server's URL, `iss` this service."""

    def __init__(self, apps: Mapping[str, App], public_url: str, clock: Callable[[], float] = time.time) -> None:
        self._apps = apps
        self._public_url = public_url
        self._clock = clock

    async def start(self, person: UUID, app: str, *, state: str, scopes: str | None) -> Started:
        return Started(None, {"app": app})

    async def finish(self, kept: Grant, answer: Mapping[str, str]) -> Grant:
        return kept

    async def confirm(self, person: UUID, grant: Grant) -> Grant:
        return grant

    def endpoint(self, person: UUID, grant: Grant) -> Endpoint:
        app = self._apps[grant["app"]]
        assert app.url and app.own_token  # noqa: S101
        now = int(self._clock())
        claims = {"sub": str(person), "aud": app.url, "iss": self._public_url, "iat": now, "exp": now + TOKEN_SECONDS}
        token = jwt.encode(claims, app.own_token.get_secret_value(), algorithm="HS256")
        return Endpoint(app.url, {"authorization": f"Bearer {token}"}, app.local, app.private)

    def stale(self, grant: Grant, now: float) -> bool:
        return False

    def ends_at(self, grant: Grant) -> float | None:
        return None

    async def renew(self, person: UUID, grant: Grant) -> Grant:
        return grant

    async def retire(self, grant: Grant) -> Grant:
        return grant

    async def revoke(self, grant: Grant) -> None:
        pass
