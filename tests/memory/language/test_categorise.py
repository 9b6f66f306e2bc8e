"""Which kind of memory a statement is, as the person who said it would sort it."""

from __future__ import annotations

import pytest

from memory.language.named_facts import categorise
from memory.records import Category, CategoryError

EXAMPLES = {
    Category.PREFERENCE: """
        my favorite color is blue
        My favourite band is Queen.
        blue is my favorite
        I prefer tea over coffee
        I'd rather take the train
        i really hate mushrooms
        I can't stand loud music
        I don't like horror movies
        i don't eat meat
        call me Sam
    """,
    Category.GOAL: """
        my goal is to run a marathon
        I want to learn Spanish
        we want to buy a house
        my dream is to see the northern lights
        i'm trying to quit smoking
        I hope to become a doctor
        I want to visit my sister
        I'm learning to swim
    """,
    Category.PLAN: """
        I'm going to visit my parents tomorrow
        we're moving to Lisbon next month
        i will marry in june
        I'll start my new job on Monday
        I plan to sell the car
        my exam is tomorrow
        we are planning to adopt a dog
    """,
    Category.INTEREST: """
        i love reading books
        I love hiking
        i enjoy cooking
        I really like jazz
        my hobby is photography
        my hobbies are chess and running
        I'm interested in astronomy
        i'm into board games
        we collect stamps
        I play the violin
        I'm passionate about art
    """,
    Category.OPINION: """
        I think pineapple belongs on pizza
        in my opinion winter is the best season
        I believe that people are good
        i find opera boring
        I don't think politics matter
    """,
    Category.RELATIONSHIP: """
        Alice is my sister
        my wife works at a hospital
        my best friend is called Tom
        our daughter is called Mia
        my mom lives in Leeds
        I have two brothers and one sister
        my boss is strict
        I'm married to Ana
        my grandmother is 90
        we have three children
    """,
    Category.EXPERIENCE: """
        I've been to Japan twice
        I went to Rome last summer
        we visited the Louvre
        i used to live in madrid
        I grew up on a farm
        I saw a whale yesterday
        i met the queen once
        I was in the army
        I lost my keys last week
    """,
    Category.FACT: """
        my name is alice
        my cat is called Tilda
        I work as a carpenter
        I'm 42
        I live in Rome
        my locker code is 4711
        I'm allergic to nuts
        my birthday is in May
        I have a dog
        i was born in 1984
        my phone number is 555 0199
    """,
}
CASES = [(line.strip(), category) for category, lines in EXAMPLES.items() for line in lines.strip().splitlines()]


def test_a_statement_is_of_the_kind_a_person_would_say() -> None:
    assert [(said, categorise(said)) for said, category in CASES if categorise(said) is not category] == []


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title], ids=["upper", "lower", "title"])
def test_case_makes_no_difference(change: object) -> None:
    differing = [s for s, category in CASES if categorise(change(s)) is not categorise(s)]  # type: ignore[operator]
    assert differing == []


@pytest.mark.parametrize("statement", ["my campaign starts in May", "I love lore", "my presentation is on Monday"])
def test_what_only_the_earlier_system_knew_is_never_guessed(statement: str) -> None:
    assert categorise(statement) not in {Category.CAMPAIGNS, Category.LORE, Category.PRESENTATION}


def test_there_are_eleven_categories() -> None:
    assert [str(category) for category in Category] == (
        "FACT GOAL INTEREST PREFERENCE OPINION EXPERIENCE PLAN RELATIONSHIP CAMPAIGNS LORE PRESENTATION".split()
    )


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("spell", [str, str.lower, str.title, lambda name: f" {name}\n"])
def test_a_category_is_found_in_any_case(category: Category, spell: object) -> None:
    assert Category.parse(spell(category.value)) is category  # type: ignore[operator]


@pytest.mark.parametrize("name", ["", "FACTS", "hobby", "FACT, GOAL", "None", "ＦＡＣＴ"])
def test_an_unknown_category_is_refused_with_the_list(name: str) -> None:
    with pytest.raises(CategoryError) as refused:
        Category.parse(name)
    assert repr(name) in str(refused.value)
    assert all(category in str(refused.value) for category in Category)
