-- Undoes 20261121100000_roles.sql. Roles are of the whole server, so voice_agent stays; where no other database knows it:
--   drop owned by voice_agent; drop role voice_agent;
set local lock_timeout = '5s';

-- with it goes the ledger that said so
drop table if exists rapport.migrations;
drop schema if exists rapport;

do $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261121100000';
  end if;
end $$;

notify pgrst, 'reload schema';
