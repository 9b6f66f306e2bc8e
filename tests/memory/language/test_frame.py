"""Whose words are these: only what a person says of themselves names a fact."""

from __future__ import annotations

import pytest

from memory.language.frame import Frame
from memory.language.statements import Statement, heard, statements_in


def named(*utterances: str, frame: Frame = Frame()) -> list[str]:  # noqa: B008 - it is frozen
    """The keys that these utterances of one session name, and the words that they hold."""
    return [f"{one.key}: {one.value}" for one in _said(*utterances, frame=frame) if one.key]


def _said(*utterances: str, frame: Frame) -> list[Statement]:
    before: Statement | None = None
    all_: list[Statement] = []
    for utterance in utterances:
        found, frame = heard(utterance, before, frame)
        before = found[-1] if found else None
        all_ += found
    return all_


# One utterance, in which nobody speaks of themselves.
NOBODYS = """
In the role play, my name is Max and I live in Berlin.
In our role-play I'm a chef and my name is Gino.
Roleplay: I'm a detective, my name is Sam Spade. I live in San Francisco.
Pretend my name is Bond and I live in London.
Let's pretend I live in Narnia. My name is Lucy.
Can we do a mock interview? My name is John Doe and I work at Acme.
Let's play a game. You are a shopkeeper and I am a knight. My name is Roland.
Let's play pirates! My name is Anne Bonny and I live in Tortuga.
You're the waiter and I'm the customer. My name is Lord Byron.
Act as a bank clerk. My name is John Doe and my phone number is 555 7788.
In this game my name is Zelda.
As my character: my name is Thorin. I live in Erebor.
In my story, I am a pirate and I live in Tortuga.
For my novel: I live in Vienna. My name is Sissi.
In my dream I'm a pilot and I live in Dubai.
I'm writing a short story. In it, I live in Paris and I work as a spy.
Once upon a time there was a girl. My name is Goldie, she said.
My character is an elf. My name is Elowen.
Translate into German: I live in Rome and my name is Carlo.
Please translate this to French. My name is Carlo. I live in Rome.
I'd like to know how to say in Italian: my name is Carlo and I live in Rome.
Can you proofread this? I live in Leeds. My name is Ed.
Shorten this letter: Dear Mr. Brown, my name is Peter Klein and I live in Graz.
Could you fix the grammar in this text? My name is Li, I live in Wuhan.
Please rephrase: I work at Siemens. I live in Ulm.
Übersetze ins Deutsche: I live in Rome and my name is Carlo.
Repeat after me. My name is Captain Hook.
Write an email: my name is Otis and I work at Ford.
Write to him that I live in Lyon and my name is Luc.
Dear Sir or Madam, my name is Peter Klein. I live in Graz.
She said: my name is Rosa.
She said, "My name is Rosa. I live in Lima." and went.
The sign says "I live in hope". My sister goes: I live in Lima.
He told me 'my name is Hugo' and left.
My neighbour claims I live in Monaco and my name is Midas.
People think I'm rich and I live in Monaco.
The song goes my name is Luka, I live in Boston.
Suppose my name is Max. I live in Lima. What visa do I need?
Imagine I live in Oslo, and I work at Equinor.
Let's say I'm 67 and I live in Spain.
What if I'm 70. I live in Portugal.
Hypothetically, I live in Texas. I'm 25.
For example, my name is Jane Doe.
This is just a test. My name is Test User.
My name is Batman. Just kidding!
I live in Atlantis lol
I'm a pilot, just joking.
I'm basically a nurse for my cats.
I'm practically a taxi driver.
You can call me biased.
I'm kind of a therapist for my friends.
I work for love.
My friend asked me to type this. My name is Otis.
I'm typing this for my grandmother. My name is Ilse and I live in Bern.
I'm asking for a friend. I'm 17.
My daughter wants to say something. My name is Mia.
On behalf of Mr. Jones: my name is Jones, I live in Cardiff.
Here is what she wrote. I live in Quito.
I got this email. I live in Lagos and my name is Prince.
We're improvising: I'm a sailor and I live in Lisbon.
Imagine a world where my name is Zork and I live in Atlantis.
Here's the plot: I am a pilot and I live in Cairo.
My novel starts like this. My name is Ishmael.
The first line of my book is: I live in Paris.
Tell it as if I were the hero. I live in Gotham.
Polish this up please. My name is Jo and I'm a waiter.
Can you say that in Dutch? My name is Piet.
My homework is to translate: I live in Bonn and I'm a baker.
Someone texted me: I moved to Peru.
The ad says: my name is Candy, call me.
My daughter is next to me. She says: my name is Mia.
I'm reading you a message from Tom. My name is Tom and I live in Kiel.
If I were you I'd move, say I live in Nice.
Let's assume I work at Google.
Pretend I'm 80.
For the sake of argument, I live in Moscow.
Let's imagine I'm 30 and I live in Rio.
I could be wrong but my name is mud.
My kids say I'm a taxi driver.
I feel like I'm a nurse.
I'm the family's accountant, so to speak.
You could call me a dinosaur.
You can call me old school.
I live in a dream.
I moved to second gear.
Knock knock, I'm a plumber.
In character: I'm 200 years old and I live in Transylvania.
He introduced himself: my name is Karl.
In this scene my name is Blanche and I live in New Orleans.
Can you summarize this for me: My name is Omar. I work at Intel and I live in Doha.
Make this shorter: I live in Bristol and I am a plumber.
Correct my spelling: my name is Pedro and I live in Madrid.
Spell check this please. My name is Pedro.
Turn this into Spanish: my name is Pedro, I live in Madrid.
Say this in Japanese: my name is Ken. I live in Kyoto.
Is this correct English? My name is Pedro and I live in Madrid.
I need this in French. My name is Pierre.
My brother wrote: I live in Cairo.
As Hamlet says, my name is nobody.
Quote: my name is Ozymandias, king of kings.
The letter reads as follows: I live in Vienna. My name is Mozart.
My mother always says: my home is in Dublin.
My grandmother told me: my name is Rose.
Otis here is typing through me. My name is Otis.
I'm helping my friend use this. My name is Otis.
It's not me, it's my son talking. My name is Leo.
I'm his wife, he can't type. My name is Leo.
This is my colleague's message: My name is Tom and I work at Bosch.
If I was rich, I live in Monaco.
If somebody asks, my name is Smith.
When people ask, I'm a pilot.
Unless I'm mistaken my name is Earl.
I'm such a nurse around my kids.
You can call me the boss.
You can call me lazy.
Call me Ishmael, as they say.
I'm a walking doctor.
I'm an armchair doctor.
I work for peanuts.
I live in my head.
I moved to plan B.
My name is trouble, ha ha.
In Minecraft I live in a castle and my name is Steve99.
In my dream last night, my name was Eve and I live in Eden.
In the movie I'm a doctor and I live in Rome.
The poem goes: my name is Legion.
There's a song, my name is Jonas.
Here are the lyrics: my name is Luka. I live on the second floor.
A man called and said my name is Brown, I live in Reno.
He goes, my name is Brown.
She was like, my name is Brown.
Someone wrote on the wall: I live in Hell.
Let me tell you a joke: my name is Bond.
A guy walks into a bar. My name is Bar, he says.
Let me read you something. My name is Anne Frank. I live in Amsterdam.
Now I'm reading from the paper. I live in Kyiv and my name is Olena.
Draft a bio. My name is Sam Fox and I live in Reno.
Write a dating profile for my friend: I'm 35, I live in Lyon.
My friend's profile: my name is Zoe. I live in Nice.
I pretend my name is Max and I live in Paris.
I told them my name is Max and I live in Paris.
At work they think my name is Max, and I live in Paris.
I'd say my name is Max.
I'm playing a vampire tonight. My name is Vlad.
""".strip().splitlines()
PASTED = [
    "Hi Anna,\n\nMy name is Otis and I live in Rome.\n\nBest regards,\nOtis",
    "From: otis@example.com\nSubject: Flat\nMy name is Otis. I live in Rome.",
    "> My name is Otis.\n> I live in Rome.",
    "On Monday Otis wrote:\nI live in Rome. My name is Otis.",
    "Otis: my name is Otis\nAnna: I live in Rome",
    "My name is Otis. I live in Rome.\nKind regards, Otis Redding",
    "My name is Otis.\nI live in Rome.\nSent from my phone",
    "Dear Mrs. Miller,\nMy name is Otis.\nI live in Rome.",
]


