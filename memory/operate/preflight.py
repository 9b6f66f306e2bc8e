"""What of somebody else's is in the way of the files of `sql/`: looked at before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memory.operate.files import Migration, MigrationError, Schemas

if TYPE_CHECKING:
    from psycopg import Connection

Name = tuple[str, str]
"""Schema and name, as Postgres has them."""

_TABLE = re.compile(r"^create table if not exists (\w+)\.(\w+) \((.*?)^\);", re.MULTILINE | re.DOTALL)
_COLUMN = re.compile(r"^  (\w+) +(uuid|text\[\]|text|integer|boolean|timestamptz)(?=\W)", re.MULTILINE)
_FUNCTION = re.compile(r"^create or replace function (\w+)\.(\w+)\(.*?\$\$(.*?)\$\$", re.MULTILINE | re.DOTALL)
_VIEW = re.compile(r"^create or replace view (\w+)\.(\w+)", re.MULTILINE)
_INDEX = re.compile(r"^create (?:unique )?index if not exists (\w+) on (\w+)\.(\w+)", re.MULTILINE)
_POLICY = re.compile(r"^create policy (\w+) on (\w+)\.(\w+)", re.MULTILINE)
_TRIGGER = re.compile(r"^create trigger (\w+)[^;]*? on (\w+)\.(\w+)", re.MULTILINE)
_ROLE = re.compile(r"\bcreate role (\w+)")
_PROFILES_NAME = ("public", "profiles")
_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "S": "sequence", "f": "foreign table"}


@dataclass(frozen=True)
class Made:
    """What files make."""

    tables: dict[Name, set[tuple[str, str]]] = field(default_factory=dict)
    """With their columns and types."""
    functions: dict[Name, set[str]] = field(default_factory=dict)
    """With what they say, in each file that makes them."""
    views: set[Name] = field(default_factory=set)
    indexes: dict[Name, str] = field(default_factory=dict)
    """With their tables, in the same schema."""
    policies: set[tuple[str, str, str]] = field(default_factory=set)
    triggers: set[tuple[str, str, str]] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)

    @property
    def relations(self) -> set[Name]:
        return {*self.tables, *self.views, *self.indexes}


@dataclass(frozen=True)
class There:
    """What a database has, in the schemas where ours is or would be."""

    relations: list[tuple[str, str, str, str | None, list[list[str]]]]
    """Schema, name, kind; of which table, for an index; columns and their types."""
    functions: list[tuple[str, str, str, str]]
    """Schema, name, arguments, what it says."""
    types: list[Name]
    policies: list[tuple[str, str, str, bool]]
    """Schema, table, name, and whether it is for the role of ours."""
    triggers: list[tuple[str, str, str, str]]
    """Schema, table, name, and the schema of its function."""
    roles: list[str]
    """Those of our names that may do other things than ours."""
    profiles: list[str]
    """What of an app's own depends on `public.profiles`, or fills it."""


def made(files: Iterable[Migration], schemas: Schemas) -> Made:
    """What these files make. Raises `OSError`."""
    found = Made()
    for text in (file.text(schemas).replace("\r\n", "\n") for file in files):
        for schema, name, columns in _TABLE.findall(text):
            found.tables[schema, name] = {
                (column, kind.replace("timestamptz", "timestamp with time zone"))
                for column, kind in _COLUMN.findall(columns)
            }
        for schema, name, body in _FUNCTION.findall(text):
            found.functions.setdefault((schema, name), set()).add(body)
        found.views.update(_VIEW.findall(text))
        found.indexes.update({(schema, name): table for name, schema, table in _INDEX.findall(text)})
        found.policies.update((schema, table, name) for name, schema, table in _POLICY.findall(text))
        found.triggers.update((schema, table, name) for name, schema, table in _TRIGGER.findall(text))
        found.roles.update(_ROLE.findall(text))
    return found


