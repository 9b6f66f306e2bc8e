-- Undoes 20261201100000_apps.sql. DROPS WHAT APPS GRANTED, and gives none of it back to them.
-- Refuses while there is any, unless you say so before, in the same transaction: set local rapport.drop_data = 'yes';
set local lock_timeout = '5s';

do $$
begin
  if current_setting('rapport.drop_data', true) is distinct from 'yes'
     and to_regclass('public.connection_secrets') is not null and exists (select from public.connection_secrets) then
    raise exception '% connections to apps would be lost', (select count(*) from public.connection_secrets)
      using hint = 'Let people disconnect, or: set local rapport.drop_data = ''yes''';
  end if;
end $$;

-- As it was before. Everything that is kept of the person; each list in an order that is always the same.
create or replace function public.export_user(p_user_id uuid)
returns jsonb language sql stable security invoker set search_path = ''
as $$
  select jsonb_build_object(
    'profile', (select p.document from rapport.profile_documents p where p.user_id = p_user_id),
    'memories', (
      select coalesce(jsonb_agg(m.document order by m.said_at, m.category, m.key), '[]')
      from rapport.memory_documents m where m.user_id = p_user_id),
    'past', (
      select coalesce(jsonb_agg(h.document order by h.seq), '[]')
      from rapport.past_documents h where h.user_id = p_user_id),
    'conversations', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', c.id,
        'thread', c.thread,
        'summary', c.summary,
        'created_at', to_char(c.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
        'active_at', to_char(c.active_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
      ) order by c.created_at, c.id), '[]')
      from public.conversations c where c.user_id = p_user_id),
    'sessions', (
      select coalesce(jsonb_agg(
        s.document - array['user_id', 'thread'] || jsonb_build_object('conversation_id', s.conversation_id)
        order by s.started_at, s.id), '[]')
      from rapport.session_documents s where s.user_id = p_user_id),
    'turns', (
      select coalesce(jsonb_agg(
        t.document || jsonb_build_object('conversation_id', t.conversation_id)
        order by t.said_at, c.created_at, c.id, t.seq), '[]')
      from rapport.turn_documents t
      join public.conversations c on c.user_id = t.user_id and c.id = t.conversation_id
      where t.user_id = p_user_id)
  )
$$;

drop function if exists
  public.put_link(text, uuid, text, text, timestamptz, integer), public.start_link(text, text, text, bytea),
  public.answer_link(text), public.sign_in_link(text, bytea, double precision), public.try_digits(text),
  public.end_link(text), public.connect_app(text, uuid, text, bytea, timestamptz), public.disconnect_app(text, text),
  public.take_refresh(uuid, integer, double precision), public.put_refresh(uuid, integer, bytea, timestamptz),
  public.take_revocations(integer), public.sweep_connections(double precision);
drop table if exists
  public.connection_secrets, public.connections, public.connection_links, public.oauth_clients, public.revocations;
drop function if exists rapport.give_back();
do $$
begin
  if to_regclass('rapport.migrations') is not null then
    delete from rapport.migrations where version = '20261201100000';
  end if;
  if to_regclass('supabase_migrations.schema_migrations') is not null then
    delete from supabase_migrations.schema_migrations where version = '20261201100000';
  end if;
end $$;

notify pgrst, 'reload schema';
