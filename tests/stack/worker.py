"""The shipped worker, started as operators start it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from identity import pseudonym
from tests.stack.livekit_server import LiveKitServer
from tests.stack.process import Program, until

ROOT = Path(__file__).parent.parent.parent
AGENT_NAME = "rapport"
MANY = "100"
HASTY_UNHEARD = {"TTS_SPEED": "3.0"}
"""For a worker whose words are read, and not listened to: what tests wait for most is the voice. Through a room even
1.4 times the usual speed is not always understood."""
READY_SECONDS = 60.0  # it takes 5 s alone on two cores

# What a developer's machine may have set, and would change what is tested.
_NOT_INHERITED = (
    *("OPENAI_", "STT_", "LLM_", "TTS_", "REALTIME_", "VOICE_", "TURN_", "LIVEKIT_", "SUPABASE_", "CONSOLE_"),
    *(
        "RAPPORT_",
        "IDENTITY_",
        "ANONYMOUS_",
        "MEMORY_",
        "MAX_",
        "ROOM_",
        "PARTICIPANT_",
        "RECONNECT_",
        "ARRIVAL_",
        "SWEEP_",
        "RESCUE",
        "EPHEMERAL_",
    ),
)


@dataclass(frozen=True)
class Kept:
    """One line of the store: whose it is, by the e-mail address that is their identity, and what it says."""

    email: str
    category: str
    key: str
    value: str


class Worker:
    """`python -m livekit.agents start agent.py` while a `with` block runs.

    `environment` is added to what it gets; `home` is its `RAPPORT_HOME`, where it may find an earlier worker's store.
    Several may run at once (`--simulation` is the framework's own flag for that: no health port), and each takes `MANY`
    people, where this machine's cores and memory would decide. Unless `as_operators_do`: then neither.
    """

    def __init__(
        self,
        server: LiveKitServer,
        models_url: str,
        home: Path,
        log: Path,
        *,
        environment: dict[str, str] | None = None,
        as_operators_do: bool = False,
        agent: Path = ROOT / "agent.py",
    ) -> None:
        self.home = home
        self._agent = agent
        self._secret = server.secret
        self.program = Program("the worker", log)
        own = dict(environment or {}) if as_operators_do else {"MAX_SESSIONS": MANY, **(environment or {})}
        self.name = own.get("LIVEKIT_AGENT_NAME", AGENT_NAME)
        self._options = () if as_operators_do else ("--simulation",)
        # a proxy would be asked even for a server on loopback: the framework passes HTTP(S)_PROXY on
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_NOT_INHERITED) and not name.lower().endswith("_proxy")
        }
        self._environment = {
            **inherited,
            "PYTHON_DOTENV_DISABLED": "1",  # nor a developer's .env
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),  # an `agent` elsewhere uses the shipped modules
            "LIVEKIT_URL": server.url,
            "LIVEKIT_API_KEY": server.key,
            "LIVEKIT_API_SECRET": server.secret,
            "OPENAI_BASE_URL": models_url,
            "RAPPORT_HOME": str(home),
            "EPHEMERAL_MEMORY": "yes",  # where tests run in a container
            **own,
        }

    def start(self) -> None:
        """Returns when it is registered: before that the server has nobody to send, and it never
        sends again. Raises `NotReady`."""
        command = [sys.executable, "-m", "livekit.agents", "start", *self._options, str(self._agent)]
        self.program.run(command, environment=self._environment, folder=ROOT)
        self.program.ready_when(lambda: self.logged("registered worker"), READY_SECONDS, "it registers")

    def stop(self) -> int | None:
        """End it, with its jobs: as a deploy does, then by force. Returns its exit code."""
        return self.program.stop()

    def kill(self) -> None:
        """As the kernel does when memory runs out: the worker's main process is gone, and nothing else is told."""
        os.kill(self.program.pid, signal.SIGKILL)

    def jobs(self, room: str) -> list[int]:
        """The process ids of the jobs in this room that have said something, oldest first."""
        pids = [
            line["pid"]
            for line in self.log()
            if line.get("room_hash") == pseudonym(room, self._secret) and "pid" in line
        ]
        return [pid for pid in dict.fromkeys(pids) if pid != self.program.pid]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self) -> list[dict[str, Any]]:
        """Its log so far, oldest first. Lines that are not JSON (a crash of the interpreter) are left out."""
        return [line for text in self.program.text().splitlines() if (line := _parsed(text)) is not None]

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The lines of the log whose message contains this."""
        return [line for line in self.log() if message in line.get("message", "")]

    @property
    def complaints(self) -> list[str]:
        """Errors and tracebacks in the log, without what the native library says of a connection that is closing."""
        return [
            f"{line.get('message')}\n{line.get('exc_info', '')}".strip()
            for line in self.log()
            if (line.get("level") in ("ERROR", "CRITICAL") or line.get("exc_info"))
            and line.get("name") != "livekit"
            # what multiprocessing says where its fork server could not tell how a process ended (popen_forkserver.poll)
            and line.get("message") != "process exited with non-zero exit code 255"
        ]

    async def logs(self, message: str, times: int = 1, seconds: float = 20.0) -> None:
        """Wait until so many lines contain this message."""
        await until(lambda: len(self.logged(message)) >= times, f"{times} × {message!r} in the worker's log", seconds)

    async def keeps(self, email: str, count: int, seconds: float = 10.0) -> list[Kept]:
        """Wait until the store has so many memories of this person; all of them."""
        await until(lambda: len(self.kept(email)) >= count, f"{count} memories of {email}", seconds)
        return self.kept(email)

    def kept(self, email: str) -> list[Kept]:
        """What the store has of this person, oldest first."""
        query = (
            "select coalesce(email, ''), category, key, value from memories join profiles on id = user_id "
            "where email = ? order by said_at, key"
        )
        return [Kept(*row) for row in self._select(query, email)]

    def profiles(self) -> list[str]:
        """The e-mail addresses of everybody who has a profile."""
        return [email for (email,) in self._select("select coalesce(email, '') from profiles order by email")]

    def store_text(self) -> str:
        """Everything that stands in the store, whoever it belongs to."""
        rows = self._select("select * from memories") + self._select("select * from profiles")
        return "\n".join(map(str, rows))

    def _select(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        store = self.home / "rapport.db"
        if not store.exists():
            return []
        with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            return db.execute(query, parameters).fetchall()

    def transcript(self, email: str) -> list[tuple[str, str]]:
        """What was said in this person's conversations, oldest first: role and text."""
        return self._select(
            "select role, text from messages join profiles p on p.id = user_id where email = ? order by said_at, seq",
            email,
        )

    def conversations(self, email: str) -> list[str]:
        """The threads of this person's conversations, oldest first."""
        query = (
            "select thread from conversations c join profiles p on p.id = user_id where email = ? order by c.created_at"
        )
        return [thread for (thread,) in self._select(query, email)]

    def endings(self, email: str) -> list[str | None]:
        """Why each session of this person ended, oldest first; None for one that lives."""
        query = "select end_reason from sessions join profiles p on p.id = user_id where email = ? order by started_at"
        return [reason for (reason,) in self._select(query, email)]

    def living(self) -> int:
        """How many sessions have not ended, of everybody."""
        [(count,)] = self._select("select count(*) from sessions where ended_at is null") or [(0,)]
        return count


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", line) if isinstance(line, dict) else None
