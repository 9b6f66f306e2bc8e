"""What databases take of a text."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text without blanks around it, and without what databases refuse (NUL, lone surrogates)."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode().strip()
