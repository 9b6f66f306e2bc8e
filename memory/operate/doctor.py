"""Is the store in order, and if not, what exactly has to be done? Reads alone, and never a row of anybody."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from memory.operate.files import MigrationError, Schemas, migrations
from memory.operate.migrate import InTheWay, Ledgers, checked, ledgers
from memory.settings import MemorySettings, open_store
from memory.stores.protocol import StoreError
from memory.stores.supabase_answers import SchemaNotExposed, exposing
from memory.stores.supabase_keys import Access, StoreMisconfigured, going_away, public_key
from memory.stores.supabase_tokens import SKEW_SECONDS

if TYPE_CHECKING:
    from memory.stores.supabase import SupabaseStore

_MIGRATE = 'python -m memory migrate --database-url "$DATABASE_URL"'
_REAPPLY = 'psql "$DATABASE_URL" -1'
_RELEASE = f"{_MIGRATE} --release-ledger"
_PERSON = "p_user_id uuid"
FUNCTIONS = {
    "ensure_profile": f"{_PERSON}, p_email text -> jsonb",
    "complete_first_login": f"{_PERSON} -> boolean",
    "remember": f"{_PERSON}, p_items jsonb -> jsonb",
    "retrieve": f"{_PERSON}, p_category text, p_key text -> jsonb",
    "list_memories": f"{_PERSON} -> jsonb",
    "list_past": f"{_PERSON} -> jsonb",
    "forget": f"{_PERSON}, p_category text, p_key text -> boolean",
    "memory_vectors": f"{_PERSON}, p_model text -> jsonb",
    "put_vectors": f"{_PERSON}, p_model text, p_vectors jsonb -> integer",
    "memories_since": f"{_PERSON}, p_version bigint -> jsonb",
    "mentions": f"{_PERSON}, p_words jsonb, p_skip integer, p_limit integer -> jsonb",
    "redact": f"{_PERSON}, p_texts jsonb, p_memories jsonb, p_gone jsonb -> integer",
    "uncurated": f"{_PERSON}, p_limit integer -> jsonb",
    "curate": f"{_PERSON}, p_seen jsonb, p_facts jsonb, p_ended jsonb -> jsonb",
    "start_session": f"{_PERSON}, p_email text, p_thread text, p_job text, p_room text, "
    "p_resume_seconds double precision, p_turns integer -> jsonb",
    "append_turns": f"{_PERSON}, p_conversation_id uuid, p_turns jsonb -> integer",
    "touch_session": f"{_PERSON}, p_session_id uuid -> boolean",
    "end_session": f"{_PERSON}, p_session_id uuid, p_job text, p_reason text -> boolean",
    "summarise": f"{_PERSON}, p_conversation_id uuid, p_summary text -> boolean",
    "export_user": f"{_PERSON} -> jsonb",
    "import_user": f"{_PERSON}, p_document jsonb -> void",
    "erase_user": f"{_PERSON} -> jsonb",
    "list_sessions": "p_living boolean, p_limit integer -> jsonb",
    "end_abandoned": "p_unseen_since timestamp with time zone, p_reason text -> jsonb",
    "take_lease": "p_name text, p_holder text, p_seconds double precision -> boolean",
    "purge": "p_turns_before timestamp with time zone -> jsonb",
    "describe_schema": " -> jsonb",
    "put_link": "p_token_hash text, p_user_id uuid, p_who text, p_app text, p_expires_at timestamp with time zone, "
    "p_an_hour integer -> boolean",
    "start_link": "p_token_hash text, p_state_hash text, p_browser_hash text, p_sealed bytea -> boolean",
    "answer_link": "p_token_hash text -> boolean",
    "sign_in_link": "p_token_hash text, p_sealed bytea, p_seconds double precision -> boolean",
    "try_digits": "p_person text -> jsonb",
    "end_link": "p_token_hash text -> void",
    "connect_app": "p_token_hash text, p_connection_id uuid, p_scopes text, p_sealed bytea, "
    "p_ends_at timestamp with time zone -> boolean",
    "disconnect_app": "p_person text, p_app text -> boolean",
    "take_refresh": "p_connection_id uuid, p_version integer, p_seconds double precision -> boolean",
    "put_refresh": "p_connection_id uuid, p_version integer, p_sealed bytea, p_ends_at timestamp with time zone"
    " -> boolean",
    "take_revocations": "p_limit integer -> jsonb",
    "sweep_connections": "p_unused_seconds double precision -> jsonb",
}
"""What the worker, and the service for people's apps, call: arguments and result as Postgres spells them."""
OF_ONE_PERSON = {name for name, signature in FUNCTIONS.items() if signature.startswith(_PERSON)}
TABLES = (
    *("profiles", "memories", "memory_history", "conversations", "sessions", "messages", "leases"),
    *("connections", "connection_secrets", "connection_links", "oauth_clients", "revocations"),
)
_MADE = re.compile(r"^create or replace function public\.(\w+)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `held` is None where it could not be looked at; `fix` says what to do then, or where
    it does not hold."""

    name: str
    held: bool | None
    told: str
    fix: str | None = None


async def examine(settings: MemorySettings) -> list[Check]:
    """Look at the store that the settings name. Takes seconds where it does not answer."""
    try:
        project = settings.supabase()
    except StoreMisconfigured as error:
        return [Check("settings", False, "the environment names no store that can be", str(error))]
    return await _embedded(settings) if project is None else await _supabase(settings, project)


async def _embedded(settings: MemorySettings) -> list[Check]:
    where = settings.embedded_store
    store = open_store(settings)
    try:
        await store.sessions(living=True, limit=1)
    except StoreError as error:
        return [Check("store", False, str(error), f"make {where.parent} writable, or set RAPPORT_HOME")]
    finally:
        await store.aclose()
    return [Check("store", True, f"the embedded store at {where} works; SUPABASE_URL is not set")]


async def _supabase(settings: MemorySettings, project: Access) -> list[Check]:
    from memory.stores.supabase import SupabaseStore  # noqa: PLC0415

    store = SupabaseStore(replace(project, next_signing=None))  # each key is asked for itself
    try:
        ends = [Check(f"end of {what.split()[0]}", None, *what.split(": ", 1)) for what in going_away(project)]
        checks = [_settings(project), *ends, await _reached(store, settings)]
        if checks[-1].held:
            checks += [_clock(store.clock_ahead), *await _inside(settings, project, store)]
        return checks
    finally:
        await store.aclose()


def _settings(project: Access) -> Check:
    signing = project.signing
    how = f"people's tokens signed with {signing} as {project.role}" if signing else "no tokens for people"
    return Check("settings", True, f"{project.url}, {project.key}: {project.key.kind.value}, {how}")


async def _reached(store: SupabaseStore, settings: MemorySettings) -> Check:
    """Does anybody answer there, in time? Whether the answer is a refusal is looked at afterwards."""
    from memory.stores.supabase import StoreUnavailable  # noqa: PLC0415

    took = 0.0
    for _ in range(2):  # the first one opens the connection
        began = perf_counter()
        try:
            await store.memories(uuid4())
        except StoreUnavailable as error:
            return Check("reachable", False, str(error), "check SUPABASE_URL, the network, and the project's status")
        except StoreError:
            pass
        took = perf_counter() - began
    told = f"a call takes {took * 1000:.0f} ms"
    if took < settings.memory_deadline:
        return Check("reachable", True, told)
    fix = "run the worker near the project's region, or raise MEMORY_DEADLINE"
    return Check("reachable", False, f"{told}, and people wait {settings.memory_deadline:g} s at most", fix)


def _clock(ahead: float) -> Check:
    if abs(ahead) <= SKEW_SECONDS:
        return Check("clock", True, "ours and the server's agree")
    told = f"ours is {abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} the server's"
    return Check("clock", False, told, "set this machine's clock by NTP: LiveKit's tokens go by it as well")


async def _inside(settings: MemorySettings, project: Access, store: SupabaseStore) -> list[Check]:
    """What the key opens, and what the database holds."""
    described, first = await _described(project, store)
    checks = [first]
    schemas = Schemas(project.schema)
    if described:
        checks += [
            _functions(described, schemas),
            await _callable(store, None, schemas),
            _row_security(described, schemas),
            _anon_in_catalog(described, schemas),
            _legacy_key(described, schemas),
            _role(described, project),
        ]
    checks += await _anonymous(settings, project)
    if project.signing:
        checks += [await _token(project, store), await _callable(store, uuid4(), schemas)]
    if project.next_signing:
        checks.append(await _next_token(project))
    return [*checks, *await _applied(settings, described, schemas)]


async def _described(project: Access, store: SupabaseStore) -> tuple[dict[str, Any] | None, Check]:
    if not project.key.kind.privileged:
        told = "functions, policies and grants were not looked at: a public key does not show them"
        return None, Check("database", None, told, "set SUPABASE_SECRET_KEY for this command")
    try:
        return await store.describe(), Check("key", True, "the project takes it as the worker's own")
    except SchemaNotExposed as error:
        return None, Check("exposed schema", False, str(error), exposing(project.schema))
    except StoreError as error:
        if "memory migrate" in str(error):
            return None, Check("functions", False, str(error), _MIGRATE)
        return None, Check("key", False, str(error), f"copy {project.key.variable} anew from Settings → API keys")


def _functions(described: dict[str, Any], schemas: Schemas) -> Check:
    there: dict[str, str] = described["functions"] or {}
    found = _told_by(described)
    if missing := sorted(set(FUNCTIONS) - set(there)):
        fix = _reapply(missing, schemas) if found and not _missing(found, schemas) else _MIGRATE
        return Check("functions", False, f"missing: {', '.join(missing)}", fix)
    if other := sorted(name for name, signature in FUNCTIONS.items() if there[name] != signature):
        fix = f"{_MIGRATE}, with the same version of this program as the worker's"
        return Check("functions", False, f"another signature than ours: {', '.join(other)}", fix)
    return Check("functions", True, f"all {len(FUNCTIONS)} are there, with our signatures")


async def _callable(store: SupabaseStore, person: UUID | None, schemas: Schemas) -> Check:
    whose, wanted = ("a person", OF_ONE_PERSON) if person else ("the worker", set(FUNCTIONS))
    try:
        found = await store.callable_functions(person)
    except StoreError as error:
        return Check(f"grants to {whose}", None, str(error), "nothing, if the project is set up not to list its API")
    if missing := sorted(wanted - found):
        told = f"{whose} may not call {', '.join(missing)}"
        return Check(f"grants to {whose}", False, told, _reapply(missing, schemas))
    if too_many := sorted((found & set(FUNCTIONS)) - wanted):
        told = f"{whose} may call what is for the worker alone: {', '.join(too_many)}"
        return Check(f"grants to {whose}", False, told, _reapply(too_many, schemas))
    return Check(f"grants to {whose}", True, f"{whose} may call all {len(wanted)}, and nothing else of ours")


def _reapply(functions: Collection[str], schemas: Schemas) -> str:
    """The first file that makes one of these functions, and all after it, which may change what it makes and grants:
    each can be applied again at any time."""
    files = [(file.path.name, file.path.read_text(encoding="utf-8")) for file in migrations()]
    first = next(i for i, (_, text) in enumerate(files) if not set(functions).isdisjoint(_MADE.findall(text)))
    names = [name for name, _ in files[first:]]
    if schemas.own:
        return f"python -m memory migrate --show {' '.join(names)} | {_REAPPLY}"
    return " ".join([_REAPPLY, *(f"-f sql/{name}" for name in names)])


def _row_security(described: dict[str, Any], schemas: Schemas) -> Check:
    there: dict[str, bool] = described["row_security"] or {}
    if open_tables := [table for table in TABLES if not there.get(table)]:
        fix = "; ".join(f"alter table {schemas.exposed}.{table} enable row level security" for table in open_tables)
        return Check("row-level security", False, f"off, or no such table: {', '.join(open_tables)}", fix)
    return Check("row-level security", True, f"on for all {len(TABLES)} tables")


def _anon_in_catalog(described: dict[str, Any], schemas: Schemas) -> Check:
    functions: list[str] = described["anon_may_call"] or []
    tables: list[str] = described["anon_may_use"] or []
    if not (functions or tables):
        return Check("anonymous grants", True, "anon may call and use nothing of ours")
    fixes = [f"revoke execute on function {schemas.exposed}.{name} from public, anon" for name in functions]
    fixes += [f"revoke all on {schemas.exposed}.{name} from public, anon" for name in tables]
    return Check("anonymous grants", False, f"anon may use {', '.join([*functions, *tables])}", "; ".join(fixes))


def _legacy_key(described: dict[str, Any], schemas: Schemas) -> Check:
    if names := described["profile_foreign_keys"]:
        fix = "; ".join(f"alter table {schemas.exposed}.profiles drop constraint {name}" for name in names)
        return Check("legacy foreign key", False, f"profiles depend on another table: {', '.join(names)}", fix)
    return Check("legacy foreign key", True, "profiles depend on no other table")


def _role(described: dict[str, Any], project: Access) -> Check:
    if not project.signing or project.role != "voice_agent" or described["voice_agent"]:
        return Check("role of tokens", True, project.role if project.signing else "no tokens, no role")
    fix = f"{_MIGRATE}, or: grant voice_agent to authenticator"
    return Check("role of tokens", False, "the API may not take on the role voice_agent", fix)


async def _anonymous(settings: MemorySettings, project: Access) -> list[Check]:
    """What the catalog says, from outside, where there is a key that everybody may have."""
    from memory.stores.supabase import StoreUnavailable, SupabaseStore  # noqa: PLC0415

    try:
        public = public_key(settings.supabase_keys, project.url)
    except StoreMisconfigured as error:
        return [Check("anonymous call", False, "the public key is none", str(error))]
    if public is None:
        return []
    stranger = SupabaseStore(replace(project, key=public, signing=None))
    try:
        await stranger.memories(uuid4())
    except StoreUnavailable as error:
        return [Check("anonymous call", None, str(error), "try again")]
    except StoreError:
        return [Check("anonymous call", True, f"refused for {public}")]
    finally:
        await stranger.aclose()
    fix = _reapply(["list_memories"], Schemas(project.schema))
    return [Check("anonymous call", False, f"{public} may call list_memories", fix)]


async def _token(project: Access, store: SupabaseStore) -> Check:
    assert project.signing  # noqa: S101
    try:
        found = await store.memories(uuid4())
    except StoreError as error:
        fix = f"set {project.signing.variable} to a key of this project (Settings → JWT keys), and SUPABASE_ROLE to "
        return Check("tokens", False, str(error), fix + "authenticated or voice_agent")
    if found:
        return Check("tokens", False, "an invented person's token shows somebody's rows", _MIGRATE)
    return Check("tokens", True, f"the project takes what {project.signing} signs")


async def _next_token(project: Access) -> Check:
    from memory.stores.supabase import StoreUnavailable, SupabaseStore  # noqa: PLC0415

    store = SupabaseStore(replace(project, signing=project.next_signing, next_signing=None))
    try:
        await store.memories(uuid4())
    except StoreUnavailable as error:
        return Check("next tokens", None, str(error), "try again")
    except StoreError:
        fix = "import it as a standby key (Settings → JWT keys) before you rotate"
        return Check("next tokens", None, f"the project does not know {project.next_signing} yet", fix)
    finally:
        await store.aclose()
    return Check("next tokens", True, f"the project takes what {project.next_signing} signs too: it can be rotated to")


async def _applied(settings: MemorySettings, described: dict[str, Any] | None, schemas: Schemas) -> list[Check]:
    """Are all migrations applied, and are the ledgers in nobody's way?"""
    url = settings.database_url.get_secret_value() if settings.database_url else None
    try:
        found = await asyncio.to_thread(ledgers, url, schemas=schemas) if url else _told_by(described or {})
        if url and found and _missing(found, schemas):
            await asyncio.to_thread(checked, url, schemas=schemas)
    except InTheWay as error:
        return [Check("migrations", False, str(error), "set RAPPORT_SCHEMA to a name that nothing has, then migrate")]
    except MigrationError as error:
        return [Check("migrations", False, str(error), "check DATABASE_URL")]
    if found is None:
        told = "the ledger of migrations cannot be seen through the API (there is none if psql applied the files)"
        return [Check("migrations", None, told, "set DATABASE_URL for this command")]
    if missing := _missing(found, schemas):
        checks = [Check("migrations", False, f"not applied: {', '.join(missing)}", _MIGRATE)]
    else:
        checks = [Check("migrations", True, f"all {len(migrations())} are applied")]
    return checks + _shared_ledger(found, schemas, seen=url is not None)


def _shared_ledger(found: Ledgers, schemas: Schemas, *, seen: bool) -> list[Check]:
    """Whether the CLI wrote our lines into its ledger, which then has our files, only the database itself tells."""
    ours = found.beside_others(migrations(), schemas)
    told = "the ledger of the Supabase CLI has lines of ours beside those of another project"
    if not seen and ours:
        fix = "set DATABASE_URL for this command: the database tells whether they are in the way"
        return [Check("shared ledger", None, told, fix)]
    if any(found.shared[file.version][1] for file in ours):
        told += ", whose `supabase migration up` and `db push` stop at them"
        return [Check("shared ledger", False, told, _RELEASE)]
    return []


def _told_by(described: dict[str, Any]) -> Ledgers | None:
    """The ledgers as the API shows them; None where it shows none."""
    own: list[str] | None = described.get("ledger")
    shared: dict[str, str] | None = described.get("shared_ledger")
    if "ledger" not in described:  # an earlier release of the functions
        own = described.get("versions")
    if own is None and shared is None:
        return None
    return Ledgers(frozenset(own or ()), {version: (name, False) for version, name in (shared or {}).items()})


def _missing(found: Ledgers, schemas: Schemas) -> list[str]:
    return [file.path.name for file in migrations() if not found.applied(file, schemas)]


def report(checks: Iterable[Check], say: Callable[[str], None]) -> None:
    """A line for each check, and one more for what to do."""
    for check in checks:
        mark = {True: "ok  ", False: "FAIL", None: "?   "}[check.held]
        say(f"{mark} {check.name}: {check.told}")
        if check.held is not True and check.fix:
            say(f"       → {check.fix}")
