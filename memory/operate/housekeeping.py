"""What one worker of a deployment does for all: sessions whose worker died are ended, and what has expired goes.

Which worker that is, a lease in the store says. It lives in the worker's main process, where nobody is bound.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from memory.records import SessionRecord
from memory.stores.protocol import Store, StoreError

log = logging.getLogger("rapport.memory")

HEARTBEAT_SECONDS = 20.0
"""How often a session says that it is alive."""
_ABANDONED_SECONDS = 3 * HEARTBEAT_SECONDS
# Longer than the pause between two sweeps; over before a server notices that a dead worker's agents are gone, after
# 21 s: who sends others must hold the lease by then.
_LEASE_SECONDS = 15.0
_PURGE_EVERY = timedelta(hours=6)
# Containers on one host's network share its name, and each has its own process 1.
_HOLDER = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Housekeeping:
    def __init__(  # noqa: PLR0913 - the times by name, and only by who is in a hurry
        self,
        open_store: Callable[[], Store],
        retention_days: int,
        on_ended: Callable[[SessionRecord], None],
        *,
        prepare: Callable[[], None] = lambda: None,
        pause: float = 10.0,
        deadline: float = 10.0,
        lease_deadline: float = 3.0,
    ) -> None:
        """`open_store` makes a store for the running event loop; `prepare` imports, in a thread before that, what takes
        longer than the lease may. Turns older than `retention_days` are deleted.

        `pause` is between two sweeps, `deadline` for one, and `lease_deadline` for the lease: who asks for that sends
        agents to people who wait in silence, and gives up after five seconds.
        """
        self._open_store = open_store
        self._prepare = prepare
        self._retention = timedelta(days=retention_days)
        self._on_ended = on_ended
        self._pause = pause
        self._deadline = deadline
        self._lease_deadline = lease_deadline
        self._store: Store | None = None
        self._purged = datetime.min.replace(tzinfo=UTC)
        self._failing = False

    async def lease(self) -> bool:
        """Is this the worker that looks after the deployment now? Without a store to say so, each one is: what two
        do at once does no harm."""
        try:
            store = await self._opened()
            async with asyncio.timeout(self._lease_deadline):
                ours = await store.take_lease("housekeeping", _HOLDER, _LEASE_SECONDS)
        except (StoreError, TimeoutError) as error:
            self._failed(error)
            return True
        self._failing = self._failing and ours  # where it is not ours, no sweep follows that would find the store well
        return ours

    async def run(self) -> None:
        """Until it is cancelled, whatever the store answers."""
        try:
            while True:
                await asyncio.sleep(self._pause)
                if await self.lease():
                    await self.sweep()
        finally:
            if self._store:
                await self._store.aclose()

    async def sweep(self) -> None:
        """End the sessions that nobody has said to be alive, and delete what has expired."""
        now = datetime.now(UTC)
        try:
            store = await self._opened()
            async with asyncio.timeout(self._deadline):
                ended = await store.end_abandoned(now - timedelta(seconds=_ABANDONED_SECONDS), "worker died")
                if now - self._purged > _PURGE_EVERY:
                    await store.purge(now - self._retention)
                    self._purged = now
        except (StoreError, TimeoutError) as error:
            self._failed(error)
            return
        self._failing = False
        for record in ended:
            log.warning("[SESSION SWEPT] its worker died, session: %s of user: %s", record.id, record.user)
            self._on_ended(record)

    async def _opened(self) -> Store:
        if self._store is None:
            await asyncio.to_thread(self._prepare)
            self._store = self._store or self._open_store()
        return self._store

    def _failed(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            log.error("[SWEEP FAILED] %r; it is tried again, and this is said once", error)
