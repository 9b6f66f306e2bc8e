"""What the microphone hears back, and what recognisers hear in silence, is nobody's statement."""

from __future__ import annotations

import pytest

from memory.language.private.nobodys import is_echo, is_invented
from tests.memory.language.test_off_record import ORDINARY, Talk

GREETING = "Hello! I'm Rapport, and I will remember what you tell me. What may I call you?"


@pytest.mark.parametrize(
    ("heard", "agent"),
    [
        (GREETING, GREETING),
        ("Hello, I'm report and I will remember what you tell me", GREETING),
        ("what may i call you", GREETING),
        ("こんにちは、ラポートです。お名前は何ですか", "こんにちは、ラポートです。お名前は何ですか？"),
        ("Guten Tag, ich bin Rapport.", "Guten Tag, ich bin Rapport. Wie heißen Sie?"),
        ("Привет, я Раппорт. Как вас зовут", "Привет, я Раппорт. Как вас зовут?"),
    ],
)
def test_the_agents_own_words_are_an_echo(heard: str, agent: str) -> None:
    assert is_echo(heard, agent)


@pytest.mark.parametrize(
    ("said", "agent"),
    [
        ("You may call me Ana.", GREETING),
        ("I'm allergic to peanuts and live in Porto.", "So you're allergic to peanuts and live in Porto?"),
        ("The train at eight in the morning.", "Do you want the train at eight in the morning?"),
        ("Coffee with milk.", "Would you like tea or coffee with milk?"),
        ("My name is Clara and I love the sea.", "What is your name?"),
        ("I live in Rome.", ""),
    ],
)
def test_an_answer_is_none(said: str, agent: str) -> None:
    assert not is_echo(said, agent)


INVENTED = """
Thanks for watching!
I'll see you in the next video.
Thank you for watching. Please subscribe.
Untertitel im Auftrag des ZDF, 2020
Untertitelung des ZDF für funk, 2017
Sous-titres réalisés par la communauté d'Amara.org
Subtítulos realizados por la comunidad de Amara.org
Legendas pela comunidade Amara.org
Sottotitoli creati dalla comunità Amara.org
Субтитры сделал DimaTorzok
ご視聴ありがとうございました
谢谢观看
시청해주셔서 감사합니다
اشتركوا في القناة
""".strip().splitlines()


@pytest.mark.parametrize("heard", INVENTED)
def test_what_recognisers_invent_is_known_in_any_language(heard: str) -> None:
    assert is_invented(heard)


def test_only_whole_utterances_are() -> None:
    assert not is_invented("I told the kids: thanks for watching the dog.")
    assert not is_invented("I'll see you in the next video call with my mother.")
    assert [said for said in ORDINARY if is_invented(said)] == []


def test_it_stays_in_the_transcript_since_it_was_answered() -> None:
    talk = Talk()
    talk.agent(GREETING)
    talk.person(GREETING)
    talk.person("Thanks for watching!")
    assert talk.written == [GREETING, GREETING, "Thanks for watching!"]
    assert talk.statements == []
