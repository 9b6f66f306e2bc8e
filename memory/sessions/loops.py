"""What each event loop of the process has of its own: a client of the store, and one of a model that embeds."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from uuid import UUID

from memory.embedding.embedders import EmbeddingsOff
from memory.records import Memory
from memory.sessions.client import StoreClient
from memory.sessions.embedding_queue import Meaning
from memory.sessions.live import LiveMemories

log = logging.getLogger("rapport.memory")


class Here:
    """One event loop's own."""

    def __init__(self, client: StoreClient, open_meaning: Callable[[StoreClient], Meaning | None]) -> None:
        self.client = client
        self.meaning: Meaning | None = None
        """None until somebody is followed, and where there is no embedder."""
        self.tells_changes = True
        """Whether the store can say what other processes changed, as far as is known."""
        self._open_meaning = open_meaning

    def opened_meaning(self) -> Meaning | None:
        """None, and a line in the log, where there can be none."""
        try:
            self.meaning = self.meaning or self._open_meaning(self.client)
        except EmbeddingsOff as error:
            log.error("[EMBEDDINGS OFF] %s; memories are found by their words alone", error)
        return self.meaning

    async def aclose(self) -> None:
        try:
            if self.meaning:
                await self.meaning.aclose()
        finally:
            await self.client.aclose()


class Loops:
    """All of them: jobs in threads of their own share it. What a loop leaves open is closed when it ends."""

    def __init__(self, open_here: Callable[[], Here]) -> None:
        self._open_here = open_here
        self._by_loop: dict[asyncio.AbstractEventLoop, tuple[Here, AsyncGenerator[None]]] = {}
        self._lock = threading.Lock()

    def here(self) -> Here:
        """The running event loop's, opened if need be. Raises `StoreError` for a store that cannot be."""
        loop = asyncio.get_running_loop()
        with self._lock:
            if loop not in self._by_loop:
                here = self._open_here()
                end = self._until_the_end(loop, here)
                with suppress(StopIteration):
                    end.asend(None).send(None)  # runs up to its yield; from now on the loop knows it
                self._by_loop[loop] = here, end
            return self._by_loop[loop][0]

    def here_if_open(self) -> Here | None:
        """The running event loop's, if there is a loop and it has any."""
        with suppress(RuntimeError, KeyError):
            return self._by_loop[asyncio.get_running_loop()][0]
        return None

    def waiting(self, user: UUID) -> int:
        """How many writes of the user wait, in all of them."""
        return sum(here.client.waiting_for(user) for here, _ in list(self._by_loop.values()))

    def drop(self, user: UUID) -> None:
        """Forget everywhere what waits for the user, who wanted it deleted."""
        for here, _ in list(self._by_loop.values()):
            here.client.drop(user)

    async def aclose(self) -> None:
        """Close the running event loop's. What still waits is lost, and logged."""
        if found := self._by_loop.get(asyncio.get_running_loop()):
            await found[1].aclose()

    async def _until_the_end(self, loop: asyncio.AbstractEventLoop, here: Here) -> AsyncGenerator[None]:
        """A generator, because `asyncio.run` closes those that are left before it closes the loop."""
        try:
            yield
        finally:
            self._by_loop.pop(loop, None)
            await here.aclose()


def let_go_of(user: UUID, live: LiveMemories, loops: Loops) -> list[Memory]:
    """Nothing of the user is known or written in this process any more: what was known. Their observers hear of it."""
    gone = live.take_out_everything(user)
    loops.drop(user)
    live.tell(user, "forgotten", gone)
    return gone
