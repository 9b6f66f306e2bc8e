"""The index: what is found, and in which order, in talk of several kinds."""

from __future__ import annotations

import pickle
from collections.abc import Hashable

import numpy as np
import pytest

from memory.recall.index import SearchIndex, Unit
from memory.recall.vectors import Vector


def index_of(*talk: tuple[str, str], session: Hashable = 1) -> SearchIndex[str]:
    """Turns as (speaker, text), under their texts."""
    index = SearchIndex[str]()
    for place, (speaker, text) in enumerate(talk):
        index.put(text, Unit(text, session=session, order=place, speaker=speaker))
    return index


PADDING = [("", f"number {i} says nothing at all of interest") for i in range(20)]


def test_the_turn_itself_comes_before_its_neighbours_and_those_before_those_behind() -> None:
    index = index_of(*PADDING, ("", "two"), ("", "one"), ("", "a lighthouse"), ("", "uno"), ("", "due"), ("", "tre"))
    assert index.search("lighthouse") == ["a lighthouse", "uno", "due", "one", "two"]


def test_neighbours_are_those_by_order_not_by_arrival() -> None:
    index = SearchIndex[str]()
    for order, text in [(3.0, "after"), (1.0, "before"), (2.0, "a lighthouse")]:
        index.put(text, Unit(text, session=1, order=order))
    assert index.search("lighthouse") == ["a lighthouse", "after", "before"]
    index.remove("a lighthouse")
    index.put("before", Unit("the lighthouse", session=1, order=1.0))
    assert index.search("lighthouse") == ["before", "after"]


def test_a_neighbour_of_another_session_is_none() -> None:
    index = SearchIndex[str]()
    index.put("one", Unit("a lighthouse", session=1, order=1))
    index.put("two", Unit("by the sea", session=2, order=2))
    index.put("three", Unit("a harbour"))
    index.put("four", Unit("a boat"))
    assert index.search("lighthouse") == ["one"]
    assert index.search("harbour") == ["three"]


