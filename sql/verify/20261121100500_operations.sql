-- Raises unless 20261121100500_operations.sql is in effect. Reads the catalog alone, changes nothing.
do $$
declare
  v_table regclass;
  v_function regprocedure;
begin
  perform from (values
    ('public.leases', 'name', 'text', true),
    ('public.leases', 'holder', 'text', true),
    ('public.leases', 'until', 'timestamp with time zone', true)
  ) as wanted (relation, name, type, needed)
  where not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = to_regclass(wanted.relation) and a.attname = wanted.name and not a.attisdropped
      and format_type(a.atttypid, null) = wanted.type and a.attnotnull = wanted.needed);
  if found then
    raise exception 'a column is missing or of another kind in: %', 'public.leases';
  end if;

  foreach v_table in array array[
    'public.leases'
  ]::regclass[] loop
    if not (select relrowsecurity from pg_catalog.pg_class where oid = v_table) then
      raise exception 'row-level security is off on %', v_table;
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
    if has_table_privilege('voice_agent', v_table, 'select') then
      raise exception 'voice_agent may read %', v_table;
    end if;
  end loop;

  foreach v_function in array array[
    'public.list_sessions(boolean, integer)',
    'public.end_abandoned(timestamptz, text)',
    'public.take_lease(text, text, double precision)',
    'public.purge(timestamptz)',
    'public.describe_schema()'
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
    if has_function_privilege('voice_agent', v_function, 'execute') then
      raise exception 'voice_agent may call %', v_function;
    end if;
  end loop;
end $$;
