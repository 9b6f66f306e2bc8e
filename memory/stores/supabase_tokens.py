"""A token for each person, so that the database itself refuses them everybody else's rows.

The tokens are short-lived and made here, with the project's signing key. A server that does not share our clock would
refuse them, so they are dated by its clock, as its answers tell it.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

from memory.stores.supabase_keys import SigningKey, StoreMisconfigured

LIFETIME_SECONDS = 600.0
RENEW_SECONDS = 120.0
"""So long before its end a token is replaced: longer than any request takes."""
SKEW_SECONDS = 30.0
"""What PostgREST forgives a clock, and as much as we date a token back."""
# A Date header counts whole seconds and spends some time on its way.
_UNNOTICED_SECONDS = 5.0


class ServerClock:
    """What time it is where the tokens are checked."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.ahead = 0.0
        """By so many seconds the server is ahead of us."""

    def now(self) -> float:
        return self._clock() + self.ahead

    def heard(self, date: str | None) -> None:
        """Take note of an answer's Date header."""
        try:
            ahead = parsedate_to_datetime(date or "").timestamp() - self._clock()
        except ValueError:
            return
        if abs(ahead - self.ahead) > _UNNOTICED_SECONDS:
            self.ahead = ahead if abs(ahead) > _UNNOTICED_SECONDS else 0.0


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    expires: float
    clock_ahead: float


class PersonTokens:
    """The tokens of the people who are being served. No I/O; `role` is the database role that they name."""

    def __init__(self, key: SigningKey, role: str, clock: ServerClock) -> None:
        self._key = key
        self._role = role
        self._clock = clock
        self._tokens: dict[UUID, _Token] = {}

    def token(self, user: UUID) -> str:
        """The person's token, good for the next two minutes at least. Raises `StoreMisconfigured`."""
        now = self._clock.now()
        found = self._tokens.get(user)
        if found is None or found.expires - now < RENEW_SECONDS:
            self._tokens = {who: token for who, token in self._tokens.items() if token.expires > now}
            found = self._tokens[user] = self._mint(user, now)
        return found.text

    def outdated(self, user: UUID) -> bool:
        """Was their token dated by a clock that we know better now? Then the next one is new."""
        found = self._tokens.get(user)
        if found is None or abs(found.clock_ahead - self._clock.ahead) <= _UNNOTICED_SECONDS:
            return False
        del self._tokens[user]
        return True

    def _mint(self, user: UUID, now: float) -> _Token:
        claims = {
            "sub": str(user),
            "role": self._role,
            "aud": "authenticated",
            "iat": int(now - SKEW_SECONDS),
            "exp": int(now + LIFETIME_SECONDS),
        }
        return _Token(sign(self._key, claims), now + LIFETIME_SECONDS, self._clock.ahead)


def sign(key: SigningKey, claims: dict[str, Any]) -> str:
    """A JWT with these claims. Raises `StoreMisconfigured` for a key that cannot sign."""
    import jwt  # noqa: PLC0415 - a worker without Supabase does not need it

    try:
        headers = {"kid": key.key_id} if key.key_id else None
        return jwt.encode(claims, _signer(key), algorithm=key.algorithm, headers=headers)
    except (jwt.PyJWTError, ValueError, TypeError):
        # their texts may quote the key
        raise StoreMisconfigured(f"{key.variable} cannot sign: is the whole private key there?") from None


@functools.lru_cache(maxsize=4)
def _signer(key: SigningKey) -> Any:
    import jwt  # noqa: PLC0415

    return key.secret if key.key_id is None else jwt.PyJWK(json.loads(key.secret), key.algorithm).key
