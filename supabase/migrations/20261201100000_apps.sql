-- Each person's own apps: whose are connected, and what must happen exactly once although several processes ask: a link is
-- used, a wrong number is counted, a grant is renewed, a grant is given back. `sealed` is ciphertext that is bound to its
-- row; its key is not in the database. Only the service that connects people may use these, with a privileged key; a person
-- sees which apps are theirs, and may take them away.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table if not exists public.connections (
  id           uuid        primary key,
  user_id      uuid        not null references public.profiles (id) on delete cascade,
  app          text        not null check (length(app) between 1 and 32),
  status       text        not null default 'active' check (status in ('active', 'expired')),
  scopes       text,
  connected_at timestamptz not null default now(),
  used_at      timestamptz not null default now(),
  unique (user_id, id),
  unique (user_id, app)
);
-- Apart from it, so that no grant, view or export of connections can ever show one.
create table if not exists public.connection_secrets (
  user_id          uuid        not null,
  connection_id    uuid        not null unique,
  sealed           bytea       not null,
  version          integer     not null default 1,
  refreshing_until timestamptz,
  ends_at          timestamptz,
  primary key (user_id, connection_id),
  foreign key (user_id, connection_id) references public.connections (user_id, id) on update cascade on delete cascade
);
create index if not exists connection_secrets_ending on public.connection_secrets (ends_at) where ends_at is not null;
create table if not exists public.connection_links (
  token_hash   text        primary key,
  user_id      uuid        not null references public.profiles (id) on delete cascade,
  who          text        not null,
  app          text        not null,
  created_at   timestamptz not null default now(),
  expires_at   timestamptz not null,
  started_at   timestamptz,
  state_hash   text        unique,
  browser_hash text,
  answered_at  timestamptz,
  signed_in_at timestamptz,
  ended_at     timestamptz,
  sealed       bytea,
  tries        integer     not null default 0
);
create index if not exists connection_links_of_person on public.connection_links (user_id, created_at);
create index if not exists connection_links_of_browser on public.connection_links (browser_hash);
create index if not exists connection_links_ending on public.connection_links (expires_at) where ended_at is null;
create table if not exists public.oauth_clients (
  issuer text  primary key,
  sealed bytea not null
);
-- What must be given back to an app, also when the person is erased, the app does not answer just now, or a process dies.
create table if not exists public.revocations (
  id        uuid        primary key default gen_random_uuid(),
  row_name  text        not null,
  sealed    bytea       not null,
  tries     integer     not null default 0,
  queued_at timestamptz not null default now(),
  next_at   timestamptz not null default now()
);
create index if not exists revocations_due on public.revocations (next_at);

alter table public.connections enable row level security;
alter table public.connection_secrets enable row level security;
alter table public.connection_links enable row level security;
alter table public.oauth_clients enable row level security;
alter table public.revocations enable row level security;
revoke all on
  public.connections, public.connection_secrets, public.connection_links, public.oauth_clients, public.revocations
  from public, anon, authenticated, voice_agent, service_role;
grant select, insert, update, delete on
  public.connections, public.connection_secrets, public.connection_links, public.oauth_clients, public.revocations to service_role;
grant select, delete on public.connections to authenticated, voice_agent;
drop policy if exists connections_own on public.connections;
create policy connections_own on public.connections for all to authenticated, voice_agent
  using (user_id = (select auth.uid()));

-- Whoever takes a row away: what is sealed in it is given back. A person may not write into the queue. But their rows here
-- go by foreign keys alone, with their connection or profile, and what those do is done as the owner of the tables, a
-- trigger before it too (one after it would run as whoever asked).
create or replace function rapport.give_back()
returns trigger language plpgsql volatile security invoker set search_path = ''
as $$
begin
  if old.sealed is not null then
    insert into public.revocations (row_name, sealed)
    values (case tg_table_name when 'connection_links' then 'link ' || (to_jsonb(old) ->> 'token_hash')
                               else to_jsonb(old) ->> 'connection_id' end || '|' || old.user_id, old.sealed);
  end if;
  return old;
end $$;
drop trigger if exists connection_secret_goes on public.connection_secrets;
create trigger connection_secret_goes before delete on public.connection_secrets
  for each row execute function rapport.give_back();
