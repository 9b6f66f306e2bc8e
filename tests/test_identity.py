"""Who is behind an identity, and who is this code working for?

Laid out by who is asking: a token server, look-alikes, a Supabase user, an anonymous visitor, a reader of the log, a
binding's owner, a script, a job, a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from pathlib import Path
from unittest.mock import MagicMock
from uuid import NAMESPACE_URL, UUID, uuid1, uuid4, uuid5

import pytest
from livekit.agents.testing import fake_job_context

import identity
from identity import (
    Binding,
    BindingState,
    IdentityError,
    IdentitySettings,
    Kind,
    NoSessionUser,
    WrongSessionUser,
    current_user,
    get_or_create_default_user,
    get_session_livekit_identity,
    get_session_user_uuid,
    kind_among,
    livekit_identity_to_uuid,
    open_binding,
    printable,
    session_user,
    set_session_user,
)

ALICE = UUID("edabafbb-61ad-51d6-9fd8-e976c892a731")
BOB = UUID("1bbc064c-d74a-56e6-a2b9-009139975e85")
ROOT = Path(identity.__file__).parent


@pytest.fixture(autouse=True)
def nobody_bound_and_a_clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in IdentitySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    identity._settings.cache_clear()
    token = identity._in_context.set(None)
    yield
    identity._in_context.reset(token)
    identity._settings.cache_clear()


# -- a token server's identity becomes a UUID


@pytest.mark.parametrize(
    ("name", "uuid"),
    [
        ("alice@example.com", ALICE),
        ("bob@example.com", BOB),
        ("user-abc-123", UUID("6f840c3a-5446-51bc-99b0-e0d11d172cef")),
    ],
)
def test_an_identity_has_the_same_uuid_on_every_worker(name: str, uuid: UUID) -> None:
    assert livekit_identity_to_uuid(name) == uuid
    assert session_user(name).uuid == uuid
    assert session_user(name).identity == name


def test_another_namespace_in_the_environment_makes_everybody_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_NAMESPACE", str(NAMESPACE_URL))
    assert livekit_identity_to_uuid("alice@example.com") == uuid5(NAMESPACE_URL, "alice@example.com") != ALICE


def test_an_empty_namespace_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_NAMESPACE", "")
    assert livekit_identity_to_uuid("alice@example.com") == ALICE


def test_a_namespace_that_is_no_uuid_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_NAMESPACE", "example.com")
    with pytest.raises(ValueError, match="IDENTITY_NAMESPACE"):
        IdentitySettings()


# -- an identity that cannot stand for a person is refused, and the message says why

BLANK = {
    "empty": "",
    "space": " ",
    "tab and newline": "\t\n",
    "no-break space": "\u00a0",
    "ideographic space": "\u3000",
    "em space": "\u2003",
    "line separator alone": "\u2028",
    "next line alone": "\x85",
}


@pytest.mark.parametrize("name", BLANK.values(), ids=BLANK)
def test_a_blank_identity_is_refused(name: str) -> None:
    with pytest.raises(IdentityError, match="empty or blank"):
        livekit_identity_to_uuid(name)


def test_513_characters_are_refused_with_both_numbers() -> None:
    with pytest.raises(IdentityError, match=r"513 characters.*at most 512"):
        livekit_identity_to_uuid("a" * 513)


@pytest.mark.parametrize("character", ["a", "ü", "😀"])
def test_512_characters_are_accepted_however_many_bytes_they_take(character: str) -> None:
    assert livekit_identity_to_uuid(character * 512).version == 5


UNPRINTED = {
    "NUL": ("\0", "0000"),
    "bell": ("\a", "0007"),
    "tab": ("\t", "0009"),
    "newline": ("\n", "000A"),
    "carriage return": ("\r", "000D"),
    "escape": ("\x1b", "001B"),
    "file separator": ("\x1c", "001C"),
    "delete": ("\x7f", "007F"),
    "next line (C1)": ("\x85", "0085"),
    "last C1": ("\x9f", "009F"),
    "line separator": ("\u2028", "2028"),
    "paragraph separator": ("\u2029", "2029"),
    "high surrogate": ("\ud800", "D800"),
    "low surrogate": ("\udfff", "DFFF"),
}


@pytest.mark.parametrize(("character", "code"), UNPRINTED.values(), ids=UNPRINTED)
@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_a_control_character_is_refused_and_named_with_its_place(character: str, code: str, place: str) -> None:
    name, position = {
        "start": (f"{character}alice", 0),
        "middle": (f"ali{character}ce", 3),
        "end": (f"alice{character}", 5),
    }[place]
    with pytest.raises(IdentityError, match=rf"U\+{code}\) at position {position}:") as refused:
        livekit_identity_to_uuid(name)
    assert str(refused.value).isprintable(), "the message itself must be safe to log"


def test_no_control_character_at_all_gets_through() -> None:
    controls = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Cs", "Zl", "Zp"}]
    assert len(controls) == 65 + 2048 + 2
    for character in controls:
        with pytest.raises(IdentityError):
            livekit_identity_to_uuid(f"a{character}")


@pytest.mark.parametrize("thing", [None, 7, b"alice", MagicMock()], ids=["None", "int", "bytes", "MagicMock"])
def test_what_is_no_text_is_refused_with_its_type(thing: object) -> None:
    with pytest.raises(IdentityError, match=type(thing).__name__):
        livekit_identity_to_uuid(thing)  # type: ignore[arg-type]


@pytest.mark.parametrize("thing", [None, b"alice", MagicMock()], ids=["None", "bytes", "MagicMock"])
def test_nobody_is_bound_by_what_is_no_text(thing: object) -> None:
    with pytest.raises(IdentityError, match=type(thing).__name__):
        set_session_user(thing)  # type: ignore[arg-type]
    with pytest.raises(NoSessionUser):
        current_user()


@pytest.mark.parametrize("name", ["علی\u200cرضا", "👩\u200d🚀", "नेहा", "李雷", " alice ", "a b", "😀"])
def test_names_of_the_world_are_accepted_as_they_are(name: str) -> None:
    assert livekit_identity_to_uuid(name) == uuid5(IdentitySettings().identity_namespace, name)


# -- look-alikes are different people

LOOK_ALIKES = {
    "case": ("alice", "Alice"),
    "composed and decomposed": ("Ren\u00e9", "Rene\u0301"),
    "Latin and Cyrillic a": ("alice", "\u0430lice"),
    "zero width joiner": ("alice", "al\u200dice"),
    "byte order mark": ("alice", "\ufeffalice"),
    "soft hyphen": ("alice", "ali\u00adce"),
    "no-break space": ("alice b", "alice\u00a0b"),
    "space at the end": ("alice", "alice "),
    "fullwidth": ("alice", "\uff41lice"),
    "right-to-left override": ("alice", "alice\u202e"),
    "an escape, and the same typed out": ("al\u200dice", "al\\u200dice"),
    "variation selector": ("alice", "alice\ufe0f"),
}


@pytest.mark.parametrize(("one", "other"), LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_look_alikes_are_two_people(one: str, other: str) -> None:
    assert livekit_identity_to_uuid(one) != livekit_identity_to_uuid(other)


@pytest.mark.parametrize(("one", "other"), LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_look_alikes_are_printed_differently(one: str, other: str) -> None:
    assert printable(one) != printable(other)


@pytest.mark.parametrize(
    "pair", [name for name in LOOK_ALIKES if name not in {"case", "space at the end", "fullwidth"}]
)
def test_a_reader_of_the_log_can_tell_look_alikes_apart(pair: str) -> None:
    """Not only the strings differ: what an eye sees of them does."""
    one, other = LOOK_ALIKES[pair]
    assert _as_seen(printable(one)) != _as_seen(printable(other))


def _as_seen(text: str) -> str:
    """What is left of a text on a screen: one form per letter, nothing that has no ink, and one kind of blank."""
    composed = unicodedata.normalize("NFC", text).replace("\u0430", "a")
    return "".join(
        " " if unicodedata.category(c) == "Zs" else c
        for c in composed
        if unicodedata.category(c) != "Cf" and not 0xFE00 <= ord(c) <= 0xFE0F
    )


# -- a reader of the log

LINE_BREAKERS = ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("breaker", LINE_BREAKERS, ids=[f"U+{ord(c):04X}" for c in LINE_BREAKERS])
def test_no_identity_can_forge_a_log_line(breaker: str) -> None:
    forged = printable(f"alice{breaker}2026-11-21 INFO [PROFILE CREATE] admin")
    assert forged.splitlines() == [forged]
    assert breaker not in forged


@pytest.mark.parametrize("character", ["\x1b", "\b", "\0", "\u202e", "\ud800"], ids=ascii)
def test_no_identity_can_paint_on_the_terminal(character: str) -> None:
    assert printable(f"a{character}b").isprintable()
    printable(f"a{character}b").encode()


def test_an_ordinary_identity_is_printed_as_it_is() -> None:
    assert printable("alice@example.com") == "alice@example.com"


# -- a Supabase Auth user

OWN_ID = "f47ac10b-58cc-4372-a567-0e02b2c3d479"


def test_a_version_4_uuid_is_derived_like_any_other_name_by_default() -> None:
    assert livekit_identity_to_uuid(OWN_ID) != UUID(OWN_ID)
    assert livekit_identity_to_uuid(OWN_ID).version == 5


def test_a_version_4_uuid_passes_unchanged_when_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_AUTH_IDENTITIES", "true")
    assert livekit_identity_to_uuid(OWN_ID) == UUID(OWN_ID)
    fresh = uuid4()
    assert livekit_identity_to_uuid(str(fresh)) == fresh


DERIVED_ANYWAY = {
    "upper case": OWN_ID.upper(),
    "one upper case letter": OWN_ID.replace("f", "F", 1),
    "braces": f"{{{OWN_ID}}}",
    "urn": f"urn:uuid:{OWN_ID}",
    "no hyphens": OWN_ID.replace("-", ""),
    "hyphens elsewhere": "f47ac10b5-8cc-4372-a567-0e02b2c3d479",
    "blank around": f" {OWN_ID} ",
    "alice's derived id": str(ALICE),
    "version 1": str(uuid1()),
    "version 3": "6fa459ea-ee8a-3ca4-894e-db77e160355e",
    "version 5": "886313e1-3b8a-5372-9b90-0c9aee199e5d",
    "version 7": "01890a5d-ac96-774b-bcce-b302099a8057",
    "nil": str(UUID(int=0)),
    "max": str(UUID(int=2**128 - 1)),
    "a 4 in its place, of another variant": "f47ac10b-58cc-4372-0567-0e02b2c3d479",
    "no uuid": "alice@example.com",
    "digits of another script": OWN_ID.replace("4", "٤", 1),
}


@pytest.mark.parametrize("name", DERIVED_ANYWAY.values(), ids=DERIVED_ANYWAY)
def test_whatever_is_not_a_canonical_version_4_is_derived(name: str) -> None:
    settings = IdentitySettings(supabase_auth_identities=True)
    assert livekit_identity_to_uuid(name, settings) == uuid5(settings.identity_namespace, name)


def test_nobody_becomes_alice_by_joining_as_her_id() -> None:
    settings = IdentitySettings(supabase_auth_identities=True)
    assert livekit_identity_to_uuid(str(ALICE), settings) != ALICE


# -- an anonymous visitor


@pytest.mark.parametrize(
    ("name", "remembered"),
    [
        ("voice_assistant_user_1234", False),
        ("voice_assistant_user_", False),
        ("identity-aB3x", False),
        ("human_user", False),
        ("identity-alice", True),
        ("identity-abc", True),
        ("my_voice_assistant_user_1", True),
        ("human_user_7", True),
        ("Human_User", True),
        ("alice@example.com", True),
    ],
)
def test_names_that_sample_front_ends_mint_are_not_remembered(name: str, remembered: bool) -> None:
    assert session_user(name).remembered is remembered


@pytest.mark.parametrize("patterns", ["guest-*,visitor-??", " guest-* , visitor-?? ,"])
def test_own_patterns_replace_the_default_ones(monkeypatch: pytest.MonkeyPatch, patterns: str) -> None:
    monkeypatch.setenv("ANONYMOUS_IDENTITIES", patterns)
    seen = {name: session_user(name).remembered for name in ("guest-7", "visitor-12", "visitor-123", "human_user")}
    assert seen == {"guest-7": False, "visitor-12": False, "visitor-123": True, "human_user": True}


def test_none_makes_nobody_anonymous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANONYMOUS_IDENTITIES", "none")
    assert all(session_user(name).remembered for name in ("human_user", "identity-aB3x", "none"))


def test_an_empty_variable_keeps_the_default_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANONYMOUS_IDENTITIES", "")
    assert not session_user("human_user").remembered


WITHHELD = ["anonymous", "restricted", "unavailable", "unknown", "withheld", "private", "blocked"]
# as networks spell them on the keys of a telephone
KEYED = ["266696687", "7378742833", "86282452253", "8656696", "2562533"]


def hashed(number: str) -> str:
    """As LiveKit writes a caller whose number its dispatch rule hides."""
    return hashlib.sha256(number.encode()).hexdigest()[:16]


@pytest.mark.parametrize("prefix", ["sip_", "SIP_", ""])
@pytest.mark.parametrize(
    "number",
    [
        *(spelled for word in WITHHELD for spelled in (word, word.title(), word.upper())),
        *(f"{plus}{number}" for number in KEYED for plus in ("", "+")),
        *(hashed(spelled) for word in WITHHELD for spelled in (word, word.title(), word.upper())),
        *(hashed(f"{plus}{number}") for number in KEYED for plus in ("", "+")),
        hashed(""),
        "+",
        "anonymous@anonymous.invalid",
        "Private Number",
        "number-unavailable",
    ],
)
def test_whoever_withholds_their_number_is_not_remembered(prefix: str, number: str) -> None:
    assert not session_user(prefix + number, kind="sip").remembered
    assert session_user(prefix + number).remembered  # a login of that name


def test_a_caller_without_any_number_is_not_remembered() -> None:
    assert not session_user("sip_", kind="sip").remembered


@pytest.mark.parametrize(
    "number", ["+4915112345678", "15551234567", "0123", hashed("+4915112345678"), "alice", "bob@private.example.com"]
)
def test_who_shows_their_number_is_remembered(number: str) -> None:
    assert session_user(f"sip_{number}", kind="sip").remembered


def test_a_caller_is_one_person_in_each_scope_and_a_login_is_one_everywhere() -> None:
    caller = "sip_+4915112345678"
    scopes = ["", "+49301", "+49302"]
    callers = {livekit_identity_to_uuid(caller, kind="sip", scope=scope) for scope in scopes}
    assert len(callers) == 3
    assert livekit_identity_to_uuid(caller, kind="sip") in callers
    assert livekit_identity_to_uuid(f"{caller}+49301", kind="sip") not in callers
    assert {livekit_identity_to_uuid("alice", scope=scope) for scope in scopes} == {livekit_identity_to_uuid("alice")}


def test_of_a_scope_that_is_not_known_nothing_is_stored() -> None:
    assert not session_user("sip_+4915112345678", kind="sip", scope=None).remembered
    assert session_user("sip_+4915112345678", kind="sip", scope="+49301").remembered


# -- a binding: UNBOUND -> BOUND -> CLOSED, or UNBOUND -> CLOSED, and never back


def test_an_unbound_binding_knows_nobody() -> None:
    binding = Binding()
    assert binding.state is BindingState.UNBOUND
    with pytest.raises(NoSessionUser, match="nobody is bound to this job yet"):
        _ = binding.user


def test_a_binding_is_filled_once_and_again_with_the_same_identity_is_harmless() -> None:
    binding = Binding()
    first = binding.bind("alice@example.com")
    assert binding.bind("alice@example.com") == first == binding.user
    assert first.uuid == ALICE
    assert binding.state is BindingState.BOUND


def test_a_bound_binding_refuses_everybody_else_and_keeps_its_user() -> None:
    binding = Binding()
    binding.bind("alice@example.com")
    with pytest.raises(WrongSessionUser) as refused:
        binding.bind("bob@example.com")
    assert binding.user.uuid == ALICE
    assert "alice" not in str(refused.value)
    assert "bob" not in str(refused.value)


def test_an_unusable_identity_leaves_the_binding_unbound() -> None:
    binding = Binding()
    with pytest.raises(IdentityError):
        binding.bind("ali\nce")
    assert binding.state is BindingState.UNBOUND
    binding.bind("alice@example.com")
    assert binding.user.uuid == ALICE


@pytest.mark.parametrize("bound_before", [True, False])
def test_a_closed_binding_knows_nobody_and_takes_nobody(bound_before: bool) -> None:
    binding = Binding()
    if bound_before:
        binding.bind("alice@example.com")
    binding.close()
    binding.close()
    assert binding.state is BindingState.CLOSED
    for name in ("alice@example.com", "bob@example.com"):
        with pytest.raises(NoSessionUser, match="session has ended"):
            binding.bind(name)
    with pytest.raises(NoSessionUser, match="session has ended"):
        _ = binding.user
    assert binding.state is BindingState.CLOSED


# -- a plain script


def test_without_anybody_bound_there_is_no_user_and_the_message_says_what_to_call() -> None:
    for ask in (current_user, get_session_user_uuid, get_session_livekit_identity):
        with pytest.raises(NoSessionUser, match="set_session_user"):
            ask()


def test_a_script_may_switch_its_user() -> None:
    assert set_session_user("alice@example.com") == ALICE == get_session_user_uuid()
    assert set_session_user("bob@example.com") == BOB == get_session_user_uuid()
    assert get_session_livekit_identity() == "bob@example.com"


def test_a_refused_switch_leaves_the_user_who_was_bound() -> None:
    set_session_user("alice@example.com")
    with pytest.raises(IdentityError):
        set_session_user(" ")
    assert get_session_user_uuid() == ALICE


async def test_two_tasks_of_a_script_have_users_of_their_own() -> None:
    async def work(name: str) -> UUID:
        set_session_user(name)
        await asyncio.sleep(0)
        return get_session_user_uuid()

    assert await asyncio.gather(work("alice@example.com"), work("bob@example.com")) == [ALICE, BOB]
    with pytest.raises(NoSessionUser):
        current_user()


def test_importing_identity_costs_no_framework() -> None:
    script = (
        "import sys, identity\n"
        "identity.set_session_user('alice@example.com')\n"
        "print(identity.get_session_user_uuid())\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'livekit'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == [str(ALICE), "[]"]


# -- the default user of a script without an identity

LOCAL_USER = UUID("aa1cb42d-1dae-5be5-812d-2831b79c1e82")


def test_the_default_user_is_always_the_same() -> None:
    assert get_or_create_default_user() == LOCAL_USER == get_session_user_uuid()
    assert get_or_create_default_user() == LOCAL_USER
    assert current_user().remembered


@pytest.mark.parametrize("supabase", [True, False])
def test_nobody_can_join_a_room_as_the_default_user(supabase: bool) -> None:
    settings = IdentitySettings(supabase_auth_identities=supabase)
    get_or_create_default_user()
    with pytest.raises(IdentityError):
        livekit_identity_to_uuid("\0local-user", settings)
    dice = random.Random(1)  # noqa: S311 - examples, not secrets
    near = "local-user\0 -LOCALUSER\\x00\u2400\u200d"
    names = ["local-user", "\\0local-user", "\u2400local-user", str(LOCAL_USER), current_user().identity]
    names += ["".join(dice.choices(near, k=dice.randint(1, 14))) for _ in range(5000)]
    accepted = 0
    for name in names:
        try:
            uuid = livekit_identity_to_uuid(name, settings)
        except IdentityError:
            continue
        accepted += 1
        assert uuid != LOCAL_USER, ascii(name)
    assert accepted > 1000


async def test_a_job_has_no_default_user() -> None:
    with fake_job_context() as job:
        open_binding(job)
        with pytest.raises(WrongSessionUser, match="only outside jobs"):
            get_or_create_default_user()
        with pytest.raises(NoSessionUser):
            current_user()


# -- a job


async def test_a_job_is_unbound_until_its_participant_is_known() -> None:
    with fake_job_context() as job:
        binding = open_binding(job)
        assert binding.state is BindingState.UNBOUND
        with pytest.raises(NoSessionUser, match="nobody is bound to this job yet"):
            current_user()
        set_session_user("alice@example.com")
        assert binding.user.uuid == ALICE == get_session_user_uuid()


async def test_a_job_never_changes_its_user() -> None:
    with fake_job_context() as job:
        open_binding(job)
        set_session_user("alice@example.com")
        assert set_session_user("alice@example.com") == ALICE
        with pytest.raises(WrongSessionUser, match="never changes its user"):
            set_session_user("bob@example.com")
        assert get_session_user_uuid() == ALICE


async def test_a_job_without_a_binding_gets_one_that_never_changes_either() -> None:
    with fake_job_context():
        before = copy_context()
        set_session_user("alice@example.com")
        with pytest.raises(WrongSessionUser):
            set_session_user("bob@example.com")
        assert before.run(get_session_user_uuid) == ALICE, "it must be on the job, not only in this context"


async def test_a_task_that_was_started_before_binding_sees_the_user_bound_later() -> None:
    with fake_job_context() as job:
        open_binding(job)
        bound = asyncio.Event()

        async def callback() -> UUID:
            await bound.wait()
            return get_session_user_uuid()

        task = asyncio.create_task(callback())
        await asyncio.sleep(0)
        set_session_user("alice@example.com")
        bound.set()
        assert await task == ALICE


async def test_a_context_of_ours_without_the_job_still_knows_its_user() -> None:
    """Room callbacks run where the framework's own ContextVar may be missing."""
    with fake_job_context() as job:
        open_binding(job)
        set_session_user("alice@example.com")
        ours_alone = Context()
        ours_alone.run(identity._in_context.set, identity._in_context.get())
        assert ours_alone.run(get_session_user_uuid) == ALICE


