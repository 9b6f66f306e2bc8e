"""One thing has one key, whoever chose it."""

from __future__ import annotations

import re

import pytest

from memory.language.keys import canonical_key, meant

ONE = """
favorite_color   | favourite_colour; user_favorite_color; my_favorite_color; Favorite Color; favoriteColor
favorite_color   | user's favourite colour; the_user_favorite_color; my favourite color; fav_colour; favorite_color
home_city        | city; current_city; users_home_city; homeCity; city of residence
name             | user_name; my_name; full_name; Name; the person's name
time_zone        | timezone; user_timezone; Time Zone; timeZone
birthday         | date_of_birth; birthdate; my_birthday
mother_name      | mum's name; mom_name; my mom's name
dog_rex          | dog_rex; Dog Rex; my_dog_rex
любимый_цвет     | Любимый цвет; любимый_цвет
""".strip().splitlines()


def test_spellings_of_one_key_are_one() -> None:
    rows = [
        (key.strip(), one.strip()) for row in ONE for key, _, all_ in [row.partition("|")] for one in all_.split(";")
    ]
    found = [(one, canonical_key(one), key) for key, one in rows]
    assert [row for row in found if row[1] != row[2]] == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("favorite_color", "favorite_food"),
        ("home_city", "hometown"),
        ("username", "user_name"),
        ("wife_name", "name"),
        ("child_1_name", "child_2_name"),
        ("new_address", "address"),
        ("hour", "hours_worked"),
    ],
)
def test_two_things_stay_two(one: str, other: str) -> None:
    assert canonical_key(one) != canonical_key(other)
    assert meant(one, [other]) == []


@pytest.mark.parametrize(
    "key", ["user", "my_", "__", "user_input_1795862400000", "x" * 200, "", "'s", "Ünï code-Key", "a1B2"]
)
def test_a_canonical_key_is_its_own_and_never_empty(key: str) -> None:
    assert canonical_key(canonical_key(key)) == canonical_key(key)
    assert bool(canonical_key(key)) == bool(key)


def test_it_fits_the_grammar_of_names() -> None:
    for key in ("Favourite Colour!", "user's e-mail", "shoeSize", "the user - current job"):
        assert re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", canonical_key(key)), key


def test_what_is_there_under_this_key_comes_first_then_its_other_spellings() -> None:
    known = ["user_favorite_color", "favorite_color", "favourite_colour", "favorite_food"]
    assert meant("favourite_colour", known) == ["favourite_colour", "favorite_color", "user_favorite_color"]
    assert meant("my_favorite_color", known)[0] == "favorite_color"


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("color_favorite", "favorite_color"),
        ("favorite_colors", "favourite_colour"),
        ("allergies", "allergy"),
        ("name_of_wife", "wife_name"),
        ("wife's_name", "wifes_name"),
        ("favorite_movies", "favorite_movie"),
        ("anna_sister", "sister_anna"),
        ("workplace_address", "work_place_address"),
    ],
)
def test_the_same_words_in_another_order_or_number_are_near(key: str, known: str) -> None:
    assert meant(key, ["unrelated", known]) == [known]
    assert meant(known, [key]) == [key]
    assert meant(key, ["unrelated", known], loosely=False) == []


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("color_favorite", ["favorite_colors", "favorite_color"]),  # nobody knows which
        ("trip_from_oslo_to_rome", ["trip_from_rome_to_oslo"]),
        ("input_user_1795862400000", ["user_input_1795862400000"]),
        ("allergy", ["allergy_nuts"]),
        ("dog", ["dog_name", "dog_rex"]),
    ],
)
def test_what_nobody_can_tell_for_sure_is_not_meant(key: str, known: list[str]) -> None:
    assert meant(key, known) == []
