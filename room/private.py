"""A private line for each person the agent talks to: only their words come in, and their answers go to nobody else.

What the agent says is a person's memory. Left to itself the framework publishes voice and transcript to everybody in
the room, hidden participants and recorders included, and drops what somebody types before their join event
arrives, which may be three seconds after their words.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field

from livekit import rtc
from livekit.agents import AgentSession, UserInputTranscribedEvent
from livekit.agents.types import TOPIC_CHAT
from livekit.agents.utils import shortuuid
from livekit.agents.voice.room_io import TextInputEvent, TextInputOptions
from livekit.agents.voice.transcription import TranscriptSynchronizer
from livekit.rtc.data_stream import StreamError

from room.early_audio import EarlyAudio
from room.participant import Caller, RoomPolicy, is_taken, present
from room.permissions import Permissions, is_open_to
from room.tasks import Tasks
from room.transcript import Transcript

log = logging.getLogger("rapport.room")

MOST_CHARACTERS = 16_000
"""Of one typed message."""
TOO_LONG = "The person has just typed a message that is too long for you to read. Tell them so, and ask for less of it."
# How many messages of one sender wait at once for a line, and of how many senders.
_MOST_MESSAGES = 32
_MOST_SENDERS = 64


@dataclass(frozen=True, slots=True)
class Patience:
    """In seconds."""

    session: float = 30.0
    """How long a typed message waits for the session that shall answer it. One that takes longer has failed."""
    unheard: float = 2.0
    """After so long somebody who is there should have been connected to the agent's voice; it takes 0.1."""


class Lines:
    """All private lines of one room. Make it before `connect()`, so that no word is missed."""

    def __init__(
        self,
        room: rtc.Room,
        policy: RoomPolicy,
        on_refused: Callable[[], None] = lambda: None,
        patience: Patience | None = None,
    ) -> None:
        """`on_refused` is called for each message of somebody who has no line."""
        self._room = room
        self._policy = policy
        self._on_refused = on_refused
        self._patience = patience or Patience()
        self._lines: dict[Caller, PrivateLine] = {}
        self._changed = asyncio.Event()
        self._refused: set[str] = set()
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._waiting = Counter[str]()
        """Messages, by sender."""
        self._tasks = Tasks()
        self._early_audio = EarlyAudio(room)
        audience = policy is RoomPolicy.AUDIENCE
        self._permissions = None if audience else Permissions(room, alone=policy is RoomPolicy.SINGLE)
        room.register_text_stream_handler(TOPIC_CHAT, self._on_chat)
        room.on("participant_connected", self._on_change)

    def open_to(self, caller: Caller) -> PrivateLine:
        """From now on this person is heard, and hears the agent, also when they leave and come back.

        Call it before their session publishes a track. The line works for them in the caller's context.
        """
        line = PrivateLine(caller, self._room, self._early_audio, self._permissions, self._patience)
        self._lines[caller] = line
        if self._permissions:
            self._permissions.reserve(line.track_name, caller)
        self._on_change()
        return line

    async def close(self, line: PrivateLine) -> None:
        """The person is gone for good, or their session failed: their words are not waited for any more. The line may
        be opened to them again."""
        if self._lines.get(line.caller) is line:
            del self._lines[line.caller]
        if self._permissions:
            self._permissions.release(line.track_name)
        await line.aclose()

    async def aclose(self) -> None:
        """Stop listening. Words that are still waiting for a session are dropped."""
        self._room.unregister_text_stream_handler(TOPIC_CHAT)
        self._room.off("participant_connected", self._on_change)
        await self._tasks.cancel()
        for line in list(self._lines.values()):
            await self.close(line)
        await self._early_audio.aclose()
        if self._permissions:
            await self._permissions.aclose()

    def _on_change(self, *_: object) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _on_chat(self, reader: rtc.TextStreamReader, sender: str) -> None:
        # the sender is set by the server, and empty for a hidden participant; the stream's attributes prove nothing
        too_many = self._waiting[sender] >= _MOST_MESSAGES or len(self._waiting) > _MOST_SENDERS
        if self._has_no_line(sender) or too_many:
            reader.close()
            self._refuse(sender)
        else:
            self._waiting[sender] += 1
            self._tasks.spawn(self._take_words(reader, sender, present(self._room, sender)))

    async def _take_words(self, reader: rtc.TextStreamReader, sender: str, who: Caller | None) -> None:
        words, line = None, None
        try:
            # one after the other: a message that is read later must not overtake one that waits for the line
            async with asyncio.timeout(self._patience.session), self._reading[sender]:
                words = await _read(reader)
                line = await self._line_of(sender, who)
        except StreamError:  # its sender has broken it off, or the room is gone
            return
        except TimeoutError:
            pass
        finally:
            reader.close()
            self._waiting[sender] -= 1
            if not self._waiting[sender]:
                del self._waiting[sender], self._reading[sender]
        if line is None:
            self._refuse(sender)
        else:
            line.take(words, reader.info)

    async def _line_of(self, sender: str, who: Caller | None) -> PrivateLine | None:
        """The sender's line as soon as they have one; None when they never will. Of whom it is not known yet that they
        joined, it is not known either whether they are the one whose identity this is."""
        while not self._has_no_line(sender):
            who = who or present(self._room, sender)
            if who in self._lines:
                return self._lines[who]
            await self._changed.wait()
        return None

    def _has_no_line(self, sender: str) -> bool:
        """And never will."""
        if not sender or not self._lines or self._policy is RoomPolicy.EVERYONE:
            return not sender
        return not any(caller.identity == sender and not is_taken(self._room, caller) for caller in self._lines)

    def _refuse(self, sender: str) -> None:
        self._on_refused()
        if sender not in self._refused:
            self._refused.add(sender)
            log.warning("[INPUT REFUSED] words of %s participant (once)", "another" if sender else "a hidden")


