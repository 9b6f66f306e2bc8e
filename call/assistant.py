"""The agent of one person, and its tools."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Iterable

from livekit.agents import Agent, ModelSettings, RunContext, function_tool, llm
from livekit.agents.llm.chat_context import Instructions

import metrics
from call import prompts
from call.acquaintance import Acquaintance
from call.clock import Clock, spoken_time
from call.confirmation import SpokenConfirmation
from call.context import Chunk, InShort, Refusals, for_model, last_words
from call.services import Services
from identity import Binding, NoSessionUser, WrongSessionUser
from memory.language.named_facts import category_of, usual_key
from memory.manager import MemoryOff
from memory.recall.brief import harmless, line
from memory.records import Category, Memory
from memory.sessions.session import SessionClosed, SessionMemory
from memory.stores.protocol import StoreError
from voice.failure import patiently

log = logging.getLogger("rapport")

# So long, in seconds, an answer waits for what the question means; then memories are found by its words alone.
_LONGEST_THOUGHT = 0.1


class Assistant(Agent):
    """Whatever it reads or writes is its binding's user's."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of one call
        self,
        services: Services,
        binding: Binding,
        acquaintance: Acquaintance,
        remembering: SessionMemory,
        clock: Clock,
        apologise: Callable[[], None],
    ) -> None:
        self._memory = services.memory
        self._apologise = apologise
        self._binding = binding
        self._remembering = remembering
        self._realtime = services.settings.voice.voice_mode == "realtime"
        self._acquaintance = acquaintance
        self._clock = clock
        self._confirmation = SpokenConfirmation()
        self._refusals, self._in_short = Refusals(), InShort()
        super().__init__(instructions=self._current_instructions(), chat_ctx=acquaintance.history)

    async def get_acquainted(self, acquaintance: Acquaintance) -> None:
        """The store answered late: from now on the person is known."""
        self._acquaintance = acquaintance
        await self._refresh_realtime()

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterable[Chunk]:
        """Answer with the memories that matter for this turn beside the conversation.

        Only here, on the turn's own copy: this is the one hook that voice and text turns share, and that neither
        writes into the history nor throws a preemptive reply away. It may run for a reply that nobody will hear, so
        it writes nothing.
        """

        def ask(left_out: Collection[str], with_memory: bool) -> AsyncIterable[Chunk]:
            shaped = for_model(
                chat_ctx,
                standing=self._situation(),
                brief=self._brief if with_memory else _nothing,
                in_short=self._in_short,
                forgotten_at=self._remembering.forgotten_at,
                left_out=left_out,
            )
            return Agent.default.llm_node(self, shaped, tools, model_settings)

        await self._remembering.understand(last_words(chat_ctx.items)[0], _LONGEST_THOUGHT)
        async for chunk in patiently(self._refusals.answer(chat_ctx, ask), on_nothing=self._apologise):
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
        key = usual_key(key)
        # a name that our rules know has one category, so that a tool and a turn mean the same memory by it
        kept = await self._memory.astore(category_of(key) or category, key, value)
        await self._refresh_realtime()
        return f"Remembered: {line(kept, self._clock.zone)}"

    async def _recall(self, query: str) -> str:
        found = await self._memory.arecall(query)
        return self._lines(found) or "Nothing is remembered about that."

    async def _why(self, category: str, key: str) -> str:
        known = await self._memory.awhy(category, key)
        if known is None:
            return "Nothing is kept under that key."
        source = "They said" if known.memory.source else "They asked you to keep it, as"
        said_at = known.said_at.astimezone(self._clock.zone)
        return f"{source} on {said_at:%d %B %Y at %H:%M}: {harmless(known.words)}"

    async def _list_memories(self) -> str:
        known = await self._memory.amemories()
        return self._lines(known) or "Nothing is remembered about this person yet."

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

    def _lines(self, memories: Iterable[Memory]) -> str:
        zone = self._clock.zone
        return "\n".join(line(memory, zone) for memory in memories)

    def _situation(self) -> str:
        """What is so now, beside the agent's task. It holds none of the person's own words."""
        return f"{spoken_time(self._clock.now())} {self._acquaintance.relation(self._clock.zone)}"

    def _current_instructions(self) -> Instructions:
        """A realtime model is never asked through `llm_node`: what it shall know must stand here. For any other the
        rest is told with each turn."""
        if not self._realtime:
            return Instructions(prompts.INSTRUCTIONS)
        told = [self._situation(), self._remembering.brief("", zone=self._clock.zone)]
        return Instructions(prompts.INSTRUCTIONS, dynamic="\n".join(filter(None, told)))

    def _brief(self, question: str, already_said: Collection[str]) -> str:
        try:
            with metrics.RECALL_SECONDS.time():
                return self._remembering.brief(question, already_said, self._clock.zone)
        except SessionClosed as error:
            log.error("[MEMORY REFUSED] %s", error)
            metrics.BINDINGS_REFUSED.labels(type(error).__name__).inc()
            return ""

    async def _refresh_realtime(self) -> None:
        if self._realtime:
            await self.update_instructions(self._current_instructions().render())


def _nothing(question: str, already_said: Collection[str]) -> str:
    return ""