def test_a_word_counts_once_from_where_it_stands_nearest() -> None:
    """Said three times in a row it is no better than two words of the question beside each other."""
    echo = index_of(*PADDING, ("", "lighthouse"), ("", "lighthouse again"), ("", "lighthouse indeed"), *PADDING[:3])
    talk = SearchIndex[str]()
    for place, text in enumerate(["lighthouse", "lighthouse again", "lighthouse indeed", "lighthouse keeper"]):
        talk.put(text, Unit(text, session=place // 3, order=place))
    assert talk.search("lighthouse keeper")[0] == "lighthouse keeper"
    assert echo.search("lighthouse")[0] == "lighthouse"


def test_a_session_about_it_comes_before_one_that_mentions_it() -> None:
    index = SearchIndex[str]()
    for session, texts in enumerate([["sail", "rope", "x", "y", "sea"], ["sail", "desk", "z", "v", "chair"]]):
        for place, text in enumerate(texts):
            index.put(f"{text} {session}", Unit(text, session=session, order=place))
    assert [key for key in index.search("sail sea") if "sail" in key] == ["sail 0", "sail 1"]
    assert [key for key in index.search("sail chair") if "sail" in key] == ["sail 1", "sail 0"]


def test_the_turns_of_the_one_who_is_named_come_first() -> None:
    talk = [("Ann", "the boat is blue"), ("Bob", "the boat is red")]
    index = SearchIndex[str]()
    for session, (speaker, text) in enumerate(talk):
        index.put(speaker, Unit(text, session=session, speaker=speaker))
    assert index.search("which color has Ann's boat") == ["Ann", "Bob"]
    assert index.search("which color has Bob's boat") == ["Bob", "Ann"]


def test_who_speaks_of_themselves_comes_before_who_asks() -> None:
    index = SearchIndex[str]()
    index.put("told", Unit("I love my garden so"))
    index.put("asked", Unit("how lovely your garden is"))
    assert index.search("garden") == ["told", "asked"]


def test_a_person_comes_before_an_assistant_that_says_it_again_at_length() -> None:
    answer = "a garden needs water and light, and a garden with roses needs more of both than a garden of stones "
    talk = [("User", "I have a garden"), ("Helper", answer * 3)]
    others = [turn for i in range(10) for turn in (("User", f"{i} please"), ("Helper", f"number {i}, and so on " * 12))]
    assert index_of(*others, *talk).search("garden roses", 1) == [talk[0][1]]


def test_the_date_is_searched_like_the_text() -> None:
    index = SearchIndex[str]()
    index.put("may", Unit("we met", session=1, date="7 May 2023"))
    index.put("june", Unit("we met", session=2, date="9 June 2023"))
    assert index.search("whom did we meet in May 2023")[0] == "may"
    assert index.search("June") == ["june"]


def test_a_limit_takes_the_best() -> None:
    index = index_of(*PADDING, ("", "a lighthouse"))
    assert index.search("lighthouse number", 3) == index.search("lighthouse number")[:3]
    assert index.search("lighthouse", 0) == []


def test_an_empty_index_finds_nothing() -> None:
    index = SearchIndex[str]()
    assert index.search("anything") == []
    index.put("a", Unit("a lighthouse", session=1))
    assert index.remove("a")
    assert not index.remove("a")
    assert index.search("lighthouse", 5) == []
    assert len(index) == 0


def test_a_word_that_is_said_a_thousand_times_counts_as_often_as_it_can() -> None:
    index = index_of(("", "tick " * 1000), ("", "tock"))
    assert index.search("tick", 1) == ["tick " * 1000]
    assert index.remove("tick " * 1000)
    assert index.search("tick") == []


def test_many_at_once_are_the_same_as_one_by_one() -> None:
    talk = [(f"{i}", Unit(f"bird {i % 7}, bird {i % 3}", i % 4, i, speaker="AB"[i % 2])) for i in range(50)]
    together, one_by_one = SearchIndex[str](), SearchIndex[str]()
    together.put_all(talk)
    for key, unit in talk:
        one_by_one.put(key, unit)
    for query in ("bird", "bird 2", "5", "a bird 6", "nothing"):
        assert together.search(query) == one_by_one.search(query)
    together.put_all([("3", Unit("a whale", session=3, order=3)), ("3", Unit("a dolphin", session=3, order=3))])
    assert together.search("whale") == []
    assert together.search("dolphin", 1) == ["3"]
    assert len(together) == 50


# -- in other languages, and in other spellings


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("我住在北京的一个小公寓里", "我的公寓在哪里"),
        ("妹は京都の大学で歴史を勉強しています", "京都で誰が勉強していますか"),
        ("ฉันทำงานที่โรงพยาบาล", "โรงพยาบาลอยู่ที่ไหน"),
        ("मेरी बहन दिल्ली में रहती है", "दिल्ली में कौन है"),
        ("Meine Schwester wohnt in Zürich", "Zurich?"),
        ("My neighbor is called José", "Jose"),
        ("My neighbor is called Jose\u0301", "José"),
        ("My neighbor is called Jose\u0301", "jose"),
        ("私は寿司が好きです", "寿司"),
        ("我在上海当老师", "上海"),
        ("Мой брат живёт в Казани", "про Казань"),
        ("أختي تعمل مُدَرِّسة", "مدرسه"),
        ("Vor zwei Jahren lernte ich Gitarre", "welche Gitarren"),
        ("Die Miete beträgt neunhundert Euro", "wo ist mein Mietvertrag"),
        ("Kız kardeşim hastanede çalışıyor", "hastaneler"),
        ("Ho venduto la mia vecchia macchina", "macchine vecchie"),
        ("Я учу японский язык", "что с японским"),
        ("I went to Gdansk by ferry", "Gdansck"),
    ],
)
def test_it_is_found_in_its_own_language(told: str, asked: str) -> None:
    index = index_of(*PADDING, ("", told), *PADDING[:5], session=None)
    assert index.search(asked, 1) == [told]


def test_a_word_that_somebody_said_is_no_other() -> None:
    index = SearchIndex[str]()
    index.put_all((text, Unit(text)) for text in ("Lisbon", "Lisbeth", "a cat"))
    assert index.search("Lisbon") == ["Lisbon"]
    assert index.search("Lisbona") == ["Lisbon", "Lisbeth"]


def test_what_looks_more_like_it_comes_first_and_counts_less_than_the_word_itself() -> None:
    index = SearchIndex[str]()
    index.put_all((text, Unit(text)) for text in ("Gitarrenlehrer", "Gitarre", "Klavier"))
    assert index.search("Gitarren") == ["Gitarre", "Gitarrenlehrer"]
    index.put("both", Unit("Klavier Gitarre"))
    assert index.search("Klavier Gitarren")[0] == "both"
    assert index.search("Klavier Gitarren", 3)[1] == "Klavier"


def test_a_number_is_no_other_and_short_words_look_like_none() -> None:
    index = index_of(("", "my pin is 471100"), ("", "the bus b2b123"), ("", "an ox ate"))
    assert index.search("471101 b2b124 oxx ot") == []


def test_words_that_nobody_says_any_more_are_looked_like_no_longer() -> None:
    index = index_of(("", "Gitarre"), ("", "Klavier"))
    assert index.search("Gitarren") == ["Gitarre", "Klavier"]
    index.remove("Gitarre")
    assert index.search("Gitarren") == []
    assert b"gitar" not in pickle.dumps(vars(index._spelling))
    index.put("again", Unit("Gitarre"))
    assert index.search("Gitarren") == ["again"]
    index.clear()
    assert index.search("Gitarren") == []


