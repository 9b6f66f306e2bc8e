"""One person's private line in a room: only their words come in, and only they get the agent's voice and transcript.

What the agent says is a person's memory. Left to itself the framework publishes voice and transcript to everybody in
the room, hidden participants and recorders included, and drops what somebody types before their join event
arrives, which may be three seconds after their words (rooms-facts 0.6, 5, 9).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any
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

from identity import printable

log = logging.getLogger("rapport.room")

# How long a typed message waits for the session that shall answer it. A session that takes longer has failed.
_SESSION_SECONDS = 30.0


class PrivateLine:
    """Between one room and one person. Make it before `connect()`, so that no word is missed."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._person: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._session: asyncio.Future[AgentSession[None]] = asyncio.get_running_loop().create_future()
        self._refused: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Lock()
        room.register_text_stream_handler(TOPIC_CHAT, self._on_chat)

    def open_to(self, identity: str) -> None:
        """From now on this person hears the agent, also when they leave and come back; nobody else ever does.

        Call it once, before the session publishes a track: the native library sends such permissions one beside the
        other, so that of two the first may arrive last.
        """
        self._person.set_result(identity)
        self._room.local_participant.set_track_subscription_permissions(
            allow_all_participants=False,
            participant_permissions=[rtc.ParticipantTrackPermission(participant_identity=identity, allow_all=True)],
        )

    def attach(self, session: AgentSession[None]) -> None:
        """Connect the started session: typed words go in, transcripts of both sides go to the person alone."""
        spoken = _Transcript(self._room, self._person.result(), of=self._room.local_participant.identity)
        if session.output.audio:
            # shows each word when it is heard
            synchronizer = TranscriptSynchronizer(next_in_chain_audio=session.output.audio, next_in_chain_text=spoken)
            session.output.audio, session.output.transcription = synchronizer.audio_output, synchronizer.text_output
        else:
            session.output.transcription = spoken
        heard = _Transcript(self._room, self._person.result(), of=self._person.result())

        def on_heard(event: UserInputTranscribedEvent) -> None:
            self._spawn(heard.replace(event.transcript, final=event.is_final))

        session.on("user_input_transcribed", on_heard)
        self._session.set_result(session)

    async def aclose(self) -> None:
        """Stop listening. Words that are still waiting for the session are dropped."""
        self._room.unregister_text_stream_handler(TOPIC_CHAT)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_chat(self, reader: rtc.TextStreamReader, sender: str) -> None:
        # the sender is set by the server, and empty for a hidden participant; the stream's attributes prove nothing
        self._spawn(self._take_words(reader, sender))

    async def _take_words(self, reader: rtc.TextStreamReader, sender: str) -> None:
        words = await reader.read_all()
        async with asyncio.timeout(_SESSION_SECONDS), self._turns:  # in the order in which they came
            # shielded: whose patience ends must not cancel what everybody else waits for
            if sender != await asyncio.shield(self._person):
                self._refuse(sender)
                return
            session = await asyncio.shield(self._session)
            turn = TextInputEvent(words, info=reader.info, participant=self._room.remote_participants.get(sender))
            # the framework's own way to take a typed turn: claim it, interrupt, reply
            taken = TextInputOptions().text_input_cb(session, turn)
            if taken is not None:
                await taken

    def _refuse(self, sender: str) -> None:
        if sender not in self._refused:
            self._refused.add(sender)
            log.warning("[INPUT REFUSED] words of another participant (once): %s", printable(sender) or "(hidden)")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("[ROOM FAILED] %s: %s", type(error).__name__, error)


class _Transcript(TextOutput):
    """What one participant says, as text streams to one person, in the form that LiveKit's front ends show.

    They show nothing unless each stream carries its segment, and the track of the voice it belongs to (rooms-facts 13).
    """

    def __init__(self, room: rtc.Room, to: str, of: str) -> None:
        super().__init__(label="PrivateTranscript", next_in_chain=None)
        self._room = room
        self._to = to
        self._of = of
        self._segment = _new_segment()
        self._stream: rtc.TextStreamWriter | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def capture_text(self, text: str) -> None:
        """Add to the running segment."""
        if self._room.isconnected():
            self._stream = self._stream or await self._open(final=False)
            await self._stream.write(str(text))

    def flush(self) -> None:
        """End the running segment."""
        stream, self._stream = self._stream, None
        if stream:
            closing = asyncio.create_task(stream.aclose(attributes=self._attributes(final=True)))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._segment = _new_segment()

    async def replace(self, text: str, *, final: bool) -> None:
        """Say the whole running segment anew; the next one begins after the final version."""
        attributes = self._attributes(final=final)
        if final:
            self._segment = _new_segment()
        if self._room.isconnected():
            stream = await self._open(attributes)
            await stream.write(text)
            await stream.aclose(attributes=attributes)

    async def _open(self, attributes: dict[str, str] | None = None, *, final: bool = False) -> rtc.TextStreamWriter:
        return await self._room.local_participant.stream_text(
            topic=TOPIC_TRANSCRIPTION,
            destination_identities=[self._to],
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
        return next((p.sid for p in publications if p.source == rtc.TrackSource.SOURCE_MICROPHONE), None)


def _new_segment() -> str:
    return f"SG_{uuid4().hex[:12]}"
