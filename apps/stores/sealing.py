"""Seals what must not be read in the database: a ciphertext opens in its own row and nowhere else."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12


class KeysWrong(ValueError):
    """The keys cannot be used; the text says what to change, and quotes none."""


class Unsealable(Exception):
    """The ciphertext is of another row, or of a key that is not here any more."""


class Sealing:
    """AES-256-GCM; the row's name is authenticated with each text. The first key seals, each of them opens.

    `keys` is `name:base64` of 32 random bytes, several separated by commas. To rotate, put a new one in front; the old
    one may go when nothing that it sealed is left, which is after every person's next refresh or sign-in.
    """

    def __init__(self, keys: str) -> None:
        """Raises `KeysWrong`."""
        self._keys: dict[bytes, AESGCM] = {}
        for part in keys.split(","):
            name, separator, text = part.strip().partition(":")
            if not separator or not name.isascii() or not name.isalnum() or len(name) > 32:
                raise KeysWrong(
                    "APPS_KEYS is name:key, several with commas between: make one with `python -m apps key`"
                )
            try:
                key = base64.b64decode(text, validate=True)
            except binascii.Error:
                key = b""
            if len(key) != _KEY_BYTES:
                raise KeysWrong(f"APPS_KEYS: {name} is not 32 bytes in base64: make one with `python -m apps key`")
            if name.encode() in self._keys:
                raise KeysWrong(f"APPS_KEYS names {name} twice")
            self._keys[name.encode()] = AESGCM(key)
        self._first = next(iter(self._keys))

    def seal(self, row: str, value: Mapping[str, Any]) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._keys[self._first].encrypt(nonce, json.dumps(value).encode(), row.encode())
        return self._first + b":" + nonce + sealed

    def open(self, row: str, sealed: bytes) -> dict[str, Any]:
        """Raises `Unsealable`."""
        name, _, rest = sealed.partition(b":")
        try:
            text = self._keys[name].decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], row.encode())
        except (KeyError, InvalidTag, ValueError):
            raise Unsealable from None
        return json.loads(text)


def new_key(name: str = "k1") -> str:
    return f"{name}:{base64.b64encode(os.urandom(_KEY_BYTES)).decode()}"
