"""Connecting: the whole way, and each way that is refused, with the words that say why."""

from __future__ import annotations

import asyncio
import time

import pytest

from apps.core import LINK_SECONDS, LINKS_AN_HOUR
from tests.apps.service.app_server import app_server, status
from tests.apps.service.conftest import Clock, Serve, listed
from tests.apps.service.people import SECRET, Browser, Job, Refusal, refused


async def test_two_people_at_once_each_see_their_own(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice, bob = here.job("alice"), here.job("bob")
        assert await alice.status() == "available"
        await asyncio.gather(alice.connect(), bob.connect())
        assert await alice.status() == "connected"
        await asyncio.gather(alice.call("add_task", name="milk"), bob.call("add_task", name="tea"))
        assert await asyncio.gather(alice.call("list_tasks"), bob.call("list_tasks")) == ["milk", "tea"]
        assert "tasks.list_tasks" in await alice.tools()
        assert await here.job("a stranger").tools() == []
        await alice.disconnect()
        assert await alice.status() == "available"
        assert await refused(alice.call("list_tasks")) == "not_connected"
        assert await bob.call("list_tasks") == "tea"
        await here.service.sweep()
        assert app.authority.counts["revoke"] == 1


async def test_a_page_names_who_asked_and_a_look_at_it_uses_nothing(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url, title="Tasks & more")) as here:
        link = await here.job("<Alice>").link()
        for _ in range(3):
            page = await Browser().open(link)
            assert page.status == 200
            assert "&lt;Alice&gt;" in page.text and "Tasks &amp; more" in page.text and "close this page" in page.text
        assert (await Browser().sign_in(link, "alice")).digits


