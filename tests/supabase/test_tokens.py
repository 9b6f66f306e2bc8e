"""A person's token: what it says, when it is renewed, and whose clock it goes by."""

from __future__ import annotations

import json
from email.utils import formatdate
from uuid import UUID

import jwt
import pytest

from memory.stores.supabase_keys import SigningKey, StoreMisconfigured, access
from memory.stores.supabase_tokens import LIFETIME_SECONDS, RENEW_SECONDS, SKEW_SECONDS, PersonTokens, ServerClock
from tests.memory.stores.contract import ALICE, BOB
from tests.supabase.keys import JWT_SECRET, SECRET_KEY, signing_jwk

NOON = 1_795_262_400.0
UNTIMED = {"verify_exp": False, "verify_iat": False}
SECRET = SigningKey("SUPABASE_JWT_SECRET", "HS256", JWT_SECRET)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> ServerClock:
    return ServerClock(clock)


@pytest.fixture
def tokens(server: ServerClock) -> PersonTokens:
    return PersonTokens(SECRET, "voice_agent", server)


def said(token: str) -> dict[str, object]:
    return jwt.decode(token, JWT_SECRET, ["HS256"], audience="authenticated", options=UNTIMED)


def test_a_token_says_who_and_for_how_long_and_nothing_else(tokens: PersonTokens) -> None:
    assert said(tokens.token(ALICE)) == {
        "sub": str(ALICE),
        "role": "voice_agent",
        "aud": "authenticated",
        "iat": NOON - SKEW_SECONDS,
        "exp": NOON + LIFETIME_SECONDS,
    }


def test_everybody_has_their_own(tokens: PersonTokens) -> None:
    assert UUID(str(said(tokens.token(BOB))["sub"])) == BOB
    assert tokens.token(ALICE) != tokens.token(BOB)


def test_it_is_made_once_and_renewed_before_its_end(tokens: PersonTokens, clock: Clock) -> None:
    first = tokens.token(ALICE)
    clock.time += LIFETIME_SECONDS - RENEW_SECONDS
    assert tokens.token(ALICE) == first
    clock.time += 1
    second = tokens.token(ALICE)
    assert second != first
    assert said(second)["exp"] == clock.time + LIFETIME_SECONDS


def test_tokens_of_people_who_have_gone_are_not_kept(tokens: PersonTokens, clock: Clock) -> None:
    for number in range(100):
        tokens.token(UUID(int=number))
    clock.time += LIFETIME_SECONDS
    tokens.token(ALICE)
    assert len(tokens._tokens) == 1


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_signing_key_is_named_and_its_public_half_checks_it(algorithm: str, server: ServerClock) -> None:
    jwk = signing_jwk(algorithm)
    project = access(
        url="http://localhost",
        keys={"SUPABASE_SECRET_KEY": SECRET_KEY, "SUPABASE_SIGNING_JWK": jwk},
        role="authenticated",
    )
    assert project
    assert project.signing
    token = PersonTokens(project.signing, project.role, server).token(ALICE)
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "JWT", "kid": "our-key"}
    private = {"d", "p", "q", "dp", "dq", "qi"}
    public = jwt.PyJWK({name: part for name, part in json.loads(jwk).items() if name not in private})
    assert jwt.decode(token, public, [algorithm], audience="authenticated", options=UNTIMED)["sub"] == str(ALICE)


def test_half_a_signing_key_is_told_without_being_shown(server: ServerClock) -> None:
    broken = json.loads(signing_jwk("ES256")) | {"d": "c2VjcmV0LTQ3MTE"}
    key = SigningKey("SUPABASE_SIGNING_JWK", "ES256", json.dumps(broken), "our-key")
    with pytest.raises(StoreMisconfigured, match="SUPABASE_SIGNING_JWK cannot sign") as error:
        PersonTokens(key, "authenticated", server).token(ALICE)
    assert "c2Vjcm" not in str(error.value)
    assert error.value.__cause__ is None


# -- whose clock


@pytest.mark.parametrize("ahead", [-86_400, -3_600, -31, 31, 3_600, 86_400])
def test_tokens_go_by_the_servers_clock(tokens: PersonTokens, server: ServerClock, ahead: int) -> None:
    tokens.token(ALICE)
    server.heard(formatdate(NOON + ahead, usegmt=True))
    assert tokens.outdated(ALICE) is True
    assert said(tokens.token(ALICE))["exp"] == NOON + ahead + LIFETIME_SECONDS
    assert tokens.outdated(ALICE) is False


@pytest.mark.parametrize("date", [None, "", "yesterday", formatdate(NOON + 4, usegmt=True), formatdate(NOON - 4)])
def test_small_differences_and_no_date_change_nothing(tokens: PersonTokens, server: ServerClock, date: str) -> None:
    first = tokens.token(ALICE)
    server.heard(date)
    assert tokens.outdated(ALICE) is False
    assert tokens.token(ALICE) == first


def test_a_clock_that_was_set_right_is_believed_again(tokens: PersonTokens, server: ServerClock, clock: Clock) -> None:
    server.heard(formatdate(NOON + 3_600))
    tokens.token(ALICE)
    clock.time += 3_600
    server.heard(formatdate(clock.time))
    assert said(tokens.token(ALICE))["exp"] == clock.time + LIFETIME_SECONDS
