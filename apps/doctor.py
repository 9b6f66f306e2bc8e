"""Is the service in order, and would each app let a person sign in? Asks, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import httpx2

from apps.core import Refused
from apps.providers import oauth
from apps.providers.reach import client as reach
from apps.settings import App, ServiceSettings, SettingsWrong, SharedSettings, sealing_keys
from apps.stores.protocol import Store, StoreFailed
from apps.stores.sealing import KeysWrong, Sealing

_APP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    held: bool
    told: str


async def examine(
    settings: ServiceSettings, shared: SharedSettings, open_store: Callable[[SharedSettings], Store]
) -> list[Check]:
    checks = [_secrets(settings, shared), await _store(shared, open_store)]
    if not settings.apps_public_url:
        checks.append(Check("pages", False, "APPS_PUBLIC_URL is not set: links lead to this machine alone"))
    return checks + await asyncio.gather(*(_app(settings, name, app) for name, app in settings.listed.items()))


def _secrets(settings: ServiceSettings, shared: SharedSettings) -> Check:
    try:
        Sealing(sealing_keys(settings, shared))
        _ = shared.secret
    except (SettingsWrong, KeysWrong, OSError) as error:
        return Check("keys", False, str(error))
    return Check("keys", True, "grants can be sealed, and jobs can sign who asks")


async def _store(shared: SharedSettings, open_store: Callable[[SharedSettings], Store]) -> Check:
    try:
        store = open_store(shared)
    except SettingsWrong as error:
        return Check("store", False, str(error))
    try:
        await store.connections(uuid4())
    except StoreFailed as error:
        return Check("store", False, str(error))
    finally:
        await store.aclose()
    return Check("store", True, shared.supabase_url or str(shared.embedded_store))


async def _app(settings: ServiceSettings, name: str, app: App) -> Check:
    if app.url is None:
        return Check(name, True, f"{app.toolkit} at Composio, with a key of ours; its callback verifier must be on")
    if app.own_token:
        return Check(name, True, f"{app.url}, with tokens of ours")
    try:
        async with asyncio.timeout(_APP_SECONDS), reach(local=app.local, private=app.private) as http:
            server = await oauth.discover(http, app.url, local=app.local)
    except Refused as refused:
        return Check(name, False, refused.why)
    except (TimeoutError, httpx2.HTTPError) as error:
        return Check(name, False, f"{app.url} does not answer ({type(error).__name__})")
    known = _known(settings, app, server)
    return Check(name, known is not None, f"{server.issuer}, {known or 'which knows only clients listed as `client`'}")


def _known(settings: ServiceSettings, app: App, server: oauth.Server) -> str | None:
    if app.client:
        return "where we are registered by hand"
    public = settings.apps_public_url or ""
    if public.startswith("https") and server.metadata.client_id_metadata_document_supported:
        return "which takes our metadata document"
    return "which registers us by itself" if server.metadata.registration_endpoint else None
