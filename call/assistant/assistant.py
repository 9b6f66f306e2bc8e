"""The agent of one person, and its tools."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Collection, Hashable, Iterable
from contextlib import suppress
from typing import Any, Concatenate, cast

from livekit import rtc
from livekit.agents import (
    Agent,
    ConversationItemAddedEvent,
    ModelSettings,
    RunContext,
    UserStateChangedEvent,
    function_tool,
    llm,
)
from livekit.agents.llm.chat_context import Instructions
from livekit.agents.voice import SpeechHandle

import metrics
from call.acquaintance import Acquaintance
from call.assistant import prompts
from call.assistant.confirmation import SpokenConfirmation
from call.assistant.context import (
    Chunk,
    InShort,
    Refusals,
    for_model,
    last_words,
    since_forgotten,
    take_out,
    take_out_of_tools,
    without_unsaid,
)
from call.assistant.heard import Heard
from call.assistant.tools import P, Tool, bound, for_person, load_tools
from call.clock import Clock, spoken_time
from call.language import SpokenLanguage
from call.services import Services
from call.turns import turn_of
from identity import Binding
from memory.language.keys import canonical_key
from memory.language.named_facts import category_of
from memory.recall.brief import harmless, line
from memory.recall.redaction import Redaction, sharing_a_word
from memory.records import Category, Memory
from memory.sessions.live import Action
from memory.sessions.session import SessionClosed, SessionMemory
from voice.failure import Apology, patiently

log = logging.getLogger("rapport")

NOTHING_THERE = "Nothing is kept under that key."
# So long, in seconds, an answer waits for what the question means; then memories are found by its words alone.
_LONGEST_THOUGHT = 0.1


def _tool(
    work: Callable[Concatenate[Assistant, P], Awaitable[str]],
) -> llm.FunctionTool[Concatenate[Assistant, P], Any]:
    """A tool of ours, for the agent's person. What is wrong with the arguments it says in words."""

    @function_tool
    @functools.wraps(work)
    async def answer(agent: Assistant, /, *args: P.args, **arguments: P.kwargs) -> str:
        try:
            return await for_person(agent.binding, work, agent, *args, **arguments)
        except ValueError as error:
            return f"Not done: {error}."

    return answer


