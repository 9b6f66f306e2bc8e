"""What operators do with people's memories: look, take away, bring back, delete; and whether the store is in order.

    python -m memory doctor
    python -m memory list --identity alice@example.com
    python -m memory export --identity alice@example.com --output alice.json
    python -m memory import alice.json --identity alice@example.com
    python -m memory forget FACT:diagnosis_code --identity alice@example.com
    python -m memory erase --user edabafbb-61ad-51d6-9fd8-e976c892a731
    python -m memory sessions --living
    python -m memory migrate --database-url postgresql://…

Works on the store that the environment names, as the worker does. With --json the last line is one JSON object. Exit
status 0: it is so, or was done; 1: it is not, or was not; 2: the question was wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from dotenv import load_dotenv
from pydantic import ValidationError

from identity import IdentityError, livekit_identity_to_uuid
from memory.operate import doctor
from memory.operate.files import MIGRATIONS, MigrationError, Schemas
from memory.operate.migrate import checked, export, migrate, release_ledger
from memory.recall.redaction import forgetting, under
from memory.records import Memory, SessionRecord
from memory.sessions.forgetting import forget_stored
from memory.settings import MemorySettings, open_store
from memory.stores.export import timestamp
from memory.stores.protocol import Store, StoreError

DONE, NOT_DONE, WRONG_QUESTION = 0, 1, 2


@dataclass(frozen=True)
class Answer:
    """`lines` are for people, `found` for programs."""

    status: int
    lines: list[str]
    found: dict[str, Any]


class WrongQuestion(Exception):
    """What was asked makes no sense; the text says why."""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    load_dotenv(".env.local")
    load_dotenv()
    try:
        answer = asyncio.run(_answer(options))
    except WrongQuestion as error:
        answer = Answer(WRONG_QUESTION, [], {"error": str(error)})
    except (StoreError, MigrationError, OSError) as error:
        answer = Answer(NOT_DONE, [], {"error": str(error)})
    if "error" in answer.found:
        _say(str(answer.found["error"]), sys.stderr)
    if options.json:
        _say(json.dumps({"ok": answer.status == DONE} | answer.found, ensure_ascii=False))
    else:
        for line in answer.lines:
            _say(line)
    return answer.status


async def _answer(options: argparse.Namespace) -> Answer:
    settings = _settings()
    if options.command == "doctor":
        return await _doctor(settings)
    if options.command == "migrate":
        return _migrate(options, settings, Schemas(settings.rapport_schema))
    store = open_store(settings)
    try:
        return await options.does(options, store)
    finally:
        await store.aclose()


async def _doctor(settings: MemorySettings) -> Answer:
    checks = await doctor.examine(settings)
    lines: list[str] = []
    doctor.report(checks, lines.append)
    held = all(check.held is not False for check in checks)
    return Answer(DONE if held else NOT_DONE, lines, {"checks": [asdict(check) for check in checks]})


def _migrate(options: argparse.Namespace, settings: MemorySettings, schemas: Schemas) -> Answer:
    if options.export:
        files = export(options.export, schemas=schemas)
        return Answer(DONE, [f"written {name}" for name in files] or ["nothing to write"], {"written": files})
    if options.show:
        return _show(options.show, schemas)
    url = options.database_url or (settings.database_url.get_secret_value() if settings.database_url else None)
    if url is None:
        raise WrongQuestion("which database? Say --database-url, or set DATABASE_URL")
    if options.release_ledger:
        files = release_ledger(url, schemas=schemas)
        return Answer(DONE, [f"released {name}" for name in files] or ["nothing to release"], {"released": files})
    if options.dry_run:
        files = checked(url, schemas=schemas, adopt_profiles=options.adopt_profiles)
        word, found = "would apply", {"pending": files}
    else:
        files = migrate(url, schemas=schemas, ledger=options.ledger, adopt_profiles=options.adopt_profiles)
        word, found = "applied", {"applied": files}
    return Answer(DONE, [f"{word} {name}" for name in files] or ["nothing to apply"], found)


def _show(names: list[str], schemas: Schemas) -> Answer:
    """Files of `sql/` by their names in it, verify/ and rollback/ included."""
    if unknown := [name for name in names if not (MIGRATIONS / name).is_file()]:
        raise WrongQuestion(f"there is no sql/{unknown[0]}")
    text = "\n".join(schemas.text(MIGRATIONS / name) for name in names)
    return Answer(DONE, [text], {"sql": text})


async def _list(options: argparse.Namespace, store: Store) -> Answer:
    rows = [_row(memory) for memory in await store.memories(_user(options))]
    lines = [
        f"{row['said_at'][:10]}  {row['category']}  {_quoted(row['key'])}: {_quoted(row['value'])}" for row in rows
    ]
    return Answer(DONE, lines or ["nothing is remembered"], {"memories": rows})


async def _export(options: argparse.Namespace, store: Store) -> Answer:
    user = _user(options)
    document = await store.export(user)
    if document["profile"] is None:
        _say(f"nobody is known as {user}", sys.stderr)
    text = json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True)
    if options.output is None:
        return Answer(DONE, [text], {"document": document})
    options.output.touch(mode=0o600)  # for its owner alone, from the first byte on
    options.output.write_text(f"{text}\n", encoding="utf-8")
    return Answer(DONE, [f"written to {options.output}"], {"output": str(options.output)})


async def _import(options: argparse.Namespace, store: Store) -> Answer:
    user = _user(options)
    try:
        document: Any = json.loads(options.file.read_text(encoding="utf-8"))
        await store.import_(user, document)
    except OSError as error:
        raise WrongQuestion(f"{options.file} cannot be read: {error.strerror}") from None
    except ValueError:
        # its text may quote what people said
        raise WrongQuestion(f"{options.file} is not an export of {user}: nothing was imported") from None
    return Answer(DONE, [f"imported for {user}"], {"user": str(user)})


async def _forget(options: argparse.Namespace, store: Store) -> Answer:
    user = _user(options)

    def ask(method: Any, *arguments: Any) -> Any:
        return getattr(store, method.__name__)(user, *arguments)

    known, past = await store.memories(user), await store.past(user)
    wanted = [(category, key) for category, _, key in (name.partition(":") for name in options.names)]
    if not (chosen := under(wanted, known, past)):
        return Answer(NOT_DONE, ["nothing is kept under that name"], {"forgotten": []})
    planned = forgetting(chosen, known, past)
    await forget_stored(ask, planned)
    names = [f"{memory.category}:{memory.key}" for memory in planned.gone]
    return Answer(DONE, [f"forgotten: {', '.join(map(_quoted, names))}"], {"forgotten": names, "user": str(user)})


async def _erase(options: argparse.Namespace, store: Store) -> Answer:
    user = _user(options)
    if not options.yes and not _confirmed(f"Delete everything that is kept of {user}, for good?"):
        return Answer(NOT_DONE, ["nothing was deleted"], {"erased": None})
    counts = await store.erase(user)
    told = ", ".join(f"{count} {table}" for table, count in counts.items() if count) or "there was nothing"
    return Answer(DONE, [f"deleted: {told}"], {"erased": counts, "user": str(user)})


async def _sessions(options: argparse.Namespace, store: Store) -> Answer:
    records = await store.sessions(living=options.living, limit=options.limit)
    return Answer(DONE, [_line(record) for record in records] or ["no sessions"], {"sessions": [*map(_row, records)]})


def _line(record: SessionRecord) -> str:
    state = "living" if record.ended_at is None else f"ended {record.ended_at:%H:%M:%S} ({record.end_reason})"
    when = f"{record.started_at:%Y-%m-%d %H:%M:%S}, seen {record.seen_at:%H:%M:%S}"
    return (
        f"{when}  {state}  user {record.user}  thread {record.thread!r}  room {record.room!r}  jobs {len(record.jobs)}"
    )


def _row(record: SessionRecord | Memory) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(record), default=_as_text))


def _as_text(value: object) -> str:
    return timestamp(value) if isinstance(value, datetime) else str(value)


def _quoted(text: str) -> str:
    """For a terminal, which must not do what is in it."""
    return json.dumps(text, ensure_ascii=False).strip('"')


def _settings() -> MemorySettings:
    try:
        return MemorySettings()
    except ValidationError as error:
        # without the values: one of them may be a key
        told = "; ".join(f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}" for wrong in error.errors())
        raise WrongQuestion(f"the environment is wrong: {told}") from None


def _user(options: argparse.Namespace) -> UUID:
    if options.user:
        return options.user
    try:
        return livekit_identity_to_uuid(options.identity)
    except IdentityError as error:
        raise WrongQuestion(str(error)) from None


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise WrongQuestion("nobody is here to confirm it: say --yes")
    _say(f"{question} Type yes: ", sys.stderr)
    return sys.stdin.readline().strip() == "yes"


def _say(line: str, where: Any = None) -> None:
    print(line, file=where or sys.stdout)


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise ValueError
    return count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    person = argparse.ArgumentParser(add_help=False)
    whose = person.add_mutually_exclusive_group(required=True)
    whose.add_argument("--identity", help="the person's LiveKit identity, as it is signed")
    whose.add_argument("--user", type=UUID, help="the person's UUID")

    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, about: str, *parents: argparse.ArgumentParser, **defaults: Any) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[as_json, *parents], help=about)
        command.set_defaults(**defaults)
        return command

    add("doctor", "is the store in order, and what has to be done if not")
    add("list", "what is remembered about a person", person, does=_list)
    whole = add("export", "everything that is kept of a person", person, does=_export)
    whole.add_argument("--output", type=Path, help="a file to write to; only its owner can read it")
    add("import", "put an export back", person, does=_import).add_argument("file", type=Path)
    forget = add("forget", "forget memories, and every text of a person that tells them", person, does=_forget)
    forget.add_argument("names", nargs="+", metavar="CATEGORY:KEY", help="as `list` tells them")
    erase = add("erase", "delete everything that is kept of a person", person, does=_erase)
    erase.add_argument("--yes", action="store_true", help="do not ask")
    sessions = add("sessions", "the latest sessions of everybody", does=_sessions)
    sessions.add_argument("--living", action="store_true", help="only those that have not ended")
    sessions.add_argument("--limit", type=_count, default=50, help="how many at most (default: 50)")
    apply = add("migrate", "apply the files of sql/ that are missing")
    apply.add_argument("--database-url", help="postgresql://… (default: DATABASE_URL)")
    how = apply.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only say which, and whether anything is in the way")
    how.add_argument("--export", type=Path, metavar="DIR", help="write the files into an app's own supabase/migrations")
    how.add_argument("--show", nargs="+", metavar="FILE", help="print files of sql/ as they are for RAPPORT_SCHEMA")
    how.add_argument("--release-ledger", action="store_true", help="take our lines out of the Supabase CLI's ledger")
    apply.add_argument(
        "--ledger",
        choices=("rapport", "supabase"),
        default="rapport",
        help="write them down in our own ledger alone (the default), or for a Supabase CLI that has the files too",
    )
    apply.add_argument(
        "--adopt-profiles", action="store_true", help="upgrade a table `profiles` that an app goes on filling"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
