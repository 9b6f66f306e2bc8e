"""What a person can ask of talk.py."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from terminal.sound import Recording

AGENT = str(Path(__file__).parent.parent / "agent.py")


class Options(argparse.Namespace):
    """What was asked for."""

    agent: Path
    apps: bool
    identity: str | None
    json: bool
    say: list[Recording]
    save: Path | None
    start_timeout: float
    verbose: bool


def settings_in(folder: Path, environment: Mapping[str, str]) -> dict[str, str | None]:
    """What the worker of that folder reads, as it reads it."""
    return {**dotenv_values(folder / ".env"), **dotenv_values(folder / ".env.local"), **environment}


def parse(arguments: list[str] | None) -> Options:
    """Exits with status 2 and a message if the question is wrong."""
    parser = argparse.ArgumentParser(description="Talk to the agent: no LiveKit server, no key.")
    add = parser.add_argument
    add("--as", dest="identity", metavar="IDENTITY", help="who you are, such as alice@example.com")
    add("--json", action="store_true", help="print one JSON object per line")
    add("--say", type=a_recording, action="extend", nargs="+", default=[], metavar="FILE", help="speak WAV files")
    add("--save", type=Path, metavar="FILE", help="keep the spoken answers to --say, as a WAV file")
    add("--verbose", action="store_true", help="show the agent's log, on stderr")
    add("--agent", type=a_file, default=AGENT, metavar="FILE", help="another agent than agent.py")
    add(
        "--apps",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="a toy app to connect, where no APPS are set (yes)",
    )
    add("--start-timeout", type=float, default=60.0, metavar="SECONDS", help="for the agent to start (60)")
    options = parser.parse_args(arguments, namespace=Options())
    if options.save and not options.say:
        parser.error("--save keeps the answers to --say: say something")
    if options.save and not options.save.parent.is_dir():
        parser.error(f"there is no folder {options.save.parent} to save in")
    return options


def a_file(path: str) -> Path:
    if not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path}")
    return Path(path).resolve()


def a_recording(path: str) -> Recording:
    try:
        return Recording.read(Path(path))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
