"""A mouth that is late, whoever's it is: something else is heard meanwhile, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, cast

import pytest
from livekit import rtc

import voice.failure
from voice.failure import Apology

PATIENCE = 0.2
MEANWHILE, SOUND = 0.4, 0.01
Mouth = Callable[[AsyncIterable[str]], AsyncIterable[rtc.AudioFrame]]


class Session:
    def __init__(self) -> None:
        self.apologies = 0

    def say(self, text: str, **_: Any) -> None:
        self.apologies += 1


@pytest.fixture(autouse=True)
def short_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice.failure, "TTS_PATIENCE", PATIENCE)
    monkeypatch.setattr(voice.failure, "LONGEST_WAIT", 3 * PATIENCE)


@pytest.fixture
def session() -> Session:
    return Session()


async def reply(*pauses: float) -> AsyncIterator[str]:
    for pause in pauses:
        await asyncio.sleep(pause)
        yield "word "


def mouth(*pauses: float, fails: bool = False) -> Mouth:
    """Waits for all words, and makes a sound after each of the pauses."""

    async def speak(words: AsyncIterable[str]) -> AsyncIterator[rtc.AudioFrame]:
        async for _ in words:
            pass
        for pause in pauses:
            await asyncio.sleep(pause)
            yield rtc.AudioFrame(bytes(480), 24_000, 1, 240)
        if fails:
            raise RuntimeError("broken")

    return speak


async def heard(session: Session, words: AsyncIterable[str], speak: Mouth) -> list[float]:
    apology = Apology(cast("Any", session), None)
    return [round(frame.duration, 2) async for frame in apology.speak(words, speak)]


@pytest.mark.parametrize(
    ("words", "sounds", "expected"),
    [
        ([0], [0, 0], [SOUND, SOUND]),
        ([0], [2 * PATIENCE], [MEANWHILE, SOUND]),
        ([0], [0, 2 * PATIENCE], [SOUND, MEANWHILE, SOUND]),
        ([0], [2 * PATIENCE, 4 * PATIENCE], [MEANWHILE, SOUND, SOUND]),
        # who is given no words is not late, nor is who waits for the rest of a sentence
        ([2 * PATIENCE], [0], [SOUND]),
        ([0, PATIENCE * 0.7, PATIENCE * 0.7], [0], [SOUND]),
        ([], [], []),
    ],
    ids=["in time", "late", "late after a sentence", "late twice", "words late", "words slow", "nothing to say"],
)
async def test_what_takes_longer_is_said_before_sound_that_is_late(
    session: Session, words: list[float], sounds: list[float], expected: list[float]
) -> None:
    assert await heard(session, reply(*words), mouth(*sounds)) == expected
    assert session.apologies == 0


async def test_a_mouth_that_never_answers_is_given_up(session: Session) -> None:
    before = asyncio.all_tasks()
    assert await heard(session, reply(0), mouth(60)) == [MEANWHILE]
    assert session.apologies == 1
    assert asyncio.all_tasks() == before


async def test_a_failure_is_passed_on(session: Session) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        await heard(session, reply(0), mouth(0, fails=True))


async def test_a_reply_that_nobody_waits_for_any_more_leaves_no_task(session: Session) -> None:
    before = asyncio.all_tasks()
    speech = Apology(cast("Any", session), None).speak(reply(0), mouth(60))
    assert (await anext(speech)).duration == pytest.approx(MEANWHILE)
    await speech.aclose()
    assert asyncio.all_tasks() == before