async def test_a_shutdown_hook_without_our_context_finds_the_user_on_the_job() -> None:
    with fake_job_context() as job:
        before = copy_context()
        open_binding(job)
        set_session_user("alice@example.com")
    assert before.run(get_session_user_uuid) == ALICE


async def test_context_and_job_that_agree_are_believed() -> None:
    set_session_user("alice@example.com")
    with fake_job_context() as job:
        copy_context().run(_bind_in_job, job, "alice@example.com")
        assert get_session_user_uuid() == ALICE


async def test_context_and_job_that_disagree_are_nobody() -> None:
    set_session_user("bob@example.com")
    with fake_job_context() as job:
        copy_context().run(_bind_in_job, job, "alice@example.com")
        with pytest.raises(WrongSessionUser, match="different users"):
            current_user()
        with pytest.raises(WrongSessionUser):
            set_session_user("bob@example.com")


@pytest.mark.parametrize("here", ["alice@example.com", "bob@example.com", None])
async def test_another_jobs_context_is_nobody_here_whoever_is_bound(here: str | None) -> None:
    with fake_job_context(job_id="there") as there:
        _bind_in_job(there, "alice@example.com")
        with fake_job_context(job_id="here") as job:
            if here:
                copy_context().run(_bind_in_job, job, here)
            with pytest.raises(WrongSessionUser, match="another job's context"):
                current_user()
            with pytest.raises(WrongSessionUser, match="another job's context"):
                set_session_user("alice@example.com")


