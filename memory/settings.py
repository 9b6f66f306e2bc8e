"""Where memories are kept, from the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_data_path
from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from memory.stores.protocol import Store
from memory.stores.sqlite import SqliteStore
from memory.stores.supabase_keys import Access, StoreMisconfigured, access, going_away, schema_name

_VECTORS = {"off": (), "local": ("memory.embedding.e5_preload",), "openai": ("openai.resources.embeddings",)}


class MemorySettings(BaseSettings):
    """`rapport_home` holds the embedded store, unless `supabase_url` names a project.

    `ephemeral_memory`: that memories on this machine are lost with it is known, and meant.
    `memory_deadline`: how long, in seconds, anybody waits for a store.
    `embeddings`: what finds memories that share no word with a question, beside their words.
    `memory_extraction`: what puts in order what our rules keep of each turn, and sums conversations up: the rules
    alone, or the language model beside the call. With `auto` a model does, unless it is the toy that needs no key.
    `resume_window`: how long, in seconds, a conversation that was left can be taken up again.
    `transcript_retention_days`: how long what was said is kept; 0 keeps none of it.
    `supabase_secret_key`, or its legacy form `supabase_service_role_key`: what the worker gets in with.
    `supabase_publishable_key`, or its legacy form `supabase_anon_key`: enough where each person has a token.
    `supabase_jwt_secret` (HS256) or `supabase_signing_jwk` (a private ES256 or RS256 key, which comes first): signs a
    token for each person, and row-level security then holds for all that is done for them.
    `supabase_signing_jwk_next`: signs instead as soon as the project takes no more of what these sign.
    `supabase_…_file`: a file that holds what the variable without `_file` would; it is read again when the project does
    not take that any more.
    `supabase_role`: the database role in these tokens.
    `rapport_schema`: the schema of the project in which everything of ours is, where `public` is somebody else's.
    `database_url`: the database itself, for operators' commands alone.
    """

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, env_ignore_empty=True, frozen=True
    )

    rapport_home: Path = Field(default_factory=lambda: user_data_path("rapport"))
    ephemeral_memory: bool = False
    memory_deadline: float = Field(default=1.5, gt=0, le=30)
    embeddings: Literal["off", "openai", "local"] = "local"
    memory_extraction: Literal["auto", "rules", "llm"] = "auto"
    resume_window: float = Field(default=1800.0, ge=0)
    transcript_retention_days: int = Field(default=30, ge=0, le=36_500)
    supabase_url: str | None = None
    supabase_secret_key: SecretStr | None = None
    supabase_service_role_key: SecretStr | None = None
    supabase_publishable_key: SecretStr | None = None
    supabase_anon_key: SecretStr | None = None
    supabase_signing_jwk: SecretStr | None = None
    supabase_signing_jwk_next: SecretStr | None = None
    supabase_jwt_secret: SecretStr | None = None
    supabase_secret_key_file: Path | None = None
    supabase_publishable_key_file: Path | None = None
    supabase_signing_jwk_file: Path | None = None
    supabase_signing_jwk_next_file: Path | None = None
    supabase_jwt_secret_file: Path | None = None
    supabase_role: str = "authenticated"
    rapport_schema: Annotated[str, AfterValidator(schema_name)] = "public"
    database_url: SecretStr | None = None

    @property
    def embeddings_wanted(self) -> bool:
        """Whether somebody chose a kind; the default is used where it can be."""
        return "embeddings" in self.model_fields_set

    @property
    def embedded_store(self) -> Path:
        return self.rapport_home.expanduser() / "rapport.db"

    @property
    def supabase_keys(self) -> dict[str, str]:
        """Those that are set, by the name of their variable; files are read now. Raises `StoreMisconfigured`."""
        found: dict[str, str] = {}
        for field, value in self:
            name = field.removesuffix("_file").upper()
            if not field.startswith("supabase_") or not isinstance(value, SecretStr | Path):
                continue
            if name in found:
                raise StoreMisconfigured(f"{name} and {name}_FILE are both set: unset one of them")
            found[name] = _read(name, value) if isinstance(value, Path) else value.get_secret_value()
        return found

    def supabase(self) -> Access | None:
        """The project, if one is named. Raises `StoreMisconfigured`."""
        return access(
            url=self.supabase_url, keys=self.supabase_keys, role=self.supabase_role, schema=self.rapport_schema
        )


def _read(name: str, file: Path) -> str:
    try:
        return file.expanduser().read_text(encoding="utf-8").strip()  # whoever writes a file ends its last line
    except (OSError, UnicodeError) as error:
        raise StoreMisconfigured(f"{name}_FILE cannot be read ({type(error).__name__}): {file}") from None


def open_store(settings: MemorySettings) -> Store:
    """The store that the settings name. Opens nothing yet.

    Raises `StoreMisconfigured` where they name one that cannot be: nobody's memories are put elsewhere instead.
    """
    if (project := settings.supabase()) is None:
        return SqliteStore(settings.embedded_store)
    from memory.stores.supabase import SupabaseStore  # noqa: PLC0415 - who keeps memories on this machine need not have it

    # two tries fit into what anybody waits
    return SupabaseStore(project, first_try=settings.memory_deadline * 0.6, reread=settings.supabase)


def why_off(settings: MemorySettings) -> str | None:
    """What has to be changed before anything can be remembered; None where the settings are in order."""
    try:
        settings.supabase()
    except StoreMisconfigured as error:
        return str(error)
    return None


_HOSTED = ("LIVEKIT_WORKER_TOKEN", "LIVEKIT_REMOTE_EOT_URL")
"""What LiveKit Cloud sets where it runs an agent."""
_IN_A_CONTAINER = (".dockerenv", "run/.containerenv")


def why_temporary(settings: MemorySettings, root: Path = Path("/")) -> str | None:
    """Why memories on this machine would be lost with the next deployment, and what to change; None where they last,
    where they are kept elsewhere, and where that is meant. `root` is the machine's."""
    if settings.supabase_url or settings.ephemeral_memory:
        return None
    cure = "set SUPABASE_URL, or EPHEMERAL_MEMORY=yes if that is meant"
    if any(os.environ.get(name) for name in _HOSTED):
        return f"LiveKit Cloud throws a worker's files away at each deployment: {cure}"
    mounts = _mounts(root / "proc/self/mountinfo")
    contained = mounts.get("/") == "overlay" or any((root / name).exists() for name in _IN_A_CONTAINER)
    home = settings.rapport_home.expanduser().absolute().resolve()
    if contained and not any(str(folder) in mounts for folder in (home, *home.parents) if folder != Path("/")):
        return f"this is a container, and RAPPORT_HOME ({home}) is on none of its mounts: mount a volume there, {cure}"
    return None


