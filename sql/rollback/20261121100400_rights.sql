-- Undoes 20261121100400_rights.sql. No row is touched.
set local lock_timeout = '5s';

drop function if exists public.export_user(uuid), public.import_user(uuid, jsonb), public.erase_user(uuid);

do $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261121100400';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261121100400';
  end if;
end $$;

notify pgrst, 'reload schema';
