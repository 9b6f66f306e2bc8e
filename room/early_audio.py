"""What people said into their microphone while the agent was still joining.

LiveKit's front ends record it and send it as a byte stream the moment an agent is there, which is before this job
knows whom it is for. So it is kept by its sender, whose identity the server vouches for, until a session asks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, closing
from dataclasses import dataclass

from livekit import rtc
from livekit.agents import utils
from livekit.agents.voice.io import AudioInput
from livekit.protocol.models import AudioTrackFeature

from room.participant import Caller, is_taken, present

log = logging.getLogger("rapport.room")

SAMPLE_RATE = 24_000
"""Of what sessions hear, in hertz."""

_TOPIC = "lk.agent.pre-connect-audio-buffer"
# A front end keeps ten seconds at most, and gives up earlier; opus or PCM at 48 kHz, it is less than this. What is
# more than either comes from no front end.
_MOST_BYTES = 2_000_000
_MOST_SECONDS = 10.0
_MOST_SENDERS = 16
_RATES = range(8_000, 48_001)
# How long the session waits for the recording of a person whose track announces one.
_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _Recording:
    sender: Caller | None
    """None where their words were here before it was known that they joined."""
    read: asyncio.Task[bytes]
    info: rtc.ByteStreamInfo


class EarlyAudio:
    """The recordings that reach one room. Make it before `connect()`.

    Anybody may send one: it is kept as it came, and decoded when a session asks for it.
    """

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._recordings: dict[str, _Recording] = {}
        self._arrived = asyncio.Event()
        room.register_byte_stream_handler(_TOPIC, self._on_recording)

    def before(self, live: AudioInput, caller: Caller) -> AudioInput:
        """The person's recording, if there is one, and then what they say from now on."""
        return _Continued(self._frames(caller), live, lambda: is_taken(self._room, caller))

    async def aclose(self) -> None:
        self._room.unregister_byte_stream_handler(_TOPIC)
        reading = [recording.read for recording in self._recordings.values()]
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def _on_recording(self, reader: rtc.ByteStreamReader, sender: str) -> None:
        # a hidden participant has no identity here
        if not sender or (len(self._recordings) >= _MOST_SENDERS and sender not in self._recordings):
            reader.close()
            return
        if earlier := self._recordings.get(sender):
            earlier.read.cancel()
        read = asyncio.create_task(_read(reader), name="early_audio")
        self._recordings[sender] = _Recording(present(self._room, sender), read, reader.info)
        self._arrived.set()
        self._arrived = asyncio.Event()

    async def _frames(self, caller: Caller) -> AsyncIterator[rtc.AudioFrame]:
        try:
            async with asyncio.timeout(_SECONDS):
                while caller.identity not in self._recordings and self._announced(caller):
                    await self._arrived.wait()
                recording = self._recordings.pop(caller.identity, None)
                mine = recording and recording.sender in (None, caller)
                frames = await _decoded(recording.info, await recording.read) if recording and mine else []
        except TimeoutError:
            log.warning("[EARLY AUDIO] announced, and did not come")
            return
        except Exception as error:  # whatever a front end sent, the call goes on
            log.warning("[EARLY AUDIO] cannot be read: %s", type(error).__name__)
            return
        for frame in frames:
            yield frame

    def _announced(self, caller: Caller) -> bool:
        participant = self._room.remote_participants.get(caller.identity)
        tracks = participant.track_publications.values() if participant else ()
        return any(AudioTrackFeature.TF_PRECONNECT_BUFFER in track.audio_features for track in tracks)


class _Continued(AudioInput):
    """What is heard while the person's identity is somebody else's is left out."""

    def __init__(self, first: AsyncIterator[rtc.AudioFrame], then: AudioInput, is_taken: Callable[[], bool]) -> None:
        super().__init__(label="EarlyAudio", source=then)
        self._first: AsyncIterator[rtc.AudioFrame] | None = first
        self._is_taken = is_taken

    async def __anext__(self) -> rtc.AudioFrame:
        if self._first:
            try:
                return await anext(self._first)
            except StopAsyncIteration:
                self._first = None
        while True:
            frame = await super().__anext__()
            if not self._is_taken():
                return frame


async def _read(reader: rtc.ByteStreamReader) -> bytes:
    recording = bytearray()
    with closing(reader):
        async for chunk in reader:
            recording += chunk
            if len(recording) > _MOST_BYTES:
                raise ValueError("more than a front end records")
    return bytes(recording)


async def _decoded(info: rtc.ByteStreamInfo, recording: bytes) -> list[rtc.AudioFrame]:
    if "opus" in (info.mime_type or ""):
        return await _from_opus(recording)
    attributes = info.attributes or {}
    rate, channels = int(attributes["sampleRate"]), int(attributes["channels"])
    if rate not in _RATES or channels not in (1, 2):
        raise ValueError("no front end records like this")
    stream = utils.audio.AudioByteStream(rate, channels)
    most = int(_MOST_SECONDS * rate) * channels * 2  # bytes a sample
    frames = [*stream.push(recording[:most]), *stream.flush()]
    if rate == SAMPLE_RATE:
        return frames
    resampler = rtc.AudioResampler(rate, SAMPLE_RATE, num_channels=channels)
    return [part for frame in frames for part in resampler.push(frame)] + resampler.flush()


async def _from_opus(recording: bytes) -> list[rtc.AudioFrame]:
    decoder = utils.codecs.AudioStreamDecoder(sample_rate=SAMPLE_RATE, num_channels=1)
    frames: list[rtc.AudioFrame] = []
    seconds = 0.0
    async with aclosing(decoder):
        decoder.push(recording)
        decoder.end_input()
        async for frame in decoder:
            frames.append(frame)
            seconds += frame.duration
            if seconds >= _MOST_SECONDS:
                break
    return frames
