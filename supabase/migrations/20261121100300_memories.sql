-- What people told us: what holds now in `memories`, what held before in `memory_history`.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table if not exists public.memories (
  user_id         uuid        not null references public.profiles (id) on delete cascade,
  category        text        not null collate "C" check (category ~ '^[A-Z][A-Z0-9_]{0,63}$'),
  key             text        not null collate "C" check (length(key) between 1 and 200),
  value           text        not null check (length(value) between 1 and 4000),
  said_at         timestamptz not null check (isfinite(said_at)),
  source          text        check (length(source) between 1 and 200),
  conversation_id uuid,
  expires_at      timestamptz check (isfinite(expires_at)),
  primary key (user_id, category, key),
  constraint memories_conversation_fkey foreign key (user_id, conversation_id)
    references public.conversations (user_id, id) on delete set null (conversation_id)
);
create index if not exists memories_source on public.memories (user_id, category, source)
  where source is not null;
create index if not exists memories_expiring on public.memories (expires_at) where expires_at is not null;

-- `seq` counts per person: a number for all would tell each how much the others say.
create table if not exists public.memory_history (
  user_id         uuid        not null references public.profiles (id) on delete cascade,
  seq             integer     not null,
  category        text        not null collate "C",
  key             text        not null collate "C",
  value           text        not null check (length(value) between 1 and 4000),
  said_at         timestamptz not null check (isfinite(said_at)),
  source          text        check (length(source) between 1 and 200),
  conversation_id uuid,
  expires_at      timestamptz check (isfinite(expires_at)),
  until           timestamptz not null check (isfinite(until)),
  primary key (user_id, seq),
  constraint memory_history_conversation_fkey foreign key (user_id, conversation_id)
    references public.conversations (user_id, id) on delete set null (conversation_id)
);
create index if not exists memory_history_key on public.memory_history (user_id, category, key);
create index if not exists memory_history_source on public.memory_history (user_id, category, source)
  where source is not null;
create index if not exists memory_history_expiring on public.memory_history (expires_at)
  where expires_at is not null;

alter table public.memories enable row level security;
alter table public.memory_history enable row level security;
revoke all on public.memories, public.memory_history from public, anon, authenticated, voice_agent, service_role;
grant select, insert, update, delete on public.memories, public.memory_history to service_role;
grant select, insert, delete on public.memories, public.memory_history to authenticated, voice_agent;
grant update (value, said_at, source, conversation_id, expires_at) on public.memories to authenticated, voice_agent;

drop policy if exists memories_own on public.memories;
create policy memories_own on public.memories for all to authenticated, voice_agent
  using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
drop policy if exists memory_history_own on public.memory_history;
create policy memory_history_own on public.memory_history for all to authenticated, voice_agent
  using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));

