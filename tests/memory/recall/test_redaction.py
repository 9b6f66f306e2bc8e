"""What of a text goes when something is forgotten: all that says it, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from memory.recall.redaction import Forgetting, Redaction, Thing, content, forgetting
from memory.records import Category, Memory, Past, folded
from tests.memory.stores.contract import NOON

FACT = Category.FACT


def utterance(value: str, number: int, source: str | None = None) -> Memory:
    return Memory(FACT, f"user_input_{number}", value, NOON + timedelta(seconds=number), source or f"turn_{number}")


def fact(key: str, value: str, number: int, source: str | None = None) -> Memory:
    return Memory(FACT, key, value, NOON + timedelta(seconds=number), source or f"turn_{number}")


def without(*values: str, kept: tuple[str, ...] = ()) -> Redaction:
    """What forgetting these utterances leaves, where these others are kept."""
    said = [utterance(value, n) for n, value in enumerate(values)]
    others = [utterance(value, n + 100) for n, value in enumerate(kept)]
    return forgetting(said, [*said, *others], []).redaction


def words(found: Forgetting) -> dict[str, str]:
    return {one.memory.value: one.words for one in found.rewordings}


@pytest.mark.parametrize(
    ("told", "text", "left"),
    [
        ("My diagnosis code is H 42.", "Your diagnosis code is H 42.", ""),
        ("My diagnosis code is H 42.", "Hello. My diagnosis code is H 42. I like tea.", "Hello. I like tea."),
        ("My diagnosis code is H 42.", "My diagnosis code is H 42 and I like tea.", "I like tea."),
        ("My diagnosis code is H 42.", "I like tea, and my diagnosis code is H 42.", "I like tea."),
        ("I smoke", "Forget that I smoke.", ""),
        ("I smoke", "Smoking is hard to give up, isn't it? What is the weather like?", "What is the weather like?"),
        ("I have shingles.", "I have shingles, which hurts a lot. Dr. Smith says hello.", "Dr. Smith says hello."),
        ("I have shingles.", "My code is H 42; I have shingles; I like tea", "My code is H 42; I like tea"),
        ("I have shingles.", "- I have shingles.\n- I like tea.", "- I like tea."),
        ("I live in a new house.", "So you live in a new house! Lovely.", "Lovely."),
        ("Ich habe Gürtelrose.", "Hallo. Ich habe Gürtelrose, und ich mag Tee.", "Hallo. ich mag Tee."),
        ("Ich habe Gürtelrose.", "Vergiss, dass ich Guertelrose und Gürtelrose habe!", ""),
        ("J'ai un diabète de type 2.", "Tu as un diabète. Bonne journée !", "Bonne journée !"),
        ("Мою жену зовут Ольга.", "Привет! Как дела у Ольга? Пока.", "Привет! Пока."),
        ("我有糖尿病。", "你有糖尿病吗？我喜欢猫。", "我喜欢猫。"),
        ("私は糖尿病です。", "糖尿病なのですね。今日はいい天気ですね。", "今日はいい天気ですね。"),
        ("ฉันเป็นโรคเบาหวาน", "คุณเป็นโรคเบาหวาน\nสวัสดี", "สวัสดี"),
        ("मुझे मधुमेह है।", "तुम्हें मधुमेह है। नमस्ते।", "नमस्ते।"),
        ("أنا مصاب بالسكري", "أنت مصاب بالسكري. صباح الخير.", "صباح الخير."),
    ],
)  # fmt: skip
def test_what_says_it_goes_and_the_rest_stays(told: str, text: str, left: str) -> None:
    assert without(told)(text) == left


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ("I live in Rome with my brother.", "What is the best time of the year to go?"),
        ("My locker code is 4711.", "Is there a dress code? I have a new number."),
        ("I love long walks every morning.", "I love my work. Good morning! Every day is long."),
        ("Ich habe Gürtelrose.", "Ich habe heute keine Zeit, was ist das?"),
        ("J'ai un diabète.", "J'ai une question : où est la gare ?"),
        ("我有糖尿病。", "我有一个问题。你是谁？"),
        ("私は糖尿病です。", "私は学生です。これは何ですか。"),
        ("я курю", "я люблю чай и это хорошо"),
    ],
)
def test_what_only_has_the_words_of_every_sentence_stays(told: str, text: str) -> None:
    assert without(told)(text) is text


@pytest.mark.parametrize(
    "kept",
    [
        "My sister has a cat called Tilda.",
        "Tilda is my cat, and black.",
        "My cat hates dogs.",
        "I like tea with lemon.",
        "I like tea",
    ],
)
def test_what_is_kept_stays_in_every_text(kept: str) -> None:
    redaction = without("I like coffee with my cat Tilda and my tea.", kept=(kept,))
    assert redaction(f"{kept}\nI like coffee.") == kept
    assert redaction(f"Well. {kept}") == f"Well. {kept}"


def test_a_statement_of_common_words_goes_where_all_of_it_is_said() -> None:
    redaction = without("I like tea", kept=("I like tea with lemon", "tea is for my brother", "I like work"))
    assert redaction("I like tea. I like tea with lemon. You like tea!") == "I like tea with lemon."


def test_the_order_goes_by_what_the_thing_is_called() -> None:
    color = fact("favorite_color", "teal", 1)
    redaction = forgetting([color], [color], [], orders=["turn_9"]).redaction
    order = "Please forget my favorite color. What is the weather like?"
    assert redaction(order, "turn_9") == "What is the weather like?"
    assert redaction(order, "turn_8") == order
    assert redaction("Teal it is.", "turn_8") == ""


def test_a_fact_takes_the_utterance_along_that_says_it_but_for_what_else_it_says() -> None:
    said = utterance("My diagnosis code is H 42 and I like tea.", 1)
    code = fact("diagnosis_code", "My diagnosis code is H 42", 1)
    tea = fact("favorite_drink", "I like tea", 1)
    found = forgetting([code], [said, code, tea], [])
    assert (list(found.gone), words(found)) == ([code], {said.value: "I like tea."})


def test_a_fact_takes_every_utterance_along_that_says_no_more() -> None:
    name = fact("name", "You can call me Otis", 3)
    first, again = utterance("My name is Otis.", 1), utterance("You can call me Otis!", 3)
    dog, other = utterance("My dog loves Otis Redding.", 4), utterance("I like tea.", 5)
    found = forgetting([name], [first, again, name, dog, other], [])
    assert {memory.value for memory in found.gone} == {name.value, first.value, again.value}
    assert found.redaction("My name is Otis.") == ""
    assert found.redaction(dog.value) == dog.value


def test_an_utterance_takes_the_facts_along_that_were_quoted_from_it_and_their_past() -> None:
    said = utterance("My cat Tilda is black and I live in Rome.", 5)
    cat, city = fact("cat_name", "My cat Tilda", 5), fact("home_city", "I live in Rome", 5)
    before = Past(fact("home_city", "I live in Porto", 2), until=city.said_at)
    porto = utterance("I live in Porto.", 2)
    tea = fact("favorite_drink", "tea", 5)
    found = forgetting([said], [porto, said, cat, city, tea], [before])
    assert {memory.value for memory in found.gone} == {
        said.value,
        cat.value,
        city.value,
        "I live in Porto",
        porto.value,
    } - {before.memory.value}
    assert found.redaction("You moved from Porto to Rome. Tea?") == "Tea?"


def test_what_held_before_goes_too() -> None:
    color, before = fact("favorite_color", "teal", 5), fact("favorite_color", "mauve", 1)
    utterances = [utterance("my favorite color is mauve", 1), utterance("I like tea", 2)]
    found = forgetting([color], [*utterances, color], [Past(before, color.said_at)])
    assert [memory.value for memory in found.gone] == ["my favorite color is mauve", "teal"]
    assert found.redaction("First it was mauve. Then it was teal. Tea!") == "Tea!"


def test_an_ended_utterance_that_says_it_goes_from_the_past() -> None:
    code = fact("diagnosis_code", "My diagnosis code is H 42", 3)
    ended = Past(utterance("My diagnosis code is H 42 and I live in Rome", 3), until=NOON)
    found = forgetting([code], [code], [ended])
    assert words(found) == {ended.memory.value: "I live in Rome"}


def test_what_is_left_has_every_letter_of_it() -> None:
    text = "Well…  I like   tea!\n\n(My cat; she is black) – 8 p.m. on Friday."
    assert without("I have shingles")(text) is text
    assert without("I have shingles")(f"{text}\nI have shingles.") == text


def test_other_words_of_one_turn_are_not_taken_along() -> None:
    """Our rules keep what a turn says as several statements, all of one source."""
    code, tea = fact("diagnosis_code", "My diagnosis code is H 42.", 1), utterance("I like tea.", 2, "turn_1")
    assert [*forgetting([code], [code, tea], []).gone] == [code]
    assert [*forgetting([tea], [code, tea], []).gone] == [tea]


def test_a_word_is_one_in_every_spelling() -> None:
    assert without("Ich mag Zürich")("ZURICH ist schön. Ja.") == "Ja."
    assert without("I was diagnosed by José")("Jose\u0301 called. Bye.") == "Bye."


def test_nothing_is_looked_for_in_nothing() -> None:
    assert Redaction([Thing("")])("I like tea") == "I like tea"
    assert Redaction([])("") == ""
    assert content("") == frozenset()


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ("I smoke.", "Smoking is bad"),
        ("I gamble heavily", "Gambling, heavy"),
        ("I was diagnosed with shingles", "a DIAGNOSIS of shingle"),
        ("Ich habe Gürtelrose", "GÜRTELROSE"),
        ("Ich wohne in der Poststraße", "Poststrasse, poststraße"),
        ("Мою жену зовут Ольга", "ОЛЬГА"),
        ("我有糖尿病", "糖尿"),
        ("나는 김치를 좋아해", "김치를"),
    ],
)
def test_a_store_finds_every_text_that_may_say_it(told: str, text: str) -> None:
    redaction = without(told)
    assert redaction.tells(text)
    assert any(needle in folded(part) for part in text.split(", ") for needle in redaction.needles)
    assert all(needle == folded(needle) for needle in redaction.needles)


def test_a_word_of_one_language_that_joins_clauses_in_another_does_not_cut_a_sentence_in_two() -> None:
    redaction = Redaction([Thing("My sister says that I have eczema.")])
    assert redaction("My sister says that I have eczema. I sing.") == "I sing."
    assert redaction("I have a cat, and my sister says that I have eczema.") == "I have a cat."
