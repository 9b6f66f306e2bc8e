"""What the operator says: which apps there are, where the service listens, what it seals with and where it keeps it."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from apps.stores.sealing import new_key

MIN_SECRET_CHARACTERS = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class SettingsWrong(ValueError):
    """The service cannot start; the text says what to change, and quotes no secret."""


class Client(BaseModel):
    """What an app gave us when we were registered there by hand."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    client_id: str
    client_secret: SecretStr | None = None
    token_endpoint_auth_method: Literal["none", "client_secret_basic", "client_secret_post"] = "client_secret_basic"  # noqa: S105 - the name of a way


class App(BaseModel):
    """One app of the operator's list.

    `url` is its MCP server; `toolkit` names it at Composio instead. `reads` and `writes` are the tools that it may be
    asked for, by name; no other is told to anybody. `client`: registered there by hand. `own_token`: the secret
    with which the server checks tokens that this service signs for each person; then there is nothing to sign in to.
    `scope` is asked for in place of what the app proposes. `private`: its address may be of a private network.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    title: str = ""
    url: str | None = None
    toolkit: str | None = Field(default=None, pattern=r"^[a-z0-9_]+$")
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    scope: str | None = None
    client: Client | None = None
    own_token: SecretStr | None = None
    private: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.url is None) == (self.toolkit is None):
            raise ValueError("say where it is: either `url`, of its MCP server, or `toolkit`, at Composio")
        if self.toolkit and (self.client or self.own_token or self.scope):
            raise ValueError("`client`, `own_token` and `scope` are for an app with a `url`")
        if self.client and self.own_token:
            raise ValueError("an app with `own_token` knows no `client`")
        if self.own_token and len(self.own_token.get_secret_value()) < MIN_SECRET_CHARACTERS:
            raise ValueError(f"`own_token` is a secret of {MIN_SECRET_CHARACTERS} characters at least")
        if not (self.reads or self.writes):
            raise ValueError("allow some tools in `reads` or `writes`: without them nobody is offered the app")
        if both := set(self.reads) & set(self.writes):
            raise ValueError(f"{min(both)} is in `reads` and in `writes`")
        if self.url and (urlsplit(self.url).scheme != "https" and not self.local):
            raise ValueError("`url` must begin with https: over http a token can be read on the way")
        return self

    @property
    def local(self) -> bool:
        """Is it on this machine, where nothing can be read on the way?"""
        return urlsplit(self.url or "").hostname in _LOOPBACK

    @property
    def kind(self) -> Literal["standard", "composio", "own_token"]:
        if self.toolkit:
            return "composio"
        return "own_token" if self.own_token else "standard"


class ServiceSettings(BaseSettings):
    """`apps`: the list, by name, as JSON or as the path of a JSON file. None, and there is nothing to serve.

    `apps_public_url`: where people's browsers reach the pages (default: where it listens).
    `apps_keys`: what people's grants are sealed with, `name:base64`, the newest first (default: a file beside the
    embedded store).
    `apps_host`, `apps_port`: where jobs reach /v1, and browsers the pages, unless these have an `apps_public_port`.
    `apps_sessions`: how many sessions with apps are kept open at once, and `apps_idle` how long, in seconds, one that
    nobody uses.
    `apps_unused_days`: a connection that nobody used for so long is given back to its app.
    `composio_api_key`: reaches the accounts of everybody in the project, so only this service has it; `composio_url`:
    where its API is.
    """

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, env_ignore_empty=True, frozen=True, hide_input_in_errors=True
    )

    apps: Annotated[dict[str, App] | None, NoDecode] = None
    apps_public_url: str | None = None
    apps_keys: SecretStr | None = None
    apps_host: str = "127.0.0.1"
    apps_port: int = Field(default=8090, ge=0, le=65_535)
    apps_public_port: int | None = Field(default=None, ge=0, le=65_535)
    apps_sessions: int = Field(default=100, ge=1)
    apps_idle: float = Field(default=300.0, ge=1)
    apps_unused_days: int = Field(default=90, ge=1, le=3_650)
    composio_api_key: SecretStr | None = None
    composio_url: str = "https://backend.composio.dev"

    @field_validator("apps", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text = value
        if not value.lstrip().startswith("{"):
            try:
                text = Path(value).expanduser().read_text(encoding="utf-8")
            except OSError as error:
                raise ValueError(f"{value} cannot be read ({error.strerror}): set it to JSON or to a file") from None
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(f"is no JSON: {error}") from None

    @field_validator("apps")
    @classmethod
    def _names(cls, value: dict[str, App] | None) -> dict[str, App] | None:
        for name in value or ():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of an app: letters, digits, . _ and -, at most 32")
        return value

    @field_validator("apps_public_url")
    @classmethod
    def _public(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("must begin with https: what people are granted passes there")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("goes on after the host: leave only https://apps.example.com")
        return f"{parts.scheme}://{parts.netloc}"

    @model_validator(mode="after")
    def _key(self) -> Self:
        if self.composio_api_key is None and (of := [name for name, app in self.listed.items() if app.toolkit]):
            raise ValueError(f"{of[0]} is reached by way of Composio: set COMPOSIO_API_KEY")
        return self

    @property
    def listed(self) -> dict[str, App]:
        return self.apps or {}


class SharedSettings(BaseSettings):
    """What others read as well: `apps_secret` jobs, which sign with it who asks; the rest the worker."""

    model_config = ServiceSettings.model_config

    apps_secret: SecretStr | None = None
    agent_display_name: str = "Rapport"
    rapport_home: Path = Field(default_factory=lambda: user_data_path("rapport"))
    supabase_url: str | None = None
    supabase_secret_key: SecretStr | None = None
    supabase_service_role_key: SecretStr | None = None
    supabase_secret_key_file: Path | None = None
    rapport_schema: str = "public"

    @property
    def secret(self) -> str:
        """Raises `SettingsWrong`."""
        text = self.apps_secret.get_secret_value() if self.apps_secret else ""
        if len(text) < MIN_SECRET_CHARACTERS:
            raise SettingsWrong(
                f"APPS_SECRET must have {MIN_SECRET_CHARACTERS} characters or more, the same for the service and the "
                "worker: make one with `python -m apps secret`"
            )
        return text

    @property
    def embedded_store(self) -> Path:
        return self.rapport_home.expanduser() / "rapport.db"

    @property
    def supabase_key(self) -> str:
        """Raises `SettingsWrong`."""
        if key := self.supabase_secret_key or self.supabase_service_role_key:
            return key.get_secret_value()
        if file := self.supabase_secret_key_file:
            try:
                return file.expanduser().read_text(encoding="utf-8").strip()
            except (OSError, UnicodeError) as error:
                told = f"SUPABASE_SECRET_KEY_FILE cannot be read ({type(error).__name__}): {file}"
                raise SettingsWrong(told) from None
        raise SettingsWrong("SUPABASE_URL is set, and the service has no key of its own: set SUPABASE_SECRET_KEY")


def read_settings() -> tuple[ServiceSettings, SharedSettings]:
    """Raises `SettingsWrong`."""
    try:
        return ServiceSettings(), SharedSettings()
    except ValidationError as error:
        # without the values: one of them may be a key
        told = "; ".join(
            f"{'.'.join(map(str, wrong['loc'])) or 'the environment'}: {wrong['msg'].removeprefix('Value error, ')}"
            for wrong in error.errors(include_input=False, include_context=False)
        )
        raise SettingsWrong(told) from None


def sealing_keys(service: ServiceSettings, shared: SharedSettings) -> str:
    """Those that are set, else those of a file that only its owner reads, made once. Raises `SettingsWrong`, `OSError`.

    A database that others reach wants keys that are set: each process would make other ones.
    """
    if service.apps_keys:
        return service.apps_keys.get_secret_value()
    if shared.supabase_url:
        raise SettingsWrong("APPS_KEYS is not set: make a key with `python -m apps key`, the same for each process")
    file = shared.rapport_home.expanduser() / "apps.key"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        # whole from the moment it is there: another process may look
        made = file.with_name(f"apps.key.{os.getpid()}")
        made.touch(mode=0o600)
        made.write_text(new_key() + "\n")
        with contextlib.suppress(FileExistsError):
            os.link(made, file)
        made.unlink()
    return file.read_text().strip()
