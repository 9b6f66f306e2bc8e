-- Raises unless 20261121100300_memories.sql is in effect. Reads the catalog alone, changes nothing.
do $$
declare
  v_table regclass;
  v_function regprocedure;
begin
  perform from (values
    ('public.memories', 'user_id', 'uuid', true),
    ('public.memories', 'category', 'text', true),
    ('public.memories', 'key', 'text', true),
    ('public.memories', 'value', 'text', true),
    ('public.memories', 'said_at', 'timestamp with time zone', true),
    ('public.memories', 'source', 'text', false),
    ('public.memories', 'conversation_id', 'uuid', false),
    ('public.memories', 'expires_at', 'timestamp with time zone', false),
    ('public.memory_history', 'user_id', 'uuid', true),
    ('public.memory_history', 'seq', 'integer', true),
    ('public.memory_history', 'category', 'text', true),
    ('public.memory_history', 'key', 'text', true),
    ('public.memory_history', 'value', 'text', true),
    ('public.memory_history', 'said_at', 'timestamp with time zone', true),
    ('public.memory_history', 'source', 'text', false),
    ('public.memory_history', 'conversation_id', 'uuid', false),
    ('public.memory_history', 'expires_at', 'timestamp with time zone', false),
    ('public.memory_history', 'until', 'timestamp with time zone', true)
  ) as wanted (relation, name, type, needed)
  where not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = to_regclass(wanted.relation) and a.attname = wanted.name and not a.attisdropped
      and format_type(a.atttypid, null) = wanted.type and a.attnotnull = wanted.needed);
  if found then
    raise exception 'a column is missing or of another kind in: %', 'public.memories, public.memory_history';
  end if;

  foreach v_table in array array[
    'public.memories',
    'public.memory_history'
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
    'public.remember(uuid, jsonb)',
    'public.retrieve(uuid, text, text)',
    'public.list_memories(uuid)',
    'public.list_past(uuid)',
    'public.forget(uuid, text, text)'
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

  if not exists (
    select from pg_catalog.pg_trigger
    where tgrelid = 'public.memories'::regclass and tgname = 'memory_replaced' and tgenabled in ('O', 'A')
  ) then
    raise exception 'what a memory replaces is not written down: the trigger memory_replaced is missing or off';
  end if;
  if (select count(*) from pg_catalog.pg_constraint
      where conname in ('memories_conversation_fkey', 'memory_history_conversation_fkey')) <> 2 then
    raise exception 'memories may name conversations that are another person''s';
  end if;
end $$;