drop trigger if exists connection_link_goes on public.connection_links;
create trigger connection_link_goes before delete on public.connection_links
  for each row execute function rapport.give_back();

-- Keep a new link, and end those for this app that the person did not finish; false where they had so many in an hour.
create or replace function public.put_link(
  p_token_hash text, p_user_id uuid, p_who text, p_app text, p_expires_at timestamptz, p_an_hour integer)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform rapport.hold_profile(p_user_id);  -- one at a time of this person
  if (select count(*) from public.connection_links l
      where l.user_id = p_user_id and l.created_at > now() - interval '1 hour') >= p_an_hour then
    return false;
  end if;
  perform public.end_link(l.token_hash) from public.connection_links l
  where l.user_id = p_user_id and l.app = p_app and l.ended_at is null;
  insert into public.connection_links (token_hash, user_id, who, app, expires_at)
  values (p_token_hash, p_user_id, p_who, p_app, p_expires_at);
  return true;
end $$;

-- A browser has begun with it: true for exactly one.
create or replace function public.start_link(p_token_hash text, p_state_hash text, p_browser_hash text, p_sealed bytea)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update public.connection_links
  set started_at = now(), state_hash = p_state_hash, browser_hash = p_browser_hash, sealed = p_sealed
  where token_hash = p_token_hash and started_at is null and ended_at is null and expires_at > now();
  return found;
end $$;

-- The app's answer came: true for exactly one.
create or replace function public.answer_link(p_token_hash text)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update public.connection_links set answered_at = now()
  where token_hash = p_token_hash and started_at is not null and answered_at is null and ended_at is null
    and expires_at > now();
  return found;
end $$;

-- Keep what was granted until the person says the digits; false if the link has ended meanwhile.
create or replace function public.sign_in_link(p_token_hash text, p_sealed bytea, p_seconds double precision)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update public.connection_links
  set signed_in_at = now(), sealed = p_sealed, expires_at = greatest(expires_at, now() + make_interval(secs => p_seconds))
  where token_hash = p_token_hash and answered_at is not null and signed_in_at is null and ended_at is null;
  return found;
end $$;

-- The link that the person signed in to last, with one more try counted: each of them, however many come at once.
create or replace function public.try_digits(p_person text)
returns jsonb language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_link public.connection_links;
begin
  update public.connection_links set tries = tries + 1
  where token_hash = (
    select l.token_hash from public.connection_links l
    where l.user_id = p_person::uuid and l.signed_in_at is not null and l.ended_at is null and l.expires_at > now()
    order by l.signed_in_at desc limit 1 for update)
  returning * into v_link;
  return case when found then to_jsonb(v_link) end;
end $$;

-- It is over; what is sealed in it is given back.
create or replace function public.end_link(p_token_hash text)
returns void language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_link public.connection_links;
begin
  select * into v_link from public.connection_links l
  where l.token_hash = p_token_hash and l.ended_at is null for update;
  if not found then
    return;
  end if;
  if v_link.sealed is not null then
    insert into public.revocations (row_name, sealed)
    values ('link ' || v_link.token_hash || '|' || v_link.user_id, v_link.sealed);
  end if;
  update public.connection_links set ended_at = now(), sealed = null where token_hash = p_token_hash;
end $$;

-- Make of a signed-in link a connection, in place of the one that the person had. That one's grant is forgotten and not
-- given back: many servers would take back the new one with it. False if the link has ended.
create or replace function public.connect_app(
  p_token_hash text, p_connection_id uuid, p_scopes text, p_sealed bytea, p_ends_at timestamptz)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_link public.connection_links;
begin
  update public.connection_links set ended_at = now(), sealed = null
  where token_hash = p_token_hash and signed_in_at is not null and ended_at is null and expires_at > now()
  returning * into v_link;
  if not found then
    return false;
  end if;
  insert into public.connections as c (id, user_id, app, scopes)
  values (p_connection_id, v_link.user_id, v_link.app, p_scopes)
  on conflict (user_id, app) do update
    set id = excluded.id, status = 'active', scopes = excluded.scopes, connected_at = now(), used_at = now();
  insert into public.connection_secrets as s (connection_id, user_id, sealed, ends_at)
  values (p_connection_id, v_link.user_id, p_sealed, p_ends_at)
  on conflict (connection_id) do update
    set sealed = excluded.sealed, version = s.version + 1, refreshing_until = null, ends_at = excluded.ends_at;
  return true;