async def test_what_is_no_link_of_ours_is_refused(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        link = await here.job("alice").link()
        for wrong in (link[:-2] + "xx", link[:-1], f"{link}a"):
            for page in (await Browser().open(wrong), await Browser().press(wrong)):
                assert (page.status, page.why) == (404, "This link is not one of ours.")


async def test_a_link_is_good_for_ten_minutes(serve: Serve, clock: Clock) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        link = await here.job("alice").link()
        clock.ahead = LINK_SECONDS - 5
        assert (await Browser().open(link)).status == 200
        clock.ahead = LINK_SECONDS + 1
        assert (await Browser().press(link)).why == "This link has expired. Ask for a new one."


async def test_a_link_and_its_answer_count_once(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        link, browser = await here.job("alice").link(), Browser()
        answer = await browser.back(link, "alice")
        assert (await browser.press(link)).why == "This link was used already. Ask for a new one."
        pages = await asyncio.gather(*(browser.open(answer) for _ in range(8)))
        assert sum(not page.why for page in pages) == 1
        assert (await browser.open(answer)).why == "This sign-in was used already. Ask for a new link."


async def test_eight_browsers_press_and_one_goes_on(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        link = await here.job("alice").link()
        pages = await asyncio.gather(*(Browser().press(link) for _ in range(8)))
        assert sorted(page.status for page in pages) == [303] + [404] * 7


async def test_an_answer_to_nothing_is_refused(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        for query in ("code=x&state=y", "code=x", "error=access_denied&state=y"):
            page = await Browser().open(f"{here.url}/oauth/callback?{query}")
            assert (page.status, page.why) == (404, "Nobody here waits for this answer.")


async def test_an_answer_in_another_browser_is_refused_and_spends_nothing(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        mine, link = Browser(), await here.job("alice").link()
        answer = await mine.back(link, "alice")
        assert "another browser" in (await Browser().open(answer)).why
        assert (await Browser().open(f"{here.url}/oauth/done")).why == "No sign-in waits in this browser."
        assert (await mine.open(answer)).digits


async def test_an_answer_of_another_issuer_is_refused_before_it_is_believed(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        for spoil in (lambda answer: answer.replace("iss=http%3A", "iss=https%3A"), lambda answer: answer + "&error=x"):
            browser = Browser()
            answer = await browser.back(await alice.link(), "alice")
            page = await browser.open(spoil(answer))
            assert page.status in (404, 502)
            assert page.why
        assert app.authority.access == {}
        assert await refused(alice.confirm("0000")) == "nothing_waits"


async def test_who_declines_at_the_app_is_told_so(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        browser = Browser()
        address = await browser.to_the_app(await here.job("alice").link())
        answer = app.authority.decline(await browser.ticket(address))
        assert (await browser.open(answer)).why == "The app was not connected: the sign-in was declined."


async def test_somebody_elses_number_is_nobodys(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice, bob = here.job("alice"), here.job("bob")
        page = await Browser().sign_in(await alice.link(), "alice")
        assert await refused(bob.confirm(page.digits)) == "nothing_waits"
        assert await alice.confirm(page.digits) == "tasks"
        assert await refused(alice.confirm(page.digits)) == "nothing_waits"


async def test_phishing_connects_nothing_and_the_victims_grant_is_given_back(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        eve = here.job("eve")
        page = await Browser().sign_in(await eve.link(), "victim")
        guesses = [str(number) for number in range(1000, 1005) if str(number) != page.digits][:3]
        assert [await refused(eve.confirm(guess)) for guess in guesses] == ["wrong_code", "wrong_code", "too_many"]
        assert await refused(eve.confirm(page.digits)) == "nothing_waits"
        await here.service.sweep()
        assert app.authority.counts["revoke"] >= 1 and app.authority.access == {} == app.authority.refresh
        assert await eve.status() == "available" and await eve.tools() == []


async def test_eight_guesses_at_once_are_three(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        eve = here.job("eve")
        page = await Browser().sign_in(await eve.link(), "victim")
        wrong = [str(number) for number in range(2000, 2009) if str(number) != page.digits][:8]
        codes = await asyncio.gather(*(refused(eve.confirm(guess)) for guess in wrong))
        assert codes.count("wrong_code") == 2 and set(codes) <= {"wrong_code", "too_many", "nothing_waits"}


async def test_a_sign_in_that_nobody_confirms_is_given_back(serve: Serve, clock: Clock) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        page = await Browser().sign_in(await alice.link(), "alice")
        clock.ahead = LINK_SECONDS + 1
        await here.service.sweep()
        assert app.authority.access == {} == app.authority.refresh
        assert await refused(alice.confirm(page.digits)) == "nothing_waits"


async def test_who_signs_in_late_still_has_time_for_the_number(serve: Serve, clock: Clock) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice, browser = here.job("alice"), Browser()
        answer = await browser.back(await alice.link(), "alice")
        clock.ahead = LINK_SECONDS - 5
        page = await browser.open(answer)
        clock.ahead = LINK_SECONDS + 60
        assert await alice.confirm(page.digits) == "tasks"


async def test_a_new_link_ends_the_one_before_it(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        first = await alice.link()
        page = await Browser().sign_in(await alice.link(), "alice")
        assert "used already" in (await Browser().open(first)).why
        await alice.link()
        assert await refused(alice.confirm(page.digits)) == "nothing_waits"
        await here.service.sweep()
        assert app.authority.access == {}


async def test_five_links_an_hour(serve: Serve, clock: Clock) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        for _ in range(LINKS_AN_HOUR):
            await alice.link()
        assert await refused(alice.link()) == "too_many_links"
        await here.job("bob").link()
        clock.ahead = 3601
        await alice.link()


async def test_connecting_again_forgets_the_old_grant_and_gives_nothing_back(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect(account="at home")
        await alice.call("add_task", name="sweep")
        await alice.connect(account="at work")
        assert await alice.call("list_tasks") == "There are no open tasks."
        await here.service.sweep()
        assert app.authority.counts["revoke"] == 0


async def test_who_comes_from_another_site_goes_nowhere(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        link = await here.job("alice").link()
        page = await Browser().press(link, sec_fetch_site="cross-site")
        assert page.status == 404 and "Another site" in page.why
        assert (await Browser().press(link, sec_fetch_site="same-origin")).status == 303


@pytest.mark.parametrize(
    "spoil",
    [
        lambda job: job.token(aud="somebody else"),
        lambda job: job.token(exp=int(time.time()) - 60),
        lambda job: job.token(exp=int(time.time()) + 3600),
        lambda job: job.token(sub="alice@example.com"),
        lambda job: Job("", "alice", "another secret of thirty-two characters").token(),
        lambda job: "nothing",
    ],
    ids=["another audience", "over", "too long", "no UUID", "another secret", "no token"],
)
async def test_nobodys_token_is_refused(serve: Serve, spoil: object) -> None:
    assert callable(spoil)
    async with serve(tasks=listed("http://127.0.0.1:1/mcp")) as here:
        job = here.job("alice")
        assert len(SECRET) >= 32
        with pytest.raises(Refusal) as told:
            await job.ask("GET", "/apps", token=spoil(job))
        assert (told.value.code, told.value.status) == ("who", 401)


async def test_what_is_not_listed_is_refused(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url, reads=["list_tasks"], writes=[])) as here:
        alice = here.job("alice")
        assert await refused(alice.link("diary")) == "no_such_app"
        assert await refused(alice.call("read", app="diary")) == "no_such_app"
        await alice.connect()
        assert await alice.tools() == ["tasks.list_tasks"]
        assert await refused(alice.call("add_task", name="milk")) == "no_such_tool"
        assert app.tasks.of == {}


async def test_what_is_malformed_is_refused(serve: Serve) -> None:
    async with serve(tasks=listed("http://127.0.0.1:1/mcp")) as here:
        alice = here.job("alice")
        assert await refused(alice.ask("POST", "/confirm", {"code": 7142})) == "unknown"
        assert await refused(alice.ask("POST", "/confirm", ["7142"])) == "unknown"
        assert await refused(alice.ask("POST", "/tools/tasks/list_tasks", {"name": "milk"})) == "unknown"


async def test_an_app_that_is_down_is_a_page_that_says_so_and_the_link_stays_good(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice, browser = here.job("alice"), Browser()
        link = await alice.link()
        app.down = True
        assert "does not answer" in (await browser.press(link)).why
        app.down = False
        assert (await browser.sign_in(link, "alice")).digits


async def test_scope_step_up_asks_for_both(serve: Serve) -> None:
    async with app_server() as app, serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        app.fault = status(403, www_authenticate='Bearer error="insufficient_scope", scope="tasks admin"')
        assert await refused(alice.call("list_tasks")) == "reconnect"
        app.fault = None
        assert await alice.status() == "expired"
        address = await Browser().to_the_app(await alice.link())
        assert "scope=tasks+admin" in address
