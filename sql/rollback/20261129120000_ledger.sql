-- Undoes 20261129120000_ledger.sql, as far as anything is left to undo: the ledger stays for the files before it, and
-- describe_schema goes on reading it.
set local lock_timeout = '5s';

do $$
begin
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261129120000';
  end if;
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261129120000';
  end if;
end $$;

notify pgrst, 'reload schema';
