"""A model's reply that takes its time: what is late is one piece, not the whole, and nothing while it is being used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tests.voice.clock import run
from voice.failure import HOLD_ON, LONGEST_WAIT, TTS_PATIENCE, patiently


def said(*pauses: float, used_for: float = 0.0) -> tuple[list[object], int]:
    """What comes of a reply whose pieces come after these pauses, each of which is used for so long (in seconds), and
    how often it is said that nothing came."""

    async def reply() -> AsyncIterator[str]:
        for number, pause in enumerate(pauses):
            await asyncio.sleep(pause)
            yield str(number)

    async def main() -> tuple[list[object], int]:
        failures: list[None] = []
        passed: list[object] = []
        async for piece in patiently(reply(), lambda: failures.append(None)):
            passed += [piece] if isinstance(piece, str) else []
            await asyncio.sleep(used_for)
        return passed, len(failures)

    return run(main())


def test_a_reply_may_take_longer_than_any_piece_of_it() -> None:
    pause = LONGEST_WAIT * 0.6
    assert said(1.0, pause, pause, pause) == (["0", "1", "2", "3"], 0)


def test_nothing_is_late_while_a_piece_is_used() -> None:
    assert said(1.0, LONGEST_WAIT + 5.0, used_for=2 * LONGEST_WAIT) == (["0", "1"], 0)


def test_a_piece_that_does_not_come_is_given_up() -> None:
    assert said(1.0, LONGEST_WAIT + 1.0) == (["0"], 1)


def test_a_first_piece_that_is_late_is_announced_and_waited_for() -> None:
    assert said(TTS_PATIENCE + LONGEST_WAIT / 2, 1.0) == ([HOLD_ON, "0", "1"], 0)
    assert said(TTS_PATIENCE + LONGEST_WAIT + 1.0) == ([HOLD_ON], 1)
