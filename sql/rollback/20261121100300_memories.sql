-- Undoes 20261121100300_memories.sql. DROPS ALL MEMORIES.
-- Refuses while there are any, unless you say so before, in the same transaction: set local rapport.drop_data = 'yes';
set local lock_timeout = '5s';

do $$
begin
  if current_setting('rapport.drop_data', true) is distinct from 'yes'
     and to_regclass('public.memories') is not null and exists (select from public.memories) then
    raise exception '% rows of public.memories would be lost', (select count(*) from public.memories)
      using hint = 'Keep a copy (python -m memory export), then: set local rapport.drop_data = ''yes''';
  end if;
end $$;

drop function if exists
  public.remember(uuid, jsonb), public.retrieve(uuid, text, text), public.list_memories(uuid),
  public.list_past(uuid), public.forget(uuid, text, text);
drop view if exists rapport.memory_documents, rapport.past_documents;
drop table if exists public.memory_history, public.memories;
drop function if exists rapport.memory_replaced();

do $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261121100300';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261121100300';
  end if;
end $$;

notify pgrst, 'reload schema';