class Assistant(Agent):
    """Whatever it reads or writes is its binding's user's."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of one call
        self,
        services: Services,
        binding: Binding,
        acquaintance: Acquaintance,
        remembering: SessionMemory,
        clock: Clock,
        apology: Apology,
        language: SpokenLanguage | None = None,
    ) -> None:
        self._memory = services.memory
        self._apology = apology
        self._language = language or SpokenLanguage()
        self.binding = binding
        self._remembering = remembering
        self._realtime = services.settings.voice.voice_mode == "realtime"
        self._acquaintance = acquaintance
        self._clock = clock
        self.goodbye = asyncio.Event()
        """The person has said goodbye, and heard the agent's."""
        self._leaving: SpeechHandle | None = None
        """What the agent says to a person who wants to go."""
        self._character = services.settings.character
        self._confirmation = SpokenConfirmation()
        self._found: dict[str, list[Memory]] = {}
        """By what the person is asked about, what was found: they have not said yes yet."""
        self._forgotten: list[tuple[float, Redaction]] = []
        """When, in seconds since the epoch, and what."""
        self._cleaning: asyncio.Task[None] | None = None
        self._refusals, self._in_short = Refusals(), InShort()
        self._heard: Heard | None = None
        """What a realtime model has heard."""
        self._told = ""
        """What it is told of the memories."""
        self._correcting: asyncio.Task[None] | None = None
        own, seconds = own_tools(self._character.tools_module), self._character.tool_deadline
        super().__init__(
            instructions=self._current_instructions(),
            chat_ctx=acquaintance.history,
            tools=[bound(tool, binding, seconds) for tool in own],
        )

    @property
    def sees_history(self) -> bool:
        """Whether the model has what was said before the line broke. A realtime server may refuse it."""
        if not self._realtime:
            return True
        there = {item.id for item in self.realtime_llm_session.chat_ctx.items}
        return any(item.id in there for item in self._acquaintance.history.items)

    async def on_enter(self) -> None:
        loop = self._loop = asyncio.get_running_loop()

        def take_out(redaction: Redaction | None) -> None:
            loop.call_soon_threadsafe(self._take_out, redaction)

        self._remembering.on_redacted.append(take_out)
        self.session.on("conversation_item_added", self._on_item)
        self.session.on("user_state_changed", self._on_user_state)
        if self._realtime:
            self._heard = Heard(cast("llm.RealtimeSession[Any]", self.realtime_llm_session))
            self._remembering.observers.append(self._on_memory)

    async def on_exit(self) -> None:
        self._remembering.on_redacted.clear()
        if self._realtime:
            self._remembering.observers.remove(self._on_memory)

    async def get_acquainted(self, acquaintance: Acquaintance) -> None:
        """The store answered late: from now on the person is known."""
        self._acquaintance = acquaintance
        await self._refresh_realtime()

    async def follow_language(self) -> None:
        """They speak another one now. A realtime model that hears it is told for what it says by itself."""
        await self._refresh_realtime()

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterable[Chunk]:
        """Answer with the memories that matter for this turn beside the conversation.

        Only here, on the turn's own copy: this is the one hook that voice and text turns share, and that neither
        writes into the history nor throws a preemptive reply away. It may run for a reply that nobody will hear, so
        it writes nothing.
        """

        for at, redaction in self._forgotten:
            take_out_of_tools(chat_ctx.items, redaction, at)

        def ask(left_out: Collection[str], with_memory: bool) -> AsyncIterable[Chunk]:
            shaped = for_model(
                chat_ctx,
                standing=self._situation(),
                brief=self._brief if with_memory else lambda _question, _said: "",
                in_short=self._in_short,
                forgotten_at=self._remembering.forgotten_at,
                left_out=left_out,
                masked=self._remembering.discretion.masked,
            )
            return Agent.default.llm_node(self, shaped, tools, model_settings)

        await self._remembering.understand(last_words(chat_ctx.items)[0], _LONGEST_THOUGHT)
        answer, hold_on = self._refusals.answer(chat_ctx, ask), self._language.phrases.hold_on
        async for chunk in patiently(answer, on_nothing=self._apology.say, hold_on=hold_on):
            yield chunk

    async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncGenerator[rtc.AudioFrame]:
        """Say it, and what is to be heard where its sound is late."""
        async for frame in self._apology.speak(text, lambda words: Agent.default.tts_node(self, words, model_settings)):
            yield frame

    @_tool
    async def remember(self, context: RunContext[None], category: Category, key: str, value: str) -> str:
        """Keep something the person asked you to remember.

        Args:
            category: What kind of thing it is.
            key: A short name for it, such as favorite_color. The same name replaces what was kept under it.
            value: What to remember, in their own words.
        """
        if self._is_private(value):
            return prompts.NOT_TO_BE_KEPT
        # a name that our rules know has one category, so that a tool and a turn mean the same memory by it
        of_rules = category_of(canonical_key(key))
        there = await self._memory.ameant([key], of_rules)
        there = [memory for memory in there if memory.category == category] or there
        category, key = (there[0].category, there[0].key) if there else (of_rules or category, canonical_key(key))
        kept = await self._memory.astore(category, key, value)
        await self._refresh_realtime()
        return f"Remembered: {line(kept, self._clock.zone)}"

    @_tool
    async def recall(self, context: RunContext[None], query: str) -> str:
        """Search everything this person ever told you.

        Args:
            query: What to look for, as a few words.
        """
        found = await self._memory.arecall(query)
        return self._lines(found) or "Nothing is remembered about that."

    @_tool
    async def why(self, context: RunContext[None], category: Category, key: str) -> str:
        """Look up why something is remembered: what the person said, and when.

        Args:
            category: The memory's category, as you see it.
            key: The memory's key, as you see it.
        """
        known = await self._memory.awhy(category, key)
        if known is None:
            return NOTHING_THERE
        source = "They said" if known.memory.source else "They asked you to keep it, as"
        said_at = known.said_at.astimezone(self._clock.zone)
        return f"{source} on {said_at:%d %B %Y at %H:%M}: {harmless(known.words)}"

    @_tool
    async def list_memories(self, context: RunContext[None]) -> str:
        """Look at everything you know about this person, for instance when they ask what you know about them."""
        known = await self._memory.amemories()
        return self._lines(known) or "Nothing is remembered about this person yet."

    @_tool
    async def still_holds(self, context: RunContext[None], what: str) -> str:
        """Bring back what was taken to hold no longer, when the person says that it still does.

        Args:
            what: The key it had, or their own words for it.
        """
        kept = await self._memory.astill_holds(what)
        await self._refresh_realtime()
        return f"It holds again: {line(kept, self._clock.zone)}" if kept else "Nothing like that has ended."

    @_tool
    async def forget(self, context: RunContext[None], keys: list[str]) -> str:
        """Delete memories for good.

        Args:
            keys: The keys of all memories that mention what the person wants forgotten.
        """
        known = await self._memory.ameant(keys)
        about = (await self._turns(context) or [""])[-1]
        if known:
            return await self._forget(known, about)
        # a key that was guessed: what was said in this call is not told with its key
        topic = " ".join(keys).replace("_", " ")
        near = sharing_a_word(await self._memory.arecall(topic), topic)
        return f"{NOTHING_THERE} What there is about it:\n{self._lines(near)}" if near else NOTHING_THERE

    @_tool
    async def forget_about(self, context: RunContext[None], topic: str, confirmation: str) -> str:
        """Delete for good whatever the person told you about a topic. They must say yes first, in a turn of their own.

        Args:
            topic: What it is about, as a few words; the same ones on both calls.
            confirmation: Empty on the first call, which finds what there is; then the words with which the person
                agreed, exactly as they said them.
        """
        if await self.agreed(context, ("forget", topic), confirmation):
            found, self._found = self._found.get(topic, []), {}
            return await self._forget(found, topic)
        found = self._found[topic] = sharing_a_word(await self._memory.arecall(topic), topic)
        return prompts.REALLY_THESE.format(self._lines(found)) if found else "Nothing is remembered about that."

    @_tool
    async def forget_everything(self, context: RunContext[None], confirmation: str) -> str:
        """Delete everything you know about this person. They must say yes first, in a turn of their own.

        Args:
            confirmation: Empty on the first call; then the words with which the person agreed, exactly as they said
                them.
        """
        if not await self.agreed(context, "forget everything", confirmation):
            return prompts.REALLY_EVERYTHING
        count = await self._memory.aforget_everything()
        await self._cleaned()
        return f"Everything is forgotten: {count} memories were deleted."

    @_tool
    async def end_call(self, context: RunContext[None]) -> str:
        """End the call, once the person says goodbye or wants to hang up; not where they thank you or pause."""
        self._leaving = context.speech_handle  # the goodbye will be a part of it
        self._leaving.add_done_callback(self._on_said)
        return prompts.ANSWERED_GOODBYE

    async def agreed(self, context: RunContext[None], about: Hashable, words: str) -> bool:
        """Has the person agreed to just this, in a turn of their own? If not, they are to be asked now."""
        return self._confirmation.given(await self._turns(context), words, about)

    def hold_on(self) -> SpeechHandle | None:
        """Ask for a moment's patience, in words that are no part of the conversation; a realtime model has no voice for
        words that are given."""
        if self.session.tts is None:
            return None
        return self.session.say(self._language.phrases.hold_on, add_to_chat_ctx=False)

    def _on_said(self, speech: SpeechHandle) -> None:
        heard = not speech.interrupted and any(isinstance(item, llm.ChatMessage) for item in speech.chat_items)
        if heard and speech is self._leaving and self.session.user_state != "speaking":
            self.goodbye.set()

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        """Who speaks before the goodbye is heard to its end does not want to go, be it too little to cut it off."""
        if event.new_state == "speaking":
            self._leaving = None

    async def _forget(self, memories: Collection[Memory], about: str) -> str:
        gone = await self._memory.aforget_these(memories, about)
        await self._cleaned()
        return prompts.FORGOTTEN if gone else "That was forgotten before."

    def _take_out(self, redaction: Redaction | None) -> None:
        """Of all that was forgotten the conversation says nothing any more; None stands for everything."""
        history = self.session.history.items
        if redaction is None:
            old = {item.id for item in history} - {item.id for item in self._since_forgotten(self.session.history)}
            history[:] = [item for item in history if item.id not in old]
            take_out(history, Redaction([]))
        else:
            self._forgotten.append((time.time(), redaction))
            take_out(history, redaction)
            take_out(self.chat_ctx.items, redaction)
        self._clean()

    def _since_forgotten(self, chat_ctx: llm.ChatContext) -> list[llm.ChatItem]:
        return since_forgotten(chat_ctx, self._remembering.forgotten_at)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        """Something was said, perhaps begun before it was forgotten; and the tool that forgot has been answered."""
        if not (self._forgotten and (turn := turn_of(event.item)) and isinstance(event.item, llm.ChatMessage)):
            return
        if turn != (left := self._remembering.late.left_of(turn)):
            event.item.content.clear()
            event.item.content += filter(None, [left.text])
        if self._realtime:
            self._clean()

    def _clean(self) -> None:
        self._cleaning = asyncio.create_task(self._replace_conversation(self._cleaning))

    async def _replace_conversation(self, before: asyncio.Task[None] | None) -> None:
        """What the agent goes on with; a realtime model keeps the conversation itself, and forgets it there too."""
        if before:
            await asyncio.wait([before])
        for at, redaction in self._forgotten:
            take_out_of_tools(self.chat_ctx.items, redaction, at)
        try:
            await self.update_chat_ctx(without_unsaid(self._since_forgotten(self.chat_ctx)))
            await self._refresh_realtime()
        except llm.RealtimeError as error:
            log.error("[VOICE FAILED] the model was not told what to forget: %s", type(error).__name__)

    async def _cleaned(self) -> None:
        """Once the conversation says nothing of it any more."""
        await asyncio.sleep(0)
        if self._cleaning:
            await asyncio.wait([self._cleaning])

    def _lines(self, memories: Iterable[Memory]) -> str:
        zone = self._clock.zone
        return "\n".join(line(memory, zone) for memory in memories)

    def _situation(self) -> str:
        """What is so now, beside the agent's task. It holds none of the person's own words."""
        relation = self._acquaintance.relation(self._clock.zone)
        off_record = prompts.OFF_THE_RECORD if self._remembering.discretion.off_record else ""
        now = spoken_time(self._clock.now())
        return " ".join(filter(None, [now, relation, self._language.instruction, off_record]))

    def _is_private(self, value: str) -> bool:
        discretion = self._remembering.discretion
        return discretion.off_record or discretion.masked(value, by_agent=True) != value

    def _current_instructions(self) -> Instructions:
        """A realtime model is never asked through `llm_node`: what it shall know must stand here. For any other the
        rest is told with each turn."""
        if not self._realtime:
            return Instructions(self._character.instructions)
        self._told = self._remembering.brief("", zone=self._clock.zone)
        told = [self._situation(), self._told]
        return Instructions(self._character.instructions, dynamic="\n".join(filter(None, told)))

    def _brief(self, question: str, already_said: Collection[str]) -> str:
        try:
            with metrics.RECALL_SECONDS.time():
                block = self._remembering.brief(question, already_said, self._clock.zone)
                return self._remembering.discretion.without_said(block)
        except SessionClosed as error:
            log.error("[MEMORY REFUSED] %s", error)
            metrics.BINDINGS_REFUSED.labels(type(error).__name__).inc()
            return ""

    def _on_memory(self, action: Action, _: Memory) -> None:
        if action != "recalled":
            self._loop.call_soon_threadsafe(self._correct_realtime)

    def _correct_realtime(self) -> None:
        """Where what it is told holds no more. Other news it has heard itself: to tell it anew with each turn would
        cost what its provider has cached."""
        with suppress(SessionClosed):
            told = self._remembering.brief("", zone=self._clock.zone)
            if not set(self._told.splitlines()) <= set(told.splitlines()):
                self._correcting = asyncio.create_task(self._refresh_realtime())

    async def _refresh_realtime(self) -> None:
        if self._realtime:
            await self.update_instructions(self._current_instructions().render())

    async def _turns(self, context: RunContext[None]) -> list[str]:
        """The person's, with those of which nothing is left."""
        if self._heard:
            return await self._heard.turns(context.session.history)
        return [m.text_content or "" for m in context.session.history.messages() if m.role == "user"]


@functools.cache
def own_tools(module: str | None) -> tuple[Tool, ...]:
    """Those of the deployment: of TOOLS_MODULE. Raises `ToolsRefused`."""
    ours = cast("list[Tool]", llm.find_function_tools(Assistant))
    return load_tools(module, [tool.id for tool in ours]) if module else ()
