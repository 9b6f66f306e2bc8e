-- Undoes 20261128120000_person_version.sql. Loses nothing; forget and purge go on holding the person first, and
-- the counters stay where they are, since profiles do: a number that was told does not come again.
set local lock_timeout = '5s';

drop function if exists public.memories_since(uuid, bigint);
do $$
begin
  if to_regclass('public.memories') is not null then
    drop trigger if exists memory_versioned on public.memories;
    drop trigger if exists memory_versioned_again on public.memories;
    drop trigger if exists memory_counted on public.memories;
    drop trigger if exists memory_counted_again on public.memories;
    drop trigger if exists memory_gone on public.memories;
    alter table public.memories drop column if exists version;
  end if;
  if exists (
    select from pg_catalog.pg_attribute where attrelid = to_regclass('public.profiles') and attname = 'memory_version'
  ) then
    revoke update (memory_version) on public.profiles from authenticated, voice_agent;
  end if;
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261128120000';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261128120000';
  end if;
end $$;
drop function if exists rapport.memory_versioned(), rapport.memory_counted(), rapport.memory_gone();

notify pgrst, 'reload schema';
