"""Whatever the framework writes at INFO and above, the log holds no word of a person, no identity and no room's name.

Each line is written by the framework itself, in a job of the shipped worker. One handler, which is asked first and has
no filter, shows that the line does quote; the ones behind it are those of production and of development.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gc
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import APIStatusError, llm, utils
from livekit.agents.cli.log import ColoredFormatter, JsonFormatter
from livekit.protocol import models

from call import logs
from identity import pseudonym
from room.tasks import Tasks
from tests.conftest import ROOT
from tests.room.edge import Edge, EdgeRoom, edge
from tests.room.models import Call, ScriptedSTT, spoken
from tests.room.product import Product, shipped
from tests.room.worker import until, working

ALICE = "alice.wonder@example.com"
ILL = "I have shingles"
PLANTED = ("alice", "wonder", "shingles")
WHO = "[SESSION INIT] Identity: "
"""The one line that says who."""
PARTS = ("*.py", "call/**/*.py", "memory/**/*.py", "room/**/*.py", "voice/**/*.py")
_FORMATS = {
    "json": JsonFormatter(),
    "colored": ColoredFormatter("%(asctime)s %(esc_levelcolor)s%(levelname)s %(name)s %(message)s %(extra)s"),
    "plain": logging.Formatter("%(levelname)s %(name)s %(message)s"),
}


class _Unfiltered(logging.StreamHandler[io.StringIO]):
    def addFilter(self, filter: Any) -> None:  # noqa: A002, N802 - as in its base
        """None is taken."""


class Output:
    """What the handlers wrote: `raw` without the filter, and the others with it."""

    def __init__(self) -> None:
        self.streams = {name: io.StringIO() for name in ("raw", *_FORMATS)}
        self.handlers: list[logging.Handler] = []
        for name, stream in self.streams.items():
            handler = (_Unfiltered if name == "raw" else logging.StreamHandler)(stream)
            handler.setLevel(logging.INFO)
            handler.setFormatter(_FORMATS.get(name, _FORMATS["json"]))
            self.handlers.append(handler)

    def of(self, name: str) -> str:
        return self.streams[name].getvalue()

    def fields(self, message: str) -> dict[str, Any]:
        """The JSON line whose message begins so."""
        lines = [json.loads(line) for line in self.of("json").splitlines()]
        return next(line for line in lines if line["message"].startswith(message))

    def quotes(self, name: str) -> list[str]:
        """Lines that hold a planted word and should not."""
        lines = [line for line in self.of(name).splitlines() if WHO not in line]
        return [line for line in lines if any(word in line for word in PLANTED)]

    def hides(self, word: str) -> None:
        assert word in self.of("raw"), "the framework has not quoted: the test shows nothing"
        assert [(name, self.quotes(name)) for name in _FORMATS] == [(name, []) for name in _FORMATS]


@pytest.fixture
def output() -> Iterator[Output]:
    """Handlers as the framework makes them, with the filter where the worker puts it."""
    it, root = Output(), logging.getLogger()
    before, level, root.handlers = root.handlers, root.level, it.handlers
    root.setLevel(logging.INFO)
    logs.install()
    yield it
    root.handlers = before
    root.setLevel(level)


@pytest.fixture(scope="module")
def server() -> Iterator[Edge]:
    with edge() as it:
        yield it


@pytest.fixture
def product(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: Output) -> Iterator[Product]:
    monkeypatch.setenv("LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS", "0")
    yield from shipped(tmp_path)


@pytest.fixture
def room(server: Edge, request: pytest.FixtureRequest) -> EdgeRoom:
    """A room that is called after its person, as front ends like to do."""
    it = server.room(f"alice-{request.node.name}")
    it.join(ALICE)
    return it


@contextlib.asynccontextmanager
async def call(product: Product, room: EdgeRoom) -> AsyncIterator[None]:
    """A call in which the person has been greeted, until it is over."""
    server = product.server
    async with working(server) as worker:
        known = models.Room(sid="RM_1", name=room.name)
        await server.simulate_job(room.name, room_info=known, agent_identity="agent-1")
        await product.greeted(room)
        yield
        room.close()
        await worker.idle()


# -- in a call


@pytest.mark.parametrize(
    "arguments",
    [
        {"category": "HEALTH", "key": "diagnosis", "value": ILL},
        ILL,
        {ILL: 1},
    ],
    ids=["a value that is not allowed", "no object", "another argument"],
)
async def test_the_arguments_of_a_tool_call(product: Product, room: EdgeRoom, output: Output, arguments: Any) -> None:
    product.mind = lambda request: (
        Call("remember", arguments) if request.words and not request.tool_has_answered else "Well."
    )
    async with call(product, room):
        room.text(ALICE, "Keep that.")
        await until(lambda: "lk.pii.arguments" in output.of("raw"), "the framework to complain")
    output.hides("shingles")
    assert " arguments for " in output.of("json")


async def test_the_name_of_a_tool_that_does_not_exist(product: Product, room: EdgeRoom, output: Output) -> None:
    product.mind = lambda request: Call("keep_shingles") if request.words and not request.tool_has_answered else "Well."
    async with call(product, room):
        room.text(ALICE, "Keep that.")
        await until(lambda: "keep_shingles" in output.of("raw"), "the framework to complain")
    output.hides("shingles")


async def test_words_that_come_while_the_session_closes(product: Product, room: EdgeRoom, output: Output) -> None:
    async with call(product, room):
        activity: Any = product.sessions[room.name]._activity
        activity._new_turns_blocked = True
        room.speak(ALICE, spoken(ILL))
        await until(lambda: "lk.pii.user_input" in output.of("raw"), "the words to come too late")
        activity._new_turns_blocked = False
    output.hides("shingles")
    assert "speech scheduling is paused" in output.of("json")


async def test_an_error_of_the_ears_that_quotes(
    product: Product, room: EdgeRoom, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise APIStatusError(f"cannot make sense of: {ILL}", status_code=422, retryable=True)

    async with call(product, room):
        monkeypatch.setattr(ScriptedSTT, "_recognize_impl", refuse)
        room.speak(ALICE, spoken("hello"))
        await until(lambda: ILL in output.of("raw"), "the ears to fail")
    output.hides("shingles")
    assert "APIStatusError 422" in output.of("plain"), "what has failed is said"


async def test_who_talks_and_in_which_room(product: Product, room: EdgeRoom, output: Output) -> None:
    async with call(product, room):
        await product.chat(room, ALICE, f"{ILL}.")
        room.leave(ALICE)
    output.hides(room.name)
    assert f"{WHO}{ALICE}" in output.of("json")


# -- what any library may write


async def test_an_exception_that_nobody_retrieves(output: Output) -> None:
    async def fails() -> None:
        try:
            raise LookupError(f"{ILL}, says {ALICE}")
        except LookupError as error:
            raise ValueError(ILL) from error

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    del task
    gc.collect()
    output.hides("shingles")
    assert output.fields("base_events.")["exc_info"].splitlines()[-1] == "ValueError"
    assert "\nLookupError\n" in output.fields("base_events.")["exc_info"]
    assert "test_logs.py" in output.of("plain"), "where it was raised is said"


async def test_an_exception_in_a_listener_of_the_room(output: Output) -> None:
    def fails(words: str) -> None:
        raise ValueError(words)

    emitter: rtc.EventEmitter[str] = rtc.EventEmitter()
    emitter.on("said", fails)
    emitter.emit("said", ILL)
    output.hides("shingles")
    assert output.fields("failed to emit event ")["exc_info"].endswith("\nValueError")


async def test_an_exception_in_a_task_that_the_framework_wraps(output: Output) -> None:
    @utils.log_exceptions(logger=logging.getLogger("livekit.agents"))
    async def fails() -> None:
        raise APIStatusError(ILL, status_code=400)

    with pytest.raises(APIStatusError):
        await fails()
    output.hides("shingles")
    assert output.fields("Error in ")["exc_info"].endswith("\nAPIStatusError 400")


@pytest.mark.parametrize("arguments", [ILL, f'{{"value": {ILL}'], ids=["not at all", "repaired"])
async def test_arguments_that_are_no_json(output: Output, arguments: str) -> None:
    @llm.function_tool
    async def keep(value: str) -> None:
        """Keep it."""

    with contextlib.suppress(llm.ToolError):
        llm.utils.prepare_function_arguments(fnc=keep, json_arguments=arguments)
    output.hides("shingles")


def test_what_a_template_is_filled_with(output: Output) -> None:
    log = logging.getLogger("livekit.agents")
    log.warning("%s said %r after %.1f s, try %d of %s", ALICE, ValueError("shingles"), 1.25, 2, 3)
    log.warning("%(who)s has %(count)d", {"who": ALICE, "count": 2})
    for number in (255, -9, 4821):
        log.error(f"process exited with code {number}: retrying in {number / 2}")
    log.error(ValueError(ILL))
    log.error({"who": ALICE})  # type: ignore[arg-type]
    log.error(f"{ALICE} says: {ILL}")
    output.hides("shingles")
    assert "… said 'ValueError' after 1.2 s, try 2 of 3" in output.of("plain")
    assert "… has 2" in output.of("plain")
    for told in ("255: retrying in 127.5", "-9: retrying in -4.5", "…: retrying in …"):
        assert f"process exited with code {told}\n" in output.of("plain")
    assert "test_logs.test_what_a_template_is_filled_with" in output.of("plain")


def test_fields_that_are_not_on_the_list(output: Output) -> None:
    fields = {"room": "alice", "participant": ALICE, "text": "shingles", "items": ["shingles"], "lk.pii.pin": 4821}
    known = {"job_id": "AJ_1", "attempt": 2, "streamed": True, "error": APIStatusError("shingles", status_code=401)}
    logging.getLogger("livekit.agents").warning("failed", extra={**fields, **known})
    output.hides("shingles")
    line = output.fields("failed")
    assert not fields.keys() & line.keys()
    assert line["room_hash"] == pseudonym("alice")
    assert {name: line[name] for name in known} == {**known, "error": "APIStatusError 401"}


def test_our_own_lines_say_what_they_say_and_debug_is_left_alone(output: Output) -> None:
    logging.getLogger("rapport.memory").warning("[MEMORY WAITING] %s", "for the store")
    assert "[MEMORY WAITING] for the store" in output.of("plain")
    record = logging.makeLogRecord({"name": "livekit", "levelno": logging.DEBUG, "msg": "said: %s", "args": ("x",)})
    assert logs.harmless(record) and record.getMessage() == "said: x"


def test_it_is_put_on_once_and_last(output: Output) -> None:
    def adds(record: logging.LogRecord) -> bool:
        record.room = "alice"
        return True

    _, *filtered = output.handlers
    for handler in filtered:
        handler.addFilter(adds)
    logs.install()
    assert [handler.filters for handler in filtered] == [[adds, logs.harmless]] * len(filtered)


# -- our own lines, which the filter takes at their word


async def test_what_is_said_of_memories_and_of_strangers(product: Product, room: EdgeRoom, output: Output) -> None:
    """Keys are made of a person's words, whoever makes them: a model, our rules, or a caller."""
    asked = {
        "Keep that.": Call("remember", {"category": "FACT", "key": "shingles_since", "value": "May"}),
        "Forget that.": Call("forget", {"keys": ["shingles_since"]}),
    }
    product.mind = lambda request: (
        "Well." if request.tool_has_answered or request.words not in asked else asked[request.words]
    )
    async with call(product, room):
        room.join("bob.wonder@example.com")
        room.text("bob.wonder@example.com", "Let me in.")
        for words in asked:
            await product.chat(room, ALICE, words)
        await product.chat(room, ALICE, "My doctor for shingles is Alice Wonder.")
    assert "[MEMORY STORED]" in output.of("plain") and "[MEMORY FORGOTTEN]" in output.of("plain")
    assert "[INPUT REFUSED]" in output.of("plain")
    assert output.quotes("plain") == []


