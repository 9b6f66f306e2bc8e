"""A session in each place that a LiveKit job runs our code, each started from a foreign context: the right user or
`NoSessionUser`, never another.

The places are all that the framework calls our code from. One whole job is lived through for each way of starting it,
with code in every place that asks "who is this for?"; then each place is a test of its own. What the jobs are started
from:

    nobody     a context in which nobody is bound, as in production
    script     a context in which mallory was bound outside any job
    other job  everything that another live job, bob's, has in its context

A foreign context reaches a job in two ways, and both are used: the thread that a job starts in (`adopt`, in the
setup function), and the calls that launch it and deliver its events.
"""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections import defaultdict
from collections.abc import AsyncIterable, Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any, Literal

import pytest
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    AgentTask,
    JobContext,
    JobProcess,
    ModelSettings,
    RunContext,
    function_tool,
    llm,
    stt,
)
from livekit.agents.types import TimedString
from livekit.protocol.agent_pb import agent_session as wire

from identity import (
    NoSessionUser,
    WrongSessionUser,
    get_session_livekit_identity,
    open_binding,
    set_session_user,
)
from room.participant import Attendance, RoomPolicy, RoomSettings, room_options
from room.private import Lines
from tests.room.console import run_input
from tests.room.edge import Edge, EdgeRoom
from tests.room.models import Call, Request, ScriptedLLM, ScriptedSession, spoken
from tests.room.worker import Worker, until, working

ALICE, BOB, CAROL, MALLORY = "alice@example.com", "bob@example.com", "carol@example.com", "mallory@example.com"
NOBODY, REFUSED = "NoSessionUser", "WrongSessionUser"


def who() -> str:
    """The answer of the code under test: whom does this code work for?"""
    try:
        return get_session_livekit_identity()
    except (NoSessionUser, WrongSessionUser) as error:
        return type(error).__name__


class Ledger:
    """What one job's code was told, by place. The job is known by the object that holds this, never by a context."""

    def __init__(self) -> None:
        self._answers: dict[str, list[str]] = defaultdict(list)
        self._lock = threading.Lock()

    def ask(self, place: str) -> None:
        answer = who()
        with self._lock:
            self._answers[place].append(answer)

    def __getitem__(self, place: str) -> list[str]:
        with self._lock:
            return list(self._answers.get(place, []))

    @property
    def answers(self) -> dict[str, list[str]]:
        with self._lock:
            return {place: list(answers) for place, answers in self._answers.items()}


# -- the probe: the shipped entrypoint's beginning, and code in every place


def channel(words: str) -> str:
    """Every turn begins with how it was delivered: voice, text or host."""
    first = words.partition(" ")[0]
    return first if first in {"voice", "text", "host"} else "greeting"


def mind(request: Request) -> str | Call:
    words = request.words
    for tool in ("look", "wait", "dig", "hand_over"):
        if tool in words and not request.tool_has_answered:
            return Call(tool, {"by": channel(words)})
    return f"{channel(words)} is answered."


