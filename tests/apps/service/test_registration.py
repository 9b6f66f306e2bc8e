"""How an app comes to know us, and what of its sign-in is refused."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from apps.core import Refused
from apps.providers.reach import client, fit
from tests.apps.service.app_server import AppServer, app_server, client_by_hand, status
from tests.apps.service.certificate import certificate
from tests.apps.service.conftest import Serve, listed
from tests.apps.service.people import Browser, Job

AS, OPENID, RESOURCE = "oauth-authorization-server", "openid-configuration", "oauth-protected-resource"


@pytest.fixture
async def app() -> AsyncIterator[AppServer]:
    async with app_server() as it:
        yield it


async def why(serve: Serve, app: AppServer, **more: Any) -> str:
    async with serve(tasks=listed(app.url, **more)) as here:
        page = await Browser().press(await here.job("alice").link())
        return page.why or str(page.status)


async def test_dynamic_registration_once_for_everybody(serve: Serve, app: AppServer) -> None:
    async with serve(tasks=listed(app.url)) as here:
        await asyncio.gather(*(here.job(name).connect() for name in ("alice", "bob")))
        await here.job("carol").connect()
    async with serve(tasks=listed(app.url)) as here:
        assert await here.job("carol").call("list_tasks") == "There are no open tasks."
        await here.job("dan").link()
    assert app.authority.counts["register"] <= 2  # two that begin at once may both register


async def test_an_app_that_forgot_us_knows_us_again_by_the_next_link(serve: Serve, app: AppServer) -> None:
    async with serve(tasks=listed(app.url)) as here:
        alice = here.job("alice")
        await alice.connect()
        browser = Browser()
        answer = await browser.back(await alice.link(), "alice")
        app.authority.clients.clear()
        assert "does not know us any more" in (await browser.open(answer)).why
        await alice.connect()
        assert app.authority.counts["register"] == 2


async def test_registration_by_hand(serve: Serve) -> None:
    async with app_server(registers=False) as app:
        assert "only clients that its operator has registered" in await why(serve, app)
        async with serve(tasks=listed("http://127.0.0.1:1/mcp")) as nowhere:
            redirect = f"{nowhere.url}/oauth/callback"
        port = int(urlsplit(redirect).port or 0)
        by_hand = client_by_hand(app, redirect)
        async with serve(port=port, tasks=listed(app.url, client=by_hand)) as here:
            alice = here.job("alice")
            await alice.connect()
            app.authority.forget_access()
            assert await alice.call("list_tasks") == "There are no open tasks."
            await alice.disconnect()
            await here.service.sweep()
        assert (app.authority.counts["register"], app.authority.counts["revoke"]) == (0, 1)


async def test_we_are_known_by_the_document_at_our_own_address(serve: Serve, tmp_path: Path) -> None:
    ours, trusting = certificate(tmp_path / "tls.pem")
    async with app_server(registers=False, document_tls=trusting) as app:
        app.metadata[AS] = {
            "says": {"client_id_metadata_document_supported": True, "token_endpoint_auth_methods_supported": ["none"]}
        }
        async with serve(tls=ours, tasks=listed(app.url)) as here:
            alice, browser = Job(here.url, "alice", verify=trusting), Browser(verify=trusting)
            address = await browser.to_the_app(await alice.link())
            assert parse_qs(urlsplit(address).query)["client_id"] == [f"{here.url}/oauth/client.json"]
            cookie = browser.cookies[0]
            assert (cookie.name, cookie.secure, cookie.path, cookie.domain_specified) == (
                "__Host-rapport",
                True,
                "/",
                False,
            )
            page = await browser.open(await browser.at_the_app(address, "alice"))
            assert await alice.confirm(page.digits) == "tasks"
            assert await alice.call("list_tasks") == "There are no open tasks."
        assert app.authority.counts["document"] > 0 == app.authority.counts["register"]


async def test_openid_discovery(serve: Serve, app: AppServer) -> None:
    app.metadata[AS] = {"status": 404}
    app.metadata[OPENID] = {"as": f"/.well-known/{AS}", "says": {}}
    async with serve(tasks=listed(app.url)) as here:
        await here.job("alice").connect()


async def test_a_server_that_describes_no_resource_is_asked_itself(serve: Serve, app: AppServer) -> None:
    app.metadata[RESOURCE] = {"status": 404}
    async with serve(tasks=listed(app.url)) as here:
        address = await Browser().to_the_app(await here.job("alice").link())
        assert parse_qs(urlsplit(address).query)["resource"] == [app.url]


async def test_what_is_asked_of_the_app_is_what_the_standard_says(serve: Serve, app: AppServer) -> None:
    async with serve(tasks=listed(app.url)) as here:
        address = await Browser().to_the_app(await here.job("alice").link())
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
        assert (asked["resource"], asked["scope"], asked["response_type"]) == (app.url, "tasks", "code")
        assert asked["redirect_uri"] == f"{here.url}/oauth/callback"


@pytest.mark.parametrize(
    ("document", "says", "told"),
    [
        (AS, {"code_challenge_methods_supported": None}, "PKCE"),
        (AS, {"code_challenge_methods_supported": ["plain"]}, "PKCE"),
        (AS, {"issuer": "http://127.0.0.1:2/"}, "another issuer"),
        (RESOURCE, {"resource": "http://127.0.0.1:2/mcp"}, "another resource"),
        (AS, {"token_endpoint": "http://example.com/token"}, "not begin with https"),
        (AS, {"authorization_endpoint": "http://10.0.0.1/authorize"}, "not begin with https"),
        (AS, {"registration_endpoint": "ftp://127.0.0.1/register"}, "no sign-in that follows the standard"),
        (RESOURCE, {"authorization_servers": ["http://169.254.169.254"]}, "not begin with https"),
        # this machine's own are allowed for an app that is on it, and no other private one is
        (RESOURCE, {"authorization_servers": ["https://10.255.255.1"]}, "does not answer"),
        (AS, {"registration_endpoint": None}, "only clients that its operator has registered"),
    ],
)
async def test_a_sign_in_that_is_refused(
    serve: Serve, app: AppServer, document: str, says: dict[str, Any], told: str
) -> None:
    app.metadata[document] = {"says": says}
    assert told in await why(serve, app)
    assert app.authority.clients == {}


async def test_a_server_that_answers_no_document_has_no_sign_in(serve: Serve, app: AppServer) -> None:
    app.metadata[AS] = app.metadata[OPENID] = {"status": 404}
    assert "follows the standard" in await why(serve, app)
    app.metadata[AS] = {"status": 500}
    assert "does not answer" in await why(serve, app)


async def test_a_redirect_is_not_followed(serve: Serve, app: AppServer) -> None:
    async with app_server() as elsewhere:
        app.fault = status(307, location=elsewhere.url)
        async with serve(tasks=listed(app.url)) as here:
            await here.job("alice").connect()  # its documents are where they must be
            assert elsewhere.authority.counts.total() == 0


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - one that is refused
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "224.0.0.1",
    ],
)
@pytest.mark.parametrize("local", [False, True])
async def test_no_name_leads_to_a_private_address(monkeypatch: pytest.MonkeyPatch, address: str, local: bool) -> None:
    """Whatever the name is: what counts is what it resolves to, when the connection is made."""

    async def resolved(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 443)), (0, 0, 0, "", (address, 443))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    async with client(local=local) as http:
        with pytest.raises(httpx2.ConnectError, match="private network"):
            await http.get("https://app.example/mcp")


async def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, app: AppServer
) -> None:
    asked: list[str] = []
    real = asyncio.get_running_loop().getaddrinfo

    async def resolved(host: str, port: int, **more: Any) -> Any:
        asked.append(host)
        return await real("127.0.0.1" if host == "localhost" else host, port, **more)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    async with client(local=True) as http:
        await http.get(app.base.replace("127.0.0.1", "localhost") + "/.well-known/oauth-authorization-server")
    assert asked.count("localhost") == 1  # a second answer might be another one


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://app.example/", True),
        ("http://127.0.0.1/", False),
        ("https://user:password@app.example/", False),
        ("file:///etc/passwd", True),
        ("https://", False),
        ("gopher://127.0.0.1/", True),
    ],
)
def test_an_address_that_is_refused_before_it_is_asked(url: str, local: bool) -> None:
    with pytest.raises(Refused):
        fit(url, local=local)
