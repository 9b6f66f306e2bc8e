"""One person's call with an agent that has their apps: what they type, and what a scripted mind makes of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from livekit.agents import Agent, AgentSession, RunContext, function_tool, llm
from livekit.agents.voice import SpeechHandle

from apps.client import AppsClient
from apps.toolset import AppTools, Around, Way
from call.assistant.confirmation import SpokenConfirmation
from identity import IdentitySettings
from tests.apps.scripted_service import SECRET
from tests.room.models import Call, Request, ScriptedLLM
from tests.room.worker import until

Mind = Callable[[Request], str | Call]


def obey(request: Request) -> str | Call:
    """ "call NAME {ARGUMENTS}" calls it; anything else is answered with the tools there are, or what one answered."""
    if request.tool_has_answered:
        return answered(request)
    order, _, arguments = request.words.removeprefix("call ").partition(" ")
    if request.words.startswith("call ") and order in request.tools:
        return Call(order, json.loads(arguments or "{}"))
    return f"tools: {' '.join(sorted(request.tools))}"


def answered(request: Request) -> str:
    """By a tool."""
    output = request.chat_ctx.items[-1]
    assert isinstance(output, llm.FunctionCallOutput)
    return output.output


class Helper(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="Help.")

    @function_tool
    async def remember(self, what: str) -> str:
        """Remember."""
        return "ok"


@dataclass
class Talking:
    """A call that goes on."""

    person: str
    mind: Mind = obey
    delivers: Way = "rpc"
    secret: str = SECRET
    links: list[str] = field(default_factory=list[str])
    patience: list[str] = field(default_factory=list[str])
    """What was said while a tool took long."""

    def __post_init__(self) -> None:
        self.uuid = str(uuid5(IdentitySettings().identity_namespace, self.person))
        self.model = ScriptedLLM(self._answer)
        self.session: AgentSession[None] = AgentSession(llm=self.model, turn_handling={"turn_detection": "manual"})
        self.agent = Helper()
        self._confirmation = SpokenConfirmation()

    @contextlib.asynccontextmanager
    async def going_on(
        self, url: str, measure: Callable[[float, str], None] = lambda *_: None
    ) -> AsyncIterator[Talking]:
        """The tools are there once the apps have answered, or not."""
        client = AppsClient(url, self.secret, UUID(self.uuid), self.person, measure)
        around = Around(self._agreed, self._deliver, self._hold_on)
        self.apps = AppTools(client, self.agent, around, pauses=(0.05, 0.1))
        await self.session.start(self.agent)
        following = asyncio.create_task(self.apps.follow())
        try:
            await until(lambda: self.can("my_apps"), "the apps to be there, or not")
            yield self
        finally:
            following.cancel()
            await self.apps.aclose()
            await self.session.aclose()

    async def says(self, words: str) -> str:
        """What the agent answers."""
        done = await self.session.run(user_input=words)
        said = [event.item.text_content or "" for event in done.events if event.type == "message"]
        return said[-1]

    async def calls(self, tool: str, **arguments: Any) -> str:
        """What a tool answers that the person wants called."""
        return await self.says(f"call {tool} {json.dumps(arguments)}")

    async def connects(self, app: str = "tasks") -> str:
        await self.calls("connect_app", app=app)
        return await self.calls("finish_connecting", number="7142")

    def can(self, tool: str) -> bool:
        return tool in llm.ToolContext(self.agent.tools).function_tools

    def _answer(self, request: Request) -> str | Call:
        return self.mind(request)

    async def _agreed(self, context: RunContext[None], about: Any, words: str) -> bool:
        turns = [message.text_content or "" for message in context.session.history.messages() if message.role == "user"]
        return self._confirmation.given(turns, words, about)

    async def _deliver(self, app: str, url: str, minutes: int, /) -> Way:
        self.links.append(url)
        return self.delivers

    def _hold_on(self) -> SpeechHandle | None:
        self.patience.append("One moment.")
        return None
