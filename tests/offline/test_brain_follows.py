"""What the person asks to be done: remember, forget, read back; and the small talk around it."""

import pytest

from offline.brain import Call
from tests.offline.asking import ALL_TOOLS, assistant, call, called, decide, memory, say, system, user

# --- statements -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("my favorite color is blue", "Got it, your favorite color is blue."),
        ("i love reading books", "Got it, you love reading books."),
        ("My brother and I went to Rome", "Got it, your brother and you went to Rome."),
        ("I was tired but I'm fine now.", "Got it, you were tired and you are fine now."),
        ("hello my name is Ann", "Got it, your name is Ann."),
        ("Tilda is my cat", "Got it, Tilda is your cat."),
        ("The red bike is mine!", "Got it, the red bike is yours."),
        ("I live in the US with my wife", "Got it, you live in the US with your wife."),
        ("you are my best friend", "Got it, I am your best friend."),
        ("when i was young i lived in porto", "Got it, when you were young you lived in porto."),
        ("it makes me happy", "Got it, it makes you happy."),
        ("I don’t eat meat", "Got it, you don't eat meat."),
    ],
)
def test_acknowledges_a_statement_in_the_persons_words(said: str, reply: str) -> None:
    assert say(user(said), offered=ALL_TOOLS) == reply


# --- greeting -------------------------------------------------------------------------------------------------

FIRST = system("You have never spoken with this person. Greet them and introduce yourself.")
AGAIN = system("You have spoken with this person before. Greet them briefly.")


def test_introduces_itself_to_a_person_it_never_met() -> None:
    greeting = say(FIRST)
    assert "Rapport" in greeting
    assert "remember what you tell me" in greeting
    assert greeting.endswith("?")


@pytest.mark.parametrize(
    "told",
    [
        "my name is Alice",
        "call me Alice",
        "Hi, I'm Alice",
        "- 2026-11-20 FACT name: Alice",
        "- 2026-11-20 FACT first_name: alice",
    ],
)
def test_welcomes_back_by_name(told: str) -> None:
    assert say(memory(told, "I like tea"), AGAIN).startswith("Welcome back, Alice.")


def test_welcomes_back_with_the_latest_thing_told() -> None:
    told = memory("my cat is called Tilda", "my favorite color is blue")
    assert say(told, AGAIN) == "Welcome back. Last time you told me that your favorite color is blue."
    assert say(AGAIN, told) == "Welcome back. Last time you told me that your favorite color is blue."


def test_welcomes_back_plainly_when_nothing_is_remembered() -> None:
    assert say(AGAIN) == "Welcome back."


def test_somebody_elses_name_is_not_the_persons() -> None:
    assert "Tilda" not in say(memory("my cat is called Tilda", "my sister's name is Tilda", "I like tea"), AGAIN)


def test_decides_by_memory_when_the_instructions_leave_it_open() -> None:
    either = system("Greet the person. If you have never spoken, introduce yourself, otherwise welcome them back.")
    assert "Rapport" in say(either)
    assert say(memory("my name is Bo"), either).startswith("Welcome back, Bo.")


@pytest.mark.parametrize(
    ("instructions", "spoken"),
    [
        ('Say exactly "One moment please."', "One moment please."),
        ("Say goodbye, the session ends.", "Goodbye. It was good to talk to you."),
        ("Ask whether they are still there.", "Are you still there?"),
    ],
)
def test_speaks_first_as_instructed(instructions: str, spoken: str) -> None:
    assert say(user("my name is Bo"), assistant("Got it."), system(instructions)) == spoken


def test_instructions_that_ask_for_no_greeting_leave_the_question_to_be_answered() -> None:
    assert say(memory("my name is Bo"), user("what is my name"), system("Keep it short.")) == "Your name is Bo."


def test_greets_when_there_is_nothing_but_standing_instructions() -> None:
    assert "Rapport" in say()


# --- reading back ---------------------------------------------------------------------------------------------

WHAT_DO_YOU_KNOW = [
    "what do you know about me",
    "What do you remember about me?",
    "what have I told you",
    "what have i told you so far",
    "tell me everything you know about me",
    "do you remember anything about me",
    "what else do you know about me",
    "list my memories",
]


@pytest.mark.parametrize("asked", WHAT_DO_YOU_KNOW)
def test_reads_back_what_it_was_told(asked: str) -> None:
    told = memory("my cat is called Tilda", "we moved to Lisbon")
    assert say(told, user(asked)) == "Your cat is called Tilda. You moved to Lisbon."
    assert say(user(asked)).startswith("Nothing yet.")


