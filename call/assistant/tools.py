"""Tools that work for one person: how each is bound to them, and how a deployment adds its own."""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any, ParamSpec, TypeVar

from livekit.agents import llm
from livekit.agents.llm.utils import function_arguments_to_pydantic_model

from call.assistant import prompts
from identity import Binding, NoSessionUser, WrongSessionUser
from memory.manager import MemoryOff
from memory.stores.protocol import StoreError

log = logging.getLogger("rapport")

P = ParamSpec("P")
T = TypeVar("T")
Tool = llm.FunctionTool[..., Any]
RawTool = llm.RawFunctionTool[..., Any]

# As OpenAI takes it.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class ToolsRefused(ValueError):
    """TOOLS_MODULE cannot be used; the message says what to change."""


async def for_person(
    binding: Binding, work: Callable[P, Awaitable[T]], *args: P.args, **arguments: P.kwargs
) -> T | str:
    """Do a tool's work for the binding's user. Where their memory fails, words tell the model, so that nobody is told
    it was done."""
    try:
        with binding.entered():
            return await work(*args, **arguments)
    except MemoryOff:
        return prompts.MEMORY_IS_OFF
    except (StoreError, NoSessionUser, WrongSessionUser) as error:
        log.error("[MEMORY FAILED] %s", error)
        return prompts.MEMORY_FAILED


def bound(tool: Tool, binding: Binding, seconds: float) -> Tool:
    """A deployment's tool as this person's: it works for them alone, for so many seconds at most, and whatever it
    raises becomes words. The text of a `ToolError` is meant for the model; any other may hold what is nobody's to
    hear, and is left out."""

    @functools.wraps(tool)
    async def answer(*args: Any, **arguments: Any) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await for_person(binding, tool, *args, **arguments)
        except (llm.ToolError, llm.StopResponse):
            raise
        except (Exception, SystemExit) as error:
            log.error("[TOOL FAILED] %s: %s", tool.id, type(error).__name__)
            log.debug("[TOOL FAILED] %s", tool.id, exc_info=error)
            return prompts.TOOL_FAILED

    return llm.FunctionTool(answer, tool.info)


def load_tools(module: str, taken: Collection[str]) -> tuple[Tool, ...]:
    """The functions of a module that carry livekit's `@function_tool`. Raises `ToolsRefused`; `taken` are names that
    tools have already."""
    try:
        names = vars(importlib.import_module(module))
    except (Exception, SystemExit) as error:
        raise ToolsRefused(
            f"TOOLS_MODULE={module} cannot be imported ({type(error).__name__}: {error}): name a module that Python "
            "finds from the working directory, such as shop.tools, and mend what it raises"
        ) from error
    found: list[Tool | RawTool] = [
        value for value in names.values() if isinstance(value, llm.FunctionTool | llm.RawFunctionTool)
    ]
    if not found:
        raise ToolsRefused(
            f"TOOLS_MODULE={module} has no tools: decorate its functions with @function_tool of livekit.agents"
        )
    tools: dict[str, Tool] = {}
    for tool in found:
        if fault := next(_faults(tool, {*taken, *tools}), ""):
            raise ToolsRefused(f"TOOLS_MODULE={module}, tool {tool.id!r}: {fault}")
        if isinstance(tool, llm.FunctionTool):
            tools[tool.id] = tool
    return tuple(tools.values())


def _faults(tool: Tool | RawTool, taken: Collection[str]) -> Iterator[str]:
    """What is wrong with it, and what to change; each is looked for when it is asked for."""
    if not _NAME.fullmatch(tool.id):
        yield "no model takes this name: use up to 64 of a-z, A-Z, 0-9, _ and -"
    if tool.id in taken:
        yield "another tool has this name: give it one of its own"
    if isinstance(tool, llm.RawFunctionTool):
        yield "it has a raw schema: write its parameters as annotated arguments"
        return
    if not inspect.iscoroutinefunction(inspect.unwrap(tool)):
        yield "it is no `async def`: make it one, and await what blocks by asyncio.to_thread"
    if not (tool.info.description or "").strip():
        yield "it has no docstring: say in one what it does and when to call it, for the model reads it"
    for name, parameter in inspect.signature(tool).parameters.items():
        if parameter.annotation is parameter.empty or parameter.kind not in _BY_NAME:
            yield f"no model can give it {name!r}: annotate it, as `{name}: str`, and let it be given by its name"
    try:
        function_arguments_to_pydantic_model(tool).model_json_schema()
    except Exception as error:
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
        yield f"its parameters have no schema ({why}): use str, int, list[str] and the like"
