"""What a store of connections can do.

Every method that returns True does so for exactly one caller, however many processes ask at once. What is sealed is
sealed for its row, and no store can open it. Whatever was sealed and goes, goes into the queue of what must be given
back to the apps, in the same transaction, whoever deletes it.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from apps.core import Connection, Link, Revocation


class StoreFailed(Exception):
    """The store could not do it. The text is safe to log."""


class Store(Protocol):
    # -- links

    async def put_link(self, link: Link, *, an_hour: int) -> bool:
        """Keep a new link, and end those that the person has for this app and did not finish; False if the person had
        so many in the last hour."""
        ...

    async def link(self, token_hash: str) -> Link | None: ...

    async def start_link(self, token_hash: str, *, state_hash: str, browser_hash: str, sealed: bytes) -> bool:
        """A browser has begun with it; once, while it is good."""
        ...

    async def link_of_state(self, state_hash: str) -> Link | None:
        """The link whose sign-in has this state."""
        ...

    async def link_of_browser(self, browser_hash: str) -> Link | None:
        """The link that was started last in this browser, and has not ended."""
        ...

    async def answer_link(self, token_hash: str) -> bool:
        """Its answer came; once, while it is good."""
        ...

    async def sign_in(self, token_hash: str, *, sealed: bytes, seconds: float) -> bool:
        """Keep what was granted, in place of what was sealed before; the link is good for so many seconds at least.
        False if it has ended meanwhile: then what was granted is nobody's."""
        ...

    async def try_digits(self, person: UUID) -> Link | None:
        """The link that the person signed in to last and that is good, with this try counted."""
        ...

    async def end_link(self, token_hash: str) -> None:
        """It is over; what is sealed in it goes into the queue."""
        ...

    async def connect(self, token_hash: str, connection: Connection, *, ends_at: float | None) -> bool:
        """Make of a signed-in link a connection, in place of the one that the person had to this app. That one's grant
        is forgotten and not given back: many servers would take back the new one with it. False if the link has
        ended."""
        ...

    # -- connections

    async def connections(self, person: UUID) -> list[Connection]:
        """By app, with what is sealed."""
        ...

    async def connection(self, person: UUID, app: str) -> Connection | None:
        """With what is sealed."""
        ...

    async def take_refresh(self, connection: Connection, *, seconds: float) -> bool:
        """Become the one who may renew what is sealed in this version, for so long."""
        ...

    async def put_refresh(self, connection: Connection, *, sealed: bytes, ends_at: float | None) -> bool:
        """Keep what the renewal gave; False if there is another version by now, or none."""
        ...

    async def drop_refresh(self, connection: Connection) -> None:
        """Nothing came of it: let another one try at once."""
        ...

    async def expire(self, connection: Connection, *, scopes: str | None = None) -> None:
        """The person has to sign in again, and is asked for these scopes."""
        ...

    async def touch(self, connection: Connection) -> None:
        """It was used."""
        ...

    async def disconnect(self, person: UUID, app: str) -> bool: ...

    # -- us as a client of apps

    async def client(self, issuer: str) -> bytes | None: ...

    async def put_client(self, issuer: str, sealed: bytes) -> None: ...

    async def forget_client(self, issuer: str) -> None: ...

    # -- the queue, and what time does

    async def take_revocations(self, *, limit: int) -> list[Revocation]:
        """What must be given back now: nobody else gets it for a minute, longer after each try. Oldest first."""
        ...

    async def revoked(self, revocation: Revocation) -> None: ...

    async def sweep(self, *, unused_seconds: float) -> list[Connection]:
        """End links that are over, forget old ones, disconnect what nobody used for so long; the connections of whose
        grant a part has to be given back now."""
        ...

    async def aclose(self) -> None: ...