@pytest.mark.parametrize("asked", WHAT_DO_YOU_KNOW)
def test_reads_back_from_the_tool_once(asked: str) -> None:
    assert call(user(asked)) == Call("list_memories", {})
    listed = called("list_memories", "You remember:\n- 2026-11-20 FACT a: I play chess\n- 2026-11-21 FACT age: 34")
    assert say(user(asked), listed, offered=ALL_TOOLS) == "You play chess. Your age is 34."
    assert say(user(asked), called("list_memories", "Nothing is remembered."), offered=ALL_TOOLS).startswith(
        "Nothing yet."
    )


def test_reads_back_the_latest_six() -> None:
    told = memory(*(f"I own a boat number {number}" for number in range(9)))
    spoken = say(told, user("what do you know about me"))
    assert spoken.startswith("You own a boat number 3.")
    assert spoken.endswith("You own a boat number 8. And 3 more things.")


def test_reads_back_one_topic() -> None:
    told = memory("my sister lives in Rome", "I like tea", "my sister is called Anna")
    assert (
        say(told, user("what do you know about my sister")) == "Your sister lives in Rome. Your sister is called Anna."
    )
    assert say(told, user("what do you know about my brother")) == "I don't know anything about your brother yet."


# --- remembering ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "value", "key", "category"),
    [
        ("remember that my favorite color is blue", "my favorite color is blue", "favorite_color", "PREFERENCE"),
        ("Please remember my birthday is in May.", "my birthday is in May", "birthday", "FACT"),
        ("don't forget that I parked on level 3", "I parked on level 3", "parked_level_3", "FACT"),
        (
            "can you please remember that my sister Anna lives in Rome",
            "my sister Anna lives in Rome",
            "sister_anna",
            "RELATIONSHIP",
        ),
        ("keep in mind that i want to learn Spanish", "i want to learn Spanish", "want_learn_spanish", "GOAL"),
        (
            "hey, make a note that I'm flying to Oslo tomorrow",
            "I'm flying to Oslo tomorrow",
            "flying_oslo_tomorrow",
            "PLAN",
        ),
    ],
)
def test_remembers_on_request(said: str, value: str, key: str, category: str) -> None:
    assert call(user(said)) == Call("remember", {"category": category, "key": key, "value": value})


def test_confirms_what_was_remembered() -> None:
    done = called("remember", "Remembered.", category="FACT", key="cat", value="my cat is called Tilda")
    spoken = say(user("remember that my cat is called Tilda"), done, offered=ALL_TOOLS)
    assert spoken == "I will remember that your cat is called Tilda."


@pytest.mark.parametrize("result", ["Memory is off, so this was not remembered.", "I could not save that just now."])
def test_does_not_claim_to_have_remembered(result: str) -> None:
    assert say(user("remember that I like tea"), called("remember", result), offered=ALL_TOOLS) == result


def test_does_not_claim_to_remember_without_the_tool() -> None:
    assert "can not save" in say(user("remember that I like tea"))


@pytest.mark.parametrize("asked", ["do you remember my name", "can you remember my name?", "remember what my name is?"])
def test_question_whether_it_remembers_is_a_question(asked: str) -> None:
    assert say(memory("my name is Ann"), user(asked), offered=ALL_TOOLS) == "Your name is Ann."


# --- forgetting -----------------------------------------------------------------------------------------------

STORED = memory(
    "- 2026-11-20 PREFERENCE favorite_color: blue",
    "- 2026-11-20 FACT user_input_1763640000123: my cat is called Tilda",
    "- 2026-11-20 FACT user_input_1763640000456: I work as a carpenter",
    "- 2026-11-21 FACT user_input_1763640000789: my cat hates dogs",
)


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        ("forget my favorite color", ["favorite_color"]),
        ("please forget about my favourite colour", ["favorite_color"]),
        ("can you forget that my favorite color is blue?", ["favorite_color"]),
        ("forget about my cat", ["user_input_1763640000123", "user_input_1763640000789"]),
        ("forget everything about my cat", ["user_input_1763640000123", "user_input_1763640000789"]),
        ("forget about Tilda", ["user_input_1763640000123"]),
        ("don't remember my job", ["user_input_1763640000456"]),
        ("forget where I work and my favorite color", ["user_input_1763640000456", "favorite_color"]),
        ("delete my favorite color from your memory please", ["favorite_color"]),
    ],
)
def test_forgets_what_matches(said: str, keys: list[str]) -> None:
    assert call(STORED, user(said)) == Call("forget", {"keys": keys})


def test_looks_up_what_to_forget() -> None:
    asked = user("forget my favorite color")
    assert call(asked) == Call("recall", {"query": "my favorite color"})
    found = called(
        "recall", "- 2026-11-20 PREFERENCE color: my favorite color is blue\n- 2026-11-20 FACT cat: my cat is old"
    )
    assert call(asked, found) == Call("forget", {"keys": ["color"]})
    gone = called("forget", "Forgotten.", keys=["color"])
    assert say(asked, found, gone, offered=ALL_TOOLS) == "Okay, I have forgotten your favorite color."