async def test_two_jobs_side_by_side_have_users_of_their_own() -> None:
    async def job(name: str) -> list[UUID]:
        with fake_job_context(job_id=name) as ctx:
            open_binding(ctx)
            await asyncio.sleep(0)
            set_session_user(name)
            seen = []
            for _ in range(50):
                await asyncio.sleep(0)
                seen.append(get_session_user_uuid())
            return seen

    alice, bob = await asyncio.gather(job("alice@example.com"), job("bob@example.com"))
    assert set(alice) == {ALICE}
    assert set(bob) == {BOB}


async def test_a_scripts_user_does_not_stand_in_for_a_job_that_is_still_unbound() -> None:
    set_session_user("alice@example.com")
    with fake_job_context() as job:
        copy_context().run(open_binding, job)
        with pytest.raises(NoSessionUser):
            current_user()


async def test_a_job_that_is_still_unbound_can_be_bound_from_a_scripts_context() -> None:
    """`set_session_user`: inside a job it fills the job's own binding."""
    set_session_user("alice@example.com")
    with fake_job_context() as job:
        binding = copy_context().run(open_binding, job)
        assert set_session_user("alice@example.com") == ALICE
        assert binding.user.uuid == ALICE


async def test_a_scripts_user_is_believed_in_a_job_that_has_no_binding() -> None:
    set_session_user("alice@example.com")
    with fake_job_context():
        assert get_session_user_uuid() == ALICE
        with pytest.raises(WrongSessionUser):
            set_session_user("bob@example.com")


