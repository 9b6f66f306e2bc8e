"""What an environment may say about Supabase, and how it hears that it said something wrong."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path

import pytest

from identity import set_session_user
from memory.manager import MemoryManager
from memory.settings import MemorySettings, open_store, preload_modules, why_off
from memory.stores.protocol import StoreError
from memory.stores.sqlite import SqliteStore
from memory.stores.supabase import SupabaseStore
from memory.stores.supabase_keys import KeyKind, StoreMisconfigured, access
from tests.memory.stores.contract import turn
from tests.supabase.keys import JWT_SECRET, PUBLISHABLE_KEY, SECRET_KEY, legacy_key, signing_jwk

URL = "https://abcdefghijklmnop.supabase.co"
SERVICE, ANON = legacy_key("service_role"), legacy_key("anon")


def found(url: str | None = URL, role: str = "authenticated", **keys: str):
    return access(url=url, keys=keys, role=role)


def refused(url: str | None = URL, role: str = "authenticated", **keys: str) -> str:
    with pytest.raises(StoreMisconfigured) as error:
        found(url, role, **keys)
    return str(error.value)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in MemorySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)

    def of(**values: str) -> MemorySettings:
        for name, value in (values | {"RAPPORT_HOME": str(tmp_path)}).items():
            monkeypatch.setenv(name, value)
        return MemorySettings()

    return of


# -- what is in order


def test_who_says_nothing_keeps_memories_on_this_machine(settings) -> None:
    assert isinstance(open_store(settings()), SqliteStore)
    assert preload_modules(settings()) == ["sqlite3", "memory.embedding.e5_preload"]
    assert preload_modules(settings(EMBEDDINGS="off")) == ["sqlite3"]


@pytest.mark.parametrize(
    ("variable", "key", "kind"),
    [
        ("SUPABASE_SECRET_KEY", SECRET_KEY, KeyKind.SECRET),
        ("SUPABASE_SECRET_KEY", SERVICE, KeyKind.SERVICE_ROLE),
        ("SUPABASE_SERVICE_ROLE_KEY", SERVICE, KeyKind.SERVICE_ROLE),
        ("SUPABASE_SERVICE_ROLE_KEY", SECRET_KEY, KeyKind.SECRET),
    ],
)
def test_a_privileged_key_of_either_kind_is_enough(settings, variable: str, key: str, kind: KeyKind) -> None:
    project = found(**{variable: key})
    assert project
    assert (project.url, project.key.text, project.key.kind, project.signing) == (URL, key, kind, None)
    assert isinstance(open_store(settings(SUPABASE_URL=URL, **{variable: key})), SupabaseStore)
    assert "supabase" in preload_modules(settings(SUPABASE_URL=URL, **{variable: key}))


@pytest.mark.parametrize("key", [PUBLISHABLE_KEY, ANON])
@pytest.mark.parametrize("variable", ["SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY"])
def test_a_public_key_is_enough_where_people_have_tokens(variable: str, key: str) -> None:
    project = found(**{variable: key, "SUPABASE_JWT_SECRET": JWT_SECRET})
    assert project
    assert not project.key.kind.privileged
    assert project.signing
    assert project.signing.algorithm == "HS256"


def test_a_privileged_key_comes_before_a_public_one_and_a_new_kind_before_its_legacy_form() -> None:
    every = {"SUPABASE_ANON_KEY": ANON, "SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE_KEY, "SUPABASE_JWT_SECRET": JWT_SECRET}
    project = found(**every)
    assert project
    assert project.key.text == PUBLISHABLE_KEY
    project = found(**every, SUPABASE_SERVICE_ROLE_KEY=SERVICE)
    assert project
    assert project.key.text == SERVICE
    project = found(**every, SUPABASE_SERVICE_ROLE_KEY=SERVICE, SUPABASE_SECRET_KEY=SECRET_KEY)
    assert project
    assert project.key.text == SECRET_KEY


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.parametrize("form", ["alone", "in a list"])
def test_a_signing_key_comes_before_the_shared_secret(algorithm: str, form: str) -> None:
    jwk = signing_jwk(algorithm)
    text = jwk if form == "alone" else json.dumps([json.loads(jwk)])
    project = found(SUPABASE_SECRET_KEY=SECRET_KEY, SUPABASE_JWT_SECRET=JWT_SECRET, SUPABASE_SIGNING_JWK=text)
    assert project
    assert project.signing
    assert (project.signing.algorithm, project.signing.key_id) == (algorithm, "our-key")


@pytest.mark.parametrize("url", [f"{URL}/", "http://localhost:54321", "http://127.0.0.1:54321/", "http://[::1]:54321"])
def test_a_url_may_end_in_a_slash_and_be_plain_on_this_machine(url: str) -> None:
    project = found(url, SUPABASE_SECRET_KEY=SECRET_KEY)
    assert project
    assert project.url == url.rstrip("/")


def test_no_key_stands_in_what_is_printed_of_the_settings(settings) -> None:
    values = {"SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_ANON_KEY": ANON, "SUPABASE_JWT_SECRET": JWT_SECRET}
    chosen = settings(SUPABASE_URL=URL, **values, SUPABASE_SIGNING_JWK=signing_jwk("ES256"))
    printed = f"{chosen!r} {chosen} {chosen.supabase()!r} {found(SUPABASE_SECRET_KEY=SECRET_KEY, **{})!r}"
    for key in (*values.values(), json.loads(signing_jwk("ES256"))["d"]):
        assert key[7:] not in printed


# -- what is not

URLS = {
    "": "SUPABASE_URL is not",
    "abcdefghijklmnop.supabase.co": "scheme",
    "https://": "scheme",
    "ftp://abcdefghijklmnop.supabase.co": "scheme",
    f"{URL}/rest/v1": "/rest/v1",
    f"{URL}/rest/v1/": "/rest/v1",
    f"{URL}?apikey=x": "after the host",
    "https://supabase.com/dashboard/project/abcdefghijklmnop": "dashboard",
    "postgresql://postgres:pw@db.abcdefghijklmnop.supabase.co:5432/postgres": "database's own address",
    "https://user:pw@abcdefghijklmnop.supabase.co": "user name",
    "http://abcdefghijklmnop.supabase.co": "https",
    "http://127.0.0.1.evil.example": "https",
    "http://localhost.evil.example": "https",
    f" {URL}": "blank",
    f"{URL}\n": "line break",
    f'"{URL}"': "quotation",
    "https://[::1": "no address",
    "https://host:port": "no address",
}


@pytest.mark.parametrize(("url", "told"), URLS.items(), ids=[repr(url) for url in URLS])
def test_a_wrong_url_is_told_what_is_wrong_with_it(url: str, told: str) -> None:
    error = refused(url, SUPABASE_SECRET_KEY=SECRET_KEY)
    assert told in error
    assert "SUPABASE_URL" in error
    assert "pw" not in error.split()


KEYS = {
    "publishable in the secret slot": ({"SUPABASE_SECRET_KEY": PUBLISHABLE_KEY}, "publishable key"),
    "anon in the secret slot": ({"SUPABASE_SECRET_KEY": ANON}, "anon key"),
    "anon in the service slot": ({"SUPABASE_SERVICE_ROLE_KEY": ANON}, "anon key"),
    "publishable in the service slot": ({"SUPABASE_SERVICE_ROLE_KEY": PUBLISHABLE_KEY}, "publishable key"),
    "secret in the public slot": ({"SUPABASE_PUBLISHABLE_KEY": SECRET_KEY}, "SUPABASE_SECRET_KEY"),
    "service in the anon slot": ({"SUPABASE_ANON_KEY": SERVICE}, "SUPABASE_SECRET_KEY"),
    "a user's token": ({"SUPABASE_SECRET_KEY": legacy_key("authenticated")}, "somebody's token"),
    "expired": ({"SUPABASE_SERVICE_ROLE_KEY": legacy_key("service_role", exp=1_700_000_000)}, "expired"),
    "another project's": ({"SUPABASE_SERVICE_ROLE_KEY": legacy_key("service_role", ref="other")}, "another project"),
    "no key at all": ({"SUPABASE_SECRET_KEY": "changeme-changeme"}, "no Supabase API key"),
    "the prefix alone": ({"SUPABASE_SECRET_KEY": "sb_secret_"}, "no Supabase API key"),
    "dots only": ({"SUPABASE_SECRET_KEY": "abc.def.ghi"}, "no Supabase API key"),
    "a line break": ({"SUPABASE_SECRET_KEY": f"{SECRET_KEY}\n"}, "line break"),
    "a blank": ({"SUPABASE_SECRET_KEY": f"{SECRET_KEY[:20]} {SECRET_KEY[20:]}"}, "blank"),
    "quotes": ({"SUPABASE_SECRET_KEY": f"'{SECRET_KEY}'"}, "quotation"),
    "not ASCII": ({"SUPABASE_SECRET_KEY": SECRET_KEY + "\u200b"}, "ASCII"),
    "none": ({}, "without a key"),
    "anon alone": ({"SUPABASE_ANON_KEY": ANON}, "SUPABASE_JWT_SECRET"),
    "publishable alone": ({"SUPABASE_PUBLISHABLE_KEY": PUBLISHABLE_KEY}, "SUPABASE_JWT_SECRET"),
    # no quiet falling back from a privileged key that is wrong
    "wrong beside a good public one": (
        {"SUPABASE_SECRET_KEY": "sb_wrong", "SUPABASE_ANON_KEY": ANON, "SUPABASE_JWT_SECRET": JWT_SECRET},
        "SUPABASE_SECRET_KEY",
    ),
    "an API key that shall sign": ({"SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_JWT_SECRET": SERVICE}, "API key"),
    "a short secret": ({"SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_JWT_SECRET": "short"}, "32"),
    "a secret with a line break": (
        {"SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_JWT_SECRET": f"{JWT_SECRET}\n"},
        "line break",
    ),
    "no JSON": ({"SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_SIGNING_JWK": "-----BEGIN"}, "JWK"),
    "two keys": ({"SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_SIGNING_JWK": "[{}, {}]"}, "one private key"),
    "a public JWK": (
        {
            "SUPABASE_SECRET_KEY": SECRET_KEY,
            "SUPABASE_SIGNING_JWK": json.dumps(
                {name: part for name, part in json.loads(signing_jwk("ES256")).items() if name != "d"}
            ),
        },
        "public key",
    ),
    "a JWK without kid": (
        {"SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_SIGNING_JWK": signing_jwk("ES256", kid="")},
        "kid",
    ),
    "a JWK of another kind": (
        {"SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_SIGNING_JWK": signing_jwk("ES256", crv="P-521")},
        "ES256",
    ),
    "a JWK for another use": (
        {"SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_SIGNING_JWK": signing_jwk("RS256", alg="RS512")},
        "ES256",
    ),
}


@pytest.mark.parametrize(("keys", "told"), KEYS.values(), ids=KEYS)
def test_a_wrong_key_is_told_what_to_change_without_being_shown(keys: dict[str, str], told: str) -> None:
    error = refused(**keys)
    assert told in error
    assert "SUPABASE_" in error
    for key in keys.values():
        assert key.strip("'\n")[7:] not in error or len(key) < 12


@pytest.mark.parametrize("role", ["service_role", "anon", "postgres", "", "Robert'); drop", "a b"])
def test_a_role_that_would_see_everything_or_nothing_is_refused(role: str) -> None:
    assert "SUPABASE_ROLE" in refused(role=role, SUPABASE_SECRET_KEY=SECRET_KEY, SUPABASE_JWT_SECRET=JWT_SECRET)


@pytest.mark.parametrize("variable", ["SUPABASE_SECRET_KEY", "SUPABASE_ANON_KEY", "SUPABASE_JWT_SECRET"])
def test_a_key_without_a_url_is_not_taken_for_the_embedded_store(settings, variable: str) -> None:
    with pytest.raises(StoreMisconfigured, match="SUPABASE_URL"):
        open_store(settings(**{variable: JWT_SECRET}))


def test_a_public_key_alone_means_no_memory_and_says_why(settings, caplog: pytest.LogCaptureFixture) -> None:
    chosen = settings(SUPABASE_URL=URL, SUPABASE_ANON_KEY=ANON)
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreMisconfigured):
        open_store(chosen)
    assert "SUPABASE_ANON_KEY alone" in (why_off(chosen) or "")
    assert preload_modules(chosen) == []
    assert why_off(settings(SUPABASE_URL=URL, SUPABASE_SECRET_KEY=SECRET_KEY)) is None


async def test_without_a_store_that_can_be_every_use_of_memory_says_what_to_change(settings) -> None:
    chosen = settings(SUPABASE_URL=URL, SUPABASE_ANON_KEY=ANON)
    manager = MemoryManager(lambda: open_store(chosen), deadline=1.5)
    set_session_user("alice@example.com")
    session = manager.open_session()
    with pytest.raises(StoreError, match="SUPABASE_SECRET_KEY"):
        await session.start(thread="kitchen", job="job-1", room="room", resume_within=timedelta(minutes=30), turns=10)
    for call in (
        manager.astore("FACT", "city", "Rome"),
        manager.aretrieve("FACT", "city"),
        manager.complete_first_login(),
        manager.aforget_everything(),
    ):
        with pytest.raises(StoreError, match="SUPABASE_SECRET_KEY"):
            await call
    session.append_turn(turn())
    assert manager.brief("What do you know about me?") == ""
    assert await session.end("left", 1.0) == 0
    session.close()
    await manager.aclose()
