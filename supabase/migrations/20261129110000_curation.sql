-- A curator beside the call puts in order what our rules have kept: what a statement states gets a name, what no longer
-- holds becomes the past. Each statement remembers whether a curator has seen it; what was kept before this was not.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

alter table public.memories add column if not exists curated boolean not null default false;
grant update (curated) on public.memories to authenticated, voice_agent;

-- A new value is news to a curator. (After memory_late, by its name: what came late has changed nothing here.)
create or replace function rapport.memory_uncurated()
returns trigger language plpgsql volatile security invoker set search_path = ''
as $$
begin
  new.curated := false;
  return new;
end $$;
drop trigger if exists memory_uncurated on public.memories;
create trigger memory_uncurated before update on public.memories
  for each row when (old.value is distinct from new.value) execute function rapport.memory_uncurated();

-- The latest of what was said in a turn and no curator has seen, at most so many, oldest first.
create or replace function public.uncurated(p_user_id uuid, p_limit integer)
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
begin
  return (
    select coalesce(jsonb_agg(d.document order by d.said_at, d.category, d.key), '[]')
    from (
      select m.category, m.key from public.memories m
      where m.user_id = p_user_id and not m.curated and m.source is not null
        and (m.expires_at is null or m.expires_at > now())
      order by m.said_at desc, m.category, m.key limit p_limit
    ) latest
    join rapport.memory_documents d
      on d.user_id = p_user_id and d.category = latest.category and d.key = latest.key
  );
end $$;

-- Do what a curator makes of statements, all or nothing; what of it was done. Nothing follows from a statement that a
-- curator has seen already, or that is not there any more as it was: doing it again does nothing. What ended at its own
-- time is set aside.
create or replace function public.curate(p_user_id uuid, p_seen jsonb, p_facts jsonb, p_ended jsonb)
returns jsonb language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_seen jsonb;
  v_facts jsonb := '[]';
  v_ended jsonb := '[]';
  v_item record;
begin
  perform from public.profiles where id = p_user_id for no key update;

  with fresh as (
    update public.memories m set curated = true
    from jsonb_array_elements(p_seen) as e (item),
         jsonb_to_record(e.item) as x (category text, key text, value text, said_at timestamptz)
    where m.user_id = p_user_id and not m.curated
      and m.category = x.category and m.key = x.key and m.value = x.value and m.said_at = x.said_at
    returning e.item
  )
  select coalesce(jsonb_agg(f.item), '[]') into v_seen from fresh f;

  for v_item in
    select e.item, x.* from jsonb_array_elements(p_facts) with ordinality as e (item, position),
      jsonb_to_record(e.item) as x (
        category text, key text, value text, said_at timestamptz, source text, conversation_id uuid)
    where exists (
      select from jsonb_to_recordset(v_seen) as s (source text, said_at timestamptz)
      where s.source = x.source and s.said_at = x.said_at)
    order by e.position
  loop
    -- of its own time there is one already, or it came and went
    continue when exists (
      select from public.memories m
      where m.user_id = p_user_id and m.category = v_item.category and m.key = v_item.key
        and m.said_at = v_item.said_at)
    or (exists (
      select from public.memory_history h
      where h.user_id = p_user_id and h.category = v_item.category and h.key = v_item.key
        and (h.said_at >= v_item.said_at or h.until > v_item.said_at)
    ) and not exists (
      select from public.memories m
      where m.user_id = p_user_id and m.category = v_item.category and m.key = v_item.key));

    insert into public.memories as m
      (user_id, category, key, value, said_at, source, conversation_id, expires_at)
    values (
      p_user_id, v_item.category, v_item.key, v_item.value, v_item.said_at, v_item.source,
      (select c.id from public.conversations c where c.user_id = p_user_id and c.id = v_item.conversation_id), null)
    on conflict (user_id, category, key) do update
      set value = excluded.value, said_at = excluded.said_at, source = excluded.source,
          conversation_id = excluded.conversation_id, expires_at = excluded.expires_at;
    update public.memories m set curated = true
    where m.user_id = p_user_id and m.category = v_item.category and m.key = v_item.key
      and m.said_at = v_item.said_at;
    v_facts := v_facts || v_item.item;
  end loop;

  for v_item in
    select e.item, x.* from jsonb_array_elements(p_ended) with ordinality as e (item, position),
      jsonb_to_record(e.item) as x (category text, key text, value text, said_at timestamptz, until timestamptz)
    where exists (
      select from jsonb_to_recordset(v_seen) as s (category text, key text, said_at timestamptz)
      where s.said_at = x.until
        and (x.until > x.said_at or (x.until = x.said_at and s.category = x.category and s.key = x.key)))
    order by e.position
  loop
    insert into public.memory_history
      (user_id, seq, category, key, value, said_at, source, conversation_id, expires_at, until)
    select m.user_id, coalesce((select max(h.seq) from public.memory_history h where h.user_id = p_user_id), 0) + 1,
           m.category, m.key, m.value, m.said_at, m.source, m.conversation_id, m.expires_at, v_item.until
    from public.memories m
    where m.user_id = p_user_id and m.category = v_item.category and m.key = v_item.key
      and m.value = v_item.value and m.said_at = v_item.said_at and m.source is not null;
    if found then
      delete from public.memories m
      where m.user_id = p_user_id and m.category = v_item.category and m.key = v_item.key;
      v_ended := v_ended || v_item.item;
    end if;
  end loop;

  return jsonb_build_object('seen', v_seen, 'facts', v_facts, 'ended', v_ended);
end $$;

revoke all on function
  public.uncurated(uuid, integer), public.curate(uuid, jsonb, jsonb, jsonb), rapport.memory_uncurated()
  from public, anon, authenticated, voice_agent, service_role;
grant execute on function public.uncurated(uuid, integer), public.curate(uuid, jsonb, jsonb, jsonb)
  to authenticated, voice_agent, service_role;

notify pgrst, 'reload schema';
