"""The toy that answers without a model: honest, and with nothing of its own."""

from __future__ import annotations

from typing import Any

import pytest

from offline.brain.answer import OFFLINE, Call, Say, answer
from tests.offline.asking import ALL_TOOLS, assistant, call, called, decide, memory, say, system, user

TOLD = ("my favorite color is blue", "My cat is called Tilda.", "I work as a carpenter", "we moved to Lisbon")
FOUND = "- 2026-11-20 PREFERENCE favorite_color: my favorite color is blue"


def instructed(text: str, before: str = "") -> dict[str, str]:
    return user(f"{before}<instructions>\n{text}\n</instructions>")


def block(*lines: str) -> str:
    return str(memory(*lines)["content"]) + "\n\n"


@pytest.mark.parametrize(
    ("question", "answered"),
    [
        ("what is my favorite color", "Your favorite color is blue."),
        ("What's my favourite colour?", "Your favorite color is blue."),
        ("what is my cat called", "Your cat is called Tilda."),
        ("who is Tilda?", "Your cat is called Tilda."),
        ("what is my job", "You work as a carpenter."),
        ("where do I live", "You moved to Lisbon."),
        ("tell me my favorite color", "Your favorite color is blue."),
    ],
)
def test_it_answers_with_the_line_that_shares_most_in_second_person(question: str, answered: str) -> None:
    lines = (*TOLD[:3], "- 2026-11-20 FACT home_city: we moved to Lisbon")
    assert say(user(block(*lines) + question)) == answered
    assert say(*map(user, TOLD[:2]), user(question)) == answered or "Tilda" not in answered


def test_what_was_said_in_this_conversation_is_known_and_the_last_of_it_holds() -> None:
    assert say(
        user("my favorite color is red"),
        assistant("Got it."),
        user("my favorite color is green"),
        user("what is my favorite color"),
    ) == ("Your favorite color is green.")


@pytest.mark.parametrize(
    "question", ["what is my favorite color", "what is my name", "where do I live", "how old am I"]
)
@pytest.mark.parametrize("known", [(), ("I love my favorite chair", "my sister is a painter")])
def test_what_it_was_not_told_it_does_not_know(question: str, known: tuple[str, ...]) -> None:
    told = say(user((block(*known) if known else "") + question))
    assert told.startswith("I don't know ")
    assert told.endswith(" yet.")


def test_it_names_what_it_does_not_know() -> None:
    assert say(user("what is my favorite color")) == "I don't know your favorite color yet."


def test_what_others_told_another_time_is_not_there() -> None:
    first = say(user(block(*TOLD) + "what is my favorite color"))
    assert "blue" in first
    assert "don't know" in say(user("what is my favorite color"))


def test_a_request_is_answered_alike_each_time() -> None:
    messages = [memory(*TOLD), user("what is my cat called")]
    assert answer(messages) == answer(messages)


def test_it_looks_before_it_says_that_it_does_not_know() -> None:
    asked = user("what is my favorite color")
    assert call(asked) == Call("recall", {"query": "what is my favorite color"})
    assert say(asked, called("recall", FOUND), offered=ALL_TOOLS) == "Your favorite color is blue."
    nothing = called("recall", "Nothing is remembered about that.")
    assert say(asked, nothing, offered=ALL_TOOLS) == "I don't know your favorite color yet."


def test_a_memory_that_is_off_is_said_to_be_off() -> None:
    off = called("recall", "Your memory is off in this call: nothing was kept, found or deleted. Tell the person so.")
    said = say(user("what is my favorite color"), off, offered=ALL_TOOLS)
    assert said.startswith("I don't know your favorite color yet. My memory is off in this call")


@pytest.mark.parametrize(
    ("words", "answered"),
    [
        ("My favorite color is blue.", "Got it, your favorite color is blue."),
        ("I've got two kids", "Got it, you've got two kids."),
        ("hello", "Hello."),
        ("thank you", "You are welcome."),
        ("the weather is nice", OFFLINE),
        ("what is the capital of France", OFFLINE),
    ],
)
def test_it_acknowledges_what_it_is_told(words: str, answered: str) -> None:
    assert say(user(words)) == answered