# -- by meaning


def towards(*parts: float) -> Vector:
    vector = np.array(parts, np.float32)
    return vector / np.linalg.norm(vector)


TALK = [
    ("carpenter", (1, 0, 0)),
    ("cat", (0, 1, 0)),
    ("Lisbon", (0, 0, 1)),
    ("tea", (0, 0.9, 0.1)),
    ("ferry", (0, 0.1, 0.9)),
]


def index_with_vectors() -> SearchIndex[str]:
    index = SearchIndex[str]()
    for text, parts in TALK:
        index.put(text, Unit(f"the {text}"))
        index.put_vector(text, towards(*parts))
    return index


def test_what_shares_no_word_is_found_by_its_meaning() -> None:
    index = index_with_vectors()
    assert index.search("a living", vector=towards(1, 0.1, 0)) == ["carpenter"]
    assert index.search("a living") == []


def test_a_shared_word_counts_beside_the_meaning() -> None:
    assert index_with_vectors().search("it was on the ferry", 2, towards(1, 0, 0.4)) == ["ferry", "carpenter"]


def test_the_less_of_a_question_anybody_said_the_more_its_meaning_counts() -> None:
    """One word of three is less than what all three mean."""
    index = index_with_vectors()
    assert index.search("a wage or living on the ferry", vector=towards(1, 0.1, 0)) == ["carpenter", "ferry"]


def test_what_a_unit_says_itself_counts_beside_what_stands_around_it() -> None:
    index = SearchIndex[str]()
    talk = ["over", "alone", "away", "once", "twice", "among", "thrice", "later"]
    for order, text in enumerate(talk):
        index.put(text, Unit(f"{text} again", session=order // 3 == 0, order=order))
        index.put_vector(text, towards(0, 1) if text in ("over", "away", "among") else towards(1, 0))
    found = index.search("again", vector=towards(1, 0))
    assert found.index("alone") < found.index("among")


def test_what_has_no_vector_is_found_by_its_words_as_ever() -> None:
    index = index_with_vectors()
    index.put("harbour", Unit("the harbour"))
    assert index.without_vector(9) == ["harbour"]
    assert index.search("harbour", vector=towards(1, 0, 0)) == ["harbour", "carpenter"]


def test_neighbours_of_what_is_near_are_nearer_too() -> None:
    index = SearchIndex[str]()
    for order, (text, parts) in enumerate(TALK):
        index.put(text, Unit(f"the {text} again", session=1, order=order))
        index.put_vector(text, towards(*parts))
    assert index.search("again", 2, towards(1, 0, 0)) == ["carpenter", "cat"]


def test_vectors_change_nothing_for_a_query_without_one() -> None:
    index, plain = index_with_vectors(), SearchIndex[str]()
    plain.put_all((text, Unit(f"the {text}")) for text, _ in TALK)
    for query in ("the cat in Lisbon", "tea", "a living", ""):
        assert index.search(query) == plain.search(query)


def test_what_is_removed_or_replaced_loses_its_vector() -> None:
    index = index_with_vectors()
    index.remove("carpenter")
    assert "carpenter" not in index.search("a living", vector=towards(1, 0, 0))
    index.put("cat", Unit("the other cat"))
    assert index.without_vector(9) == ["cat"]
    assert len(index._vectors) == 3


def test_the_newest_get_their_vectors_first() -> None:
    index = SearchIndex[str]()
    index.put_all((f"{i}", Unit(f"number {i}")) for i in range(600))
    assert index.without_vector(2) == ["599", "598"]
    index.put_vector("599", towards(1, 0))
    index.put_vector("3", towards(1, 0))
    assert index.without_vector(2) == ["598", "597"]


def test_one_memory_alone_is_near_nothing() -> None:
    index = SearchIndex[str]()
    index.put("cat", Unit("the cat"))
    index.put_vector("cat", towards(1, 0))
    assert index.search("a living", vector=towards(1, 0)) == []
    assert index.search("cat", vector=towards(1, 0)) == ["cat"]


def test_a_vector_of_another_size_is_refused_and_a_question_of_another_finds_by_words() -> None:
    index = index_with_vectors()
    with pytest.raises(ValueError, match="2 numbers, beside others of 3"):
        index.put_vector("cat", towards(1, 0))
    for query in ("the cat with the tea in Lisbon", "the ferry"):
        assert index.search(query, vector=towards(1, 0)) == index.search(query)
    index.clear()
    index.put("cat", Unit("the cat"))
    index.put_vector("cat", towards(1, 0))
