-- Undoes 20261121100600_grants.sql: nothing stays open, since each earlier file grants what is its own.
do $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    revoke select (version) on supabase_migrations.schema_migrations from service_role;
    revoke usage on schema supabase_migrations from service_role;
    delete from supabase_migrations.schema_migrations where version = '20261121100600';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261121100600';
  end if;
end $$;

notify pgrst, 'reload schema';