def _mounts(table: Path) -> dict[str, str]:
    """The file system of each mount point; see proc_pid_mountinfo(5). None where there is no such table."""
    try:
        lines = table.read_text().splitlines()
    except OSError:
        return {}
    halves = [line.partition(" - ") for line in lines]
    return {_unescaped(mount.split()[4]): what.split()[0] for mount, _, what in halves}


def _unescaped(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), path)


def what_goes_away(settings: MemorySettings) -> list[str]:
    """Which keys will not be taken any more, from when on, and what to do before."""
    project = None if why_off(settings) else settings.supabase()
    return going_away(project) if project else []


def preload_modules(settings: MemorySettings) -> list[str]:
    """What the processes that jobs are forked from should have imported for this store, and for vectors."""
    if why_off(settings):
        return []
    if settings.supabase_url is None:
        return ["sqlite3", *_VECTORS[settings.embeddings]]
    from memory.stores.supabase import PRELOAD  # noqa: PLC0415

    return [*PRELOAD, *_VECTORS[settings.embeddings]]


def prepare_store(settings: MemorySettings) -> None:
    """Import and make, before anybody waits, what the store needs. Opens no connection."""
    if why_off(settings) is None and settings.supabase_url is not None:
        from memory.stores.supabase import prepare  # noqa: PLC0415

        prepare()


def prepare_embedder(settings: MemorySettings) -> None:
    """The same for vectors, but nothing waits for it."""
    if settings.embeddings == "local":
        from memory.embedding.embedders import prepare_local  # noqa: PLC0415 - who has no vectors need not have it

        prepare_local()
