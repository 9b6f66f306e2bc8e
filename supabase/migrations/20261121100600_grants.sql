-- Who may call what, once more and for all: a function that is dropped and made again loses its grants and gets the
-- default ones of the project, so a later migration that does so ends with these lines too.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

do $$
declare
  v_function record;
begin
  for v_function in
    select p.oid::regprocedure as signature, f.whose
    from (values
      ('public', 'ensure_profile', 'person'), ('public', 'complete_first_login', 'person'),
      ('public', 'remember', 'person'), ('public', 'retrieve', 'person'), ('public', 'list_memories', 'person'),
      ('public', 'list_past', 'person'), ('public', 'forget', 'person'), ('public', 'start_session', 'person'),
      ('public', 'append_turns', 'person'), ('public', 'touch_session', 'person'),
      ('public', 'end_session', 'person'), ('public', 'summarise', 'person'), ('public', 'export_user', 'person'),
      ('public', 'import_user', 'person'), ('public', 'erase_user', 'person'),
      ('rapport', 'hold_profile', 'person'), ('rapport', 'hold_conversation_of', 'person'),
      ('public', 'list_sessions', 'worker'), ('public', 'end_abandoned', 'worker'),
      ('public', 'take_lease', 'worker'), ('public', 'purge', 'worker'), ('public', 'describe_schema', 'worker'),
      ('rapport', 'memory_replaced', 'nobody')
    ) as f (schema, name, whose)
    join pg_catalog.pg_namespace n on n.nspname = f.schema
    join pg_catalog.pg_proc p on p.pronamespace = n.oid and p.proname = f.name
  loop
    execute format('revoke all on function %s from public, anon, authenticated, voice_agent, service_role',
                   v_function.signature);
    if v_function.whose <> 'nobody' then
      execute format('grant execute on function %s to service_role', v_function.signature);
    end if;
    if v_function.whose = 'person' then
      execute format('grant execute on function %s to authenticated, voice_agent', v_function.signature);
    end if;
  end loop;

  -- the doctor compares the ledger with the files
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    grant usage on schema supabase_migrations to service_role;
    grant select (version) on supabase_migrations.schema_migrations to service_role;
  end if;
end $$;

notify pgrst, 'reload schema';
