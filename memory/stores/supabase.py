"""The store on a Supabase project: every method is one call of one SQL function (`sql/`), over PostgREST.

With a signing key whatever concerns one person runs under a token of theirs, and the database refuses the rest; only
making sure of a profile and what concerns the whole deployment take the privileged key.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from memory.records import Category, Memory, Past, Profile, Session, SessionRecord, Turn
from memory.stores.export import parse
from memory.stores.protocol import StoreError, StoreRefused
from memory.stores.supabase_keys import Access, StoreMisconfigured, on_this_machine
from memory.stores.supabase_tokens import PersonTokens, ServerClock

if TYPE_CHECKING:
    import httpx
    from supabase import AsyncClient

T = TypeVar("T")

PRELOAD = (
    "anyio._backends._asyncio",
    "cryptography.hazmat.backends.openssl.backend",
    "httpcore",
    "httpx",
    "jwt",
    "memory.stores.supabase",
    "supabase",
)
"""What a worker should have imported before anybody waits for it."""

CONNECT_SECONDS = 1.0
FIRST_TRY_SECONDS = 0.9
PATIENCE_SECONDS = 9.5
"""Less than `memory.sessions.client` has for a write that nobody waits for, which so hears what the matter was."""
ATTEMPTS = 4
# One event loop does not get more out of httpx by asking for more at once (supabase-facts 1.4).
CONNECTIONS = 8
# Below what the servers on the way allow an idle connection.
_KEEPALIVE_SECONDS = 30.0

_SCHEMA_CODES = frozenset({"42P01", "42703", "42883", "PGRST200", "PGRST202", "PGRST203", "PGRST204", "PGRST205"})
_TOKEN_CODES = frozenset({"PGRST300", "PGRST301", "PGRST302", "PGRST303"})
_BUSY_CODES = frozenset({"PGRST000", "PGRST001", "PGRST002", "PGRST003", "40001", "40P01", "55P03"})
# connection exceptions, insufficient resources, operator intervention
_BUSY_CLASSES = ("08", "53", "57P")
_TOO_SLOW = "57014"
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


class _TokenRefused(StoreMisconfigured):
    """The token or the key that came with the request is not good (any more, or yet)."""


class SupabaseStore:
    """`Store` on a Supabase project. Belongs to the event loop in which it is first used.

    A call that fails in passing is repeated until its time is over, which is safe: every function does the same thing
    once, however often it is called. What is lost with the answer of a call that did its work is only its "True": of
    several callers at once nobody may hear that it was the one.
    """

    def __init__(
        self, access: Access, patience: float = PATIENCE_SECONDS, first_try: float = FIRST_TRY_SECONDS
    ) -> None:
        """Opens nothing before the first call.

        `patience`: how long, in seconds, one call may take with all that is repeated. Its first try is given up after
        `first_try`, because nothing else tells that a connection has died in silence; the next ones have the rest.
        """
        self._access = access
        self._patience = patience
        self._first_try = first_try
        self._clock = ServerClock()
        self._tokens = PersonTokens(access.signing, access.role, self._clock) if access.signing else None
        self._at_once = asyncio.Semaphore(CONNECTIONS)
        self._http: httpx.AsyncClient | None = None
        self._client: AsyncClient | None = None

    async def ensure_profile(self, user: UUID, email: str | None) -> tuple[Profile, bool]:
        person = None if self._access.key.kind.privileged else user
        found = await self._call("ensure_profile", person, p_user_id=user, p_email=email)
        return _read("ensure_profile", lambda: (_profile(found), bool(found["created"])))

    async def complete_first_login(self, user: UUID) -> bool:
        return bool(await self._call("complete_first_login", user, p_user_id=user))

    async def remember(self, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
        rows = [_row(memory) for memory in memories]
        kept = await self._call("remember", user, p_user_id=user, p_items=rows)
        return _read("remember", lambda: [_memory(row) for row in kept])

    async def retrieve(self, user: UUID, category: Category, key: str) -> Memory | None:
        found = await self._call("retrieve", user, p_user_id=user, p_category=category, p_key=key)
        return _read("retrieve", lambda: _memory(found) if found else None)

    async def memories(self, user: UUID) -> list[Memory]:
        found = await self._call("list_memories", user, p_user_id=user)
        return _read("list_memories", lambda: [_memory(row) for row in found])

    async def past(self, user: UUID) -> list[Past]:
        found = await self._call("list_past", user, p_user_id=user)
        return _read("list_past", lambda: [_past(row) for row in found])

    async def forget(self, user: UUID, category: Category, key: str) -> bool:
        return bool(await self._call("forget", user, p_user_id=user, p_category=category, p_key=key))

    async def start_session(  # noqa: PLR0913 - each has a name at the call
        self, user: UUID, *, email: str | None, thread: str, job: str, room: str, resume_within: timedelta, turns: int
    ) -> Session:
        found = await self._call(
            "start_session",
            user,
            p_user_id=user,
            p_email=email,
            p_thread=thread,
            p_job=job,
            p_room=room,
            p_resume_seconds=resume_within.total_seconds(),
            p_turns=turns,
        )
        return _read("start_session", lambda: _session(found))

    async def append_turns(self, user: UUID, conversation: UUID, turns: Sequence[Turn]) -> int:
        rows = [asdict(turn) for turn in turns]
        new = await self._call("append_turns", user, p_user_id=user, p_conversation_id=conversation, p_turns=rows)
        return _read("append_turns", lambda: int(new))

    async def touch_session(self, user: UUID, session: UUID) -> bool:
        return bool(await self._call("touch_session", user, p_user_id=user, p_session_id=session))

    async def end_session(self, user: UUID, session: UUID, job: str, reason: str) -> bool:
        return bool(
            await self._call("end_session", user, p_user_id=user, p_session_id=session, p_job=job, p_reason=reason)
        )

    async def summarise(self, user: UUID, conversation: UUID, summary: str) -> bool:
        return bool(
            await self._call("summarise", user, p_user_id=user, p_conversation_id=conversation, p_summary=summary)
        )

    async def export(self, user: UUID) -> dict[str, Any]:
        found = await self._call("export_user", user, p_user_id=user)
        return _read("export_user", lambda: dict(found))

    async def import_(self, user: UUID, document: dict[str, Any]) -> None:
        parsed = parse(user, document)
        try:
            await self._call("import_user", user, p_user_id=user, p_document=parsed.model_dump(mode="json"))
        except CallRefused as error:
            if error.code == "42501":
                raise
            raise ValueError(f"this is not an export, and nothing was imported ({error.code})") from None

    async def erase(self, user: UUID) -> dict[str, int]:
        return _counts("erase_user", await self._call("erase_user", user, p_user_id=user))

    async def sessions(self, *, living: bool, limit: int) -> list[SessionRecord]:
        found = await self._call("list_sessions", None, p_living=living, p_limit=limit)
        return _read("list_sessions", lambda: [_record(row) for row in found])

    async def end_abandoned(self, unseen_since: datetime, reason: str) -> list[SessionRecord]:
        found = await self._call("end_abandoned", None, p_unseen_since=unseen_since, p_reason=reason)
        return _read("end_abandoned", lambda: [_record(row) for row in found])

    async def take_lease(self, name: str, holder: str, seconds: float) -> bool:
        return bool(await self._call("take_lease", None, p_name=name, p_holder=holder, p_seconds=seconds))

    async def purge(self, turns_before: datetime) -> dict[str, int]:
        return _counts("purge", await self._call("purge", None, p_turns_before=turns_before))

    async def describe(self) -> dict[str, Any]:
        """What is in effect in the database: functions, grants, policies and the ledger, and never a row."""
        found = await self._call("describe_schema", None)
        return _read("describe_schema", lambda: dict(found))

    async def callable_functions(self, person: UUID | None = None) -> set[str]:
        """What the key, or the person's token, may call, as the API lists it. Raises `StoreError`, also where a
        project does not list it."""
        import httpx  # noqa: PLC0415

        client = self._open().postgrest
        headers = httpx.Headers(client.headers)
        if person and self._tokens:
            headers["Authorization"] = f"Bearer {self._tokens.token(person)}"
        try:
            found = (await client.session.get(f"{self._access.url}/rest/v1/", headers=headers)).json()
        except (httpx.HTTPError, ValueError) as error:
            raise _failure("the list of functions", error) from None
        return _read("the list of functions", lambda: {path[5:] for path in found["paths"] if path.startswith("/rpc/")})

    @property
    def clock_ahead(self) -> float:
        """By so many seconds the server's clock was ahead of ours when it last answered; 0 for a difference that
        nobody notices."""
        return self._clock.ahead

    async def aclose(self) -> None:
        http, self._http, self._client = self._http, None, None
        if http:
            await http.aclose()

    async def _call(self, function: str, person: UUID | None, /, **arguments: Any) -> Any:
        """What the function returns, under the person's token where there are tokens. Raises `StoreError`."""
        if person is None and not self._access.key.kind.privileged:
            raise StoreMisconfigured(f"{function} concerns everybody and needs SUPABASE_SECRET_KEY")
        self._open()  # here, because a first import takes as long as a try
        failed = StoreUnavailable(f"{function}: no answer within {self._patience:g} s")
        try:
            async with asyncio.timeout(self._patience), self._at_once:
                for attempt in range(ATTEMPTS):
                    try:
                        async with asyncio.timeout(None if attempt else self._first_try):
                            return await self._ask(function, person, arguments)
                    except TimeoutError:
                        continue
                    except StoreUnavailable as error:
                        failed = error
                        if not error.passing:
                            break
                    if attempt < ATTEMPTS - 1:  # not all at the same moment, after the same failure
                        await asyncio.sleep(random.uniform(0.05, 0.1 * 2**attempt))  # noqa: S311
        except TimeoutError:
            pass
        raise failed from None

    async def _ask(self, function: str, person: UUID | None, arguments: dict[str, Any]) -> Any:
        try:
            return await self._send(function, person, arguments)
        except _TokenRefused:
            # Its answer told the time. Where that is why, a token with the right date helps.
            if person is None or self._tokens is None or not self._tokens.outdated(person):
                raise
            return await self._send(function, person, arguments)

    async def _send(self, function: str, person: UUID | None, arguments: dict[str, Any]) -> Any:
        import httpx  # noqa: PLC0415
        from postgrest import APIError  # noqa: PLC0415

        try:
            request = self._open().rpc(function, arguments)
            if person and self._tokens:
                # on this one request: the client is everybody's
                request.request.headers["Authorization"] = f"Bearer {self._tokens.token(person)}"
            answer = (await request.execute()).data
        except (httpx.HTTPError, APIError, UnicodeError, ValueError, TypeError) as error:
            # from None: their texts quote rows, and in one case the key
            raise _failure(function, error) from None
        if isinstance(answer, str):
            raise StoreUnavailable(f"{function}: the answer is no JSON: is SUPABASE_URL right?")
        return answer

    def _open(self) -> AsyncClient:
        if self._client is None:
            import httpx  # noqa: PLC0415
            from supabase import AsyncClient, AsyncClientOptions  # noqa: PLC0415

            # at INFO it writes a line for each call, and so for each turn of each person
            if (chatter := logging.getLogger("httpx")).level == logging.NOTSET:
                chatter.setLevel(logging.WARNING)
            here = on_this_machine(self._access.url)
            self._http = httpx.AsyncClient(
                verify=False if here else tls_context(),  # nothing leaves the machine
                trust_env=not here,  # a company's proxy does not know the way to this machine
                http2=False,  # servers drop idle HTTP/2 connections with a request on them
                follow_redirects=False,  # a redirect makes a GET of our POST
                timeout=httpx.Timeout(self._patience, connect=CONNECT_SECONDS),
                limits=httpx.Limits(
                    max_connections=CONNECTIONS,
                    max_keepalive_connections=CONNECTIONS,
                    keepalive_expiry=_KEEPALIVE_SECONDS,
                ),
                event_hooks={"response": [self._hear]},
            )
            options = AsyncClientOptions(
                httpx_client=self._http,
                # its own repeats neither POST nor in less than seven seconds
                postgrest_client_retry=False,
                auto_refresh_token=False,
                persist_session=False,
            )
            self._client = AsyncClient(self._access.url, self._access.key.text, options)
        return self._client

    async def _hear(self, response: httpx.Response) -> None:
        """Refuse what is no answer of our function. Here, because the library keeps neither the status nor the
        content type, and takes a web page for a result."""
        self._clock.heard(response.headers.get("date"))
        function = response.url.path.rsplit("/", 1)[-1]
        if response.is_success:
            _refuse_web_page(function, response)
            return
        await response.aread()
        raise _refusal(function, response, self._access)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Made once per process: reading the certificates takes longer than a call."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()


