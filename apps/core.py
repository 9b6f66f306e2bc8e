"""What the service goes by, apart from all I/O: what is kept, in which states, and what is refused.

A link goes one way, and each step is taken by exactly one caller:

    SENT        its address went to one person; only its hash is kept
    STARTED     a browser pressed Continue, and is at the app; the answer must come from that browser
    ANSWERED    the app's answer came; it counts once
    SIGNED_IN   what the app granted is sealed here, and four digits stand on the page
    CONNECTED   the person said them: the grant is theirs

    SENT -> STARTED -> ANSWERED -> SIGNED_IN -> CONNECTED, and from each of them to ENDED: too late, replaced, declined,
    or guessed at. What was granted until then is given back to the app.

A connection is ACTIVE, or EXPIRED when the app wants its person to sign in again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import Literal
from uuid import UUID

LINK_SECONDS = 600.0
"""How long a link can be opened and followed to its end; who signed in has `SAY_SECONDS` for the digits at least."""
SAY_SECONDS = 300.0
LINKS_AN_HOUR = 5
TRIES = 3
CALL_SECONDS = 4.5
"""How long one call of a tool may take in all, with a session that is opened for it."""
LIST_SECONDS = 1.8
MAX_RESULT_CHARACTERS = 8_000
MAX_DESCRIPTION_CHARACTERS = 300
MAX_SCHEMA_CHARACTERS = 8_000
MAX_TOOLS = 12
"""Of one app: more are too many for somebody who listens."""

Code = Literal[
    "who",
    "unknown",
    "no_such_app",
    "no_such_tool",
    "not_connected",
    "reconnect",
    "app_down",
    "not_known",
    "bad_app",
    "wrong_code",
    "too_many",
    "nothing_waits",
    "too_many_links",
]
STATUS: dict[Code, int] = {
    "who": 401,
    "unknown": 404,
    "no_such_app": 404,
    "no_such_tool": 404,
    "not_connected": 409,
    "reconnect": 409,
    "app_down": 502,
    "not_known": 502,
    "bad_app": 502,
    "wrong_code": 403,
    "too_many": 403,
    "nothing_waits": 409,
    "too_many_links": 429,
}


class Refused(Exception):
    """What is not done, and why, in our own words: never an app's, which may say anything."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(why)
        self.code: Code = code
        self.why = why


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: `who` is what the page calls them."""

    id: UUID
    who: str


@dataclass(frozen=True, slots=True)
class Link:
    """A row of `connection_links`; times are in seconds since 1970."""

    token_hash: str
    person: UUID
    who: str
    app: str
    expires_at: float
    started_at: float | None = None
    browser_hash: str | None = None
    answered_at: float | None = None
    signed_in_at: float | None = None
    ended_at: float | None = None
    sealed: bytes | None = None
    tries: int = 0


class LinkState(Enum):
    SENT = "sent"
    STARTED = "started"
    ANSWERED = "answered"
    SIGNED_IN = "signed in"
    ENDED = "ended"


def state_of(link: Link, now: float) -> LinkState:
    if link.ended_at is not None or link.expires_at <= now:
        return LinkState.ENDED
    if link.signed_in_at is not None:
        return LinkState.SIGNED_IN
    if link.answered_at is not None:
        return LinkState.ANSWERED
    return LinkState.SENT if link.started_at is None else LinkState.STARTED


def openable(link: Link | None, now: float) -> Link:
    """The link, if a browser may begin with it. Raises `Refused`, in words for a page."""
    if link is None:
        raise Refused("unknown", "This link is not one of ours.")
    if link.ended_at is None and link.expires_at <= now:
        raise Refused("unknown", "This link has expired. Ask for a new one.")
    if state_of(link, now) is not LinkState.SENT:
        raise Refused("unknown", "This link was used already. Ask for a new one.")
    return link


def answerable(link: Link | None, browser: str | None, now: float) -> Link:
    """The link whose answer comes from this browser. Raises `Refused`, in words for a page."""
    if link is None:
        raise Refused("unknown", "Nobody here waits for this answer.")
    if browser is None or link.browser_hash is None or not hmac.compare_digest(digest(browser), link.browser_hash):
        raise Refused("unknown", "This sign-in was begun in another browser. Ask for a new link.")
    state = state_of(link, now)
    if state is LinkState.ENDED and link.ended_at is None:
        raise Refused("unknown", "This sign-in took too long. Ask for a new link.")
    if state is not LinkState.STARTED:
        raise Refused("unknown", "This sign-in was used already. Ask for a new link.")
    return link


@dataclass(frozen=True, slots=True)
class Connection:
    """A row of `connections`, with what is sealed beside it where it was asked for.

    `scopes` is what a new link asks for at least. `version` counts what was sealed, so that one refresh follows one.
    """

    id: UUID
    person: UUID
    app: str
    status: Literal["active", "expired"]
    scopes: str | None = None
    sealed: bytes | None = None
    version: int = 0

    @property
    def row(self) -> str:
        """What its sealed text is bound to."""
        return f"{self.id}|{self.person}"


def link_row(link: Link) -> str:
    """What a link's sealed text is bound to: no connection has such a name."""
    return f"link {link.token_hash}|{link.person}"


@dataclass(frozen=True, slots=True)
class Revocation:
    """What must be given back to an app, sealed for the row it was in."""

    id: str
    row: str
    sealed: bytes
    tries: int


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def random_token() -> str:
    """43 characters that nobody guesses."""
    return secrets.token_urlsafe(32)


def four_digits() -> str:
    return f"{secrets.randbelow(10_000):04}"


def same_digits(said: str, shown: str) -> bool:
    return hmac.compare_digest("".join(filter(str.isdecimal, said)).encode(), shown.encode())


class Outcome(Enum):
    """What became of a request to an app, as the wire told it."""

    NOT_SENT = "no connection was made"
    REFUSED = "the app answered with a status that means: not done"
    LOST = "it was sent, and no answer came that says what was done"
    ANSWERED = "the app answered it"


def outcome_of(*, connected: bool, status: int | None) -> Outcome:
    """4xx is said before anything is done; of 5xx nobody knows, a gateway may have lost the app's own answer."""
    if not connected:
        return Outcome.NOT_SENT
    if status is None or status >= 500:
        return Outcome.LOST
    return Outcome.REFUSED if status >= 400 else Outcome.ANSWERED


def may_repeat(outcome: Outcome, *, writes: bool) -> bool:
    """Only what was certainly not done is done again, or what changes nothing."""
    return not writes or outcome in (Outcome.NOT_SENT, Outcome.REFUSED)


def what_is_told(outcome: Outcome, *, writes: bool) -> Refused:
    """After the last try."""
    if outcome is Outcome.ANSWERED:
        if writes:
            return Refused("not_known", "The app answered nothing that can be read: whether it was done is not known.")
        return Refused("bad_app", "The app answered nothing that can be read.")
    if outcome is Outcome.LOST and writes:
        return Refused("not_known", "The app did not answer: whether it was done is not known.")
    return Refused("app_down", "The app does not answer just now.")
