"""The models behind the worker: the offline stand-in, answering in a thread of its own.

So that it goes on while the tests' event loops come and go, and while a test's loop is busy with audio.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Self, cast

from offline.api.faults import Endpoint
from offline.api.server import OfflineServer, Record, shared_ear


class Models:
    """An `OfflineServer` while a `with` block runs; `server.fail(...)` and the rest may be called from any thread."""

    def __init__(self) -> None:
        self.server = OfflineServer()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="models", daemon=True)

    @property
    def base_url(self) -> str:
        return self.server.base_url

    def __enter__(self) -> Self:
        self._thread.start()
        shared_ear().warm()
        asyncio.run_coroutine_threadsafe(self.server.__aenter__(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.server.__aexit__(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Asked:
    """What reached the models since this was made."""

    def __init__(self, models: Models) -> None:
        self._all = models.server.requests
        self._from = len(self._all)

    def of(self, endpoint: Endpoint) -> list[Record]:
        return [record for record in self._all[self._from :] if record.endpoint == endpoint]

    @property
    def conversations(self) -> list[str]:
        """Every request to the language model, as all the text it held: instructions, memories, history."""
        return ["\n".join(_texts(record.body.get("messages"))) for record in self.of("chat")]

    @property
    def heard(self) -> list[str]:
        """Every transcript, in the order in which the recordings came."""
        return [str(record.answer) for record in self.of("transcriptions")]

    def __str__(self) -> str:
        return "\n".join(f"{r.endpoint}: {r.body} -> {r.answer}" for r in self._all[self._from :])


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return _texts(list(cast("dict[str, Any]", value).values()))
        case list():
            return [text for part in cast("list[Any]", value) for text in _texts(part)]
        case _:
            return []