def prepare() -> None:
    """Import and make what the first call would wait for (0.3 s). Opens no connection."""
    import supabase  # noqa: F401, PLC0415 # pyright: ignore[reportUnusedImport]

    tls_context()


# -- failures. None of their texts holds anything that the server said, but for its code: details quote whole rows.


def _failure(function: str, error: Exception) -> StoreError:
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


def _refuse_web_page(function: str, response: httpx.Response) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0]
    if response.status_code == 204 or kind.endswith("json"):
        return
    raise StoreUnavailable(
        f"{function}: {kind or 'nothing'} came instead of JSON: is SUPABASE_URL right, or is a proxy in between?"
    )


def _refusal(function: str, response: httpx.Response, access: Access) -> StoreError:
    status, (code, message) = response.status_code, _code_and_message(response)
    what = f"{function}: refused with {code or status}"
    if code in _TOKEN_CODES or (status in (401, 403) and not code):
        return _TokenRefused(f"{what}: {_who_was_refused(code, response, access)}")
    if code == _TOO_SLOW:
        return StoreUnavailable(f"{what}: the database took too long", passing=False)
    if code in _BUSY_CODES or code.startswith(_BUSY_CLASSES) or (not code and (status >= 500 or status == 429)):
        return StoreUnavailable(f"{what}: the database does not answer just now")
    if why := _what_to_change(code, message, response.is_redirect):
        return StoreMisconfigured(f"{what}: {why}")
    return CallRefused(what, code)


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


