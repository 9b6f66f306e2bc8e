-- What changes on one device is known on the others: each person has a counter that every change of their memories
-- moves on, and each memory the number it was changed at.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

alter table public.profiles add column if not exists memory_version bigint not null default 0;
alter table public.memories add column if not exists version bigint not null default 0;
grant update (memory_version) on public.profiles to authenticated, voice_agent;
grant update (version) on public.memories to authenticated, voice_agent;

-- The next number, with the person held, so that numbers become visible in their order. (After memory_late, by its name.)
create or replace function rapport.memory_versioned()
returns trigger language plpgsql volatile security invoker set search_path = ''
as $$
begin
  select p.memory_version + 1 into new.version from public.profiles p where p.id = new.user_id for no key update;
  new.version := coalesce(new.version, 0);  -- of nobody: the foreign key refuses it
  return new;
end $$;
drop trigger if exists memory_versioned on public.memories;
create trigger memory_versioned before insert on public.memories
  for each row execute function rapport.memory_versioned();
-- a vector is no change of what it was made of
drop trigger if exists memory_versioned_again on public.memories;
create trigger memory_versioned_again before update on public.memories
  for each row when ((old.value, old.said_at, old.source, old.conversation_id, old.expires_at)
    is distinct from (new.value, new.said_at, new.source, new.conversation_id, new.expires_at))
  execute function rapport.memory_versioned();

-- The counter follows, once for each statement: of thousands of rows it would else have thousands of versions itself.
create or replace function rapport.memory_counted()
returns trigger language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update public.profiles p set memory_version = c.version
  from (select user_id, max(version) as version from changed group by user_id) c
  where p.id = c.user_id and p.memory_version < c.version;
  return null;
end $$;
drop trigger if exists memory_counted on public.memories;
create trigger memory_counted after insert on public.memories referencing new table as changed
  for each statement execute function rapport.memory_counted();
drop trigger if exists memory_counted_again on public.memories;
create trigger memory_counted_again after update on public.memories referencing new table as changed
  for each statement execute function rapport.memory_counted();

create or replace function rapport.memory_gone()
returns trigger language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update public.profiles p set memory_version = p.memory_version + 1
  where p.id in (select user_id from gone);
  return null;
end $$;
drop trigger if exists memory_gone on public.memories;
create trigger memory_gone after delete on public.memories referencing old table as gone
  for each statement execute function rapport.memory_gone();

-- What was changed since the person's counter stood there, where it stands now, and how many memories hold: who has
-- another number of them has not heard that one was forgotten.
create or replace function public.memories_since(p_user_id uuid, p_version bigint)
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
begin
  return jsonb_build_object(
    'version', coalesce((select p.memory_version from public.profiles p where p.id = p_user_id), 0),
    'count', (
      select count(*) from public.memories m
      where m.user_id = p_user_id and (m.expires_at is null or m.expires_at > now())),
    'memories', (
      select coalesce(jsonb_agg(d.document order by d.said_at, d.category, d.key), '[]')
      from public.memories m
      join rapport.memory_documents d on d.user_id = m.user_id and d.category = m.category and d.key = m.key
      where m.user_id = p_user_id and m.version > p_version and (m.expires_at is null or m.expires_at > now())));
end $$;

-- As before, but they hold the person first, as everybody does who writes: else one would wait for the counter with a
-- memory in hand, and who holds the counter for that memory.
create or replace function public.forget(p_user_id uuid, p_category text, p_key text)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_found boolean;
begin
  perform from public.profiles where id = p_user_id for no key update;
  -- hold the row until both are gone: who replaces it meanwhile would leave it in the past
  delete from public.memories where user_id = p_user_id and category = p_category and key = p_key;
  v_found := found;
  delete from public.memory_history where user_id = p_user_id and category = p_category and key = p_key;
  return v_found;
end $$;

create or replace function public.purge(p_turns_before timestamptz)
returns jsonb language plpgsql volatile security invoker set search_path = '' set statement_timeout = '10min'
as $$
declare
  v_history bigint;
  v_memories bigint;
  v_messages bigint;
begin
  perform from public.profiles where id in (select m.user_id from public.memories m where m.expires_at <= now())
  order by id for no key update;
  delete from public.memory_history where expires_at <= now();
  get diagnostics v_history = row_count;
  delete from public.memories where expires_at <= now();
  get diagnostics v_memories = row_count;
  delete from public.messages where said_at < p_turns_before;
  get diagnostics v_messages = row_count;
  return jsonb_build_object('memory_history', v_history, 'memories', v_memories, 'messages', v_messages);
end $$;

revoke all on function
  public.memories_since(uuid, bigint), public.forget(uuid, text, text), public.purge(timestamptz),
  rapport.memory_versioned(), rapport.memory_counted(), rapport.memory_gone()
  from public, anon, authenticated, voice_agent, service_role;
grant execute on function public.memories_since(uuid, bigint), public.forget(uuid, text, text)
  to authenticated, voice_agent, service_role;
grant execute on function public.purge(timestamptz) to service_role;

notify pgrst, 'reload schema';
