"""Who asks that something be not remembered is understood, in several languages; who only talks of it is kept."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory.language.private.discretion import Discretion, Heard
from memory.language.private.masking import MASK
from memory.language.private.off_record import Stance, stance_of
from memory.records import Turn

ORDINARY = (Path(__file__).parent / "fixtures" / "ordinary_statements.txt").read_text("utf-8").splitlines()
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)

THIS = """
I do not want you to remember that I smoke.
I'd rather you didn't remember that I was in prison.
Don't remember this: I'm seeing a therapist.
Please do not memorize my weight.
I'm leaving my husband, but please don't remember that.
Not for the record, but I can't stand my boss.
Do not hold on to this information, I have diabetes.
You mustn't remember that I cheated.
This isn't something you should remember: I was arrested once.
Please keep this between us: I was fired.
This stays between you and me, I am seeing a therapist.
Between ourselves, I'm adopted.
Forget I said that, but I'm pregnant.
Don't write this down, my brother is in jail.
Das bleibt unter uns: ich bin schwanger.
Merk dir bitte nicht, dass ich rauche.
Ich will nicht, dass du dich daran erinnerst, dass ich trinke.
Ne retiens pas que je fume.
No quiero que recuerdes que fumo.
Não quero que você se lembre que eu fumo.
Non voglio che tu ricordi che fumo.
Ik wil niet dat je onthoudt dat ik rook.
Я не хочу, чтобы ты помнил, что я курю.
私がタバコを吸うことは覚えないで。
我不希望你记住我抽烟。
मैं नहीं चाहता कि तुम याद रखो कि मैं सिगरेट पीता हूँ।
لا أريدك أن تتذكر أنني أدخن
""".strip().splitlines()
BEFORE = """
Don't remember that.
Please don't write this down.
You don't have to remember this.
Forget I said that.
Please forget what I just said.
Keep that out of your notes, please.
That's off the record.
I don't want that saved.
Strike that from the record.
Bitte vergiss, was ich gerade gesagt habe.
今言ったことは忘れてください。
Merk dir das bitte nicht.
N'enregistre pas ça, s'il te plaît.
No guardes esto, por favor.
Não guarde isso.
Non ricordare questo.
Onthoud dit alsjeblieft niet.
Не запоминай это.
これは覚えないでください。
请不要记住这个。
यह याद मत रखना।
لا تتذكر هذا من فضلك
""".strip().splitlines()
FROM_HERE = """
Off the record, I'm looking for another job.
Okay, off the record: I hate it here.
Can I tell you something off the record?
Let's go off the record for a moment.
Stop recording for now.
I want to say something that you shouldn't remember.
Please don't save anything I say.
From now on don't remember anything I tell you.
Inoffiziell: ich suche eine neue Stelle.
En off, je cherche un autre travail.
Extraoficialmente, busco otro trabajo.
Em off, procuro outro emprego.
In via ufficiosa, cerco un altro lavoro.
Не для протокола: я ищу работу.
オフレコですが、転職を考えています。
私下说，我在找新工作。
ऑफ द रिकॉर्ड, मैं नौकरी ढूंढ रहा हूँ।
بشكل غير رسمي، أبحث عن عمل آخر.
""".strip().splitlines()
BACK = """
Back on record now.
Back on the record: I like jazz.
Okay, we're back on the record.
You can remember this again.
Du darfst dir wieder alles merken.
Tu peux de nouveau retenir ce que je dis.
Puedes volver a recordar.
Pode voltar a gravar.
Puoi ricominciare a ricordare.
Je mag weer alles onthouden.
Можешь снова запоминать.
オフレコは終わりです。
可以继续记录了。
अब फिर से याद रख सकते हो।
يمكنك أن تتذكر مرة أخرى
""".strip().splitlines()
ONLY_TALK = """
Between us we have four kids.
I bought a record player off a friend.
Our land lies between ourselves and the sea.
I don't remember that film.
I don't remember my first teacher.
Don't remember what it was called, a film from 1990.
He told me off the record that he is leaving.
Off-the-record talks are common in journalism.
I bought it at the Off The Record store.
Don't keep me waiting.
Don't save me a seat.
Don't forget that I have a dentist appointment.
Please remember that I moved to Porto.
I want to remember this day forever.
I never remember that we have a meeting on Mondays.
My doctor said I should not store it in the fridge.
I stopped recording podcasts last year.
I keep notes of everything.
We do not want this kept in the fridge.
My boss stopped recording our meetings.
I hope you don't keep bees, because I'm afraid of them.
My band is going to record an album in May.
Ich kann mir Namen nicht merken.
Je ne retiens pas les noms.
No recuerdo el nombre.
Não me lembro do nome.
Non ricordo il nome.
Ik kan dat niet onthouden.
Я не помню, как его зовут.
覚えていません。
别忘了我明天过生日。
मुझे याद नहीं है।
لا أتذكر اسمه
""".strip().splitlines()


@pytest.mark.parametrize(
    ("sentences", "stances"),
    [
        (THIS, {Stance.THIS}),
        (BEFORE, {Stance.BEFORE}),
        (FROM_HERE, {Stance.FROM_HERE}),
        (BACK, {Stance.BACK}),
        (ONLY_TALK, {Stance.NOTHING}),
        (ORDINARY, {Stance.NOTHING}),
    ],
    ids=["this", "before", "from here", "back", "only talk", "ordinary"],
)
def test_what_a_sentence_asks_for(sentences: list[str], stances: set[Stance]) -> None:
    assert {said: stance for said in sentences if (stance := stance_of(said)) not in stances} == {}


class Talk:
    """Turns of one session, and what of them is kept."""

    def __init__(self) -> None:
        self.discretion = Discretion()
        self.transcript: dict[str, str] = {}
        self.statements: list[str] = []
        self._unsettled: str | None = None

    def person(self, words: str, *, settled: bool = True) -> Heard:
        turn = Turn(f"t{len(self.transcript)}{words}", "user", words, NOON)
        heard = self.discretion.hear(turn, self._unsettled)
        self._take(heard)
        if heard.statement and (said := self.discretion.statement(heard.statement.text)):
            self.statements.append(said)
        self._unsettled = None if settled else self._unsettled or turn.id
        return heard

    def agent(self, words: str) -> Heard:
        heard = self.discretion.hear(Turn(f"a{len(self.transcript)}{words}", "assistant", words, NOON))
        self._take(heard)
        return heard

    @property
    def written(self) -> list[str]:
        return list(self.transcript.values())

    def _take(self, heard: Heard) -> None:
        self.transcript |= {turn.id: turn.text for turn in heard.transcript}


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_off_the_record_lasts_until_it_is_taken_back_and_answers_belong_to_it(talk: Talk) -> None:
    for person, agent in [
        ("I like tea.", "Tea!"),
        ("Off the record, I want to quit.", "You want to quit?"),
        ("They pay me badly.", "Badly paid, I see."),
        ("Back on the record: I like jazz.", "Jazz!"),
    ]:
        talk.person(person)
        talk.agent(agent)
    assert talk.written == ["I like tea.", "Tea!", "I like jazz.", "Jazz!"]
    assert talk.statements == ["I like tea.", "I like jazz."]


def test_two_devices_are_apart(talk: Talk) -> None:
    talk.person("Off the record, I want to quit.")
    other = Talk()
    other.person("I like tea.")
    assert other.written == ["I like tea."]
    assert talk.discretion.off_record and not other.discretion.off_record


def test_what_was_said_on_the_record_in_the_same_turn_stays(talk: Talk) -> None:
    talk.person("I like jazz. Off the record, I am getting divorced. It hurts.")
    talk.person("It really does.")
    assert talk.written == talk.statements == ["I like jazz."]


def test_one_statement_is_about_its_own_utterance_and_its_answer(talk: Talk) -> None:
    talk.person("I smoke two packs a day. I do not want you to remember that I smoke.")
    talk.agent("I will not remember that you smoke.")
    talk.person("I live in Rome.")
    talk.agent("In Rome!")
    assert talk.written == ["I live in Rome.", "In Rome!"]


def test_alone_it_is_about_what_was_said_before_and_answered(talk: Talk) -> None:
    talk.person("I live in Rome.")
    talk.agent("In Rome!")
    told = talk.person("I smoke.")
    talk.agent("You smoke?")
    heard = talk.person("Don't remember that.")
    assert heard.taken_back == told.transcript[0].id
    assert talk.written == ["I live in Rome.", "In Rome!", MASK, MASK]
    assert heard.statement is None


def test_a_half_sentence_before_it_is_a_part_of_the_utterance(talk: Talk) -> None:
    first = talk.person("I smoke, but", settled=False).transcript[0]
    assert talk.person("please don't remember that I do").taken_back == first.id


def test_a_turn_that_is_told_of_again_is_kept_as_before(talk: Talk) -> None:
    discretion = talk.discretion
    private = Turn("t1", "user", "Off the record, I smoke.", NOON)
    open_, pin = (
        Turn("t2", "user", "Back on the record: I like jazz.", NOON),
        Turn("t3", "user", "My PIN is 4821", NOON),
    )
    for turn in (private, open_, pin):
        discretion.hear(turn)
    assert not discretion.hear(private).transcript
    assert [discretion.hear(turn).transcript[0].text for turn in (open_, pin)] == ["I like jazz.", "My PIN is •••"]
    assert not discretion.off_record


def test_a_long_pasted_text_takes_no_longer_than_a_blink(talk: Talk) -> None:
    started = time.perf_counter()
    talk.person("I went to the harbour with 12 friends and my sister kept notes of it. " * 220)
    assert time.perf_counter() - started < 1


def test_what_it_points_at_may_come_in_the_next_sentence_in_any_language(talk: Talk) -> None:
    for words in ("Do not save this. I cheated.", "これは覚えないでください。離婚します。"):
        talk.person(words)
    assert talk.written == talk.statements == []
