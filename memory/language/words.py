"""The vocabulary of the rules, which is data: `words.toml` says of each list what it is for."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any


def read(name: str) -> dict[str, Any]:
    """A file of this folder."""
    return tomllib.loads(files("memory.language").joinpath(name).read_text("utf-8"))


_LISTS: dict[str, dict[str, str]] = read("words.toml")
WORDS = {name: frozenset(listed.split()) for name, listed in _LISTS["words"].items()}


def one_of(name: str) -> str:
    """A pattern of any phrase of this list, the longer ones first."""
    phrases = map(str.strip, _LISTS["phrases"][name].replace("\n", " ").split(","))
    return f"(?:{'|'.join(sorted(phrases, key=len, reverse=True))})"