# -- rows


def _read(function: str, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except (KeyError, TypeError, ValueError, AttributeError):
        # from None: these quote values
        raise StoreMisconfigured(f"{function}: its answer has another shape than ours: {_MIGRATE}") from None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _maybe_time(text: str | None) -> datetime | None:
    return None if text is None else _time(text)


def _maybe_uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


def _profile(row: dict[str, Any]) -> Profile:
    return Profile(UUID(row["id"]), row["email"], bool(row["is_first_login"]), _time(row["created_at"]))


def _row(memory: Memory) -> dict[str, Any]:
    row = asdict(memory)
    row["conversation_id"] = row.pop("conversation")
    return row


def _memory(row: dict[str, Any]) -> Memory:
    return Memory(
        Category(row["category"]),
        row["key"],
        row["value"],
        _time(row["said_at"]),
        row["source"],
        _maybe_uuid(row["conversation_id"]),
        _maybe_time(row["expires_at"]),
    )


def _past(row: dict[str, Any]) -> Past:
    return Past(_memory(row), _time(row["until"]))


def _turn(row: dict[str, Any]) -> Turn:
    return Turn(row["id"], row["role"], row["text"], _time(row["said_at"]), bool(row["interrupted"]))


def _session(found: dict[str, Any]) -> Session:
    return Session(
        id=UUID(found["session_id"]),
        conversation=UUID(found["conversation_id"]),
        resumed=bool(found["resumed"]),
        profile=_profile(found["profile"]),
        created=bool(found["created"]),
        memories=[_memory(row) for row in found["memories"]],
        past=[_past(row) for row in found["past"]],
        turns=[_turn(row) for row in found["turns"]],
        summary=found["summary"],
    )


def _record(row: dict[str, Any]) -> SessionRecord:
    return SessionRecord(
        id=UUID(row["id"]),
        user=UUID(row["user_id"]),
        thread=row["thread"],
        room=row["room"],
        jobs=tuple(row["jobs"]),
        started_at=_time(row["started_at"]),
        seen_at=_time(row["seen_at"]),
        ended_at=_maybe_time(row["ended_at"]),
        end_reason=row["end_reason"],
    )


def _counts(function: str, found: Any) -> dict[str, int]:
    return _read(function, lambda: {str(table): int(count) for table, count in found.items()})
