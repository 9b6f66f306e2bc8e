"""MCP's own authorization, step by step, over the helpers of the SDK. Nobody waits in here for a person: what is known
between two steps is returned, and kept elsewhere.

The helpers are public names of `mcp`, and promised by no documentation: the package is pinned, and each has a test.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode, urlsplit

import httpx2
from mcp.client.auth import OAuthFlowError, OAuthRegistrationError, OAuthTokenError, PKCEParameters
from mcp.client.auth import utils as helpers
from mcp.client.auth.oauth2 import check_registration_usable
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from mcp.shared.auth_utils import check_resource_allowed, resource_url_from_server_url
from pydantic import AnyUrl

from apps.core import Refused
from apps.providers.reach import fit

# their DEBUG and INFO lines hold arguments, links and sessions of people
for _chatter in ("mcp", "httpx2", "httpcore2", "aiohttp.access"):
    logging.getLogger(_chatter).setLevel(logging.CRITICAL)

GRANTS = ["authorization_code", "refresh_token"]
DEFAULT_LIFETIME = 3600.0
"""Of a token whose server does not tell it, in seconds."""
EARLY_SECONDS = 20.0
"""So long before its end a token is renewed, or a fifth of its life if that is less."""

_PING = {"jsonrpc": "2.0", "id": 0, "method": "ping"}
_BOTH = {"accept": "application/json, text/event-stream"}
_DOWN = Refused("app_down", "The app's sign-in does not answer just now.")


class ClientUnknown(Exception):
    """The authorization server does not know us (any more)."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to sign in for one MCP server: everything checked."""

    resource: str
    metadata: OAuthMetadata
    scope: str | None

    @property
    def issuer(self) -> str:
        return str(self.metadata.issuer)


async def discover(http: httpx2.AsyncClient, url: str, *, local: bool) -> Server:
    """Ask the server without a token, and follow what it says to its authorization server.

    Raises `Refused` for what the standard forbids: another resource, another issuer, no PKCE, an unsafe address.
    """
    first = await http.post(url, json=_PING, headers=_BOTH)
    resource = await _resource(http, url, first, local=local)
    issuer = str(resource.authorization_servers[0]) if resource else None
    metadata = await _metadata(http, issuer, url, local=local)
    _check(metadata, issuer or _origin(url), local=local)
    told = helpers.extract_scope_from_www_auth(first)
    return Server(
        str(resource.resource) if resource else resource_url_from_server_url(url),
        metadata,
        helpers.get_client_metadata_scopes(told, resource, metadata, GRANTS),
    )


async def _resource(
    http: httpx2.AsyncClient, url: str, first: httpx2.Response, *, local: bool
) -> ProtectedResourceMetadata | None:
    named = helpers.extract_resource_metadata_from_www_auth(first)
    for place in helpers.build_protected_resource_metadata_discovery_urls(named, url):
        answer = await http.get(fit(place, local=local))
        if found := await helpers.handle_protected_resource_response(answer):
            if not check_resource_allowed(resource_url_from_server_url(url), str(found.resource)):
                raise Refused("bad_app", "The app describes another resource than its own.")
            return found
    return None


async def _metadata(http: httpx2.AsyncClient, issuer: str | None, url: str, *, local: bool) -> OAuthMetadata:
    for place in helpers.build_oauth_authorization_server_metadata_discovery_urls(issuer, url):
        goes_on, found = await helpers.handle_auth_metadata_response(await http.get(fit(place, local=local)))
        if found:
            return found
        if not goes_on:
            raise _DOWN
    raise Refused("bad_app", "The app has no sign-in that follows the standard.")