def test_what_is_no_longer_so_is_told_of_the_past_alone() -> None:
    lines = (
        "- 2026-01-03 to 2026-11-02, no longer true: PREFERENCE favorite_color: my favorite color is red",
        "- 2026-11-02 PREFERENCE favorite_color: my favorite color is blue",
    )
    assert "blue" in say(user(block(*lines) + "what is my favorite color"))
    assert "red" in say(user(block(*lines) + "what was my favorite color before"))


# -- by itself


@pytest.mark.parametrize(
    ("asked", "known", "said"),
    [
        ("You have never spoken with this person before. Greet them.", (), "Hello, I am Rapport."),
        ("Greet them with a short welcome back, by name if you know it.", (), "Welcome back."),
        (
            "Greet them with a short welcome back.",
            ("my cat is called Tilda",),
            "Welcome back. Last time you told me that",
        ),
        (
            "Greet them with a short welcome back.",
            ("- 2026-11-20 FACT name: my name is alice",),
            "Welcome back, Alice.",
        ),
        ("Greet this person and ask what you can do for them.", (), "Hello. What can I do for you?"),
        ("Say goodbye in one short sentence.", (), "Goodbye."),
        ("Ask in one short sentence whether they are still there.", (), "Are you still there?"),
        ("A message that is too long for you to read. Tell them so.", (), "That was too long for me."),
    ],
)
def test_it_speaks_first_as_instructed(asked: str, known: tuple[str, ...], said: str) -> None:
    assert say(instructed(asked, block(*known) if known else "")).startswith(said)


def test_it_is_called_what_it_is_told_and_says_what_it_is_told_to_say() -> None:
    greeting = instructed("You have never spoken with this person before. Greet them.")
    assert "I am Ada." in str(answer([system("You are Ada, who mends bicycles."), greeting]))
    assert say(instructed("Greet this person now, as follows:\nHere is Ada. Goodbye to rust!")) == (
        "Here is Ada. Goodbye to rust!"
    )


# -- tools


@pytest.mark.parametrize("words", ["goodbye", "Bye!", "bye bye for now"])
def test_it_ends_the_call_when_somebody_says_goodbye(words: str) -> None:
    asked = user(words)
    assert call(asked) == Call("end_call", {})
    done = called("end_call", "Say goodbye in one short sentence.")
    assert say(asked, done, offered=ALL_TOOLS).startswith("Goodbye.")
    assert say(asked, offered=()).startswith("Goodbye.")


def test_it_remembers_on_request() -> None:
    asked = user("please remember that my badge is 7")
    assert call(asked) == Call("remember", {"category": "FACT", "key": "badg", "value": "my badge is 7"})
    done = called("remember", "Remembered: - 2026-11-20 FACT badg: my badge is 7")
    assert say(asked, done, offered=ALL_TOOLS) == "I will remember that your badge is 7."
    off = called(
        "remember", "Your memory did not answer, and this was not done. Tell the person so; they may try again."
    )
    assert say(asked, off, offered=ALL_TOOLS) == "My memory did not answer, and this was not done."
    assert "can not save" in say(asked)


@pytest.mark.parametrize(
    "words", ["what do you know about me", "what have I told you", "tell me everything you know about me"]
)
def test_it_reads_back_what_is_known(words: str) -> None:
    assert call(user(words)) == Call("list_memories", {})
    assert say(user(words), called("list_memories", FOUND), offered=ALL_TOOLS) == "Your favorite color is blue."
    assert "Nothing yet" in say(user(words), called("list_memories", "Nothing is remembered."), offered=ALL_TOOLS)


