-- The `profiles` of Supabase's "User Management Starter", with three people: what an old deployment has.
-- Run as `postgres`, as the dashboard's SQL editor does.
create table profiles (
  id uuid references auth.users on delete cascade not null primary key,
  updated_at timestamp with time zone,
  username text unique,
  full_name text,
  avatar_url text,
  website text,
  constraint username_length check (char_length(username) >= 3)
);
alter table profiles enable row level security;
create policy "Public profiles are viewable by everyone." on profiles for select using (true);
create policy "Users can insert their own profile." on profiles for insert with check ((select auth.uid()) = id);
create policy "Users can update own profile." on profiles for update using ((select auth.uid()) = id);

insert into auth.users (id, email) values
  ('00000000-0000-4000-8000-00000000000a', 'ada@example.com'),
  ('00000000-0000-4000-8000-00000000000b', 'bob@example.com'),
  ('00000000-0000-4000-8000-00000000000c', null);
insert into profiles (id, updated_at, username, full_name) values
  ('00000000-0000-4000-8000-00000000000a', '2024-02-29 12:00+00', 'ada', 'Ada L.'),
  ('00000000-0000-4000-8000-00000000000b', null, 'bob', null),
  ('00000000-0000-4000-8000-00000000000c', null, null, null);
