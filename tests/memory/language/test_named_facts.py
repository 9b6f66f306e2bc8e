"""What a statement is about, and that only a statement about the same thing replaces it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from memory.language.keys import canonical_key
from memory.language.named_facts import MAX_NAMED_CHARACTERS, categorise, category_of, named
from memory.language.statements import Statement, settled, statements_in
from memory.language.time_zones import zone_in
from memory.records import Category

FIXTURES = Path(__file__).parent / "fixtures"


class Change(NamedTuple):
    """A person says `old`, later `new`: `now` is in what holds under `key` from then on. Without a key both are kept,
    and the later one holds since it is the later one."""

    phrasing: str
    old: str
    new: str
    key: str | None
    now: str


CHANGES = [Change(**change) for change in json.loads((FIXTURES / "fact_changes.json").read_text("utf-8"))]


class Person:
    """What is kept of somebody's turns, as a store keeps it: one value for each (category, key), and what was."""

    def __init__(self) -> None:
        self.current: dict[tuple[Category, str], str] = {}
        self.past: list[str] = []
        self._before: Statement | None = None

    def says(self, turn: str) -> Person:
        for statement in statements_in(turn, self._before):
            where = statement.category, statement.key or ""
            kept = settled(statement, self.current.get(where))
            where = kept.category, kept.key or f"user_input_{len(self.current)}"
            if where in self.current:
                self.past.append(self.current[where])
            self.current[where] = kept.value
            self._before = statement
        return self

    @property
    def keys(self) -> set[str]:
        return {key for _, key in self.current}


# -- facts that change


def test_there_are_enough_changes_in_enough_words() -> None:
    assert len(CHANGES) >= 60
    assert len({change.phrasing for change in CHANGES}) >= 8


def test_only_what_was_said_last_holds() -> None:
    for change in CHANGES:
        if change.key is None:
            continue
        person = Person().says(change.old)
        before = list(person.current.values())
        person.says(change.new)
        assert person.keys == {change.key}, change
        assert [change.now.lower() in now.lower() for now in person.current.values()] == [True], change
        assert person.past == before, change


def test_what_has_no_key_is_kept_beside_what_it_changes() -> None:
    nameless = [change for change in CHANGES if change.key is None]
    assert len(nameless) < 20
    for change in nameless:
        person = Person().says(change.old).says(change.new)
        assert change.now in " ".join(person.current.values()), change
        assert (len(person.current), person.past) == (2, []), change


def test_a_recogniser_that_writes_neither_case_nor_marks_makes_no_difference() -> None:
    for change in CHANGES:
        if change.key is None or "@" in change.old or "." in change.old.rstrip("."):
            continue
        person = Person().says(plain_speech(change.old)).says(plain_speech(change.new))
        assert person.keys == {change.key}, change
        assert len(person.past) == 1, change


def plain_speech(text: str) -> str:
    return "".join(character for character in text.lower() if character not in ".,!?")


def test_what_is_kept_is_the_persons_own_words() -> None:
    person = Person().says("I live in Rome").says("Well, actually I don't live in Rome any more!")
    assert person.current == {(Category.FACT, "home_city"): "I don't live in Rome any more!"}


def test_every_change_of_a_long_life_is_in_the_past() -> None:
    person = Person()
    for city in ("Rome", "Porto", "Oslo", "Lima"):
        person.says(f"I moved to {city}")
    assert person.current == {(Category.FACT, "home_city"): "I moved to Lima"}
    assert person.past == ["I moved to Rome", "I moved to Porto", "I moved to Oslo"]


# -- what a statement is about

