-- Who may ask: the roles, the schema of our own helpers, and auth.uid(), which says whose token this is.
-- A Supabase project has all but voice_agent and the schema already; a plain Postgres gets the rest here.
set local lock_timeout = '5s';
set local statement_timeout = '60s';

do $$
declare
  v_role text;
begin
  if current_setting('server_version_num')::integer < 150000 then
    raise exception 'Postgres 15 or newer is needed, this is %', current_setting('server_version');
  end if;

  foreach v_role in array array['anon', 'authenticated'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
      execute format('create role %I nologin noinherit', v_role);
    end if;
  end loop;
  if not exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
    create role service_role nologin noinherit bypassrls;
  end if;

  -- For the tokens that the worker mints: what `authenticated` may do here, and nothing else in the project.
  if not exists (select from pg_catalog.pg_roles where rolname = 'voice_agent') then
    create role voice_agent nologin noinherit;
    alter role voice_agent set statement_timeout = '8s';  -- as `authenticated` has on Supabase
  end if;
  if exists (select from pg_catalog.pg_roles where rolname = 'authenticator')
     and not pg_has_role('authenticator', 'voice_agent', 'member') then
    grant voice_agent to authenticator;
  end if;

  foreach v_role in array array['authenticated', 'voice_agent', 'service_role'] loop
    if not has_schema_privilege(v_role, 'public', 'usage') then
      execute format('grant usage on schema public to %I', v_role);
    end if;
  end loop;
end $$;

-- Not in the exposed schemas of PostgREST, so that nothing in it can be called from outside.
create schema if not exists rapport;
revoke all on schema rapport from public, anon;
grant usage on schema rapport to authenticated, voice_agent, service_role;

do $$
begin
  if not exists (
    select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'auth' and p.proname = 'uid' and p.pronargs = 0
  ) then
    create schema if not exists auth;
    grant usage on schema auth to authenticated, voice_agent, service_role;
    create function auth.uid() returns uuid language sql stable security invoker set search_path = ''
    as $f$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $f$;
  end if;
end $$;

notify pgrst, 'reload schema';
