-- What the deployment does for everybody: only the worker's own key (service_role) may, and no person's token.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table if not exists public.leases (
  name   text        primary key check (length(name) between 1 and 200),
  holder text        not null check (length(holder) between 1 and 200),
  until  timestamptz not null
);
alter table public.leases enable row level security;
revoke all on public.leases from public, anon, authenticated, voice_agent, service_role;
grant select, insert, update, delete on public.leases to service_role;

-- The latest sessions of everybody, newest first.
create or replace function public.list_sessions(p_living boolean, p_limit integer)
returns jsonb language sql stable security invoker set search_path = ''
as $$
  select coalesce(jsonb_agg(l.document order by l.started_at desc, l.id), '[]') from (
    select s.document, s.started_at, s.id from rapport.session_documents s
    where s.ended_at is null or not coalesce(p_living, false)
    order by s.started_at desc, s.id limit greatest(p_limit, 0)
  ) l
$$;

-- End the sessions that nobody has touched since then; those that ended by this call.
create or replace function public.end_abandoned(p_unseen_since timestamptz, p_reason text)
returns jsonb language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_ended jsonb;
begin
  with unseen as (
    select s.user_id, s.id from public.sessions s
    where s.ended_at is null and s.seen_at < p_unseen_since
    for no key update skip locked  -- who is locked is being touched
  ), ended as (
    update public.sessions s set ended_at = now(), end_reason = p_reason
    from unseen u where s.user_id = u.user_id and s.id = u.id
    returning s.user_id, s.id
  )
  select jsonb_agg(jsonb_build_object('user_id', e.user_id, 'id', e.id)) into v_ended from ended e;

  return (
    select coalesce(jsonb_agg(s.document order by s.started_at desc, s.id), '[]')
    from rapport.session_documents s
    join jsonb_to_recordset(coalesce(v_ended, '[]')) as e (user_id uuid, id uuid)
      on e.user_id = s.user_id and e.id = s.id
  );
end $$;

-- Become, or stay, the one holder of a name for so long; false while somebody else is.
create or replace function public.take_lease(p_name text, p_holder text, p_seconds double precision)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
declare
  -- not now(), the start of the transaction: it may have waited for the row
  v_until timestamptz := clock_timestamp() + make_interval(secs => p_seconds);
begin
  insert into public.leases as l (name, holder, until) values (p_name, p_holder, v_until)
  on conflict (name) do update set holder = excluded.holder, until = excluded.until
    where l.holder = excluded.holder or l.until <= clock_timestamp();
  return found;
end $$;

-- Delete turns older than that and what has expired: how many rows went, by table.
create or replace function public.purge(p_turns_before timestamptz)
returns jsonb language plpgsql volatile security invoker set search_path = '' set statement_timeout = '10min'
as $$
declare
  v_history bigint;
  v_memories bigint;
  v_messages bigint;
begin
  delete from public.memory_history where expires_at <= now();
  get diagnostics v_history = row_count;
  delete from public.memories where expires_at <= now();
  get diagnostics v_memories = row_count;
  delete from public.messages where said_at < p_turns_before;
  get diagnostics v_messages = row_count;
  return jsonb_build_object('memory_history', v_history, 'memories', v_memories, 'messages', v_messages);
end $$;

-- What is in effect here, for the doctor: never a row.
create or replace function public.describe_schema()
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_ours constant text[] := array[
    'ensure_profile', 'complete_first_login', 'remember', 'retrieve', 'list_memories', 'list_past', 'forget',
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

  -- there is no ledger where psql applied the files
  if to_regclass('supabase_migrations.schema_migrations') is not null
     and has_column_privilege('supabase_migrations.schema_migrations', 'version', 'select') then
    execute 'select jsonb_agg(version order by version) from supabase_migrations.schema_migrations' into v_versions;
  end if;

  return jsonb_build_object(
    'now', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'server_version', current_setting('server_version_num')::integer,
    'versions', v_versions,
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

revoke all on function
  public.list_sessions(boolean, integer), public.end_abandoned(timestamptz, text),
  public.take_lease(text, text, double precision), public.purge(timestamptz), public.describe_schema()
  from public, anon, authenticated, voice_agent, service_role;
grant execute on function
  public.list_sessions(boolean, integer), public.end_abandoned(timestamptz, text),
  public.take_lease(text, text, double precision), public.purge(timestamptz), public.describe_schema()
  to service_role;

notify pgrst, 'reload schema';