end $$;

-- Take it away, with what waits for it; what was granted is given back. False if there was none.
create or replace function public.disconnect_app(p_person text, p_app text)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform public.end_link(l.token_hash) from public.connection_links l
  where l.user_id = p_person::uuid and l.app = p_app and l.ended_at is null;
  delete from public.connections where user_id = p_person::uuid and app = p_app;
  return found;
end $$;

-- Become the one who may renew this version, for so long: a process that dies does not keep it, and no transaction stays open.
create or replace function public.take_refresh(p_connection_id uuid, p_version integer, p_seconds double precision)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
begin
  -- not now(), the start of the transaction: it may have waited for the row
  update public.connection_secrets set refreshing_until = clock_timestamp() + make_interval(secs => p_seconds)
  where connection_id = p_connection_id and version = p_version
    and (refreshing_until is null or refreshing_until <= clock_timestamp());
  return found;
end $$;

-- Keep what the renewal gave; false if there is another version by now, or none.
create or replace function public.put_refresh(
  p_connection_id uuid, p_version integer, p_sealed bytea, p_ends_at timestamptz)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update public.connection_secrets
  set sealed = p_sealed, ends_at = p_ends_at, version = version + 1, refreshing_until = null
  where connection_id = p_connection_id and version = p_version;
  return found;
end $$;

-- What must be given back now: nobody else gets it for a minute, longer after each try. After forty it is let go.
create or replace function public.take_revocations(p_limit integer)
returns jsonb language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_taken jsonb;
begin
  delete from public.revocations where tries >= 40;
  with due as (
    select r.id from public.revocations r where r.next_at <= now() order by r.queued_at limit p_limit for update skip locked
  ), taken as (
    update public.revocations r
    set tries = r.tries + 1, next_at = now() + least(interval '1 day', interval '1 minute' * (1 << least(r.tries, 11)))
    from due where r.id = due.id returning r.*
  )
  select coalesce(jsonb_agg(to_jsonb(t) order by t.queued_at), '[]') into v_taken from taken t;
  return v_taken;
end $$;

-- End links that are over, forget old ones, disconnect what nobody used for so long; the connections of whose grant a part
-- has to be given back now.
create or replace function public.sweep_connections(p_unused_seconds double precision)
returns jsonb language plpgsql volatile security invoker set search_path = ''
as $$
begin
  perform public.end_link(l.token_hash) from public.connection_links l
  where l.ended_at is null and l.expires_at <= now();
  delete from public.connection_links where created_at < now() - interval '1 hour' and ended_at is not null;
  delete from public.connections where used_at < now() - make_interval(secs => p_unused_seconds);
  return (
    select coalesce(jsonb_agg(to_jsonb(c) || jsonb_build_object('connection_secrets', to_jsonb(s))), '[]')
    from (select * from public.connection_secrets where ends_at <= now() limit 100) s
    join public.connections c on c.id = s.connection_id);
end $$;

