"""A person's grant that is good now: read at each use, renewed by one process at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import httpx2

from apps.core import Connection, Refused
from apps.providers.protocol import Grant, Provider
from apps.settings import App
from apps.stores.protocol import Store, StoreFailed
from apps.stores.sealing import Sealing, Unsealable

log = logging.getLogger("rapport.apps")

RENEW_SECONDS = 3.0
"""How long a renewal may take. Its lease lasts a little longer, so that nobody begins while it goes on, and that of a
process which died keeps nobody for long."""
LEASE_SECONDS = 4.0
_POLL_SECONDS = 0.05
_PUT_TRIES = 5
RECONNECT = Refused("reconnect", "The app wants its person to sign in again.")


class Grants:
    def __init__(
        self,
        store: Store,
        sealing: Sealing,
        apps: Mapping[str, App],
        providers: Mapping[str, Provider],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._sealing = sealing
        self._apps = apps
        self._providers = providers
        self._clock = clock
        self.renewing: dict[str, asyncio.Task[None]] = {}
        """By the row that is renewed. A renewal goes on when its caller gives up: it may have spent the token."""

    def provider(self, app: str) -> Provider:
        return self._providers[self._apps[app].kind]

    def open(self, connection: Connection) -> Grant:
        """Raises `Refused` where it cannot be opened."""
        assert connection.sealed is not None  # noqa: S101
        try:
            return self._sealing.open(connection.row, connection.sealed)
        except Unsealable:
            log.error("[APPS] what is sealed for connection %s does not open: is a key missing?", connection.id)
            raise RECONNECT from None

    async def good(self, connection: Connection, *, refused: Grant | None = None) -> tuple[Connection, Grant]:
        """The connection as it is kept now, with a grant that is good; `refused`, one that the app did not take.

        Raises `Refused`, and marks the connection where only a new sign-in helps.
        """
        renewed = False
        while True:
            current = await self._store.connection(connection.person, connection.app)
            if current is None:
                raise Refused("not_connected", "This app is not connected.")
            if current.status == "expired":
                raise RECONNECT
            grant = self.open(current)
            # once is enough: a token that is over when it comes must not keep us here
            if grant != refused and (renewed or not self.provider(current.app).stale(grant, self._clock())):
                return current, grant
            if renewed:
                raise Refused("bad_app", "The app does not take what it is shown.")
            renewed = await self._renew(current, grant)

    async def _renew(self, connection: Connection, grant: Grant) -> bool:
        """Come back when it was renewed here, or when it is time to look again: another process may be at it."""
        task = self.renewing.get(connection.row)
        if task is None:
            if not await self._store.take_refresh(connection, seconds=LEASE_SECONDS):
                await asyncio.sleep(_POLL_SECONDS)
                return False
            # nobody else has come here meanwhile: the lease is ours alone
            task = self.renewing[connection.row] = asyncio.create_task(self._renewed(connection, grant))
            task.add_done_callback(lambda _: self.renewing.pop(connection.row, None))
        await asyncio.shield(task)
        return True

    async def _renewed(self, connection: Connection, grant: Grant) -> None:
        provider = self.provider(connection.app)
        try:
            async with asyncio.timeout(RENEW_SECONDS):
                renewed = await provider.renew(connection.person, grant)
        except Refused as refused:
            if refused.code == "reconnect":
                await self._store.expire(connection)
            await self._store.drop_refresh(connection)
            raise
        except (TimeoutError, httpx2.HTTPError):
            # whether the token was spent nobody knows: the next one who asks hears it from the app
            await self._store.drop_refresh(connection)
            raise Refused("app_down", "The app's sign-in does not answer just now.") from None
        await self.keep(connection, renewed)

    async def keep(self, connection: Connection, grant: Grant) -> None:
        """The old one is spent, so the new one must not be lost."""
        sealed = self._sealing.seal(connection.row, grant)
        ends_at = self.provider(connection.app).ends_at(grant)
        for left in reversed(range(_PUT_TRIES)):
            try:
                await self._store.put_refresh(connection, sealed=sealed, ends_at=ends_at)
                return
            except StoreFailed:
                if not left:
                    raise
                await asyncio.sleep(0.2)

    async def retire(self, connection: Connection) -> None:
        """Give back the part of its grant whose time is over."""
        if connection.app not in self._apps:
            return
        if await self._store.take_refresh(connection, seconds=LEASE_SECONDS):
            async with asyncio.timeout(RENEW_SECONDS):
                await self.keep(connection, await self.provider(connection.app).retire(self.open(connection)))

    async def expire(self, connection: Connection, *, scopes: str | None = None) -> None:
        await self._store.expire(connection, scopes=scopes)

    def sealed(self, connection: Connection, grant: Grant) -> Connection:
        return replace(connection, sealed=self._sealing.seal(connection.row, grant))
