"""Keys are changed in the middle of calls, as sql/README.md says: nobody notices, and the log says when."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psycopg
import pytest

from identity import livekit_identity_to_uuid
from memory.manager import MemoryManager
from memory.operate.doctor import examine
from memory.settings import MemorySettings, open_store, prepare_store, what_goes_away
from memory.stores.supabase_keys import StoreMisconfigured
from room.rescue.rescue import RescueSettings
from tests.conftest import ROOT
from tests.room.edge import Edge
from tests.room.product import Product
from tests.room.worker import until, working
from tests.stack.fetch import needed
from tests.stack.postgres import obtain, shared
from tests.stack.postgrest import PostgREST
from tests.stack.postgrest import obtain as obtain_postgrest
from tests.supabase.keys import JWT_SECRET, PUBLISHABLE_KEY, SECRET_KEY, legacy_key, signing_jwk

PEOPLE = ("alice@example.com", "bob@example.com")
HOSTED = "https://abcdefghijklmnop.supabase.co"


class Operator:
    """Who has the dashboard of a project, and the files of its workers."""

    def __init__(self, rest: PostgREST, dsn: str, folder: Path) -> None:
        self.rest = rest
        self._dsn = dsn
        self.secret, self.signing, self.following = (folder / name for name in ("secret", "signing", "next"))
        self._new = ""
        self.secret.write_text(f"{rest.secret_key}\n")
        self.signing.write_text(rest.signing_jwk)
        self.following.write_text("")
        self.settings = MemorySettings(
            supabase_url=rest.url,
            supabase_secret_key_file=self.secret,
            supabase_signing_jwk_file=self.signing,
            supabase_signing_jwk_next_file=self.following,
            supabase_role="voice_agent",
        )

    async def do(self, step: str) -> None:
        """One step of the runbook, by what is printed bold there."""
        if step == "Ask the doctor":
            assert [check for check in await examine(self.settings) if check.held is not True] == []
            return
        steps: dict[str, Callable[[], object]] = {
            "Make another secret key": lambda: self._keep(self.rest.add_secret_key()),
            "Write it into the file": lambda: self.secret.write_text(f"{self._new}\n"),
            "Delete the old secret key": self.rest.revoke_secret_key,
            "Import a standby key": lambda: self._keep(self.rest.add_signing_key()),
            "Write it into the next file": lambda: self.following.write_text(self._new),
            "Rotate": lambda: None,  # tells Supabase Auth alone which of two good keys is to sign
            "Revoke the old signing key": self.rest.revoke_signing_key,
            "Write it into the present file": self._move,
        }
        steps[step]()

    def turns(self, person: str = "") -> list[object]:
        """What people said, or this one, as it is kept."""
        query = "select user_id, text from public.messages where role = 'user' order by seq"
        with psycopg.connect(self._dsn) as database:
            rows = database.execute(query).fetchall()
        return [text for who, text in rows if not person or who == livekit_identity_to_uuid(person)]

    def _move(self) -> None:
        self.signing.write_text(self._new)
        self.following.write_text("")

    def _keep(self, key: str) -> None:
        self._new = key


def runbook() -> list[list[str]]:
    """The steps for the secret key, and those for the signing key."""
    section = (ROOT / "sql/README.md").read_text().partition("## Change keys")[2].partition("\n## ")[0]
    steps = re.findall(r"^(\d)\. \*\*(.+?)\*\*", section, re.MULTILINE)
    second = [number for number, _ in steps].index("1", 1)
    return [[step for _, step in part] for part in (steps[:second], steps[second:])]


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    needed(obtain)
    dsn = shared().fresh_database()
    with PostgREST(shared().as_authenticator(dsn), tmp_path, needed(obtain_postgrest)) as rest:
        yield Operator(rest, shared().as_superuser(dsn), tmp_path)


@pytest.mark.stack
@pytest.mark.parametrize("part", [0, 1], ids=["secret key", "signing key"])
async def test_keys_are_changed_in_the_middle_of_calls_and_nobody_notices(
    operator: Operator, product: Product, server: Edge, part: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    prepare_store(operator.settings)
    product.remember_with(MemoryManager(lambda: open_store(operator.settings), deadline=5.0))  # of a busy machine
    rooms = {who: server.room(f"{who} {part}") for who in PEOPLE}
    told: list[str] = []
    async with working(product.server) as worker:
        for who, room in rooms.items():
            room.join(who)
            await worker.job(room.name)
            await product.greeted(room)
        for step in runbook()[part]:
            await operator.do(step)
            told.append(f"My color after {step!r} is number {len(told)}.")
            for who, room in rooms.items():
                await product.chat(room, who, told[-1])
            await until(lambda: len(operator.turns()) == len(told) * len(PEOPLE), "what was said to be kept", 30)
        for room in rooms.values():
            room.close()
        await worker.idle()

    assert [operator.turns(who) for who in PEOPLE] == [told, told]
    assert [line for line in caplog.messages if re.match(r"\[MEMORY (OFF|FAILED|WAITING|LOST)", line)] == []
    # by each job; the next signing key is in a file that is read anew first
    assert len([line for line in caplog.messages if line.startswith("[SUPABASE KEYS]")]) == (1 + part) * len(PEOPLE)
    assert operator.secret.read_text()[10:].strip() not in caplog.text


@pytest.mark.stack
async def test_a_next_key_that_the_project_does_not_know_is_found_by_the_doctor_and_never_used(
    operator: Operator, caplog: pytest.LogCaptureFixture
) -> None:
    operator.following.write_text(signing_jwk("ES256"))
    [wrong] = [check for check in await examine(operator.settings) if check.held is not True]
    assert wrong.told == "the project does not know SUPABASE_SIGNING_JWK_NEXT (kid our-key) yet"

    operator.rest.revoke_signing_key()
    assert "does not take" in {check.name: check for check in await examine(operator.settings)}["tokens"].told
    store = open_store(operator.settings)
    try:
        for _ in range(2):
            with pytest.raises(StoreMisconfigured, match=r"does not take what SUPABASE_SIGNING_JWK signs"):
                await store.memories(livekit_identity_to_uuid("alice@example.com"))
    finally:
        await store.aclose()
    assert "[SUPABASE KEYS]" not in caplog.text


# --- what goes away


def of(**values: str) -> MemorySettings:
    return MemorySettings.model_validate({name.lower(): value for name, value in values.items()})


LEGACY = legacy_key("service_role")
SELF_HOSTED = legacy_key("service_role", ref=None)


@pytest.mark.parametrize(
    ("environment", "goes"),
    [
        ({"SUPABASE_URL": HOSTED, "SUPABASE_SERVICE_ROLE_KEY": LEGACY}, ["SUPABASE_SERVICE_ROLE_KEY"]),
        (
            {"SUPABASE_URL": HOSTED, "SUPABASE_ANON_KEY": legacy_key("anon"), "SUPABASE_JWT_SECRET": JWT_SECRET},
            ["SUPABASE_ANON_KEY", "SUPABASE_JWT_SECRET"],
        ),
        (
            {"SUPABASE_URL": "https://db.example.com", "SUPABASE_SERVICE_ROLE_KEY": LEGACY},
            ["SUPABASE_SERVICE_ROLE_KEY"],
        ),
        (
            {"SUPABASE_URL": HOSTED, "SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_JWT_SECRET": JWT_SECRET},
            ["SUPABASE_JWT_SECRET"],
        ),
        (
            {"SUPABASE_URL": HOSTED, "SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_SIGNING_JWK": signing_jwk("ES256")},
            [],
        ),
        ({"SUPABASE_URL": "http://127.0.0.1:54321", "SUPABASE_SERVICE_ROLE_KEY": SELF_HOSTED}, []),
        ({}, []),
    ],
)
def test_keys_that_supabase_will_not_take_any_more_are_named_with_the_date(
    environment: dict[str, str], goes: list[str]
) -> None:
    told = what_goes_away(of(**environment))
    assert [each.split()[0] for each in told] == goes
    assert all("end of 2026: " in each for each in told)
    assert not any(key[6:] in each for each in told for key in environment.values() if key != HOSTED)


@pytest.mark.stack
async def test_the_doctor_names_them_and_says_what_to_do(operator: Operator) -> None:
    checks = await examine(of(SUPABASE_URL=operator.rest.url, SUPABASE_SERVICE_ROLE_KEY=LEGACY))
    [found] = [check for check in checks if check.name.startswith("end of")]
    assert (found.held, found.name) == (None, "end of SUPABASE_SERVICE_ROLE_KEY")
    assert "set SUPABASE_SECRET_KEY to it" in (found.fix or "")


async def test_each_start_of_a_worker_says_so(product: Product, caplog: pytest.LogCaptureFixture) -> None:
    product.set(memory=of(SUPABASE_URL=HOSTED, SUPABASE_SERVICE_ROLE_KEY=LEGACY), rescue=RescueSettings(rescue="off"))
    product.server.emit("worker_registered", "AW_1", None)
    assert len([line for line in caplog.messages if line.startswith("[SUPABASE KEYS] SUPABASE_SERVICE_ROLE_KEY")]) == 1


# --- keys in files


def test_what_a_file_holds_is_read_each_time_and_an_empty_one_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    settings = of(SUPABASE_URL=HOSTED, SUPABASE_SECRET_KEY_FILE=str(file), SUPABASE_PUBLISHABLE_KEY=PUBLISHABLE_KEY)
    for key in (SECRET_KEY, f"{SECRET_KEY[:-1]}x"):
        file.write_text(f"{key}\n")
        assert settings.supabase_keys["SUPABASE_SECRET_KEY"] == key
    file.write_text("\n")
    with pytest.raises(StoreMisconfigured, match="SUPABASE_PUBLISHABLE_KEY alone"):
        settings.supabase()


def test_a_file_that_cannot_be_read_and_a_key_that_is_given_twice_are_refused(tmp_path: Path) -> None:
    nowhere = of(SUPABASE_URL=HOSTED, SUPABASE_SECRET_KEY_FILE=str(tmp_path / "none"))
    with pytest.raises(StoreMisconfigured, match=r"SUPABASE_SECRET_KEY_FILE cannot be read \(FileNotFoundError\)"):
        nowhere.supabase()
    twice = of(SUPABASE_URL=HOSTED, SUPABASE_SECRET_KEY=SECRET_KEY, SUPABASE_SECRET_KEY_FILE=str(tmp_path / "none"))
    with pytest.raises(StoreMisconfigured, match="SUPABASE_SECRET_KEY and SUPABASE_SECRET_KEY_FILE are both set"):
        twice.supabase()


def test_a_next_key_needs_a_present_one() -> None:
    alone = of(SUPABASE_URL=HOSTED, SUPABASE_SECRET_KEY=SECRET_KEY, SUPABASE_SIGNING_JWK_NEXT=signing_jwk("ES256"))
    with pytest.raises(StoreMisconfigured, match="set SUPABASE_SIGNING_JWK to it"):
        alone.supabase()