@pytest.mark.parametrize("turn", [*NOBODYS, *PASTED])
def test_what_is_not_said_of_oneself_names_no_fact_and_is_kept(turn: str) -> None:
    assert named(turn) == []
    assert statements_in(turn), "it is kept all the same"


# Ordinary statements, in words that stand near to a mark.
OWN = """
I love role play games and I live in Turku
My name is Ann and I like stories
I play the violin and I live in Turku
I'm a writer and I live in Turku.
I'm writing a novel. I live in Turku.
I translate books for a living and I live in Turku.
I work as a translator and I live in Turku.
I'm an actor. I live in Turku.
I told you my name is Ann
I think my name is hard to spell, and I live in Turku
I got an email from my boss. I work at Nokia now.
I'm not kidding, I live in Turku
Just kidding, my name is Vera.
Jokes aside, my name is Vera.
My sister lives in a big house, and I live in Turku
Can you tell me if it rains? I live in Turku.
Could you check the weather? I live in Turku.
Tell me a bedtime story. My daughter's name is Mia.
Write me a poem about my dog. My dog's name is Rex.
The game was great! I live in Turku.
We read a book together. My son is called Tom.
My friend lives in Rome. I live in Turku.
I dream a lot. I live in Turku.
My boss told me to write a report. I work at Nokia.
I'd like you to call me Sam
You can call me Sam
I said goodbye to Rome. I moved to Turku.
My wife wants to move. I live in Turku.
I have a question for my doctor. I'm 42.
My favorite book is "Emma". I live in Turku.
My favorite game is chess, and I live in Turku
My name is Ann, nice to meet you.
Hello, my name is Ann.
In real life, I live in Turku.
I live in Turku, for real.
Nice to meet you, I'm Vera and I live in Oulu.
Sure, my name is Vera.
Yeah so basically we moved to Oulu last summer.
By the way, I changed jobs. I work at Nokia now.
I wanted to let you know that I moved to Turku.
My name is Vera, and I love reading novels.
My name is Vera and I act in a theatre.
I'm an actor, I live in Oulu.
I'm a translator and I live in Oulu.
We read stories every night. My son is called Tom.
I'm a teacher at the school. I live in Oulu.
My favorite film is Alien.
I write letters for fun. I live in Oulu.
My husband says hello. I live in Oulu.
Yesterday my friend visited. I live in Oulu.
I play games with my kids. I live in Oulu.
I used to work at Google, but now I work at Nokia.
I'm 42 and I live in Oulu.
My email is vera@example.com
My new address is 12 Mill Lane.
Quick update: I moved to Turku.
One more thing: I'm allergic to nuts.
My dog is called Rex.
When I call my mom she is happy. I live in Oulu.
""".strip().splitlines()


