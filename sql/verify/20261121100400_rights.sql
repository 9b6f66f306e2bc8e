-- Raises unless 20261121100400_rights.sql is in effect. Reads the catalog alone, changes nothing.
do $$
declare
  v_function regprocedure;
begin
  foreach v_function in array array[
    'public.export_user(uuid)',
    'public.import_user(uuid, jsonb)',
    'public.erase_user(uuid)'
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
end $$;
