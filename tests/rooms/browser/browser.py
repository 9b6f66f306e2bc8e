"""A person with a browser: LiveKit's own client in a Chromium without a window, whose microphone is a recording."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import time
import wave
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web

from tests.rooms.person import RATE, Answer, as_wav, from_wav, token
from tests.stack.chromium import chromium, livekit_client
from tests.stack.fetch import needed
from tests.stack.livekit_server import HOST, LiveKitServer
from tests.stack.process import Program, until

HERE = Path(__file__).parent
DEVICE_RATE = 48_000
LEAD_IN_SECONDS = 0.5
"""Of silence before the words: the device has begun before anybody listens to it."""

FLAGS = (
    "--headless",
    "--no-sandbox",  # it shows our own page alone, and root has no other way
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


@dataclass(frozen=True)
class Line:
    """One line of the dialogue that the page shows."""

    who: str
    """`me` or `agent`."""
    segment: str
    text: str
    final: bool


class Browser:
    """Somebody's page, while `open` runs. What happened on it, line by line, is in `story`."""

    def __init__(
        self, server: LiveKitServer, identity: str, room: str, devtools: ClientWebSocketResponse, microphone: Path
    ) -> None:
        self.identity = identity
        self.dialogue: list[Line] = []
        self.states: list[str] = []
        self.story: list[str] = []
        self._microphone = microphone
        self.loaded = False
        self.hears: list[dict[str, Any]] = []
        self._join = f"{json.dumps(server.url)}, {json.dumps(token(server, identity, room))}"
        self._devtools = devtools
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()
        self._silent = True
        self._mark = 0
        self._born = time.monotonic()

    async def join(self) -> None:
        await self._do(f"join({self._join})")

    async def say(self, recording: Path) -> None:
        """Open the microphone, and say this into it. Returns when it is open."""
        self._speaks(recording)
        await self._do("speak()")

    async def say_early_and_join(self, recording: Path) -> None:
        """Say this, and join when it is said."""
        self._speaks(recording)
        await self._do(f"speakEarlyAndJoin({self._join})")

    async def answer(self, seconds: float = 30.0) -> Answer:
        """Wait until the agent has said something since the last answer, and is silent again."""

        def said() -> list[Line]:
            return [line for line in self.dialogue if line.who == "agent"][self._mark :]

        def over() -> bool:
            return self._silent and self.states[-1:] == ["listening"] and all(line.final for line in said())

        await self.until(lambda: said() and over(), "an answer", seconds)
        text = " ".join(line.text for line in said())
        self._mark += len(said())
        samples = np.frombuffer(base64.b64decode(await self._do("takeHeard()")), np.int16)
        return Answer(text, as_wav(samples))

    async def reply_with(self, words: str) -> Answer:
        """The next answer that has these words."""
        while words not in (answer := await self.answer()).text:
            pass
        return answer

    async def leave(self) -> None:
        await self._do("leave()")

    async def until(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            story = "\n".join(self.story)
            raise AssertionError(f"{self.identity} still waits after {seconds:g} s for {what}:\n{story}") from None

    # --- what happens on the page ---------------------------------------------------------------------------------

    def _happened(self, event: dict[str, Any]) -> None:
        match event.pop("event"):
            case "shown":
                self.dialogue = [Line(**line) for line in event["lines"]]
            case "state":
                self.states.append(event["state"])
            case "hears":
                self.hears.append(event)
            case "sound":
                self._silent = False
            case "quiet":
                self._silent = True
            case _:
                pass

    def _tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._born:7.2f} {what[:300]}")
        self._changed.set()

    # --- the browser ----------------------------------------------------------------------------------------------

    def _speaks(self, recording: Path) -> None:
        self._tell(f"says {recording.name}")
        silence = np.zeros(int(LEAD_IN_SECONDS * RATE), np.int16)
        samples = np.repeat(np.concatenate([silence, from_wav(recording)]), DEVICE_RATE // RATE)
        with wave.open(str(self._microphone), "wb") as file:
            file.setparams((1, 2, DEVICE_RATE, 0, "NONE", "not compressed"))
            file.writeframes(samples.tobytes())

    async def _do(self, script: str, seconds: float = 30.0) -> Any:
        answer = await self.ask("Runtime.evaluate", seconds, expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            story = "\n".join(self.story)
            raise AssertionError(f"{script[:40]}…: {answer['exceptionDetails']['exception']['description']}\n{story}")
        return answer["result"].get("value")

    async def ask(self, method: str, seconds: float = 10.0, **parameters: Any) -> Any:
        """Of Chromium's DevTools protocol."""
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        await self._devtools.send_json({"id": number, "method": method, "params": parameters})
        try:
            return await asyncio.wait_for(self._asked[number], seconds)
        finally:
            del self._asked[number]

    async def listen(self) -> None:
        """Take what the browser answers and tells, until it is gone."""
        async for message in self._devtools:
            if message.type is not WSMsgType.TEXT:
                continue
            match json.loads(message.data):
                case {"id": number, "result": result}:
                    self._asked[number].set_result(result)
                case {"id": number, "error": error}:
                    self._asked[number].set_exception(AssertionError(str(error)))
                case {"method": "Runtime.bindingCalled", "params": {"payload": payload}}:
                    self._tell(payload)
                    self._happened(json.loads(payload))
                    self._changed.set()
                case {"method": "Page.loadEventFired"}:
                    self.loaded = True
                    self._tell("the page is there")
                case {"method": "Runtime.consoleAPICalled", "params": {"args": arguments}}:
                    self._tell(" ".join(str(each.get("value", each.get("description"))) for each in arguments))
                case _:
                    pass


@contextlib.asynccontextmanager
async def browser(server: LiveKitServer, identity: str, room: str, folder: Path) -> AsyncGenerator[Browser]:
    """Somebody in front of the page, who has not joined yet. The browser's files and log are in `folder`."""
    executable, client = needed(chromium), needed(livekit_client)
    program = Program("chromium", folder / "chromium.log")
    microphone = folder / "microphone.wav"
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(_site(client))
        flags = (
            *FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            # without %noloop it would say the same for ever
            f"--use-file-for-fake-audio-capture={microphone}%noloop",
        )
        stack.callback(program.kill)
        program.run([str(executable), *flags, "about:blank"], environment=os.environ, folder=folder)
        port = folder / "profile" / "DevToolsActivePort"
        await until(lambda: port.exists() and "\n" in port.read_text(), f"the browser starts: {program.log}")
        http = await stack.enter_async_context(ClientSession())
        async with http.get(f"http://{HOST}:{port.read_text().splitlines()[0]}/json/list") as answer:
            (page,) = [each for each in await answer.json() if each["type"] == "page"]
        devtools = await stack.enter_async_context(http.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0))
        person = Browser(server, identity, room, devtools, microphone)
        listening = asyncio.create_task(person.listen())
        stack.callback(listening.cancel)
        await person.ask("Runtime.enable")
        await person.ask("Runtime.addBinding", name="tell")
        await person.ask("Page.enable")
        await person.ask("Page.navigate", url=address)
        await person.until(lambda: person.loaded, "the page", 20)
        yield person


@contextlib.asynccontextmanager
async def _site(client: Path) -> AsyncGenerator[str]:
    """The page's address, on loopback: a browser lends its microphone to pages from there."""
    files = {f"/{file.name}": file for file in (client, HERE / "page.html", HERE / "page.js")}

    async def send(request: web.Request) -> web.FileResponse:
        return web.FileResponse(files[request.path])

    app = web.Application()
    app.add_routes([web.get(path, send) for path in files])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}/page.html"
    finally:
        await runner.cleanup()
