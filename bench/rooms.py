"""What a person waits for in a real room, and what a call costs, beside a worker of LiveKit's documentation.

python bench/rooms.py [--calls 5] [--json]

A real livekit-server, and two workers on it: ours, and tests/stack/bare_worker.py. Their models are one scripted
server: it understands a recording after 0.3 s, begins an answer after 0.4 s and a sound after 0.3 s. A person joins,
hears the greeting out, asks one question and hears the answer; one call with each worker in turns, so that a machine
that grows busy slows both. First sounds are heard at the person's own loudspeaker: from their click on "connect", and
from the end of their last word. CPU is that of all processes of a worker during the call; memory is the job's own,
with its share of what it shares.

Held are 0.8 of the bare worker's time to each first sound, 0.85 of its CPU a call and 0.6 of its memory a job.
Exit status: 0 held, 1 not, 2 the question was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parent.parent))

from offline.speech.mouth import CONTENT_TYPES, encode
from offline.speech.mouth import RATE as TTS_RATE
from tests.rooms.person import LOUD, QUIET_SECONDS, RATE, Person, from_wav
from tests.stack.livekit_server import LiveKitServer, Unavailable, obtain
from tests.stack.worker import ROOT, Worker
from tests.voice.loopback import Loopback

HELD = {"greeting_s": 0.8, "answer_s": 0.8, "cpu_s": 0.85, "pss_mb": 0.6}
BARE = "bare"

_UNDERSTANDING, _THINKING, _SPEAKING = 0.3, 0.4, 0.3
_QUESTION = ROOT / "tests" / "fixtures" / "speech" / "ask_color.rms.wav"
_PATIENCE = 30.0
_IDLE = 0.05
"""CPU seconds a second of a worker that nobody talks to, at most."""


# -- models of known speed


def models() -> Loopback:
    """A server that speaks OpenAI's protocol."""
    return Loopback(
        [
            web.post("/v1/audio/transcriptions", _understand),
            web.post("/v1/chat/completions", _think),
            web.post("/v1/audio/speech", _speak),
            web.get("/v1/models", _names),
        ]
    )


