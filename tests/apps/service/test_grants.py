"""Grants: renewed by one at a time, sealed for one row, given back for certain."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from apps.core import Connection
from apps.stores.sealing import KeysWrong, Sealing, Unsealable, new_key
from apps.stores.sqlite import SqliteStore
from apps.tokens import LEASE_SECONDS
from memory.stores.sqlite import SqliteStore as MemoryStore
from tests.apps.service.app_server import app_server
from tests.apps.service.conftest import Clock, Running, Serve, listed
from tests.apps.service.people import Browser, refused


async def connection_of(here: Running, name: str = "alice") -> Connection:
    found = await here.store.connection(here.job(name).person, "tasks")
    assert found
    return found


async def test_a_restart_with_an_expired_token_asks_nobody(serve: Serve, clock: Clock) -> None:
    async with app_server() as app:
        async with serve(tasks=listed(app.url)) as here:
            await here.job("alice").connect()
        clock.ahead = 7200
        app.authority.forget_access()
        async with serve(tasks=listed(app.url)) as here:
            assert await here.job("alice").call("list_tasks") == "There are no open tasks."
        assert (app.authority.counts["refresh"], app.authority.counts["reuse"]) == (1, 0)


async def test_of_twenty_calls_at_two_services_one_renews(serve: Serve, clock: Clock) -> None:
    async with (
        app_server() as app,
        serve(tasks=listed(app.url)) as one,
        serve(tasks=listed(app.url)) as two,
    ):
        alice = one.job("alice")
        await alice.connect()
        clock.ahead = 3590
        jobs = [alice, alice.at(two.url)] * 10
        told = await asyncio.gather(*(job.call("list_tasks") for job in jobs))
        assert set(told) == {"There are no open tasks."}
        assert (app.authority.counts["refresh"], app.authority.counts["reuse"]) == (1, 0)


async def test_who_died_while_renewing_holds_nobody_for_long(serve: Serve, clock: Clock) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        clock.ahead = 3590
        assert await here.store.take_refresh(await connection_of(here), seconds=LEASE_SECONDS)
        waiting = asyncio.create_task(alice.call("list_tasks"))
        await asyncio.sleep(0.3)
        assert app.authority.counts["refresh"] == 0
        clock.ahead += LEASE_SECONDS
        assert await waiting == "There are no open tasks."
        assert app.authority.counts["refresh"] == 1


async def test_a_renewal_goes_on_when_its_caller_gives_up(serve: Serve, clock: Clock) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        clock.ahead = 3590
        asked = asyncio.create_task(here.service.grants.good(await connection_of(here)))
        while not here.service.grants.renewing:  # noqa: ASYNC110 - for a few turns of the loop
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        assert await alice.call("list_tasks") == "There are no open tasks."
        assert (app.authority.counts["refresh"], app.authority.counts["reuse"]) == (1, 0)


async def test_a_renewal_that_is_down_is_tried_again_by_the_next_call(serve: Serve, clock: Clock) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        clock.ahead = 3590
        app.down = True
        assert await refused(alice.call("list_tasks")) == "app_down"
        app.down = False
        assert await alice.call("list_tasks") == "There are no open tasks."
        assert await alice.status() == "connected"


async def test_no_token_and_no_link_stands_in_the_file(serve: Serve, file: Path) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice, bob = here.job("alice"), here.job("bob")
        await alice.connect()
        link = await bob.link()
        await Browser().sign_in(link, "bob")
        issued = [*app.authority.families, link.rsplit("/")[-1]]
        assert len(issued) == 5
        everything = b"".join(path.read_bytes() for path in file.parent.iterdir())
        assert [secret for secret in issued if secret.encode() in everything] == []
        secret = app.authority.clients[next(iter(app.authority.clients))].client_secret
        assert secret and secret.encode() not in everything


async def test_a_ciphertext_in_another_row_does_not_open(serve: Serve, file: Path) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice, bob = here.job("alice"), here.job("bob")
        await alice.connect()
        await bob.connect()
        await alice.call("add_task", name="a secret of alice")
        of_alice = await connection_of(here)
        with sqlite3.connect(file) as db:
            db.execute("update connection_secrets set sealed = ? where user_id = ?", (of_alice.sealed, str(bob.person)))
        assert await refused(bob.call("list_tasks")) == "reconnect"
        assert await alice.call("list_tasks") == "a secret of alice"


def test_a_seal_is_bound_to_its_row_and_to_its_keys() -> None:
    old, new = new_key("old"), new_key("new")
    sealed = Sealing(old).seal("a|b", {"access": "at_1"})
    assert Sealing(f"{new},{old}").open("a|b", sealed) == {"access": "at_1"}
    for keys, row in ((old, "a|c"), (new, "a|b")):
        with pytest.raises(Unsealable):
            Sealing(keys).open(row, sealed)
    for part in range(len(sealed)):
        spoiled = sealed[:part] + bytes([sealed[part] ^ 1]) + sealed[part + 1 :]
        with pytest.raises(Unsealable):
            Sealing(old).open("a|b", spoiled)


async def test_keys_rotate_and_the_old_one_may_go_after_the_next_renewal(serve: Serve, clock: Clock) -> None:
    old, new = new_key("old"), new_key("new")
    async with app_server() as app:
        async with serve(keys=old, tasks=listed(app.url)) as here:
            await here.job("alice").connect()
        clock.ahead = 3590
        async with serve(keys=f"{new},{old}", tasks=listed(app.url)) as here:
            await here.job("alice").call("list_tasks")
        clock.ahead = 0
        async with serve(keys=new, tasks=listed(app.url)) as here:
            assert await here.job("alice").call("list_tasks") == "There are no open tasks."


@pytest.mark.parametrize("keys", ["", "k1", "k1:", "k1:AAAA", ":" + "A" * 43 + "=", f"k1:{'A' * 43}=,k1:{'A' * 42}B="])
def test_keys_that_are_none_are_refused_without_being_quoted(keys: str) -> None:
    with pytest.raises(KeysWrong) as told:
        Sealing(keys)
    assert "APPS_KEYS" in str(told.value) and "AAAA" not in str(told.value)


# -- erasing


async def test_who_is_erased_is_given_back_at_the_app_also_later(serve: Serve, clock: Clock, file: Path) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice, bob = here.job("alice"), here.job("bob")
        await asyncio.gather(alice.connect(), bob.connect())
        memories = MemoryStore(file)
        exported = await memories.export(alice.person)
        assert [(each["app"], each["status"]) for each in exported["connections"]] == [("tasks", "active")]
        assert not any(token in str(exported) for token in app.authority.families)
        app.down = True
        assert (await memories.erase(alice.person))["connections"] == 1
        await memories.aclose()
        assert await refused(alice.call("list_tasks")) == "not_connected"
        await here.service.sweep()
        assert app.authority.counts["revoke"] == 0
        app.down = False
        await here.service.sweep()
        assert app.authority.counts["revoke"] == 0  # it is asked again when its time has come
        clock.ahead = 3600
        await here.service.sweep()
        assert app.authority.counts["revoke"] == 1
        assert {token.subject for token in app.authority.refresh.values()} == {"bob"}
        with sqlite3.connect(file) as db:
            tables = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
            left = {name: db.execute(f"select * from {name}").fetchall() for name in tables}  # noqa: S608
        assert [name for name, rows in left.items() if str(alice.person) in str(rows)] == []


async def test_a_sign_in_of_who_is_erased_is_given_back_too(serve: Serve, file: Path) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        page = await Browser().sign_in(await alice.link(), "alice")
        memories = MemoryStore(file)
        await memories.erase(alice.person)
        await memories.aclose()
        assert await refused(alice.confirm(page.digits)) == "nothing_waits"
        await here.service.sweep()
        assert app.authority.refresh == {}


async def test_what_nobody_used_for_long_is_given_back(serve: Serve, clock: Clock) -> None:
    async with app_server() as app, serve(tasks=listed(app.url), more={"apps_unused_days": 30}) as here:
        alice = here.job("alice")
        await alice.connect()
        clock.ahead = 29 * 86_400
        await here.service.sweep()
        assert await alice.status() == "connected"
        clock.ahead = 31 * 86_400
        await here.service.sweep()
        assert await alice.status() == "available"
        assert app.authority.refresh == {}


async def test_two_services_give_back_once(serve: Serve, file: Path, clock: Clock) -> None:
    one, two = SqliteStore(file, clock), SqliteStore(file, clock)
    async with app_server() as app, serve(tasks=listed(app.url), store=one) as here:
        people = [here.job(f"p{number}") for number in range(4)]
        await asyncio.gather(*(each.connect() for each in people))
        await asyncio.gather(*(each.disconnect() for each in people))
        async with serve(tasks=listed(app.url), store=two) as other:
            await asyncio.gather(here.service.sweep(), other.service.sweep())
        assert app.authority.counts["revoke"] == len(people)
