"""Tools of a deployment's own: what is refused at start, and what one can do to a call."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import ToolError, function_tool, llm

from call.assistant import prompts
from call.assistant.tools import ToolsRefused, bound, load_tools
from identity import Binding, get_session_user_uuid, livekit_identity_to_uuid
from memory.manager import MemoryOff
from memory.stores.protocol import StoreError

HEAD = "import asyncio\nfrom livekit.agents import RunContext, function_tool\n"
_NUMBERS = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module where Python finds it; returns its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(source: str) -> str:
        name = f"own_{next(_NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(HEAD + source)
        return name

    return write


def test_the_functions_with_livekits_decorator_are_tools(module: Callable[[str], str]) -> None:
    name = module(
        "async def helper(): ...\n"
        "@function_tool\nasync def first(context: RunContext, count: int = 1) -> str:\n    '''One.'''\n"
        "@function_tool(name='second', description='Two.')\nasync def other() -> None: ...\n"
    )
    assert [tool.id for tool in load_tools(name, ["remember"])] == ["first", "second"]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("async def helper():\n    '''No tool.'''\n", r"has no tools: decorate .* @function_tool"),
        ("raise RuntimeError('no database')", r"cannot be imported \(RuntimeError: no database\).* mend"),
        ("raise SystemExit('usage')", r"cannot be imported \(SystemExit: usage\)"),
        ("import no_such_library", r"cannot be imported \(ModuleNotFoundError: No module named 'no_such_library'\)"),
        ("def", r"cannot be imported \(SyntaxError"),
        ("@function_tool\nasync def remember():\n    '''Mine.'''\n", "'remember': another tool has this name"),
        (
            "@function_tool\nasync def a():\n    '''A.'''\n@function_tool(name='a')\nasync def b():\n    '''B.'''\n",
            "'a': another tool has this name",
        ),
        ("@function_tool(name='a b')\nasync def a():\n    '''A.'''\n", "'a b': no model takes this name"),
        ("@function_tool\nasync def größe():\n    '''A.'''\n", "no model takes this name"),
        ("@function_tool\ndef a():\n    '''A.'''\n", "it is no `async def`: make it one, and await"),
        ("@function_tool\nasync def a(): ...\n", "it has no docstring: say in one"),
        ("@function_tool\nasync def a():\n    '''\n    Args:\n        x: y\n    '''\n", "it has no docstring"),
        ("@function_tool\nasync def a(x):\n    '''A.'''\n", "no model can give it 'x': annotate it, as `x: str`"),
        ("@function_tool\nasync def a(*x: int):\n    '''A.'''\n", "no model can give it 'x'"),
        ("@function_tool\nasync def a(x: int, /):\n    '''A.'''\n", "no model can give it 'x'"),
        ("@function_tool\nasync def a(x: asyncio.Event):\n    '''A.'''\n", "no schema .* use str, int, list"),
        ("@function_tool\nasync def a(x: 'Nothing'):\n    '''A.'''\n", r"no schema \(NameError"),
        (
            "@function_tool(raw_schema={'name': 'a', 'parameters': {}})\nasync def a(raw_arguments: dict): ...\n",
            "it has a raw schema: write its parameters",
        ),
    ],
)
def test_what_cannot_be_a_tool_is_refused_with_what_to_change(
    module: Callable[[str], str], source: str, why: str
) -> None:
    name = module(source)
    with pytest.raises(ToolsRefused, match=rf"^TOOLS_MODULE={name}.*{why}"):
        load_tools(name, ["remember"])


@pytest.mark.parametrize("name", ["no_such_module", "no such module", "..", "os.nothing"])
def test_a_module_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ToolsRefused, match=r"cannot be imported .*name a module that Python finds"):
        load_tools(name, [])


# -- what one does to a call


@pytest.fixture
def alice() -> Binding:
    binding = Binding()
    binding.bind("alice@example.com")
    return binding


def as_tool(work: Callable[[], Any]) -> Any:
    @function_tool
    async def tool() -> str:
        """Do it."""
        return await work()

    return tool


async def test_it_works_for_its_person_wherever_it_was_called_from_and_in_threads(alice: Binding) -> None:
    async def who() -> list[str]:
        return [str(get_session_user_uuid()), str(await asyncio.to_thread(get_session_user_uuid))]

    bob = Binding()
    bob.bind("bob@example.com")
    with bob.entered():
        answered = await bound(as_tool(who), alice, 5)()
        assert get_session_user_uuid() == livekit_identity_to_uuid("bob@example.com")
    assert answered == [str(livekit_identity_to_uuid("alice@example.com"))] * 2


async def raises(error: BaseException) -> str:
    raise error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("her PIN is 1234"), prompts.TOOL_FAILED),
        (ValueError("her PIN is 1234"), prompts.TOOL_FAILED),
        (TimeoutError("her PIN is 1234"), prompts.TOOL_FAILED),
        (SystemExit("her PIN is 1234"), prompts.TOOL_FAILED),
        (StoreError("off"), prompts.MEMORY_FAILED),
        (MemoryOff(), prompts.MEMORY_IS_OFF),
    ],
)
async def test_what_it_raises_becomes_words_and_its_text_is_not_logged(
    alice: Binding, error: BaseException, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert await bound(as_tool(lambda: raises(error)), alice, 5)() == told
    assert "1234" not in caplog.text
    assert (f"[TOOL FAILED] tool: {type(error).__name__}" in caplog.text) is (told is prompts.TOOL_FAILED)


@pytest.mark.parametrize("error", [ToolError("no such ticket"), llm.StopResponse()])
async def test_what_is_meant_for_the_model_reaches_it(alice: Binding, error: Exception) -> None:
    with pytest.raises(type(error)):
        await bound(as_tool(lambda: raises(error)), alice, 5)()


async def test_a_slow_one_is_given_up(alice: Binding) -> None:
    ended: list[str] = []

    async def hang() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return ""

    assert await bound(as_tool(hang), alice, 0.01)() == prompts.TOOL_FAILED
    assert ended == ["cancelled"]


async def test_when_the_call_has_ended_it_is_nobodys(alice: Binding) -> None:
    async def who() -> str:
        await going_on.wait()
        return str(get_session_user_uuid())

    going_on = asyncio.Event()
    working = asyncio.create_task(bound(as_tool(who), alice, 5)())
    await asyncio.sleep(0)
    alice.close()
    going_on.set()
    assert await working == prompts.MEMORY_FAILED
