-- Raises unless 20261121100600_grants.sql is in effect. Reads the catalog alone, changes nothing.
do $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'rapport'::regnamespace and has_function_privilege('anon', p.oid, 'execute')
  loop
    raise exception 'anon may call %', v_function;
  end loop;
  for v_function in
    select p.oid from pg_catalog.pg_proc p
    where p.pronamespace = 'public'::regnamespace and has_function_privilege('anon', p.oid, 'execute')
      and p.proname in (
        'ensure_profile', 'complete_first_login', 'remember', 'retrieve', 'list_memories', 'list_past', 'forget',
        'start_session', 'append_turns', 'touch_session', 'end_session', 'summarise', 'export_user', 'import_user',
        'erase_user', 'list_sessions', 'end_abandoned', 'take_lease', 'purge', 'describe_schema')
  loop
    raise exception 'anon may call %', v_function;
  end loop;
  if to_regclass('supabase_migrations.schema_migrations') is not null
     and not has_column_privilege('service_role', 'supabase_migrations.schema_migrations', 'version', 'select') then
    raise exception 'service_role may not read which migrations were applied';
  end if;
end $$;
