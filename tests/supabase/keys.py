"""Keys as they look, of a project that does not exist."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt

JWT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
SECRET_KEY = "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz"
PUBLISHABLE_KEY = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH"


def legacy_key(role: str, *, secret: str = JWT_SECRET, **claims: Any) -> str:
    """A JWT key as projects had them: for ten years."""
    now = int(time.time())
    said = {"iss": "supabase", "ref": "abcdefghijklmnop", "role": role, "iat": now, "exp": now + 315_360_000}
    return jwt.encode(said | claims, secret, algorithm="HS256")


def signing_jwk(algorithm: str, **changes: Any) -> str:
    """A new private key of our own, as `supabase gen signing-key` prints it."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if algorithm == "ES256":
        text = jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()))
    else:
        text = jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048))
    return json.dumps(json.loads(text) | {"alg": algorithm, "kid": "our-key", "use": "sig"} | changes)
