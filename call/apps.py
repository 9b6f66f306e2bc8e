"""Each person's own apps in a call: who may use them, and how a link comes to them. Where they are off, nothing of
`apps` is imported."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import aiohttp
import jwt
from pydantic import AnyHttpUrl, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

import metrics
from identity import Kind, SessionUser
from room.participant import RoomPolicy

if TYPE_CHECKING:
    from apps.toolset import AppTools, Way
    from call.assistant.assistant import Assistant

log = logging.getLogger("rapport")

Show = Callable[[str, str], Awaitable[Literal["rpc", "text"] | None]]
"""Shows the person a link to connect the app of that name: how, or None where they have no screen."""

_DELIVERY_AUDIENCE = "rapport-delivery"
_DELIVERY_SECONDS = 5.0


class AppsSettings(BaseSettings):
    """`apps_url` is where jobs find the service (`python -m apps serve`); without one nobody has apps. `apps_secret` is
    what both know.

    `apps_kinds` are the kinds of people who may use apps. `apps_delivery_url` is asked to bring a link to somebody to
    whom it cannot be shown.
    """

    model_config = SettingsConfigDict(
        alias_generator=str.upper,
        populate_by_name=True,
        env_ignore_empty=True,
        frozen=True,
        hide_input_in_errors=True,  # a secret that is too short is still one
    )

    apps_url: AnyHttpUrl | None = None
    apps_secret: Annotated[SecretStr, Field(min_length=32)] | None = None
    apps_kinds: Annotated[tuple[Kind, ...], NoDecode] = ("standard",)
    apps_delivery_url: AnyHttpUrl | None = None

    @field_validator("apps_kinds", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _is_whole(self) -> AppsSettings:
        if self.apps_url and not self.apps_secret:
            raise ValueError("APPS_URL is set, and APPS_SECRET is not: give it the secret that the service has")
        return self

    @property
    def secret(self) -> str:
        return self.apps_secret.get_secret_value() if self.apps_secret else ""

    def preload_modules(self) -> list[str]:
        """What a job imports only where apps are on."""
        return ["apps.toolset"] if self.apps_url else []

    def open_to(self, user: SessionUser, policy: RoomPolicy) -> bool:
        """May they use apps? Not who is nobody in particular, nor where others hear what the agent says."""
        return bool(self.apps_url) and (
            user.kind in self.apps_kinds and user.remembered and policy is not RoomPolicy.AUDIENCE
        )


class Delivery:
    """How a link comes to the person of one call, and to nobody else."""

    def __init__(self, settings: AppsSettings, user: SessionUser, show: Show) -> None:
        self._settings = settings
        self._user = user
        self._show = show

    async def __call__(self, app: str, url: str, minutes: int, /) -> Way:
        way = await self._show(app, url)
        if way is None and self._settings.apps_delivery_url:
            way = await self._ask_the_operator(str(self._settings.apps_delivery_url), app, url, minutes)
        metrics.count_link(way or "none")
        return way or "none"

    async def _ask_the_operator(self, at: str, app: str, url: str, minutes: int) -> Way | None:
        """Let their own service send it on, by SMS or e-mail. The token shows that it is us who ask."""
        user = self._user
        link = {"identity": user.identity, "kind": user.kind, "user": str(user.uuid)}
        link |= {"app": app, "url": url, "minutes": minutes}
        claims = {"sub": str(user.uuid), "aud": _DELIVERY_AUDIENCE, "exp": int(time.time()) + 60}
        token = jwt.encode(claims, self._settings.secret, algorithm="HS256")
        try:
            async with (
                asyncio.timeout(_DELIVERY_SECONDS),
                aiohttp.ClientSession() as http,
                http.post(at, json=link, headers={"authorization": f"Bearer {token}"}, allow_redirects=False) as answer,
            ):
                if answer.ok:
                    return "webhook"
                log.error("[APPS FAILED] APPS_DELIVERY_URL answered with status %d", answer.status)
        except (TimeoutError, aiohttp.ClientError) as error:
            log.error("[APPS FAILED] APPS_DELIVERY_URL did not answer: %s", type(error).__name__)
        return None


def open_apps(settings: AppsSettings, user: SessionUser, assistant: Assistant, show: Show) -> AppTools:
    """The apps of one person, for the agent that talks to them. Nothing is asked yet."""
    from apps.client import AppsClient  # noqa: PLC0415 - see above
    from apps.toolset import AppTools, Around  # noqa: PLC0415

    client = AppsClient(str(settings.apps_url), settings.secret, user.uuid, user.identity, metrics.measure_app)
    around = Around(assistant.agreed, Delivery(settings, user, show), assistant.hold_on)
    return AppTools(client, assistant, around)
