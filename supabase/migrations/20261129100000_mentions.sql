-- What somebody wants forgotten goes from every text that told it: where it is mentioned, and how all of it is made to say
-- less at once. Retention reaches summaries too.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- who may write a line of the past may also take words out of it
grant update (value) on public.memory_history to authenticated, voice_agent;

-- A text as it is searched: in lower case and without accents, whatever language the database sorts by.
create or replace function rapport.folded(p_text text)
returns text language sql immutable security invoker set search_path = ''
as $$
  select lower(regexp_replace(normalize(p_text, NFKD), '[\u0300-\u036f]', '', 'g'))
$$;

-- The person's summaries and then their turns, oldest first, in which one of these words is found.
create or replace function public.mentions(p_user_id uuid, p_words jsonb, p_skip integer, p_limit integer)
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_words constant text[] := array(select jsonb_array_elements_text(p_words));
begin
  return (
    select coalesce(jsonb_agg(
      jsonb_build_object('conversation_id', l.conversation_id, 'turn', l.turn, 'text', l.text) order by l.place), '[]')
    from (
      select t.*, row_number() over (order by t.turn is not null, t.said_at, t.seq, t.conversation_id) as place
      from (
        select c.id as conversation_id, null as turn, c.summary as text, c.created_at as said_at, 0 as seq
        from public.conversations c where c.user_id = p_user_id and c.summary is not null
        union all
        select m.conversation_id, m.id, m.text, m.said_at, m.seq
        from public.messages m where m.user_id = p_user_id and m.text <> ''
      ) t
      cross join lateral (select rapport.folded(t.text) as text offset 0) f
      where exists (select from unnest(v_words) w where strpos(f.text, w) > 0)
      order by place offset greatest(p_skip, 0) limit greatest(p_limit, 0)
    ) l
  );
end $$;

-- Make what is kept of the person say less, all of it or nothing: texts of conversations that are still as they were
-- found, memories by what they say, and those that go with their past. How many texts and memories changed.
create or replace function public.redact(p_user_id uuid, p_texts jsonb, p_memories jsonb, p_gone jsonb)
returns integer language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_changed integer := 0;
  v_rows integer;
begin
  -- in the order of everybody else, so that nobody waits for us while we wait for them
  perform from public.profiles where id = p_user_id for no key update;
  perform from public.conversations c
  where c.user_id = p_user_id
    and c.id in (select x.conversation_id from jsonb_to_recordset(p_texts) as x (conversation_id uuid))
  order by c.id for no key update;

  update public.conversations c set summary = nullif(x.words, '')
  from jsonb_to_recordset(p_texts) as x (conversation_id uuid, turn text, text text, words text)
  where c.user_id = p_user_id and c.id = x.conversation_id and x.turn is null and c.summary = x.text;
  get diagnostics v_changed = row_count;
  update public.messages m set text = x.words
  from jsonb_to_recordset(p_texts) as x (conversation_id uuid, turn text, text text, words text)
  where m.user_id = p_user_id and m.conversation_id = x.conversation_id and m.id = x.turn and m.text = x.text;
  get diagnostics v_rows = row_count;
  v_changed := v_changed + v_rows;

  update public.memory_history h set value = x.words
  from jsonb_to_recordset(p_memories) as x (category text, key text, value text, words text)
  where h.user_id = p_user_id and h.category = x.category and h.key = x.key and h.value = x.value and x.words <> '';
  get diagnostics v_rows = row_count;
  v_changed := v_changed + v_rows;
  update public.memories m set value = x.words
  from jsonb_to_recordset(p_memories) as x (category text, key text, value text, words text)
  where m.user_id = p_user_id and m.category = x.category and m.key = x.key and m.value = x.value and x.words <> '';
  get diagnostics v_rows = row_count;
  v_changed := v_changed + v_rows;
  delete from public.memory_history h
  using jsonb_to_recordset(p_memories) as x (category text, key text, value text, words text)
  where h.user_id = p_user_id and h.category = x.category and h.key = x.key and h.value = x.value and x.words = '';
  get diagnostics v_rows = row_count;
  v_changed := v_changed + v_rows;
  delete from public.memories m
  using jsonb_to_recordset(p_memories) as x (category text, key text, value text)
  where m.user_id = p_user_id and m.category = x.category and m.key = x.key and m.value = x.value;
  get diagnostics v_rows = row_count;
  v_changed := v_changed + v_rows;
  -- and what the trigger has just written down
  delete from public.memory_history h
  using jsonb_to_recordset(p_memories) as x (category text, key text, value text)
  where h.user_id = p_user_id and h.category = x.category and h.key = x.key and h.value = x.value;

  delete from public.memories m using jsonb_to_recordset(p_gone) as x (category text, key text)
  where m.user_id = p_user_id and m.category = x.category and m.key = x.key;
  get diagnostics v_rows = row_count;
  delete from public.memory_history h using jsonb_to_recordset(p_gone) as x (category text, key text)
  where h.user_id = p_user_id and h.category = x.category and h.key = x.key;
  return v_changed + v_rows;
end $$;

-- As before, and the summaries of what goes: of conversations that lose a turn, or in which nothing happened since.
create or replace function public.purge(p_turns_before timestamptz)
returns jsonb language plpgsql volatile security invoker set search_path = '' set statement_timeout = '10min'
as $$
declare
  v_history bigint;
  v_memories bigint;
  v_messages bigint;
begin
  perform from public.profiles where id in (select m.user_id from public.memories m where m.expires_at <= now())
  order by id for no key update;
  delete from public.memory_history where expires_at <= now();
  get diagnostics v_history = row_count;
  delete from public.memories where expires_at <= now();
  get diagnostics v_memories = row_count;
  update public.conversations c set summary = null
  where c.summary is not null and (c.active_at < p_turns_before or exists (
    select from public.messages m
    where m.user_id = c.user_id and m.conversation_id = c.id and m.said_at < p_turns_before));
  delete from public.messages where said_at < p_turns_before;
  get diagnostics v_messages = row_count;
  return jsonb_build_object('memory_history', v_history, 'memories', v_memories, 'messages', v_messages);
end $$;

-- What is in effect here, for the doctor: never a row. (As before, with new names in its
-- list, those of the next migration too.)
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
  public.mentions(uuid, jsonb, integer, integer), public.redact(uuid, jsonb, jsonb, jsonb), public.purge(timestamptz),
  public.describe_schema(), rapport.folded(text)
  from public, anon, authenticated, voice_agent, service_role;
grant execute on function
  public.mentions(uuid, jsonb, integer, integer), public.redact(uuid, jsonb, jsonb, jsonb), rapport.folded(text)
  to authenticated, voice_agent, service_role;
grant execute on function public.purge(timestamptz), public.describe_schema() to service_role;

notify pgrst, 'reload schema';
