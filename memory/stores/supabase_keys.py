"""Which Supabase project, and with which keys: what an environment means, or what is wrong with it. No I/O.

Whatever is refused here says which variable to change, and shows at most six characters of a key.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from memory.stores.protocol import StoreError


class StoreMisconfigured(StoreError):
    """Somebody has to change something before it can work; the text says what."""


class KeyKind(Enum):
    """What Supabase calls its API keys. The first two see every row, the others only what row-level security shows."""

    SECRET = "secret key (sb_secret_…)"  # noqa: S105
    SERVICE_ROLE = "legacy service_role key"
    PUBLISHABLE = "publishable key (sb_publishable_…)"
    ANON = "legacy anon key"

    @property
    def privileged(self) -> bool:
        return self in (KeyKind.SECRET, KeyKind.SERVICE_ROLE)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, and the variable that it came from."""

    variable: str
    text: str = field(repr=False)
    kind: KeyKind

    def __str__(self) -> str:
        return f"{self.variable} ({shown(self.text)})"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What people's tokens are signed with; `key_id` tells the server which of its keys checks them."""

    variable: str
    algorithm: Literal["HS256", "ES256", "RS256"]
    secret: str = field(repr=False)
    """The shared secret as it is, or the private key as JWK text."""
    key_id: str | None = None

    def __str__(self) -> str:
        return f"{self.variable} (kid {self.key_id})" if self.key_id else self.variable


@dataclass(frozen=True, slots=True)
class Access:
    """How a store gets in. With a `signing` key everything that concerns one person runs under a token of theirs."""

    url: str
    key: ApiKey
    signing: SigningKey | None
    role: str
    """The database role of people's tokens."""
    schema: str = "public"
    """Where our functions and tables are."""
    next_signing: SigningKey | None = None
    """Signs instead where the project does not take, or take any more, what `signing` signs."""


_PRIVILEGED = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY")
_PUBLIC = ("SUPABASE_PUBLISHABLE_KEY", "SUPABASE_ANON_KEY")
_SIGNING = ("SUPABASE_SIGNING_JWK", "SUPABASE_JWT_SECRET")
_NEXT_SIGNING = "SUPABASE_SIGNING_JWK_NEXT"

_DASHBOARD = ("supabase.com", "app.supabase.com")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
_OPAQUE = re.compile(r"[\w-]+", re.ASCII)
_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,49}", re.ASCII)
_RESERVED = re.compile(
    r"pg_.*|supabase_.*|auth|extensions|graphql|graphql_public|information_schema|net|pgbouncer|pgsodium|realtime|"
    r"storage|vault|cron"
)
# They would see everybody's rows, or nobody's.
_REFUSED_ROLES = frozenset({"service_role", "anon", "postgres", "supabase_admin", "authenticator"})


def access(*, url: str | None, keys: Mapping[str, str | None], role: str, schema: str = "public") -> Access | None:
    """What these settings say about Supabase, `keys` by the name of their variable; None if they say nothing.

    A privileged key comes before a public one, and a new kind of key before its legacy form. There is no falling
    back from a privileged key that is wrong: a public one would quietly do less. Raises `StoreMisconfigured`.
    """
    if not url:
        if named := [name for name, text in keys.items() if text]:
            raise StoreMisconfigured(
                f"{named[0]} is set and SUPABASE_URL is not: set it to https://<project>.supabase.co, or unset the "
                "keys to keep memories on this machine"
            )
        return None
    url = _url(url)
    key = _api_key(keys, url)
    signing = _signing_key(keys)
    if role in _REFUSED_ROLES or not _ROLE.fullmatch(role):
        raise StoreMisconfigured("SUPABASE_ROLE cannot be the role of one person: use authenticated or voice_agent")
    if not key.kind.privileged and signing is None:
        raise StoreMisconfigured(
            f"{key.variable} alone may do nothing in the database, because everybody has it: set SUPABASE_SECRET_KEY, "
            "or let each person in with SUPABASE_JWT_SECRET or SUPABASE_SIGNING_JWK"
        )
    following = keys.get(_NEXT_SIGNING)
    if following and signing is None:
        raise StoreMisconfigured(f"{_NEXT_SIGNING} is set without a present one: set SUPABASE_SIGNING_JWK to it")
    next_signing = _from_jwk(_NEXT_SIGNING, following) if following else None
    return Access(url, key, signing, role, schema, next_signing)


