"""Hold the conversations of `evals/` with a real model, and print what was known and what was gone.

python -m evals [NAME …] [--json]          # or: make eval ARGS="…"

The model is what the worker would use: OPENAI_API_KEY, or LLM_BASE_URL, LLM_API_KEY and LLM_MODEL for any server that
speaks OpenAI's chat API. Each conversation is a process of the shipped worker, typed; whatever else of the voice is not
set comes from the offline one. The people of a run are new ones, in a store of its own.

Exit status: 0 all right, 1 not, 2 the question was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dotenv import dotenv_values

from evals.scenario import Conversation, Scenario, WrongScenario, scenarios

ROOT = Path(__file__).parent.parent
SECONDS = 300.0
"""For one conversation."""
STARTING_SECONDS = 60.0
OTHERS = ("STT", "TTS")


@dataclass
class Result:
    name: str
    asked: int
    faults: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By question; of one that was answered right there are none."""
    seconds: float = 0.0

    @property
    def right(self) -> int:
        return self.asked - len(self.faults)


async def hold(conversation: Conversation, environment: Mapping[str, str]) -> list[str]:
    """What the agent answered to each line. Raises `RuntimeError` where the conversation failed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "talk.py"), "--json", "--as", conversation.person),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment),
    )
    typed = "".join(f"{' '.join(line.split())}\n" for line in conversation.lines)
    try:
        async with asyncio.timeout(SECONDS):
            out, errors = await process.communicate(typed.encode())
    except TimeoutError:
        process.terminate()
        await process.wait()
        raise RuntimeError(f"no end after {SECONDS:.0f} s") from None
    if process.returncode:
        raise RuntimeError(f"{out.decode()}\n{errors.decode()}"[-2000:])
    return _answers([json.loads(line) for line in out.decode().splitlines()], len(conversation.lines))


def _answers(events: list[dict[str, str]], lines: int) -> list[str]:
    """What was said after each of the person's lines, up to the next one."""
    answers = [""] * lines
    place = -1
    for event in events:
        if event["event"] == "user":
            place += 1
        elif event["event"] == "agent" and 0 <= place < lines:
            answers[place] = f"{answers[place]} {event['text']}".strip()
    return answers


async def run(scenario: Scenario, environment: Mapping[str, str]) -> Result:
    """All its conversations, in a store of its own."""
    result, began = Result(scenario.name, scenario.questions), time.monotonic()
    with tempfile.TemporaryDirectory() as home:
        for conversation in scenario.conversations:
            try:
                answers = await hold(conversation, {**environment, "RAPPORT_HOME": home})
            except RuntimeError as error:
                result.faults |= {question.ask: [f"failed: {error}"] for _, question in conversation.questions}
                continue
            found = {question.ask: question.faults(answers[place]) for place, question in conversation.questions}
            result.faults |= {question: faults for question, faults in found.items() if faults}
    result.seconds = round(time.monotonic() - began, 1)
    return result


@asynccontextmanager
async def offline_voice() -> AsyncGenerator[str]:
    """The address of ears and a mouth that need no key: a typed conversation has no use for better ones."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "offline", "--port", "0", "--until-stdin-closes"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    try:
        listening = await asyncio.wait_for(process.stdout.readline(), STARTING_SECONDS)
        yield json.loads(listening)["base_url"]
    finally:
        process.stdin.close()
        await process.wait()


def settings(voice: str) -> dict[str, str]:
    """The worker's environment: the model as it is set, no database, and the offline voice for what is not set."""
    set_here = {**dotenv_values(ROOT / ".env"), **dotenv_values(ROOT / ".env.local"), **os.environ}
    kept = {name: value for name, value in set_here.items() if value and not name.startswith("SUPABASE_")}
    for part in OTHERS:
        if not any(kept.get(name) for name in (f"{part}_BASE_URL", f"{part}_API_KEY")):
            kept |= {f"{part}_BASE_URL": voice, f"{part}_API_KEY": "offline"}
    return kept | {"SUPABASE_URL": ""}


def chosen(names: list[str]) -> list[Scenario]:
    """Raises `WrongScenario`."""
    every = {scenario.name: scenario for scenario in scenarios()}
    if unknown := set(names) - every.keys():
        raise WrongScenario(f"no scenario {', '.join(sorted(unknown))}: there are {', '.join(every)}")
    return [every[name] for name in names or every]


def show(results: list[Result]) -> None:
    width = max(len(result.name) for result in results)
    for result in results:
        print(f"{result.name:<{width}}  {result.right:>3} of {result.asked:<3} {result.seconds:>6.1f} s")
        for question, faults in result.faults.items():
            print(f"{'':<{width}}    {question} {'; '.join(faults)}")
    right, asked = sum(result.right for result in results), sum(result.asked for result in results)
    print(f"{'all':<{width}}  {right:>3} of {asked:<3}")


async def evaluate(some: list[Scenario]) -> list[Result]:
    async with offline_voice() as voice:
        environment = settings(voice)
        return [await run(scenario, environment) for scenario in some]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    try:
        some = chosen(arguments.names)
    except WrongScenario as error:
        print(error, file=sys.stderr)
        return 2
    if not any(settings("").get(name) for name in ("OPENAI_API_KEY", "LLM_API_KEY", "LLM_BASE_URL", "OPENAI_BASE_URL")):
        print("no model: set OPENAI_API_KEY, or LLM_BASE_URL and LLM_MODEL (a server of your own)", file=sys.stderr)
        return 2
    results = asyncio.run(evaluate(some))
    if arguments.json:
        print(json.dumps([asdict(result) | {"right": result.right} for result in results]))
    else:
        show(results)
    return 0 if all(not result.faults for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
