"""What a Supabase project answers: rows, read with care, and each kind of failure in words that say what to change."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from memory.records import Session
from memory.stores.protocol import StoreError, StoreOutdated, StoreRefused
from memory.stores.rows import memories_of, past_of, profile_of, turns_of
from memory.stores.supabase_keys import Access, StoreMisconfigured

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

_SCHEMA_CODES = frozenset({"42P01", "42703", "42883", "PGRST200", "PGRST202", "PGRST203", "PGRST204", "PGRST205"})
_TOKEN_CODES = frozenset({"PGRST300", "PGRST301", "PGRST302", "PGRST303"})
_BUSY_CODES = frozenset({"PGRST000", "PGRST001", "PGRST002", "PGRST003", "40001", "40P01", "55P03"})
# connection exceptions, insufficient resources, operator intervention
_BUSY_CLASSES = ("08", "53", "57P")
_TOO_SLOW = "57014"
_NOT_EXPOSED = "PGRST106"
_MIGRATE = "run `python -m memory migrate`, then `python -m memory doctor`"


class StoreUnavailable(StoreError):
    """It does not answer, or not in time; later it may. `passing`: perhaps at once."""

    def __init__(self, text: str, *, passing: bool = True) -> None:
        super().__init__(text)
        self.passing = passing


class CallRefused(StoreRefused):
    """`code` is what the database calls it."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class SchemaNotExposed(StoreMisconfigured):
    """The API does not show the schema in which our functions are."""


class SchemaOutdated(StoreMisconfigured, StoreOutdated):
    """The database lacks a function, or has another version of it."""


class TokenRefused(StoreMisconfigured):
    """The token or the key that came with the request is not good (any more, or yet)."""


# -- failures. None of their texts holds anything that the server said, but for its code: details quote whole rows.


def failure(function: str, error: Exception) -> StoreError:
    import httpx  # noqa: PLC0415

    what = type(error).__name__
    match error:
        case httpx.LocalProtocolError():
            return StoreMisconfigured(f"{function}: the key or the URL cannot be sent: is there a blank in it?")
        case httpx.TimeoutException():
            return StoreUnavailable(f"{function}: no answer in time ({what})")
        case httpx.HTTPError():
            return StoreUnavailable(f"{function}: the connection failed ({what})")
        case UnicodeError() | ValueError() | TypeError():
            return CallRefused(f"{function}: what was given cannot be stored ({what})", "22000")
        case _:
            return StoreUnavailable(f"{function}: the answer was not understood ({what})")


def refuse_web_page(function: str, response: httpx.Response) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0]
    if response.status_code == 204 or kind.endswith("json"):
        return
    raise StoreUnavailable(
        f"{function}: {kind or 'nothing'} came instead of JSON: is SUPABASE_URL right, or is a proxy in between?"
    )


def refusal(function: str, response: httpx.Response, access: Access) -> StoreError:
    status, (code, message) = response.status_code, _code_and_message(response)
    what = f"{function}: refused with {code or status}"
    if code in _TOKEN_CODES or (status in (401, 403) and not code):
        return TokenRefused(f"{what}: {_who_was_refused(code, response, access)}")
    if code == _TOO_SLOW:
        return StoreUnavailable(f"{what}: the database took too long", passing=False)
    if code in _BUSY_CODES or code.startswith(_BUSY_CLASSES) or (not code and (status >= 500 or status == 429)):
        return StoreUnavailable(f"{what}: the database does not answer just now")
    if code == _NOT_EXPOSED:
        return SchemaNotExposed(f"{what}: the API does not show the schema {access.schema}: {exposing(access.schema)}")
    if why := _what_to_change(code, message, response.is_redirect):
        outdated = code in _SCHEMA_CODES
        return (SchemaOutdated if outdated else StoreMisconfigured)(f"{what}: {why}")
    return CallRefused(what, code)


def exposing(schema: str) -> str:
    """How the API is told of it."""
    return f"add {schema} to the exposed schemas (Settings → API; PGRST_DB_SCHEMAS on a server of your own)"


def _what_to_change(code: str, message: str, redirect: bool) -> str | None:
    """Where two things share a code, PostgreSQL's own words tell them apart: they are not translated by a pooler or
    proxy, and name tables and constraints, not rows."""
    if not code:
        return f"{'it redirects elsewhere' if redirect else 'this is no Supabase API'}: check SUPABASE_URL"
    if code in _SCHEMA_CODES:
        return f"the database lacks it, or has another version of it: {_MIGRATE}"
    if code == "23503" and "profiles_id_fkey" in message:
        return f"profiles still refer to auth.users: {_MIGRATE}"
    if code == "42501" and "permission denied" in message:
        return f"the database grants too little, or a public key is in use: {_MIGRATE}"
    return None


def _code_and_message(response: httpx.Response) -> tuple[str, str]:
    """What PostgREST says went wrong; two empty texts if somebody before it answered."""
    try:
        said: Any = json.loads(response.content)
        return str(said.get("code") or ""), str(said.get("message") or "")
    except (ValueError, AttributeError):
        return "", ""


def _who_was_refused(code: str, response: httpx.Response, access: Access) -> str:
    with_token = response.request.headers.get("authorization") != f"Bearer {access.key.text}"
    if code and with_token and access.signing:  # the gateway, which knows keys, let it through to who knows tokens
        return f"the project does not take what {access.signing.variable} signs: set it to a key of this project"
    return f"the project does not take {access.key}: copy it anew from Settings → API keys"


# -- what was asked for


def read(function: str, parse: Callable[[Any], T], answer: Any) -> T:
    try:
        return parse(answer)
    except (KeyError, TypeError, ValueError, AttributeError):
        # from None: these quote values
        raise StoreMisconfigured(f"{function}: its answer has another shape than ours: {_MIGRATE}") from None


def session_of(found: dict[str, Any]) -> Session:
    return Session(
        id=UUID(found["session_id"]),
        conversation=UUID(found["conversation_id"]),
        resumed=bool(found["resumed"]),
        profile=profile_of(found["profile"]),
        created=bool(found["created"]),
        memories=memories_of(found["memories"]),
        past=past_of(found["past"]),
        turns=turns_of(found["turns"]),
        summary=found["summary"],
    )


def counts_of(found: dict[str, Any]) -> dict[str, int]:
    return {str(table): int(count) for table, count in found.items()}