class ProbeAgent(Agent):
    def __init__(self, ledger: Ledger, name: str = "first agent") -> None:
        super().__init__(instructions="Answer.")
        self._ledger, self._name = ledger, name

    def _ask(self, place: str) -> None:
        self._ledger.ask(f"{self._name}: {place}")

    async def on_enter(self) -> None:
        self._ask("on_enter")

    async def on_exit(self) -> None:
        self._ask("on_exit")

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        self._ask(f"{channel(new_message.text_content or '')} on_user_turn_completed")

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncIterable[stt.SpeechEvent]:
        self._ask("stt_node starts")
        async for event in Agent.default.stt_node(self, audio, model_settings):  # type: ignore[union-attr]
            self._ask("stt_node")
            yield event  # type: ignore[misc]

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterable[Any]:
        self._ask(f"{channel(Request(chat_ctx).words)} llm_node")
        async for chunk in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            yield chunk

    async def tts_node(self, text: AsyncIterable[str], model_settings: ModelSettings) -> AsyncIterable[rtc.AudioFrame]:
        async def noted() -> AsyncIterable[str]:
            by = None
            async for piece in text:
                by = by or channel(piece)
                self._ask(f"{by} tts_node")
                yield piece

        async for frame in Agent.default.tts_node(self, noted(), model_settings):
            yield frame

    async def transcription_node(
        self, text: AsyncIterable[str | TimedString], model_settings: ModelSettings
    ) -> AsyncIterable[str | TimedString]:
        by = None
        async for piece in text:
            by = by or channel(piece)
            self._ask(f"{by} transcription_node")
            yield piece

    @function_tool
    async def look(self, context: RunContext[None], by: str) -> str:
        """A tool that answers at once, and asks from the places that a tool's code may go to."""
        self._ask(f"{by} tool")
        if self._name == "first agent":
            await self._ask_from_elsewhere(by)
        return "looked"

    @function_tool
    async def wait(self, context: RunContext[None], by: str) -> str:
        """A tool that works for a while."""
        await asyncio.sleep(0.05)
        self._ask(f"{by} tool after waiting")
        return "waited"

    @function_tool
    async def dig(self, context: RunContext[None], by: str) -> str:
        """A tool that runs a task of its own."""
        await Digging(self._ledger)
        self._ask(f"{by} after the AgentTask")
        return "dug"

    @function_tool
    async def hand_over(self, context: RunContext[None], by: str) -> Agent:
        """A tool that hands over to another agent."""
        return ProbeAgent(self._ledger, "second agent")

    async def _ask_from_elsewhere(self, by: str) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._ask, f"{by} asyncio.to_thread")
        await loop.run_in_executor(None, self._ask, f"{by} run_in_executor")
        await loop.run_in_executor(None, copy_context().run, self._ask, f"{by} run_in_executor, context copied")
        called = asyncio.Event()
        loop.call_soon(lambda: (self._ask(f"{by} call_soon"), called.set()))
        await called.wait()
        await asyncio.create_task(self._ask_later(f"{by} create_task"))
        thread = threading.Thread(target=self._ask, args=(f"{by} a bare thread",))
        thread.start()
        await asyncio.to_thread(thread.join)

    async def _ask_later(self, place: str) -> None:
        await asyncio.sleep(0)
        self._ask(place)


class Digging(AgentTask[None]):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__(instructions="Dig.")
        self._ledger = ledger

    async def on_enter(self) -> None:
        self._ledger.ask("AgentTask on_enter")
        self.complete(None)

    async def on_exit(self) -> None:
        self._ledger.ask("AgentTask on_exit")


SESSION_EVENTS = (
    "agent_state_changed",
    "close",
    "conversation_item_added",
    "function_tools_executed",
    "session_usage_updated",
    "speech_created",
    "user_input_transcribed",
    "user_state_changed",
)
ROOM_EVENTS = (
    "participant_active",
    "participant_attributes_changed",
    "participant_connected",
    "participant_disconnected",
    "track_published",
    "track_subscribed",
)


class Probe:
    """A worker whose jobs keep a ledger each."""

    def __init__(self) -> None:
        self.ledgers: dict[str, Ledger] = defaultdict(Ledger)
        self.sessions: dict[str, ScriptedSession] = {}
        self.contexts: dict[str, Context] = {}
        """By room: what is in that job's context once it is bound."""
        self.prewarmed: list[str] = []
        self.started_from: Context | None = None
        """What the next job's thread begins with."""
        self.binding: Literal["first", "after start", "set_session_user after start"] = "first"
        self.errands: dict[str, Callable[[AgentSession[None]], Awaitable[str]]] = {}
        """What an RPC named `errand` makes the job do; by payload."""
        self.server = AgentServer(setup_fnc=self._setup)
        self.server.rtc_session(self._entrypoint, on_session_end=self._session_end)

    def _setup(self, proc: JobProcess) -> None:
        self.prewarmed.append(who())
        if self.started_from is not None:
            adopt(self.started_from)

    async def _entrypoint(self, ctx: JobContext) -> None:
        name = ctx.job.room.name
        ledger, bound = self.ledgers[name], asyncio.Event()
        binding = None if self.binding == "set_session_user after start" else open_binding(ctx)
        self._listen_everywhere(ctx, ledger, bound)
        lines, attendance = Lines(ctx.room, RoomPolicy.SINGLE), Attendance(ctx.room, RoomSettings())
        await ctx.connect()
        caller = await attendance.first()
        identity, line = caller.identity, lines.open_to(caller)
        if binding and self.binding == "first":
            binding.bind(identity)
            bound.set()

        session = self.sessions[name] = ScriptedSession(ScriptedLLM(mind))
        for event in SESSION_EVENTS:
            session.on(event, lambda _, event=event: ledger.ask(f"session.on({event})"))
        self._answer_calls(ctx, ledger, session)
        await session.start(
            ProbeAgent(ledger),
            room=ctx.room,
            room_options=dataclasses.replace(room_options(caller, line.track_name), close_on_disconnect=True),
            session_host=True,
            record=False,
        )
        line.attach(session)
        line.let_in(session)
        if not bound.is_set():
            binding.bind(identity) if binding else set_session_user(identity)
            bound.set()
        self.contexts[name] = copy_context()
        session.generate_reply(instructions="Greet.")

    def _listen_everywhere(self, ctx: JobContext, ledger: Ledger, bound: asyncio.Event) -> None:
        async def participant_entrypoint(ctx: JobContext, participant: rtc.RemoteParticipant) -> None:
            await bound.wait()
            ledger.ask(f"participant entrypoint of {participant.identity}")

        async def shutdown(reason: str) -> None:
            ledger.ask("shutdown callback")

        def text_stream(reader: rtc.TextStreamReader, identity: str) -> None:
            ledger.ask("text stream handler")
            tasks.append(asyncio.create_task(read(reader)))

        async def read(reader: rtc.TextStreamReader) -> None:
            await reader.read_all()
            ledger.ask("text stream handler's task")

        tasks: list[asyncio.Task[None]] = []
        ctx.add_participant_entrypoint(participant_entrypoint)
        ctx.add_shutdown_callback(shutdown)
        ctx.room.register_text_stream_handler("probe", text_stream)
        for name in ROOM_EVENTS:
            ctx.room.on(name, lambda *_, name=name: ledger.ask(f"room.on({name})"))

    def _answer_calls(self, ctx: JobContext, ledger: Ledger, session: AgentSession[None]) -> None:
        async def asked(call: rtc.RpcInvocationData) -> str:
            ledger.ask("RPC handler")
            return who()

        async def errand(call: rtc.RpcInvocationData) -> str:
            return await self.errands[call.payload](session)

        ctx.room.local_participant.register_rpc_method("who", asked)
        ctx.room.local_participant.register_rpc_method("errand", errand)

    async def _session_end(self, ctx: JobContext) -> None:
        self.ledgers[ctx.job.room.name].ask("on_session_end")