@pytest.mark.parametrize("turn", OWN)
def test_what_is_said_of_oneself_names_its_fact(turn: str) -> None:
    assert named(turn) != []
    assert named(turn, "I live in Rome.")[-1] == "home_city: I live in Rome.", "nor does it reach any further"


# -- a role play lasts

PLAYS = """
Let's do some theatre. You're Juliet, I'm Romeo. | My name is Romeo and I live in Verona.
Let's roleplay. I'm a wizard called Merlin. | My name is Merlin. | I live in Avalon.
Can you be the interviewer? I'll be the candidate. | My name is Bob Stone and I work at Shell.
Let's practice ordering food in English. You be the waiter. | My name is Mr. Black.
I want to rehearse my speech. | My name is Doctor Fox and I live in Boston.
You play the dragon, I play the knight. | My name is Lancelot.
Let's play a game in which I'm a knight. | I moved to Camelot. | I live in Avalon.
Let's play a game! I'm a knight. | My name is Roland.
Let's act out a scene from Hamlet. | I am a prince and I live in Denmark.
My role play character is called Max. | My name is Max.
""".strip().splitlines()


@pytest.mark.parametrize("play", PLAYS)
def test_a_role_play_is_known_however_it_begins(play: str) -> None:
    assert named(*play.split(" | ")) == []


