"""The other two ways to an app: Composio, and a server of the operator's own that takes tokens of ours."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from mcp.server import MCPServer
from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings

from apps.core import LINK_SECONDS
from apps.providers.composio import SESSION_SECONDS
from offline.tasks import Tasks, listen
from tests.apps.service.app_server import app_server, serving
from tests.apps.service.composio import KEY, TOOLS, Composio, composio
from tests.apps.service.conftest import Clock, Running, Serve, listed
from tests.apps.service.people import Browser, Job, refused

GET, CREATE = TOOLS
ASANA: dict[str, Any] = {"toolkit": "asana", "reads": [GET], "writes": [CREATE]}


@asynccontextmanager
async def with_composio(serve: Serve, **more: Any):
    async with composio() as there:
        settings = {"composio_api_key": KEY, "composio_url": there.base}
        async with serve(asana=ASANA, more=settings, **more) as here:
            there.verifier = f"{here.url}/oauth/composio"
            yield there, here


async def sign_in(job: Job, browser: Browser | None = None) -> str:
    """The digits; whose account it is, Composio's page does not ask here."""
    browser = browser or Browser()
    page = await browser.open(await browser.pressed(await browser.to_the_app(await job.link("asana"))))
    return page.digits


async def test_composio_exchanges_nothing_before_the_person_says_the_number(serve: Serve) -> None:
    async with with_composio(serve) as (there, here):
        alice, bob = here.job("alice"), here.job("bob")
        digits = await sign_in(alice)
        assert [each["status"] for each in there.accounts.values()] == ["INITIATED"]
        assert await refused(bob.confirm(digits)) == "nothing_waits"
        assert [each["status"] for each in there.accounts.values()] == ["INITIATED"]
        assert await alice.confirm(digits) == "asana"
        assert [each["status"] for each in there.accounts.values()] == ["ACTIVE"]
        assert await bob.confirm(await sign_in(bob)) == "asana"
        await asyncio.gather(alice.call(CREATE, app="asana", name="milk"), bob.call(CREATE, app="asana", name="tea"))
        assert await asyncio.gather(alice.call(GET, app="asana"), bob.call(GET, app="asana")) == ["milk", "tea"]
        assert sorted(await alice.tools()) == [f"asana.{CREATE}", f"asana.{GET}"]
        assert set(there.tasks) == {str(alice.person), str(bob.person)}
        for session in there.sessions.values():
            assert session["user_id"] in (str(alice.person), str(bob.person))
            assert session["tools"] == {"asana": {"enable": [GET, CREATE]}}
            for own in ("manage_connections", "workbench", "search"):
                assert session[own] == {"enable": False}
        assert set(there.keys) == {KEY, ""}  # a browser has none


async def test_phishing_through_composio_leaves_no_account(serve: Serve) -> None:
    async with with_composio(serve) as (there, here):
        eve = here.job("eve")
        digits = await sign_in(eve)
        for guess in [str(number) for number in range(1000, 1005) if str(number) != digits][:3]:
            await refused(eve.confirm(guess))
        await here.service.sweep()
        assert there.accounts == {} == there.sessions


async def test_without_the_verifier_nothing_is_connected(serve: Serve) -> None:
    async with with_composio(serve) as (there, here):
        there.verifier = None
        browser = Browser()
        page = await browser.open(await browser.pressed(await browser.to_the_app(await here.job("a").link("asana"))))
        assert "switch on the OAuth callback verifier" in page.why
        await here.service.sweep()
        assert there.accounts == {} == there.sessions


async def test_a_sign_in_that_comes_back_in_another_browser_is_refused(serve: Serve) -> None:
    async with with_composio(serve) as (_, here):
        browser = Browser()
        back = await browser.pressed(await browser.to_the_app(await here.job("a").link("asana")))
        assert (await Browser().open(back)).why == "Nobody here waits for this answer."
        assert (await browser.open(back)).digits


async def test_composios_sessions_are_gone_after_a_day_and_made_again_at_need(serve: Serve, clock: Clock) -> None:
    async with with_composio(serve) as (there, here):
        alice = here.job("alice")
        await alice.confirm(await sign_in(alice))
        await alice.call(CREATE, app="asana", name="milk")
        (first,) = there.sessions
        clock.ahead = SESSION_SECONDS - 60
        await here.service.sweep()
        assert [*there.sessions] == [first]
        clock.ahead = SESSION_SECONDS + 60
        await here.service.sweep()
        assert there.sessions == {}
        assert await alice.call(GET, app="asana") == "milk"
        assert len(there.sessions) == 1
        (account,) = there.accounts.values()
        account["status"] = "EXPIRED"
        clock.ahead = 2 * SESSION_SECONDS + 120
        assert await refused(alice.call(GET, app="asana")) == "reconnect"
        assert await alice.status("asana") == "expired"


async def test_a_session_that_nobody_confirms_is_gone_too(serve: Serve, clock: Clock) -> None:
    async with with_composio(serve) as (there, here):
        await Browser().to_the_app(await here.job("alice").link("asana"))
        assert len(there.sessions) == len(there.accounts) == 1
        clock.ahead = LINK_SECONDS + 1
        await here.service.sweep()
        assert there.sessions == {} == there.accounts


