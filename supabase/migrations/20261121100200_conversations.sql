-- Conversations, the sessions in which they are held, and their transcripts.
-- Every foreign key carries the person: it is checked past row-level security, so that a row could else hang under
-- another person's.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table if not exists public.conversations (
  user_id    uuid        not null references public.profiles (id) on delete cascade,
  id         uuid        not null default gen_random_uuid() unique,
  thread     text        not null collate "C" check (length(thread) between 1 and 512),
  summary    text        check (length(summary) between 1 and 16000),
  last_seq   integer     not null default 0,
  created_at timestamptz not null default now() check (isfinite(created_at)),
  active_at  timestamptz not null default now() check (isfinite(active_at)),
  primary key (user_id, id)
);
create index if not exists conversations_thread on public.conversations (user_id, thread, active_at desc);

create table if not exists public.sessions (
  user_id         uuid        not null,
  id              uuid        not null default gen_random_uuid() unique,
  conversation_id uuid        not null,
  room            text        not null check (length(room) <= 512),
  jobs            text[]      not null,
  started_at      timestamptz not null default now() check (isfinite(started_at)),
  seen_at         timestamptz not null default now() check (isfinite(seen_at)),
  ended_at        timestamptz check (isfinite(ended_at)),
  end_reason      text        check (length(end_reason) <= 200),
  primary key (user_id, id),
  constraint sessions_conversation_fkey foreign key (user_id, conversation_id)
    references public.conversations (user_id, id) on delete cascade
);
create index if not exists sessions_conversation on public.sessions (user_id, conversation_id);
create unique index if not exists sessions_living on public.sessions (user_id, conversation_id)
  where ended_at is null;
create index if not exists sessions_unseen on public.sessions (seen_at) where ended_at is null;
create index if not exists sessions_latest on public.sessions (started_at desc);

create table if not exists public.messages (
  user_id         uuid        not null,
  conversation_id uuid        not null,
  id              text        not null collate "C" check (length(id) between 1 and 200),
  seq             integer     not null,
  role            text        not null check (role in ('user', 'assistant')),
  text            text        not null check (length(text) <= 16000),
  said_at         timestamptz not null check (isfinite(said_at)),
  interrupted     boolean     not null default false,
  primary key (user_id, conversation_id, id),
  constraint messages_conversation_fkey foreign key (user_id, conversation_id)
    references public.conversations (user_id, id) on delete cascade
);
create index if not exists messages_latest on public.messages (user_id, conversation_id, said_at desc, seq desc);
-- for purge: rows come in the order of time, so a few pages tell where the old ones are
create index if not exists messages_age on public.messages using brin (said_at);

alter table public.conversations enable row level security;
alter table public.sessions enable row level security;
alter table public.messages enable row level security;
revoke all on public.conversations, public.sessions, public.messages from public, anon, authenticated, voice_agent, service_role;
grant select, insert, update, delete on public.conversations, public.sessions, public.messages to service_role;
grant select, insert, delete on public.conversations, public.sessions, public.messages to authenticated, voice_agent;
grant update (summary, last_seq, active_at) on public.conversations to authenticated, voice_agent;
grant update (jobs, seen_at, ended_at, end_reason) on public.sessions to authenticated, voice_agent;
grant update (text, interrupted) on public.messages to authenticated, voice_agent;

drop policy if exists conversations_own on public.conversations;
create policy conversations_own on public.conversations for all to authenticated, voice_agent
  using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
drop policy if exists sessions_own on public.sessions;
create policy sessions_own on public.sessions for all to authenticated, voice_agent
  using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
drop policy if exists messages_own on public.messages;
create policy messages_own on public.messages for all to authenticated, voice_agent
  using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));

