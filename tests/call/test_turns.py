"""What a person says in one go is one statement, however many turns a pause makes of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from call.turns import Listening
from memory.language.utterances import SILENCE_SECONDS, continued
from memory.records import Turn

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Clock:
    """An event loop of which only the time passes."""

    def __init__(self) -> None:
        self._now = 0.0
        self._due: dict[int, tuple[float, Callable[[], None]]] = {}

    def time(self) -> float:
        return self._now

    def call_later(self, seconds: float, work: Callable[[], None]) -> SimpleNamespace:
        number = len(self._due)
        self._due[number] = self._now + seconds, work
        return SimpleNamespace(cancel=lambda: self._due.update({number: (float("inf"), work)}))

    def passes(self, seconds: float) -> None:
        self._now += seconds
        for number, (at, work) in list(self._due.items()):
            if at <= self._now:
                self._due[number] = float("inf"), work
                work()


class Memory:
    """Takes what is whole."""

    def __init__(self) -> None:
        self.whole: list[Turn] = []
        self.unsettled: Turn | None = None

    def hear(self, turn: Turn) -> None:
        self.unsettled = continued(self.unsettled, turn) if self.unsettled else turn

    def settle(self) -> None:
        if self.unsettled:
            self.whole.append(self.unsettled)
        self.unsettled = None


class Talk:
    """A session's events, as somebody speaks and hears them."""

    def __init__(self) -> None:
        self.clock, self.memory, self._told = Clock(), Memory(), dict[str, Callable[[Any], None]]()
        session = SimpleNamespace(on=self._told.__setitem__)
        self._listening = Listening(cast("Any", session), cast("Any", self.memory), cast("Any", self.clock))
        self._turns = 0

    def person(self, words: str, seconds: float = 1.0) -> None:
        self._told["user_state_changed"](SimpleNamespace(new_state="speaking"))
        self.clock.passes(seconds)
        self._told["user_state_changed"](SimpleNamespace(new_state="listening"))
        self._turns += 1
        self._listening.take(Turn(f"t{self._turns}", "user", words, NOON))

    def agent(self, seconds: float, *, cut_off: bool = False) -> None:
        """Of an answer so much is heard. One that is cut off is told of with the next turn of the person."""
        self._told["agent_state_changed"](SimpleNamespace(new_state="speaking"))
        self.clock.passes(seconds)
        self._told["agent_state_changed"](SimpleNamespace(new_state="listening"))
        if not cut_off:
            self._listening.take(Turn("a", "assistant", "I see.", NOON))

    def statements(self) -> list[str]:
        self.memory.settle()
        return [turn.text for turn in self.memory.whole]


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_a_sentence_that_a_pause_cut_is_one_statement(talk: Talk) -> None:
    talk.person("My daughter's name is.")
    talk.person("Clara.")
    assert talk.statements() == ["My daughter's name is Clara."]
    assert talk.memory.whole[0].id == "t1"


def test_so_is_a_long_one_of_three_turns(talk: Talk) -> None:
    talk.person("Last summer we drove to the coast", 4.0)
    talk.clock.passes(3.0)
    talk.person("With the whole family and", 9.0)
    talk.clock.passes(3.0)
    talk.person("it rained for a week.", 9.0)
    assert talk.statements() == ["Last summer we drove to the coast with the whole family and it rained for a week."]


@pytest.mark.parametrize(
    ("first", "heard", "joined"),
    [
        ("I work as a", 0.9, True),  # they go on before they could react
        ("I work as a", 2.4, True),
        ("I work as a", 2.6, False),
        ("I work as a nurse.", 0.9, True),
        ("I work as a nurse.", 1.1, False),
        ("Ich arbeite,", 2.4, True),  # a comma ends no sentence in any language
        ("Ich arbeite.", 1.1, False),
    ],
)
def test_who_cuts_an_answer_off_goes_on_if_they_hardly_heard_it(
    talk: Talk, first: str, heard: float, joined: bool
) -> None:
    talk.person(first)
    talk.agent(heard, cut_off=True)
    talk.person("at the harbour")
    assert len(talk.statements()) == (1 if joined else 2)


def test_what_was_heard_in_pieces_adds_up(talk: Talk) -> None:
    talk.person("I like tea.")
    talk.agent(0.6, cut_off=True)
    talk.agent(0.6, cut_off=True)
    assert [turn.text for turn in talk.memory.whole] == ["I like tea."]


def test_an_answer_heard_to_its_end_makes_it_whole_however_short(talk: Talk) -> None:
    talk.person("I work as a")
    talk.agent(0.4)
    talk.person("cup of tea would be nice")
    assert len(talk.statements()) == 2


def test_a_long_silence_makes_it_whole_and_somebody_who_speaks_is_not_silent(talk: Talk) -> None:
    talk.person("I like tea.")
    talk.clock.passes(SILENCE_SECONDS - 1)
    talk.person("And coffee.", seconds=30)
    assert not talk.memory.whole
    talk.clock.passes(SILENCE_SECONDS + 1)
    assert [turn.text for turn in talk.memory.whole] == ["I like tea. And coffee."]


def test_who_speaks_over_a_greeting_has_not_heard_an_answer(talk: Talk) -> None:
    talk._told["agent_state_changed"](SimpleNamespace(new_state="speaking"))  # pyright: ignore[reportPrivateUsage]
    talk.clock.passes(5.0)
    talk.person("My name is")
    talk.clock.passes(0.5)
    talk.person("Ann")
    assert talk.statements() == ["My name is Ann"]


def test_sentences_that_were_typed_one_after_the_other_stay_apart(talk: Talk) -> None:
    talk.person("I live in Rome")
    talk.person("my dog is Rex")
    assert talk.statements() == ["I live in Rome\nmy dog is Rex"]