async def test_disconnecting_deletes_the_account_and_the_session(serve: Serve) -> None:
    async with with_composio(serve) as (there, here):
        alice = here.job("alice")
        await alice.confirm(await sign_in(alice))
        await alice.disconnect("asana")
        await here.service.sweep()
        assert there.sessions == {} == there.accounts


async def test_the_key_goes_to_composios_own_address_alone(serve: Serve) -> None:
    async with composio() as elsewhere, with_composio(serve) as (there, here):
        there.mcp_at = elsewhere.base
        alice = here.job("alice")
        await alice.confirm(await sign_in(alice))
        assert await refused(alice.call(GET, app="asana")) == "bad_app"
        assert elsewhere.keys == []


async def test_a_wrong_key_is_no_word_of_it_in_what_is_told(serve: Serve) -> None:
    async with composio() as there:
        settings = {"composio_api_key": "ak_wrong", "composio_url": there.base}
        async with serve(asana=ASANA, more=settings) as here:
            page = await Browser().press(await here.job("alice").link("asana"))
            assert page.why == "Composio does not answer just now."


# -- tokens of ours

OWN = "a secret that only the operator's own server knows"


class OurTokens(TokenVerifier):
    """Checks them as an operator's server would."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seen: set[str] = set()

    async def verify_token(self, token: str) -> AccessToken | None:
        try:
            told = jwt.decode(token, OWN, algorithms=["HS256"], audience=self._url, options={"require": ["exp"]})
        except jwt.PyJWTError:
            return None
        self.seen.add(token)
        expires = told["exp"]
        assert expires <= time.time() + 301
        return AccessToken(
            token=token,
            client_id="rapport",
            scopes=["tasks"],
            subject=told["sub"],
            expires_at=expires,
            resource=self._url,
        )


@asynccontextmanager
async def own_server():
    bound = listen(0)
    base = f"http://127.0.0.1:{bound.getsockname()[1]}"
    verifier, tasks = OurTokens(f"{base}/mcp"), Tasks()
    server = MCPServer(
        "own",
        token_verifier=verifier,
        log_level="ERROR",
        auth=AuthSettings.model_validate(
            {
                "issuer_url": base,
                "resource_server_url": f"{base}/mcp",
                "required_scopes": ["tasks"],
                "validate_token_resource": True,
            }
        ),
    )
    tasks.offer(server)
    async with serving(server.streamable_http_app(), bound):
        yield f"{base}/mcp", verifier, tasks


async def test_a_server_that_takes_our_tokens_needs_no_sign_in(serve: Serve) -> None:
    async with own_server() as (url, verifier, tasks), serve(tasks=listed(url, own_token=OWN)) as here:
        alice, bob = here.job("alice"), here.job("bob")
        await asyncio.gather(*(_just_say_yes(job) for job in (alice, bob)))
        await asyncio.gather(alice.call("add_task", name="milk"), bob.call("add_task", name="tea"))
        assert await asyncio.gather(alice.call("list_tasks"), bob.call("list_tasks")) == ["milk", "tea"]
        assert set(tasks.of) == {str(alice.person), str(bob.person)}
        assert verifier.seen
        await alice.disconnect()
        await here.service.sweep()
        assert await refused(alice.call("list_tasks")) == "not_connected"


async def _just_say_yes(job: Job) -> None:
    """The page, its button, the digits: nothing in between."""
    browser = Browser()
    page = await browser.open(await browser.to_the_app(await job.link()))
    assert await job.confirm(page.digits) == "tasks"


async def test_a_server_that_does_not_take_our_tokens_is_the_operators_matter(serve: Serve) -> None:
    other = "another secret than the one that the server knows"
    async with own_server() as (url, _, _), serve(tasks=listed(url, own_token=other)) as here:
        alice = here.job("alice")
        await _just_say_yes(alice)
        assert await refused(alice.call("list_tasks")) in ("bad_app", "reconnect")


@pytest.fixture
async def three(serve: Serve):
    """One app of each kind."""
    async with app_server() as app, composio() as there, own_server() as (url, _, _):
        settings = {"composio_api_key": KEY, "composio_url": there.base}
        kinds = {"tasks": listed(app.url), "asana": ASANA, "own": listed(url, own_token=OWN)}
        async with serve(more=settings, **kinds) as here:
            there.verifier = f"{here.url}/oauth/composio"
            yield here, there


async def test_three_apps_of_three_kinds_for_one_person(three: tuple[Running, Composio]) -> None:
    here, _ = three
    alice = here.job("alice")
    await alice.connect()
    await alice.confirm(await sign_in(alice))
    page = await (browser := Browser()).open(await browser.to_the_app(await alice.link("own")))
    await alice.confirm(page.digits)
    told = await asyncio.gather(
        alice.call("list_tasks"), alice.call(GET, app="asana"), alice.call("list_tasks", app="own")
    )
    assert told == ["There are no open tasks.", "none", "There are no open tasks."]
    assert {name.partition(".")[0] for name in await alice.tools()} == {"tasks", "asana", "own"}
