-- A person's rights: to have everything that is kept of them, to bring it back, to have it deleted.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Everything that is kept of the person; each list in an order that is always the same.
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

-- Put an export back; what stands there already is kept. An error of class 22 or 23, and nothing done, if it is not
-- the export of this person.
create or replace function public.import_user(p_user_id uuid, p_document jsonb)
returns void language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_list text;
  v_seq integer;
begin
  if jsonb_typeof(p_document) is distinct from 'object' then
    raise exception 'import_user: the document is not an object' using errcode = 'invalid_parameter_value';
  end if;
  foreach v_list in array array['memories', 'past', 'conversations', 'sessions', 'turns'] loop
    if jsonb_typeof(p_document -> v_list) is distinct from 'array' then
      raise exception 'import_user: % is not a list', v_list using errcode = 'invalid_parameter_value';
    end if;
    if p_document -> 'profile' = 'null' and p_document -> v_list <> '[]' then
      raise exception 'import_user: % of nobody', v_list using errcode = 'invalid_parameter_value';
    end if;
  end loop;
  if p_document -> 'profile' = 'null' then
    return;
  end if;
  if (p_document #>> '{profile,id}')::uuid is distinct from p_user_id then
    raise exception 'import_user: the document is not of this person' using errcode = 'invalid_parameter_value';
  end if;

  insert into public.profiles (id, email, is_first_login, created_at)
  select p_user_id, x.email, x.is_first_login, x.created_at
  from jsonb_to_record(p_document -> 'profile') as x (email text, is_first_login boolean, created_at timestamptz)
  on conflict (id) do nothing;
  perform rapport.hold_profile(p_user_id);

  insert into public.conversations (user_id, id, thread, summary, created_at, active_at)
  select p_user_id, x.*
  from jsonb_to_recordset(p_document -> 'conversations') as x (
    id uuid, thread text, summary text, created_at timestamptz, active_at timestamptz)
  on conflict (user_id, id) do nothing;  -- of another person it is an error

  insert into public.memories (user_id, category, key, value, said_at, source, conversation_id, expires_at)
  select p_user_id, x.*
  from jsonb_to_recordset(p_document -> 'memories') as x (
    category text, key text, value text, said_at timestamptz, source text, conversation_id uuid,
    expires_at timestamptz)
  on conflict do nothing;

  select coalesce(max(h.seq), 0) into v_seq from public.memory_history h where h.user_id = p_user_id;
  insert into public.memory_history
    (user_id, seq, category, key, value, said_at, source, conversation_id, expires_at, until)
  select p_user_id, v_seq + row_number() over (order by x.position), x.category, x.key, x.value, x.said_at, x.source,
         x.conversation_id, x.expires_at, x.until
  from rows from (jsonb_to_recordset(p_document -> 'past') as (
    category text, key text, value text, said_at timestamptz, source text, conversation_id uuid,
    expires_at timestamptz, until timestamptz
  )) with ordinality as x (
    category, key, value, said_at, source, conversation_id, expires_at, until, position)
  where not exists (
    select from public.memory_history h
    where h.user_id = p_user_id
      and (h.category, h.key, h.value, h.said_at, h.until) = (x.category, x.key, x.value, x.said_at, x.until));

  insert into public.sessions (user_id, id, conversation_id, room, jobs, started_at, seen_at, ended_at, end_reason)
  select p_user_id, x.*
  from jsonb_to_recordset(p_document -> 'sessions') as x (
    id uuid, conversation_id uuid, room text, jobs text[], started_at timestamptz, seen_at timestamptz,
    ended_at timestamptz, end_reason text)
  on conflict do nothing;

  perform from public.conversations where user_id = p_user_id order by id for no key update;
  insert into public.messages (user_id, conversation_id, id, seq, role, text, said_at, interrupted)
  select p_user_id, x.conversation_id, x.id,
         coalesce(c.last_seq, 0) + row_number() over (partition by x.conversation_id order by x.position),
         x.role, x.text, x.said_at, x.interrupted
  from rows from (jsonb_to_recordset(p_document -> 'turns') as (
    conversation_id uuid, id text, role text, text text, said_at timestamptz, interrupted boolean
  )) with ordinality as x (conversation_id, id, role, text, said_at, interrupted, position)
  left join public.conversations c on c.user_id = p_user_id and c.id = x.conversation_id
  on conflict do nothing;
  update public.conversations c set last_seq = m.last
  from (select conversation_id, max(seq) as last from public.messages where user_id = p_user_id group by 1) m
  where c.user_id = p_user_id and c.id = m.conversation_id and c.last_seq < m.last;
end $$;

-- Delete everything of the person: how many rows went, by table.
create or replace function public.erase_user(p_user_id uuid)
returns jsonb language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_gone jsonb := '{}';
  v_table text;
  v_rows bigint := 0;
  v_known boolean;
begin
  -- in the order of everybody else, so that nobody waits for us while we wait for them
  perform from public.profiles where id = p_user_id for update;
  v_known := found;
  perform from public.conversations where user_id = p_user_id order by id for update;
  foreach v_table in array array['messages', 'sessions', 'memory_history', 'memories', 'conversations', 'profiles'] loop
    if v_known then
      execute format('delete from public.%I where %I = $1', v_table,
                     case v_table when 'profiles' then 'id' else 'user_id' end)
      using p_user_id;
      get diagnostics v_rows = row_count;
    end if;
    v_gone := v_gone || jsonb_build_object(v_table, v_rows);
  end loop;
  return v_gone;
end $$;

revoke all on function public.export_user(uuid), public.import_user(uuid, jsonb), public.erase_user(uuid)
  from public, anon, authenticated, voice_agent, service_role;
grant execute on function public.export_user(uuid), public.import_user(uuid, jsonb), public.erase_user(uuid)
  to authenticated, voice_agent, service_role;

notify pgrst, 'reload schema';
