"""From "connect me to …" to a connection, and back: a link, a browser, a sign-in, four digits.

Whoever opens a link may be somebody else than who asked for it. So nothing that a browser does connects anything: it
takes the digits, which are shown to the browser that signed in and said by the person in the call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx2

from apps.core import (
    LINK_SECONDS,
    LINKS_AN_HOUR,
    SAY_SECONDS,
    TRIES,
    Connection,
    Link,
    LinkState,
    Person,
    Refused,
    answerable,
    digest,
    four_digits,
    link_row,
    openable,
    random_token,
    same_digits,
    state_of,
)
from apps.providers.protocol import Grant, Provider
from apps.settings import App
from apps.stores.protocol import Store
from apps.stores.sealing import Sealing, Unsealable
from apps.tokens import Grants
from apps.warm import Sessions

log = logging.getLogger("rapport.apps")

_SIGN_IN_SECONDS = 15.0
"""For all that is asked of an app while a browser waits."""
_REVOKE_SECONDS = 10.0
_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class GoOn:
    """Where the browser goes, with this cookie."""

    to: str
    browser: str


class Connecting:
    def __init__(  # noqa: PLR0913 - each has a name at the call
        self,
        *,
        store: Store,
        sealing: Sealing,
        apps: Mapping[str, App],
        providers: Mapping[str, Provider],
        grants: Grants,
        sessions: Sessions,
        public_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._sealing = sealing
        self._apps = apps
        self._providers = providers
        self._grants = grants
        self._sessions = sessions
        self._public_url = public_url
        self._clock = clock
        self.wake = asyncio.Event()
        """Something may have to be given back."""

    def title(self, app: str) -> str:
        return self._apps[app].title or app.replace("_", " ").title()

    # -- the person in the call

    async def apps(self, person: UUID) -> list[dict[str, str]]:
        mine = {each.app: each.status for each in await self._store.connections(person)}
        words = {None: "available", "active": "connected", "expired": "expired"}
        return [{"app": app, "title": self.title(app), "status": words[mine.get(app)]} for app in self._apps]

    async def link(self, person: Person, app: str) -> str:
        """Its address, which is kept nowhere."""
        self._listed(app)
        token = random_token()
        link = Link(digest(token), person.id, person.who, app, self._clock() + LINK_SECONDS)
        if not await self._store.put_link(link, an_hour=LINKS_AN_HOUR):
            raise Refused("too_many_links", "This person asked for too many links in this hour.")
        self.wake.set()
        return f"{self._public_url}/c/{token}"

    async def confirm(self, person: Person, said: str) -> str:
        """The app that is connected now. Each try counts before it is compared."""
        link = await self._store.try_digits(person.id)
        if link is None:
            raise Refused("nothing_waits", "No sign-in waits for a number.")
        grant = self._open(link)
        right = link.tries <= TRIES and same_digits(said, grant.pop("code"))
        if not right and link.tries < TRIES:
            raise Refused("wrong_code", "That is not the number on the page.")
        if not right:
            await self._give_up(link)
            raise Refused("too_many", "The number was wrong too often: a new link is needed.")
        await self._connect(link, grant)
        return link.app

    async def _connect(self, link: Link, grant: Grant) -> None:
        provider = self._grants.provider(link.app)
        try:
            grant = await provider.confirm(link.person, grant)
        except httpx2.HTTPError:
            await self._give_up(link)
            raise Refused("app_down", "The app does not answer just now: a new link is needed.") from None
        except Refused:
            await self._give_up(link)
            raise
        before = await self._store.connection(link.person, link.app)
        made = Connection(uuid4(), link.person, link.app, "active", grant.get("scope"))
        made = self._grants.sealed(made, grant)
        if not await self._store.connect(link.token_hash, made, ends_at=provider.ends_at(grant)):
            raise Refused("nothing_waits", "No sign-in waits for a number.")
        if before:
            self._sessions.drop(before.row)
        log.info("[APP CONNECTED] %s of user: %s", link.app, link.person)

    async def disconnect(self, person: UUID, app: str) -> None:
        before = await self._store.connection(person, app)
        if before is None:  # one that is not listed any more can still be taken away
            self._listed(app)
        await self._store.disconnect(person, app)
        self.wake.set()
        if before:
            self._sessions.drop(before.row)
            log.info("[APP DISCONNECTED] %s of user: %s", app, person)

    # -- the browser

    async def look(self, token: str) -> Link:
        """What the link is about, for who opens it. Changes nothing: chats and mail programs open links first."""
        link = openable(await self._store.link(digest(token)), self._clock())
        self._listed(link.app)
        return link

    async def start(self, token: str, browser: str | None) -> GoOn:
        """Begin the sign-in, in the browser that has this cookie; one without gets one."""
        link = await self.look(token)
        state, browser = random_token(), browser or random_token()
        before = await self._store.connection(link.person, link.app)
        scopes = before.scopes if before and before.status == "expired" else None
        try:
            async with asyncio.timeout(_SIGN_IN_SECONDS):
                started = await self._grants.provider(link.app).start(link.person, link.app, state=state, scopes=scopes)
        except (TimeoutError, httpx2.HTTPError):
            raise Refused("app_down", "The app's sign-in does not answer. Try again in a while.") from None
        sealed = self._sealing.seal(link_row(link), started.kept | self._by(link))
        begun = await self._store.start_link(
            link.token_hash, state_hash=digest(state), browser_hash=digest(browser), sealed=sealed
        )
        if not begun:
            raise Refused("unknown", "This link was used already. Ask for a new one.")
        if started.go_to is None:
            await self.answer(state, browser, {})
        return GoOn(started.go_to or f"{self._public_url}/oauth/done", browser)

    async def answer(self, state: str | None, browser: str | None, answer: Mapping[str, str]) -> None:
        """The app's answer, which counts once and in this browser alone. `state` is None where the app knows none; then
        it is that of the browser's latest link."""
        if state is not None:
            found = await self._store.link_of_state(digest(state))
        else:
            found = await self._store.link_of_browser(digest(browser)) if browser else None
        link = answerable(found, browser, self._clock())
        if not await self._store.answer_link(link.token_hash):
            raise Refused("unknown", "This sign-in was used already. Ask for a new link.")
        self._listed(link.app)
        try:
            async with asyncio.timeout(_SIGN_IN_SECONDS):
                grant = await self._grants.provider(link.app).finish(self._open(link), answer) | self._by(link)
        except (TimeoutError, httpx2.HTTPError):
            await self._give_up(link)
            raise Refused("app_down", "The app's sign-in does not answer. Ask for a new link.") from None
        except Refused:
            await self._give_up(link)
            raise
        sealed = self._sealing.seal(link_row(link), grant | {"code": four_digits()})
        if not await self._store.sign_in(link.token_hash, sealed=sealed, seconds=SAY_SECONDS):
            await self._revoke(grant)
            raise Refused("unknown", "This sign-in was replaced by another one.")

    async def digits(self, browser: str | None) -> tuple[str, str]:
        """The app and the digits, for the browser that signed in."""
        link = await self._store.link_of_browser(digest(browser)) if browser else None
        if link is None or state_of(link, self._clock()) is not LinkState.SIGNED_IN:
            raise Refused("unknown", "No sign-in waits in this browser.")
        return link.app, self._open(link)["code"]

    # -- what time does

    async def give_back(self) -> int:
        """What the queue holds, at the apps; how many are done with. What an app does not take now it is told later."""
        done = 0
        for revocation in await self._store.take_revocations(limit=_AT_ONCE):
            try:
                grant = self._sealing.open(revocation.row, revocation.sealed)
            except Unsealable:
                log.error("[APPS] a grant that must be given back does not open: is a key of APPS_KEYS missing?")
                continue
            if await self._revoke(grant):
                await self._store.revoked(revocation)
                done += 1
        return done

    async def _revoke(self, grant: Grant) -> bool:
        if (provider := self._providers.get(grant["by"])) is None:
            return False  # of a kind that is not set up here (any more)
        try:
            async with asyncio.timeout(_REVOKE_SECONDS):
                await provider.revoke(grant)
        except (TimeoutError, httpx2.HTTPError, Refused) as error:
            log.warning("[APPS] %s did not take back a grant: %s; it is told again", grant["app"], type(error).__name__)
            return False
        return True

    async def _give_up(self, link: Link) -> None:
        await self._store.end_link(link.token_hash)
        self.wake.set()

    def _open(self, link: Link) -> Grant:
        assert link.sealed is not None  # noqa: S101
        try:
            return self._sealing.open(link_row(link), link.sealed)
        except Unsealable:
            raise Refused("unknown", "This sign-in cannot be finished. Ask for a new link.") from None

    def _by(self, link: Link) -> Grant:
        """Who takes it back, also when the app is not listed any more."""
        return {"by": self._apps[link.app].kind}

    def _listed(self, app: str) -> None:
        if app not in self._apps:
            raise Refused("no_such_app", "There is no such app here.")