def schema_name(text: str) -> str:
    """The name, if a schema of ours can have it. Raises `ValueError`, which says what is wrong."""
    if not _SCHEMA.fullmatch(text) or _RESERVED.fullmatch(text):
        raise ValueError(
            "must be a name of lower-case letters, digits and _ that is nobody else's, at most 50 long, such as "
            "rapport_voice; or public"
        )
    return text


def going_away(access: Access) -> list[str]:
    """What of this a project at Supabase will not take any more: until when it does, and what to do before. Who hosts
    Supabase themselves keeps what they have. [Migrating to publishable and secret API keys; JWT signing keys]"""
    hosted = (urlsplit(access.url).hostname or "").endswith(".supabase.co") or claims(access.key.text).get("ref")
    found: list[str] = []
    if hosted and access.key.kind in (KeyKind.SERVICE_ROLE, KeyKind.ANON):
        successor = _PRIVILEGED[0] if access.key.kind.privileged else _PUBLIC[0]
        found.append(
            f"{access.key.variable} is a {access.key.kind.value}, and Supabase deprecates these by the end of 2026: "
            f"make a new key (Settings → API keys), set {successor} to it, and unset {access.key.variable}"
        )
    if hosted and access.signing and access.signing.variable == "SUPABASE_JWT_SECRET":
        found.append(
            "SUPABASE_JWT_SECRET is a legacy JWT secret, which Supabase does not rotate any more, and which goes with "
            "the legacy keys by the end of 2026: import a signing key (Settings → JWT keys) and set "
            f"{_NEXT_SIGNING} to it, as sql/README.md says"
        )
    return found


def public_key(keys: Mapping[str, str | None], url: str) -> ApiKey | None:
    """The key that everybody may have, if there is one. Raises `StoreMisconfigured`."""
    if (found := _first(keys, _PUBLIC)) is None:
        return None
    key = _kind_of(*found, url)
    if key.kind.privileged:
        raise StoreMisconfigured(
            f"{key} is a {key.kind.value}: put it into SUPABASE_SECRET_KEY, and never where a public key belongs"
        )
    return key


def shown(key: str) -> str:
    """So much of a key as may stand in a log."""
    return f"{key[:6]}…"


def claims(token: str) -> dict[str, Any]:
    """What a JWT says, whoever signed it; nothing if it is none."""
    try:
        payload = token.split(".")[1]
        found: Any = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError):
        return {}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def on_this_machine(url: str) -> bool:
    """Does the address lead nowhere else?"""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _first(keys: Mapping[str, str | None], names: tuple[str, ...]) -> tuple[str, str] | None:
    return next(((name, text) for name in names if (text := keys.get(name))), None)


def _clean(variable: str, text: str) -> str:
    """Raises for what an editor, a shell or a secret store adds to a value."""
    for found, name in (
        (text.strip() != text and "\n" in text, "a line break at one end"),
        (any(character.isspace() for character in text), "a blank in it"),
        (any(character in "'\"`" for character in text), "quotation marks in it"),
        (not text.isascii() or not text.isprintable(), "characters that are not plain ASCII"),
    ):
        if found:
            raise StoreMisconfigured(f"{variable} has {name}: set it to the bare value")
    return text


def _url(text: str) -> str:
    _clean("SUPABASE_URL", text)
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise StoreMisconfigured("SUPABASE_URL is no address: it looks like https://<project>.supabase.co") from None
    incomplete = url.scheme not in ("http", "https") or not url.hostname
    goes_on = url.path.strip("/") or url.query or url.fragment
    findings = {
        "is the database's own address: the API's is https://<project>.supabase.co": url.scheme.startswith("postgres"),
        "has no scheme: it looks like https://<project>.supabase.co": incomplete,
        "has a user name in it: only the host belongs there": "@" in url.netloc,
        "is the dashboard's address: the project's is https://<project>.supabase.co": url.hostname in _DASHBOARD,
        "goes on after the host: leave only https://<project>.supabase.co, without /rest/v1": goes_on,
        "must begin with https: over http the key can be read on the way": url.scheme == "http"
        and not on_this_machine(text),
    }
    if why := next((what for what, found in findings.items() if found), None):
        raise StoreMisconfigured(f"SUPABASE_URL {why}")
    return f"{url.scheme}://{url.netloc}"