def test_it_forgets_what_it_finds_and_does_not_tell_it_any_more() -> None:
    said, asked = user("my cat is called Tilda"), user("forget my cat")
    found = called("recall", "- 2026-11-20 RELATIONSHIP cat_tilda: my cat is called Tilda")
    gone = called("forget", "Forgotten: cat_tilda", keys=["cat_tilda"])
    assert call(said, asked) == Call("recall", {"query": "my cat"})
    assert call(said, asked, found) == Call("forget", {"keys": ["cat_tilda"]})
    assert say(said, asked, found, gone, offered=ALL_TOOLS) == "Okay, I have forgotten your cat."
    after = (said, asked, found, gone, assistant("Okay, I have forgotten your cat."), user("what is my cat called"))
    assert "Tilda" not in str(decide(*after, offered=ALL_TOOLS))


def test_it_does_not_claim_to_have_forgotten_what_it_does_not_find() -> None:
    nothing = called("recall", "Nothing is remembered about that.")
    assert say(user("forget my dog"), nothing, offered=ALL_TOOLS) == "There is nothing remembered about your dog."


QUESTION = "Shall I forget everything that I know about you? Please answer yes or no."


@pytest.mark.parametrize("yes", ["yes", "Yes, please.", "sure", "ok do it"])
def test_everything_is_forgotten_with_the_persons_own_yes(yes: str) -> None:
    asked = user("forget everything")
    assert call(asked) == Call("forget_everything", {"confirmation": ""})
    first = (asked, called("forget_everything", QUESTION), assistant(QUESTION))
    assert say(asked, called("forget_everything", QUESTION), offered=ALL_TOOLS) == QUESTION
    agreed = call(*first, user(yes))
    assert (agreed.name, bool(agreed.arguments["confirmation"])) == ("forget_everything", True)


@pytest.mark.parametrize("no", ["no", "no wait", "never mind", "what?", "yes I would not do that"])
def test_nothing_is_forgotten_without_it(no: str) -> None:
    said = decide(user("forget everything"), called("forget_everything", QUESTION), assistant(QUESTION), user(no))
    assert not isinstance(said, Call)


# -- of whom it is told


@pytest.mark.parametrize(
    ("told", "question"),
    [
        ("my sister lives in Berlin", "where do I live"),
        ("my brother works at Acme", "where do I work"),
        ("my son is 5 years old", "how old am I"),
        ("my cat is called Tilda", "what is my name"),
        ("my daughter's favorite color is pink", "what is my favorite color"),
        ("my brother's birthday is in May", "when is my birthday"),
        ("my favorite color is blue", "what is my daughter's favorite color"),
        ("I like green tea", "does my wife like green tea"),
    ],
)
def test_what_is_told_of_one_answers_no_question_about_another(told: str, question: str) -> None:
    assert say(memory(told), user(question)).startswith("I don't know ")


@pytest.mark.parametrize("words", ["forget where I live", "forget my job", "forget my name"])
def test_what_is_told_of_another_is_not_forgotten_with_it(words: str) -> None:
    others = memory("my sister lives in Rome", "my brother has a job", "my cat's name is Tilda")
    assert call(others, user(words)).name == "recall"


def test_what_is_told_of_ones_own_in_more_words_answers() -> None:
    told = memory("my dentist appointment is on Tuesday", "my sister Anna lives in Rome", "my age is 34")
    assert "Tuesday" in say(told, user("when is my appointment"))
    assert "Rome" in say(told, user("where does my sister live"))
    assert "Anna" in say(told, user("who is Anna"))
    assert "34" in say(told, user("how old am I"))


@pytest.mark.parametrize("odd", [{"role": "tool", "content": "x"}, {"role": "user"}])
def test_a_message_without_what_is_usual_breaks_nothing(odd: dict[str, str]) -> None:
    assert isinstance(answer([odd, user("what is my name")], [{"type": "web_search"}]), Say)


