-- Undoes 20261129100000_mentions.sql. Loses nothing; purge goes on taking summaries, and what was forgotten stays so.
set local lock_timeout = '5s';

drop function if exists public.mentions(uuid, jsonb, integer, integer), public.redact(uuid, jsonb, jsonb, jsonb);
drop function if exists rapport.folded(text);
do $$
begin
  if to_regclass('public.memory_history') is not null then
    revoke update (value) on public.memory_history from authenticated, voice_agent;
  end if;
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261129100000';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261129100000';
  end if;
end $$;

notify pgrst, 'reload schema';