ENDS = """
Okay, let's stop the role play.
Game over.
End of the game.
The role play is over.
Let's stop pretending.
Enough of that game.
Back to reality.
Back to me.
Let's stop.
That's enough.
""".strip().splitlines()


@pytest.mark.parametrize("end", ENDS)
def test_a_role_play_lasts_until_it_ends(end: str) -> None:
    play = ["Let's do a role play. You are a doctor.", "My name is Max.", "I live in Berlin. I'm a pilot."]
    assert named(*play, "I work at Ford.") == []
    assert named(*play, f"{end} My name is Vera.") == ["name: My name is Vera."]
    assert named(*play, end, "I moved to Turku.") == ["home_city: I moved to Turku."]


def test_in_it_somebody_may_say_what_is_so_in_real_life() -> None:
    aside = named("Pretend you are a clerk.", "In real life I live in Turku.", "My name is Max.")
    assert aside == ["home_city: In real life I live in Turku."]


def test_what_was_said_in_it_shows_that_somebody_only_said_it() -> None:
    """Else the later "I live in Berlin" would hold against the true one."""
    said = _said("Let's do a role play.", "I live in Berlin. I love rum.", frame=Frame())
    assert [(one.key, one.value) for one in said[-1:]] == [(None, 'they said: "I live in Berlin. I love rum."')]


@pytest.mark.parametrize(
    "announced",
    [
        "Can you translate something for me? ",
        "Please proofread this.",
        "Repeat after me.",
        "My wife wants to say something",
        "I'm playing a vampire tonight.",
    ],
)
def test_a_text_that_is_announced_comes_next_and_no_longer(announced: str) -> None:
    assert named(announced, "I live in Rome and my name is Carlo.") == []
    assert named(announced, "I live in Rome.", "I live in Turku.") == ["home_city: I live in Turku."]


def test_nothing_of_it_corrects_a_fact() -> None:
    assert named("My favorite color is teal.", "In my story: no wait, it's green.") == [
        "favorite_color: My favorite color is teal."
    ]


# -- the agent has asked for the name

ASKED = Frame(asked_name=True)
ANSWERS = """
katja
Katja
It's Marta.
it's marta
Hi, Marta here
Marta speaking
I'm Marta
My friends call me Bob.
Everybody calls me Bob
You can call me Al
Jean-Luc Picard
Mary Ann Evans
Sure, it's José
Well, Marta is fine.
Marta. Nice to meet you!
Hello! I'm Marta. How are you?
It's Marta, and I live in Rome.
The name's Bond
カティア
""".strip().splitlines()
NO_NAMES = """
7445
It's 7445.
I'm tired.
no
nothing
What?
It's complicated.
It's raining here.
Not telling you
Good question
I love chess.
i love chess
I'd rather not say
call me when you are ready
Let me think
You can call me later
it is none of your business
""".strip().splitlines()


@pytest.mark.parametrize("answer", ANSWERS)
def test_who_is_asked_for_their_name_says_it_in_any_way(answer: str) -> None:
    assert [one for one in named(answer, frame=ASKED) if one.startswith("name: ")] != []


@pytest.mark.parametrize("answer", NO_NAMES)
def test_not_every_answer_is_a_name(answer: str) -> None:
    assert named(answer, frame=ASKED) == []


@pytest.mark.parametrize("answer", ["katja", "It's Marta.", "Hi, Marta here", "Marta"])
def test_it_is_no_name_in_any_other_turn(answer: str) -> None:
    assert named(answer) == []
    assert named("I love chess.", answer, frame=ASKED) == []
    assert named("Who are you?", answer, frame=ASKED) == []
    assert len(named("Hello!", answer, frame=ASKED)) == 1, "a greeting is no answer yet"
    assert len(named("Ann", answer, frame=ASKED)) == 1