NAMED = """
home_city        | I live in Rome; i live in porto; we live in New York; I'm living in Cape Town; I'm based in Leeds
home_city        | I have lived in Oslo for ten years; I live in Rome with my wife; we moved to Lisbon because of my job
home_city        | I live in the Netherlands; my home is in Bergen
home_city        | where i live is called greenwich; i still live in rome
name             | my name is alice; My full name is Ann Lee; call me Sam
name             | please call me Sam; I go by Max; my name's Bob
birthday         | my birthday is in May; my birthday is on the 3rd of June; I was born on May 5th 1990
age              | I'm 42; i'm 42 years old; I'm forty two; I just turned thirty
job              | I work as a carpenter; i am a nurse; I'm an electrical engineer
job              | I lost my job; I'm retired; I became a vet
job              | my job is software engineer; I'm unemployed; I am a teacher at St Mary's
employer         | I work for example.com; I work at a bakery; I work for the city council; I got a new job at Nokia
marital_status   | I'm married; I'm single; I got divorced
marital_status   | Ana and I got married in 2015
phone            | my phone number is 555 0199; my number is five five five oh one nine nine
email            | my email is alice@example.com; my email address is alice at example dot com
address          | my address is 5 High Street; our new address is 12 Mill Lane
favorite_color   | my favorite color is blue; My favourite colour is blue.; blue is my favorite color
favorite_drink   | my favorite drink is tea
favorite_movie   | my favorite movie of all time is Alien; my favorite movie is now Heat; Heat is my new favorite movie
allergy_nuts     | I'm allergic to nuts; I'm no longer allergic to nuts
allergy_peanuts  | I am allergic to peanuts
dog_name         | my dog is called Rex; my dog's name is Rex; Rex is the name of my dog
cat_name         | my cat is called Tilda; Tilda is the name of my cat
dog_rex          | I have a dog called Rex; we have another dog named Rex; my other dog is called Rex
wife_name        | my wife is called Ana; my wife's name is Ana
best_friend_name | my best friend is called Tom
mother_name      | my mom's name is Ruth; my mother is called Ruth; my mum is called Ruth
sister_alice     | my sister is called Alice; my younger sister's name is Alice; I have a sister named Alice
daughter_mia     | our daughter is called Mia; my daughter is called Mia
shoe_size        | my shoe size is 44
locker_code      | my locker code is 4711; please remember that my locker code is 4711
flight_number    | my flight number is BA 117
""".strip().splitlines()
CASES = [
    (said.strip(), key.strip()) for row in NAMED for key, _, turns in [row.partition("|")] for said in turns.split(";")
]


def test_a_fact_has_a_name() -> None:
    found = [(said, key, [one.key for one in statements_in(said)]) for said, key in CASES]
    assert [(said, keys) for said, key, keys in found if keys != [key]] == []


def test_a_recogniser_that_writes_small_letters_makes_no_difference_to_a_name() -> None:
    spoken = [(plain_speech(said), key) for said, key in CASES if "." not in said]
    assert len(spoken) > 60
    assert [said for said, key in spoken if [one.key for one in statements_in(said)] != [key]] == []


def test_a_key_has_one_category_whatever_is_said_of_it() -> None:
    """A store replaces by (category, key): the same key in two categories would hold two truths."""
    categories: dict[str, set[Category]] = {}
    for said, key in CASES:
        categories.setdefault(key, set()).add(statements_in(said)[0].category)
    assert {key: found for key, found in categories.items() if len(found) > 1} == {}
    assert categories["favorite_color"] == {Category.PREFERENCE}
    assert categories["wife_name"] == {Category.RELATIONSHIP}
    assert categories["name"] == categories["home_city"] == {Category.FACT}


def test_what_the_table_says_of_a_keys_category_is_what_is_found() -> None:
    known = [(said, category_of(key), statements_in(said)[0].category) for said, key in CASES]
    assert [said for said, known_as, found in known if known_as not in {None, found}] == []


# Kept, and nothing more: an earlier one stands beside a later one, which holds.
PLAIN = """
I love mushrooms
I can't stand mushrooms any more
I'm vegetarian
I prefer tea over coffee
my hometown is Perth
my eye color is green
my mother is 70
my wife's birthday is in May
Alice is my sister
My wife is Ana.
the name of our dog is Rex
we renamed our cat Tilda
I left Microsoft
I got promoted to manager
I'm engaged to Tom
my name is ann i live in rome
sorry, I meant Persuasion
""".strip().splitlines()


def test_what_is_seldom_asked_for_is_kept_without_a_name() -> None:
    assert [[one.key for one in statements_in(said)] for said in PLAIN] == [[None]] * len(PLAIN)


