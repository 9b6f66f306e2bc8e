-- Which of these files were applied is written down in a ledger of our own. The Supabase CLI has one for all that is applied
-- to a project, and stops where it finds in there what is not among its own files.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table if not exists rapport.migrations (
  version    text        primary key,
  name       text        not null,
  applied_at timestamptz not null default now()
);
alter table rapport.migrations enable row level security;
revoke all on rapport.migrations from public, anon, authenticated, voice_agent, service_role;
grant select on rapport.migrations to service_role;

do $$
begin
  -- the doctor compares both with the files
  if exists (
    select from pg_catalog.pg_attribute
    where attrelid = to_regclass('supabase_migrations.schema_migrations') and attname = 'name' and not attisdropped
  ) then
    grant usage on schema supabase_migrations to service_role;
    grant select (version, name) on supabase_migrations.schema_migrations to service_role;
  end if;
end $$;

-- What is in effect here, for the doctor: never a row. (As before, with both ledgers:
-- `versions` has what is in either, as it had.)
create or replace function public.describe_schema()
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_ours constant text[] := array[
    'ensure_profile', 'complete_first_login', 'remember', 'retrieve', 'list_memories', 'list_past', 'forget',
    'memory_vectors', 'put_vectors', 'memories_since', 'mentions', 'redact', 'uncurated', 'curate',
    'start_session', 'append_turns', 'touch_session', 'end_session', 'summarise', 'export_user', 'import_user',
    'erase_user', 'list_sessions', 'end_abandoned', 'take_lease', 'purge', 'describe_schema'
  ];
  v_tables constant text[] := array[
    'profiles', 'memories', 'memory_history', 'conversations', 'sessions', 'messages', 'leases'
  ];
  v_functions jsonb;
  v_callable jsonb;
  v_row_security jsonb;
  v_usable jsonb;
  v_versions jsonb;
  v_own jsonb;
  v_shared jsonb;
begin
  select jsonb_object_agg(p.proname, pg_get_function_identity_arguments(p.oid) || ' -> ' || format_type(p.prorettype, null)),
         coalesce(jsonb_agg(p.proname order by p.proname) filter (where has_function_privilege('anon', p.oid, 'execute')), '[]')
  into v_functions, v_callable
  from pg_catalog.pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname = any (v_ours);

  select jsonb_object_agg(c.relname, c.relrowsecurity),
         coalesce(jsonb_agg(c.relname order by c.relname) filter (where
           has_any_column_privilege('anon', c.oid, 'select, insert, update') or has_table_privilege('anon', c.oid, 'delete')
         ), '[]')
  into v_row_security, v_usable
  from pg_catalog.pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname = any (v_tables);

  -- that of the Supabase CLI is there after its first run, and an old one has no names
  if exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = to_regclass('supabase_migrations.schema_migrations') and a.attname = 'name'
      and has_column_privilege(a.attrelid, a.attnum, 'select')
  ) then
    execute 'select jsonb_object_agg(version, name) from supabase_migrations.schema_migrations' into v_shared;
  end if;
  select jsonb_agg(m.version order by m.version) into v_own from rapport.migrations m;
  select jsonb_agg(l.version order by l.version) into v_versions from (
    select jsonb_array_elements_text(v_own) as version union select jsonb_object_keys(v_shared)
  ) l;

  return jsonb_build_object(
    'now', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'server_version', current_setting('server_version_num')::integer,
    'versions', v_versions,
    'ledger', v_own,
    'shared_ledger', v_shared,
    'functions', v_functions,
    'row_security', v_row_security,
    'anon_may_call', v_callable,
    'anon_may_use', v_usable,
    'profile_foreign_keys', (
      select coalesce(jsonb_agg(k.conname order by k.conname), '[]')
      from pg_catalog.pg_constraint k where k.conrelid = to_regclass('public.profiles') and k.contype = 'f'),
    'voice_agent', exists (
      select from pg_catalog.pg_auth_members m
      where m.roleid = to_regrole('voice_agent') and m.member = to_regrole('authenticator'))
  );
end $$;

revoke all on function public.describe_schema() from public, anon, authenticated, voice_agent, service_role;
grant execute on function public.describe_schema() to service_role;

notify pgrst, 'reload schema';
