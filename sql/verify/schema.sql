-- Raises unless every migration in this folder's parent is in effect. Reads the catalog alone, changes nothing.
do $$
declare
  v_wanted record;
  v_table regclass;
  v_function regprocedure;
begin
  if to_regrole('voice_agent') is null or to_regrole('service_role') is null or to_regrole('authenticated') is null
     or to_regrole('anon') is null then
    raise exception 'a role is missing: voice_agent, service_role, authenticated or anon';
  end if;
  if (select rolsuper or rolbypassrls or rolcanlogin from pg_catalog.pg_roles where rolname = 'voice_agent') then
    raise exception 'voice_agent may do more than it should: superuser, bypass row-level security, or log in';
  end if;
  if not (select rolbypassrls from pg_catalog.pg_roles where rolname = 'service_role') then
    raise exception 'service_role does not bypass row-level security';
  end if;
  if to_regrole('authenticator') is not null and not pg_has_role('authenticator', 'voice_agent', 'member') then
    raise exception 'PostgREST''s role, authenticator, may not become voice_agent';
  end if;
  if not has_schema_privilege('voice_agent', 'public', 'usage') or not has_schema_privilege('voice_agent', 'rapport', 'usage')
  then
    raise exception 'voice_agent may not use the schema public or the schema rapport';
  end if;
  if has_schema_privilege('anon', 'rapport', 'usage') then
    raise exception 'anon may use the schema rapport';
  end if;
  if to_regprocedure('auth.uid()') is null then
    raise exception 'auth.uid() is missing';
  end if;

  -- (of a table that was there before, more columns are nobody's business)
  for v_wanted in
    select relation, unnest(string_to_array(columns, ', ')) as told from (values
      ('public.profiles', 'id uuid not null, email text, is_first_login boolean not null, created_at timestamptz not null, '
        'memory_version bigint not null'),
      ('public.conversations', 'user_id uuid not null, id uuid not null, thread text not null, summary text, '
        'last_seq integer not null, created_at timestamptz not null, active_at timestamptz not null'),
      ('public.sessions', 'user_id uuid not null, id uuid not null, conversation_id uuid not null, room text not null, '
        'jobs text[] not null, started_at timestamptz not null, seen_at timestamptz not null, ended_at timestamptz, '
        'end_reason text'),
      ('public.messages', 'user_id uuid not null, conversation_id uuid not null, id text not null, seq integer not null, '
        'role text not null, text text not null, said_at timestamptz not null, interrupted boolean not null'),
      ('public.memories', 'user_id uuid not null, category text not null, key text not null, value text not null, '
        'said_at timestamptz not null, source text, conversation_id uuid, expires_at timestamptz, vector bytea, '
        'vector_model text, version bigint not null, curated boolean not null'),
      ('public.memory_history', 'user_id uuid not null, seq integer not null, category text not null, '
        'key text not null, value text not null, said_at timestamptz not null, source text, conversation_id uuid, '
        'expires_at timestamptz, until timestamptz not null'),
      ('public.leases', 'name text not null, holder text not null, until timestamptz not null'),
      ('public.connections', 'id uuid not null, user_id uuid not null, app text not null, status text not null, '
        'scopes text, connected_at timestamptz not null, used_at timestamptz not null'),
      ('public.connection_secrets', 'connection_id uuid not null, user_id uuid not null, sealed bytea not null, '
        'version integer not null, refreshing_until timestamptz, ends_at timestamptz'),
      ('public.connection_links', 'token_hash text not null, user_id uuid not null, who text not null, '
        'app text not null, created_at timestamptz not null, expires_at timestamptz not null, started_at timestamptz, '
        'state_hash text, browser_hash text, answered_at timestamptz, signed_in_at timestamptz, ended_at timestamptz, '
        'sealed bytea, tries integer not null'),
      ('public.oauth_clients', 'issuer text not null, sealed bytea not null'),
      ('public.revocations', 'id uuid not null, row_name text not null, sealed bytea not null, tries integer not null, '
        'queued_at timestamptz not null, next_at timestamptz not null')
    ) as wanted (relation, columns)
  loop
    if not exists (
      select from pg_catalog.pg_attribute a
      where a.attrelid = to_regclass(v_wanted.relation) and not a.attisdropped and v_wanted.told = concat(
        a.attname, ' ', replace(format_type(a.atttypid, null), 'timestamp with time zone', 'timestamptz'),
        case when a.attnotnull then ' not null' end
      )
    ) then
      raise exception 'a column is missing or of another kind: % of %', v_wanted.told, v_wanted.relation;
    end if;
  end loop;

  -- people reach their own rows of each table, and nothing of what is the service's or the worker's
  for v_wanted in select * from (values
    ('public.profiles', true), ('public.conversations', true), ('public.sessions', true), ('public.messages', true),
    ('public.memories', true), ('public.memory_history', true), ('public.leases', false),
    ('public.connections', true), ('public.connection_secrets', false), ('public.connection_links', false),
    ('public.oauth_clients', false), ('public.revocations', false)
  ) as wanted (relation, peoples) loop
    v_table := v_wanted.relation::regclass;
    if not (select relrowsecurity from pg_catalog.pg_class where oid = v_table) then
      raise exception 'row-level security is off on %', v_table;
    end if;
    if v_wanted.peoples and not exists (
      select from pg_catalog.pg_policy where polrelid = v_table and polpermissive
        and 'voice_agent'::regrole = any (polroles) and 'authenticated'::regrole = any (polroles)
    ) then
      raise exception 'no policy lets people have their own rows of %', v_table;
    end if;
    if has_any_column_privilege('anon', v_table, 'select, insert, update, references')
       or has_table_privilege('anon', v_table, 'delete, truncate, trigger') then
      raise exception 'anon may use %', v_table;
    end if;
    if not has_table_privilege('service_role', v_table, 'select')
       or not has_table_privilege('service_role', v_table, 'insert')
       or not has_table_privilege('service_role', v_table, 'update')
       or not has_table_privilege('service_role', v_table, 'delete') then
      raise exception 'service_role may not use %', v_table;
    end if;
    if has_table_privilege('voice_agent', v_table, 'select') <> v_wanted.peoples then
      raise exception 'voice_agent may read what is no person''s, or not read what is theirs: %', v_table;
    end if;
  end loop;

  for v_wanted in select * from (values
    ('public.ensure_profile(uuid, text)', true), ('public.complete_first_login(uuid)', true),
    ('rapport.hold_profile(uuid, text)', true),
    ('public.start_session(uuid, text, text, text, text, double precision, integer)', true),
    ('public.append_turns(uuid, uuid, jsonb)', true), ('public.touch_session(uuid, uuid)', true),
    ('public.end_session(uuid, uuid, text, text)', true), ('public.summarise(uuid, uuid, text)', true),
    ('rapport.hold_conversation_of(uuid, uuid)', true),
    ('public.remember(uuid, jsonb)', true), ('public.retrieve(uuid, text, text)', true),
    ('public.list_memories(uuid)', true), ('public.list_past(uuid)', true), ('public.forget(uuid, text, text)', true),
    ('public.memory_vectors(uuid, text)', true), ('public.put_vectors(uuid, text, jsonb)', true),
    ('public.memories_since(uuid, bigint)', true),
    ('public.mentions(uuid, jsonb, integer, integer)', true), ('public.redact(uuid, jsonb, jsonb, jsonb)', true),
    ('rapport.folded(text)', true),
    ('public.uncurated(uuid, integer)', true), ('public.curate(uuid, jsonb, jsonb, jsonb)', true),
    ('public.export_user(uuid)', true), ('public.import_user(uuid, jsonb)', true), ('public.erase_user(uuid)', true),
    ('public.list_sessions(boolean, integer)', false), ('public.end_abandoned(timestamptz, text)', false),
    ('public.take_lease(text, text, double precision)', false), ('public.purge(timestamptz)', false),
    ('public.describe_schema()', false),
    ('public.put_link(text, uuid, text, text, timestamptz, integer)', false),
    ('public.start_link(text, text, text, bytea)', false), ('public.answer_link(text)', false),
    ('public.sign_in_link(text, bytea, double precision)', false), ('public.try_digits(text)', false),
    ('public.end_link(text)', false), ('public.connect_app(text, uuid, text, bytea, timestamptz)', false),
    ('public.disconnect_app(text, text)', false), ('public.take_refresh(uuid, integer, double precision)', false),
    ('public.put_refresh(uuid, integer, bytea, timestamptz)', false), ('public.take_revocations(integer)', false),
    ('public.sweep_connections(double precision)', false)
  ) as wanted (signature, peoples) loop
    v_function := v_wanted.signature::regprocedure;
    if (select p.prosecdef or not coalesce(p.proconfig, '{}') && array['search_path=', 'search_path=""']
        from pg_catalog.pg_proc p where p.oid = v_function) then
      raise exception '% runs with other rights than its caller''s, or with the caller''s search_path', v_function;
    end if;
    if not has_function_privilege('service_role', v_function, 'execute') then
      raise exception 'service_role may not call %', v_function;
    end if;
    if has_function_privilege('voice_agent', v_function, 'execute') <> v_wanted.peoples then
      raise exception 'voice_agent may call what is the worker''s, or not call %', v_function;
    end if;
    if has_function_privilege('anon', v_function, 'execute') then
      raise exception 'anon may call %', v_function;
    end if;
  end loop;
  for v_function in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'rapport'::regnamespace and has_function_privilege('anon', p.oid, 'execute')
  loop
    raise exception 'anon may call %', v_function;
  end loop;

  if exists (
    select from pg_catalog.pg_constraint where conrelid = 'public.profiles'::regclass and contype = 'f'
    and conkey = array[(select attnum from pg_catalog.pg_attribute where attrelid = 'public.profiles'::regclass and attname = 'id')]
  ) then
    raise exception 'the id of public.profiles has a foreign key: people of a voice agent are nobody in auth.users';
  end if;
  if not exists (
    select from pg_catalog.pg_policy where polrelid = 'public.profiles'::regclass and not polpermissive and polcmd = '*'
      and 'voice_agent'::regrole = any (polroles) and 'authenticated'::regrole = any (polroles)
  ) then
    raise exception 'no policy bounds what the other policies of public.profiles allow';
  end if;
  if exists (
    select from pg_catalog.pg_constraint k
    join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attname = 'user_id'
    where k.contype = 'f' and not (a.attnum = any (k.conkey))
      and k.conrelid in ('public.conversations'::regclass, 'public.sessions'::regclass, 'public.messages'::regclass)
  ) then
    raise exception 'a foreign key does not carry the person: rows could hang under another''s';
  end if;
  if not exists (
    select from pg_catalog.pg_index where indrelid = 'public.sessions'::regclass and indisunique and indpred is not null
  ) then
    raise exception 'two sessions of one conversation could live at once';
  end if;
  if (select count(*) from pg_catalog.pg_trigger
      where tgrelid = 'public.memories'::regclass and tgname in ('memory_replaced', 'memory_late')
        and tgenabled in ('O', 'A')) <> 2
  then
    raise exception 'the past is not written down: the trigger memory_replaced or memory_late is missing or off';
  end if;
  if not exists (
    select from pg_catalog.pg_trigger
    where tgrelid = 'public.memories'::regclass and tgname = 'memory_reworded' and tgenabled in ('O', 'A')
  ) then
    raise exception 'a vector would stay when its text changes: the trigger memory_reworded is missing or off';
  end if;
  if (select count(*) from pg_catalog.pg_trigger
      where tgrelid = 'public.memories'::regclass and tgenabled in ('O', 'A') and tgname in (
        'memory_versioned', 'memory_versioned_again', 'memory_counted', 'memory_counted_again', 'memory_gone')) <> 5
     or not has_column_privilege('voice_agent', 'public.profiles', 'memory_version', 'update') then
    raise exception 'changes are not numbered: other devices would not hear of them';
  end if;
  if not has_column_privilege('voice_agent', 'public.memories', 'vector', 'update')
     or not has_column_privilege('voice_agent', 'public.memories', 'vector_model', 'update') then
    raise exception 'nobody can keep the vectors of what they said';
  end if;
  if not exists (
    select from pg_catalog.pg_trigger
    where tgrelid = 'public.memories'::regclass and tgname = 'memory_uncurated' and tgenabled in ('O', 'A')
  ) or not has_column_privilege('voice_agent', 'public.memories', 'curated', 'update') then
    raise exception 'a new value would not be news to a curator, or nothing would be: trigger memory_uncurated, column curated';
  end if;
  if not has_column_privilege('voice_agent', 'public.memory_history', 'until', 'update') then
    raise exception 'a late write cannot say until when what came before it held';
  end if;
  if not has_column_privilege('voice_agent', 'public.memory_history', 'value', 'update') then
    raise exception 'what is forgotten could not be taken out of the past';
  end if;
  if (select count(*) from pg_catalog.pg_trigger
      where tgname in ('connection_secret_goes', 'connection_link_goes') and tgenabled in ('O', 'A')
        and tgrelid in ('public.connection_secrets'::regclass, 'public.connection_links'::regclass)) <> 2 then
    raise exception 'what apps granted would not be given back: a trigger connection_secret_goes or connection_link_goes is missing or off';
  end if;
  if (select count(*) from pg_catalog.pg_constraint
      where contype = 'f' and confdeltype = 'c' and confrelid = 'public.profiles'::regclass
        and conrelid in ('public.connections'::regclass, 'public.connection_links'::regclass)) <> 2 then
    raise exception 'who is erased would keep their apps: a foreign key to public.profiles is missing';
  end if;
  if (select count(*) from pg_catalog.pg_constraint
      where conname in ('memories_conversation_fkey', 'memory_history_conversation_fkey')
        and connamespace = 'public'::regnamespace) <> 2 then
    raise exception 'memories may name conversations that are another person''s';
  end if;
  if to_regclass('supabase_migrations.schema_migrations') is not null
     and not has_column_privilege('service_role', 'supabase_migrations.schema_migrations', 'version', 'select') then
    raise exception 'service_role may not read which migrations were applied';
  end if;
  if to_regclass('rapport.migrations') is null or not has_table_privilege('service_role', 'rapport.migrations', 'select')
     or has_table_privilege('voice_agent', 'rapport.migrations', 'select') then
    raise exception 'the ledger rapport.migrations is missing, or service_role alone should read it';
  end if;
end $$;