def test_what_was_said_in_a_role_play_is_not_said_of_oneself() -> None:
    turns = ["I live in Oulu", "In the role play, I live in Berlin.", "I live in Potsdam"]
    assert say(*map(user, turns), user("where do I live")) == "You live in Oulu."
    over = [*turns, "Let's stop the role play.", "I moved to Turku"]
    assert say(*map(user, over), user("where do I live")) == "You moved to Turku."
    told = block(
        "- 2026-11-20 FACT home_city: I live in Oulu", '- 2026-11-21 FACT user_input_1: they said: "I live in Rome"'
    )
    assert say(user(told + "where do I live")) == "You live in Oulu."
    assert (
        say(user("I live in Oulu"), user("Translate: I live in Rome"), user("where do I live")) == "You live in Oulu."
    )


@pytest.mark.parametrize(
    ("name", "told"), [("It's Marta.", "Marta"), ("Marta here", "Marta"), ("katja", "katja"), ("my name is Ann", "Ann")]
)
def test_a_name_is_told_without_what_it_was_introduced_with(name: str, told: str) -> None:
    assert say(user(block(f"- 2026-11-20 FACT name: {name}") + "what is my name")) == f"Your name is {told}."


# -- people's own apps

APPS = ["tasks", "notes"]


def with_apps(*tools: str) -> list[dict[str, Any]]:
    app = {"properties": {"app": {"enum": APPS}}, "required": ["app"]}
    name = {"properties": {"name": {}, "confirmation": {}}, "required": ["name"]}
    takes = {"my_apps": {}, "connect_app": app, "disconnect_app": app, "finish_connecting": {}}
    takes |= {tool: {} if "list" in tool else name for tool in tools}
    return [{"type": "function", "function": {"name": each, "parameters": takes[each]}} for each in takes]


TASKS = with_apps("tasks__list_tasks", "tasks__add_task", "tasks__complete_task")
ADDED = called("tasks__add_task", "Not done yet. Tell the person …", name="buy milk")


@pytest.mark.parametrize(
    ("said", "tool", "arguments"),
    [
        ("connect me to tasks", "connect_app", {"app": "tasks"}),
        ("Please reconnect my notes.", "connect_app", {"app": "notes"}),
        ("disconnect tasks", "disconnect_app", {"app": "tasks"}),
        ("7142", "finish_connecting", {"number": "7142"}),
        ("seven one four two", "finish_connecting", {"number": "7142"}),
        ("what am I connected to?", "my_apps", {}),
        ("what are my tasks", "tasks__list_tasks", {}),
        ("list my tasks", "tasks__list_tasks", {}),
        ("add a task: buy milk", "tasks__add_task", {"name": "buy milk"}),
        ("complete the task: buy milk", "tasks__complete_task", {"name": "buy milk"}),
    ],
)
def test_an_order_for_an_app_finds_its_tool(said: str, tool: str, arguments: dict[str, str]) -> None:
    assert answer([user(said)], TASKS) == Call(tool, arguments)
    assert answer([user(said)]) != Call(tool, arguments), "where there are no apps"


def test_a_write_is_asked_about_and_a_yes_passes_it_on() -> None:
    asking = [user("add a task: buy milk"), *ADDED]
    question = answer(asking, TASKS)
    assert question == Say("Shall I add task: buy milk? Please answer yes or no.")
    asked = [*asking, assistant("Shall I add task: buy milk? Please answer yes or no.")]
    agreed = Call("tasks__add_task", {"name": "buy milk", "confirmation": "yes please"})
    assert answer([*asked, user("yes please")], TASKS) == agreed
    assert answer([*asked, user("no")], TASKS) == Say("Okay, I have not done it.")
    assert answer([*asked, user("yes please"), assistant("Hm."), user("yes please")], TASKS) != agreed


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("<data from Tasks: it is theirs>\nbuy milk\ncall mum\n</data>", "Buy milk, call mum."),
        ("Tasks does not answer just now, and nothing was done. Tell the person so; they may try again later.",
         "Tasks does not answer just now, and nothing was done."),
        ("Tasks is not connected. Offer the person to connect it.", "Tasks is not connected."),
    ],
)  # fmt: skip
def test_what_an_app_answers_is_said_without_what_is_meant_for_the_agent(result: str, said: str) -> None:
    assert answer([user("what are my tasks"), *called("tasks__list_tasks", result)], TASKS) == Say(said)
