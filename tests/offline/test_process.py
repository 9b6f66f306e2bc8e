"""`python -m offline` as talk.py starts it."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process and its base URL once it listens; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "offline", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stdout
            line = json.loads(process.stdout.readline())
            assert line["event"] == "listening"
            yield process, line["base_url"]
        finally:
            process.kill()


def test_ends_when_stdin_closes() -> None:
    with running("--until-stdin-closes") as (process, base_url):
        with urllib.request.urlopen(f"{base_url}/models", timeout=5) as answer:  # noqa: S310
            assert json.load(answer)["object"] == "list"
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_on_a_signal_and_frees_its_port(number: signal.Signals) -> None:
    with running() as (process, base_url):
        port = base_url.split(":")[2].split("/")[0]
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr
        assert process.stderr.read() == b""
    with running("--port", port, "--until-stdin-closes") as (_, again):
        assert again == base_url


def test_taken_port_is_one_clear_line() -> None:
    with running("--until-stdin-closes") as (_, base_url):
        port = base_url.split(":")[2].split("/")[0]
        second = subprocess.run(
            [sys.executable, "-m", "offline", "--port", port], capture_output=True, timeout=10, check=False
        )
    assert second.returncode == 2
    assert second.stderr.decode() == f"offline: port {port} on 127.0.0.1 is in use\n"
    assert second.stdout == b""
