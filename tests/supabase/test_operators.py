"""What operators do with `python -m memory`, on every store: what is printed, what is done, and the exit status."""

from __future__ import annotations

import asyncio
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from identity import livekit_identity_to_uuid
from memory.__main__ import main
from memory.operate.migrate import migrations
from memory.records import Category, Memory
from memory.settings import MemorySettings, open_store
from memory.stores.export import timestamp
from memory.stores.protocol import Store
from tests.memory.stores.contract import NOON, said, started, turn
from tests.supabase.project import project as running_project

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent
ALICE, BOB = "alice@example.com", "bob@example.com"
DONE, NOT_DONE, WRONG_QUESTION = 0, 1, 2


@dataclass
class Told:
    status: int
    out: str
    error: str

    @property
    def found(self) -> dict[str, Any]:
        return json.loads(self.out.splitlines()[-1])


class Operator:
    """Somebody at a terminal, whose environment names a store."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def asks(self, *arguments: str) -> Told:
        try:
            status = main(list(arguments))
        except SystemExit as ended:  # argparse ends the program itself
            status = int(ended.code or 0)
        printed = self._capsys.readouterr()
        return Told(status, printed.out, printed.err)

    def does(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """What a worker would do meanwhile."""

        async def run() -> T:
            store = open_store(MemorySettings())
            try:
                return await work(store)
            finally:
                await store.aclose()

        return asyncio.run(run())

    def rows_of(self, identity: str) -> dict[str, Any]:
        return self.does(lambda store: store.export(livekit_identity_to_uuid(identity)))


ENVIRONMENTS = {
    "sqlite": None,
    "supabase": ("SUPABASE_SECRET_KEY",),
    "supabase-tokens": ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_JWT_SECRET"),
}


@pytest.fixture(params=ENVIRONMENTS)
def operator(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Operator:
    keys = ENVIRONMENTS[request.param]
    environment = {"RAPPORT_HOME": str(tmp_path / "home")}
    if keys:
        running_project().empty()
        environment |= running_project().environment(*keys)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)  # where nobody has a .env
    return Operator(capsys)


@pytest.fixture
def known(operator: Operator) -> Operator:
    """Alice and Bob have been here, and both said something."""

    async def live(store: Store) -> None:
        for identity, value in ((ALICE, "blue"), (BOB, "red")):
            user = livekit_identity_to_uuid(identity)
            session = await started(store, user)
            await store.remember(user, [said("grey", later=-60), said("2 \x1b[31m cats", "pets", Category.FACT)])
            await store.remember(user, [said(value, conversation=session.conversation)])
            await store.append_turns(user, session.conversation, [turn(f"{value} it is")])

    operator.does(live)
    return operator


# -- list


def test_list_shows_what_is_remembered_of_one_person(known: Operator) -> None:
    told = known.asks("list", "--identity", ALICE)
    assert told.status == DONE
    assert told.out.splitlines() == [
        "2026-11-21  FACT  pets: 2 \\u001b[31m cats",
        "2026-11-21  PREFERENCE  favorite_color: blue",
    ]


def test_list_as_json_has_every_field(known: Operator) -> None:
    told = known.asks("list", "--identity", ALICE, "--json")
    assert told.status == DONE
    assert told.found["ok"] is True
    assert [row["value"] for row in told.found["memories"]] == ["2 \x1b[31m cats", "blue"]
    assert told.found["memories"][1]["said_at"] == timestamp(NOON)


def test_a_person_may_be_named_by_their_uuid(known: Operator) -> None:
    user = str(livekit_identity_to_uuid(ALICE))
    assert known.asks("list", "--user", user).out == known.asks("list", "--identity", ALICE).out


def test_of_somebody_unknown_nothing_is_remembered(known: Operator) -> None:
    told = known.asks("list", "--identity", "nobody@example.com", "--json")
    assert (told.status, told.found) == (DONE, {"ok": True, "memories": []})


# -- forget


def test_what_is_forgotten_is_gone_from_the_turns_too_and_nothing_else_is(known: Operator) -> None:
    bobs = known.rows_of(BOB)
    told = known.asks("forget", "PREFERENCE:favorite_color", "--identity", ALICE, "--json")
    assert (told.status, told.found["forgotten"]) == (DONE, ["PREFERENCE:favorite_color"])
    rows = known.rows_of(ALICE)
    assert "blue" not in json.dumps([rows[part] for part in ("memories", "past", "conversations")])
    assert [row["text"] for row in rows["turns"]] == [""]
    assert [row["key"] for row in rows["memories"]] == ["pets"]
    assert known.rows_of(BOB) == bobs
    again = known.asks("forget", "PREFERENCE:favorite_color", "--identity", ALICE)
    assert (again.status, again.out) == (NOT_DONE, "nothing is kept under that name\n")


# -- export, import, erase


def test_export_erase_and_import_give_the_same_bytes_and_leave_others_alone(known: Operator, tmp_path: Path) -> None:
    bobs = known.rows_of(BOB)
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    assert known.asks("export", "--identity", ALICE, "--output", str(first)).status == DONE
    told = known.asks("erase", "--identity", ALICE, "--yes", "--json")
    assert told.status == DONE
    counts = {"profiles": 1, "memories": 2, "memory_history": 1, "conversations": 1, "sessions": 1, "messages": 1}
    assert told.found["erased"] == counts
    assert known.rows_of(ALICE)["profile"] is None
    assert not any(rows for name, rows in known.rows_of(ALICE).items() if name != "profile")
    assert known.asks("import", str(first), "--identity", ALICE).status == DONE
    assert known.asks("export", "--identity", ALICE, "--output", str(second)).status == DONE
    assert first.read_bytes() == second.read_bytes()
    assert known.rows_of(BOB) == bobs


def test_an_export_is_its_owners_alone(known: Operator, tmp_path: Path) -> None:
    file = tmp_path / "alice.json"
    known.asks("export", "--identity", ALICE, "--output", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_export_is_printed_where_no_file_is_named(known: Operator) -> None:
    printed = json.loads(known.asks("export", "--identity", ALICE).out)
    assert printed == known.rows_of(ALICE)
    assert known.asks("export", "--identity", ALICE, "--json").found["document"] == printed


def test_an_export_of_somebody_unknown_says_so(known: Operator) -> None:
    told = known.asks("export", "--identity", "nobody@example.com")
    assert told.status == DONE
    assert json.loads(told.out)["profile"] is None
    assert "nobody is known" in told.error


@pytest.mark.parametrize("text", ["", "locker-4711", "[]", '{"profile": "locker-4711"}', "\udcff"], ids=repr)
def test_what_is_no_export_is_not_imported_and_not_quoted(known: Operator, tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    before = known.rows_of(ALICE)
    told = known.asks("import", str(file), "--identity", ALICE, "--json")
    assert told.status == WRONG_QUESTION
    assert told.found["ok"] is False
    assert "locker-4711" not in told.out + told.error
    assert known.rows_of(ALICE) == before


def test_one_persons_export_is_not_anothers(known: Operator, tmp_path: Path) -> None:
    file = tmp_path / "alice.json"
    known.asks("export", "--identity", ALICE, "--output", str(file))
    before = known.rows_of(BOB)
    assert known.asks("import", str(file), "--identity", BOB).status == WRONG_QUESTION
    assert known.rows_of(BOB) == before


def test_a_file_that_is_not_there_is_a_wrong_question(operator: Operator, tmp_path: Path) -> None:
    assert operator.asks("import", str(tmp_path / "none.json"), "--identity", ALICE).status == WRONG_QUESTION


def test_erasing_twice_says_that_there_was_nothing(known: Operator) -> None:
    known.asks("erase", "--identity", ALICE, "--yes")
    told = known.asks("erase", "--identity", ALICE, "--yes")
    assert (told.status, told.out) == (DONE, "deleted: there was nothing\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "status"), [("yes\n", DONE), ("y\n", NOT_DONE), ("\n", NOT_DONE), ("", NOT_DONE), ("no yes\n", NOT_DONE)]
)
def test_erasing_asks_first(known: Operator, monkeypatch: pytest.MonkeyPatch, typed: str, status: int) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    told = known.asks("erase", "--identity", ALICE)
    assert told.status == status
    assert (known.rows_of(ALICE)["profile"] is None) is (status == DONE)
    assert "for good?" in told.error


def test_erasing_where_nobody_can_be_asked_needs_a_yes(known: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert known.asks("erase", "--identity", ALICE).status == WRONG_QUESTION
    assert known.rows_of(ALICE)["profile"] is not None


# -- sessions


def test_sessions_lists_the_latest_first_and_only_the_living_if_asked(known: Operator) -> None:
    user = livekit_identity_to_uuid(ALICE)

    async def end(store: Store) -> None:
        for record in await store.sessions(living=True, limit=10):
            if record.user == user:
                await store.end_session(user, record.id, "job-1", "left")

    known.does(end)
    told = known.asks("sessions", "--json")
    assert told.status == DONE
    assert {row["user"] for row in told.found["sessions"]} == {str(user), str(livekit_identity_to_uuid(BOB))}
    living = known.asks("sessions", "--living", "--json").found["sessions"]
    assert [row["user"] for row in living] == [str(livekit_identity_to_uuid(BOB))]
    assert "ended" in known.asks("sessions").out
    assert len(known.asks("sessions", "--limit", "1", "--json").found["sessions"]) == 1


def test_sessions_says_when_each_was_last_seen(known: Operator) -> None:
    [row, _] = known.asks("sessions", "--json").found["sessions"]
    assert abs((datetime.fromisoformat(row["seen_at"]) - datetime.now(UTC)).total_seconds()) < 300


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_that_is_none_is_a_wrong_question(operator: Operator, limit: str) -> None:
    assert operator.asks("sessions", "--limit", limit).status == WRONG_QUESTION


# -- doctor, and questions that are wrong on any store


def test_the_doctor_is_content(operator: Operator) -> None:
    told = operator.asks("doctor", "--json")
    assert (told.status, told.found["ok"]) == (DONE, True)
    assert all(check["held"] is not False for check in told.found["checks"])
    assert all(line.startswith("ok ") for line in operator.asks("doctor").out.splitlines())


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("list",),
        ("list", "--identity", ""),
        ("list", "--identity", "\x00"),
        ("list", "--user", "alice"),
        ("list", "--identity", "a", "--user", "edabafbb-61ad-51d6-9fd8-e976c892a731"),
        ("export", "alice.json"),
        ("migrate",),
    ],
    ids=str,
)
def test_a_question_that_makes_no_sense_is_a_wrong_one(operator: Operator, arguments: tuple[str, ...]) -> None:
    told = operator.asks(*arguments)
    assert told.status == WRONG_QUESTION
    assert told.error


@pytest.mark.parametrize("value", ["soon", "0"])
def test_a_wrong_environment_is_a_wrong_question(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("MEMORY_DEADLINE", value)
    told = operator.asks("list", "--identity", ALICE, "--json")
    assert told.status == WRONG_QUESTION
    assert "MEMORY_DEADLINE" in told.found["error"]


@pytest.mark.parametrize("command", ["list", "export", "sessions", "doctor"])
def test_a_store_that_cannot_be_is_not_done_and_says_what_to_change(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("SUPABASE_URL", "https://x.supabase.co")
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "locker-4711-locker-4711")
    monkeypatch.delenv("SUPABASE_SERVICE_ROLE_KEY", raising=False)
    person = () if command in ("sessions", "doctor") else ("--identity", ALICE)
    told = operator.asks(command, *person, "--json")
    assert (told.status, told.found["ok"]) == (NOT_DONE, False)
    assert "SUPABASE_SECRET_KEY" in told.out
    assert "4711" not in told.out + told.error


# -- migrate


@pytest.mark.stack
def test_migrate_says_what_it_would_apply_applies_it_and_has_nothing_left(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, names = running_project(), [file.path.name for file in migrations()]
    database = here.postgres.fresh_database(migrated=False)
    operator = Operator(capsys)
    assert operator.asks("migrate", "--dry-run", "--database-url", database, "--json").found["pending"] == names
    assert operator.asks("migrate", "--database-url", database, "--json").found["applied"] == names
    monkeypatch.setenv("DATABASE_URL", database)
    told = operator.asks("migrate")
    assert (told.status, told.out) == (DONE, "nothing to apply\n")


@pytest.mark.parametrize("database", ["postgresql://nobody:locker-4711@127.0.0.1:1/x", "locker-4711"])
def test_a_database_that_cannot_be_reached_is_not_migrated_and_its_password_not_shown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = Operator(capsys).asks("migrate", "--database-url", database, "--json")
    assert (told.status, told.found["ok"]) == (NOT_DONE, False)
    assert "4711" not in told.out + told.error


# -- as a program


def test_it_is_a_program_that_reads_its_env_file_and_prints_one_json_object_last(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / ".env.local").write_text(f"RAPPORT_HOME={home}\n")

    async def tell() -> None:
        store = open_store(MemorySettings(rapport_home=home))
        await store.remember(livekit_identity_to_uuid(ALICE), [Memory(Category.FACT, "city", "Rome", NOON)])
        await store.aclose()

    asyncio.run(tell())
    environment = {name: value for name, value in os.environ.items() if name != "RAPPORT_HOME"}
    done = subprocess.run(
        [sys.executable, "-m", "memory", "list", "--identity", ALICE, "--json"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (DONE, "")
    assert json.loads(done.stdout.splitlines()[-1])["memories"][0]["value"] == "Rome"


def test_who_keeps_memories_on_this_machine_does_not_import_the_client() -> None:
    program = (
        "import sys; from memory.settings import *; open_store(MemorySettings()); import memory.__main__;"
        "sys.exit(bool({'supabase', 'postgrest', 'httpx', 'jwt', 'psycopg', 'cryptography'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=120, check=False).returncode == 0
