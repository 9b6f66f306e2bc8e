-- Raises unless 20261121100000_roles.sql is in effect. Reads the catalog alone, changes nothing.
do $$
begin
  if to_regrole('voice_agent') is null or to_regrole('service_role') is null or to_regrole('authenticated') is null
     or to_regrole('anon') is null then
    raise exception 'a role is missing: voice_agent, service_role, authenticated or anon';
  end if;
  if (select rolsuper or rolbypassrls or rolcanlogin from pg_catalog.pg_roles where rolname = 'voice_agent') then
    raise exception 'voice_agent may do more than it should: superuser, bypass row-level security, or log in';
  end if;
  if not (select rolbypassrls from pg_catalog.pg_roles where rolname = 'service_role') then
    raise exception 'service_role does not bypass row-level security';
  end if;
  if to_regrole('authenticator') is not null and not pg_has_role('authenticator', 'voice_agent', 'member') then
    raise exception 'PostgREST''s role, authenticator, may not become voice_agent';
  end if;
  if not has_schema_privilege('voice_agent', 'public', 'usage') or not has_schema_privilege('voice_agent', 'rapport', 'usage')
  then
    raise exception 'voice_agent may not use the schemas public and rapport';
  end if;
  if has_schema_privilege('anon', 'rapport', 'usage') then
    raise exception 'anon may use the schema rapport';
  end if;
  if to_regprocedure('auth.uid()') is null then
    raise exception 'auth.uid() is missing';
  end if;
end $$;
