"""What is said, as text streams in the form that LiveKit's front ends show."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager

from livekit import rtc
from livekit.agents.types import (
    ATTRIBUTE_TRANSCRIPTION_FINAL,
    ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID,
    ATTRIBUTE_TRANSCRIPTION_TRACK_ID,
    TOPIC_TRANSCRIPTION,
)
from livekit.agents.utils import shortuuid
from livekit.agents.voice.io import TextOutput
from livekit.rtc.data_stream import StreamError

from room.tasks import Tasks

log = logging.getLogger("rapport.room")


class Transcript(TextOutput):
    """What one participant says, for one person or for everybody.

    A front end shows nothing unless each stream carries its segment, and the track of the voice it belongs to.
    """

    def __init__(
        self,
        room: rtc.Room,
        to: list[str],
        of: str,
        track: str | None = None,
        is_open: Callable[[], bool] = lambda: True,
    ) -> None:
        """`to` nobody in particular is to everybody; `track` is the name of the speaker's track, if it has several.
        While it is not open, nothing is sent."""
        super().__init__(label="PrivateTranscript", next_in_chain=None)
        self._room = room
        self._to = to
        self._is_open = is_open
        self._of = of
        self._track = track
        self._segment = shortuuid("SG_")
        self._stream: rtc.TextStreamWriter | None = None
        self._closing = Tasks()

    async def capture_text(self, text: str) -> None:
        """Add to the running segment."""
        if self._room.isconnected() and self._is_open():
            # what is raised here ends the framework's task, and no later word of the answer would be shown
            with _as_far_as_the_room_lasts():
                self._stream = self._stream or await self._open(self._attributes(final=False))
                await self._stream.write(str(text))

    def flush(self) -> None:
        """End the running segment."""
        stream, self._stream = self._stream, None
        if stream:
            self._closing.spawn(_close(stream, self._attributes(final=True)))
        self._segment = shortuuid("SG_")

    async def replace(self, text: str, *, final: bool) -> None:
        """Say the whole running segment anew; the next one begins after the final version."""
        attributes = self._attributes(final=final)
        if final:
            self._segment = shortuuid("SG_")
        if self._room.isconnected() and self._is_open():
            with _as_far_as_the_room_lasts():
                stream = await self._open(attributes)
                await stream.write(text)
                await stream.aclose(attributes=attributes)

    async def _open(self, attributes: dict[str, str]) -> rtc.TextStreamWriter:
        return await self._room.local_participant.stream_text(
            topic=TOPIC_TRANSCRIPTION,
            destination_identities=self._to,
            sender_identity=self._of,
            attributes=attributes,
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
        log.warning("[ROOM FAILED] a part of a transcript did not arrive: %s", type(error).__name__)
