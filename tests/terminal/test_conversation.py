"""When an answer is over, and what is shown of a conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from livekit.protocol.agent_pb import agent_session as pb

from terminal.conversation import Conversation
from terminal.printer import Printer
from terminal.transport import ConsoleTransport


class Told:
    """A conversation that is told events, on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        transport = ConsoleTransport.__new__(ConsoleTransport)
        self.conversation = Conversation(
            transport, Printer(as_json=True, typed=False), spoken=True, clock=lambda: self.now
        )
        self._receive: Any = transport.receive

    def after(self, seconds: float, **event: Any) -> None:
        self.now += seconds
        self._receive(pb.AgentSessionMessage(event=pb.AgentSessionEvent(**event)))

    def turn(self, seconds: float, role: int, text: str) -> None:
        message = pb.ChatMessage(role=role, content=[pb.ChatMessage.ChatContent(text=text)])  # pyright: ignore
        item = pb.ChatContext.ChatItem(message=message)
        self.after(seconds, conversation_item_added=pb.AgentSessionEvent.ConversationItemAdded(item=item))

    def agent_is(self, state: int) -> None:
        self.after(0.01, agent_state_changed=pb.AgentSessionEvent.AgentStateChanged(new_state=state))  # pyright: ignore

    def user_is(self, seconds: float, state: int) -> None:
        self.after(seconds, user_state_changed=pb.AgentSessionEvent.UserStateChanged(new_state=state))  # pyright: ignore

    def answered(self, seconds: float) -> bool:
        self.now += seconds
        return self.conversation.answered()


def test_an_answer_is_over_when_it_is_committed_and_the_agent_listens_and_all_is_quiet() -> None:
    told = Told()
    told.turn(1, pb.USER, "what time is it?")
    told.agent_is(pb.AS_THINKING)
    assert not told.answered(1)
    told.turn(1, pb.ASSISTANT, "Let me look.")
    assert not told.answered(1), "it is still thinking: a tool runs"
    told.turn(1, pb.ASSISTANT, "Noon.")
    told.agent_is(pb.AS_LISTENING)
    assert not told.answered(0.1)
    assert told.answered(0.3)


def test_the_answer_to_the_first_half_of_a_recording_is_not_the_answer() -> None:
    told = Told()
    told.agent_is(pb.AS_LISTENING)
    told.turn(1, pb.USER, "I like")
    told.turn(1, pb.ASSISTANT, "What?")
    told.user_is(0.5, pb.US_SPEAKING)
    assert not told.answered(1)
    told.user_is(0.5, pb.US_LISTENING)
    assert not told.answered(1), "the words are still being recognised"
    assert told.answered(1.5), "they were no words"
    told.turn(0, pb.USER, "blue")
    assert not told.answered(5)
    told.turn(1, pb.ASSISTANT, "I see.")
    assert told.answered(0.5)


def test_errors_are_not_conversation_unless_a_program_reads_it(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(as_json=False, typed=True)
    printer.show("user", "typed at the prompt, so on the screen already")
    assert not printer.failed
    printer.show("error", "too bad")
    assert printer.failed
    assert capsys.readouterr() == ("", "error: too bad\n")
    Printer(as_json=True, typed=True).show("error", "zu blöd")
    assert capsys.readouterr().out == '{"event": "error", "text": "zu blöd"}\n'


def test_a_retry_is_a_hint_and_not_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told()
    told.after(0, error=pb.AgentSessionEvent.Error(message="type='llm_error' error=Oops() recoverable=True"))
    assert "trying again" in capsys.readouterr().err
    told.after(0, error=pb.AgentSessionEvent.Error(message="type='llm_error' error=Oops() recoverable=False"))
    assert json.loads(capsys.readouterr().out)["event"] == "error"


def test_what_is_tried_again_in_vain_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told()
    retry = pb.AgentSessionEvent.Error(message="type='realtime_model_error' error=Oops() recoverable=True")
    told.after(0, error=retry)
    told.turn(1, pb.ASSISTANT, "Here I am.")
    told.conversation.own_up()
    assert "error" not in capsys.readouterr().out
    told.after(0, error=retry)
    told.conversation.own_up()
    told.conversation.own_up()
    assert capsys.readouterr().out.count('"event": "error"') == 1