create or replace view rapport.memory_documents with (security_invoker = true) as
select
  m.user_id, m.category, m.key, m.said_at, m.expires_at,
  jsonb_build_object(
    'category', m.category,
    'key', m.key,
    'value', m.value,
    'said_at', to_char(m.said_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'source', m.source,
    'conversation_id', m.conversation_id,
    'expires_at', to_char(m.expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
  ) as document
from public.memories m;

create or replace view rapport.past_documents with (security_invoker = true) as
select
  h.user_id, h.seq, h.category, h.key, h.expires_at,
  jsonb_build_object(
    'category', h.category,
    'key', h.key,
    'value', h.value,
    'said_at', to_char(h.said_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'source', h.source,
    'conversation_id', h.conversation_id,
    'expires_at', to_char(h.expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'until', to_char(h.until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
  ) as document
from public.memory_history h;

revoke all on rapport.memory_documents, rapport.past_documents from public, anon, authenticated, voice_agent, service_role;
grant select on rapport.memory_documents, rapport.past_documents to authenticated, voice_agent, service_role;

-- On update of the value only: at a delete it would write down what the person wants forgotten.
create or replace function rapport.memory_replaced()
returns trigger language plpgsql volatile security invoker set search_path = ''
as $$
begin
  insert into public.memory_history
    (user_id, seq, category, key, value, said_at, source, conversation_id, expires_at, until)
  select old.user_id, coalesce(max(h.seq), 0) + 1, old.category, old.key, old.value, old.said_at, old.source,
         old.conversation_id, old.expires_at, new.said_at
  from public.memory_history h where h.user_id = old.user_id;
  return null;
end $$;
drop trigger if exists memory_replaced on public.memories;
create trigger memory_replaced after update of value on public.memories
  for each row when (old.value is distinct from new.value) execute function rapport.memory_replaced();

-- Keep memories, all or none; those that were kept, in the order of p_items.
create or replace function public.remember(p_user_id uuid, p_items jsonb)
returns jsonb language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_kept jsonb := '[]';
  v_item record;
  v_key text;
begin
  perform rapport.hold_profile(p_user_id);

  for v_item in
    select i.* from (
      select x.*, row_number() over (partition by x.category, x.key order by x.position desc) = 1 as last
      from rows from (jsonb_to_recordset(p_items) as (
        category text, key text, value text, said_at timestamptz, source text, conversation_id uuid,
        expires_at timestamptz
      )) with ordinality as x (category, key, value, said_at, source, conversation_id, expires_at, position)
    ) i
    -- of two with one key the last counts, but a statement never replaces another
    where (i.last or starts_with(i.key, 'user_input_'))
      -- a source is kept once. The loop sees what was there before it: one turn may state several things.
      and (i.source is null or not exists (
        select from public.memories m
        where m.user_id = p_user_id and m.category = i.category and m.source = i.source
        union all
        select from public.memory_history h
        where h.user_id = p_user_id and h.category = i.category and h.source = i.source))
    order by i.position
  loop
    v_key := v_item.key;
    if starts_with(v_key, 'user_input_') then
      -- taken by another: the number at the end of the key goes up until it is free
      while exists (
        select from public.memories m
        where m.user_id = p_user_id and m.category = v_item.category and m.key = v_key
          and (v_item.source is not null or m.source is not null or m.value <> v_item.value)
      ) loop
        v_key := regexp_replace(v_key, '[0-9]*$', '')
                 || (coalesce(nullif(substring(v_key from '[0-9]*$'), ''), '0')::numeric + 1)::text;
      end loop;
    end if;

    insert into public.memories as m
      (user_id, category, key, value, said_at, source, conversation_id, expires_at)
    values (
      p_user_id, v_item.category, v_key, v_item.value, v_item.said_at, v_item.source,
      -- a memory outlives its conversation
      (select c.id from public.conversations c where c.user_id = p_user_id and c.id = v_item.conversation_id),
      v_item.expires_at)
    on conflict (user_id, category, key) do update
      set value = excluded.value, said_at = excluded.said_at, source = excluded.source,
          conversation_id = excluded.conversation_id, expires_at = excluded.expires_at;

    select v_kept || d.document into v_kept from rapport.memory_documents d
    where d.user_id = p_user_id and d.category = v_item.category and d.key = v_key;
  end loop;
  return v_kept;
end $$;

-- The memory under (category, key), unless it has expired; null if there is none.
-- (plpgsql, because it keeps its plan: making one takes longer here than reading what somebody has.)
create or replace function public.retrieve(p_user_id uuid, p_category text, p_key text)
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
begin
  return (
    select d.document from rapport.memory_documents d
    where d.user_id = p_user_id and d.category = p_category and d.key = p_key
      and (d.expires_at is null or d.expires_at > now())
  );
end $$;

-- All that hold now, oldest first.
create or replace function public.list_memories(p_user_id uuid)
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(d.document order by d.said_at, d.category, d.key), '[]')
    from rapport.memory_documents d
    where d.user_id = p_user_id and (d.expires_at is null or d.expires_at > now())
  );
end $$;

-- All that held once and were replaced, in the order in which that happened.
create or replace function public.list_past(p_user_id uuid)
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(d.document order by d.seq), '[]')
    from rapport.past_documents d
    where d.user_id = p_user_id and (d.expires_at is null or d.expires_at > now())
  );
end $$;

-- Delete one memory with its past; false if there was none.
create or replace function public.forget(p_user_id uuid, p_category text, p_key text)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_found boolean;
begin
  -- hold the row until both are gone: who replaces it meanwhile would leave it in the past
  delete from public.memories where user_id = p_user_id and category = p_category and key = p_key;
  v_found := found;
  delete from public.memory_history where user_id = p_user_id and category = p_category and key = p_key;
  return v_found;
end $$;

revoke all on function
  public.remember(uuid, jsonb), public.retrieve(uuid, text, text), public.list_memories(uuid),
  public.list_past(uuid), public.forget(uuid, text, text), rapport.memory_replaced()
  from public, anon, authenticated, voice_agent, service_role;
grant execute on function
  public.remember(uuid, jsonb), public.retrieve(uuid, text, text), public.list_memories(uuid),
  public.list_past(uuid), public.forget(uuid, text, text)
  to authenticated, voice_agent, service_role;

notify pgrst, 'reload schema';
