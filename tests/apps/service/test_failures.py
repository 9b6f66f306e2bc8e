"""An app that restarts, hangs, refuses, cuts or answers rubbish: in time, in words that differ by cause, and no write
twice. Whatever it was, the next call works, and other apps never notice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mcp.types import Tool, ToolAnnotations

from apps.calling import described
from apps.core import CALL_SECONDS, LIST_SECONDS, Connection
from apps.settings import App
from apps.stores.sqlite import SqliteStore
from tests.apps.service import app_server as faults
from tests.apps.service.app_server import AppServer, Fault, app_server
from tests.apps.service.conftest import Serve, listed
from tests.apps.service.people import refused

SECRET_WORDS = "milk for the cat"

FAULTS: dict[str, tuple[Fault, str, str]] = {
    "hangs": (faults.hangs, "app_down", "not_known"),
    "500": (faults.status(500), "app_down", "not_known"),
    "503": (faults.status(503), "app_down", "not_known"),
    "403": (faults.status(403), "app_down", "app_down"),
    "404": (faults.status(404), "app_down", "app_down"),
    "429": (faults.status(429), "app_down", "app_down"),
    "redirect": (faults.status(302, location="http://127.0.0.1:1/elsewhere"), "bad_app", "not_known"),
    "a web page": (faults.web_page, "bad_app", "not_known"),
    "rubbish": (faults.rubbish, "bad_app", "not_known"),
    "two megabytes": (faults.too_long, "bad_app", "not_known"),
    "cut": (faults.cut, "bad_app", "not_known"),
}


ONE_OF_A_KIND = ("hangs", "500", "404", "a web page", "two megabytes")
TABLE = [name if name in ONE_OF_A_KIND else pytest.param(name, marks=pytest.mark.thorough) for name in FAULTS]


def is_call(asked: dict[str, Any]) -> bool:
    return asked.get("method") == "tools/call"


async def in_time(asking: Awaitable[Any]) -> str:
    began = time.monotonic()
    code = await refused(asking)
    assert time.monotonic() - began < CALL_SECONDS + 0.7
    return code


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize(
    "stateless", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["sessions", "stateless"]
)
async def test_a_call_that_fails(serve: Serve, name: str, stateless: bool) -> None:
    fault, read, write = FAULTS[name]
    async with (
        app_server(stateless=stateless) as app,
        app_server() as other,
        serve(tasks=listed(app.url), notes=listed(other.url)) as here,
    ):
        # one reads, the other writes: what ends one person's session ends all that goes on in it
        alice, bob = here.job("alice"), here.job("bob")
        await alice.connect("notes")
        await asyncio.gather(alice.connect(), bob.connect())
        assert await bob.call("note", text="before") == "Noted: before"
        app.fault, app.fault_on = fault, is_call
        codes, theirs = await asyncio.gather(
            asyncio.gather(in_time(alice.call("list_tasks")), in_time(bob.call("note", text="once"))),
            alice.call("list_tasks", app="notes"),
        )
        assert codes == [read, write]
        assert theirs == "There are no open tasks."
        assert app.calls["note once"] == 0
        app.fault = None
        assert await bob.call("note", text="after") == "Noted: after"
        assert app.calls["note after"] == 1


@pytest.mark.parametrize(
    "name", ["hangs", *(pytest.param(name, marks=pytest.mark.thorough) for name in FAULTS if name != "hangs")]
)
async def test_an_app_that_fails_from_the_start(serve: Serve, name: str) -> None:
    async with (
        app_server() as app,
        app_server() as other,
        serve(tasks=listed(app.url), notes=listed(other.url)) as here,
    ):
        alice = here.job("alice")
        await alice.connect("notes")
        await alice.connect()
        app.fault = FAULTS[name][0]
        began = time.monotonic()
        told = await alice.ask("GET", "/tools")
        assert time.monotonic() - began < LIST_SECONDS + 0.7
        assert told["silent"] == ["tasks"]
        assert {tool["app"] for tool in told["tools"]} == {"notes"}
        # it never came so far that anything was done
        assert await in_time(alice.call("note", text="never")) in ("app_down", "bad_app")
        app.fault = None
        assert await alice.call("list_tasks") == "There are no open tasks."
        assert "tasks.list_tasks" in await alice.tools()


async def done_and_lost(app: AppServer) -> None:
    """From now on it does what it is asked, and its answer is lost."""

    async def does(scope: Any, receive: Any, send: Any) -> None:
        async def nothing(_: Any) -> None:
            pass

        await app.pass_on(scope, receive, nothing)
        raise ConnectionError("lost")

    app.fault, app.fault_on = does, is_call


async def test_a_write_whose_answer_is_lost_is_not_known_and_not_repeated(serve: Serve) -> None:
    async with app_server(stateless=True) as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        await alice.tools()
        await done_and_lost(app)
        assert await in_time(alice.call("note", text="once")) == "not_known"
        assert app.calls["note once"] == 1


@pytest.mark.parametrize("stateless", [False, True], ids=["sessions", "stateless"])
async def test_a_restart_is_not_noticed(serve: Serve, stateless: bool) -> None:
    async with app_server(stateless=stateless) as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        assert await alice.call("note", text="before") == "Noted: before"
        await app.restart()
        assert await alice.call("note", text="after") == "Noted: after"
        assert app.calls["note after"] == 1
        await app.restart()
        assert await alice.call("list_tasks") == "There are no open tasks."


async def test_an_app_that_is_down_was_certainly_not_asked(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        await alice.tools()
        await app.stop()
        assert await in_time(alice.call("note", text="once")) == "app_down"
        assert await in_time(alice.call("list_tasks")) == "app_down"
        assert (await alice.ask("GET", "/tools"))["silent"] == ["tasks"]
        await app.restart()
        assert await alice.call("note", text="again") == "Noted: again"


async def test_a_token_that_is_not_taken_any_more_is_renewed_in_the_call(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        await alice.tools()
        app.authority.forget_access()
        assert await alice.call("note", text="once") == "Noted: once"
        assert (app.authority.counts["refresh"], app.calls["note once"]) == (1, 1)


async def test_an_app_that_lost_all_tokens_wants_a_new_sign_in_and_gets_one(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        await alice.tools()
        app.authority.forget()
        assert await in_time(alice.call("list_tasks")) == "reconnect"
        assert await alice.status() == "expired"
        assert await alice.ask("GET", "/tools") == {"tools": [], "silent": []}
        await alice.connect()
        assert await alice.call("list_tasks") == "There are no open tasks."


async def test_an_app_that_takes_no_token_at_all_is_not_asked_for_ever(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        app.fault = faults.status(401)
        assert await in_time(alice.call("list_tasks")) == "reconnect"
        assert app.authority.counts["refresh"] == 1
        assert await in_time(alice.call("list_tasks")) == "reconnect"
        assert app.authority.counts["refresh"] == 1


async def test_what_the_app_itself_calls_a_failure_is_told_as_one(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        assert (await alice.call("fail")).startswith("ERROR ")
        assert (await alice.call("add_task", title="milk")).startswith("ERROR ")


async def test_a_long_answer_is_cut(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        assert len(await alice.call("big", kilobytes=100)) == 8_000
        assert await in_time(alice.call("big", kilobytes=2_000)) == "bad_app"
        assert await alice.call("list_tasks") == "There are no open tasks."


async def test_a_frozen_app_keeps_nobody_elses_call(serve: Serve) -> None:
    async with (
        app_server() as app,
        app_server() as other,
        serve(tasks=listed(app.url), notes=listed(other.url)) as here,
    ):
        alice, bob = here.job("alice"), here.job("bob")
        await asyncio.gather(alice.connect(), bob.connect("notes"))
        frozen = asyncio.create_task(refused(alice.call("slow", seconds=30)))
        began = time.monotonic()
        assert await bob.call("list_tasks", app="notes") == "There are no open tasks."
        assert time.monotonic() - began < 1.5
        assert await frozen == "app_down"
        assert await alice.call("list_tasks") == "There are no open tasks."


def tool(name: str, **more: Any) -> Tool:
    return Tool.model_validate({"name": name, "inputSchema": {"type": "object"}} | more)


def names(app: App, *tools: Tool) -> list[tuple[str, bool]]:
    return [(each["tool"], each["writes"]) for each in described("app", app, tools)]


def test_of_two_tools_with_one_name_the_first_is_told() -> None:
    app = App(url="https://a.example/mcp", reads=("look",))
    told = list(described("app", app, [tool("look", description="one"), tool("look", description="two")]))
    assert [each["description"] for each in told] == ["one"]


def test_an_app_can_make_itself_stricter_and_never_laxer() -> None:
    app = App(url="https://a.example/mcp", reads=("look", "peek"), writes=("put",))
    stricter, laxer = ToolAnnotations(read_only_hint=False), ToolAnnotations(read_only_hint=True)
    found = (tool("look", annotations=stricter), tool("peek"), tool("put", annotations=laxer), tool("drop"))
    assert names(app, *found) == [("look", True), ("peek", False), ("put", True)]


@pytest.mark.parametrize(
    "schema", [{}, {"type": "string"}, {"type": "object", "properties": []}, {"type": "object", "required": "name"}]
)
def test_a_tool_whose_schema_is_none_is_not_offered(schema: dict[str, Any]) -> None:
    app = App(url="https://a.example/mcp", reads=("look", "peek"))
    assert names(app, tool("look", inputSchema=schema), tool("peek")) == [("peek", False)]


def test_at_most_twelve_tools_of_an_app_and_none_that_takes_a_book_to_describe() -> None:
    app = App(url="https://a.example/mcp", reads=tuple(f"t{number}" for number in range(20)))
    long = {"inputSchema": {"type": "object", "description": "x" * 9_000}}
    found = [tool("t0", **long), *(tool(f"t{number}", description="y" * 999) for number in range(1, 20))]
    told = list(described("app", app, found))
    assert [each["tool"] for each in told] == [f"t{number}" for number in range(1, 12)]
    assert {len(each["description"]) for each in told} == {300}


class BrokenStore(SqliteStore):
    swept = asyncio.Event()

    async def connections(self, person: UUID) -> list[Connection]:
        raise RuntimeError(SECRET_WORDS)

    async def sweep(self, *, unused_seconds: float) -> list[Connection]:
        self.swept.set()
        raise RuntimeError(SECRET_WORDS)


async def test_what_goes_wrong_in_here_is_told_without_its_text(
    serve: Serve, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with app_server() as app, serve(store=BrokenStore(file), tasks=listed(app.url)) as here:
        assert await refused(here.job("alice").ask("GET", "/apps")) == "bad_app"
        keeping = asyncio.create_task(here.service.keep())
        await BrokenStore.swept.wait()
        keeping.cancel()
    assert "cleaned up; it is tried again: RuntimeError at sweep:" in caplog.text
    assert "a request failed: RuntimeError at connections:" in caplog.text
    assert SECRET_WORDS not in caplog.text
