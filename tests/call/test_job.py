"""Every call that a job has begun is ended, and waited for, before the job is over."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from call.call import Call
from call.job import Job
from room.tasks import Tasks


class Ending:
    """A call, or a line, whose end waits to be let through; like a call's own, it goes on when nobody waits for it."""

    def __init__(self) -> None:
        self.line: Any = self
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended = False
        self._end: asyncio.Task[None] | None = None

    async def end(self, reason: str) -> None:
        self._end = self._end or asyncio.create_task(self._close())
        await asyncio.shield(self._end)

    async def _close(self) -> None:
        self.begun.set()
        await self.go_on.wait()
        self.ended = True


def job_with(call: Ending, line_closing: asyncio.Event) -> Job:
    async def close(_: object) -> None:
        await line_closing.wait()

    async def aclose() -> None:
        pass

    job = Job.__new__(Job)
    job._why, job._tasks = "stopped", Tasks()
    job._calls, job._ending = [cast("Call", call)], set()
    job._lines = cast("Any", SimpleNamespace(close=close, aclose=aclose))
    return job


@pytest.mark.parametrize("at", ["its line", "its end"])
async def test_a_call_that_is_just_being_put_away_is_waited_for(at: str) -> None:
    call, line_closing = Ending(), asyncio.Event()
    job = job_with(call, line_closing)
    job._tasks.spawn(job._put_away(cast("Call", call), "left"))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        if at == "its end":
            line_closing.set()
            await call.begun.wait()
        over = asyncio.create_task(job.end())
        await call.begun.wait()
        await asyncio.sleep(0.01)
        assert not over.done()
        call.go_on.set()
        await over
    assert call.ended