-- Everything that is kept of the person, as before; and, where there are any, the apps that are connected, without what they
-- granted.
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
  ) || coalesce((
    select jsonb_build_object('connections', jsonb_agg(jsonb_build_object(
      'app', k.app,
      'status', k.status,
      'scopes', k.scopes,
      'connected_at', to_char(k.connected_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
      'used_at', to_char(k.used_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
    ) order by k.app))
    from public.connections k where k.user_id = p_user_id having count(*) > 0), '{}')
$$;

-- What is in effect here, for the doctor: never a row. (As before, with new names in its lists.)
create or replace function public.describe_schema()
returns jsonb language plpgsql stable security invoker set search_path = ''
as $$
declare
  v_ours constant text[] := array[
    'ensure_profile', 'complete_first_login', 'remember', 'retrieve', 'list_memories', 'list_past', 'forget',
    'memory_vectors', 'put_vectors', 'memories_since', 'mentions', 'redact', 'uncurated', 'curate',
    'start_session', 'append_turns', 'touch_session', 'end_session', 'summarise', 'export_user', 'import_user',
    'erase_user', 'list_sessions', 'end_abandoned', 'take_lease', 'purge', 'describe_schema',
    'put_link', 'start_link', 'answer_link', 'sign_in_link', 'try_digits', 'end_link', 'connect_app', 'disconnect_app',
    'take_refresh', 'put_refresh', 'take_revocations', 'sweep_connections'
  ];
  v_tables constant text[] := array[
    'profiles', 'memories', 'memory_history', 'conversations', 'sessions', 'messages', 'leases',
    'connections', 'connection_secrets', 'connection_links', 'oauth_clients', 'revocations'
  ];
  v_functions jsonb;
  v_callable jsonb;
  v_row_security jsonb;
  v_usable jsonb;
  v_versions jsonb;
  v_own jsonb;
  v_shared jsonb;
begin
  select jsonb_object_agg(p.proname, pg_get_function_identity_arguments(p.oid) || ' -> ' || format_type(p.prorettype, null)),
         coalesce(jsonb_agg(p.proname order by p.proname) filter (where has_function_privilege('anon', p.oid, 'execute')), '[]')
  into v_functions, v_callable
  from pg_catalog.pg_proc p where p.pronamespace = 'public'::regnamespace and p.proname = any (v_ours);

  select jsonb_object_agg(c.relname, c.relrowsecurity),
         coalesce(jsonb_agg(c.relname order by c.relname) filter (where
           has_any_column_privilege('anon', c.oid, 'select, insert, update') or has_table_privilege('anon', c.oid, 'delete')
         ), '[]')
  into v_row_security, v_usable
  from pg_catalog.pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname = any (v_tables);

  -- that of the Supabase CLI is there after its first run, and an old one has no names
  if exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = to_regclass('supabase_migrations.schema_migrations') and a.attname = 'name'
      and has_column_privilege(a.attrelid, a.attnum, 'select')
  ) then
    execute 'select jsonb_object_agg(version, name) from supabase_migrations.schema_migrations' into v_shared;
  end if;
  select jsonb_agg(m.version order by m.version) into v_own from rapport.migrations m;
  select jsonb_agg(l.version order by l.version) into v_versions from (
    select jsonb_array_elements_text(v_own) as version union select jsonb_object_keys(v_shared)
  ) l;

  return jsonb_build_object(
    'now', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
    'server_version', current_setting('server_version_num')::integer,
    'versions', v_versions,
    'ledger', v_own,
    'shared_ledger', v_shared,
    'functions', v_functions,
    'row_security', v_row_security,
    'anon_may_call', v_callable,
    'anon_may_use', v_usable,
    'profile_foreign_keys', (
      select coalesce(jsonb_agg(k.conname order by k.conname), '[]')
      from pg_catalog.pg_constraint k where k.conrelid = to_regclass('public.profiles') and k.contype = 'f'),
    'voice_agent', exists (
      select from pg_catalog.pg_auth_members m
      where m.roleid = to_regrole('voice_agent') and m.member = to_regrole('authenticator'))
  );
end $$;

revoke all on function
  public.put_link(text, uuid, text, text, timestamptz, integer), public.start_link(text, text, text, bytea),
  public.answer_link(text), public.sign_in_link(text, bytea, double precision), public.try_digits(text),
  public.end_link(text), public.connect_app(text, uuid, text, bytea, timestamptz), public.disconnect_app(text, text),
  public.take_refresh(uuid, integer, double precision), public.put_refresh(uuid, integer, bytea, timestamptz),
  public.take_revocations(integer), public.sweep_connections(double precision), public.describe_schema(),
  rapport.give_back()
  from public, anon, authenticated, voice_agent, service_role;
grant execute on function
  public.put_link(text, uuid, text, text, timestamptz, integer), public.start_link(text, text, text, bytea),
  public.answer_link(text), public.sign_in_link(text, bytea, double precision), public.try_digits(text),
  public.end_link(text), public.connect_app(text, uuid, text, bytea, timestamptz), public.disconnect_app(text, text),
  public.take_refresh(uuid, integer, double precision), public.put_refresh(uuid, integer, bytea, timestamptz),
  public.take_revocations(integer), public.sweep_connections(double precision), public.describe_schema()
  to service_role;
-- as before, which it was only replaced from
revoke all on function public.export_user(uuid) from public, anon, authenticated, voice_agent, service_role;
grant execute on function public.export_user(uuid) to authenticated, voice_agent, service_role;

notify pgrst, 'reload schema';