def _check(metadata: OAuthMetadata, issuer: str, *, local: bool) -> None:
    if not helpers.issuers_match(str(metadata.issuer), issuer):
        raise Refused("bad_app", "The app's sign-in names another issuer than it was found under.")
    if "S256" not in (metadata.code_challenge_methods_supported or []):
        # a MUST of the standard, which the SDK's own provider does not check
        raise Refused("bad_app", "The app's sign-in does not protect its codes (PKCE).")
    endpoints = (metadata.authorization_endpoint, metadata.token_endpoint)
    for endpoint in (*endpoints, metadata.registration_endpoint, metadata.revocation_endpoint):
        if endpoint is not None:
            fit(endpoint, local=local)


async def register(
    http: httpx2.AsyncClient, server: Server, *, name: str, redirect: str, local: bool
) -> OAuthClientInformationFull:
    """Dynamic registration, for a server that knows us neither by hand nor by our metadata document."""
    if server.metadata.registration_endpoint is None:
        raise Refused("bad_app", "The app knows only clients that its operator has registered: list ours as `client`.")
    kind: Literal["web", "native"] = "native" if urlsplit(redirect).scheme == "http" else "web"
    wanted = OAuthClientMetadata(
        client_name=name, redirect_uris=[AnyUrl(redirect)], scope=server.scope, application_type=kind
    )
    request = helpers.create_client_registration_request(server.metadata, wanted, server.issuer)
    fit(request.url, local=local)
    try:
        made = await helpers.handle_registration_response(await http.send(request))
        check_registration_usable(made)
    except OAuthRegistrationError:
        # from None: its text quotes the answer
        raise Refused("bad_app", "The app did not register us as a client.") from None
    return made.model_copy(update={"issuer": server.issuer})


def authorization(
    server: Server, client: OAuthClientInformationFull, *, redirect: str, state: str, scope: str | None
) -> tuple[str, dict[str, Any]]:
    """The address at which the person signs in, and what must be known when the answer comes."""
    pkce = PKCEParameters.generate()
    asked = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect,
        "state": state,
        "code_challenge": pkce.code_challenge,
        "code_challenge_method": "S256",
        "resource": server.resource,
    } | ({"scope": scope} if scope else {})
    if scope and "offline_access" in scope.split():
        asked["prompt"] = "consent"  # OpenID gives a refresh token for nothing less
    address = str(server.metadata.authorization_endpoint)
    kept = {
        "verifier": pkce.code_verifier,
        "redirect": redirect,
        "scope": scope,
        "resource": server.resource,
        "metadata": server.metadata.model_dump(mode="json", exclude_none=True),
        "client": client.model_dump(mode="json", exclude_none=True),
    }
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(asked)}", kept


async def exchange(
    http: httpx2.AsyncClient, kept: Mapping[str, Any], answer: Mapping[str, str], *, now: float, local: bool
) -> dict[str, Any]:
    """A grant for the answer of the authorization server. Raises `Refused`, `ClientUnknown`."""
    metadata = OAuthMetadata.model_validate(kept["metadata"])
    try:
        # before anything else of the answer is believed, `error` included
        helpers.validate_authorization_response_iss(answer.get("iss"), metadata)
    except OAuthFlowError:
        raise Refused("bad_app", "The answer came from another sign-in than the app's own.") from None
    if "error" in answer or "code" not in answer:
        raise Refused("unknown", "The app was not connected: the sign-in was declined.")
    form = {
        "grant_type": "authorization_code",
        "code": answer["code"],
        "redirect_uri": kept["redirect"],
        "code_verifier": kept["verifier"],
        "resource": kept["resource"],
    }
    grant = {
        "token_endpoint": str(metadata.token_endpoint),
        "revocation_endpoint": str(metadata.revocation_endpoint or ""),
        "resource": kept["resource"],
        "client": kept["client"],
        "scope": kept["scope"],
    }
    return await _token(http, grant, form, now=now, local=local)


