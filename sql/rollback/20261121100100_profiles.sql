-- Undoes 20261121100100_profiles.sql, as far as that is safe: the table `profiles` stays with all its rows, because it may
-- have been there before. Its tie to auth.users does not come back: the people of a voice agent are nobody there.
-- A worker that runs finds no functions from here on.
set local lock_timeout = '5s';

drop function if exists
  public.complete_first_login(uuid), rapport.hold_profile(uuid, text), public.ensure_profile(uuid, text);
drop view if exists rapport.profile_documents;
drop policy if exists profiles_own on public.profiles;
drop policy if exists profiles_nobody_elses on public.profiles;
-- row-level security stays on, and anon stays out

do $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261121100100';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261121100100';
  end if;
end $$;

notify pgrst, 'reload schema';