@dataclass(frozen=True)
class _Names:
    """Whose a name is: made by one of our files at all, by one that was applied, by one that is wanted now."""

    every: Made
    before: Made
    new: Made
    ours_alone: set[str]
    """Schemas in which nothing but ours may be."""

    def foreign(self, name: Name, kind: Callable[[Made], Collection[Name]]) -> bool:
        """Would we make it, or may it not be where it is? Then it has to be ours."""
        if name in kind(self.before):
            return False
        return name in kind(self.new) or (name[0] in self.ours_alone and name not in kind(self.every))


def in_the_way(
    files: Sequence[Migration], wanted: Sequence[Migration], there: There, schemas: Schemas, *, adopt_profiles: bool
) -> list[str]:
    """What is there under names that the `wanted` among our `files` would take, and is not ours. Reads files alone.

    What an applied file made is ours. What has our name and no line in a ledger is ours where it is as in one of our
    files: psql applied them. Schemas that we make have to be ours alone: everything else in them is in the way then.
    """
    before, new = made((file for file in files if file not in wanted), schemas), made(wanted, schemas)
    ours_alone = {schemas.hidden, schemas.exposed} - {"public"} if "voice_agent" in new.roles else set[str]()
    names = _Names(made(files, schemas), before, new, ours_alone)
    return [
        *_relations(names, there, schemas),
        *([] if adopt_profiles else _profiles(names, there)),
        *_functions(names, there),
        *(f"type {schema}.{name}" for schema, name in there.types if names.foreign((schema, name), _row_types)),
        *_policies_and_triggers(names, there, schemas),
        *(f"role {role}" for role in there.roles if "voice_agent" in new.roles),
    ]


def _relations(names: _Names, there: There, schemas: Schemas) -> Iterator[str]:
    new = names.new
    for schema, name, kind, of, columns in there.relations:
        relation, is_table = (schema, name), kind in ("r", "p")
        if relation == (schemas.hidden, "migrations") or (of is not None and relation not in new.relations):
            continue  # our ledger; an index that goes with its table
        if names.foreign(relation, lambda made: made.relations) and not (
            (relation in new.views and kind == "v")
            or (relation in new.indexes and of == new.indexes[relation])
            or (relation == _PROFILES_NAME and is_table)
            or (relation in new.tables and is_table and new.tables[relation] <= {(n, t) for n, t in columns})
        ):
            yield f"{'index' if of else _KINDS.get(kind, 'relation')} {schema}.{name}"


def _profiles(names: _Names, there: There) -> Iterator[str]:
    """A `profiles` that an app left is upgraded in place. One that it goes on using is its own."""
    adopted = any(policy == (*_PROFILES_NAME, "profiles_nobody_elses", True) for policy in there.policies)
    if _PROFILES_NAME in names.new.tables and there.profiles and not adopted:
        yield f"table public.profiles ({', '.join(there.profiles)}; --adopt-profiles upgrades it all the same)"


def _functions(names: _Names, there: There) -> Iterator[str]:
    for schema, name, arguments, body in there.functions:
        ours = body.replace("\r\n", "\n") in names.every.functions.get((schema, name), ())
        if not ours and names.foreign((schema, name), lambda made: made.functions):
            yield f"function {schema}.{name}({arguments})"


def _policies_and_triggers(names: _Names, there: There, schemas: Schemas) -> Iterator[str]:
    for schema, table, name, ours in there.policies:
        if not ours and (schema, table, name) in names.new.policies - names.before.policies:
            yield f"policy {name} on {schema}.{table}"
    for schema, table, name, of in there.triggers:
        if of != schemas.hidden and (schema, table, name) in names.new.triggers - names.before.triggers:
            yield f"trigger {name} on {schema}.{table}"


def _row_types(made: Made) -> set[Name]:
    """Each table and view is a type, too."""
    return {*made.tables, *made.views}