async def _read(reader: rtc.TextStreamReader) -> str | None:
    """The message; None where it is longer than what a person types."""
    message = ""
    async for chunk in reader:
        message += chunk
        if len(message) > MOST_CHARACTERS:
            return None
    return message


@dataclass(eq=False, repr=False)
class PrivateLine:
    """Between the agent and one person in a room. Without `permissions` everybody in it hears and reads the agent."""

    caller: Caller
    room: rtc.Room
    early_audio: EarlyAudio
    permissions: Permissions | None
    patience: Patience
    track_name: str = field(default_factory=lambda: shortuuid("agent-"))
    """Of the agent's voice for this person."""

    def __post_init__(self) -> None:
        self._session: asyncio.Future[AgentSession[None]] = asyncio.get_running_loop().create_future()
        # the room's callbacks run in the context that was there before anybody was known
        self._tasks = Tasks(copy_context())
        self._turns = asyncio.Lock()

    def attach(self, session: AgentSession[None]) -> None:
        """Connect the started session: what was said so far goes in, transcripts of both sides go out."""
        spoken = self._transcript(of=self.room.local_participant.identity, track=self.track_name)
        if session.output.audio:
            # shows each word when it is heard
            synchronizer = TranscriptSynchronizer(next_in_chain_audio=session.output.audio, next_in_chain_text=spoken)
            session.output.audio, session.output.transcription = synchronizer.audio_output, synchronizer.text_output
        else:
            session.output.transcription = spoken
        if session.input.audio:
            session.input.audio = self.early_audio.before(session.input.audio, self.caller)
        heard = self._transcript(of=self.caller.identity)

        def on_heard(event: UserInputTranscribedEvent) -> None:
            self._tasks.spawn(heard.replace(event.transcript, final=event.is_final))

        session.on("user_input_transcribed", on_heard)
        if subscribed := session.room_io.subscribed_fut:
            self._tasks.spawn(self._be_heard(subscribed))

    def let_in(self, session: AgentSession[None]) -> None:
        """What was typed so far, and is typed from now on, goes in too. Once it has been greeted: a greeting that is
        asked for later would answer what was answered."""
        self._session.set_result(session)

    def take(self, words: str | None, info: rtc.TextStreamInfo) -> None:
        """A typed turn, answered as soon as there is a session; None stands for one that is too long. One without a
        word is no turn."""
        if words is None or words.strip():
            self._tasks.spawn(self._answer(words, info))

    async def aclose(self) -> None:
        """Take nothing more. Safe to call twice."""
        await self._tasks.cancel()

    def _transcript(self, of: str, track: str | None = None) -> Transcript:
        if self.permissions is None:
            return Transcript(self.room, [], of, track)
        return Transcript(self.room, [self.caller.identity], of, track, lambda: is_open_to(self.room, self.caller))

    async def _be_heard(self, subscribed: asyncio.Future[None]) -> None:
        """See that the person is connected to the agent's voice. Whoever does not listen can still read: the session
        waits for its first listener, and with its voice its words would wait for ever."""
        told = False
        while not subscribed.done():
            await asyncio.wait({subscribed}, timeout=self.patience.unheard)
            if subscribed.done() or present(self.room, self.caller.identity) != self.caller:
                continue
            if told or self.permissions is None:
                log.warning("[ROOM FAILED] nobody listens to the agent's voice; what it says is shown")
                subscribed.set_result(None)
            else:
                log.warning("[ROOM FAILED] the agent's voice reaches nobody; who may listen is told again")
                self.permissions.tell()
                told = True

    async def _answer(self, words: str | None, info: rtc.TextStreamInfo) -> None:
        async with asyncio.timeout(self.patience.session), self._turns:  # in the order in which they came
            # shielded: whose patience ends must not cancel what everybody else waits for
            session = await asyncio.shield(self._session)
            if words is None:
                session.generate_reply(instructions=TOO_LONG)
                return
            participant = self.room.remote_participants.get(self.caller.identity)
            # the framework's own way to take a typed turn: claim it, interrupt, reply
            taken = TextInputOptions().text_input_cb(session, TextInputEvent(words, info=info, participant=participant))
            if taken is not None:
                await taken
