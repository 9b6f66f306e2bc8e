"""The end of a call runs through all its parts, whatever fails, hangs or stops waiting."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from call.call import Call
from call.services import Services, Settings
from identity import Binding, BindingState
from memory.settings import MemorySettings
from tests.room.worker import until

PARTS = ["line", "voice session", "memory", "connections"]
ENDED = ["line", "voice session", "memory", "memory closed", "connections"]


class Parts:
    """What a call has opened; `trouble` is what happens where the part of that name ends."""

    def __init__(self, trouble: dict[str, Callable[[], Any]]) -> None:
        self.ended: list[str] = []
        self._trouble = trouble
        self.binding = Binding()
        self.binding.bind("alice@example.com")
        settings = Settings(memory=MemorySettings(memory_extraction="rules"))
        services = dataclasses.replace(Services(settings, cast("Any", None)), part_seconds=0.05)
        context = cast("Any", SimpleNamespace(job=SimpleNamespace(id="job")))
        self.call = Call(services, context, self.binding, cast("Any", self._closing("line")))
        session = self._closing("voice session")
        self.call._voice = cast("Any", SimpleNamespace(session=session, aclose=self._closing("connections").aclose))
        self.call._memory = cast(
            "Any",
            SimpleNamespace(
                end=lambda reason, seconds: self._closing("memory").aclose(),
                close=lambda: self.ended.append("memory closed"),
                stored=None,
            ),
        )

    def _closing(self, name: str) -> Any:
        async def aclose() -> int:
            if trouble := self._trouble.get(name):
                await trouble()
            self.ended.append(name)
            return 0

        return SimpleNamespace(aclose=aclose)


async def fails() -> None:
    raise RuntimeError("I have shingles")


async def hangs() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("trouble", [fails, hangs])
@pytest.mark.parametrize("part", PARTS)
async def test_what_ends_badly_keeps_nothing_else_from_its_end(
    part: str, trouble: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    parts = Parts({part: trouble})
    await parts.call.end("left")
    assert parts.ended == [each for each in ENDED if each != part]
    assert parts.binding.state is BindingState.CLOSED
    assert f"its {part} could not be ended" in caplog.text
    assert "shingles" not in caplog.text


async def test_who_stops_waiting_for_the_end_does_not_stop_it() -> None:
    going_on = asyncio.Event()
    parts = Parts({"memory": going_on.wait})
    waiting = asyncio.create_task(parts.call.end("left"))
    await until(lambda: parts.ended == ["line", "voice session"], "the end to come to the memory")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    going_on.set()
    await parts.call.end("stopped")
    assert parts.ended == ENDED
