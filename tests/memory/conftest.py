"""What the tests of memory share: nobody is bound before or after any of them, and each store can be asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import identity
from tests.memory.stores.contract import BACKENDS, Backend


@pytest.fixture(autouse=True)
def nobody_bound(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in identity.IdentitySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    identity._settings.cache_clear()
    token = identity._in_context.set(None)
    yield
    identity._in_context.reset(token)
    identity._settings.cache_clear()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with request.param(tmp_path) as backend:
        yield backend