def test_says_so_when_there_is_nothing_to_forget() -> None:
    asked = [user("forget my shoe size"), *called("recall", "Nothing is remembered about that.")]
    assert say(STORED, asked, offered=ALL_TOOLS) == "There is nothing remembered about your shoe size."


@pytest.mark.parametrize("result", ["I could not reach the memory.", "Nothing was forgotten."])
def test_does_not_claim_to_have_forgotten(result: str) -> None:
    asked = [user("forget my favorite color"), *called("forget", result, keys=["favorite_color"])]
    assert say(STORED, asked, offered=ALL_TOOLS) == result


def test_what_was_forgotten_is_not_known_from_the_conversation() -> None:
    told = [user("my favorite color is blue"), assistant("Got it."), user("forget my favorite color")]
    forgotten = [*told, *called("forget", "Forgotten.", keys=["favorite_color"]), assistant("Okay.")]
    assert say(forgotten, user("what is my favorite color")) == "I don't know your favorite color yet."


FORGET_EVERYTHING = [
    "forget everything",
    "forget everything about me",
    "please delete all my data",
    "erase all my memories",
    "forget me",
]


@pytest.mark.parametrize("said", FORGET_EVERYTHING)
def test_forgetting_everything_asks_first(said: str) -> None:
    assert call(STORED, user(said)) == Call("forget_everything", {"confirmation": ""})
    asking = called("forget_everything", "Are you sure? Everything will be gone.", confirmation="")
    assert say(user(said), asking, offered=ALL_TOOLS) == "Are you sure? Everything will be gone."


ASKED = [
    user("forget everything"),
    *called("forget_everything", "Are you sure?", confirmation=""),
    assistant("Are you sure?"),
]


@pytest.mark.parametrize(
    "yes", ["yes", "Yes, please.", "yeah do it", "sure", "I am sure", "yes forget everything", "confirm"]
)
def test_forgets_everything_with_the_persons_own_yes(yes: str) -> None:
    assert call(ASKED, user(yes)) == Call("forget_everything", {"confirmation": yes})
    done = called("forget_everything", "Everything is forgotten.", confirmation=yes)
    assert say(ASKED, user(yes), done, offered=ALL_TOOLS) == "Everything is forgotten."


@pytest.mark.parametrize("no", ["no", "No, don't.", "stop", "never mind", "please don't do it", "i changed my mind"])
def test_forgets_nothing_on_a_no(no: str) -> None:
    assert say(ASKED, user(no), offered=ALL_TOOLS) == "Okay, nothing was forgotten."


def test_a_yes_to_something_else_forgets_nothing() -> None:
    assert say(ASKED, user("what is two plus two"), assistant("I don't know."), user("yes"), offered=ALL_TOOLS)
    assert say(assistant("Do you like tea?"), user("yes"), offered=ALL_TOOLS) == "I am listening."


def test_everything_said_before_forgetting_everything_is_gone() -> None:
    told = [user("my name is Bo"), assistant("Got it."), *ASKED, user("yes")]
    gone = [*told, *called("forget_everything", "Everything is forgotten.", confirmation="yes"), assistant("Done.")]
    assert say(gone, user("what is my name")) == "I don't know your name yet."


# --- no loops, and the rest -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", ["what is my name", "what do you know about me", "forget my name", "remember that I ski"]
)
def test_calls_each_tool_at_most_once_a_turn(said: str) -> None:
    messages = [user(said)]
    for _ in range(len(ALL_TOOLS) + 1):
        decision = decide(*messages, offered=ALL_TOOLS)
        if not isinstance(decision, Call):
            return
        messages += called(decision.name, "It did not work.", **decision.arguments)
    pytest.fail("it goes on calling tools")


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("hello", "Hello"),
        ("hello how are you today", "fine"),
        ("please stop talking now", "quiet"),
        ("thank you very much", "welcome"),
        ("goodbye", "Goodbye"),
        ("who are you?", "Rapport"),
        ("what can you do", "Tell me"),
        ("um", "listening"),
        ("...", "listening"),
        ("forget it", "all right"),
        ("forget that", "What should I forget?"),
    ],
)
def test_small_talk(said: str, word: str) -> None:
    assert word in say(user(said), offered=ALL_TOOLS)


def test_repeats_itself_on_request() -> None:
    assert (
        say(user("what is my name"), assistant("Your name is Bo."), user("say that again"))
        == "I said: Your name is Bo."
    )


def test_reads_content_in_parts() -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": "my name is Bo"}]}
    assert say(parts) == "Got it, your name is Bo."
