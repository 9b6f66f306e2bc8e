"""What people said into their microphone while the agent was still joining.

LiveKit's front ends record it and send it as a byte stream the moment an agent is there, which is before this job
knows whom it is for. So it is kept by its sender, whose identity the server vouches for, until a session asks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from livekit import rtc
from livekit.agents import utils
from livekit.agents.voice.io import AudioInput
from livekit.protocol.models import AudioTrackFeature

from identity import printable

log = logging.getLogger("rapport.room")

SAMPLE_RATE = 24_000
"""Of what sessions hear, in hertz."""

_TOPIC = "lk.agent.pre-connect-audio-buffer"
# A front end keeps ten seconds at most, and gives up earlier; opus or PCM at 48 kHz, it is less than this.
_MOST_BYTES = 2_000_000
_MOST_SENDERS = 32
# How long the session waits for the recording of a person whose track announces one.
_SECONDS = 3.0


class EarlyAudio:
    """The recordings that reach one room. Make it before `connect()`."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._recordings: dict[str, asyncio.Task[list[rtc.AudioFrame]]] = {}
        self._arrived = asyncio.Event()
        room.register_byte_stream_handler(_TOPIC, self._on_recording)

    def before(self, live: AudioInput, identity: str) -> AudioInput:
        """The person's recording, if there is one, and then what they say from now on."""
        return _Continued(self._frames(identity), live)

    async def aclose(self) -> None:
        self._room.unregister_byte_stream_handler(_TOPIC)
        tasks = list(self._recordings.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_recording(self, reader: rtc.ByteStreamReader, sender: str) -> None:
        # a hidden participant has no identity here
        if not sender or (len(self._recordings) >= _MOST_SENDERS and sender not in self._recordings):
            return
        if earlier := self._recordings.get(sender):
            earlier.cancel()
        self._recordings[sender] = asyncio.create_task(_decoded(reader), name="early_audio")
        self._arrived.set()
        self._arrived = asyncio.Event()

    async def _frames(self, identity: str) -> AsyncIterator[rtc.AudioFrame]:
        try:
            async with asyncio.timeout(_SECONDS):
                while identity not in self._recordings and self._announced(identity):
                    await self._arrived.wait()
                recording = self._recordings.pop(identity, None)
                frames = await recording if recording else []
        except TimeoutError:
            log.warning("[EARLY AUDIO] announced, and did not come: %s", printable(identity))
            return
        except Exception as error:  # whatever a front end sent, the call goes on
            log.warning("[EARLY AUDIO] of %s cannot be read: %s", printable(identity), type(error).__name__)
            return
        for frame in frames:
            yield frame

    def _announced(self, identity: str) -> bool:
        participant = self._room.remote_participants.get(identity)
        tracks = participant.track_publications.values() if participant else ()
        return any(AudioTrackFeature.TF_PRECONNECT_BUFFER in track.audio_features for track in tracks)


class _Continued(AudioInput):
    def __init__(self, first: AsyncIterator[rtc.AudioFrame], then: AudioInput) -> None:
        super().__init__(label="EarlyAudio", source=then)
        self._first: AsyncIterator[rtc.AudioFrame] | None = first

    async def __anext__(self) -> rtc.AudioFrame:
        if self._first:
            try:
                return await anext(self._first)
            except StopAsyncIteration:
                self._first = None
        return await super().__anext__()


async def _decoded(reader: rtc.ByteStreamReader) -> list[rtc.AudioFrame]:
    attributes = reader.info.attributes or {}
    rate, channels = int(attributes["sampleRate"]), int(attributes["channels"])
    recording = bytearray()
    async for chunk in reader:
        recording += chunk
        if len(recording) > _MOST_BYTES:
            raise ValueError("more than a front end records")
    if "opus" in (reader.info.mime_type or ""):
        return await _from_opus(bytes(recording))
    stream = utils.audio.AudioByteStream(rate, channels)
    return _resampled([*stream.push(bytes(recording)), *stream.flush()])


async def _from_opus(recording: bytes) -> list[rtc.AudioFrame]:
    decoder = utils.codecs.AudioStreamDecoder(sample_rate=SAMPLE_RATE, num_channels=1)
    try:
        decoder.push(recording)
        decoder.end_input()
        return [frame async for frame in decoder]
    finally:
        await decoder.aclose()


def _resampled(frames: list[rtc.AudioFrame]) -> list[rtc.AudioFrame]:
    if not frames or frames[0].sample_rate == SAMPLE_RATE:
        return frames
    resampler = rtc.AudioResampler(frames[0].sample_rate, SAMPLE_RATE, num_channels=frames[0].num_channels)
    return [part for frame in frames for part in resampler.push(frame)] + resampler.flush()
