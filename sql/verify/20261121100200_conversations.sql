-- Raises unless 20261121100200_conversations.sql is in effect. Reads the catalog alone, changes nothing.
do $$
declare
  v_table regclass;
  v_function regprocedure;
begin
  perform from (values
    ('public.conversations', 'user_id', 'uuid', true),
    ('public.conversations', 'id', 'uuid', true),
    ('public.conversations', 'thread', 'text', true),
    ('public.conversations', 'summary', 'text', false),
    ('public.conversations', 'last_seq', 'integer', true),
    ('public.conversations', 'created_at', 'timestamp with time zone', true),
    ('public.conversations', 'active_at', 'timestamp with time zone', true),
    ('public.sessions', 'user_id', 'uuid', true),
    ('public.sessions', 'id', 'uuid', true),
    ('public.sessions', 'conversation_id', 'uuid', true),
    ('public.sessions', 'room', 'text', true),
    ('public.sessions', 'jobs', 'text[]', true),
    ('public.sessions', 'started_at', 'timestamp with time zone', true),
    ('public.sessions', 'seen_at', 'timestamp with time zone', true),
    ('public.sessions', 'ended_at', 'timestamp with time zone', false),
    ('public.sessions', 'end_reason', 'text', false),
    ('public.messages', 'user_id', 'uuid', true),
    ('public.messages', 'conversation_id', 'uuid', true),
    ('public.messages', 'id', 'text', true),
    ('public.messages', 'seq', 'integer', true),
    ('public.messages', 'role', 'text', true),
    ('public.messages', 'text', 'text', true),
    ('public.messages', 'said_at', 'timestamp with time zone', true),
    ('public.messages', 'interrupted', 'boolean', true)
  ) as wanted (relation, name, type, needed)
  where not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = to_regclass(wanted.relation) and a.attname = wanted.name and not a.attisdropped
      and format_type(a.atttypid, null) = wanted.type and a.attnotnull = wanted.needed);
  if found then
    raise exception 'a column is missing or of another kind in: %', 'public.conversations, public.sessions, public.messages';
  end if;

  foreach v_table in array array[
    'public.conversations',
    'public.sessions',
    'public.messages'
  ]::regclass[] loop
    if not (select relrowsecurity from pg_catalog.pg_class where oid = v_table) then
      raise exception 'row-level security is off on %', v_table;
    end if;
    if not exists (
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
    if not has_table_privilege('voice_agent', v_table, 'select') then
      raise exception 'voice_agent may not read %', v_table;
    end if;
  end loop;

  foreach v_function in array array[
    'public.start_session(uuid, text, text, text, text, double precision, integer)',
    'public.append_turns(uuid, uuid, jsonb)',
    'public.touch_session(uuid, uuid)',
    'public.end_session(uuid, uuid, text, text)',
    'public.summarise(uuid, uuid, text)',
    'rapport.hold_conversation_of(uuid, uuid)'
  ]::regprocedure[] loop
    if (select p.prosecdef or not coalesce(p.proconfig, '{}') && array['search_path=', 'search_path=""']
        from pg_catalog.pg_proc p where p.oid = v_function) then
      raise exception '% runs with other rights than its caller''s, or with the caller''s search_path', v_function;
    end if;
    if has_function_privilege('anon', v_function, 'execute') then
      raise exception 'anon may call %', v_function;
    end if;
    if not has_function_privilege('service_role', v_function, 'execute') then
      raise exception 'service_role may not call %', v_function;
    end if;
    if not has_function_privilege('voice_agent', v_function, 'execute') then
      raise exception 'voice_agent may not call %', v_function;
    end if;
  end loop;

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
end $$;
