-- A project whose app has tables of our names, and people in them: a chat with its own conversations, messages, sessions and
-- memories, and the quickstart's `profiles`, which a trigger fills when somebody signs up.
-- Run as `postgres`, in a database of the kind `quickstart`.
create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.profiles (id, full_name, avatar_url)
  values (new.id, new.email, null);
  return new;
end $$;
create trigger on_auth_user_created after insert on auth.users for each row execute function public.handle_new_user();

create table conversations (
  id bigint generated always as identity primary key,
  owner uuid references profiles (id) on delete cascade,
  title text not null
);
create table messages (
  id bigint generated always as identity primary key,
  conversation_id bigint not null references conversations (id) on delete cascade,
  body text not null,
  sent_at timestamptz not null default now()
);
create table sessions (id text primary key, owner uuid references profiles (id), data jsonb not null default '{}');
create table memories (id uuid primary key default gen_random_uuid(), owner uuid, picture text);
alter table conversations enable row level security;
alter table messages enable row level security;
alter table sessions enable row level security;
alter table memories enable row level security;
create policy "Own conversations" on conversations for all using ((select auth.uid()) = owner);
create policy memories_own on memories for all using ((select auth.uid()) = owner);
create function public.forget(p_user_id uuid) returns void language sql as 'delete from public.memories where owner = p_user_id';

insert into conversations (owner, title) values ('00000000-0000-4000-8000-00000000000a', 'Holidays');
insert into messages (conversation_id, body) select id, 'Where shall we go?' from conversations;
insert into sessions (id, owner) values ('cookie', '00000000-0000-4000-8000-00000000000a');
insert into memories (owner, picture) values ('00000000-0000-4000-8000-00000000000a', 'beach.jpg');
