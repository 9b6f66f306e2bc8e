"""A person on a machine of their own: a child process, so that they can vanish without a goodbye.

The same words as `Person`, as far as a battery that runs empty needs them. One JSON object a line goes each way:
`{"do": "say", "with": ["blue.wav"]}`, and back `{"done": …}` or `{"failed": "why"}`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

from tests.rooms.person import AGENT_NAME, ANSWER_SECONDS, DEPARTURE_SECONDS, Answer, Person
from tests.stack.livekit_server import LiveKitServer
from tests.stack.worker import ROOT

_START_SECONDS = 30.0
_STEP_SECONDS = 60.0
_LONGEST_LINE = 1 << 25  # an answer carries its audio


class PersonElsewhere:
    """While an `async with` block runs, somebody is in a room who can `drop`, `freeze` and `come_back`."""

    def __init__(
        self,
        server: LiveKitServer,
        identity: str,
        room: str,
        *,
        log: Path,
        agent: str | None = AGENT_NAME,
        microphone: bool = True,
        departure_seconds: int = DEPARTURE_SECONDS,
    ) -> None:
        self.identity = identity
        self._log = log
        self._who = {
            "server": {"url": server.url, "key": server.key, "secret": server.secret},
            "identity": identity,
            "room": room,
            "options": {"agent": agent, "microphone": microphone, "departure_seconds": departure_seconds},
        }
        self._process: Process | None = None

    async def join(self) -> Self:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.rooms.elsewhere"),
                cwd=ROOT,
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                start_new_session=True,
                limit=_LONGEST_LINE,
            )
        await self._ask("join", self._who, seconds=_START_SECONDS)
        return self

    async def say(self, recording: Path) -> None:
        await self._ask("say", str(recording))

    async def type(self, text: str) -> None:
        await self._ask("type", text)

    async def meet(self) -> str:
        """Wait until the agent speaks or listens; its identity."""
        return str(await self._ask("meet"))

    async def answer(self, seconds: float = ANSWER_SECONDS) -> Answer:
        answer = await self._ask("answer", seconds)
        return Answer(answer["text"], base64.b64decode(answer["audio"]))

    async def leave(self) -> None:
        """Say goodbye as a closed browser tab does. Harmless when they are gone already."""
        if self._process and self._process.returncode is None:
            await self._ask("leave")
            await self._gone()

    async def drop(self) -> None:
        """Vanish: nobody is told. The server notices after 21 s, or when they come back."""
        self._signal(signal.SIGKILL)
        await self._gone()

    def freeze(self) -> None:
        """As a laptop lid that is closed. `thaw` opens it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def come_back(self) -> Self:
        """Join again as the same person, from a new process."""
        await self.leave()
        return await self.join()

    async def __aenter__(self) -> Self:
        try:
            return await self.join()
        except BaseException:
            await self._end()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _end(self) -> None:
        if self._process and self._process.returncode is None:
            with contextlib.suppress(AssertionError, TimeoutError):
                self.thaw()
                await self._ask("leave", seconds=5)
            await self.drop()

    async def _ask(self, what: str, *arguments: Any, seconds: float = _STEP_SECONDS) -> Any:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError(f"{self.identity} is in no room")
        with contextlib.suppress(ConnectionError):  # the missing answer tells
            process.stdin.write(json.dumps({"do": what, "with": arguments}).encode() + b"\n")
            await process.stdin.drain()
        line = await asyncio.wait_for(process.stdout.readline(), seconds)
        answer = json.loads(line) if line else {"failed": f"the process is gone; see {self._log}"}
        if "failed" in answer:
            raise AssertionError(f"{self.identity} could not {what}: {answer['failed']}")
        return answer["done"]

    async def _gone(self) -> None:
        if self._process:
            await self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


# --- the other side -----------------------------------------------------------------------------------------------


async def _obey() -> None:
    """Do what each line of stdin says, one after the other, until it ends or the person leaves."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    person: Person | None = None
    try:
        while line := await lines.readline():
            order = json.loads(line)
            try:
                if order["do"] == "join":
                    person = await _person(*order["with"]).join()
                    done = None
                else:
                    assert person, "join comes first"
                    done = await _do(person, order["do"], order["with"])
                answer: dict[str, Any] = {"done": done}
            except Exception as error:
                answer = {"failed": str(error) or repr(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
            if order["do"] == "leave":
                return
    finally:
        if person:
            await person.leave()


def _person(who: dict[str, Any]) -> Person:
    server = cast("LiveKitServer", SimpleNamespace(**who["server"]))  # all that a person needs to know of it
    return Person(server, who["identity"], who["room"], **who["options"])


async def _do(person: Person, what: str, arguments: list[Any]) -> Any:
    match what:
        case "say":
            return await person.say(Path(arguments[0]))
        case "type":
            return await person.type(arguments[0])
        case "meet":
            return (await person.meet()).identity
        case "answer":
            answer = await person.answer(*arguments)
            return {"text": answer.text, "audio": base64.b64encode(answer.audio).decode()}
        case "leave":
            return await person.leave()
        case _:
            raise ValueError(f"nobody knows how to {what}")


if __name__ == "__main__":
    asyncio.run(_obey())