def adopt(context: Context) -> None:
    """Put everything that is in `context` into the context of the code that calls this."""
    for variable, value in context.items():
        variable.set(value)


def mallorys_context() -> Context:
    context = Context()
    context.run(set_session_user, MALLORY)
    assert context.run(who) == MALLORY
    return context


# -- one person's whole call, from joining to the end of the job


async def call(worker: Worker, probe: Probe, room: EdgeRoom, person: str, origin: Context) -> None:
    """Live through a call. Every event is sent from within `origin`."""
    ledger = probe.ledgers[room.name]

    def send(action: Callable[..., Any], *arguments: Any) -> Any:
        return origin.run(action, *arguments)

    async def turn(words: str, place: str, times: int = 1) -> None:
        already = len(ledger[place])
        how = channel(words)
        if how == "voice":
            send(room.speak, person, spoken(words))
        elif how == "text":
            send(room.text, person, words)
        else:
            typed = wire.AgentSessionMessage(request=run_input(words))
            send(room.message, person, typed.SerializeToString(), "lk.agent.session")
        await until(lambda: len(ledger[place]) >= already + times, f"{place} after {words!r}")
        await quiet()

    async def quiet() -> None:
        await until(lambda: probe.sessions[room.name].quiet, "the agent to have finished")

    room.join(person)
    await worker.job(room.name, context=origin)
    await until(lambda: ledger["first agent: greeting tts_node"], "the greeting")
    await quiet()

    await turn("text hello", "first agent: text tts_node")
    await turn("text look", "first agent: text tts_node")
    await turn("host hello", "first agent: host tts_node")
    await turn("host look", "first agent: host tts_node")
    await turn("voice hello", "first agent: voice tts_node")
    await turn("voice look", "first agent: voice tts_node")
    await turn("voice wait", "first agent: voice tts_node")
    await turn("voice dig", "first agent: voice tts_node")
    await turn("text dig", "first agent: text tts_node")

    send(room.join, CAROL)
    send(room.attributes, CAROL, {"mood": "curious"})
    rpc = send(room.rpc, CAROL, "who", "")
    send(room.text, CAROL, "hello", "probe")
    await until(lambda: rpc in room.rpc_answers, "the RPC's answer")
    await until(lambda: ledger["text stream handler's task"], "the text stream")
    await until(lambda: ledger[f"participant entrypoint of {CAROL}"], "the later joiner's entrypoint")

    await turn("voice hand_over", "second agent: on_enter")
    await turn("voice hello", "second agent: voice tts_node")
    await turn("voice look", "second agent: voice tool")
    await turn("text look", "second agent: text tool")

    send(room.leave, person)
    await until(lambda: ledger["session.on(close)"], "the session to close after the person left")
    send(room.close)
    await until(lambda: ledger["shutdown callback"], "the job to end")


