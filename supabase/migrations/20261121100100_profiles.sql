-- One row per person. The id is made from the signed identity of a LiveKit participant: it is nobody in auth.users.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table if not exists public.profiles (
  id             uuid        primary key,
  email          text,
  is_first_login boolean     not null default true,
  created_at     timestamptz not null default now()
);

-- The rest of this block is for a `profiles` that was there before, as Supabase's quickstart makes it: its rows and
-- its other columns stay, its tie to auth.users goes.
alter table public.profiles add column if not exists email text;
alter table public.profiles add column if not exists is_first_login boolean not null default true;
alter table public.profiles add column if not exists created_at timestamptz not null default now();
alter table public.profiles alter column email drop not null;
update public.profiles set is_first_login = true where is_first_login is null;
update public.profiles set created_at = now() where created_at is null;
alter table public.profiles alter column is_first_login set default true, alter column is_first_login set not null;
alter table public.profiles alter column created_at set default now(), alter column created_at set not null;

do $$
declare
  v_name text;
begin
  for v_name in
    select conname from pg_catalog.pg_constraint k
    join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attname = 'id' and k.conkey = array[a.attnum]
    where k.conrelid = 'public.profiles'::regclass and k.contype = 'f'
  loop
    execute format('alter table public.profiles drop constraint %I', v_name);
  end loop;

  select string_agg(quote_ident(attname), ', ') into v_name from pg_catalog.pg_attribute
  where attrelid = 'public.profiles'::regclass and attnum > 0 and not attisdropped
    and attnotnull and not atthasdef and attidentity = '' and attname <> 'id';
  if v_name is not null then
    raise exception 'public.profiles has columns that must be given and that nobody here knows: %', v_name
      using hint = 'Give them a default, or allow null, then apply this migration again.';
  end if;
end $$;

alter table public.profiles enable row level security;
revoke all on public.profiles from public, anon, authenticated, voice_agent, service_role;
grant select, insert, update, delete on public.profiles to service_role;
grant select, insert, delete on public.profiles to authenticated, voice_agent;
grant update (email, is_first_login) on public.profiles to authenticated, voice_agent;

do $$
declare
  v_columns text;
begin
  -- what a site of the same project lets its people change about themselves stays theirs to change
  select string_agg(quote_ident(attname), ', ') into v_columns from pg_catalog.pg_attribute
  where attrelid = 'public.profiles'::regclass and attnum > 0 and not attisdropped and attgenerated = ''
    and attname not in ('id', 'email', 'is_first_login', 'created_at');
  if v_columns is not null then
    execute format('grant update (%s) on public.profiles to authenticated', v_columns);
  end if;
end $$;

drop policy if exists profiles_own on public.profiles;
create policy profiles_own on public.profiles for all to authenticated, voice_agent
  using (id = (select auth.uid())) with check (id = (select auth.uid()));
-- Policies add up, and the quickstart's lets everybody see everybody. A restrictive one bounds them all.
drop policy if exists profiles_nobody_elses on public.profiles;
create policy profiles_nobody_elses on public.profiles as restrictive for all to authenticated, voice_agent
  using (id = (select auth.uid())) with check (id = (select auth.uid()));

-- A profile as the API gives it out. `security_invoker`: a view would else show everybody's rows to everybody.
create or replace view rapport.profile_documents with (security_invoker = true) as
select
  p.id as user_id,
  jsonb_build_object(
    'id', p.id,
    'email', p.email,
    'is_first_login', p.is_first_login,
    'created_at', to_char(p.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
  ) as document
from public.profiles p;
revoke all on rapport.profile_documents from public, anon, authenticated, voice_agent, service_role;
grant select on rapport.profile_documents to authenticated, voice_agent, service_role;

-- The person's profile, made if it was missing; "created" is true for the one caller that made it.
create or replace function public.ensure_profile(p_user_id uuid, p_email text default null)
returns jsonb language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_email text := nullif(p_email, '');
  v_profile jsonb;
  v_created boolean := false;
begin
  if p_user_id is null then
    raise exception 'ensure_profile: no user' using errcode = 'null_value_not_allowed';
  end if;

  -- who comes back takes no lock and writes nothing
  select document into v_profile from rapport.profile_documents where user_id = p_user_id;
  if not found then
    insert into public.profiles (id, email) values (p_user_id, v_email) on conflict (id) do nothing;
    v_created := found;
    -- a statement of its own, so that who lost the race sees the winner's row
    select document into v_profile from rapport.profile_documents where user_id = p_user_id;
    if not found then
      raise exception 'ensure_profile: the profile was erased meanwhile' using errcode = 'serialization_failure';
    end if;
  end if;

  if v_email is not null and v_profile ->> 'email' is null then
    update public.profiles set email = v_email where id = p_user_id and email is null;
    select document into v_profile from rapport.profile_documents where user_id = p_user_id;
  end if;
  return v_profile || jsonb_build_object('created', v_created);
end $$;

-- Make sure of the profile and hold it until the transaction ends: what is done for one person is done one after the
-- other. A row lock, because nobody can take that of a row which row-level security hides from them.
create or replace function rapport.hold_profile(p_user_id uuid, p_email text default null)
returns jsonb language plpgsql volatile security invoker set search_path = ''
as $$
declare
  v_profile jsonb := public.ensure_profile(p_user_id, p_email);
begin
  perform from public.profiles where id = p_user_id for no key update;
  if not found then
    raise exception 'the profile was erased meanwhile' using errcode = 'serialization_failure';
  end if;
  return v_profile;
end $$;

-- Take the person's one first greeting: true for exactly one caller, ever.
create or replace function public.complete_first_login(p_user_id uuid)
returns boolean language plpgsql volatile security invoker set search_path = ''
as $$
begin
  update public.profiles set is_first_login = false where id = p_user_id and is_first_login;
  return found;
end $$;

revoke all on function
  public.ensure_profile(uuid, text), public.complete_first_login(uuid), rapport.hold_profile(uuid, text)
  from public, anon, authenticated, voice_agent, service_role;
grant execute on function
  public.ensure_profile(uuid, text), public.complete_first_login(uuid), rapport.hold_profile(uuid, text)
  to authenticated, voice_agent, service_role;

notify pgrst, 'reload schema';
