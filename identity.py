"""Identity -> UUID, and "who is this job for?". The only place that knows ContextVars.

A job's user is held by one `Binding`. Its states, and the rule between them:

    UNBOUND   the job runs, nobody is known yet; asking raises `NoSessionUser`
    BOUND     one user, for the rest of the job; binding another one raises `WrongSessionUser`
    CLOSED    the session is over; asking raises `NoSessionUser` again

    UNBOUND -> BOUND -> CLOSED, or UNBOUND -> CLOSED, and never back.

The binding is put in two places, because neither alone is seen everywhere: a ContextVar, which room
callbacks, text turns and tools inherit when it is set before `connect()`, and the job itself, which shutdown hooks can
still reach. Where both speak, they must say the same.
"""

from __future__ import annotations

import functools
import hmac
import os
import re
import sys
import unicodedata
from collections.abc import Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import Enum
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID, uuid5

from pydantic import field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

if TYPE_CHECKING:
    from livekit.agents import JobContext

Kind = Literal["standard", "sip", "connector", "whatsapp", "twilio"]
"""How a participant comes in: with a token of their own, by telephone, or through another service's connector. WhatsApp
has verified who calls; the number that Twilio shows may be forged."""

MAX_IDENTITY_CHARACTERS = 512
# Control characters, lone surrogates, line and paragraph separators: nothing a token server mints on purpose, and
# all of them can forge a log line or fail in the database. Joiners (Cf) stay: Persian names and emoji need them.
_REFUSED_CHARACTERS = frozenset({"Cc", "Cs", "Zl", "Zp"})

# As Supabase Auth spells its ids. Only version 4: whoever could join *as* a version 5 id would be the person whose
# identity derives to it.
_VERSION_4 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class IdentityError(ValueError):
    """The identity cannot stand for a person; the message says what to change."""


class NoSessionUser(LookupError):
    """Nobody is bound here. There is no default user to fall back to."""


class WrongSessionUser(RuntimeError):
    """Two different users claim the same job, or one job's context runs inside another job."""


