-- Undoes 20261121100200_conversations.sql. DROPS ALL CONVERSATIONS.
-- Refuses while there are any, unless you say so before, in the same transaction: set local rapport.drop_data = 'yes';
set local lock_timeout = '5s';

do $$
begin
  if current_setting('rapport.drop_data', true) is distinct from 'yes'
     and to_regclass('public.conversations') is not null and exists (select from public.conversations) then
    raise exception '% rows of public.conversations would be lost', (select count(*) from public.conversations)
      using hint = 'Keep a copy (python -m memory export), then: set local rapport.drop_data = ''yes''';
  end if;
end $$;

drop function if exists
  public.start_session(uuid, text, text, text, text, double precision, integer),
  public.append_turns(uuid, uuid, jsonb), public.touch_session(uuid, uuid),
  public.end_session(uuid, uuid, text, text), public.summarise(uuid, uuid, text),
  rapport.hold_conversation_of(uuid, uuid);
drop view if exists rapport.turn_documents, rapport.session_documents;
drop table if exists public.messages, public.sessions, public.conversations;

do $$
begin
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261121100200';
  end if;
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261121100200';
  end if;
end $$;

notify pgrst, 'reload schema';
