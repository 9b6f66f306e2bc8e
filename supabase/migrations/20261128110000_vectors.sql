-- What a model makes of the text of a memory is kept with it: a vector, one signed byte for each of its numbers, and the
-- name of its model. The past keeps none, and an export has none: they are made anew from the text.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

alter table public.memories
  add column if not exists vector bytea check (octet_length(vector) between 1 and 4096),
  add column if not exists vector_model text check (length(vector_model) between 1 and 200)
    constraint memories_vector_of_a_model check ((vector is null) = (vector_model is null));
grant update (vector, vector_model) on public.memories to authenticated, voice_agent;

-- A vector says what its text says. (After memory_late, by its name: what came late has changed nothing here.)
create or replace function rapport.memory_reworded()
returns trigger language plpgsql volatile security invoker set search_path = ''
as $$
begin
  new.vector := null;
  new.vector_model := null;
  return new;
end $$;
drop trigger if exists memory_reworded on public.memories;
create trigger memory_reworded before update on public.memories
  for each row when (old.value is distinct from new.value) execute function rapport.memory_reworded();

-- The vectors that this model made of what holds now, as base64.
create or replace function public.memory_vectors(p_user_id uuid, p_model text)
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object(
      'category', m.category,
      'key', m.key,
      'said_at', to_char(m.said_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
      'vector', translate(encode(m.vector, 'base64'), E'\n', '')
    ) order by m.said_at, m.category, m.key), '[]')
    from public.memories m
    where m.user_id = p_user_id and m.vector_model = p_model and (m.expires_at is null or m.expires_at > now())
  );
end $$;

-- Keep vectors that this model made, each of what was said then: one that comes late does not land on newer text. How
-- many were kept. Holds the person, so that two who do it at once do not wait for each other in a circle.
create or replace function public.put_vectors(p_user_id uuid, p_model text, p_vectors jsonb)
returns integer language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_kept integer;
begin
  perform from public.profiles where id = p_user_id for no key update;
  update public.memories m set vector = decode(x.vector, 'base64'), vector_model = p_model
  from jsonb_to_recordset(p_vectors) as x (category text, key text, said_at timestamptz, vector text)
  where m.user_id = p_user_id and m.category = x.category and m.key = x.key and m.said_at = x.said_at;
  get diagnostics v_kept = row_count;
  return v_kept;
end $$;

-- What is in effect here, for the doctor: never a row. (As before, with new names in its list, that of the
-- next migration too.)
create or replace function public.describe_schema()
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_ours constant text[] := array[
    'ensure_profile', 'complete_first_login', 'remember', 'retrieve', 'list_memories', 'list_past', 'forget',
    'memory_vectors', 'put_vectors', 'memories_since',
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
  public.memory_vectors(uuid, text), public.put_vectors(uuid, text, jsonb), rapport.memory_reworded()
  from public, anon, authenticated, voice_agent, service_role;
grant execute on function public.memory_vectors(uuid, text), public.put_vectors(uuid, text, jsonb)
  to authenticated, voice_agent, service_role;

notify pgrst, 'reload schema';
