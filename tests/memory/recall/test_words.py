"""What counts as a word."""

from __future__ import annotations

import unicodedata

import pytest

from memory.recall.words import all_words, first_person, stem, words

FAMILIES = [
    "move moves moved moving",
    "walk walks walked walking",
    "study studies studied studying",
    "hop hopped hopping",
    "paint paints painted painting",
    "relation relational",
    "adopt adopts adoption adopted",
    "happy happiness",
    "organize organizes organization organizer",
    "cat cats cat's",
    "agree agreed agrees",
]


def test_forms_of_one_word_have_one_stem() -> None:
    assert [family for family in FAMILIES if len({stem(word) for word in family.split()}) != 1] == []


def test_other_words_keep_their_own() -> None:
    pairs = [("sing", "sin"), ("red", "r"), ("business", "bus"), ("rate", "rat")]
    assert [(one, other) for one, other in pairs if stem(one) == stem(other)] == []


def test_words_that_are_not_english_stay_whole() -> None:
    assert words("Straße Müllerweg 4711 東京 b2b") == ["strass", "mullerweg", "4711", "東", "京", "東京", "b2b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ich wohne in der Großen Straße.", "ich wohne in der grossen strasse"),
        ("¿Dónde está mi niño?", "donde esta mi nino"),
        ("L'été, le cœur à Noël", "l'ete le coeur a noel"),
        ("perché no", "perche no"),
        ("São João amanhã", "sao joao amanha"),
        ("Ёлка и йод", "елка и иод"),
        ("Żółw w Łodzi", "zolw w lodzi"),
        ("İstanbul'da ışık IŞIK", "istanbul'da isik isik"),
        ("मैं हिंदी पढ़ता हूँ।", "मैं हिंदी पढ़ता हूँ"),
        ("مَدْرَسَة أحمد إلى", "مدرسه احمد الي"),
        ("كـــتاب کتاب", "كتاب كتاب"),
        ("שָׁלוֹם", "שלום"),
        ("Ο Γιώργος ΓΙΏΡΓΟΣ", "ο γιωργοσ γιωργοσ"),
        ("한국어 사람", "한국어 사람"),
        ("我住北京", "我 住 北 京 我住 住北 北京"),
        ("ｶﾞﾗｽの家", "ガ ラ ス の 家 ガラ ラス スの の家"),
        ("人々", "人 々 人々"),
        ("กิน", "ก ิ น กิ ิน"),
        ("iPhone15を買う", "iphone15 を 買 う を買 買う"),
        ("ＡＢＣ１２", "abc12"),
        ("猫'犬", "猫 犬"),
    ],
)
def test_each_language_has_words(text: str, expected: str) -> None:
    expected = unicodedata.normalize("NFKC", expected)
    assert all_words(text) == expected.split()
    assert all_words(unicodedata.normalize("NFD", text)) == expected.split()


def test_hindi_words_keep_their_vowel_signs() -> None:
    assert len({*words("दिन"), *words("दान"), *words("दीन"), *words("दन")}) == 4


def test_words_of_every_sentence_do_not_count() -> None:
    assert words("What is it that I should've told you about?") == words("should've")
    assert words("what is my favorite_color") == words("favorite color")


def test_an_apostrophe_is_one_however_it_is_written() -> None:
    assert all_words("I’m Tilda's") == ["i'm", "tilda's"]


def test_who_speaks_of_themselves_is_counted() -> None:
    assert first_person(all_words("I'm glad that my cat is back, icy as it is")) == 2
    assert first_person(all_words("How are you?")) == 0
