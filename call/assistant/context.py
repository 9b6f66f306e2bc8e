"""What the model is sent for one turn: bounded, and in the one shape that every chat template takes.

Templates of open models (Gemma, Mistral, Llama) refuse a second system message, two messages of one role in a row, and
a conversation that the agent opened. The history has all of these: instructions for a greeting, words that were never
answered, memories beside a question. The framework's conversion sends them as they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, Protocol

from livekit.agents import APIStatusError, llm
from livekit.agents.types import FlushSentinel

from memory.curation.summary import BLOCK_BEGINS, LAST_TURNS, extracted_summary, summary_block
from memory.recall.redaction import Redaction
from voice.failure import is_refusal

Chunk = llm.ChatChunk | str | FlushSentinel
Brief = Callable[[str, Collection[str]], str]
"""The block of memories for a question, without what was said in the items of those ids."""


class Masked(Protocol):
    """A text without secrets; without those, too, that are secrets in the agent's words alone."""

    def __call__(self, text: str, *, by_agent: bool) -> str: ...


def _as_it_is(text: str, *, by_agent: bool) -> str:
    return text


# Two chunks are sent, or one after very long words. The conversation is cut at their edges alone, so that its beginning
# stays the same for some twenty messages: what a provider has cached of it stays good, and the summary is not made anew
# for each turn.
_CHUNK_MESSAGES = 20
_CHUNK_CHARACTERS = 10_000
# So many items, and up to twice as many, are read for a turn: a call of hours costs its turns no more than that.
_READ_AT_ONCE = 20
# What a person may type; of what was said before, and of what one step's tools found, a part is enough.
_LONGEST_WORDS = 16_000
_LONGEST_BEFORE = 4_000

_ARRIVED = "(joins the call)"
_SILENT = "(says nothing)"
_FORGETTING = "(wants something forgotten)"
# No argument, and in no other call written so.
_UNSAID = "{ }"
# The agent's, where the person went on before tools that had answered were told of.
_NOT_HEARD = "…"
# As the framework writes it for providers that take one system text. It stands last, where it is obeyed best.
_INSTRUCTIONS = "<instructions>\n{}\n</instructions>"


