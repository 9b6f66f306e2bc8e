"""What the model is sent: the shape, the bounds, and what is left of a call in which it refuses a message.

The shape is checked as chat templates of open models check it, on what the plugin sends over HTTP.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterable, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

import openai as openai_sdk
import pytest
from aiohttp import web
from livekit.agents import Agent, AgentSession, FlushSentinel, ModelSettings, llm
from livekit.agents.llm.chat_context import Instructions
from livekit.plugins import openai

from call.assistant.context import Chunk, InShort, Refusals, for_model
from memory.language.private.discretion import Discretion
from voice.failure import CONNECT, patiently

STANDING = "lk.agent_task.instructions"
MEMORY = "<memory>\n- 2026-11-21 PREFERENCE favorite_color: blue\n</memory>"

Message = dict[str, Any]


# -- what templates demand


def complaint(messages: list[Message]) -> str:
    """Why a strict template (Gemma's, Mistral's) refuses these messages; empty if it takes them."""
    roles = [message["role"] for message in messages]
    if roles.count("system") != 1 or roles[0] != "system" or set(roles) - {"system", "user", "assistant", "tool"}:
        return f"one system message, first: {roles}"
    turns = [m for m in messages[1:] if m["role"] != "tool" and not m.get("tool_calls")]
    if any((m["role"] == "user") != (n % 2 == 0) for n, m in enumerate(turns)):
        return f"user and assistant must alternate, and the user begins: {roles}"
    if roles[-1] not in ("user", "tool"):
        return f"nothing to answer: {roles}"
    if any(not str(m.get("content") or m.get("tool_calls") or "").strip() for m in messages if m["role"] != "tool"):
        return "an empty message"
    return unanswered_calls(messages)


def unanswered_calls(messages: list[Message]) -> str:
    for n, message in enumerate(messages):
        called = [call["id"] for call in message.get("tool_calls", [])]
        results = messages[n + 1 : n + 1 + len(called)]
        if [result.get("tool_call_id") for result in results] != called:
            return f"calls {called} are followed by {results}"
        if message["role"] == "tool" and messages[n - 1]["role"] not in ("assistant", "tool"):
            return "a result without its call"
    return ""


def history(*said: str | tuple[str, str], tools: bool = False) -> llm.ChatContext:
    """`u words`, `a words`, `s words`; `t` is a call and its result."""
    ctx = llm.ChatContext.empty()
    ctx.items.append(llm.ChatMessage(id=STANDING, role="system", content=["You are Rapport."]))
    ctx.items.append(llm.ChatMessage(id=f"{STANDING}.dynamic", role="system", content=["Today is Monday."]))
    for n, line in enumerate(said):
        kind, _, words = str(line).partition(" ")
        if kind == "t":
            ctx.items.append(llm.FunctionCall(id=f"i{n}/fnc_0", call_id=f"c{n}", name="recall", arguments="{}"))
            ctx.items.append(llm.FunctionCallOutput(id=f"o{n}", call_id=f"c{n}", output=words, is_error=False))
        else:
            role = {"u": "user", "a": "assistant", "s": "system"}[kind]
            ctx.items.append(llm.ChatMessage(id=f"i{n}", role=role, content=[words]))  # type: ignore[arg-type]
    return ctx


def no_memory(question: str, already_said: Collection[str]) -> str:
    return ""


def some_memory(question: str, already_said: Collection[str]) -> str:
    return MEMORY


def sent(ctx: llm.ChatContext, **changes: Any) -> list[Message]:
    messages, _ = for_model(ctx, **{"brief": some_memory, "in_short": InShort(), **changes}).to_provider_format(
        "openai"
    )
    return messages


SHAPES = {
    "the first greeting": ["s Greet them."],
    "a resumed greeting": ["u I like tea", "a Noted.", "s Welcome them back."],
    "a resumed greeting after unanswered words": ["u I like tea", "s Welcome them back."],
    "an answer": ["a Hello!", "u what day is it"],
    "unanswered words": ["a Hello!", "u one", "u two", "u three"],
    "the agent twice": ["a Hello!", "a Are you there?", "u yes"],
    "a goodbye": ["a Hello!", "u bye", "a Bye.", "s Say goodbye."],
    "nothing to answer": ["a Hello!"],
    "nothing at all": [],
    "blank words": ["a Hello!", "u   ", "u hi", "u \n"],
    "only blank words": ["u  "],
    "a tool's result": ["a Hello!", "u what do I like", "t tea"],
    "two tools": ["u what do I like", "t tea", "t coffee"],
    "a tool in a greeting": ["s Greet them.", "t tea"],
    "words with a call": ["u hi", "a Let me see.", "t tea"],
    "a tool whose answer was not told": ["u hi", "t tea", "u are you there", "t coffee", "u hello"],
    "a tool before": ["u hi", "t tea", "a You like tea.", "u thanks"],
    "a tool that the greeting called": ["t tea", "a Hello!", "u hi"],
}


def test_every_conversation_has_a_shape_that_strict_templates_take() -> None:
    for brief in (some_memory, no_memory):
        assert {
            name: said for name, lines in SHAPES.items() if (said := complaint(sent(history(*lines), brief=brief)))
        } == {}


def test_so_has_any_conversation_that_chance_makes() -> None:
    chance = random.Random(7)  # noqa: S311 - nothing is secret
    for _ in range(300):
        lines = [f"{chance.choice('uuaats')} {'word ' * chance.randint(0, 300)}" for _ in range(chance.randint(0, 90))]
        messages = sent(history(*lines), left_out={f"i{chance.randint(0, 90)}" for _ in range(chance.randint(0, 9))})
        assert complaint(messages) == "", lines


def test_calls_without_a_result_and_results_without_a_call_are_left_out() -> None:
    ctx = history("u hi", "t tea", "t coffee")
    kept = [i for i in ctx.items if i.id not in ("o1", "i2/fnc_0")]
    assert [m["role"] for m in sent(llm.ChatContext(kept))] == ["system", "user"]


def test_parallel_calls_are_one_message_and_a_late_result_follows_its_call() -> None:
    ctx = history("u hi", "t tea", "u are you there", "t coffee")
    first, late = ctx.items[3], ctx.items[4]
    ctx.items[3:5] = [first, llm.FunctionCall(id="i1/fnc_1", call_id="c9", name="why", arguments="{}")]
    ctx.items += [late, llm.FunctionCallOutput(call_id="c9", output="said so", is_error=False)]
    messages = sent(ctx)
    assert complaint(messages) == ""
    assert [len(m.get("tool_calls", [])) for m in messages if m["role"] == "assistant"] == [2, 0, 1]


# -- what stands in it


def test_memories_stand_before_the_last_words_in_the_persons_role_and_never_in_the_system_message() -> None:
    messages = sent(history("a Hello!", "u what do I like", "t tea"))
    assert messages[0]["content"] == "You are Rapport.\n\nToday is Monday."
    assert [m["content"] for m in messages if MEMORY in str(m.get("content"))] == [f"{MEMORY}\n\nwhat do I like"]


def test_instructions_for_one_reply_stand_last_and_marked() -> None:
    for lines in (["s Greet them."], ["u hi", "a Hi.", "s Greet them."]):
        last = sent(history(*lines))[-1]
        assert last == {"role": "user", "content": f"{MEMORY}\n\n<instructions>\nGreet them.\n</instructions>"}


def test_memories_are_looked_for_by_the_last_words_and_not_where_they_are_seen_anyway() -> None:
    asked: list[tuple[str, Collection[str]]] = []

    def brief(question: str, already_said: Collection[str]) -> str:
        asked.append((question, already_said))
        return ""

    lines = [f"{'ua'[n % 2]} word {n}" for n in range(101)]
    for_model(history(*lines), brief=brief, in_short=InShort())
    question, already_said = asked[0]
    assert question == "word 100"
    assert {"i100", "i90"} <= set(already_said)
    assert "i2" not in already_said, "it is not sent any more: what was said in it may be told"


def test_what_was_forgotten_is_not_sent() -> None:
    ctx = history("u my code is 42", "a Noted.", "u forget it", "t Everything is forgotten", "u thanks")
    for n, item in enumerate(ctx.items):
        item.created_at = 100.0 + n
    messages = sent(ctx, forgotten_at=104.5, brief=no_memory)
    assert complaint(messages) == ""
    assert "42" not in json.dumps(messages)
    assert messages[-1]["content"].endswith("thanks")


def test_the_history_itself_is_not_changed() -> None:
    ctx = history("u hi", "t tea", "u you there", "s Greet them.")
    before = ctx.to_dict()
    sent(ctx)
    assert ctx.to_dict() == before


# -- bounds


def test_a_call_of_any_length_is_sent_in_some_forty_messages_and_24000_characters() -> None:
    worst = {"messages": 0, "characters": 0}
    for words in ("I like tea.", "word " * 100, "word " * 999, "word " * 5000, "x" * 1_050_000):
        for length in range(1, 130, 7):
            lines = [f"{'uuat'[n % 4]} {n} {words}" for n in range(length)]
            messages = sent(history(*lines))
            worst["messages"] = max(worst["messages"], len(messages))
            worst["characters"] = max(worst["characters"], sum(len(str(m.get("content", ""))) for m in messages))
            assert complaint(messages) == ""
    assert worst["messages"] <= 43, worst
    assert worst["characters"] <= 25_000, worst


def test_what_is_too_old_is_told_in_short_as_data_in_the_persons_role() -> None:
    lines = ["u I live in Oslo.", "a Noted.", *(f"{'ua'[n % 2]} word {n}" for n in range(60)), "u hi"]
    messages = sent(history(*lines))
    assert "I live in Oslo." in messages[1]["content"]
    assert "It is data" in messages[1]["content"]
    assert "word 3" not in [m.get("content") for m in messages]


def test_the_beginning_of_a_long_conversation_stays_the_same_from_turn_to_turn() -> None:
    lines = [f"{'ua'[n % 2]} word {n}" for n in range(121)]
    beginnings = {json.dumps(sent(history(*lines[:n]), brief=no_memory)[:3]) for n in range(61, 121, 2)}
    assert len(beginnings) <= 4


def test_a_turn_of_a_call_of_hours_reads_its_last_turns_alone() -> None:
    read: list[int] = []

    def in_short(turns: Sequence[str]) -> str:
        read.append(len(turns))
        return ""

    for length in (400, 2000):
        sent(history(*(f"{'ua'[n % 2]} word {n}" for n in range(length)), "u hi"), in_short=in_short)
    assert 0 < max(read) <= 60, read


def test_a_turn_of_many_tools_keeps_the_question_that_they_answer() -> None:
    messages = sent(history(*(f"{'ua'[n % 2]} word {n}" for n in range(30)), "u which of them", *(["t tea"] * 45)))
    question = [m["content"] for m in messages if m["role"] == "user"][-1]
    assert question.endswith("which of them")
    assert complaint(messages) == ""


def test_the_last_words_are_sent_whole_up_to_16000_characters() -> None:
    words = "w" * 15_990 + " the end."
    assert sent(history("a Hello!", "u " + words))[-1]["content"].endswith(words)


# -- a model that refuses


class Model:
    """An OpenAI-compatible server that answers 400 to whatever its template, or its taste, refuses."""

    def __init__(self) -> None:
        self.asked: list[list[Message]] = []
        self.longest = 1_000_000
        self.base_url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        messages = (await request.json())["messages"]
        self.asked.append(messages)
        text = json.dumps(messages)
        if "POISON" in text or len(text) > self.longest or complaint(messages):
            return web.json_response({"error": {"message": complaint(messages) or "refused"}}, status=400)
        delta = {"role": "assistant", "content": f"You said {messages[-1]['content'].splitlines()[-1]}."}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        lines = [
            {**chunk, "choices": [{"index": 0, "delta": delta}]},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        ]
        body = "".join(f"data: {json.dumps(line)}\n\n" for line in lines) + "data: [DONE]\n\n"
        return web.Response(text=body, content_type="text/event-stream")


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    it = Model()
    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", it.answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield it
    await runner.cleanup()


class Talker(Agent):
    """The node as a call has it."""

    def __init__(self, before: llm.ChatContext, memory: str) -> None:
        super().__init__(instructions=Instructions("You are Rapport.", dynamic="Today is Monday."), chat_ctx=before)
        self.memory = memory
        self.apologies = 0
        self.refusals = Refusals()
        self.in_short = InShort()

    async def llm_node(
        self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
    ) -> AsyncIterable[llm.ChatChunk | str | FlushSentinel]:
        def ask(left_out: Collection[str], with_memory: bool) -> AsyncIterable[Chunk]:
            brief = (lambda *_: self.memory) if with_memory else no_memory
            shaped = for_model(chat_ctx, brief=brief, in_short=self.in_short, left_out=left_out)
            return Agent.default.llm_node(self, shaped, tools, model_settings)

        def apologise() -> None:
            self.apologies += 1

        async for chunk in patiently(self.refusals.answer(chat_ctx, ask), on_nothing=apologise):
            yield chunk


@asynccontextmanager
async def call(model: Model, *before: str, memory: str = "") -> AsyncIterator[tuple[Talker, AgentSession[None]]]:
    client = openai_sdk.AsyncClient(api_key="none", base_url=model.base_url, max_retries=0)
    talker = Talker(llm.ChatContext(history(*before).items[2:]), memory)
    session: AgentSession[None] = AgentSession(llm=openai.LLM(model="m", client=client), conn_options=CONNECT)
    await session.start(talker, record=False)
    try:
        yield talker, session
    finally:
        await session.aclose()
        await client.close()


async def say(session: AgentSession[None], words: str) -> str:
    """The reply; empty if there is none."""
    before = {item.id for item in session.history.items}
    await session.generate_reply(user_input=words).wait_for_playout()
    replies = [i for i in session.history.messages() if i.role == "assistant" and i.id not in before]
    return (replies[-1].text_content or "") if replies else ""


async def test_one_message_that_is_refused_costs_that_turn_alone(model: Model) -> None:
    async with call(model, memory=MEMORY) as (talker, session):
        replies = [await say(session, w) for w in ("hello", "POISON words", "what day is it", "are you there")]
        asked = len(model.asked)
    assert replies == ["You said hello.", "", "You said what day is it.", "You said are you there."]
    assert talker.apologies == 1
    assert asked <= 7, "what was refused is not sent again"


async def test_a_resumed_call_is_greeted_and_keeps_what_was_not_refused(model: Model) -> None:
    before = ["u I like tea", "a Noted.", "u POISON words", "u what day is it", "a Monday."]
    async with call(model, *before) as (talker, session):
        handle = session.generate_reply(instructions="Welcome them back.")
        await handle.wait_for_playout()
        reply = await say(session, "are you there")
    assert reply == "You said are you there."
    assert talker.apologies == 0
    assert "I like tea" in json.dumps(model.asked[-1])


async def test_a_resumed_call_goes_on_whatever_of_it_is_refused(model: Model) -> None:
    async with call(model, "u hello", "a You said POISON", "u I like tea", "a Noted.") as (talker, session):
        assert [await say(session, words) for words in ("hi", "are you there")] == [
            "You said hi.",
            "You said are you there.",
        ]
    assert talker.apologies == 0


async def test_a_memory_that_is_refused_costs_neither_the_answer_nor_the_conversation(model: Model) -> None:
    async with call(model, memory="<memory>\nPOISON\n</memory>") as (talker, session):
        assert [await say(session, words) for words in ("I like tea", "hi")] == ["You said I like tea.", "You said hi."]
    assert talker.apologies == 0
    assert "I like tea" in json.dumps(model.asked[-1])


async def test_a_model_of_a_short_memory_answers_from_the_turn_alone_and_recovers(model: Model) -> None:
    async with call(model) as (talker, session):
        model.longest = 2_000
        replies = [await say(session, "word " * 60 + str(n)) for n in range(12)]
        assert all(replies), replies
        model.longest = 1_000_000
        await say(session, "hi")
    assert talker.apologies == 0
    assert len(model.asked[-1]) > 20, "nothing was lost for good"


# -- secrets


def test_a_secret_is_shown_in_its_own_turn_alone() -> None:
    ctx = history("u my PIN is 4821", "a Your PIN is 4821.", "t the PIN is 4821", "u my card's PIN is 9911, say it")
    told = str(sent(ctx, masked=Discretion().masked))
    assert "9911" in told
    assert "4821" not in told
    assert told.count("•••") == 3


def test_nor_is_one_shown_that_is_too_old_to_be_sent_word_by_word() -> None:
    lines = [line for n in range(60) for line in (f"u my PIN is {4000 + n}", "a Fine.")]
    told = str(sent(history(*lines, "u hello"), masked=Discretion().masked))
    assert "•••" in told and not re.search(r"40\d\d", told)


def test_the_framework_s_own_history_stays_as_it_is() -> None:
    ctx = history("u my PIN is 4821", "a Fine.", "u hello")
    sent(ctx, masked=Discretion().masked)
    assert "4821" in str(ctx.items)
