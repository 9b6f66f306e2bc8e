"""What happens in a conversation: the worker's messages, and when an answer is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from google.protobuf.json_format import MessageToDict
from livekit.protocol.agent_pb import agent_session as pb

from terminal.printer import Printer
from terminal.sound import FRAME_SECONDS, Speaker
from terminal.transport import ConsoleTransport


class Conversation:
    """What has happened so far, as the worker's messages tell it."""

    def __init__(
        self,
        transport: ConsoleTransport,
        printer: Printer,
        *,
        spoken: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        transport.receive = self._receive
        self._transport = transport
        self.speaker = Speaker(transport.send_playback_finished, instant=not spoken)
        self.user_turns = 0
        self.agent_turns = 0
        self._printer = printer
        self._spoken = spoken
        self._clock = clock
        self._agent_state = pb.AS_INITIALIZING
        self._user_state = pb.US_LISTENING
        self._user_turn_at = self._agent_turn_at = self._user_stopped_at = 0.0
        self._event_at = self._clock()
        self._unanswered = ""
        """An error that was to be tried again, as long as no answer came after it."""

    def _receive(self, message: pb.AgentSessionMessage) -> None:
        match message.WhichOneof("message"):
            case "event":
                self._event_at = self._clock()
                self._on_event(message.event)
            case "audio_output":
                self.speaker.play(message.audio_output.data)
            case "audio_playback_flush":
                self.speaker.flush()
            case "audio_playback_clear":
                self.speaker.clear()
            case _:
                pass  # a response, which is RemoteSession's

    def _on_event(self, event: pb.AgentSessionEvent) -> None:
        match event.WhichOneof("event"):
            case "conversation_item_added":
                if event.conversation_item_added.item.HasField("message"):
                    self._on_turn(event.conversation_item_added.item.message)
            case "debug_message":
                self._on_debug_message(MessageToDict(event.debug_message.payload))
            case "agent_state_changed":
                self._agent_state = event.agent_state_changed.new_state
            case "user_state_changed":
                if self._user_state == pb.US_SPEAKING:
                    self._user_stopped_at = self._event_at
                self._user_state = event.user_state_changed.new_state
            case "error":
                text = event.error.message
                if "recoverable=True" in text:  # the worker tries again, or the call goes on without an answer
                    self._printer.hint(f"the agent is trying again: {text}")
                    self._unanswered = text
                else:
                    self._printer.show("error", text)
                    self._unanswered = ""
            case _:
                pass

    def _on_turn(self, message: pb.ChatMessage) -> None:
        text = "".join(content.text for content in message.content).strip()
        if message.role == pb.ASSISTANT:
            self.agent_turns += 1
            self._unanswered = ""
            self._agent_turn_at = self._event_at
            if text:
                self._printer.show("agent", text)
        elif message.role == pb.USER:
            self.user_turns += 1
            self._user_turn_at = self._event_at
            if self._spoken:  # what was typed has been shown when it was sent
                self._printer.show("user", text)

    def _on_debug_message(self, payload: dict[str, object]) -> None:
        if payload.get("event") == "end":
            self._transport.over.set()
        elif payload.get("event") == "memory":
            text, action, category, key = (str(payload.get(name, "")) for name in ("text", "action", "category", "key"))
            self._printer.show("memory", text, action=action, category=category, key=key)
        elif payload.get("event") == "link":
            self._printer.show("link", str(payload.get("url", "")), app=str(payload.get("app", "")))

    def own_up(self) -> None:
        """What was tried again in vain is an error."""
        if self._unanswered:
            self._printer.show("error", self._unanswered)
            self._unanswered = ""

    def greeted(self) -> bool:
        """Whether the greeting is over, or failed."""
        return self._printer.failed or (self.agent_turns > 0 and self._agent_is_done())

    def answered(self) -> bool:
        """Whether the agent has said all it had to say to the last thing it heard.

        A pause in a recording makes two turns of it, so an answer that is older than the last sound of a voice
        is not the answer yet, unless two seconds show that the sound was no words.
        """
        if self._user_state == pb.US_SPEAKING or self._agent_turn_at <= self._user_turn_at:
            return False
        words_to_come = self._agent_turn_at < self._user_stopped_at > self._clock() - 2
        return not words_to_come and self._agent_is_done() and self._clock() > self._event_at + 0.3

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait for something to hold. False if it does not for so many seconds in which the agent says nothing."""
        deadline = self._clock() + seconds
        while not holds():
            if not self.speaker.idle:
                deadline = self._clock() + seconds
            elif self._clock() >= deadline:
                return False
            await asyncio.sleep(FRAME_SECONDS)
        return True

    async def settle(self, seconds: float = 0.3) -> None:
        """Wait for the events that follow an answer: until none came for so many seconds, 2 s at most.

        The worker writes memory beside the turn, and says nothing when there was nothing to write: silence is the
        only sign that all has been told.
        """
        await self.until(lambda: self._clock() > self._event_at + seconds, seconds=2)

    def _agent_is_done(self) -> bool:
        return self.speaker.idle and self._agent_state in (pb.AS_LISTENING, pb.AS_IDLE)
