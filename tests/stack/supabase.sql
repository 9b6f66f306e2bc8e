-- What a Supabase project has before the first migration of its owner runs, as far as ours can tell. Read from
-- Supabase's own public start-up scripts; run by the superuser, who there too is called supabase_admin.

grant create, connect on database :"database" to postgres;
alter database :"database" set search_path to "$user", public, extensions;
alter database :"database" set timezone to 'UTC';

-- `postgres` owns public there and is no superuser
alter schema public owner to postgres;
grant usage on schema public to anon, authenticated, service_role;

create schema extensions authorization postgres;
grant usage on schema extensions to anon, authenticated, service_role;

create schema auth;
grant usage on schema auth to postgres, anon, authenticated, service_role;
create table auth.users (id uuid primary key, email varchar(255), created_at timestamptz default now());
grant all on auth.users to postgres;

create function auth.uid() returns uuid language sql stable as $$
  select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
    (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid
$$;

-- PostgREST hears of changed tables and functions by itself there
create function extensions.pgrst_ddl_watch() returns event_trigger language plpgsql as $$
begin
  notify pgrst, 'reload schema';
end $$;
create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