async def _names(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": []})


async def _understand(request: web.Request) -> web.Response:
    await request.read()
    await asyncio.sleep(_UNDERSTANDING)
    return web.json_response({"text": "What is my favorite color?"})


async def _think(request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    await asyncio.sleep(_THINKING)
    choice: dict[str, Any] = {"index": 0, "finish_reason": None}
    chunk = {"id": "answer", "object": "chat.completion.chunk", "created": 0, "model": asked["model"]}
    reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await reply.prepare(request)
    for delta, end in (({"role": "assistant", "content": "That is all there is to say."}, None), ({}, "stop")):
        data = {**chunk, "choices": [{**choice, "delta": delta, "finish_reason": end}]}
        await reply.write(f"data: {json.dumps(data)}\n\n".encode())
    await reply.write(b"data: [DONE]\n\n")
    return reply


async def _speak(request: web.Request) -> web.Response:
    """A tone, in the format that was asked for."""
    asked = await request.json()
    await asyncio.sleep(_SPEAKING)
    form = asked.get("response_format", "mp3")
    return web.Response(body=encode(_TONE, form), content_type=CONTENT_TYPES[form])


_TONE = (np.sin(2 * np.pi * 440 * np.arange(int(1.2 * TTS_RATE)) / TTS_RATE) * 8000).astype(np.int16)


# -- one call


@dataclass(frozen=True)
class Called:
    """What one call took: seconds to first sounds, CPU seconds, megabytes of its job."""

    greeting_s: float
    answer_s: float
    cpu_s: float
    pss_mb: float


async def call(server: LiveKitServer, worker: Worker) -> Called:
    """Join, hear the greeting, ask, hear the answer, and leave."""
    mark = secrets.token_hex(4)
    before, cpu = _cpu_by_process(worker), await _calm(worker)
    begun = time.monotonic()
    async with Person(server, f"somebody.{mark}@example.com", f"room.{mark}", agent=worker.name) as person:
        greeting = await _first_sound(person, 0.0) - begun
        await _quiet(person)
        heard = person.agent_audio.seconds_of_sound if person.agent_audio else 0.0
        await person.say(_QUESTION)
        ended = time.monotonic() - _silence_after(_QUESTION)
        answer = await _first_sound(person, heard) - ended
        await _quiet(person)
        # of those that waited for a call the one that has worked most
        now = _cpu_by_process(worker)
        job = max(before, key=lambda process: now.get(process, 0.0) - before[process])
        memory = job.memory_full_info().pss / 1e6
    return Called(greeting, answer, await _calm(worker) - cpu, memory)


async def _first_sound(person: Person, heard: float) -> float:
    def sounds() -> bool:
        return person.agent_audio is not None and person.agent_audio.seconds_of_sound > heard

    await person.until(sounds, "a first sound", _PATIENCE)
    return time.monotonic()


async def _quiet(person: Person) -> None:
    def quiet() -> bool:
        return person.agent_audio is not None and person.agent_audio.quiet_for >= QUIET_SECONDS

    await person.until(lambda: quiet() and person.states[-1:] == ["listening"], "silence", _PATIENCE)


def _silence_after(recording: Path) -> float:
    """Seconds of it after the last word."""
    samples = from_wav(recording)
    return (len(samples) - int(np.flatnonzero(np.abs(samples) > LOUD)[-1])) / RATE


def _cpu_by_process(worker: Worker) -> dict[psutil.Process, float]:
    """Seconds of each that lives, and of those that it has outlived."""
    main = psutil.Process(worker.program.pid)
    return {process: sum(process.cpu_times()[:4]) for process in (main, *main.children(recursive=True))}


async def _calm(worker: Worker) -> float:
    """CPU seconds of all of it, once it has nothing more to do: processes end after a call, and others take their
    place."""
    until, cpu = time.monotonic() + _PATIENCE, -1.0
    while (now := sum(_cpu_by_process(worker).values())) > cpu + _IDLE and time.monotonic() < until:
        cpu = now
        await asyncio.sleep(1)
    return now


# -- all of them


async def measured(calls: int) -> dict[str, Any]:
    """The figures of so many calls with each worker, after one that is not counted. Raises `Unavailable`."""
    executable = obtain(lambda what: print(what, file=sys.stderr))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(LiveKitServer(executable, folder))
        async with models() as served:
            url = served.base_url
            workers = {
                "ours": Worker(server, url, folder / "home", folder / "ours.log"),
                "bare": Worker(
                    server,
                    url,
                    folder / "home",
                    folder / "bare.log",
                    agent=ROOT / "tests" / "stack" / "bare_worker.py",
                    environment={"OPENAI_API_KEY": "none", "LIVEKIT_AGENT_NAME": BARE},
                ),
            }
            for worker in workers.values():
                await asyncio.to_thread(worker.start)
                stack.callback(worker.stop)
            called = {name: list[Called]() for name in workers}
            for _ in range(calls + 1):
                for name, worker in workers.items():
                    called[name].append(await call(server, worker))
    return _figures({name: counted[1:] for name, counted in called.items()})


def _figures(called: dict[str, list[Called]]) -> dict[str, Any]:
    median = {
        name: {
            each.name: round(statistics.median(getattr(one, each.name) for one in calls), 3) for each in fields(Called)
        }
        for name, calls in called.items()
    }
    ratio = {name: round(median["ours"][name] / median[BARE][name], 3) for name in HELD}
    held = all(ratio[name] <= most for name, most in HELD.items())
    return {"calls": len(called["ours"]), **median, "ratio": ratio, "held": held}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5, help="with each worker (default 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object, the last line")
    arguments = parser.parse_args()
    if arguments.calls < 1:
        parser.error("--calls must be 1 or more")
    try:
        result = asyncio.run(measured(arguments.calls))
    except Unavailable as why:
        print(why, file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(result))
    else:
        for name, figure in result.items():
            print(f"{name:>8}  {figure}")
    return 0 if result["held"] else 1


if __name__ == "__main__":
    sys.exit(main())
