"""Where the server comes from. The Go that builds it is a shell script here; `make stack` builds the real one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack import livekit_server
from tests.stack.livekit_server import (
    BEFORE,
    SOURCE,
    VERSION,
    LiveKitServer,
    Unavailable,
    installed_go,
    needed,
    obtain,
)
from tests.stack.process import NotReady
from tests.stack.worker import ROOT

InstallGo = Callable[..., Path]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of this one folder, and a cache of its own; `tmp_path/built` gets a line with each build."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("RAPPORT_STACK", str(tmp_path / "stack"))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("RAPPORT_LIVEKIT_SERVER", raising=False)
    return folder


@pytest.fixture
def install_go(path: Path, tmp_path: Path) -> InstallGo:
    """Put a Go on the PATH: it "builds" a program, or fails with a word of its own."""

    def install(version: str, *, fails: str = "") -> Path:
        build = (
            f"echo {fails}; exit 1" if fails else f'echo x >> {tmp_path}/built; sleep 0.2; echo it > "$GOBIN/server"'
        )
        script = f"""#!/bin/sh
            PATH=/usr/bin:/bin
            if [ "$1" = env ]; then echo {version}; exit; fi
            [ "$GOTOOLCHAIN" = local ] && [ "$CGO_ENABLED" = 0 ] || exit 2
            if [ "$1" = mod ]; then
                mkdir -p vendor/github.com/livekit/livekit-server/pkg/rtc
                echo "on; se.EnableSped(true)" > vendor/github.com/livekit/livekit-server/pkg/rtc/transport.go; exit
            fi
            [ "$2" = "{SOURCE}@v{BEFORE}" ] || [ "$(cat vendor/github.com/livekit/*/pkg/rtc/*.go)" = "on; " ] || exit 3
            mkdir -p "$GOBIN"; {build}
        """
        return executable(path / "go", script)

    return install


def executable(file: Path, script: str) -> Path:
    file.write_text(script)
    file.chmod(0o755)
    return file


def test_a_server_on_the_path_is_taken_as_it_is(path: Path) -> None:
    server = executable(path / "livekit-server", "#!/bin/sh\n")

    assert obtain() == server


def test_a_server_is_built_once_and_then_found(install_go: InstallGo, tmp_path: Path) -> None:
    install_go("go1.26.8")
    told: list[str] = []

    first, second = obtain(told.append), obtain(told.append)

    assert first == second == tmp_path / "stack" / f"livekit-server-{VERSION}"
    assert first.read_text() == "it\n"
    assert (tmp_path / "built").read_text().split() == ["x"]
    assert len(told) == 1
    assert sorted(file.name for file in first.parent.iterdir()) == [first.name, "lock"]


def test_the_one_before_is_built_beside_it_whatever_is_on_the_path(
    install_go: InstallGo, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_go("go1.26.8")
    executable(path / "livekit-server", "#!/bin/sh\n")
    monkeypatch.setenv("RAPPORT_LIVEKIT_SERVER", BEFORE)

    assert obtain().name == f"livekit-server-{BEFORE}"


def test_a_version_that_nobody_can_build_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_LIVEKIT_SERVER", "1.13.12")

    with pytest.raises(Unavailable, match=f"we can build {VERSION} and {BEFORE}"):
        obtain()


def test_processes_that_start_at_once_build_one_server(install_go: InstallGo, tmp_path: Path) -> None:
    install_go("go1.27")
    command = [sys.executable, "-c", "from tests.stack import livekit_server; print(livekit_server.obtain())"]

    both = [subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {process.communicate(timeout=60)[0].strip() for process in both}

    assert printed == {str(tmp_path / "stack" / f"livekit-server-{VERSION}")}
    assert (tmp_path / "built").read_text().split() == ["x"]


@pytest.mark.parametrize(
    ("version", "new_enough"), [("go1.25.9", False), ("go1.26", True), ("go1.26.8", True), ("go2.0", True), ("", False)]
)
def test_a_go_is_used_if_it_is_new_enough(install_go: InstallGo, version: str, new_enough: bool) -> None:
    go = install_go(version)

    assert installed_go() == (go if new_enough else None)


def test_without_a_go_that_is_new_enough_that_of_the_wheel_builds_and_leaves_nothing(
    install_go: InstallGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = tmp_path / "of the wheel"
    used.mkdir()
    go = install_go("go1.27.3").rename(used / "go")
    install_go("go1.20")

    def unpack(_: Path) -> Path:
        return go

    monkeypatch.setattr(livekit_server, "_go_from_its_wheel", unpack)

    server = obtain()

    assert server.read_text() == "it\n"
    assert sorted(file.name for file in server.parent.iterdir()) == [server.name, "lock"]


def test_a_build_that_fails_says_why_and_leaves_nothing(install_go: InstallGo, tmp_path: Path) -> None:
    install_go("go1.26.0", fails="no-network")

    with pytest.raises(Unavailable, match="no-network"):
        obtain()
    assert [file.name for file in (tmp_path / "stack").iterdir()] == ["lock"]


def test_a_test_that_needs_the_server_is_skipped_without_it(install_go: InstallGo) -> None:
    install_go("go1.26.0", fails="no-network")

    with pytest.raises(pytest.skip.Exception, match="no-network"):
        needed()


def test_and_fails_where_tests_must_run(install_go: InstallGo, monkeypatch: pytest.MonkeyPatch) -> None:
    install_go("go1.26.0", fails="no-network")
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="no-network"):
        needed()


def test_a_server_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    broken = executable(tmp_path / "server", "#!/bin/sh\necho it is broken; exit 3\n")

    with pytest.raises(NotReady, match=r"ended with 3(.|\n)*it is broken"):
        LiveKitServer(broken, tmp_path).start()


def test_a_port_that_somebody_took_meanwhile_is_not_the_end(tmp_path: Path) -> None:
    unlucky = executable(tmp_path / "server", "#!/bin/sh\necho listen: bind: address already in use; exit 1\n")
    server = LiveKitServer(unlucky, tmp_path)

    with pytest.raises(NotReady):
        server.start()
    assert server.program.text().count("address already in use") == 3


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_listens_on_loopback_only_and_is_gone_afterwards(tmp_path: Path) -> None:
    with LiveKitServer(needed(), tmp_path) as server:
        addresses = listening(server.program.pid)

    assert {port for _, port in addresses} == {server.ports.http, server.ports.media}
    assert {address for address, _ in addresses} == {"0100007F"}  # 127.0.0.1 as /proc writes it
    assert server.program.exit_code is not None


def listening(pid: int) -> set[tuple[str, int]]:
    """The address and port of every socket that this process listens or receives on."""
    sockets = set[str]()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile, and listens on nothing
            sockets.add(str(file.readlink()))
    found: set[tuple[str, int]] = set()
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            address, port = columns[1].split(":")
            if columns[3] == state and f"socket:[{columns[9]}]" in sockets:
                found.add((address, int(port, 16)))
    return found
