"""The service that connects people to their own apps.

    python -m apps serve            for jobs and browsers, until it is told to stop
    python -m apps doctor           are the settings in order, and does each app answer as the standard says?
    python -m apps key              a new key for APPS_KEYS
    python -m apps secret           a new secret for APPS_SECRET

`serve` writes one JSON line when it listens, `{"event": "listening", "url": …, "public_url": …}`. Exit status 0: it is
so, or was done; 1: it is not, or was not; 2: the question or a setting was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from dataclasses import asdict
from types import FrameType

from aiohttp import web
from dotenv import load_dotenv

from apps.doctor import examine
from apps.service import Service, application
from apps.settings import ServiceSettings, SettingsWrong, SharedSettings, read_settings, sealing_keys
from apps.stores.protocol import Store
from apps.stores.sealing import KeysWrong, Sealing, new_key

DONE, NOT_DONE, WRONG_QUESTION = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.command == "key":
        return _say(new_key(f"k{secrets.token_hex(3)}"))
    if options.command == "secret":
        return _say(secrets.token_urlsafe(32))
    load_dotenv(".env.local")
    load_dotenv()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        return asyncio.run(_serve(options) if options.command == "serve" else _doctor(options))
    except (SettingsWrong, KeysWrong) as error:
        sys.stderr.write(f"apps: {error}\n")
        return WRONG_QUESTION
    except OSError as error:
        sys.stderr.write(f"apps: {error}\n")
        return NOT_DONE


async def _serve(options: argparse.Namespace) -> int:
    service_settings, shared = read_settings()
    if not service_settings.apps:
        raise SettingsWrong("APPS lists no app, so there is nothing to serve: set it to JSON or to a file of it")
    secret, sealing = shared.secret, Sealing(sealing_keys(service_settings, shared))
    stop = asyncio.Event()
    _stop_on_signals(stop)
    if options.until_stdin_closes:
        _stop_with_stdin(stop)
    listening = _Listening(service_settings)
    service = Service(
        service_settings,
        open_store(shared),
        sealing,
        secret=secret,
        name=shared.agent_display_name,
        public_url=service_settings.apps_public_url or listening.public_url,
    )
    runners = await listening.serve(service)
    keeping = asyncio.create_task(service.keep())
    told = {"event": "listening", "url": listening.url, "public_url": listening.told_public_url}
    _say(json.dumps(told))
    await stop.wait()
    keeping.cancel()
    await asyncio.gather(*(runner.cleanup() for runner in runners), keeping, return_exceptions=True)
    await service.aclose()
    return DONE


async def _doctor(options: argparse.Namespace) -> int:
    service_settings, shared = read_settings()
    checks = await examine(service_settings, shared, open_store)
    held = all(check.held for check in checks)
    for check in checks:
        _say(f"{'ok  ' if check.held else 'FAIL'} {check.name}: {check.told}")
    if options.json:
        _say(json.dumps({"ok": held, "checks": [asdict(check) for check in checks]}))
    return DONE if held else NOT_DONE


class _Listening:
    """The sockets: bound before anything is made, because the pages' address may follow from them."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._inside = _bound(settings.apps_host, settings.apps_port)
        public = settings.apps_public_port
        self._outside = None if public is None else _bound(settings.apps_host, public)
        self.url = _address(self._inside)
        self.public_url = _address(self._outside or self._inside)
        self.told_public_url = settings.apps_public_url or self.public_url

    async def serve(self, service: Service) -> list[web.AppRunner]:
        if self._outside is None:
            return [await _run(service.for_jobs() + service.for_browsers(), self._inside)]
        return [await _run(service.for_jobs(), self._inside), await _run(service.for_browsers(), self._outside)]


def open_store(shared: SharedSettings) -> Store:
    """The one that the settings name. Opens nothing yet. Raises `SettingsWrong`."""
    if shared.supabase_url is None:
        from apps.stores.sqlite import SqliteStore  # noqa: PLC0415 - one of the two is needed

        return SqliteStore(shared.embedded_store)
    from apps.stores.supabase import SupabaseStore  # noqa: PLC0415

    return SupabaseStore(shared.supabase_url, shared.supabase_key, shared.rapport_schema)


def _bound(host: str, port: int) -> socket.socket:
    """Raises `OSError`, in words that name the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(f"{host}:{port} cannot be listened on ({error.strerror}): set APPS_PORT") from None


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _run(routes: list[web.RouteDef], bound: socket.socket) -> web.AppRunner:
    # no access log: its lines hold links, codes and states
    runner = web.AppRunner(application(routes), access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    return runner


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def handle(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _stop_with_stdin(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def wait() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=wait, name="stdin", daemon=True).start()


def _say(line: str) -> int:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m apps", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run until told to stop")
    serve.add_argument("--until-stdin-closes", action="store_true", help="end when stdin reaches its end")
    doctor = commands.add_parser("doctor", help="look at the settings, the store and each app")
    doctor.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    commands.add_parser("key", help="a new key for APPS_KEYS")
    commands.add_parser("secret", help="a new secret for APPS_SECRET")
    return parser


if __name__ == "__main__":
    sys.exit(main())
