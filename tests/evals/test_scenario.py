"""Scenarios of `make eval`: what is one, and which answer is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.scenario import Question, WrongScenario, scenarios


def test_every_file_of_the_folder_is_a_scenario_that_asks_something() -> None:
    assert len(scenarios()) >= 9
    assert [scenario.name for scenario in scenarios() if not scenario.questions] == []


@pytest.mark.parametrize(
    ("told", "faults"),
    [
        ("You live in Porto.", []),
        ("PORTO, or O Porto!", []),
        ("Oporto was before; you live in Rome.", ["has 'you live in rome'"]),
        ("I do not know.", ["lacks 'porto'"]),
        ("", ["lacks 'porto'"]),
    ],
)
def test_an_answer_is_right_with_all_that_must_be_known_and_nothing_that_must_be_gone(
    told: str, faults: list[str]
) -> None:
    assert Question(ask="Where do I live?", known=("porto",), wrong=("you live in rome",)).faults(told) == faults


def test_what_must_be_gone_may_not_even_be_shown_and_what_is_wrong_may() -> None:
    question = Question(ask="How am I?", wrong=("you smoke",), gone=("shingles",))
    assert question.faults_of_what_is_shown("In the play: you smoke. Shingles.") == ["has 'shingles'"]
    assert question.faults("You smoke, and had shingles.") == ["has 'shingles'", "has 'you smoke'"]


def test_one_of_several_words_is_enough_where_either_will_do() -> None:
    question = Question(ask="When?", known=("fourth|4",))
    assert question.faults("On the fourth.") == question.faults("May 4") == []
    assert question.faults("In May.") == ["lacks 'fourth|4'"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("about: x", "conversations"),
        ("about: x\nconversations: [{person: a, says: [hello]}]", "nothing is asked"),
        ("about: x\nconversations: [{person: a, says: [{ask: b, knwon: [c]}]}]", "knwon"),
        ("about: [", "expected"),
    ],
)
def test_a_file_that_is_none_says_where_and_why(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "one.yaml").write_text(text)
    with pytest.raises(WrongScenario, match=rf"one\.yaml(.|\n)*{why}"):
        scenarios(tmp_path)
