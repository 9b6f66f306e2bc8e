"""How many people one worker lets in: as many as it has places for, however many come at once."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from livekit.agents import AgentServer

import agent
from room.capacity import Capacity, measured_limit


class Request:
    """The server asks for one job."""

    def __init__(self, job: str) -> None:
        self.id = job
        self.job = SimpleNamespace(metadata=f"of {job}")
        self.answer = ""
        self.attributes: dict[str, str] = {}

    async def accept(self, *, attributes: dict[str, str]) -> None:
        self.answer, self.attributes = "accepted", attributes

    async def reject(self, *, terminate: bool) -> None:
        self.answer = "refused for good" if terminate else "left to another worker"


def running(*jobs: str) -> Any:
    return SimpleNamespace(active_jobs=[SimpleNamespace(job=SimpleNamespace(id=job)) for job in jobs])


async def ask(capacity: Capacity, job: str) -> str:
    request = Request(job)
    await capacity.admit(request)  # type: ignore[arg-type]
    return request.answer


async def test_of_ten_who_come_at_once_as_many_are_let_in_as_there_are_places() -> None:
    capacity = Capacity(4)
    assert capacity.load(running()) == 0
    answers = [await ask(capacity, f"job-{i}") for i in range(10)]
    assert answers == ["accepted"] * 4 + ["left to another worker"] * 6


async def test_an_agent_shows_in_its_room_what_its_dispatch_gives_it_to_show() -> None:
    request = Request("job")
    await Capacity(1, attributes=lambda metadata: {"shown": metadata}).admit(request)  # type: ignore[arg-type]
    assert request.attributes == {"shown": "of job"}


async def test_a_place_is_free_again_when_its_job_has_ended() -> None:
    capacity = Capacity(2)
    for job in ("a", "b"):
        await ask(capacity, job)
    capacity.load(running("a", "b"))
    assert await ask(capacity, "c") == "left to another worker"
    capacity.load(running("b"))
    assert await ask(capacity, "c") == "accepted"


async def test_a_job_that_was_accepted_and_never_came_does_not_keep_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    capacity = Capacity(1)
    await ask(capacity, "lost")
    assert await ask(capacity, "next") == "left to another worker"
    monkeypatch.setattr("room.capacity._ASSIGNMENT_SECONDS", -1.0)
    assert await ask(capacity, "next") == "accepted"


@pytest.mark.parametrize("limit", [1, 2, 15, 100])
def test_the_load_stays_where_the_server_still_asks_until_the_worker_is_full(limit: int) -> None:
    capacity = Capacity(limit)
    loads = [capacity.load(running(*map(str, range(taken)))) for taken in range(limit + 1)]
    assert loads == sorted(loads)
    assert max(loads[:-1]) < 0.7
    assert loads[-1] >= 0.7


async def test_a_worker_without_memory_is_full_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=50_000_000, total=8_000_000_000))
    capacity = Capacity(10)
    with caplog.at_level(logging.WARNING):
        assert capacity.load(running()) >= 0.7
        assert await ask(capacity, "job") == "left to another worker"
    assert caplog.messages == ["[JOB REFUSED] 0 of 10 sessions are taken, 50 MB of memory are left"]


def test_the_machine_is_measured_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=64_000_000_000))
    assert measured_limit() == 30
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=200_000_000))
    assert measured_limit() == 1


def test_the_shipped_worker_decides_by_its_capacity() -> None:
    server: AgentServer = agent.server
    capacity = getattr(server.load_fnc, "__self__", None)
    assert isinstance(capacity, Capacity)
    assert server.load_fnc == capacity.load
    assert server._request_fnc == capacity.admit
    assert server._load_threshold == float("inf")
