"""The stack that the tests of this folder share: one server, one set of models, one worker for the whole session.

People and rooms get fresh names in each test, so that tests share a store and know nothing of each other.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.stack.livekit_server import LiveKitServer, needed
from tests.stack.models import Asked, Models
from tests.stack.process import Program
from tests.stack.worker import Worker


@pytest.fixture(scope="session")
def livekit_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitServer]:
    capture = cast("Any", request.config.pluginmanager.getplugin("capturemanager"))
    with capture.global_and_fixture_disabled():  # nobody should wait for minutes without knowing why
        executable = needed(lambda what: print(f"\n{what}", file=sys.stderr, flush=True))  # noqa: T201
    with LiveKitServer(executable, tmp_path_factory.mktemp("livekit")) as server:
        yield server


@pytest.fixture(scope="session")
def models() -> Iterator[Models]:
    with Models() as models:
        yield models


@pytest.fixture(scope="session")
def worker(livekit_server: LiveKitServer, models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    with Worker(livekit_server, models.base_url, folder / "home", folder / "worker.log") as worker:
        yield worker


@pytest.fixture
def asked(models: Models) -> Asked:
    """What reaches the models during this test."""
    return Asked(models)


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """`fresh("alice")` is an identity (or a room) that no other test has; the same one for the whole test."""
    mark = secrets.token_hex(3)
    return lambda name: f"{name}.{mark}@example.com"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("rooms")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show how the logs of the worker and of the server end, beside a failure."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            program = getattr(value, "program", None)
            if isinstance(program, Program):
                report.sections.append((f"{program.name}: {program.log}", program.tail()))
    return report


@pytest.fixture(scope="session")
def speech() -> Path:
    return Path(__file__).parent.parent / "fixtures" / "speech"
