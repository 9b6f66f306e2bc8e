-- A late write never replaces a newer truth: what was said before the value that holds goes into the past, whenever it
-- arrives.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- who may write a line of the past may also say when it ended, and change nothing else in it
grant update (until) on public.memory_history to authenticated, voice_agent;

-- Instead of the update: the value held until the next one that was said, and what was said before it held until then.
create or replace function rapport.memory_late()
returns trigger language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_next record;
begin
  if old.expires_at <= now() then
    return new;  -- as if it had never been told
  end if;
  select n.value, n.said_at into v_next from (
    select h.value, h.said_at, h.seq from public.memory_history h
    where h.user_id = old.user_id and h.category = old.category and h.key = old.key and h.said_at > new.said_at
    union all select old.value, old.said_at, null
  ) n order by n.said_at, n.seq limit 1;
  if v_next.value = new.value or exists (
    select from public.memory_history h
    where (h.user_id, h.category, h.key, h.value, h.said_at)
        = (old.user_id, old.category, old.key, new.value, new.said_at)
  ) then
    return null;  -- the same value again
  end if;
  update public.memory_history h set until = new.said_at
  where h.user_id = old.user_id and h.category = old.category and h.key = old.key
    and h.said_at <= new.said_at and h.until > new.said_at;
  insert into public.memory_history
    (user_id, seq, category, key, value, said_at, source, conversation_id, expires_at, until)
  select old.user_id, coalesce(max(h.seq), 0) + 1, old.category, old.key, new.value, new.said_at, new.source,
         new.conversation_id, new.expires_at, v_next.said_at
  from public.memory_history h where h.user_id = old.user_id;
  return null;
end $$;
drop trigger if exists memory_late on public.memories;
create trigger memory_late before update on public.memories
  for each row when (new.said_at < old.said_at) execute function rapport.memory_late();

revoke all on function rapport.memory_late() from public, anon, authenticated, voice_agent, service_role;

notify pgrst, 'reload schema';
