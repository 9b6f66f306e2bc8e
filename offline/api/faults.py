"""What can go wrong with the service behind an API, on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard, get_args

Endpoint = Literal["chat", "transcriptions", "speech", "embeddings"]
Mode = Literal["error", "hang", "cut", "html", "not_json"]
"""error: 500 with OpenAI's error JSON. hang: no answer until the caller or the server goes. cut: half of the
answer, then the connection drops. html: 200 with a web page. not_json: 200 that claims JSON and is none."""

Where = Callable[[Mapping[str, Any]], bool]
"""Picks requests by their body (form fields, for a transcription)."""


@dataclass
class _Planned:
    endpoint: Endpoint
    mode: Mode
    times: int
    where: Where | None


class Faults:
    """Planned faults, taken in the order they were planned."""

    def __init__(self) -> None:
        self._planned: list[_Planned] = []

    def plan(self, endpoint: str, mode: str, times: int = 1, where: Where | None = None) -> None:
        """Let the next `times` matching requests fail. Raises `ValueError` for an unknown endpoint or mode."""
        if not is_endpoint(endpoint):
            raise ValueError(f"unknown endpoint {endpoint!r}: {', '.join(get_args(Endpoint))}")
        if not is_mode(mode):
            raise ValueError(f"unknown mode {mode!r}: {', '.join(get_args(Mode))}")
        self._planned.append(_Planned(endpoint, mode, times, where))

    def take(self, endpoint: Endpoint, body: Mapping[str, Any]) -> Mode | None:
        """The fault this request is to suffer, if any; it is then used up once."""
        for planned in self._planned:
            if planned.endpoint == endpoint and planned.times > 0 and _matches(planned.where, body):
                planned.times -= 1
                return planned.mode
        return None

    def clear(self) -> None:
        """Everything works again (a request that hangs already goes on hanging)."""
        self._planned.clear()


def is_endpoint(name: str) -> TypeGuard[Endpoint]:
    return name in get_args(Endpoint)


def is_mode(name: str) -> TypeGuard[Mode]:
    return name in get_args(Mode)


def _matches(where: Where | None, body: Mapping[str, Any]) -> bool:
    return where is None or where(body)
