-- Undoes 20261121100500_operations.sql. Nobody's data are lost: leases are of the running workers.
set local lock_timeout = '5s';

drop function if exists
  public.list_sessions(boolean, integer), public.end_abandoned(timestamptz, text),
  public.take_lease(text, text, double precision), public.purge(timestamptz), public.describe_schema();
drop table if exists public.leases;

do $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261121100500';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261121100500';
  end if;
end $$;

notify pgrst, 'reload schema';
