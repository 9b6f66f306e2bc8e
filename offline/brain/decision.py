"""What the toy does next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Say:
    """The reply is spoken text."""

    text: str


@dataclass(frozen=True)
class Call:
    """The reply is a tool call."""

    name: str
    arguments: dict[str, Any]


Decision = Say | Call
