"""Talk to the agent from a terminal: no LiveKit server, no key.

    python talk.py --as alice@example.com              type; Ctrl-D or "bye" ends
    printf 'hello\\n' | python talk.py --json           one JSON object per line
    python talk.py --say blue.wav --save answer.wav    speak a recording, keep the spoken answer

`agent.py` runs as it is shipped, in LiveKit's console mode, and connects to us: each message on that socket is a
length (4 bytes, big endian) and a protobuf `AgentSessionMessage`. LiveKit's own `RemoteSession` asks the questions;
this file is the person's ears, microphone and keyboard.

stdout carries the conversation and nothing else. Exit status: 0 done, 1 something failed, 2 the question was wrong,
128 + n ended by signal n. Whatever happens, nothing we started is left running.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

try:
    from terminal.apps import ToyApps
    from terminal.keyboard import terminal_restored
    from terminal.options import Options, parse, settings_in
    from terminal.printer import Failure, Printer
    from terminal.process import OfflineVoice, Worker, before
    from terminal.talking import talk
    from terminal.transport import meet
except ModuleNotFoundError as missing:
    sys.exit(f"talk: {missing.name} is not installed: run `make talk`.")

PARTS = {"pipeline": ("STT", "LLM", "TTS"), "realtime": ("REALTIME",)}
VOICE_SETTINGS = {
    mode: [*parts, *(f"{part}_{what}" for part in ("OPENAI", *parts) for what in ("API_KEY", "BASE_URL"))]
    for mode, parts in PARTS.items()
}
"""What says where a voice comes from, by VOICE_MODE."""
TOYS = (
    "no key is set, so the voice is a toy: rules answer instead of a language model, pocketsphinx hears, "
    "espeak-ng speaks. For real ones set OPENAI_API_KEY (in the environment or in .env)."
)
NO_REALTIME = (
    "VOICE_MODE=realtime needs a key, and none is set: the toy that talks without one is no speech-to-speech model. "
    "Set OPENAI_API_KEY or REALTIME_API_KEY, or leave VOICE_MODE away."
)


def has_voice(folder: Path, environment: Mapping[str, str]) -> bool:
    """Whether any setting says where hearing, thinking and speaking come from, read as the worker reads them.

    Raises:
        Failure: none does, and our own voice cannot take their place.
    """
    settings = settings_in(folder, environment)
    mode = settings.get("VOICE_MODE") or "pipeline"
    found = any(map(settings.get, VOICE_SETTINGS.get(mode, VOICE_SETTINGS["pipeline"])))
    if mode == "realtime" and not found:
        raise Failure(NO_REALTIME)
    return found


async def converse(options: Options, printer: Printer) -> None:
    """Start everything, talk, and end everything.

    Raises:
        Failure: something did not start, answer or stay.
    """
    folder = options.agent.parent
    # A console worker outlives its connection (livekit-agents 1.8.9): it may end when its stdin does, which is ours.
    environment = {**os.environ, "CONSOLE_LIFELINE": "stdin"}
    if options.identity is not None:
        environment["CONSOLE_IDENTITY"] = options.identity
    async with (
        OfflineVoice(printer, verbose=options.verbose) as voice,
        ToyApps(printer, verbose=options.verbose) as apps,
        Worker(printer, verbose=options.verbose) as worker,
    ):
        if not has_voice(folder, environment):
            printer.hint(TOYS)
            base_url = await voice.listen(folder, environment, options.start_timeout)
            environment |= {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "offline", "STT_LANGUAGE": "en"}
        if options.apps:
            environment |= await apps.start(folder, environment)
        printer.hint("starting the agent …")
        transport = await meet(worker, options, environment)
        await apps.ready()
        if not await before(transport.lost, talk(transport, options, printer)) and not transport.over.is_set():
            with contextlib.suppress(TimeoutError):  # the socket closes a moment before the process is gone
                await asyncio.wait_for(worker.ended.wait(), 2)
            raise worker.failure("the agent hung up", "The conversation was not over.")


def end_on_signals(task: asyncio.Task[None]) -> list[int]:
    """Let the first SIGINT, SIGTERM or SIGHUP cancel a task; later ones do not disturb its cleaning up.

    Returns the list in which the signal's number will be.
    """
    received: list[int] = []

    def stop(number: int) -> None:
        if not received:
            received.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
    return received


async def run(options: Options, printer: Printer) -> int:
    """Hold the conversation; returns the exit status."""
    conversing = asyncio.create_task(converse(options, printer))
    received = end_on_signals(conversing)
    try:
        await conversing
    except Failure as failure:
        printer.show("error", str(failure))
        if failure.log:
            printer.hint(f"The end of its log:\n{textwrap.indent(failure.log, '    ')}")
    except ModuleNotFoundError as error:
        printer.show("error", f"{error.name} is not installed: run `make talk`")
    except asyncio.CancelledError:
        if not received:
            raise
        return 128 + received[0]
    return 1 if printer.failed else 0


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # people say more than every terminal can show
    printer = Printer(as_json=options.json, typed=sys.stdin.isatty() and not options.say)
    with terminal_restored():
        return asyncio.run(run(options, printer))


if __name__ == "__main__":
    sys.exit(main())
