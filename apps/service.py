"""The service itself: /v1 for jobs, pages for browsers, and what time does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast
from uuid import UUID

import jwt
from aiohttp import web
from prometheus_client import Counter, Gauge, Histogram, generate_latest

from apps import pages
from apps.calling import Calling
from apps.connecting import Connecting
from apps.core import LINK_SECONDS, STATUS, Person, Refused
from apps.providers.composio import VERIFIER as COMPOSIO_VERIFIER
from apps.providers.composio import Composio
from apps.providers.own_token import OwnToken
from apps.providers.protocol import Grant, Provider
from apps.providers.standard import CALLBACK, DOCUMENT, Standard
from apps.settings import App, ServiceSettings
from apps.stores.protocol import Store, StoreFailed
from apps.stores.sealing import Sealing, Unsealable
from apps.tokens import Grants
from apps.warm import Sessions

log = logging.getLogger("rapport.apps")

AUDIENCE = "rapport-apps"
MAX_TOKEN_SECONDS = 90
_SKEW_SECONDS = 30
_MAX_BODY_BYTES = 64 * 1024
_MAX_WHO_CHARACTERS = 100
SWEEP_SECONDS = 30.0

REQUESTS = Histogram(
    "rapport_apps_seconds",
    "How long a request of a job took",
    ["what", "how"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
WARM = Gauge("rapport_apps_sessions", "Open sessions with apps")
GIVEN_BACK = Counter("rapport_apps_given_back", "Grants that were given back to their apps")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """One process of it. Others may serve the same store."""

    def __init__(  # noqa: PLR0913 - each has a name at the call
        self,
        settings: ServiceSettings,
        store: Store,
        sealing: Sealing,
        *,
        secret: str,
        name: str,
        public_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._secret = secret
        self._name = name
        self._secure = public_url.startswith("https")
        self._unused_seconds = settings.apps_unused_days * 86_400.0
        self._sessions = Sessions(settings.apps_sessions, settings.apps_idle)
        self._pause = min(SWEEP_SECONDS, settings.apps_idle / 2)
        apps: Mapping[str, App] = settings.listed
        self._standard = Standard(apps, _SealedClients(store, sealing), public_url=public_url, name=name, clock=clock)
        providers: dict[str, Provider] = {
            "standard": self._standard,
            "own_token": OwnToken(apps, public_url, clock),
        }
        if settings.composio_api_key:
            key = settings.composio_api_key.get_secret_value()
            providers["composio"] = Composio(apps, key, settings.composio_url, public_url, clock)
        self.grants = Grants(store, sealing, apps, providers, clock)
        self._calling = Calling(store, apps, self.grants, self._sessions)
        self._connecting = Connecting(
            store=store,
            sealing=sealing,
            apps=apps,
            providers=providers,
            grants=self.grants,
            sessions=self._sessions,
            public_url=public_url,
            clock=clock,
        )

    # -- what it answers

    def for_jobs(self) -> list[web.RouteDef]:
        """Never to be reached from outside."""
        return [
            web.get("/v1/apps", self._apps),
            web.post("/v1/apps/{app}/link", self._link),
            web.delete("/v1/apps/{app}", self._disconnect),
            web.post("/v1/confirm", self._confirm),
            web.get("/v1/tools", self._tools),
            web.post("/v1/tools/{app}/{tool}", self._call),
            web.get("/metrics", _metrics),
        ]

    def for_browsers(self) -> list[web.RouteDef]:
        return [
            web.get("/c/{token}", self._look),
            web.post("/c/{token}", self._start),
            web.get(CALLBACK, self._callback),
            web.get(COMPOSIO_VERIFIER, self._verifier),
            web.get("/oauth/done", self._done),
            web.get(DOCUMENT, self._document),
            web.get("/healthz", _healthy),
        ]

    async def _apps(self, request: web.Request) -> web.Response:
        return web.json_response({"apps": await self._connecting.apps(self._person(request).id)})

    async def _link(self, request: web.Request) -> web.Response:
        url = await self._connecting.link(self._person(request), request.match_info["app"])
        return web.json_response({"url": url, "minutes": int(LINK_SECONDS // 60)})

    async def _confirm(self, request: web.Request) -> web.Response:
        person, code = self._person(request), (await _body(request)).get("code")
        if not isinstance(code, str):
            raise Refused("unknown", "The body is {code}, a text.")
        return web.json_response({"app": await self._connecting.confirm(person, code)})

    async def _disconnect(self, request: web.Request) -> web.Response:
        await self._connecting.disconnect(self._person(request).id, request.match_info["app"])
        return web.json_response({})

    async def _tools(self, request: web.Request) -> web.Response:
        return web.json_response(await self._calling.tools(self._person(request).id))

    async def _call(self, request: web.Request) -> web.Response:
        person, arguments = self._person(request), (await _body(request)).get("arguments")
        if not isinstance(arguments, dict):
            raise Refused("unknown", "The body is {arguments}, an object.")
        app, tool = request.match_info["app"], request.match_info["tool"]
        return web.json_response(await self._calling.call(person.id, app, tool, cast("dict[str, Any]", arguments)))

    def _person(self, request: web.Request) -> Person:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience=AUDIENCE,
                leeway=_SKEW_SECONDS,
                options={"require": ["exp", "sub", "aud"]},
            )
            person = Person(UUID(claims["sub"]), str(claims.get("who") or "you")[:_MAX_WHO_CHARACTERS])
            lives = claims["exp"] - time.time()
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Refused("who", "Nobody's token came with this.") from None
        if kind.lower() != "bearer" or lives > MAX_TOKEN_SECONDS + _SKEW_SECONDS:
            raise Refused("who", "The token is good for too long to be a job's.")
        return person

    # -- pages

    async def _look(self, request: web.Request) -> web.Response:
        link = await self._connecting.look(request.match_info["token"])
        return _html(pages.ask(assistant=self._name, who=link.who, app=self._connecting.title(link.app)))

    async def _start(self, request: web.Request) -> web.Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused("unknown", "Another site sent you here. Open the link yourself.")
        gone_on = await self._connecting.start(request.match_info["token"], self._browser(request))
        answer = _go_to(gone_on.to)
        answer.set_cookie(
            self._cookie, gone_on.browser, max_age=3600, path="/", httponly=True, secure=self._secure, samesite="Lax"
        )
        return answer

    async def _callback(self, request: web.Request) -> web.Response:
        state = request.query.get("state")
        if not state:
            raise Refused("unknown", "Nobody here waits for this answer.")
        await self._connecting.answer(state, self._browser(request), request.query)
        return _go_to("/oauth/done")  # a page whose address holds no code

    async def _verifier(self, request: web.Request) -> web.Response:
        await self._connecting.answer(request.query.get("state"), self._browser(request), request.query)
        return _go_to("/oauth/done")

    async def _done(self, request: web.Request) -> web.Response:
        app, code = await self._connecting.digits(self._browser(request))
        return _html(pages.digits(assistant=self._name, app=self._connecting.title(app), code=code))

    async def _document(self, _: web.Request) -> web.Response:
        return web.json_response(self._standard.document())

    @property
    def _cookie(self) -> str:
        """Such a name no neighbouring host can set."""
        return "__Host-rapport" if self._secure else "rapport"

    def _browser(self, request: web.Request) -> str | None:
        found = request.cookies.get(self._cookie)
        return found if found and len(found) == 43 else None

    # -- what time does

    async def keep(self) -> None:
        """Until it is cancelled, whatever happens."""
        while True:
            try:
                await self.sweep()
            except Exception as error:
                log.error("[APPS] what is over was not cleaned up; it is tried again: %s", _told(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._connecting.wake.wait()
            self._connecting.wake.clear()

    async def sweep(self) -> None:
        self._sessions.drop_idle()
        WARM.set(len(self._sessions))
        for connection in await self._store.sweep(unused_seconds=self._unused_seconds):
            try:
                await self.grants.retire(connection)
            except Exception as error:
                log.warning("[APPS] a part of a grant of %s was not given back: %s", connection.app, _told(error))
        while given_back := await self._connecting.give_back():
            GIVEN_BACK.inc(given_back)

    async def aclose(self) -> None:
        await self._sessions.aclose()
        await self._store.aclose()


class _SealedClients:
    def __init__(self, store: Store, sealing: Sealing) -> None:
        self._store = store
        self._sealing = sealing

    async def client(self, issuer: str) -> Grant | None:
        if (sealed := await self._store.client(issuer)) is None:
            return None
        try:
            return self._sealing.open(f"client {issuer}", sealed)
        except Unsealable:
            return None

    async def put_client(self, issuer: str, client: Grant) -> None:
        await self._store.put_client(issuer, self._sealing.seal(f"client {issuer}", client))

    async def forget_client(self, issuer: str) -> None:
        await self._store.forget_client(issuer)


def application(routes: list[web.RouteDef]) -> web.Application:
    app = web.Application(middlewares=[_refusals], client_max_size=_MAX_BODY_BYTES)
    app.add_routes(routes)
    return app


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Jobs are told a code, browsers a page; and neither what went wrong in here."""
    began = time.perf_counter()
    answer, how = await _answer(request, handler)
    if request.path.startswith("/v1/") and (resource := request.match_info.route.resource):
        REQUESTS.labels(f"{request.method} {resource.canonical}", how).observe(time.perf_counter() - began)
    return answer