# A wrong name would let these replace a fact that they say nothing against.
UNNAMED = """
I live in hope
I live in fear of spiders
I live in a small town
I live in the moment
I live in my car at the moment
we live in interesting times
I live in sweatpants
I lived in Rome
when I was a child I lived in Rome
if I win the lottery I live in Rome
If I get the job, I live in Rome
maybe I live in Rome next year
I want to live in Rome
I will move to Rome
I'm moving to Rome next month
I moved to the couch
I moved to the front of the bus
I moved to a new desk
I moved to avoid the noise
I moved to find work
I was moved to tears
we moved on
my mother lives in Rome
my sister moved to Porto
he lives in Rome and I visit him
I wish I lived in Rome
people think I live in Rome
my sister said, I live in Rome
my favorite thing to do is my job
my favorite thing is when it rains
my favorite part of the day is dinner
my favorite is blue
blue is my favorite
my wife's favorite part is the end
that is my favorite color
it is my favorite movie
I am Ann's brother
I'm tired
I'm hungry
I'm German
I'm so happy today
I'm in love
I'm a big fan of Arsenal and their coach
I'm a morning person
I'm a good cook
I'm a terrible driver
I'm a mother of two
I'm an only child
I want to become a nurse
my mother is a nurse
I'm two minutes away
I'm one of four
I'm fifty fifty on that
I will be 43 next month
I'm number one
I work from home
I work at night
I work for fun
I work for myself
I work for a living
I work with my hands
I work at improving my English
I work for three hours a day
I moved for love
I left Rome for Paris
I started with yoga
I joined a gym
my job is boring
my job is hard
my work is very stressful
my name is hard to pronounce
my name is unusual
my name is on the list
call me tomorrow
call me when you are ready
call me a taxi
call me crazy
call me old-fashioned
I go by train
I am called upon to speak
my birthday is tomorrow
my birthday is next week
my birthday was fun
my number is unlisted
my email is full
my phone is broken
my car is broken
my car is in the garage
my car is a mess
I drive a hard bargain
I drive a taxi for a living
I have been on a few car rides
my boss is strict
my wife is away
my wife is ill
my dog is sick
my dog is called every name under the sun
my best friend is moving away
coffee is my best friend
music is my life
that woman is my wife
my dog is my best friend
my doctor is strict
my address is a secret
my salary is too low
I love it
I love you
I love that
I love my wife
I love to swim
I love when it snows
I like it here
I hate them
I'd like a coffee
I would love some tea
I'd like to eat pizza
I don't like it any more
I can't stand it any more
I eat too much
I drink too much
I study hard
I study every night
I play in a band
I play with my kids
I play a lot
I'm allergic to it
I'm engaged in politics
I'm getting married next year
I'm not sure that I'm single
my home is my castle
our home is messy
I prefer blue
I prefer it that way
I like this one better
I used to be happy
I quit
I left early
I left my keys at home
I quit my diet
I turned the corner
I was born in May
I was born in a storm
I come from money
I grew up poor
I have a headache
I have a question about my car
I have two hours
I have no idea
I have a meeting
my brother is five
my sister Anna lives in Rome
my sister Anna is a doctor
my code is buggy
the color of my car is red
my team is winning
my address book is lost
""".strip().splitlines()


def test_the_list_of_what_has_no_name_is_long() -> None:
    assert len(UNNAMED) >= 100
    assert len(set(UNNAMED)) == len(UNNAMED)


def test_what_nobody_can_name_for_sure_has_no_name() -> None:
    current = "I live in Rome. My favorite color is blue. I work as a nurse at Nokia."
    kept = [(said, settled(one, current).key) for said in UNNAMED for one in statements_in(said)]
    assert [(said, key) for said, key in kept if key] == []


# Where a text has capitals, what has none is no name, no place and no organisation.
SMALL = """
You can call me biased.
I work for love.
I work for tips
I work at speed
I moved to vim
I moved to react last year
We live in excel all day.
I'm called away a lot
My name is mud.
My dog is called every morning.
My sister is called often.
I am married to my job
""".strip().splitlines()
WRITTEN = """
You can call me Sam.
I work for Siemens.
I work for a bakery.
I work at example.com
I moved to St. Louis.
I moved to the Netherlands.
We live in New York.
I'm called Sam
My dog is called Rex.
My sister is called Ann.
Rex is the name of my dog.
I live in 東京
my name is josé and i live in são paulo
""".strip().splitlines()