def _api_key(keys: Mapping[str, str | None], url: str) -> ApiKey:
    if privileged := _first(keys, _PRIVILEGED):
        key = _kind_of(*privileged, url)
        if not key.kind.privileged:
            raise StoreMisconfigured(
                f"{key} is a {key.kind.value}: take the secret one, or put this into SUPABASE_PUBLISHABLE_KEY"
            )
        return key
    if public := public_key(keys, url):
        return public
    raise StoreMisconfigured("SUPABASE_URL is set without a key: set SUPABASE_SECRET_KEY (Settings → API keys)")


def _kind_of(variable: str, text: str, url: str) -> ApiKey:
    _clean(variable, text)
    for prefix, kind in (("sb_secret_", KeyKind.SECRET), ("sb_publishable_", KeyKind.PUBLISHABLE)):
        if text.startswith(prefix) and _OPAQUE.fullmatch(text) and len(text) > len(prefix):
            return ApiKey(variable, text, kind)
    said = claims(text) if _JWT.fullmatch(text) else {}
    name = f"{variable} ({shown(text)})"
    if not said:
        raise StoreMisconfigured(f"{name} is no Supabase API key: copy the one that begins with sb_secret_")
    kind = {"service_role": KeyKind.SERVICE_ROLE, "anon": KeyKind.ANON}.get(str(said.get("role")))
    if kind is None:
        raise StoreMisconfigured(f"{name} is somebody's token, and no API key: copy the one from Settings → API keys")
    expires = said.get("exp")
    if isinstance(expires, int | float) and expires < time.time():
        raise StoreMisconfigured(f"{name} has expired: copy the present key from Settings → API keys")
    host = urlsplit(url).hostname or ""
    if said.get("ref") and host.endswith(".supabase.co") and host != f"{said['ref']}.supabase.co":
        raise StoreMisconfigured(f"{name} belongs to another project than SUPABASE_URL: copy both from one project")
    return ApiKey(variable, text, kind)


def _signing_key(keys: Mapping[str, str | None]) -> SigningKey | None:
    found = _first(keys, _SIGNING)
    if found is None:
        return None
    variable, text = found
    if variable == "SUPABASE_SIGNING_JWK":
        return _from_jwk(variable, text)
    _clean(variable, text)
    if text.startswith("sb_") or _JWT.fullmatch(text):
        raise StoreMisconfigured(f"{variable} is an API key: the secret that signs tokens stands beside JWT keys")
    if len(text) < 32:
        raise StoreMisconfigured(f"{variable} has {len(text)} characters: a secret that may sign has at least 32")
    return SigningKey(variable, "HS256", text)


def _from_jwk(variable: str, text: str) -> SigningKey:
    try:
        parsed: Any = json.loads(text)
    except ValueError:
        raise StoreMisconfigured(f"{variable} is not JSON: set it to one private key in JWK form") from None
    match parsed:
        case dict() | [dict()]:  # the Supabase CLI's key files hold a list
            jwk = cast(dict[str, Any], parsed if isinstance(parsed, dict) else parsed[0])
        case _:
            raise StoreMisconfigured(f"{variable} must hold one private key in JWK form")
    algorithm = {("EC", "P-256"): "ES256", ("RSA", None): "RS256"}.get((str(jwk.get("kty")), jwk.get("crv")))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm:
        raise StoreMisconfigured(f"{variable} is of a kind that Supabase does not take: ES256 and RS256 keys are")
    if "d" not in jwk:
        raise StoreMisconfigured(f"{variable} is a public key, which signs nothing: set the private one")
    if not jwk.get("kid"):
        raise StoreMisconfigured(f"{variable} has no kid: without it the server cannot tell which key signed")
    return SigningKey(variable, cast(Literal["ES256", "RS256"], algorithm), json.dumps(jwk), str(jwk["kid"]))
