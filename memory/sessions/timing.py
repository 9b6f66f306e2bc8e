"""How long things may take beside the one deadline that somebody waits for, in seconds; tests are faster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    write: float = 10.0
    """One try of a write that nobody waits for. A store that needs seconds is still a store."""
    first_pause: float = 0.1
    longest_pause: float = 5.0
    """Between two tries of such a write."""
    rest: float = 5.0
    """So long a store is left alone that failed somebody three times in a row."""
    curation: float = 40.0
    """For a curator's answer: nobody waits for it."""
    curation_silence: float = 12.0
    """So long the person says nothing before a curator is asked about a few statements."""
    curation_rest: float = 120.0
    """After a curator that failed."""
    summary: float = 60.0
    """Between two summaries of one conversation."""
    look: float = 1.0
    """Between two looks for what has no vector yet. It stands in the conversation meanwhile."""
    longest_backoff: float = 60.0
    """Between two tries of vectors."""