async def refresh(http: httpx2.AsyncClient, grant: Mapping[str, Any], *, now: float, local: bool) -> dict[str, Any]:
    """The grant with a new token. A refresh token may be good for one use: let nobody else do this meanwhile.

    Raises `Refused` with "reconnect" where only a new sign-in helps.
    """
    if not grant.get("refresh"):
        raise Refused("reconnect", "The app wants its person to sign in again.")
    form = {"grant_type": "refresh_token", "refresh_token": grant["refresh"], "resource": grant["resource"]}
    try:
        return await _token(http, grant, form, now=now, local=local)
    except ClientUnknown:
        raise Refused("reconnect", "The app wants its person to sign in again.") from None


async def revoke(http: httpx2.AsyncClient, grant: Mapping[str, Any], *, local: bool) -> None:
    """With the refresh token goes what was made by it (RFC 7009); with the access token at least that. A server that
    offers no revocation keeps its grant until it ends."""
    if not grant.get("revocation_endpoint"):
        return
    for kind in ("refresh", "access"):
        if token := grant.get(kind):
            form = {"token": token, "token_type_hint": f"{kind}_token"}
            answer = await _post(http, grant["revocation_endpoint"], grant, form, local=local)
            if answer.status_code == 400:  # servers of the SDK (2.3.0) want this field, whichever way they are shown it
                form["client_secret"] = grant["client"].get("client_secret", "")
                answer = await _post(http, grant["revocation_endpoint"], grant, form, local=local)
            if answer.status_code not in (200, 204):
                raise _DOWN


async def _token(
    http: httpx2.AsyncClient, grant: Mapping[str, Any], form: dict[str, str], *, now: float, local: bool
) -> dict[str, Any]:
    answer = await _post(http, grant["token_endpoint"], grant, form, local=local)
    if answer.status_code in (400, 401, 403):
        match _error(answer):
            case "invalid_client" | "unauthorized_client":
                raise ClientUnknown
            case "invalid_grant" | "invalid_scope" | "invalid_target" | "access_denied":
                raise Refused("reconnect", "The app wants its person to sign in again.")
            case _:
                raise Refused("bad_app", "The app's sign-in refused us.")
    if answer.status_code not in (200, 201):
        raise _DOWN
    try:
        token = await helpers.handle_token_response_scopes(answer)
    except OAuthTokenError:
        raise Refused("bad_app", "The app's sign-in answered nothing that can be read.") from None
    return {**grant, **_kept(token, grant, now)}


def _kept(token: OAuthToken, before: Mapping[str, Any], now: float) -> dict[str, Any]:
    """`expires_at` is absolute: `expires_in` means nothing after a restart. A server need not send a new refresh
    token."""
    lifetime = DEFAULT_LIFETIME if token.expires_in is None else float(token.expires_in)
    return {
        "access": token.access_token,
        "refresh": token.refresh_token or before.get("refresh"),
        "expires_at": now + lifetime,
        "renew_at": now + lifetime - min(EARLY_SECONDS, lifetime / 5),
        "scope": token.scope or before.get("scope"),
    }


async def _post(
    http: httpx2.AsyncClient, endpoint: str, grant: Mapping[str, Any], form: dict[str, str], *, local: bool
) -> httpx2.Response:
    client = OAuthClientInformationFull.model_validate(grant["client"])
    headers = {"accept": "application/json"}
    form = {**form, "client_id": client.client_id}
    if client.client_secret and client.token_endpoint_auth_method in (None, "client_secret_basic"):
        named = ":".join(quote(part, safe="") for part in (client.client_id, client.client_secret))  # RFC 6749, 2.3.1
        headers["authorization"] = f"Basic {base64.b64encode(named.encode()).decode()}"
    elif client.client_secret and client.token_endpoint_auth_method == "client_secret_post":  # noqa: S105
        form["client_secret"] = client.client_secret
    return await http.post(fit(endpoint, local=local), data=form, headers=headers)


def _error(answer: httpx2.Response) -> str:
    try:
        return str(json.loads(answer.content).get("error"))
    except (ValueError, AttributeError):
        return ""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
