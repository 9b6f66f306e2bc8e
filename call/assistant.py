"""The agent of one person, and its tools."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Awaitable, Callable

from livekit.agents import Agent, ModelSettings, RunContext, function_tool, llm
from livekit.agents.llm.chat_context import Instructions
from livekit.agents.types import FlushSentinel

import metrics
from call import prompts
from call.acquaintance import Acquaintance
from call.confirmation import SpokenConfirmation
from call.services import Services
from identity import Binding, NoSessionUser, WrongSessionUser
from memory.language.named_facts import category_of
from memory.manager import MemoryOff
from memory.recall.brief import harmless, line
from memory.records import Category
from memory.sessions.session import SessionMemory
from memory.stores.protocol import StoreError
from voice.failure import patiently

log = logging.getLogger("rapport")


class Assistant(Agent):
    """Whatever it reads or writes is its binding's user's."""

    def __init__(
        self,
        services: Services,
        binding: Binding,
        acquaintance: Acquaintance,
        remembering: SessionMemory,
        apologise: Callable[[], None],
    ) -> None:
        self._memory = services.memory
        self._apologise = apologise
        self._binding = binding
        self._remembering = remembering
        self._realtime = services.settings.voice.voice_mode == "realtime"
        self._acquaintance = acquaintance
        self._confirmation = SpokenConfirmation()
        super().__init__(instructions=self._current_instructions(), chat_ctx=acquaintance.history)

    async def get_acquainted(self, acquaintance: Acquaintance) -> None:
        """The store answered late: from now on the person is known."""
        self._acquaintance = acquaintance
        await self.update_instructions(self._current_instructions().render())

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterable[llm.ChatChunk | str | FlushSentinel]:
        """Answer with the memories that matter for this turn beside the conversation.

        Only here, on the turn's own copy: this is the one hook that voice and text turns share, and that neither
        writes into the history nor throws a preemptive reply away. It may run for a reply that nobody will hear, so
        it writes nothing.
        """
        chat_ctx = self._with_memory(_without_what_is_forgotten(chat_ctx, self._remembering.forgotten_at))
        reply = Agent.default.llm_node(self, chat_ctx, tools, model_settings)
        async for chunk in patiently(reply, on_nothing=self._apologise):
            yield chunk

    @function_tool
    async def remember(self, context: RunContext[None], category: Category, key: str, value: str) -> str:
        """Keep something the person asked you to remember.

        Args:
            category: What kind of thing it is.
            key: A short name for it, such as favorite_color. The same name replaces what was kept under it.
            value: What to remember, in their own words.
        """
        return await self._told(self._remember(category, key, value))

    @function_tool
    async def recall(self, context: RunContext[None], query: str) -> str:
        """Search everything this person ever told you.

        Args:
            query: What to look for, as a few words.
        """
        return await self._told(self._recall(query))

    @function_tool
    async def why(self, context: RunContext[None], category: Category, key: str) -> str:
        """Look up why something is remembered: what the person said, and when.

        Args:
            category: The memory's category, as you see it.
            key: The memory's key, as you see it.
        """
        return await self._told(self._why(category, key))

    @function_tool
    async def list_memories(self, context: RunContext[None]) -> str:
        """Look at everything you know about this person, for instance when they ask what you know about them."""
        return await self._told(self._list_memories())

    @function_tool
    async def forget(self, context: RunContext[None], keys: list[str]) -> str:
        """Delete memories for good.

        Args:
            keys: The keys of all memories that mention what the person wants forgotten.
        """
        return await self._told(self._forget(keys))

    @function_tool
    async def forget_everything(self, context: RunContext[None], confirmation: str) -> str:
        """Delete everything you know about this person. They must say yes first, in a turn of their own.

        Args:
            confirmation: Empty on the first call; then the words with which the person agreed, exactly as they said
                them.
        """
        turns = [m.text_content or "" for m in context.session.history.messages() if m.role == "user"]
        if not self._confirmation.given(turns, confirmation):
            return prompts.REALLY_EVERYTHING
        return await self._told(self._forget_everything())

    async def _told(self, work: Awaitable[str]) -> str:
        """A tool's answer; where it failed, in words that the model can pass on, so that nobody is told it was done."""
        try:
            with self._binding.entered():
                return await work
        except MemoryOff:
            return prompts.MEMORY_IS_OFF
        except (StoreError, NoSessionUser, WrongSessionUser) as error:
            log.error("[MEMORY FAILED] %s", error)
            return prompts.MEMORY_FAILED
        except ValueError as error:
            return f"Not done: {error}."

    async def _remember(self, category: Category, key: str, value: str) -> str:
        # a name that our rules know has one category, so that a tool and a turn mean the same memory by it
        kept = await self._memory.astore(category_of(key) or category, key, value)
        await self._refresh_realtime()
        return f"Remembered: {line(kept)}"

    async def _recall(self, query: str) -> str:
        found = await self._memory.arecall(query)
        return "\n".join(map(line, found)) or "Nothing is remembered about that."

    async def _why(self, category: str, key: str) -> str:
        known = await self._memory.awhy(category, key)
        if known is None:
            return "Nothing is kept under that key."
        source = "They said" if known.memory.source else "They asked you to keep it, as"
        return f"{source} on {known.said_at:%d %B %Y at %H:%M} UTC: {harmless(known.words)}"

    async def _list_memories(self) -> str:
        known = await self._memory.amemories()
        return "\n".join(map(line, known)) or "Nothing is remembered about this person yet."

    async def _forget(self, keys: list[str]) -> str:
        known = [memory for memory in await self._memory.amemories() if memory.key in keys]
        for memory in known:
            await self._memory.aforget(memory.category, memory.key)
        await self._refresh_realtime()
        return f"Forgotten: {', '.join(memory.key for memory in known)}" if known else "Nothing is kept under that key."

    async def _forget_everything(self) -> str:
        count = await self._memory.aforget_everything()
        await self._refresh_realtime()
        return f"Everything is forgotten: {count} memories were deleted."

    def _current_instructions(self) -> Instructions:
        # A realtime model is never asked through llm_node: what it shall know must stand in its instructions.
        memory = self._remembering.brief("") if self._realtime else ""
        return Instructions(
            prompts.INSTRUCTIONS, dynamic="\n".join(filter(None, [self._acquaintance.relation, memory]))
        )

    async def _refresh_realtime(self) -> None:
        if self._realtime:
            await self.update_instructions(self._current_instructions().render())

    def _with_memory(self, chat_ctx: llm.ChatContext) -> llm.ChatContext:
        """A copy of the conversation with what is remembered put before the person's last words, in their own role:
        their words never get the authority of instructions."""
        items = chat_ctx.items
        last = max((i for i, item in enumerate(items) if item.type == "message" and item.role == "user"), default=None)
        question = "" if last is None else (getattr(items[last], "text_content", None) or "")
        with metrics.RECALL_SECONDS.time():
            block = self._remembering.brief(question, already_said={item.id for item in items})
        if not block:
            return chat_ctx
        copy = chat_ctx.copy()
        # with no words yet, before the greeting's own instructions, which stand last
        copy.items.insert(len(items) - 1 if last is None else last, llm.ChatMessage(role="user", content=[block]))
        return copy


def _without_what_is_forgotten(chat_ctx: llm.ChatContext, forgotten_at: float | None) -> llm.ChatContext:
    """The conversation from the turn on in which everything was forgotten, with its instructions."""
    if forgotten_at is None:
        return chat_ctx
    asked = max((item.created_at for item in chat_ctx.messages() if item.role == "user"), default=forgotten_at)
    since = min(asked, forgotten_at)
    kept = [item for item in chat_ctx.items if item.created_at >= since or getattr(item, "role", "") == "system"]
    calls = {item.call_id for item in kept if item.type == "function_call"}
    # a model refuses the answer of a call that it does not see
    return llm.ChatContext([i for i in kept if i.type != "function_call_output" or i.call_id in calls])
