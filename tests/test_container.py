"""The Dockerfile, without docker: its steps are carried out in a folder, and what comes out is started."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from tests.stack.livekit_server import LiveKitServer, needed
from tests.stack.process import NotReady, Program

ROOT = Path(__file__).parent.parent
BUILD_SECONDS = 600.0
NOBODY = 65534


@dataclass(frozen=True)
class Step:
    """One instruction of a Dockerfile, its lines joined."""

    name: str
    text: str


def steps() -> list[Step]:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def last(name: str) -> str:
    return [step.text for step in steps() if step.name == name][-1]


class Context:
    """What .dockerignore lets into a build: the last pattern that fits a path or a folder above it decides."""

    def __init__(self) -> None:
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        patterns = [line for line in lines if line and not line.startswith("#")]
        self._patterns = [(line.startswith("!"), _expression(line.removeprefix("!"))) for line in patterns]

    def has(self, path: PurePosixPath) -> bool:
        names = [str(each) for each in (path, *path.parents)][:-1]  # without the root
        return [takes for takes, pattern in self._patterns if any(map(pattern.fullmatch, names))][-1]

    def files(self) -> list[PurePosixPath]:
        """Relative to the root of the project."""
        found: list[PurePosixPath] = []
        for folder, names, files in os.walk(ROOT):
            names[:] = [name for name in names if name not in (".git", ".venv")]  # large, and tested by themselves
            found += [PurePosixPath(Path(folder, file).relative_to(ROOT)) for file in files]
        return [path for path in found if self.has(path)]


def _expression(pattern: str) -> re.Pattern[str]:
    parts = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile("".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*/|\*)", pattern)))


# --- what is written there


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.local",
        ".env.example",
        "memory/.env",
        "room/.secret",
        ".git/config",
        ".venv/bin/python",
        ".ci/run",
        "id_rsa",
        "token.json",
        "rapport.db",
        "memory/rapport.db",
        "memory/__pycache__/store.cpython-313.pyc",
        "console-recordings/call.wav",
        "bench/imports.py",
        "offline/api/server.py",
        "talk.py",
        "terminal/process.py",
        "tests/conftest.py",
        "tests/fixtures/speech/blue.rms.wav",
    ],
)
def test_neither_secrets_nor_recordings_nor_tests_go_into_an_image(path: str) -> None:
    assert not Context().has(PurePosixPath(path))


@pytest.mark.parametrize(
    "path", ["agent.py", "identity.py", "memory/records.py", "room/private.py", "voice/session.py", "requirements.lock"]
)
def test_the_worker_does(path: str) -> None:
    assert Context().has(PurePosixPath(path))


def test_every_folder_that_the_worker_imports_is_compiled() -> None:
    code = "import sys, agent; print(*{m.partition('.')[0] for m in sys.modules})"
    asked = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = {name for name in asked.stdout.split() if (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()}
    (compiled,) = [step.text for step in steps() if step.name == "RUN" and "compileall" in step.text]
    ours.add("apps")  # of which a job imports its part when somebody has apps, and the service the rest
    assert ours == {PurePosixPath(name).stem for name in shlex.split(compiled.partition("unchecked-hash")[2])}


def test_no_secret_is_an_argument_or_a_variable_of_the_image() -> None:
    text = " ".join(step.text for step in steps() if step.name in ("ARG", "ENV"))
    assert re.findall(r"\w*(?:KEY|SECRET|TOKEN|PASSWORD)\w*", text) == []


def test_the_worker_is_not_root_and_is_asked_to_finish_its_calls() -> None:
    uid, _, gid = last("USER").partition(":")
    assert int(uid) > 0
    assert int(gid) > 0
    assert last("STOPSIGNAL") == "SIGTERM"
    assert json.loads(last("CMD"))[0] == "python", "a shell in between would keep the signal for itself"


# --- what comes out


@dataclass
class Image:
    """The folders of a build, one a stage, and what the last stage says of how it is run."""

    folder: Path
    python: Path
    root: Path = Path()
    workdir: PurePosixPath = field(default_factory=lambda: PurePosixPath("/"))
    environment: dict[str, str] = field(default_factory=dict[str, str])
    skipped: list[str] = field(default_factory=list[str])
    _stages: dict[str, Path] = field(default_factory=dict[str, Path])

    def build(self) -> None:
        for step in steps():
            match step.name:
                case "FROM":
                    self._begin(step.text)
                case "ENV":
                    self._set(step.text)
                case "WORKDIR":
                    self.workdir = PurePosixPath(step.text)
                    self.inside(self.workdir).mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(shlex.split(step.text))
                case "RUN":
                    self._run(step.text)
                case _:
                    pass

    def inside(self, path: PurePosixPath) -> Path:
        return self.root / path.relative_to("/")

    def start(self, program: Program, environment: dict[str, str], user: int | None = None) -> None:
        """Start its command with this environment and its own, as `user` if it is given."""
        command: list[str] = json.loads(last("CMD"))
        own = {name: value for name, value in self.environment.items() if not name.startswith("UV_")}
        found = shutil.which(command[0], path=own["PATH"].partition(os.pathsep)[0])
        assert found
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        program.run(
            [*as_user, found, *command[1:]],
            environment={"LANG": "C.UTF-8", **own, **environment},
            folder=self.inside(self.workdir),
        )

    def _begin(self, text: str) -> None:
        base, _, name = text.partition(" AS ")
        if base in self._stages:  # which only says how else it may be run
            self.root = self._stages[name] = self._stages[base]
            return
        self.root = self._stages[name] = self.folder / (name or "image")
        self.root.mkdir(mode=0o755)
        self.workdir, self.environment = PurePosixPath("/"), {"PATH": os.environ["PATH"]}

    def _set(self, text: str) -> None:
        for name, value in (pair.split("=", 1) for pair in shlex.split(text)):
            path = f"{self.root}{value}" if value.startswith("/") else value
            self.environment[name] = path.replace("$PATH", self.environment["PATH"])

    def _copy(self, arguments: list[str]) -> None:
        *sources, target = arguments
        if sources[0].startswith("--from="):
            stage = self._stages[sources.pop(0).removeprefix("--from=")]
            shutil.copytree(stage / sources[0].lstrip("/"), self.inside(PurePosixPath(target)), symlinks=True)
            return
        for path in Context().files():
            if "." in sources or str(path) in sources:
                copy = self.inside(self.workdir / target / path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, copy)

    def _run(self, command: str) -> None:
        if shlex.split(command)[0] not in ("uv", ".venv/bin/python"):
            self.skipped.append(command)  # needs root, and a system of its own
            return
        # the wheels that this machine has already
        own = {name: value for name, value in self.environment.items() if name != "UV_NO_CACHE"}
        done = subprocess.run(
            ["/bin/sh", "-ec", command],
            cwd=self.inside(self.workdir),
            env=os.environ | own | {"UV_PYTHON": str(self.python), "VIRTUAL_ENV": "", "PATH": _with_uv(own["PATH"])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    # not pytest's own folder: another user must be able to look inside
    with tempfile.TemporaryDirectory(prefix="image-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        image = Image(folder, _python_for_everybody())
        image.build()
        yield image


@pytest.fixture
def home() -> Iterator[Path]:
    """In the place of /data: a folder of the user whom the worker is run as."""
    with tempfile.TemporaryDirectory(prefix="data-") as name:
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@pytest.mark.soak
@pytest.mark.rooms
def test_nothing_is_left_out_of_the_build_but_what_needs_root(image: Image) -> None:
    assert [step.split()[0] for step in image.skipped] == ["pip", "useradd"]


@pytest.mark.soak
@pytest.mark.rooms
def test_the_image_has_bytecode_for_everything_and_nothing_of_the_tests(image: Image) -> None:
    app = image.inside(image.workdir)
    packages = next(app.glob(".venv/lib/python*/site-packages"))
    ours = [file for file in app.rglob("*.py") if ".venv" not in file.parts]
    theirs = list((packages / "livekit" / "agents").rglob("*.py"))
    compiled = {file.parent.parent / f"{file.name.partition('.')[0]}.py" for file in app.rglob("__pycache__/*.pyc")}
    assert len(ours) > 20
    assert [file for file in [*ours, *theirs] if file not in compiled] == []
    top = {file.relative_to(app).parts[0] for file in ours}
    assert top == {"agent.py", "apps", "call", "environment.py", "identity.py", "memory", "metrics.py", "room", "voice"}
    assert [name for name in ("pytest", "pocketsphinx", "espeakng_loader") if (packages / name).exists()] == []


@pytest.mark.soak
@pytest.mark.rooms
def test_without_a_server_it_says_what_is_missing_and_ends(image: Image, home: Path) -> None:
    program = Program("the container", home / "log")
    try:
        image.start(program, {"RAPPORT_HOME": str(home)}, user=_other_user())
        with pytest.raises(NotReady, match="ended with"):
            program.ready_when(lambda: "registered worker" in program.text(), 60, "it registers")
    finally:
        program.kill()
    assert "LIVEKIT_URL" in program.text(), program.tail()


@pytest.mark.soak
@pytest.mark.rooms
def test_it_registers_as_another_user_who_can_write_nothing_of_it_and_ends_when_asked(
    image: Image, home: Path, tmp_path: Path
) -> None:
    app = image.inside(image.workdir)
    before = sorted(app.rglob("*"))
    program = Program("the container", home / "log")
    with LiveKitServer(needed(), tmp_path) as server:
        try:
            environment = {
                "LIVEKIT_URL": server.url,
                "LIVEKIT_API_KEY": server.key,
                "LIVEKIT_API_SECRET": server.secret,
                "RAPPORT_HOME": str(home),
            }
            image.start(program, environment, user=_other_user())
            program.ready_when(lambda: "registered worker" in program.text(), 60, "it registers")
            healthy = subprocess.run(_health_check(image), capture_output=True, timeout=30, check=False)
            uid = Path(f"/proc/{program.pid}").stat().st_uid
            ended = program.stop()
        finally:
            program.kill()
    assert healthy.returncode == 0, healthy.stderr
    assert uid != 0
    assert ended == 0
    assert sorted(app.rglob("*")) == before


def _with_uv(path: str) -> str:
    """The Makefile puts one beside the packages that it installs, where the machine has none."""
    return f"{path}{os.pathsep}{Path(sys.executable).parent}"


def _health_check(image: Image) -> list[str]:
    command: list[str] = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    return [str(image.inside(PurePosixPath("/app/.venv/bin")) / command[0]), *command[1:]]


def _other_user() -> int | None:
    """Somebody who is not root; who runs the tests as somebody else is somebody else already."""
    return NOBODY if os.getuid() == 0 else None


def _python_for_everybody() -> Path:
    """A Python that the other user may start: this one may be in a home that is closed to them."""
    candidates = [Path(sys.executable).resolve(), *map(Path, filter(None, map(shutil.which, _NAMES)))]
    for candidate in candidates:
        test = [str(candidate), "-c", "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"]
        try:
            if subprocess.run(test, user=_other_user(), cwd="/", capture_output=True, check=False).returncode == 0:
                return candidate
        except PermissionError:
            continue
    pytest.skip("no Python here may be started by anybody but root")


_NAMES = ("python3.13", "python3.12", "python3.11", "/usr/bin/python3.13", "/usr/bin/python3.12", "/usr/bin/python3.11")
