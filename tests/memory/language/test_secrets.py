"""A secret is masked however it is said, and what only looks like one stays as it is."""

from __future__ import annotations

import pytest

from memory.language.private.masking import MASK, masked, worth_keeping
from memory.language.private.named import asks_for_a_secret, awaits_a_secret
from tests.memory.language.test_off_record import ORDINARY, Talk

NUMBERS = """
My credit card number is 4111 1111 1111 1111.|4111 1111 1111 1111
The card is 5500 0000 0000 0004, expires 12 27|5500 0000 0000 0004
4111-1111-1111-1111|4111-1111-1111-1111
3782 822463 10005|3782 822463 10005
it says 4111, 1111, 1111, 1111|4111, 1111, 1111, 1111
٤١١١ ١١١١ ١١١١ ١١١١|٤١١١ ١١١١ ١١١١ ١١١١
NL91 ABNA 0417 1643 00 is mine|NL91 ABNA 0417 1643 00
send it to nl91abna0417164300 please|nl91abna0417164300
My IBAN is D E 89 3704 0044 0532 0130 00 okay|D E 89 3704 0044 0532 0130 00
it is 536-22-8726|536-22-8726
el mío es 12345678Z|12345678Z
c'est le 1 84 12 76 451 089 46|1 84 12 76 451 089 46
我的号码是11010519491231002X|11010519491231002X
""".strip().splitlines()
NAMED = """
My PIN is 4821.|4821
my pin for the card at Triodos is 4821 okay|4821
PIN: 4821|4821
the code for my phone lock screen is 2580|2580
It goes to account 9876543210 at my bank.|9876543210
4821 is my PIN|4821
I changed my PIN to 9911|9911
my PIN is four eight two one|four eight two one
CVV 123|123
It's 4821, my PIN.|4821
My bank PIN, which nobody knows, is 4821.|4821
The code for my bank card is 4821.|4821
My Netflix password's swordfish.|swordfish
My password is hunter2 and my dog is Rex|hunter2
my password for Netflix is correct horse battery staple, by the way|correct horse battery staple
I use hunter2 as my password|hunter2
the password is "open sesame" today|open sesame
my social security number is 078 05 1120|078 05 1120
my passport number is X1234567|X1234567
My bank account number is 12345678|12345678
My card number is 4111 1111 1111 1112|4111 1111 1111 1112
Mein Passwort ist Schmetterling.|Schmetterling
Meine PIN lautet 4821|4821
Meine Kontonummer ist 12345678|12345678
mon mot de passe est soleil|soleil
mon code PIN est le 4821|4821
mi contraseña es gato123|gato123
mi PIN es el 4821|4821
minha senha é girassol|girassol
meu CPF é 12345678909|12345678909
la mia password è girasole|girasole
mijn pincode is 4821|4821
мой пин-код 4821|4821
пароль: бабочка|бабочка
私の暗証番号は4821です。|4821
パスワードはひまわりです。|ひまわり
我的密码是123456|123456
मेरा पिन 4821 है|4821
मेरा पासवर्ड तितली है|तितली
الرقم السري هو 4821|4821
كلمة السر هي فراشة|فراشة
""".strip().splitlines()
NO_SECRETS = """
The code of conduct is on my phone.
My phone number is 555 867 5309.
My account manager is called Lou.
My locker code is 4711.
The door code at the office is 2580.
My phone number is +49 170 1234567 890 12345.
My order number is 40218837112055.
I was born on 12 May 1984.
My bank is Triodos.
My card ends in 4242.
My credit card is 4 years old.
My debit card expires on 12/27/2028.
My passport expires in 2031.
I forgot my PIN.
My password is too long.
My password is in the drawer of my desk at home.
My password manager is Bitwarden.
My rolling pin is 40 years old.
I have 300 pins.
My passport is 10 years old.
My bank account was hacked in 2021.
My account manager is Julia.
My tracking number is 9400 1118 9922 3197 4282 19.
My zip code is 90210.
I was there 2026-11-21 2026-11-22 2026-11-23.
The trip cost 1,234,567,890,123 rupiah.
Mein Passwort ist abgelaufen.
Meine Kreditkarte ist seit 2019 gesperrt.
Mi contraseña es muy larga.
Mon mot de passe est trop court.
""".strip().splitlines()


