"""What memory costs a turn, from the end of speech to the first sound of the answer.

python bench/turn.py [--turns 100] [--memories 5000] [--json]

Two sessions in one process: the shipped assistant of a person of whom so much is remembered, whose turns are kept as
in a call, and a plain agent of the same instructions and tools. They are asked the same, in turns, so that a machine
that grows busy slows both. Ears, mind and mouth are scripted: words are recognised 50 ms after they ended, which starts
a reply before the turn is over, and the reply begins 600 ms later. By then the turn is over, so that whatever delays
the question to the model delays the sound. The first turn of each is not counted: it imports.

Held are 5 ms more at the median and 25 ms at the 95th percentile, as many model calls in a turn as without memory, and
as many replies that were begun early and then spoken.

Exit status: 0 held, 1 not, 2 the question was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from livekit import rtc
from livekit.agents import (
    NOT_GIVEN,
    Agent,
    AgentSession,
    APIConnectOptions,
    ConversationItemAddedEvent,
    NotGivenOr,
    SpeechCreatedEvent,
    llm,
    stt,
    utils,
)
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice import SpeechHandle, io

from call.acquaintance import RESUMED_TURNS, Acquaintance
from call.assistant.assistant import Assistant
from call.call import SHUTDOWN_SECONDS
from call.clock import Clock
from call.services import Services, Settings
from call.turns import keep_turns
from identity import Binding
from memory.manager import MemoryManager
from memory.records import STATEMENT_KEY, Category, Memory
from memory.settings import MemorySettings
from memory.stores.sqlite import SqliteStore
from tests.room.models import ScriptedSTT, ScriptedTTS, ScriptedVAD, spoken
from voice.failure import Apology
from voice.settings import VoiceSettings

HELD_P50_MS, HELD_P95_MS = 5.0, 25.0

_RECOGNITION_SECONDS = 0.05
# More than what is left of the turn's end (0.5 s of silence by default) when the words are recognised.
_THINKING_SECONDS = 0.6
_PATIENCE = 10.0
_SOMEBODY = "somebody@example.com"


# -- what is remembered, and what is asked

_COMMON = (
    "I the to and my a you we was for it in of is that with me on have but at be so this had from they she he not are"
    " about when what all just like one there would go know can will time out up good then some day love been more"
    " think really our always were how people work or over because who home never friend last told did her his year"
    " if want make first tell them get back went came remember call before now should new little long school old"
).split()


class Life:
    """A person of whom much is remembered, and who goes on talking; the same one in every run."""

    def __init__(self, memories: int) -> None:
        self._dice = random.Random(1)  # noqa: S311
        syllables = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]
        rare = ["".join(self._dice.choices(syllables, k=self._dice.randint(2, 4))) for _ in range(12_000)]
        self._words = [*_COMMON, *rare]
        # as often as words occur: the n-th most frequent in proportion to 1/(n + 3)
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(len(self._words))))
        self.memories = [self._memory(place) for place in range(memories)]

    def turns(self) -> Iterator[str]:
        """A question about something, then something new, and so on."""
        while True:
            told = self._dice.choice(self.memories).value.split()
            yield f"What did I say about {' '.join(self._dice.sample(told, min(8, len(told))))}?"
            yield f"My favorite {self._rare()} is {self._rare()} and I like {self._rare()}."

    def _memory(self, place: int) -> Memory:
        """One of twenty of its day; of a hundred two have a name, and two are preferences."""
        said_at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=place // 20, minutes=place % 20)
        sentence = " ".join(self._dice.choices(self._words, cum_weights=self._weights, k=15))
        category, key, value = Category.EXPERIENCE, f"{STATEMENT_KEY}{place}", f"I {sentence}"
        if place % 50 == 0:
            category, key, value = Category.PREFERENCE, f"favorite_{self._rare()}", f"{self._rare()} {self._rare()}"
        elif place % 50 == 1:
            category, key, value = Category.RELATIONSHIP, f"friend_{self._rare()}", f"my friend {self._rare()}"
        return Memory(category, key, value, said_at, f"turn-{place}")

    def _rare(self) -> str:
        return self._dice.choice(self._words[len(_COMMON) :])


# -- ears, mind and mouth


class Ears(ScriptedSTT):
    """Hears what `spoken` put into the sound, a moment later."""

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.SpeechEvent:
        await asyncio.sleep(_RECOGNITION_SECONDS)
        return await super()._recognize_impl(buffer, language=language, conn_options=conn_options)


class Mind(llm.LLM[Any]):
    """Says which of its answers this is."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []
        """When, by `time.perf_counter`."""

    def chat(  # noqa: PLR0913 - the framework's
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        self.asked.append(time.perf_counter())
        answer = f"Answer {len(self.asked)}."
        return _Answer(self, answer, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Answer(llm.LLMStream):
    def __init__(self, mind: Mind, answer: str, **options: Any) -> None:
        super().__init__(mind, **options)
        self._answer = answer

    async def _run(self) -> None:
        await asyncio.sleep(_THINKING_SECONDS)
        delta = llm.ChoiceDelta(role="assistant", content=self._answer)
        self._event_ch.send_nowait(llm.ChatChunk(id=self._answer, delta=delta))


class Microphone(io.AudioInput):
    def __init__(self) -> None:
        super().__init__(label="microphone")
        self._frames = asyncio.Queue[rtc.AudioFrame]()

    def hear(self, frame: rtc.AudioFrame) -> None:
        self._frames.put_nowait(frame)

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()


class Loudspeaker(io.AudioOutput):
    """Plays in no time."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=io.AudioOutputCapabilities(pause=True))
        self._seconds = 0.0
        self.began = 0.0
        """When the last answer was first heard, by `time.perf_counter`."""

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._seconds:
            self.began = time.perf_counter()
            self.on_playback_started(created_at=time.time())
        self._seconds += frame.duration

    def flush(self) -> None:
        super().flush()
        self._finish(interrupted=False)

    def clear_buffer(self) -> None:
        self._finish(interrupted=True)

    def _finish(self, *, interrupted: bool) -> None:
        seconds, self._seconds = self._seconds, 0.0
        if seconds:
            self.on_playback_finished(playback_position=seconds, interrupted=interrupted)


# -- the two sides


@dataclass(frozen=True)
class Turn:
    """`ms` from the end of speech to the first sound; `reused`: what was spoken was begun before the turn was over."""

    ms: float
    calls: int
    reused: bool


class Side:
    """One session, and what a person hears of it."""

    def __init__(self) -> None:
        self.mind, self._microphone, self._loudspeaker = Mind(), Microphone(), Loudspeaker()
        self.session: AgentSession[None] = AgentSession(
            vad=ScriptedVAD(),
            stt=Ears(),
            llm=self.mind,
            tts=ScriptedTTS(),
            turn_handling={"turn_detection": "vad", "interruption": {"mode": "vad"}},  # as in `voice.session`
        )
        self.session.input.audio, self.session.output.audio = self._microphone, self._loudspeaker
        self._speeches: list[SpeechHandle] = []
        self._answers = asyncio.Queue[str]()
        self.session.on("speech_created", self._on_speech)
        self.session.on("conversation_item_added", self._on_item)

    async def turn(self, words: str) -> Turn:
        """Say it, and hear the answer out."""
        calls = len(self.mind.asked)
        speech, silence = spoken(words)
        self._microphone.hear(speech)
        await asyncio.sleep(speech.duration)
        ended = time.perf_counter()
        self._microphone.hear(silence)
        async with asyncio.timeout(_PATIENCE):
            answer = await self._answers.get()
            for speech_handle in self._speeches:
                await speech_handle.wait_for_playout()
        self._speeches.clear()
        asked = self.mind.asked[calls:]
        begun = self.mind.asked[int(answer.removeprefix("Answer ").removesuffix(".")) - 1]
        # no turn is over before this
        over = ended + self.session.options.endpointing.get("min_delay", 0.0) - silence.duration
        return Turn((self._loudspeaker.began - ended) * 1000, len(asked), reused=begun < over)

    def _on_speech(self, event: SpeechCreatedEvent) -> None:
        self._speeches.append(event.speech_handle)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage) and event.item.role == "assistant":
            self._answers.put_nowait(event.item.text_content or "")


def timed(brief: Callable[..., str], milliseconds: list[float]) -> Callable[..., str]:
    """The same, which notes how long each one takes."""

    def measured(*arguments: Any, **named: Any) -> str:
        start = time.perf_counter()
        block = brief(*arguments, **named)
        milliseconds.append((time.perf_counter() - start) * 1000)
        return block

    return measured


@asynccontextmanager
async def remembering(
    side: Side, file: Path, life: Life, briefs: list[float]
) -> AsyncGenerator[tuple[Assistant, MemoryManager]]:
    """The shipped assistant of somebody who lived it, with all that happens to their turns in a call."""
    settings = Settings(
        memory=MemorySettings(memory_extraction="rules", transcript_retention_days=30),
        voice=VoiceSettings(voice_mode="pipeline"),
    )
    store = SqliteStore(file)
    services = Services(settings, MemoryManager(lambda: store, deadline=5.0))
    binding = Binding()
    user = binding.bind(_SOMEBODY)
    await store.remember(user.uuid, life.memories)
    with binding.entered():
        live = services.memory.open_session()
    setattr(live, "brief", timed(live.brief, briefs))  # noqa: B010 - the shipped object, with a stop watch on it
    stored = await live.start(
        thread="bench", job="bench", room="bench", resume_within=timedelta(0), turns=RESUMED_TURNS
    )
    keep_turns(side.session, live, services, None)
    try:
        apology = Apology(side.session, None)
        assistant = Assistant(services, binding, Acquaintance(user, stored), live, Clock(settings.clock), apology)
        yield assistant, services.memory
    finally:
        await live.end("left", SHUTDOWN_SECONDS)
        live.close()
        await services.memory.aclose()


async def measured(turns: int, memories: int, file: Path) -> dict[str, Any]:
    """The figures of so many turns of each side."""
    life = Life(memories)
    briefs: list[float] = []
    ours, plain = Side(), Side()
    with_memory: list[Turn] = []
    without: list[Turn] = []
    async with remembering(ours, file, life, briefs) as (assistant, memory):
        await ours.session.start(assistant, record=False)
        await plain.session.start(Agent(instructions=assistant.instructions, tools=assistant.tools), record=False)
        try:
            for words, _ in zip(life.turns(), range(turns + 1), strict=False):
                with_memory.append(await ours.turn(words))
                await memory.flush(_PATIENCE)  # or the other side would pay for it
                without.append(await plain.turn(words))
        finally:
            await ours.session.aclose()
            await plain.session.aclose()
    return _figures(with_memory, without, briefs)


def _figures(with_memory: list[Turn], without: list[Turn], briefs: list[float]) -> dict[str, Any]:
    first = {"with": with_memory[0].ms, "without": without[0].ms, "brief": briefs[0]}
    ours, plain = _side(with_memory[1:]), _side(without[1:])
    added = {f"added_{p}_ms": round(ours[f"{p}_ms"] - plain[f"{p}_ms"], 2) for p in ("p50", "p95")}
    held = (
        added["added_p50_ms"] <= HELD_P50_MS
        and added["added_p95_ms"] <= HELD_P95_MS
        and ours["calls_per_turn"] == plain["calls_per_turn"]
        and ours["reused_per_turn"] >= plain["reused_per_turn"] > 0
    )
    return {
        **added,
        "with": ours,
        "without": plain,
        "brief": _percentiles(briefs[1:]),
        "first_ms": {name: round(ms, 2) for name, ms in first.items()},
        "n": len(without) - 1,
        "held": held,
    }


def _side(turns: list[Turn]) -> dict[str, float]:
    return {
        **_percentiles([turn.ms for turn in turns]),
        "calls_per_turn": round(sum(turn.calls for turn in turns) / len(turns), 3),
        "reused_per_turn": round(sum(turn.reused for turn in turns) / len(turns), 3),
    }


def _percentiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {f"p{percent}_ms": round(ordered[len(ordered) * percent // 100], 2) for percent in (50, 95)}


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=_count, default=100, help="of each side (default 100)")
    parser.add_argument("--memories", type=_count, default=5_000, help="what is remembered (default 5000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        result = asyncio.run(measured(arguments.turns, arguments.memories, Path(home) / "rapport.db"))
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, figure in result.items():
            print(f"{name:>12}  {figure}")
    sys.exit(0 if result["held"] else 1)


if __name__ == "__main__":
    main()