# -- the table

ORIGINS = ("nobody", "script", "other job")
EVENT_HANDLERS = (
    *(f"session.on({event})" for event in SESSION_EVENTS),
    *(f"room.on({event})" for event in ROOM_EVENTS),
)


def _of_both_agents(*places: str) -> list[str]:
    return [f"{agent}: {place}" for agent in ("first agent", "second agent") for place in places]


def _by_each_channel(*places: str) -> list[str]:
    return [f"{by} {place}" for by in ("voice", "text", "host") for place in places]


SHE_IS_KNOWN = [
    f"participant entrypoint of {ALICE}",  # already in the room
    f"participant entrypoint of {CAROL}",  # joined later; the job is still alice's
    *_of_both_agents("on_enter", "on_exit"),
    # the audio pipeline
    *_of_both_agents("stt_node starts", "stt_node", "voice on_user_turn_completed"),
    *_of_both_agents("voice llm_node", "voice tts_node", "voice transcription_node", "voice tool"),
    "first agent: voice tool after waiting",
    "AgentTask on_enter",
    "AgentTask on_exit",
    "first agent: voice after the AgentTask",
    # chat messages
    *_of_both_agents("text llm_node", "text tts_node", "text transcription_node", "text tool"),
    "first agent: text after the AgentTask",
    # a console, or whoever else speaks to the session's host
    *(f"first agent: host {place}" for place in ("llm_node", "tts_node", "transcription_node", "tool")),
    # what the entrypoint says by itself
    *(f"first agent: greeting {place}" for place in ("llm_node", "tts_node", "transcription_node")),
    *EVENT_HANDLERS,
    "RPC handler",
    "text stream handler",
    "text stream handler's task",
    # where a tool's code may go
    *(
        f"first agent: {place}"
        for place in _by_each_channel(
            "asyncio.to_thread", "run_in_executor, context copied", "call_soon", "create_task"
        )
    ),
]
NOBODY_IS_KNOWN = [
    "setup function",
    # a thread starts with an empty context, and with no job in it
    *(f"first agent: {place}" for place in _by_each_channel("run_in_executor", "a bare thread")),
]
# They run beside the entrypoint, in the context that the job was started from; there the user is known by the job.
AFTER_THE_SESSION = ["on_session_end", "shutdown callback"]


