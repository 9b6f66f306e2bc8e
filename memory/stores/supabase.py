"""The store on a Supabase project: every method is one request to PostgREST, all but two for one SQL function (`sql/`).

With a signing key whatever concerns one person runs under a token of theirs, and the database refuses the rest; only
making sure of a profile and what concerns the whole deployment take the privileged key.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from memory.records import (
    Category,
    Changes,
    Curation,
    Memory,
    MemoryVector,
    Mention,
    Past,
    Profile,
    Rewording,
    Session,
    SessionRecord,
    Turn,
)
from memory.stores.export import parse
from memory.stores.protocol import StoreError
from memory.stores.rows import (
    changes_of,
    curation_of,
    memories_of,
    memory_of,
    mention_row_of,
    mentions_of,
    past_of,
    past_row_of,
    profile_of,
    records_of,
    row_of,
    vector_row_of,
    vectors_of,
)
from memory.stores.supabase_answers import (
    CallRefused,
    StoreUnavailable,
    TokenRefused,
    counts_of,
    failure,
    read,
    refusal,
    refuse_web_page,
    session_of,
)
from memory.stores.supabase_keys import Access, StoreMisconfigured, on_this_machine
from memory.stores.supabase_tokens import PersonTokens, ServerClock

if TYPE_CHECKING:
    import httpx
    from supabase import AsyncClient

log = logging.getLogger("rapport.memory")

T = TypeVar("T")
_Ask = Callable[["AsyncClient"], Any]
"""Makes the request of one call."""

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
# A token with the right date, and keys that were read anew.
_REMEDIES = 2
# One event loop does not get more out of httpx by asking for more at once.
CONNECTIONS = 8
# Below what the servers on the way allow an idle connection.
_KEEPALIVE_SECONDS = 30.0


class SupabaseStore:
    """`Store` on a Supabase project. Belongs to the event loop in which it is first used.

    A call that fails in passing is repeated until its time is over, which is safe: every function does the same thing
    once, however often it is called. What is lost with the answer of a call that did its work is only its "True": of
    several callers at once nobody may hear that it was the one.
    """

    def __init__(
        self,
        access: Access,
        patience: float = PATIENCE_SECONDS,
        first_try: float = FIRST_TRY_SECONDS,
        reread: Callable[[], Access | None] = lambda: None,
    ) -> None:
        """Opens nothing before the first call. `reread` gives the access anew where the project refuses what it gave
        before: keys may be in files that somebody has changed.

        `patience`: how long, in seconds, one call may take with all that is repeated. Its first try is given up after
        `first_try`, because nothing else tells that a connection has died in silence; the next ones have the rest.
        """
        self._access = self._known = access
        self._reread = reread
        self._patience = patience
        self._first_try = first_try
        self._clock = ServerClock()
        self._tokens = self._tokens_of(access)
        self._at_once = asyncio.Semaphore(CONNECTIONS)
        self._http: httpx.AsyncClient | None = None
        self._client: AsyncClient | None = None

    async def ensure_profile(self, user: UUID, email: str | None) -> tuple[Profile, bool]:
        person = None if self._access.key.kind.privileged else user
        return await self._call(
            "ensure_profile", person, lambda row: (profile_of(row), bool(row["created"])), p_user_id=user, p_email=email
        )

    async def complete_first_login(self, user: UUID) -> bool:
        return await self._call("complete_first_login", user, bool)

    async def remember(self, user: UUID, memories: Sequence[Memory]) -> list[Memory]:
        return await self._call("remember", user, memories_of, p_items=[row_of(memory) for memory in memories])

    async def retrieve(self, user: UUID, category: Category, key: str) -> Memory | None:
        return await self._call(
            "retrieve", user, lambda row: memory_of(row) if row else None, p_category=category, p_key=key
        )

    async def memories(self, user: UUID) -> list[Memory]:
        return await self._call("list_memories", user, memories_of)

    async def past(self, user: UUID) -> list[Past]:
        return await self._call("list_past", user, past_of)

    async def forget(self, user: UUID, category: Category, key: str) -> bool:
        return await self._call("forget", user, bool, p_category=category, p_key=key)

    async def memories_since(self, user: UUID, version: int) -> Changes:
        return await self._call("memories_since", user, changes_of, p_version=version)

    async def uncurated(self, user: UUID, limit: int) -> list[Memory]:
        return await self._call("uncurated", user, memories_of, p_limit=limit)

    async def curate(self, user: UUID, curation: Curation) -> Curation:
        return await self._call(
            "curate",
            user,
            curation_of,
            p_seen=[row_of(memory) for memory in curation.seen],
            p_facts=[row_of(memory) for memory in curation.facts],
            p_ended=[past_row_of(past) for past in curation.ended],
        )

    async def vectors(self, user: UUID, model: str) -> list[MemoryVector]:
        return await self._call("memory_vectors", user, vectors_of, p_model=model)

    async def put_vectors(self, user: UUID, model: str, vectors: Sequence[MemoryVector]) -> int:
        rows = [vector_row_of(vector) for vector in vectors]
        return await self._call("put_vectors", user, int, p_model=model, p_vectors=rows)

    async def start_session(  # noqa: PLR0913 - each has a name at the call
        self, user: UUID, *, email: str | None, thread: str, job: str, room: str, resume_within: timedelta, turns: int
    ) -> Session:
        return await self._call(
            "start_session",
            user,
            session_of,
            p_email=email,
            p_thread=thread,
            p_job=job,
            p_room=room,
            p_resume_seconds=resume_within.total_seconds(),
            p_turns=turns,
        )

    async def append_turns(self, user: UUID, conversation: UUID, turns: Sequence[Turn]) -> int:
        rows = [asdict(turn) for turn in turns]
        return await self._call("append_turns", user, int, p_conversation_id=conversation, p_turns=rows)

    async def touch_session(self, user: UUID, session: UUID) -> bool:
        return await self._call("touch_session", user, bool, p_session_id=session)

    async def end_session(self, user: UUID, session: UUID, job: str, reason: str) -> bool:
        return await self._call("end_session", user, bool, p_session_id=session, p_job=job, p_reason=reason)

    async def summarise(self, user: UUID, conversation: UUID, summary: str) -> bool:
        return await self._call("summarise", user, bool, p_conversation_id=conversation, p_summary=summary)

    async def conversation_exists(self, user: UUID, conversation: UUID) -> bool:
        return bool(await self._rows("conversations", user, "id", id=conversation))

    async def turn_text(self, user: UUID, conversation: UUID, turn: str) -> str | None:
        found = await self._rows("messages", user, "text", conversation_id=conversation, id=turn)
        return read("messages", lambda rows: str(rows[0]["text"]) if rows else None, found)

    async def mentions(self, user: UUID, words: Sequence[str], skip: int, limit: int) -> list[Mention]:
        # a database whose language is C knows no other lower case than that of ASCII
        forms = sorted({form for word in words for form in (word, word.upper(), word.title()) if not word.isascii()})
        return await self._call("mentions", user, mentions_of, p_words=[*words, *forms], p_skip=skip, p_limit=limit)

    async def redact(
        self,
        user: UUID,
        texts: Sequence[tuple[Mention, str]],
        memories: Sequence[Rewording],
        gone: Sequence[tuple[Category, str]],
    ) -> int:
        return await self._call(
            "redact",
            user,
            int,
            p_texts=[mention_row_of(mention) | {"words": left} for mention, left in texts],
            p_memories=[row_of(one.memory) | {"words": one.words} for one in memories],
            p_gone=[{"category": category, "key": key} for category, key in gone],
        )

    async def export(self, user: UUID) -> dict[str, Any]:
        return await self._call("export_user", user, dict[str, Any])

    async def import_(self, user: UUID, document: dict[str, Any]) -> None:
        parsed = parse(user, document)
        try:
            await self._call("import_user", user, lambda _: None, p_document=parsed.model_dump(mode="json"))
        except CallRefused as error:
            if error.code == "42501":
                raise
            raise ValueError(f"this is not an export, and nothing was imported ({error.code})") from None

    async def erase(self, user: UUID) -> dict[str, int]:
        return await self._call("erase_user", user, counts_of)

    async def sessions(self, *, living: bool, limit: int) -> list[SessionRecord]:
        return await self._call("list_sessions", None, records_of, p_living=living, p_limit=limit)

    async def end_abandoned(self, unseen_since: datetime, reason: str) -> list[SessionRecord]:
        return await self._call("end_abandoned", None, records_of, p_unseen_since=unseen_since, p_reason=reason)

    async def take_lease(self, name: str, holder: str, seconds: float) -> bool:
        return await self._call("take_lease", None, bool, p_name=name, p_holder=holder, p_seconds=seconds)

    async def purge(self, turns_before: datetime) -> dict[str, int]:
        return await self._call("purge", None, counts_of, p_turns_before=turns_before)

    async def describe(self) -> dict[str, Any]:
        """What is in effect in the database: functions, grants, policies and the ledger, and never a row."""
        return await self._call("describe_schema", None, dict[str, Any])

    async def callable_functions(self, person: UUID | None = None) -> set[str]:
        """What the key, or the person's token, may call, as the API lists it. Raises `StoreError`, also where a
        project does not list it."""
        import httpx  # noqa: PLC0415

        what, client = "the list of functions", self._open().postgrest
        headers = httpx.Headers(client.headers)
        if person and self._tokens:
            headers["Authorization"] = f"Bearer {self._tokens.token(person)}"
        try:
            found = (await client.session.get(f"{self._access.url}/rest/v1/", headers=headers)).json()
        except (httpx.HTTPError, ValueError) as error:
            raise failure(what, error) from None
        return read(what, lambda told: {path[5:] for path in told["paths"] if path.startswith("/rpc/")}, found)

    @property
    def clock_ahead(self) -> float:
        """By so many seconds the server's clock was ahead of ours when it last answered; 0 for a difference that
        nobody notices."""
        return self._clock.ahead

    async def aclose(self) -> None:
        http, self._http, self._client = self._http, None, None
        if http:
            await http.aclose()

    async def _call(self, function: str, person: UUID | None, parse: Callable[[Any], T], /, **arguments: Any) -> T:
        """What the function returns, parsed; under the token of the person, where it concerns one and there are tokens.
        Raises `StoreError`."""
        given = {"p_user_id": person, **arguments} if person else arguments
        answer = await self._patiently(function, person, lambda client: client.rpc(function, given))
        return read(function, parse, answer)

    async def _rows(self, table: str, person: UUID, column: str, /, **equal: Any) -> list[dict[str, Any]]:
        """One column of the person's rows. Raises `StoreError`."""
        wanted = {"user_id": person, **equal}
        return await self._patiently(
            table, person, lambda client: client.table(table).select(column).match(wanted).limit(1)
        )

    async def _patiently(self, function: str, person: UUID | None, ask: _Ask) -> Any:
        if person is None and not self._access.key.kind.privileged:
            raise StoreMisconfigured(f"{function} concerns everybody and needs SUPABASE_SECRET_KEY")
        self._open()  # here, because a first import takes as long as a try
        failed = StoreUnavailable(f"{function}: no answer within {self._patience:g} s")
        try:
            async with asyncio.timeout(self._patience), self._at_once:
                for attempt in range(ATTEMPTS):
                    try:
                        async with asyncio.timeout(None if attempt else self._first_try):
                            return await self._ask(function, person, ask)
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

    async def _ask(self, function: str, person: UUID | None, ask: _Ask) -> Any:
        for _ in range(_REMEDIES):
            access = self._access
            try:
                return await self._send(function, person, ask)
            except TokenRefused as refused:
                if await self._remedied(access, person):
                    continue
                if person and access.next_signing:
                    return await self._with_next_key(access, refused, function, person, ask)
                raise
        return await self._send(function, person, ask)

    async def _remedied(self, refused: Access, person: UUID | None) -> bool:
        """Whether the project may take now what it has refused."""
        if person and self._tokens and self._tokens.outdated(person):
            return True  # its answer told the time, and the next token has the right date
        try:
            found = await asyncio.to_thread(self._reread) if self._access is refused else None
        except StoreMisconfigured as error:
            log.error("[SUPABASE KEYS] the project refuses them, and they cannot be read anew: %s", error)
            return False
        if self._access is refused and found and found != self._known:
            self._known = found
            self._use(found)
            signing = f", tokens are signed with {found.signing}" if found.signing else ""
            log.warning("[SUPABASE KEYS] read anew, because the project refused them: %s%s", found.key, signing)
        return self._access is not refused  # perhaps by another call

    async def _with_next_key(
        self, access: Access, refused: TokenRefused, function: str, person: UUID, ask: _Ask
    ) -> Any:
        """The same with a token that the next key signs. If the project takes it, so it is for all from now on."""
        self._use(replace(access, signing=access.next_signing, next_signing=access.signing))
        try:
            answer = await self._send(function, person, ask)
        except StoreError as failed:
            self._use(access)
            raise (refused if isinstance(failed, TokenRefused) else failed) from None
        told = "[SUPABASE KEYS] the project takes no more of what %s signs: from now on %s signs"
        log.warning(told, access.signing, access.next_signing)
        return answer

    def _use(self, access: Access) -> None:
        """From the next request on; those that are on their way keep what they have, and the connections stay."""
        self._access, self._tokens, self._client = access, self._tokens_of(access), None

    def _tokens_of(self, access: Access) -> PersonTokens | None:
        return PersonTokens(access.signing, access.role, self._clock) if access.signing else None

    async def _send(self, function: str, person: UUID | None, ask: _Ask) -> Any:
        import httpx  # noqa: PLC0415
        from postgrest import APIError  # noqa: PLC0415

        try:
            request = ask(self._open())
            if person and self._tokens:
                # on this one request: the client is everybody's
                request.request.headers["Authorization"] = f"Bearer {self._tokens.token(person)}"
            answer = (await request.execute()).data
        except (httpx.HTTPError, APIError, UnicodeError, ValueError, TypeError) as error:
            # from None: their texts quote rows, and in one case the key
            raise failure(function, error) from None
        if isinstance(answer, str):
            raise StoreUnavailable(f"{function}: the answer is no JSON: is SUPABASE_URL right?")
        return answer

    def _open(self) -> AsyncClient:
        if self._client is None:
            from supabase import AsyncClient, AsyncClientOptions  # noqa: PLC0415

            self._http = self._http or self._connections()
            options = AsyncClientOptions(
                httpx_client=self._http,
                schema=self._access.schema,
                # its own repeats neither POST nor in less than seven seconds
                postgrest_client_retry=False,
                auto_refresh_token=False,
                persist_session=False,
            )
            self._client = AsyncClient(self._access.url, self._access.key.text, options)
        return self._client

    def _connections(self) -> httpx.AsyncClient:
        import httpx  # noqa: PLC0415

        # at INFO it writes a line for each call, and so for each turn of each person
        if (chatter := logging.getLogger("httpx")).level == logging.NOTSET:
            chatter.setLevel(logging.WARNING)
        here = on_this_machine(self._access.url)
        return httpx.AsyncClient(
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

    async def _hear(self, response: httpx.Response) -> None:
        """Refuse what is no answer of our function. Here, because the library keeps neither the status nor the
        content type, and takes a web page for a result."""
        self._clock.heard(response.headers.get("date"))
        function = response.url.path.rsplit("/", 1)[-1]
        if response.is_success:
            refuse_web_page(function, response)
            return
        await response.aread()
        raise refusal(function, response, self._access)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Made once per process: reading the certificates takes longer than a call."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()


def prepare() -> None:
    """Import and make what the first call would wait for (0.3 s). Opens no connection."""
    import supabase  # noqa: F401, PLC0415 # pyright: ignore[reportUnusedImport]

    tls_context()