class IdentitySettings(BaseSettings):
    """How identities become users.

    `identity_namespace`: the uuid5 namespace; another one gives every person another UUID.
    `supabase_auth_identities`: pass a version 4 UUID through unchanged.
    `anonymous_identities`: shell patterns, comma separated; `none` for no pattern.
    """

    model_config = SettingsConfigDict(
        alias_generator=str.upper, populate_by_name=True, env_ignore_empty=True, frozen=True
    )

    identity_namespace: UUID = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    supabase_auth_identities: bool = False
    # What LiveKit's sample front ends mint: a new one for each visit, or one for everybody. Memory kept under such
    # a name would be handed to the next visitor who draws it.
    anonymous_identities: Annotated[tuple[str, ...], NoDecode] = (
        "voice_assistant_user_*",
        "identity-????",
        "human_user",
    )

    @field_validator("anonymous_identities", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        patterns = tuple(part.strip() for part in value.split(",") if part.strip())
        return () if patterns == ("none",) else patterns


@functools.cache
def _settings() -> IdentitySettings:
    return IdentitySettings()


@dataclass(frozen=True, slots=True)
class SessionUser:
    """The person a session belongs to.

    `remembered` is False where the session runs without stored memory: for an anonymous identity, and on a worker that
    would lose it.
    """

    uuid: UUID
    identity: str
    remembered: bool = True
    kind: Kind = "standard"

    @property
    def login(self) -> str | None:
        """The identity, where it is the one that the person signed in with; a phone number is not."""
        return self.identity if self.kind == "standard" else None


def livekit_identity_to_uuid(
    identity: str, settings: IdentitySettings | None = None, *, kind: Kind = "standard", scope: str = ""
) -> UUID:
    """Turn a LiveKit identity into the person's UUID: `uuid5(namespace, identity)`, the same on every worker.

    The identity is taken as it is signed: no case folding, trimming or Unicode normalisation, so two identities
    that only look alike are two people. Whoever comes by telephone or connector has a UUID that no token's identity
    has, because a caller's number is no proof of a login that happens to have the same name. A `scope`, such as the
    number that they called, makes another person of the same caller; a login has none.

    Raises `IdentityError` for one that is empty, blank, over 512 characters, or holds control characters or lone
    surrogates.
    """
    settings = settings or _settings()
    _refuse_unusable(identity)
    if kind != "standard":
        # no identity may contain the separator
        scoped = f"\0{scope}" if scope else ""
        return uuid5(settings.identity_namespace, f"\0{kind}\0{identity}{scoped}")
    if settings.supabase_auth_identities and _VERSION_4.fullmatch(identity):
        return UUID(identity)
    return uuid5(settings.identity_namespace, identity)


def kind_among(kind: Kind, kinds: Collection[Kind]) -> Kind | None:
    """As which of these somebody of this kind is known, and who they are follows from it; None for none of them.

    WhatsApp and Twilio are kinds of their own where they are named. Where only `connector` is, it stands for both, and
    one identity is one person by whichever they come, as it was before they were told apart.
    """
    if kind in kinds:
        return kind
    return "connector" if kind in ("whatsapp", "twilio") and "connector" in kinds else None


def session_user(
    identity: str, settings: IdentitySettings | None = None, *, kind: Kind = "standard", scope: str | None = ""
) -> SessionUser:
    """Describe the person behind an identity. A `scope` of None is one that is asked for and not known: whose memory it
    is, nobody can tell, and nothing is stored. Raises `IdentityError`."""
    settings = settings or _settings()
    uuid = livekit_identity_to_uuid(identity, settings, kind=kind, scope=scope or "")
    anonymous = any(fnmatchcase(identity, pattern) for pattern in settings.anonymous_identities)
    nobodys = anonymous or scope is None or (kind == "sip" and _is_withheld(identity))
    return SessionUser(uuid, identity, remembered=not nobodys, kind=kind)


# What telephone networks put in the place of a number that is withheld or not known. Everybody who hides theirs would
# be one person. Some spell it on the keys of a telephone, "anonymous" as 266696687.
_NO_NUMBER = frozenset({"anonymous", "blocked", "private", "restricted", "unavailable", "unknown", "withheld"})
_KEYS = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_KEYED = frozenset(word.translate(_KEYS) for word in _NO_NUMBER - {"private", "withheld"})
# Where LiveKit hides numbers, a caller is the beginning of its hash.
_HASHED = frozenset(
    sha256(number.encode()).hexdigest()[:16]
    for word in _NO_NUMBER | _KEYED | {""}
    for number in (word, word.title(), word.upper(), f"+{word}")
)


def _is_withheld(identity: str) -> bool:
    """Whether a caller's identity, `sip_` and their number or its hash, stands for no number."""
    number = identity.lower().removeprefix("sip_").partition("@")[0].strip().lstrip("+")
    words = set(re.findall("[a-z]+", number))
    return not number or not words.isdisjoint(_NO_NUMBER) or number in _KEYED | _HASHED


def printable(text: str) -> str:
    """The text for a log line: all but plain ASCII is escaped, so that look-alikes differ and no line can be forged."""
    return text.encode("unicode_escape").decode()


def pseudonym(name: str, secret: str | None = None) -> str:
    """Stands for a name where others may read it, such as a room's in a log: a plain hash of an e-mail address would be
    as good as the address. By default the secret is LiveKit's, so that all workers write the same."""
    key = os.environ.get("LIVEKIT_API_SECRET", "") if secret is None else secret
    return hmac.new(key.encode(), name.encode(errors="replace"), sha256).hexdigest()[:16]


def _refuse_unusable(identity: str) -> None:
    if not isinstance(identity, str):  # pyright: ignore[reportUnnecessaryIsInstance] - a mock room's is not
        raise IdentityError(f"the identity must be text, not {type(identity).__name__}")
    if not identity.strip():
        raise IdentityError("the identity is empty or blank: the token needs an identity that names one person")
    if len(identity) > MAX_IDENTITY_CHARACTERS:
        raise IdentityError(
            f"the identity has {len(identity)} characters, at most {MAX_IDENTITY_CHARACTERS} are accepted: "
            "put a short, stable id into the token"
        )
    for position, character in enumerate(identity):
        if unicodedata.category(character) in _REFUSED_CHARACTERS:
            raise IdentityError(
                f"the identity has a control character or lone surrogate (U+{ord(character):04X}) at position "
                f"{position}: remove it where the token is made"
            )


class BindingState(Enum):
    UNBOUND = "unbound"
    BOUND = "bound"
    CLOSED = "closed"


class Binding:
    """Holds a job's user: filled once, closed once. Not tied to a loop or thread; `bind` never yields between its
    check and its assignment."""

    def __init__(
        self, job: JobContext | None = None, user: SessionUser | None = None, *, remembers: bool = True
    ) -> None:
        """`remembers` is False where nothing is stored of anybody."""
        self._remembers = remembers
        self.job = job
        """The job it was opened for; None in a plain script. A binding is worth nothing inside another job."""
        self._user = user
        self._closed = False

    @property
    def state(self) -> BindingState:
        if self._closed:
            return BindingState.CLOSED
        return BindingState.BOUND if self._user else BindingState.UNBOUND

    @property
    def user(self) -> SessionUser:
        """Who it is bound to. Raises `NoSessionUser` when unbound or closed."""
        if self._closed:
            raise NoSessionUser("this session has ended: nothing may be read or written for its user any more")
        if self._user is None:
            raise NoSessionUser("nobody is bound to this job yet: bind the participant's identity first")
        return self._user

    def bind(self, identity: str, kind: Kind = "standard", scope: str | None = "") -> SessionUser:
        """Bind the identity, as `session_user` describes it. Again with the same one is harmless.

        Raises `IdentityError`, `WrongSessionUser` if somebody else is bound, `NoSessionUser` after `close()`.
        """
        user = session_user(identity, kind=kind, scope=scope)
        user = replace(user, remembered=user.remembered and self._remembers)
        if self.state is BindingState.UNBOUND:
            self._user = user
        if self.user != user:
            raise WrongSessionUser("this job is already bound to another user; a job never changes its user")
        return user

    @contextmanager
    def entered(self) -> Generator[None]:
        """Work for this binding's user in here, whatever context the code was started from.

        A turn can be started from anywhere, by another job's code too; whose turn it is, its session knows. Inside
        another job `current_user` still raises `WrongSessionUser`.
        """
        token = _in_context.set(self)
        try:
            yield
        finally:
            _in_context.reset(token)

    def close(self) -> None:
        """End it: from now on nobody is bound. Safe to call twice."""
        self._closed = True


_in_context: ContextVar[Binding | None] = ContextVar("rapport_binding", default=None)
_ON_JOB = "rapport.binding"


def open_binding(ctx: JobContext, *, remembers: bool = True) -> Binding:
    """Put an empty binding in the ContextVar and on the job.

    Call it as the entrypoint's first statement: `connect()` freezes the context that room callbacks and text
    turns will see, so a ContextVar set after it is lost to them.
    """
    binding = ctx.proc.userdata[_ON_JOB] = open_seat(ctx, remembers=remembers)
    return binding


def open_seat(ctx: JobContext, *, remembers: bool = True) -> Binding:
    """Put an empty binding for one of several people of a job in the ContextVar, and only there.

    Each person's code runs in a context of its own; whatever of the job has lost it finds nobody, instead of the one
    who sat down last.
    """
    binding = Binding(ctx, remembers=remembers)
    _in_context.set(binding)
    return binding


def current_user() -> SessionUser:
    """Who is this code working for?

    Looks in the ContextVar, then on the job. Raises `NoSessionUser` when nobody is bound, `WrongSessionUser` when
    the two disagree.
    """
    binding, job = _of_the_context(), _current_job()
    if job and not (binding and binding.job):
        on_job: Binding | None = job.proc.userdata.get(_ON_JOB)
        if binding and on_job and on_job.user != binding.user:
            raise WrongSessionUser("the context and the job are bound to different users")
        binding = binding or on_job
    if binding is None:
        raise NoSessionUser("nobody is bound here: call set_session_user(identity), or run inside a bound job")
    return binding.user


def _of_the_context() -> Binding | None:
    """The binding in the ContextVar. It is the running job's, a script's, or there is none."""
    binding, job = _in_context.get(), _current_job()
    if binding and job and binding.job not in (None, job):
        raise WrongSessionUser("another job's context is running inside this job")
    return binding


def _current_job() -> JobContext | None:
    # Without the framework in memory there can be no job, and importing it costs a script two seconds.
    if "livekit.agents" not in sys.modules:
        return None
    from livekit.agents import get_job_context  # noqa: PLC0415

    return get_job_context(required=False)


def set_session_user(identity: str) -> UUID:
    """Bind the identity's user here and return their UUID.

    In a plain script or test it may be called again to switch user. Inside a job it fills the job's own binding,
    and another user raises `WrongSessionUser`. Raises `IdentityError` for an unusable identity.
    """
    binding, job = _of_the_context(), _current_job()
    if job is None:
        binding = Binding(user=session_user(identity))
        _in_context.set(binding)
    elif binding is None or binding.job is None:
        if binding and binding.user != session_user(identity):
            raise WrongSessionUser("this context is bound to another user; a job cannot bind somebody else in it")
        binding = job.proc.userdata.get(_ON_JOB) or open_binding(job)
    return binding.bind(identity).uuid


def get_session_user_uuid() -> UUID:
    """The bound user's UUID. Raises as `current_user`."""
    return current_user().uuid


def get_session_livekit_identity() -> str:
    """The bound user's LiveKit identity. Raises as `current_user`."""
    return current_user().identity


def get_or_create_default_user() -> UUID:
    """Bind the fixed local user, for scripts that have no identity at hand, and return its UUID.

    Its name starts with a control character, which no identity may contain: nobody can join a room as this user,
    and it is never somebody's profile. Raises `WrongSessionUser` inside a job.
    """
    if _current_job() is not None:
        raise WrongSessionUser("a job has a participant; the default user exists only outside jobs")
    uuid = uuid5(_settings().identity_namespace, "\0local-user")
    _in_context.set(Binding(user=SessionUser(uuid, "local-user")))
    return uuid