@pytest.fixture(scope="module", params=ORIGINS)
def origin(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def answers(origin: str, server: Edge) -> dict[str, list[str]]:
    """What alice's job was told in every place, when it was started from the given context."""

    async def life() -> dict[str, list[str]]:
        probe, hers = Probe(), server.room(f"alice, from {origin}")
        async with working(probe.server) as worker:
            if origin == "script":
                probe.started_from = mallorys_context()
            elif origin == "other job":
                probe.started_from = await live_context_of(BOB, worker, probe, server.room("bob, live"))
            await call(worker, probe, hers, ALICE, probe.started_from or Context())
        return {"setup function": probe.prewarmed, **probe.ledgers[hers.name].answers}

    return asyncio.run(life())


async def live_context_of(person: str, worker: Worker, probe: Probe, room: EdgeRoom) -> Context:
    room.join(person)
    await worker.job(room.name)
    await until(lambda: room.name in probe.contexts, f"{person}'s job")
    assert probe.contexts[room.name].run(who) == person
    return probe.contexts[room.name]


@pytest.mark.parametrize("place", SHE_IS_KNOWN)
def test_code_in_this_place_works_for_the_person_of_its_job(place: str, answers: dict[str, list[str]]) -> None:
    assert set(answers[place]) == {ALICE}


@pytest.mark.parametrize("place", NOBODY_IS_KNOWN)
def test_code_in_this_place_works_for_nobody(place: str, answers: dict[str, list[str]]) -> None:
    assert set(answers[place]) == {NOBODY}


@pytest.mark.parametrize("place", AFTER_THE_SESSION)
def test_code_after_the_session_knows_its_person_by_the_job_and_believes_no_other_context(
    place: str, origin: str, answers: dict[str, list[str]]
) -> None:
    assert answers[place] == [ALICE if origin == "nobody" else REFUSED]


def test_no_place_is_missing_in_the_table_and_nobody_else_is_ever_named(answers: dict[str, list[str]]) -> None:
    assert set(answers) == {*SHE_IS_KNOWN, *NOBODY_IS_KNOWN, *AFTER_THE_SESSION}
    named = {answer for told in answers.values() for answer in told}
    assert named <= {ALICE, NOBODY, REFUSED}


# -- beside the table


async def test_two_calls_at_once_in_one_process_never_mix(server: Edge) -> None:
    probe = Probe()
    hers, his = server.room("alice, at once"), server.room("bob, at once")
    async with working(probe.server) as worker:
        await asyncio.gather(
            call(worker, probe, hers, ALICE, mallorys_context()), call(worker, probe, his, BOB, mallorys_context())
        )
    for room, person in ((hers, ALICE), (his, BOB)):
        answers = probe.ledgers[room.name].answers
        named = {answer for told in answers.values() for answer in told}
        assert named == {person, NOBODY}
        assert {place for place, told in answers.items() if NOBODY in told} <= set(NOBODY_IS_KNOWN)
        asked = {place.replace(person, ALICE) for place in answers}
        assert asked == {*SHE_IS_KNOWN, *NOBODY_IS_KNOWN, *AFTER_THE_SESSION} - {"setup function"}


@pytest.mark.parametrize("binding", ["after start", "set_session_user after start"])
async def test_turns_see_a_user_who_was_bound_after_the_session_had_started(
    binding: Literal["after start", "set_session_user after start"], server: Edge
) -> None:
    probe, room = Probe(), server.room(f"alice, bound {binding}")
    probe.binding = binding
    async with working(probe.server) as worker:
        await call(worker, probe, room, ALICE, mallorys_context())
    answers = probe.ledgers[room.name].answers
    assert answers["first agent: on_enter"] == [NOBODY]  # it ran before
    for place in ("voice llm_node", "voice tool", "voice on_user_turn_completed", "text llm_node", "text tool"):
        assert set(answers[f"first agent: {place}"]) == {ALICE}, place
    assert {answer for told in answers.values() for answer in told} == {ALICE, NOBODY}


async def test_a_foreign_binding_carried_into_a_job_is_refused(server: Edge) -> None:
    probe, room = Probe(), server.room("alice, visited")
    async with working(probe.server) as worker:
        bobs = await live_context_of(BOB, worker, probe, server.room("bob, visiting"))
        await live_context_of(ALICE, worker, probe, room)

        async def with_only_the_binding_of(context: Context) -> str:
            mixed = copy_context()
            for variable, value in context.items():
                if variable.name == "rapport_binding":
                    mixed.run(variable.set, value)
            return mixed.run(who)

        probe.errands = {
            "bob": lambda _: with_only_the_binding_of(bobs),
            "mallory": lambda _: with_only_the_binding_of(mallorys_context()),
            "nobody": lambda _: with_only_the_binding_of(Context()),
        }
        told = {name: await errand(room, name) for name in probe.errands}
    assert told == {"bob": REFUSED, "mallory": REFUSED, "nobody": ALICE}


async def errand(room: EdgeRoom, name: str) -> str:
    number = room.rpc(ALICE, "errand", name)
    await until(lambda: number in room.rpc_answers, f"the errand {name!r}")
    return room.rpc_answers[number]


async def test_a_turn_that_code_starts_by_itself_belongs_to_the_context_it_is_started_in(server: Edge) -> None:
    # Not a row of the table, but why its rows are never driven by `session.run` or `generate_reply` from a test: such
    # a turn inherits whoever its caller works for, and proves nothing about the turns of people.
    probe, room = Probe(), server.room("alice, prompted")
    ledger = probe.ledgers[room.name]
    async with working(probe.server) as worker:
        bobs = await live_context_of(BOB, worker, probe, server.room("bob, prompting"))
        await live_context_of(ALICE, worker, probe, room)

        def prompt_from(context_now: Callable[[], Context]) -> Callable[[AgentSession[None]], Awaitable[str]]:
            async def prompt(session: AgentSession[None]) -> str:
                already = len(ledger["first agent: text llm_node"])
                context_now().run(lambda: session.generate_reply(user_input="text prompted"))
                await until(lambda: len(ledger["first agent: text llm_node"]) > already, "the prompted turn")
                return ledger["first agent: text llm_node"][-1]

            return prompt

        probe.errands = {
            "her own": prompt_from(copy_context),
            "empty": prompt_from(Context),
            "mallory's": prompt_from(mallorys_context),
            "bob's": prompt_from(lambda: bobs),
        }
        told = {name: await errand(room, name) for name in probe.errands}
    assert told == {"her own": ALICE, "empty": NOBODY, "mallory's": MALLORY, "bob's": BOB}
