-- Undoes 20261129110000_curation.sql. Loses nothing but what a curator has seen, which is then seen anew; describe_schema
-- goes on, with names in its list that nothing has.
set local lock_timeout = '5s';

drop function if exists public.uncurated(uuid, integer), public.curate(uuid, jsonb, jsonb, jsonb);
do $$
begin
  if to_regclass('public.memories') is not null then
    drop trigger if exists memory_uncurated on public.memories;
    alter table public.memories drop column if exists curated;
  end if;
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261129110000';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261129110000';
  end if;
end $$;
drop function if exists rapport.memory_uncurated();

notify pgrst, 'reload schema';
