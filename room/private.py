"""A private line for each person the agent talks to: only their words come in, and their answers go to nobody else.

What the agent says is a person's memory. Left to itself the framework publishes voice and transcript to everybody in
the room, hidden participants and recorders included, and drops what somebody types before their join event
arrives, which may be three seconds after their words (rooms-facts 0.6, 5, 9).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from uuid import uuid4

from livekit import rtc
from livekit.agents import AgentSession, UserInputTranscribedEvent
from livekit.agents.types import (
    ATTRIBUTE_TRANSCRIPTION_FINAL,
    ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID,
    ATTRIBUTE_TRANSCRIPTION_TRACK_ID,
    TOPIC_CHAT,
    TOPIC_TRANSCRIPTION,
)
from livekit.agents.voice.io import TextOutput
from livekit.agents.voice.room_io import TextInputEvent, TextInputOptions
from livekit.agents.voice.transcription import TranscriptSynchronizer
from livekit.rtc.data_stream import StreamError

import metrics
from identity import printable
from room.early_audio import EarlyAudio
from room.participant import RoomPolicy
from room.tasks import Tasks

log = logging.getLogger("rapport.room")

# How long a typed message waits for the session that shall answer it. A session that takes longer has failed.
_SESSION_SECONDS = 30.0
# How often, and how long apart, the server is told who may listen to what after a new voice.
_PERMISSION_ROUNDS = 3
_PERMISSION_SECONDS = 0.2
# After so long somebody who is there should have been connected to the agent's voice; it takes 0.1 s. Until they are,
# the session waits, and a person sits in silence.
_UNHEARD_SECONDS = 2.0


class Lines:
    """All private lines of one room. Make it before `connect()`, so that no word is missed."""

    def __init__(self, room: rtc.Room, policy: RoomPolicy) -> None:
        self._room = room
        self._policy = policy
        self._lines: dict[str, PrivateLine] = {}
        self._opened = asyncio.Event()
        self._refused: set[str] = set()
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By sender."""
        self._tasks = Tasks()
        self._early_audio = EarlyAudio(room)
        self._permissions = _Permissions(room) if policy is RoomPolicy.EVERYONE else None
        room.register_text_stream_handler(TOPIC_CHAT, self._on_chat)

    def open_to(self, identity: str) -> PrivateLine:
        """From now on this person is heard, and hears the agent, also when they leave and come back.

        Call it before their session publishes a track. The line works for them in the caller's context.
        """
        hearers = [] if self._policy is RoomPolicy.AUDIENCE else [identity]
        line = self._lines[identity] = PrivateLine(self._room, identity, hearers, self._early_audio)
        if self._permissions:
            line.permit = self._permissions.tell
            self._permissions.reserve(line.track_name, identity)
        elif self._policy is RoomPolicy.SINGLE:
            alone = rtc.ParticipantTrackPermission(participant_identity=identity, allow_all=True)
            line.permit = partial(_permit, self._room, [alone])
            # Once: the native library sends such permissions one beside the other, so that of two the first may
            # arrive last.
            line.permit()
        self._opened.set()
        self._opened = asyncio.Event()
        return line

    async def close(self, line: PrivateLine) -> None:
        """The person is gone for good: their words are not waited for any more."""
        if self._lines.get(line.identity) is line:
            del self._lines[line.identity]
        await line.aclose()

    async def aclose(self) -> None:
        """Stop listening. Words that are still waiting for a session are dropped."""
        self._room.unregister_text_stream_handler(TOPIC_CHAT)
        await self._tasks.cancel()
        for line in list(self._lines.values()):
            await self.close(line)
        await self._early_audio.aclose()
        if self._permissions:
            await self._permissions.aclose()

    def _on_chat(self, reader: rtc.TextStreamReader, sender: str) -> None:
        # the sender is set by the server, and empty for a hidden participant; the stream's attributes prove nothing
        self._tasks.spawn(self._take_words(reader, sender))

    async def _take_words(self, reader: rtc.TextStreamReader, sender: str) -> None:
        try:
            # one after the other: a message that is read later must not overtake one that waits for the line
            async with asyncio.timeout(_SESSION_SECONDS), self._reading[sender]:
                words = await reader.read_all()
                line = await self._line_of(sender)
        except TimeoutError:
            words, line = "", None
        if line is None:
            self._refuse(sender)
        else:
            line.take(words, reader.info)

    async def _line_of(self, sender: str) -> PrivateLine | None:
        """The sender's line as soon as they have one; None when they never will."""
        while sender not in self._lines:
            if not sender or (self._lines and self._policy is not RoomPolicy.EVERYONE):
                return None
            await self._opened.wait()
        return self._lines[sender]

    def _refuse(self, sender: str) -> None:
        if sender not in self._refused:
            self._refused.add(sender)
            metrics.BINDINGS_REFUSED.labels("input").inc()
            log.warning("[INPUT REFUSED] words of another participant (once): %s", printable(sender) or "(hidden)")


