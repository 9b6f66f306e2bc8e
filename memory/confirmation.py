"""A deletion that waits for the person's own yes."""

from __future__ import annotations

import re
from collections.abc import Sequence

_REFUSAL = re.compile(r"\b(?:no|not|nope|never|don't|stop|wait|cancel)\b", re.IGNORECASE)


class SpokenConfirmation:
    """Lets something through only when the person agreed in the turn right after they were asked.

    The model cannot agree for them: the words it passes on must be in that turn, and the turn must not refuse.
    """

    def __init__(self) -> None:
        self._asked_at: int | None = None
        """How many turns the person had taken when they were asked."""

    def given(self, turns: Sequence[str], words: str) -> bool:
        """Is this the answer to an earlier question? If not, the question counts as asked now.

        `turns` are the person's turns so far; `words` what the model took for a yes.
        """
        answered = self._asked_at is not None and len(turns) == self._asked_at + 1
        agreed = answered and _quotes(turns[-1], words) and not _REFUSAL.search(turns[-1])
        self._asked_at = None if agreed else len(turns)
        return agreed


def _quotes(turn: str, words: str) -> bool:
    said, quoted = _bare(turn), _bare(words)
    return quoted.strip() != "" and quoted in said


def _bare(text: str) -> str:
    """Words alone, padded, so that "yes" is not found inside "yesterday"."""
    words = " ".join(re.findall(r"[^\W_]+", text.casefold()))
    return f" {words} "