async def test_binding_the_scripts_user_in_a_job_without_a_binding_reaches_shutdown_hooks() -> None:
    """`set_session_user`: inside a job it fills the job's own binding."""
    set_session_user("alice@example.com")
    with fake_job_context():
        without_ours = copy_context()
        without_ours.run(identity._in_context.set, None)
        set_session_user("alice@example.com")
        assert without_ours.run(get_session_user_uuid) == ALICE


async def test_a_job_that_opens_its_binding_forgets_the_scripts_user() -> None:
    set_session_user("bob@example.com")
    with fake_job_context() as job:
        open_binding(job)
        with pytest.raises(NoSessionUser):
            current_user()
        assert set_session_user("alice@example.com") == ALICE


async def test_after_the_session_nobody_is_bound_wherever_one_asks() -> None:
    with fake_job_context() as job:
        before = copy_context()
        binding = open_binding(job)
        set_session_user("alice@example.com")
        binding.close()
        for ask in (current_user, lambda: before.run(current_user), lambda: set_session_user("alice@example.com")):
            with pytest.raises(NoSessionUser, match="session has ended"):
                ask()


def _bind_in_job(job: object, name: str) -> None:
    open_binding(job).bind(name)  # type: ignore[arg-type]


# -- a thread


@pytest.mark.parametrize("in_job", [True, False])
async def test_to_thread_keeps_the_user(in_job: bool) -> None:
    with fake_job_context() as job:
        context = copy_context() if in_job else Context()
        if in_job:
            context.run(open_binding, job)
        context.run(set_session_user, "alice@example.com")
        task = context.run(asyncio.create_task, asyncio.to_thread(get_session_user_uuid))
        assert await task == ALICE