class PrivateLine:
    """Between the agent and one person in a room."""

    permit: Callable[[], None] | None = None
    """Tells the server who may listen; None where everybody may."""

    def __init__(self, room: rtc.Room, identity: str, hearers: list[str], early_audio: EarlyAudio) -> None:
        """`hearers` are who gets the transcripts; nobody in it stands for everybody in the room."""
        self.identity = identity
        self.track_name = f"agent-{uuid4().hex[:12]}"
        """Of the agent's voice for this person."""
        self._room = room
        self._hearers = hearers
        self._early_audio = early_audio
        self._session: asyncio.Future[AgentSession[None]] = asyncio.get_running_loop().create_future()
        # the room's callbacks run in the context that was there before anybody was known
        self._tasks = Tasks(copy_context())
        self._turns = asyncio.Lock()

    def attach(self, session: AgentSession[None]) -> None:
        """Connect the started session: what was said so far goes in, transcripts of both sides go out."""
        spoken = _Transcript(self._room, self._hearers, of=self._room.local_participant.identity, track=self.track_name)
        if session.output.audio:
            # shows each word when it is heard
            synchronizer = TranscriptSynchronizer(next_in_chain_audio=session.output.audio, next_in_chain_text=spoken)
            session.output.audio, session.output.transcription = synchronizer.audio_output, synchronizer.text_output
        else:
            session.output.transcription = spoken
        if session.input.audio:
            session.input.audio = self._early_audio.before(session.input.audio, self.identity)
        heard = _Transcript(self._room, self._hearers, of=self.identity)

        def on_heard(event: UserInputTranscribedEvent) -> None:
            self._tasks.spawn(heard.replace(event.transcript, final=event.is_final))

        session.on("user_input_transcribed", on_heard)
        if self.permit and (subscribed := session.room_io.subscribed_fut):
            self._tasks.spawn(self._be_heard(subscribed, self.permit))

    def let_in(self, session: AgentSession[None]) -> None:
        """What was typed so far, and is typed from now on, goes in too. Once it has been greeted: a greeting that is
        asked for later would answer what was answered."""
        self._session.set_result(session)

    def take(self, words: str, info: rtc.TextStreamInfo) -> None:
        """A typed turn, answered as soon as there is a session."""
        self._tasks.spawn(self._answer(words, info))

    async def aclose(self) -> None:
        """Take nothing more. Safe to call twice."""
        await self._tasks.cancel()

    async def _be_heard(self, subscribed: asyncio.Future[None], permit: Callable[[], None]) -> None:
        """See that the person is connected to the agent's voice."""
        for _ in range(_PERMISSION_ROUNDS):
            await asyncio.wait({subscribed}, timeout=_UNHEARD_SECONDS)
            if subscribed.done():
                return
            if self.identity in self._room.remote_participants:
                log.warning("[ROOM FAILED] the agent's voice reaches nobody; who may listen is told again")
                permit()

    async def _answer(self, words: str, info: rtc.TextStreamInfo) -> None:
        async with asyncio.timeout(_SESSION_SECONDS), self._turns:  # in the order in which they came
            # shielded: whose patience ends must not cancel what everybody else waits for
            session = await asyncio.shield(self._session)
            turn = TextInputEvent(words, info=info, participant=self._room.remote_participants.get(self.identity))
            # the framework's own way to take a typed turn: claim it, interrupt, reply
            taken = TextInputOptions().text_input_cb(session, turn)
            if taken is not None:
                await taken