async def test_what_is_said_of_a_task_of_ours_that_fails(output: Output) -> None:
    async def fails() -> None:
        raise ValueError(ILL)

    tasks = Tasks()
    tasks.spawn(fails())
    await until(lambda: "ValueError" in output.of("plain"), "the failure to be told")
    assert output.quotes("plain") == []


def test_nothing_that_needs_escaping_is_logged() -> None:
    """What a person or a front end chose is made `printable`: an identity is, in the one line that says who."""
    logged = [
        ast.unparse(node)
        for module in (path for part in PARTS for path in ROOT.glob(part))
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Call)
        and re.match(r"_?log\.(info|warning|error|critical|exception)$", ast.unparse(node.func))
    ]
    assert len(logged) > 30
    assert [line for line in logged if "printable(" in line and WHO not in line] == []


# -- from a process of its own


_WORKER = """
import asyncio, logging
from livekit.agents import AgentServer, JobContext
from livekit.agents.cli.log import setup_logging
from call import logs

def prewarm(process):
    logs.install()

server = AgentServer(setup_fnc=prewarm, num_idle_processes=1, port=0)
server.on("worker_started", logs.install)

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    logging.getLogger("rapport").info("[SESSION END] here")
    logging.getLogger("livekit.agents").warning("too late", extra={"lk.pii.user_input": "I have shingles"})
    raise ValueError(ctx.room.name or ctx.job.room.name)

async def main() -> None:
    setup_logging("INFO", devmode=False, console=False)
    started = asyncio.Event()
    server.once("worker_started", started.set)
    running = asyncio.create_task(server.run(devmode=True, unregistered=True))
    await started.wait()
    await server.simulate_job("alice-room", fake_job=True)
    while server.active_jobs:
        await asyncio.sleep(0.05)
    await server.aclose()
    await running
"""


@pytest.mark.parametrize("both", [True, False], ids=["both", "main alone"])
def test_a_job_in_a_process_of_its_own(tmp_path: Path, both: bool) -> None:
    """Both processes have the filter. Should a job's have none, the main process lets nothing of it out either."""
    (tmp_path / "worker.py").write_text(_WORKER if both else _WORKER.replace("    logs.install()", "    pass"))
    done = subprocess.run(
        [sys.executable, "-c", "import asyncio, worker; asyncio.run(worker.main())"],
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "LIVEKIT_API_SECRET": "secret"},
        capture_output=True,
        timeout=60,
        text=True,
    )
    said = done.stdout
    assert done.returncode == 0, done.stderr
    assert "[SESSION END] here" in said and '"job_id": "mock-job-' in said, said
    assert not any(word in said for word in PLANTED), said
    assert ("too late" in said and "ValueError" in said) is both, said
    assert f'"room_hash": "{pseudonym("alice-room", "secret")}"' in said, "who knows the room finds its lines"