@pytest.mark.parametrize("case", [*NUMBERS, *NAMED])
def test_a_secret_is_masked_and_the_rest_is_as_it_was_said(case: str) -> None:
    said, secret = case.split("|")
    assert masked(said) == said.replace(secret, MASK)
    assert masked(masked(said)) == masked(said)


def test_the_one_before_is_masked_with_the_one_that_holds_now() -> None:
    assert masked("My PIN used to be 1111 but now it's 4821.") == "My PIN used to be ••• but now it's •••."


@pytest.mark.parametrize("said", NO_SECRETS)
def test_what_only_looks_like_one_stays(said: str) -> None:
    assert masked(said) == said


def test_so_does_what_people_say_of_themselves() -> None:
    assert [said for said in ORDINARY if masked(said) != said] == []


@pytest.mark.parametrize("words", ["four one", "vier eins", "cuatro uno", "четыре один", "四 一"])
def test_a_recogniser_may_write_a_number_in_words(words: str) -> None:
    four, one = words.split()
    assert masked(" ".join([four, *[one] * 15, "okay"])) == f"{MASK} okay"


def test_a_number_with_one_wrong_digit_is_no_card_unless_it_is_called_one() -> None:
    assert masked("I saw 4111 1111 1111 1112 on a box") == "I saw 4111 1111 1111 1112 on a box"
    assert MASK in masked("I saw 4111 1111 1111 1111 on a box")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("My PIN is 4821 and my name is Vera.", "my name is Vera."),
        ("My bank is Triodos. My PIN is 4821.", "My bank is Triodos."),
        ("My PIN is 4821.", ""),
        (
            "I paid with 4111 1111 1111 1111 for the hotel in Rome last year.",
            "I paid with ••• for the hotel in Rome last year.",
        ),
        ("I like tea.", "I like tea."),
    ],
)
def test_what_of_an_utterance_is_worth_keeping(said: str, kept: str) -> None:
    assert worth_keeping(masked(said)) == kept


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_a_secret_over_two_turns_is_hidden_in_both(talk: Talk) -> None:
    talk.person("My card is 4111 1111.", settled=False)
    talk.person("1111 1111.", settled=False)
    talk.person("My PIN is.", settled=False)
    talk.person("4821.")
    assert talk.written == ["My card is •••.", "•••.", "My PIN is.", "•••."]
    assert not any(map(str.isdigit, "".join(talk.statements[1:])))
    assert talk.discretion.statement("My card is 4111 1111. 1111 1111. My PIN is 4821.") == ""


def test_it_is_hidden_where_it_is_said_again_without_its_name(talk: Talk) -> None:
    talk.person("My PIN is 4821.")
    talk.agent("Noted: four eight two one.")
    talk.person("Yes, 4821, and I live at 14821 Main Street.")
    assert talk.written[1:] == ["Noted: •••.", "Yes, •••, and I live at 14821 Main Street."]


def test_a_password_that_is_a_plain_word_is_hidden_in_what_the_agent_says_alone(talk: Talk) -> None:
    talk.person("My password is summer.")
    talk.agent("Summer, noted.")
    talk.person("I love summer.")
    assert talk.written == ["My password is •••.", "•••, noted.", "I love summer."]


def test_the_answer_to_a_question_for_one_is_one(talk: Talk) -> None:
    talk.agent("What is your PIN?")
    talk.person("It's 4821.")
    talk.agent("And what is your password?")
    talk.person("Swordfish.")
    talk.agent("What year were you born?")
    talk.person("1984.")
    assert talk.written[1::2] == ["It's •••.", "•••.", "1984."]


def test_who_says_that_they_forgot_it_awaits_none(talk: Talk) -> None:
    talk.person("I forgot my password.")
    talk.person("The weather is nice today.")
    assert talk.written == ["I forgot my password.", "The weather is nice today."]
    assert awaits_a_secret("my PIN is.") and awaits_a_secret("Mein Passwort ist")
    assert not awaits_a_secret("I forgot my PIN.") and not asks_for_a_secret("Did you forget your PIN?")
