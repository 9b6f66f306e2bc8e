"""What the tests of memory share: nobody is bound before or after any of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import identity


@pytest.fixture(autouse=True)
def nobody_bound(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in identity.IdentitySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    identity._settings.cache_clear()
    token = identity._in_context.set(None)
    yield
    identity._in_context.reset(token)
    identity._settings.cache_clear()
