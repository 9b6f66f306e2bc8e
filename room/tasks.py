"""Background tasks of one room or call."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from livekit.agents.utils.aio import cancel_and_wait

log = logging.getLogger("rapport.room")


class Tasks:
    """Background tasks that are kept until they are done; what goes wrong in one is logged."""

    def __init__(self, context: Context | None = None) -> None:
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()

    def __bool__(self) -> bool:
        """Is there one that is not done?"""
        return bool(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, context=self._context)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def cancel(self) -> None:
        await cancel_and_wait(*self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # without its text, which may quote what a person said
            calls = traceback.extract_tb(error.__traceback__)
            where = f" at {calls[-1].name}:{calls[-1].lineno}" if calls else ""
            log.error("[ROOM FAILED] %s%s", type(error).__name__, where)
