-- Undoes 20261128100000_late_writes.sql. Loses nothing.
set local lock_timeout = '5s';

do $$
begin
  if to_regclass('public.memories') is not null then
    drop trigger if exists memory_late on public.memories;
    revoke update (until) on public.memory_history from authenticated, voice_agent;
  end if;
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261128100000';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261128100000';
  end if;
end $$;
drop function if exists rapport.memory_late();

notify pgrst, 'reload schema';