_RELATIONS = """
select n.nspname, c.relname, c.relkind::text, t.relname, coalesce((
    select jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, null)))
    from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '[]')
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_index i on i.indexrelid = c.oid left join pg_catalog.pg_class t on t.oid = i.indrelid
where n.nspname = any (%(schemas)s) order by c.relkind <> 'r', 1, 2
"""
_FUNCTIONS = """
select n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), p.prosrc
from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = any (%(schemas)s) order by 1, 2, 3
"""
# neither the types of rows nor those of arrays, which go with what they are of
_TYPES = """
select n.nspname, t.typname from pg_catalog.pg_type t join pg_catalog.pg_namespace n on n.oid = t.typnamespace
left join pg_catalog.pg_class c on c.oid = t.typrelid
where n.nspname = any (%(schemas)s) and t.typcategory <> 'A' and coalesce(c.relkind, 'c') = 'c'
  and not exists (select from pg_catalog.pg_range r where r.rngmultitypid = t.oid) order by 1, 2
"""
_POLICIES = """
select schemaname, tablename, policyname, 'voice_agent' = any (roles) from pg_catalog.pg_policies
where schemaname = any (%(schemas)s) order by 1, 2, 3
"""
_TRIGGERS = """
select n.nspname, c.relname, t.tgname, f.nspname from pg_catalog.pg_trigger t
join pg_catalog.pg_class c on c.oid = t.tgrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_proc p on p.oid = t.tgfoid join pg_catalog.pg_namespace f on f.oid = p.pronamespace
where n.nspname = any (%(schemas)s) and not t.tgisinternal order by 1, 2, 3
"""
# Ours is nobody who logs in; what others may do besides is theirs to say, as long as row-level security holds for them.
_ROLES = """
select r.rolname || case
  when r.rolname = 'service_role' then ' (it does not bypass row-level security)'
  when r.rolcanlogin then ' (it may log in)' when r.rolsuper or r.rolbypassrls then ' (it sees all rows)'
  else ' (it may do what other roles may)' end
from pg_catalog.pg_roles r
where (r.rolname in ('anon', 'authenticated') and (r.rolsuper or r.rolbypassrls))
  or (r.rolname = 'service_role' and not (r.rolsuper or r.rolbypassrls))
  or (r.rolname = 'voice_agent' and (r.rolcanlogin or r.rolsuper or r.rolbypassrls or r.rolcreaterole
    or exists (select from pg_catalog.pg_auth_members m where m.member = r.oid)))
order by 1
"""
_PROFILES = r"""
select format('filled by the trigger %%s of %%s', t.tgname, t.tgrelid::regclass) from pg_catalog.pg_trigger t
join pg_catalog.pg_proc p on p.oid = t.tgfoid join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where not t.tgisinternal and p.prosrc ~ '\mprofiles\M' and n.nspname <> 'rapport'
union all
select format('%%s refers to it', k.conrelid::regclass) from pg_catalog.pg_constraint k
join pg_catalog.pg_class c on c.oid = k.confrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where k.contype = 'f' and (n.nspname, c.relname) = ('public', 'profiles') and k.conrelid <> k.confrelid
"""


def look(connection: Connection, schemas: Schemas) -> There:
    """What there is now; reads the catalog alone. Raises `MigrationError` for a name that SQL keeps for itself."""
    where = {"schemas": [schemas.exposed, schemas.hidden]}

    def rows(query: str) -> list[Any]:
        return connection.execute(query.encode(), where).fetchall()

    [[plain]] = connection.execute("select quote_ident(%s) = %s", [schemas.exposed] * 2).fetchall()
    if not plain:
        raise MigrationError(f"RAPPORT_SCHEMA cannot be {schemas.exposed}, which is a word of SQL's own")
    return There(
        rows(_RELATIONS),
        rows(_FUNCTIONS),
        rows(_TYPES),
        rows(_POLICIES),
        rows(_TRIGGERS),
        [role for (role,) in rows(_ROLES)],
        [] if schemas.own else [use for (use,) in rows(_PROFILES)],
    )
