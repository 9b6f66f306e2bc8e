"""What stands before an app: how a person signs in to it, how its tools are reached, how all of it is given back.

What a provider keeps of a person, its `grant`, is a JSON object that only the provider understands; it is sealed
wherever it stands. Every grant has the key `app`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

Grant = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Started:
    """`go_to` is where the browser signs in; None where there is nothing to sign in to. `kept` waits for the answer."""

    go_to: str | None
    kept: Grant


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An MCP server, and what each request to it carries. `local`, `private`: which addresses it may have."""

    url: str
    headers: dict[str, str]
    local: bool = False
    private: bool = False


class Provider(Protocol):
    """Every method may raise `Refused`, or `httpx2.HTTPError` where the app does not answer."""

    async def start(self, person: UUID, app: str, *, state: str, scopes: str | None) -> Started:
        """Begin a sign-in, whose answer comes back with this `state`. `scopes`: what is wanted beside the usual."""
        ...

    async def finish(self, kept: Grant, answer: Mapping[str, str]) -> Grant:
        """What the app grants for its answer, which is a page's query. The grant has no effect for anybody yet."""
        ...

    async def confirm(self, person: UUID, grant: Grant) -> Grant:
        """The person has proved to be who signed in: let it take effect."""
        ...

    def endpoint(self, person: UUID, grant: Grant) -> Endpoint:
        """Where this person's tools are, and how they are asked for. No I/O."""
        ...

    def stale(self, grant: Grant, now: float) -> bool:
        """Must it be renewed before it is used?"""
        ...

    def ends_at(self, grant: Grant) -> float | None:
        """When something of it must be given back even if nobody uses it, in seconds since 1970."""
        ...

    async def renew(self, person: UUID, grant: Grant) -> Grant:
        """A grant that is good now. Called by one at a time."""
        ...

    async def retire(self, grant: Grant) -> Grant:
        """Give back what `ends_at` is about; the rest stays a grant."""
        ...

    async def revoke(self, grant: Grant) -> None:
        """Give all of it back, whatever was reached: `kept`, or a grant. Again with the same one is harmless."""
        ...