def test_a_name_in_a_text_with_capitals_has_one() -> None:
    assert [(said, one.key) for said in SMALL for one in statements_in(said) if one.key] == []
    assert [said for said in WRITTEN if not all(one.key for one in statements_in(said))] == []
    assert [said for said in WRITTEN if not statements_in(said)] == []


KNOWN = ["I live in Lisbon", "my name is Ann", "my favorite color is red", "I work as a pilot", "I work at Nokia"]


def test_what_has_no_name_destroys_nothing() -> None:
    for said in [*UNNAMED, *SMALL, *PLAIN]:
        person = Person()
        for turn in KNOWN:
            person.says(turn)
        person.says("hm").says(said)
        assert set(KNOWN) <= set(person.current.values()), said
        assert person.past == [], said


# -- what only says that something has ended


@pytest.mark.parametrize(
    ("said", "current"),
    [
        ("I don't live in Rome any more", "I live in Porto"),
        ("I used to live in Madrid", "I live in Berlin"),
        ("I no longer work at Google", "I work at Apple"),
        ("I used to be a waiter", "I'm an electrician"),
        ("I'm no longer a teacher", "I work as a nurse"),
        ("my favorite color isn't blue any more", "my favorite color is green"),
        ("I used to live in Madrid", None),
    ],
)
def test_what_has_ended_ends_nothing_else(said: str, current: str | None) -> None:
    (statement,) = statements_in(said)
    assert statement.key
    kept = settled(statement, current)
    assert kept == Statement(categorise(said), None, said)


@pytest.mark.parametrize(
    ("said", "current"),
    [
        ("I don't live in Rome any more", "I live in Rome"),
        ("i used to live in rome", "We moved to ROME last year"),
        ("I no longer work at Google", "I work for Google"),
        ("I'm no longer a teacher", "I am a primary school teacher"),
        ("my favorite color isn't blue any more", "Blue is my favourite colour."),
    ],
)
def test_what_has_ended_replaces_what_it_ends(said: str, current: str) -> None:
    (statement,) = statements_in(said)
    assert settled(statement, current) is statement


def test_what_says_what_is_now_replaces_anything() -> None:
    (statement,) = statements_in("I used to live in Rome but now I live in Porto")
    assert statement.denies is None
    assert settled(statement, "I live in Oslo") is statement


# -- what adds up


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("I have a dog called Rex", "I have a dog called Max"),
        ("my sister is called Anna", "my sister is called Maria"),
        ("I'm allergic to nuts", "I'm allergic to penicillin"),
        ("our daughter is called Mia", "our son is called Tom"),
        ("my wife is called Ana", "my boss is called Ana"),
        ("my favorite color is blue", "my favorite food is pizza"),
        ("I work as a nurse", "I work at the city hospital"),
        ("my locker code is 4711", "my zip code is 90210"),
    ],
)
def test_what_one_can_have_many_of_adds_up(first: str, second: str) -> None:
    person = Person().says(first).says(second)
    assert list(person.current.values()) == [first, second]
    assert person.past == []


# -- several facts in a turn


@pytest.mark.parametrize(
    ("turn", "kept"),
    [
        ("my name is Ann and I live in Rome", {"name": "my name is Ann", "home_city": "I live in Rome"}),
        ("I'm 42, I work as a nurse", {"age": "I'm 42", "job": "I work as a nurse"}),
        ("I live in Rome. My name is Ann.", {"home_city": "I live in Rome.", "name": "My name is Ann."}),
        (
            "my favorite color is blue and my favorite food is pizza and my dog is called Rex",
            {
                "favorite_color": "my favorite color is blue",
                "favorite_food": "my favorite food is pizza",
                "dog_name": "my dog is called Rex",
            },
        ),
        (
            "my name is Ann and I walk my dog every morning",
            {"name": "my name is Ann", None: "I walk my dog every morning"},
        ),
        ("my aunt lives in Rome and I live in Oslo", {None: "my aunt lives in Rome", "home_city": "I live in Oslo"}),
        # one fact, whatever else the sentence says of it
        ("I live in Rome and I love it", {"home_city": "I live in Rome and I love it"}),
        ("my wife and I live in Rome", {"home_city": "my wife and I live in Rome"}),
        ("my favorite color is blue, I think", {"favorite_color": "my favorite color is blue, I think"}),
        ("I used to live in Rome but now I'm in Porto", {"home_city": "I used to live in Rome but now I'm in Porto"}),
        ("my favorite food is pie no wait it's jam", {"favorite_food": "my favorite food is pie no wait it's jam"}),
        ("My favorite color is blue. No wait, it's green.", {"favorite_color": "it's green."}),
        ("I live in Rome. No wait. I live in Porto.", {"home_city": "I live in Porto."}),
        ("I live in Rome. I live in Trastevere.", {"home_city": "I live in Rome. I live in Trastevere."}),
        # one statement, one row
        ("I walk my dog every morning and I feed the cat", {None: "I walk my dog every morning and I feed the cat"}),
        ("I walk my dog. I feed my cat.", {None: "I walk my dog. I feed my cat."}),
    ],
)
def test_a_turn_gives_one_statement_for_each_fact(turn: str, kept: dict[str | None, str]) -> None:
    assert {one.key: one.value for one in statements_in(turn)} == kept
    assert len(statements_in(turn)) == len(kept)


