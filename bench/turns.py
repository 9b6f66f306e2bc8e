"""How often a sentence with a pause in it is cut in two, and how soon a turn is over that is.

python bench/turns.py [PATH] [--sentences 24] [--json]

People's recordings through real sessions, with the shipped VAD, the model and all of the framework's own timing; the
clock alone is ours (tests/voice/clock.py), so that nothing is late on a busy machine. Ears know the words and need 0.2,
0.45 or 0.8 s for a recording. PATH is a folder of recordings (16 kHz, mono) with their words, ends and pauses in
`speech.json`, as in tests/fixtures/people. Each sentence is said in one breath, its own pauses shortened to a tenth of
a second, and with a pause of 0.4, 0.6, 1.0 or 1.5 s: silence with its own room's tone, where the person paused or
between two words, six of ten after a word that ends no sentence, which is where people stop to think. At most so many
`--sentences` are sampled, the same each time (without a PATH 4).

silence    TURN_DETECTION=silence
words      TURN_DETECTION=words
model      TURN_DETECTION=model
framework  the framework's own detector as it comes, its local model, which neither waits for words nor reads them

Cut is the share of sentences that became more than one turn, the delay is from the end of the last word to the end of
the turn. Held: with ears of 0.45 and 0.8 s a pause of 0.4 or 0.6 s cuts 3 % (those of 0.2 s have told the first part
before anybody goes on: there is nothing to wait for), one of 1.0 s 40 % with words and 16 % with the model; a share
counts as larger only if chance alone would make it so in less than one of twenty runs, which says little about few
sentences. And the median delay is that of silence, the mean at most 0.1 s more, with the same certainty.

Exit status: 0 held, 1 not, 2 the question was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import math
import random
import statistics
import sys
import time
import wave
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
from livekit import local_inference
from livekit.agents import Agent, AgentSession, ConversationItemAddedEvent, TurnHandlingOptions, inference, llm, stt
from livekit.agents.vad import VAD

from memory.language.utterances import unfinished
from tests.room.models import ScriptedLLM, ScriptedTTS
from tests.voice import clock
from tests.voice.people import PEOPLE, KnowingEars, Loudspeaker, Microphone, Sentence, sentences
from voice.session import prepare
from voice.turn_taking import turn_taking

How = Literal["framework", "silence", "words", "model"]
SENTENCES, OWN_SENTENCES = 24, 4
PAUSES = (0.0, 0.4, 0.6, 1.0, 1.5)
EARS = (0.2, 0.45, 0.8)
# Of the sentences that are cut, at most so many, by the length of the pause.
CUT: dict[How, dict[float, float]] = {
    "words": {0.4: 0.03, 0.6: 0.03, 1.0: 0.40},
    "model": {0.4: 0.03, 0.6: 0.03, 1.0: 0.16},
}
MEDIAN_SECONDS, MEAN_SECONDS = 0.05, 0.1
# After the last word; the longest delay is the framework's 2.5 s.
PATIENCE = 5.0
AT_ONCE = 32

_ENDS_NO_SENTENCE = frozenset(
    "a an the my your his our their this some and or but because if so with of to from for in at by on as than is are"
    " was were am".split()
)
_AFTER_SUCH_A_WORD = 0.6


@dataclass(frozen=True)
class Case:
    sentence: Sentence
    pause: float
    how: How
    latency: float


@dataclass(frozen=True)
class Outcome:
    case: Case
    turns: int
    delay: float | None
    """In seconds; None if not all of it was ever a turn."""


# -- what is said


def paused(spoken: list[Sentence], count: int) -> Iterator[tuple[Sentence, int]]:
    """So many sentences, each with the number of the word before which there is to be a pause."""
    dice, thinking = random.Random(5), 0  # noqa: S311 - it is to be the same each time
    spoken = dice.sample(spoken, len(spoken))
    for number in range(count):
        sentence = spoken[number % len(spoken)]
        after: dict[bool, list[int]] = defaultdict(list)
        for place in range(1, len(sentence.words)):
            after[sentence.words[place - 1].text.lower() in _ENDS_NO_SENTENCE].append(place)
        wanted = thinking < _AFTER_SUCH_A_WORD * (number + 1)
        if places := after[wanted] or after[not wanted]:
            yield sentence, dice.choice(places)
            thinking += places is after[True]


def cases(spoken: list[Sentence], count: int) -> Iterator[Case]:
    whole = [each.closed() for each in spoken]
    chosen = list(paused(whole, count))
    said = {(each.name, 0): (each, 0.0) for each, _ in chosen} | {
        (number, pause): (each.paused(place, pause), pause)
        for number, (each, place) in enumerate(chosen)
        for pause in PAUSES[1:]
    }
    for sentence, pause in said.values():
        for how in get_args(How):
            for latency in EARS:
                yield Case(sentence, pause, how, latency)


# -- when turns are over


def handling(how: How, ears: KnowingEars, vad: VAD) -> tuple[stt.STT[Any], TurnHandlingOptions]:
    if how == "framework":
        local = inference.TurnDetector(version="v1-mini")
        return ears, {"turn_detection": local, "interruption": {"mode": "vad"}}
    return turn_taking(ears, vad, how, unfinished)


async def say(case: Case, vad: VAD) -> Outcome:
    """The sentence through a session of its own."""
    microphone, recogniser = Microphone(), KnowingEars(case.latency)
    ears, turn_handling = handling(case.how, recogniser, vad)
    session: AgentSession[None] = AgentSession(
        vad=vad,
        stt=ears,
        llm=ScriptedLLM(lambda request: f"You said {request.words}."),
        tts=ScriptedTTS(1.0),
        turn_handling=turn_handling,
        aec_warmup_duration=None,
    )
    session.input.audio, session.output.audio = microphone, Loudspeaker()
    turns: list[tuple[float, str]] = []
    over = asyncio.Event()

    def on_item(event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage) and event.item.role == "user":
            turns.append((time.perf_counter(), event.item.text_content or ""))
            if sum(len(text.split()) for _, text in turns) == len(case.sentence.words):
                over.set()

    session.on("conversation_item_added", on_item)
    await session.start(Agent(instructions="Answer."), record=False)
    recogniser.will_hear(case.sentence)
    began = time.perf_counter()
    sound = np.concatenate([case.sentence.samples, case.sentence.tone(PATIENCE)])
    speaking = asyncio.create_task(microphone.hear(sound))
    await asyncio.wait([speaking, waiting := asyncio.create_task(over.wait())], return_when=asyncio.FIRST_COMPLETED)
    for task in (speaking, waiting):
        task.cancel()
    await session.aclose()
    delay = turns[-1][0] - began - case.sentence.end if over.is_set() else None
    return Outcome(case, len(turns), delay)


async def measure(all_cases: list[Case]) -> list[Outcome]:
    vad, places = prepare().vad, asyncio.Semaphore(AT_ONCE)
    local_inference.init_eot()  # once, as a worker does that is told to

    async def one(case: Case) -> Outcome:
        async with places:
            return await say(case, vad)

    return await asyncio.gather(*(one(case) for case in all_cases))


# -- what that means


def summary(outcomes: Iterable[Outcome]) -> dict[str, dict[str, dict[str, Any]]]:
    """By how turns end, and by the ears."""
    found: dict[tuple[How, float], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.case.how, outcome.case.latency].append(outcome)
    turns: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for (how, latency), all_of_it in found.items():
        delays = [outcome.delay for outcome in all_of_it if outcome.delay is not None]
        by_pause = {
            pause: [outcome.turns > 1 for outcome in all_of_it if outcome.case.pause == pause] for pause in PAUSES
        }
        turns[how][str(latency)] = {
            "cut": {str(pause): round(statistics.mean(cut), 3) for pause, cut in by_pause.items()},
            "n": {str(pause): len(cut) for pause, cut in by_pause.items()},
            "p50": round(float(np.percentile(delays, 50)), 3),
            "p95": round(float(np.percentile(delays, 95)), 3),
            "mean": round(statistics.mean(delays), 3),
            "never": len(all_of_it) - len(delays),
        }
    return dict(turns)


def failures(turns: dict[str, dict[str, dict[str, Any]]], outcomes: list[Outcome]) -> Iterator[str]:
    """What is not held."""
    for how, most in CUT.items():
        for latency in EARS:
            one, silence = turns[how][str(latency)], turns["silence"][str(latency)]
            for pause, share in most.items():
                waits = latency >= EARS[1] or pause >= 1.0
                if waits and is_more(one["cut"][str(pause)], one["n"][str(pause)], share):
                    yield f"{how}, ears {latency}: pauses of {pause} s cut {one['cut'][str(pause)]:.0%}"
            later = at_least_later([each for each in outcomes if each.case.latency == latency], how)
            if one["p50"] > silence["p50"] + MEDIAN_SECONDS or later > MEAN_SECONDS:
                yield f"{how}, ears {latency}: over after {one['p50']} s, {one['mean']} s in the mean"
            if one["never"] > silence["never"]:
                yield f"{how}, ears {latency}: {one['never']} were never whole, {silence['never']} with silence"


def is_more(found: float, n: int, share: float) -> bool:
    """Is it more than that share by more than chance? One-sided, 5 %."""
    least = round(found * n)
    return sum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(least, n + 1)) < 0.05


def at_least_later(outcomes: list[Outcome], how: How) -> float:
    """By how many seconds its turns are over later than those of silence in the mean, with as much certainty."""
    delays: dict[tuple[How, str], list[float]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.delay is not None:
            delays[outcome.case.how, outcome.case.sentence.name].append(outcome.delay)
    names = {outcome.case.sentence.name for outcome in outcomes}
    later = [statistics.mean(delays[how, name]) - statistics.mean(delays["silence", name]) for name in names]
    error = statistics.stdev(later) / math.sqrt(len(later)) if len(later) > 1 else math.inf
    return statistics.mean(later) - 1.64 * error


def table(turns: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    yield f"{'':9} ears   p50   p95  mean  cut at " + " ".join(f"{pause:5}" for pause in PAUSES)
    for how, by_ears in turns.items():
        for latency, one in by_ears.items():
            delays = " ".join(f"{one[name]:5.2f}" for name in ("p50", "p95", "mean"))
            yield f"{how:9} {latency:4} {delays}         " + " ".join(f"{share:5.0%}" for share in one["cut"].values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, nargs="?", metavar="PATH")
    parser.add_argument("--sentences", type=int)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    try:
        spoken = list(sentences(options.path or PEOPLE))
    except (OSError, KeyError, TypeError, ValueError, wave.Error) as error:
        print(f"{options.path}: {error!r}", file=sys.stderr)
        return 2
    count = options.sentences or (min(SENTENCES, len(spoken)) if options.path else OWN_SENTENCES)
    outcomes = clock.run(measure(list(cases(spoken, count))))
    turns = summary(outcomes)
    wrong = list(failures(turns, outcomes))
    told = [f"{len(outcomes)} sessions", *table(turns), *wrong]
    print(*told, sep="\n", file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(json.dumps({"turns": turns, "held": not wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