class _Permissions:
    """Who may listen to which of the agent's voices, where it has several.

    Each call replaces the whole list, and of two in quick succession the first may arrive last: so the whole list is
    told some more times.
    """

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._hearer: dict[str, str] = {}
        """By the name of the track."""
        self._rounds = 0
        self._tasks = Tasks()
        room.on("local_track_published", self._on_published)

    def reserve(self, track_name: str, identity: str) -> None:
        """Nobody but this person may listen to the track, which is not published yet."""
        if not self._hearer:
            _permit(self._room, [])
        self._hearer[track_name] = identity

    async def aclose(self) -> None:
        self._room.off("local_track_published", self._on_published)
        await self._tasks.cancel()

    def _on_published(self, _: rtc.LocalTrackPublication, __: rtc.LocalTrack) -> None:
        self.tell()

    def tell(self) -> None:
        running, self._rounds = self._rounds > 0, _PERMISSION_ROUNDS
        if not running:
            self._tasks.spawn(self._tell_the_server())

    async def _tell_the_server(self) -> None:
        while self._rounds > 0:
            _permit(self._room, self._permissions())
            await asyncio.sleep(_PERMISSION_SECONDS)
            self._rounds -= 1

    def _permissions(self) -> list[rtc.ParticipantTrackPermission]:
        tracks: dict[str, list[str]] = {}
        for track in self._room.local_participant.track_publications.values():
            if hearer := self._hearer.get(track.name):
                tracks.setdefault(hearer, []).append(track.sid)
        return [
            rtc.ParticipantTrackPermission(participant_identity=hearer, allow_all=False, allowed_track_sids=sids)
            for hearer, sids in tracks.items()
        ]


def _permit(room: rtc.Room, permissions: list[rtc.ParticipantTrackPermission]) -> None:
    room.local_participant.set_track_subscription_permissions(
        allow_all_participants=False, participant_permissions=permissions
    )


class _Transcript(TextOutput):
    """What one participant says, as text streams to one person, in the form that LiveKit's front ends show.

    They show nothing unless each stream carries its segment, and the track of the voice it belongs to (rooms-facts 13).
    """

    def __init__(self, room: rtc.Room, to: list[str], of: str, track: str | None = None) -> None:
        """`to` nobody in particular is to everybody; `track` is the name of the speaker's track, if it has several."""
        super().__init__(label="PrivateTranscript", next_in_chain=None)
        self._room = room
        self._to = to
        self._of = of
        self._track = track
        self._segment = _new_segment()
        self._stream: rtc.TextStreamWriter | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def capture_text(self, text: str) -> None:
        """Add to the running segment."""
        if self._room.isconnected():
            # what is raised here ends the framework's task, and no later word of the answer would be shown
            with _as_far_as_the_room_lasts():
                self._stream = self._stream or await self._open(final=False)
                await self._stream.write(str(text))

    def flush(self) -> None:
        """End the running segment."""
        stream, self._stream = self._stream, None
        if stream:
            closing = asyncio.create_task(_close(stream, self._attributes(final=True)))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._segment = _new_segment()

    async def replace(self, text: str, *, final: bool) -> None:
        """Say the whole running segment anew; the next one begins after the final version."""
        attributes = self._attributes(final=final)
        if final:
            self._segment = _new_segment()
        if self._room.isconnected():
            with _as_far_as_the_room_lasts():
                stream = await self._open(attributes)
                await stream.write(text)
                await stream.aclose(attributes=attributes)

    async def _open(self, attributes: dict[str, str] | None = None, *, final: bool = False) -> rtc.TextStreamWriter:
        return await self._room.local_participant.stream_text(
            topic=TOPIC_TRANSCRIPTION,
            destination_identities=self._to,
            sender_identity=self._of,
            attributes=attributes or self._attributes(final=final),
        )

    def _attributes(self, *, final: bool) -> dict[str, str]:
        attributes = {
            ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID: self._segment,
            ATTRIBUTE_TRANSCRIPTION_FINAL: "true" if final else "false",
        }
        if track := self._microphone():
            attributes[ATTRIBUTE_TRANSCRIPTION_TRACK_ID] = track
        return attributes

    def _microphone(self) -> str | None:
        own = self._room.local_participant
        participant = own if own.identity == self._of else self._room.remote_participants.get(self._of)
        publications = participant.track_publications.values() if participant else ()
        voices = [each for each in publications if each.source == rtc.TrackSource.SOURCE_MICROPHONE]
        return next((each.sid for each in voices if self._track in (None, each.name)), None)


async def _close(stream: rtc.TextStreamWriter, attributes: dict[str, str]) -> None:
    with _as_far_as_the_room_lasts():
        await stream.aclose(attributes=attributes)


@contextmanager
def _as_far_as_the_room_lasts() -> Generator[None]:
    """Of a room that closed meanwhile the SDK raises the one or the other: its own handle is gone too."""
    try:
        yield
    except (StreamError, AssertionError) as error:
        log.warning("[ROOM FAILED] a part of a transcript did not arrive: %r", error)


def _new_segment() -> str:
    return f"SG_{uuid4().hex[:12]}"
