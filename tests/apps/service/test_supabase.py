"""The same service on a real Postgres behind PostgREST: what must happen once does, and a person's own token erases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from apps.stores.supabase import SupabaseStore
from tests.apps.service.app_server import app_server
from tests.apps.service.conftest import Serve, listed
from tests.apps.service.people import Browser, Job, refused
from tests.supabase.project import Project
from tests.supabase.project import project as running_project

pytestmark = pytest.mark.stack
EVERYTHING = "public.profiles, public.leases, public.revocations, public.oauth_clients"


@pytest.fixture(params=["public", pytest.param("rapport_voice", marks=pytest.mark.soak)])
def project(request: pytest.FixtureRequest) -> Iterator[Project]:
    """With full counts also one where `public` is an app's, and everything of ours is in a schema of its own."""
    here = running_project(request.param)
    with psycopg.connect(here.postgres.as_superuser(here.dsn), autocommit=True) as database:
        database.execute(here.schemas.placed(f"truncate {EVERYTHING} cascade").encode())
    yield here


def store_of(project: Project) -> SupabaseStore:
    return SupabaseStore(project.rest.url, project.rest.secret_key, project.schemas.exposed)


def _rows(project: Project, query: str) -> list[tuple[object, ...]]:
    return project.rows(project.schemas.placed(query))


async def test_two_services_over_one_project(serve: Serve, project: Project) -> None:
    async with (
        app_server(access_seconds=3600) as app,
        serve(tasks=listed(app.url), store=store_of(project)) as one,
        serve(tasks=listed(app.url), store=store_of(project)) as two,
    ):
        alice, bob = one.job("alice"), two.job("bob")
        await asyncio.gather(alice.connect(), bob.connect())
        await asyncio.gather(
            alice.at(two.url).call("add_task", name="milk"), bob.at(one.url).call("add_task", name="tea")
        )
        assert await asyncio.gather(alice.call("list_tasks"), bob.call("list_tasks")) == ["milk", "tea"]
        # all tokens end at once: twenty calls at two services renew each of them once
        app.authority.forget_access()
        jobs = [job.at(url) for job in (alice, bob) for url in (one.url, two.url) for _ in range(5)]
        told = await asyncio.gather(*(job.call("list_tasks") for job in jobs))
        assert told == ["milk"] * 10 + ["tea"] * 10
        assert (app.authority.counts["refresh"], app.authority.counts["reuse"]) == (2, 0)
        app.authority.forget()
        assert await refused(alice.call("list_tasks")) == "reconnect"
        assert await alice.at(two.url).status() == "expired"
        await alice.connect()
        assert await alice.at(two.url).call("list_tasks") == "milk"
        await alice.disconnect()
        assert await refused(alice.at(two.url).call("list_tasks")) == "not_connected"
        await asyncio.gather(one.service.sweep(), two.service.sweep())
        assert app.authority.counts["revoke"] == 1
        assert _rows(project, "select count(*) from public.revocations") == [(0,)]


async def test_what_counts_once_counts_once(serve: Serve, project: Project) -> None:
    async with app_server() as app, serve(tasks=listed(app.url), store=store_of(project)) as here:
        eve = here.job("eve")
        link = await eve.link()
        pages = await asyncio.gather(*(Browser().press(link) for _ in range(8)))
        assert sorted(page.status for page in pages) == [303] + [404] * 7
        browser, link = Browser(), await eve.link()
        answer = await browser.back(link, "victim")
        page = await browser.open(answer)
        assert "used already" in (await browser.open(answer)).why
        wrong = [str(number) for number in range(2000, 2009) if str(number) != page.digits][:8]
        codes = await asyncio.gather(*(refused(eve.confirm(guess)) for guess in wrong))
        assert codes.count("wrong_code") == 2 and set(codes) <= {"wrong_code", "too_many", "nothing_waits"}
        await here.service.sweep()
        assert app.authority.refresh == {}
        for _ in range(3):
            await eve.link()
        assert await refused(eve.link()) == "too_many_links"


@pytest.mark.parametrize("keys", [("SUPABASE_SECRET_KEY",), ("SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_JWT_SECRET")])
async def test_who_erases_themselves_gives_back_what_apps_granted(
    serve: Serve, project: Project, keys: tuple[str, ...]
) -> None:
    """With a token of their own too, which may touch neither secrets nor the queue."""
    memories = project.store(*keys, role="voice_agent")
    async with app_server() as app, serve(tasks=listed(app.url), store=store_of(project)) as here:
        alice, bob = here.job("alice"), here.job("bob")
        await asyncio.gather(alice.connect(), bob.connect())
        await Browser().sign_in(await alice.link(), "alice again")
        exported = await memories.export(alice.person)
        assert [(each["app"], each["status"]) for each in exported["connections"]] == [("tasks", "active")]
        assert "connections" in await memories.export(bob.person)
        app.down = True
        await memories.erase(alice.person)
        assert "connections" not in await memories.export(alice.person)
        await here.service.sweep()
        assert len(app.authority.refresh) == 3
        app.down = False
        _rows(project, "with x as (update public.revocations set next_at = now() returning 1) select * from x")
        await here.service.sweep()
        assert {token.subject for token in app.authority.refresh.values()} == {"bob"}
        assert await bob.call("list_tasks") == "There are no open tasks."
    await memories.aclose()


async def test_no_token_and_no_link_stands_in_the_database(serve: Serve, project: Project) -> None:
    async with app_server() as app, serve(tasks=listed(app.url), store=store_of(project)) as here:
        await here.job("alice").connect()
        link = await here.job("bob").link()
        await Browser().sign_in(link, "bob")
        tables = ("connections", "connection_secrets", "connection_links", "oauth_clients", "revocations")
        everything = str([_rows(project, f"select t.*, t::text from public.{table} t") for table in tables])  # noqa: S608
        hidden = [*app.authority.families, link.rsplit("/")[-1]]
        assert len(hidden) == 5
        assert [one for one in hidden if one in everything or one.encode().hex() in everything] == []


async def test_a_project_that_is_not_there_is_said_in_time(serve: Serve) -> None:
    async with serve(tasks=listed("http://127.0.0.1:1/mcp"), store=SupabaseStore("http://127.0.0.1:1", "key")) as here:
        assert await refused(Job(here.url, "alice").ask("GET", "/apps")) == "app_down"
