-- Undoes 20261128110000_vectors.sql. Loses nothing that is not made anew; describe_schema goes on, with names in its list
-- that nothing has.
set local lock_timeout = '5s';

drop function if exists public.memory_vectors(uuid, text), public.put_vectors(uuid, text, jsonb);
do $$
begin
  if to_regclass('public.memories') is not null then
    drop trigger if exists memory_reworded on public.memories;
    alter table public.memories drop column if exists vector, drop column if exists vector_model;
  end if;
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261128110000';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261128110000';
  end if;
end $$;
drop function if exists rapport.memory_reworded();

notify pgrst, 'reload schema';