@pytest.mark.parametrize("in_job", [True, False])
async def test_a_bare_thread_has_nobody(in_job: bool) -> None:
    with fake_job_context() as job:
        if in_job:
            open_binding(job)
            set_session_user("alice@example.com")
        else:
            Context().run(set_session_user, "alice@example.com")
        heard: list[object] = []
        thread = threading.Thread(target=lambda: heard.append(_who()))
        thread.start()
        thread.join()
        assert heard == [NoSessionUser]


async def test_run_in_executor_has_nobody() -> None:
    set_session_user("alice@example.com")
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        assert await loop.run_in_executor(pool, _who) is NoSessionUser
        assert await loop.run_in_executor(pool, copy_context().run, _who) == ALICE


async def test_a_thread_that_bound_somebody_leaves_its_pool_as_it_was() -> None:
    with ThreadPoolExecutor(1) as pool:
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(pool, copy_context().run, set_session_user, "alice@example.com") == ALICE
        assert await loop.run_in_executor(pool, _who) is NoSessionUser


def _who() -> object:
    try:
        return get_session_user_uuid()
    except (NoSessionUser, WrongSessionUser) as error:
        return type(error)


@pytest.mark.parametrize(
    ("kind", "kinds", "known_as"),
    [
        ("whatsapp", ("standard", "connector"), "connector"),
        ("twilio", ("connector",), "connector"),
        ("twilio", ("connector", "twilio"), "twilio"),
        ("whatsapp", ("connector", "twilio"), "connector"),
        ("whatsapp", ("whatsapp", "twilio"), "whatsapp"),
        ("twilio", ("whatsapp",), None),
        ("connector", ("whatsapp",), None),
        ("sip", ("connector",), None),
        ("standard", ("standard",), "standard"),
    ],
)
def test_connectors_are_kinds_apart_where_they_are_named(kind: Kind, kinds: tuple[Kind, ...], known_as: Kind) -> None:
    assert kind_among(kind, kinds) == known_as


def test_one_number_by_a_way_that_is_verified_and_by_one_that_is_forgeable_is_two_people() -> None:
    number = "+15551234"
    kinds: list[Kind] = ["standard", "sip", "connector", "whatsapp", "twilio"]
    assert len({livekit_identity_to_uuid(number, kind=kind) for kind in kinds}) == len(kinds)
    # as it was before they were told apart
    assert str(livekit_identity_to_uuid(number, kind="connector")) == str(
        uuid5(IdentitySettings().identity_namespace, f"\0connector\0{number}")
    )