async def _answer(request: web.Request, handler: Handler) -> tuple[web.StreamResponse, str]:
    try:
        return await handler(request), "done"
    except Refused as error:
        refused = error
    except StoreFailed as error:
        log.error("[APPS] %s", error)
        refused = Refused("app_down", "We cannot look it up just now.")
    except web.HTTPException:
        raise
    except Exception as error:
        log.error("[APPS] a request failed: %s", _told(error))
        refused = Refused("bad_app", "Something went wrong here.")
    status = STATUS[refused.code]
    if request.path.startswith("/v1/"):
        return web.json_response({"code": refused.code, "why": refused.why}, status=status), refused.code
    return _html(pages.refused(refused.why), status), refused.code


def _told(error: Exception) -> str:
    """Which it is, and where. Not its text, which may quote a token, or what somebody has in an app."""
    calls = traceback.extract_tb(error.__traceback__)
    return type(error).__name__ + "".join(f" at {call.name}:{call.lineno}" for call in calls[-1:])


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        found: Any = await request.json()
    except (ValueError, UnicodeError):
        found = None
    if not isinstance(found, dict):
        raise Refused("unknown", "The body is no JSON object.")
    return cast("dict[str, Any]", found)


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="text/html", status=status, headers=pages.HEADERS)


def _go_to(address: str) -> web.Response:
    return web.Response(status=303, headers=pages.HEADERS | {"location": address})


async def _healthy(_: web.Request) -> web.Response:
    return web.json_response({"ok": True})


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), content_type="text/plain")