create or replace view rapport.turn_documents with (security_invoker = true) as
select
  m.user_id, m.conversation_id, m.said_at, m.seq,
  jsonb_build_object(
    'id', m.id,
    'role', m.role,
    'text', m.text,
    'said_at', to_char(m.said_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'interrupted', m.interrupted
  ) as document
from public.messages m;

create or replace view rapport.session_documents with (security_invoker = true) as
select
  s.user_id, s.id, s.conversation_id, s.started_at, s.ended_at,
  jsonb_build_object(
    'id', s.id,
    'user_id', s.user_id,
    'thread', c.thread,
    'room', s.room,
    'jobs', to_jsonb(s.jobs),
    'started_at', to_char(s.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'seen_at', to_char(s.seen_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'ended_at', to_char(s.ended_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'end_reason', s.end_reason
  ) as document
from public.sessions s
join public.conversations c on c.user_id = s.user_id and c.id = s.conversation_id;

revoke all on rapport.turn_documents, rapport.session_documents from public, anon, authenticated, voice_agent, service_role;
grant select on rapport.turn_documents, rapport.session_documents to authenticated, voice_agent, service_role;

-- All that a job needs at its start: the living session of the person on the thread, got or made, with the job in it.
create or replace function public.start_session(
  p_user_id uuid, p_email text, p_thread text, p_job text, p_room text, p_resume_seconds double precision,
  p_turns integer
)
returns jsonb language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_profile jsonb := rapport.hold_profile(p_user_id, p_email);
  v_conversation uuid;
  v_session uuid;
  v_resumed boolean;
  v_turns jsonb;
  v_summary text;
begin
  -- a second try finds what the first one made
  select s.id, s.conversation_id,
         s.jobs[1] <> p_job or exists (
           select from public.sessions earlier
           where earlier.user_id = p_user_id and earlier.conversation_id = s.conversation_id and earlier.id <> s.id)
  into v_session, v_conversation, v_resumed
  from public.sessions s
  join public.conversations c on c.user_id = s.user_id and c.id = s.conversation_id
  where s.user_id = p_user_id and c.thread = p_thread and s.ended_at is null and p_job = any (s.jobs)
  order by s.started_at desc limit 1;

  if v_session is null then
    select c.id into v_conversation from public.conversations c
    where c.user_id = p_user_id and c.thread = p_thread
      and c.active_at > now() - make_interval(secs => p_resume_seconds)
    order by c.active_at desc, c.id limit 1;
    v_resumed := found;
    if v_resumed then
      update public.conversations set active_at = now() where user_id = p_user_id and id = v_conversation;
    else
      insert into public.conversations (user_id, thread) values (p_user_id, p_thread) returning id into v_conversation;
    end if;

    update public.sessions set jobs = jobs || p_job, seen_at = now()
    where user_id = p_user_id and conversation_id = v_conversation and ended_at is null
    returning id into v_session;
    if not found then
      insert into public.sessions (user_id, conversation_id, room, jobs)
      values (p_user_id, v_conversation, p_room, array[p_job]) returning id into v_session;
    end if;
  end if;

  select coalesce(jsonb_agg(l.document order by l.said_at, l.seq), '[]') into v_turns from (
    select d.document, d.said_at, d.seq from rapport.turn_documents d
    where d.user_id = p_user_id and d.conversation_id = v_conversation
    order by d.said_at desc, d.seq desc limit greatest(p_turns, 0)
  ) l;
  if not v_resumed then
    -- of the latest that has one: a call in which nobody said anything leaves none
    select c.summary into v_summary from public.conversations c
    where c.user_id = p_user_id and c.id <> v_conversation and c.summary is not null
    order by c.active_at desc, c.id limit 1;
  end if;
  return jsonb_build_object(
    'session_id', v_session,
    'conversation_id', v_conversation,
    'resumed', v_resumed,
    'created', v_profile -> 'created',
    'profile', v_profile - 'created',
    'memories', public.list_memories(p_user_id),
    'past', public.list_past(p_user_id),
    'turns', v_turns,
    'summary', v_summary
  );
end $$;

-- Write turns into the transcript, each id once; one that is there gets the later text. How many were new.
create or replace function public.append_turns(p_user_id uuid, p_conversation_id uuid, p_turns jsonb)
returns integer language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_last integer;
  v_new integer;
begin
  -- the row lock makes `seq` count without gaps and without two of one number
  select c.last_seq into v_last from public.conversations c
  where c.user_id = p_user_id and c.id = p_conversation_id for no key update;
  if not found then
    return 0;
  end if;

  with given as (
    select distinct on (x.id) x.*
    from rows from (jsonb_to_recordset(p_turns) as (
      id text, role text, text text, said_at timestamptz, interrupted boolean
    )) with ordinality as x (id, role, text, said_at, interrupted, position)
    order by x.id, x.position desc
  ), corrected as (
    update public.messages m set text = g.text, interrupted = coalesce(g.interrupted, false)
    from given g
    where m.user_id = p_user_id and m.conversation_id = p_conversation_id and m.id = g.id
      and (m.text, m.interrupted) is distinct from (g.text, coalesce(g.interrupted, false))
  ), written as (
    insert into public.messages (user_id, conversation_id, id, seq, role, text, said_at, interrupted)
    select p_user_id, p_conversation_id, g.id, v_last + row_number() over (order by g.position), g.role, g.text,
           g.said_at, coalesce(g.interrupted, false)
    from given g
    where not exists (
      select from public.messages m
      where m.user_id = p_user_id and m.conversation_id = p_conversation_id and m.id = g.id)
    returning 1
  )
  select count(*) into v_new from written;

  update public.conversations set active_at = now(), last_seq = v_last + v_new
  where user_id = p_user_id and id = p_conversation_id;
  return v_new;
end $$;

-- Hold the conversation of a session until the transaction ends, and say which it is. Whoever changes both takes the
-- conversation first: two that took them crosswise would wait for each other.
create or replace function rapport.hold_conversation_of(p_user_id uuid, p_session_id uuid)
returns uuid language sql volatile security invoker set search_path = ''
as $$
  select c.id from public.conversations c
  where c.user_id = p_user_id
    and c.id = (select s.conversation_id from public.sessions s where s.user_id = p_user_id and s.id = p_session_id)
  for no key update
$$;

-- Say that the session is alive; false if it has ended or is not this person's.
create or replace function public.touch_session(p_user_id uuid, p_session_id uuid)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_conversation uuid := rapport.hold_conversation_of(p_user_id, p_session_id);
begin
  update public.sessions set seen_at = now() where user_id = p_user_id and id = p_session_id and ended_at is null;
  if not found then
    return false;
  end if;
  -- who is there without a word for long has not left
  update public.conversations set active_at = now() where user_id = p_user_id and id = v_conversation;
  return true;
end $$;

-- Take the job out of the session, which ends with its last one; true if it ended by this call.
create or replace function public.end_session(p_user_id uuid, p_session_id uuid, p_job text, p_reason text)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_conversation uuid := rapport.hold_conversation_of(p_user_id, p_session_id);
  v_left text[];
begin
  update public.sessions set jobs = array_remove(jobs, p_job), seen_at = now()
  where user_id = p_user_id and id = p_session_id and ended_at is null and p_job = any (jobs)
  returning jobs into v_left;
  if not found then
    return false;
  end if;
  update public.conversations set active_at = now() where user_id = p_user_id and id = v_conversation;
  if v_left <> '{}' then
    return false;
  end if;
  update public.sessions set ended_at = now(), end_reason = p_reason where user_id = p_user_id and id = p_session_id;
  return true;
end $$;

-- Keep a short summary of a conversation; false if it is not this person's, or was erased.
create or replace function public.summarise(p_user_id uuid, p_conversation_id uuid, p_summary text)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update public.conversations set summary = p_summary where user_id = p_user_id and id = p_conversation_id;
  return found;
end $$;

revoke all on function
  public.start_session(uuid, text, text, text, text, double precision, integer),
  public.append_turns(uuid, uuid, jsonb), public.touch_session(uuid, uuid),
  public.end_session(uuid, uuid, text, text), public.summarise(uuid, uuid, text),
  rapport.hold_conversation_of(uuid, uuid)
  from public, anon, authenticated, voice_agent, service_role;
grant execute on function
  public.start_session(uuid, text, text, text, text, double precision, integer),
  public.append_turns(uuid, uuid, jsonb), public.touch_session(uuid, uuid),
  public.end_session(uuid, uuid, text, text), public.summarise(uuid, uuid, text),
  rapport.hold_conversation_of(uuid, uuid)
  to authenticated, voice_agent, service_role;

notify pgrst, 'reload schema';
