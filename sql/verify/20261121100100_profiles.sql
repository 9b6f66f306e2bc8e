-- Raises unless 20261121100100_profiles.sql is in effect. Reads the catalog alone, changes nothing.
do $$
declare
  v_table regclass;
  v_function regprocedure;
begin
  -- (of a table that was there before, more columns are nobody's business)
  perform from (values
    ('public.profiles', 'id', 'uuid', true),
    ('public.profiles', 'email', 'text', false),
    ('public.profiles', 'is_first_login', 'boolean', true),
    ('public.profiles', 'created_at', 'timestamp with time zone', true)
  ) as wanted (relation, name, type, needed)
  where not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = to_regclass(wanted.relation) and a.attname = wanted.name and not a.attisdropped
      and format_type(a.atttypid, null) = wanted.type and a.attnotnull = wanted.needed);
  if found then
    raise exception 'a column is missing or of another kind in: %', 'public.profiles';
  end if;

  foreach v_table in array array[
    'public.profiles'
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
    'public.ensure_profile(uuid, text)',
    'public.complete_first_login(uuid)',
    'rapport.hold_profile(uuid, text)'
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
end $$;