# -- corrections that name nothing


@pytest.mark.parametrize(
    ("before", "turn"),
    [
        ("my favorite color is blue", "it's raining"),
        ("my favorite color is blue", "it's a nice color"),
        ("my favorite color is blue", "actually it's boring"),
        ("I live in Rome", "actually it's lovely"),
        ("I live in Rome", "it's lovely here"),
        ("I live in Rome", "no wait"),
        ("my name is Ann", "no it is not important"),
        ("my name is Ann", "what is it"),
        ("my name is Ann", "I meant no harm"),
        ("I walk my dog every day", "no wait it's green"),
    ],
)
def test_what_corrects_nothing_changes_nothing(before: str, turn: str) -> None:
    person = Person().says(before).says(turn)
    assert person.past == []
    assert before in person.current.values()


def test_a_correction_can_be_corrected() -> None:
    person = Person().says("my favorite color is blue").says("no wait it's green").says("scratch that it's teal")
    assert person.current == {(Category.PREFERENCE, "favorite_color"): "it's teal"}
    assert person.past == ["my favorite color is blue", "it's green"]


def test_without_a_turn_before_there_is_nothing_to_correct() -> None:
    assert [one.key for one in statements_in("no wait it's green")] == [None]


# -- bounds


def test_a_long_statement_is_not_named() -> None:
    assert named("my name is Ann" + " and so on" * MAX_NAMED_CHARACTERS) is None


def test_half_a_statement_has_no_name() -> None:
    halves = ["", " ", ".", "my", "my is", "my favorite", "my favorite is", "i live in", "i am", "i"]
    assert [said for said in halves if named(said)] == []


def test_a_key_is_short_and_plain() -> None:
    keys = [named(said) for said, _ in CASES]
    assert all(one is None or (one.key.replace("_", "").isalnum() and one.key.islower()) for one in keys)


# -- time zones


@pytest.mark.parametrize(
    ("statement", "zone"),
    [
        ("my time zone is Europe/Lisbon", "Europe/Lisbon"),
        ("My timezone is Tokyo", "Asia/Tokyo"),
        ("my time zone is New York now", "America/New_York"),
        ("my time zone is america/new_york", "America/New_York"),
        ("My time zone is UTC", "UTC"),
        ("My time zone is Tokyo, no wait, my time zone is Lisbon", "Europe/Lisbon"),
    ],
)
def test_a_time_zone_has_a_key_and_is_read_out_of_the_statement(statement: str, zone: str) -> None:
    [kept] = statements_in(statement)
    assert (kept.category, kept.key, zone_in(kept.value)) == (Category.FACT, "time_zone", zone)


@pytest.mark.parametrize(
    "statement",
    [
        "my time zone is confusing",
        "my time zone is not Tokyo",
        "my time zone is GMT +2",
        "my time zone is Central European Time",
        "My time zone is west",
        "her time zone is Tokyo",
    ],
)
def test_what_names_no_zone_replaces_none(statement: str) -> None:
    assert named(statement) is None


def test_a_tool_may_call_it_by_one_word() -> None:
    assert category_of(canonical_key("timezone")) is Category.FACT
    assert canonical_key("favorite_color") == "favorite_color"