def for_model(  # noqa: PLR0913 - all but the first by name
    chat_ctx: llm.ChatContext,
    *,
    standing: str = "",
    brief: Brief,
    in_short: Callable[[Sequence[str]], str],
    forgotten_at: float | None = None,
    left_out: Collection[str] = (),
    masked: Masked = _as_it_is,
) -> llm.ChatContext:
    """The system message, then person and agent by turns; the last is the person's or what tools answered.

    `standing` is added to the agent's own instructions. Memories stand in the person's own role, before their last
    words: they never get the authority of instructions.
    `left_out` are ids of items that the model is not to see. What is too old to be sent is told `in_short`. All but the
    person's last words is `masked`: secrets are not shown to the model again after the turn in which they were said.
    """
    told, said = list[str](), list[llm.ChatItem]()
    for item in since_forgotten(chat_ctx, forgotten_at):
        if item.type == "message" and _is_standing(item):
            told.append(item.raw_text_content or "")
        elif item.id not in left_out:
            said.append(item)
    question, last = last_words(said)
    asked = next((n for n in reversed(range(len(said))) if said[n].id == last), len(said))
    start = max(0, min(len(said) // _READ_AT_ONCE - 1, asked // _READ_AT_ONCE)) * _READ_AT_ONCE
    shown = [item if item.id == last else _concealed(item, masked) for item in said[start:]]
    earlier, steps = _bounded(_steps(shown, last))
    earlier = [masked(words, by_agent=False) for words in _last_turns(said[:start])] + earlier
    _, person = _last_person(steps)
    person.words.insert(0, brief(question, {each for step in steps for each in step.ids}))
    opening = (in_short(earlier) if earlier else "") or ("" if isinstance(steps[0], _Person) else _ARRIVED)
    if opening:
        steps = _joined([_Person([opening]), *steps])
    system = llm.ChatMessage(role="system", content=["\n\n".join(filter(None, [*told, standing]))])
    return llm.ChatContext([system, *(item for n, step in enumerate(steps) for item in step.items(f"step-{n}"))])


def _concealed(item: llm.ChatItem, masked: Masked) -> llm.ChatItem:
    """The item without secrets; the framework's own stays as it is."""
    match item:
        case llm.ChatMessage(content=content, role=role):
            words = [masked(w, by_agent=role == "assistant") if isinstance(w, str) else w for w in content]
            return item if words == content else item.model_copy(update={"content": words})
        case llm.FunctionCall():
            return item.model_copy(update={"arguments": masked(item.arguments, by_agent=True)})
        case llm.FunctionCallOutput():
            return item.model_copy(update={"output": masked(item.output, by_agent=False)})
        case _:
            return item


class InShort:
    """Tells what a person said before the part of a conversation that is sent, in a few of their own words."""

    def __init__(self) -> None:
        self._turns: Sequence[str] = ()
        self._told = ""

    def __call__(self, turns: Sequence[str]) -> str:
        """Made anew only where the turns are others than the last time: to read them takes some 10 ms."""
        said = [turn for turn in turns if not turn.startswith("<")][-LAST_TURNS:]
        if said != self._turns:
            summary = extracted_summary(said)
            self._turns, self._told = said, summary_block(summary) if summary else ""
        return self._told


def since_forgotten(chat_ctx: llm.ChatContext, forgotten_at: float | None) -> list[llm.ChatItem]:
    """The items from the turn on in which everything was forgotten, with the instructions."""
    items = [i for i in chat_ctx.items if i.type in ("message", "function_call", "function_call_output")]
    if forgotten_at is None:
        return items
    asked = max((item.created_at for item in items if _role(item) == "user"), default=forgotten_at)
    since = min(asked, forgotten_at)
    return [item for item in items if item.created_at >= since or _role(item) == "system"]


def take_out(items: Sequence[llm.ChatItem], redaction: Redaction) -> None:
    """Nothing in them says it any more. The items themselves change, which all copies of a conversation share; one of
    which nothing is left stays, empty."""
    order = next((item for item in reversed(items) if _role(item) == "user"), None)
    for item in items:
        if item.type == "agent_config_update":  # a realtime model's instructions hold memories
            item.instructions = None
        if item.type == "message" and _role(item) != "system":
            left = _left_of(item, redaction)
            if left != item.text_content:
                told = left or (_FORGETTING if item is order else "")
                item.content = [*filter(None, [told]), *(part for part in item.content if not isinstance(part, str))]
    take_out_of_tools(items, redaction)


def _left_of(message: llm.ChatMessage, redaction: Redaction) -> str | None:
    text = message.text_content
    if not text or not text.startswith(BLOCK_BEGINS):
        return text and redaction(text, message.id)
    lines = [line for line in text.splitlines() if not line.startswith("- ") or redaction(line) == line]
    return "\n".join(lines) if any(line.startswith("- ") for line in lines) else ""


def take_out_of_tools(items: Sequence[llm.ChatItem], redaction: Redaction, called_before: float = float("inf")) -> None:
    """The same of what tools were asked, and what they answered, if they were called by then (seconds since the
    epoch): an order to forget names what is to be forgotten, and stands in the conversation only once it is done."""
    calls = {item.call_id for item in items if item.type == "function_call" and item.created_at <= called_before}
    for item in items:
        if item.type == "function_call" and item.call_id in calls and redaction.blanks(item.arguments):
            item.arguments = _UNSAID
        elif item.type == "function_call_output" and item.call_id in calls:
            item.output = redaction(item.output) or "…"


def without_unsaid(items: Iterable[llm.ChatItem]) -> llm.ChatContext:
    """The conversation without messages that say nothing, and without calls of which it is not told what they asked."""
    kept = [item for item in items if item.type != "message" or item.content]
    unsaid = {item.call_id for item in kept if item.type == "function_call" and item.arguments == _UNSAID}
    answered = unsaid & {item.call_id for item in kept if item.type == "function_call_output"}
    silent = {item.id for item in kept if item.type == "function_call" and item.call_id in answered}
    silent |= {item.id for item in kept if item.type == "function_call_output" and item.call_id in answered}
    return llm.ChatContext([item for item in kept if item.id not in silent])


class Refusals:
    """The turns of one call that a model refuses to read: they are answered by an apology, and never sent again.

    A model that refuses one message (HTTP 400 and the like) would refuse every request that holds it, and with it all
    that the person says afterwards, in a resumed call too.
    """

    def __init__(self) -> None:
        self._refused: set[str] = set()
        self._answered: set[str] = set()
        """What was in a request that the model answered."""

    async def answer(
        self,
        chat_ctx: llm.ChatContext,
        ask: Callable[[Collection[str], bool], AsyncIterable[Chunk]],
    ) -> AsyncIterator[Chunk]:
        """The model's reply; where it refuses, the reply to less. Raises the refusal of the turn itself.

        `ask` is given the ids that are to be left out, and whether memories may be told.
        """
        earlier, current = _before_and_now(chat_ctx)
        known = [item for item in earlier if item.id not in self._refused]
        doubtful = _unanswered(known) - self._answered
        refusal: APIStatusError | None = None
        for left_out, with_memory in _attempts({item.id for item in known}, doubtful):
            begun = False
            try:
                async for chunk in ask(self._refused | left_out, with_memory):
                    begun = True
                    yield chunk
            except APIStatusError as error:
                if begun or not is_refusal(error):
                    raise
                refusal = error
                continue
            # a conversation of which some was answered is only too long
            self._refused |= left_out & doubtful if self._answered else left_out
            self._answered |= {item.id for item in chat_ctx.items} - self._refused - left_out
            return
        self._refused |= current
        if refusal:
            raise refusal


def _attempts(everything: set[str], doubtful: set[str]) -> Iterator[tuple[set[str], bool]]:
    """What to leave out, and whether to tell memories: from nothing to all but the turn itself."""
    yield set(), True
    if doubtful:
        yield doubtful, True
    yield doubtful, False
    if everything > doubtful:
        yield everything, False


def _unanswered(items: Sequence[llm.ChatItem]) -> set[str]:
    """Words of the person that no answer followed."""
    following = [*items[1:], None]
    said = [(i, then) for i, then in zip(items, following, strict=False) if _role(i) == "user"]
    return {item.id for item, then in said if then is None or _role(then) == "user"}


def _before_and_now(chat_ctx: llm.ChatContext) -> tuple[list[llm.ChatItem], set[str]]:
    """What came before this turn, and the ids of this turn: from the person's last words, or what stands in their
    place, to what the tools have answered."""
    items = [item for item in since_forgotten(chat_ctx, None) if not _is_standing(item)]
    starts = [n for n, item in enumerate(items) if _role(item) in ("user", "system")]
    start = starts[-1] if starts else len(items)
    return items[:start], {item.id for item in items[start:]}


@dataclass
class _Person:
    """What stands in the person's role, up to the agent's next words."""

    words: list[str]
    ids: set[str] = field(default_factory=set[str])
    message: llm.ChatMessage | None = None
    """What it is as it stands: to make another one takes longer than all else that is done with it."""

    @property
    def messages(self) -> int:
        return 1

    @property
    def text(self) -> str:
        return "\n\n".join(filter(None, self.words))

    def items(self, name: str) -> list[llm.ChatItem]:
        return [_message(self.message, name, "user", self.text)]


@dataclass
class _Agent:
    """What the agent said, and the tools it called with what they answered."""

    words: list[str] = field(default_factory=list[str])
    calls: list[tuple[llm.FunctionCall, llm.FunctionCallOutput]] = field(
        default_factory=list[tuple[llm.FunctionCall, llm.FunctionCallOutput]]
    )
    ids: set[str] = field(default_factory=set[str])
    message: llm.ChatMessage | None = None
    """As of the person."""

    @property
    def messages(self) -> int:
        return 1 + len(self.calls)

    @property
    def text(self) -> str:
        return "".join([*self.words, *(f"{call.arguments}{output.output}" for call, output in self.calls)])

    def items(self, name: str) -> list[llm.ChatItem]:
        words = "\n\n".join(self.words)
        # with calls, it is one message with them by its name
        sole = None if self.calls else self.message
        said = [_message(sole, name, "assistant", words)] if words else []
        # one group is one message, whatever their ids are
        calls = [call.model_copy(update={"group_id": name}) for call, _ in self.calls]
        share = _LONGEST_BEFORE // max(1, len(self.calls))
        outputs = [output.model_copy(update={"output": _cut(output.output, share)}) for _, output in self.calls]
        return [*said, *calls, *outputs]


_Step = _Person | _Agent


def _steps(items: Sequence[llm.ChatItem], last: str) -> list[_Step]:
    """The conversation by turns; of each message but the person's `last` a part. There is something to answer."""
    outputs = {item.call_id: item for item in items if item.type == "function_call_output"}
    steps: list[_Step] = []
    for item in items:
        if item.type == "message":
            words = _cut((item.text_content or "").strip(), _LONGEST_WORDS if item.id == last else _LONGEST_BEFORE)
            if words:
                steps.append(_said(item, words))
        # a model refuses a call without an answer, and an answer without its call
        elif item.type == "function_call" and item.call_id in outputs:
            steps.append(_Agent(calls=[(item, outputs[item.call_id])]))
    steps = _joined(steps)
    for step in steps:
        while isinstance(step, _Person) and len(step.words) > 1 and len(step.text) > _LONGEST_WORDS:
            del step.words[0]
    if not steps or (isinstance(steps[-1], _Agent) and not steps[-1].calls):
        steps.append(_Person([_SILENT]))
    elif not any(isinstance(step, _Person) for step in steps):
        steps.insert(0, _Person([_ARRIVED]))
    return steps


def _said(message: llm.ChatMessage, words: str) -> _Step:
    if message.role == "assistant":
        return _Agent([words], ids={message.id}, message=message)
    return _Person([words if message.role == "user" else _INSTRUCTIONS.format(words)], {message.id}, message)


def _message(there: llm.ChatMessage | None, name: str, role: Literal["user", "assistant"], text: str) -> llm.ChatItem:
    if there and there.role == role and there.content == [text]:
        return there
    return llm.ChatMessage(id=name, role=role, content=[text])


def _joined(steps: Sequence[_Step]) -> list[_Step]:
    joined: list[_Step] = []
    for step in steps:
        before = joined[-1] if joined else None
        if isinstance(step, _Person) and isinstance(before, _Person):
            before.words += step.words
            before.ids |= step.ids
        elif isinstance(step, _Agent) and isinstance(before, _Agent) and _is_one(before, step):
            before.words += step.words
            before.calls += step.calls
            before.ids |= step.ids
        else:
            if isinstance(step, _Person) and isinstance(before, _Agent) and before.calls:
                joined.append(_Agent([_NOT_HEARD]))
            joined.append(step)
    return joined


def _is_one(before: _Agent, step: _Agent) -> bool:
    """Words, and calls that were made with them: what follows a tool's answer is a message of its own."""
    if not before.calls:
        return True
    return bool(step.calls) and _group(before.calls[-1][0]) == _group(step.calls[0][0])


def _group(call: llm.FunctionCall) -> str:
    return call.group_id or call.id.split("/")[0]


def _bounded(steps: Sequence[_Step]) -> tuple[list[str], list[_Step]]:
    """What the person said in the part that is too old to be sent, and the rest."""
    starts, messages, characters = [0], 0, 0
    for n, step in enumerate(steps):
        messages += step.messages
        characters += len(step.text)
        if n > starts[-1] and (messages > _CHUNK_MESSAGES or characters > _CHUNK_CHARACTERS):
            starts.append(n)
            messages, characters = step.messages, len(step.text)
    begin = starts[-2:][0]
    if sum(len(step.text) for step in steps[begin:]) > 2 * _CHUNK_CHARACTERS:
        begin = starts[-1]
    begin = min(begin, _last_person(steps)[0])
    earlier = [words for step in steps[:begin] if isinstance(step, _Person) for words in step.words]
    return earlier, list(steps[begin:])


def last_words(items: Sequence[llm.ChatItem]) -> tuple[str, str]:
    """What the person said last, and the id of it; two empty texts where they have said nothing."""
    for item in reversed(items):
        if item.type == "message" and item.role == "user" and (words := item.text_content):
            return words, item.id
    return "", ""


def _last_turns(items: Sequence[llm.ChatItem]) -> list[str]:
    """What the person said in what is not read any more, as far as it is told in short."""
    words = (item.text_content or "" for item in reversed(items) if item.type == "message" and item.role == "user")
    return list(islice(filter(None, words), LAST_TURNS))[::-1]


def _last_person(steps: Sequence[_Step]) -> tuple[int, _Person]:
    return [(n, step) for n, step in enumerate(steps) if isinstance(step, _Person)][-1]


def _role(item: llm.ChatItem) -> str:
    role = item.role if item.type == "message" else ""
    return "system" if role == "developer" else role


def _is_standing(item: llm.ChatItem) -> bool:
    """The agent's own instructions: the framework names them. All others are for one reply."""
    return item.id.startswith("lk.") and _role(item) == "system"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
