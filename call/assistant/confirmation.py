"""What waits for the person's own yes: a deletion, and whatever an app of theirs is to write."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

from memory.language.worthless import is_question

# What people say to agree, in a few languages; a yes that is not among them only means that they are asked again.
_YES = re.compile(
    r"\b(?:yes|yeah|yep|yup|sure|ok|okay|confirm|confirmed|agreed|absolutely|definitely|certainly|go ahead|do it"
    r"|please do|forget (?:it all|everything|all)|delete (?:it all|everything|all|it|them)|erase (?:it all|everything)"
    r"|ja|jawohl|oui|sí|si|sim|da|tak|hai|はい|是的|确认|نعم|हाँ)\b",
    re.IGNORECASE,
)
_NO = re.compile(
    r"\b(?:no|not|nope|nah|never|\w+n't|cannot|stop|wait|hold on|hang on|cancel|keep|rather|changed my mind"
    r"|what|why|how|who|when|where|if|but|tell|nein|non|nicht)\b",
    re.IGNORECASE,
)


class SpokenConfirmation:
    """Lets something through only when the person agreed to it in the turn right after they were asked.

    The model cannot agree for them: the words it passes on must be in that turn, and the turn must be a yes. One yes is
    good for one thing, and for nothing else that was asked about with it.
    """

    def __init__(self) -> None:
        self._asked: dict[Hashable, int] = {}
        """What about, and how many turns the person had taken when they were asked."""

    def given(self, turns: Sequence[str], words: str, about: Hashable = None) -> bool:
        """Is this the answer to an earlier question about the same? If not, the question counts as asked now.

        `turns` are the person's turns so far; `words` what the model took for a yes.
        """
        now = len(turns)
        answered = now > 0 and self._asked.get(about) == now - 1
        quoted = _bare(words)
        agreed = answered and quoted.strip() != "" and quoted in _bare(turns[-1]) and _is_a_yes(turns[-1])
        if not agreed:
            self._asked[about] = now
        # of what was asked with it in the turn before, one thing may still be what they agree to
        self._asked = {what: at for what, at in self._asked.items() if at == now or (at == now - 1 and not agreed)}
        return agreed


def _is_a_yes(turn: str) -> bool:
    plain = turn.replace("’", "'")
    asks = is_question(plain) and not plain.lower().startswith("do ")
    return bool(_YES.search(plain)) and not _NO.search(plain) and not asks


def _bare(text: str) -> str:
    """Words alone, padded, so that "yes" is not found inside "yesterday"."""
    words = " ".join(re.findall(r"[^\W_]+", text.casefold()))
    return f" {words} "
