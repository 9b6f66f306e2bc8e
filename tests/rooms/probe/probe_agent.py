"""The shipped worker, with code in every place that may ask whom it works for. Each answers with a line of the log.

In a folder of its own: the framework puts the folder of what it starts first on the import path.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterable
from typing import Any

from livekit import rtc
from livekit.agents import AgentServer, JobContext, JobProcess, ModelSettings, RunContext, function_tool, llm

import agent
import call.call
from identity import NoSessionUser, current_user

log = logging.getLogger("rapport.probe")


def ask(place: str) -> None:
    try:
        who = current_user().identity
    except NoSessionUser:
        who = "nobody"
    log.info("[PROBE] %s: %s", place, who)


class ProbedAssistant(call.call.Assistant):
    async def on_enter(self) -> None:
        ask("on_enter")

    async def on_exit(self) -> None:
        ask("on_exit")

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        ask("on_user_turn_completed")

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterable[Any]:
        words = next((m.text_content for m in reversed(chat_ctx.messages()) if m.role == "user"), "")
        ask(f"llm_node of {words!r:.40}")
        async for chunk in super().llm_node(chat_ctx, tools, model_settings):
            yield chunk

    @function_tool
    async def remember(self, context: RunContext[None], category: str, key: str, value: str) -> str:
        """Keep something the person asked you to remember.

        Args:
            category: FACT.
            key: A short name for it.
            value: What to remember.
        """
        ask("tool")
        return "Remembered."


async def _visit(ctx: JobContext, participant: rtc.RemoteParticipant) -> None:
    # bound or not, it runs in the context that was there before anybody was known
    ask(f"participant entrypoint of {participant.identity}")


def _listen(ctx: JobContext) -> None:
    async def called(data: rtc.RpcInvocationData) -> str:
        ask("RPC handler")
        return "done"

    async def shut_down(_: str) -> None:
        ask("shutdown callback")

    async def connected() -> None:
        ctx.room.local_participant.register_rpc_method("probe", called)

    ctx.add_participant_entrypoint(_visit)
    ctx.add_shutdown_callback(shut_down)
    ctx.room.register_text_stream_handler("probe", lambda reader, who: ask("text stream handler"))
    for event in ("participant_connected", "participant_disconnected", "data_received"):
        ctx.room.on(event, lambda *_, event=event: ask(f"room.on({event})"))
    ctx.connect = _then(ctx.connect, connected)  # type: ignore[method-assign]


def _then(first: Any, second: Any) -> Any:
    async def both(*args: Any, **kwargs: Any) -> None:
        await first(*args, **kwargs)
        await second()

    return both


def prewarm(proc: JobProcess) -> None:
    ask("prewarm")
    agent.prewarm(proc)


async def end_session(ctx: JobContext) -> None:
    ask("on_session_end")
    await agent.end_session(ctx)


async def entrypoint(ctx: JobContext) -> None:
    call.call.Assistant = ProbedAssistant  # type: ignore[misc]
    _listen(ctx)
    await agent.entrypoint(ctx)


server = AgentServer(setup_fnc=prewarm, load_fnc=lambda: 0.0, load_threshold=math.inf)
server.rtc_session(entrypoint, agent_name="probe", on_session_end=end_session)
