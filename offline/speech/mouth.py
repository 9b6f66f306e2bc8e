"""Text to speech with espeak-ng (shared library and data from the espeakng-loader wheel), encoded by PyAV."""

from __future__ import annotations

import ctypes
import io
import threading
import wave
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

RATE = 24_000
"""Samples per second of everything this module returns, as OpenAI's `pcm`."""

CONTENT_TYPES = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

Samples = NDArray[np.int16]


class Voice(NamedTuple):
    """An espeak-ng voice and its speed in words per minute."""

    name: str
    words_per_minute: int


# "edward" is the one voice of espeak that pocketsphinx, given the expected replies, hears without an error.
AGENT_VOICE = Voice("en-us+edward", 175)
VOICES = {"alloy": Voice("en-us", 165), "nova": Voice("en-us+f2", 175), "shimmer": Voice("en-us+f2", 165)}
"""OpenAI's voice names; every other name speaks with `AGENT_VOICE`."""

_SAMPLES_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

# From speak_lib.h.
_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_RATE_PARAMETER = 1
_CHARS_UTF8 = 1


class _Engine:
    """libespeak-ng: one engine per process, so one utterance at a time."""

    def __init__(self) -> None:
        import espeakng_loader  # only a machine that speaks has it  # noqa: PLC0415

        self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate: int = self._lib.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 200, data, _INITIALIZE_DONT_EXIT)
        if self.rate <= 0:
            raise RuntimeError(f"espeak-ng does not start: {self.rate}")
        self._parts: list[bytes] = []
        self._callback = _SAMPLES_CALLBACK(self._take)  # kept: the library holds only its address
        self._lib.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, voice: Voice) -> Samples:
        """Mono samples at `self.rate`. The caller holds the lock."""
        self._parts.clear()
        if self._lib.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice.name!r}")
        self._lib.espeak_SetParameter(_RATE_PARAMETER, voice.words_per_minute, 0)
        data = text.replace("\0", " ").encode() + b"\0"
        self._lib.espeak_Synth(data, len(data), 0, 0, 0, _CHARS_UTF8, None, None)
        return np.frombuffer(b"".join(self._parts), np.int16)

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._parts.append(ctypes.string_at(samples, count * 2))
        return 0


_lock = threading.Lock()
_engine: _Engine | None = None


def speak(text: str, voice: str = "ash", speed: float = 1.0) -> Samples:
    """Mono samples at 24 kHz. Blocks for about 10 ms per second of speech: call it in a thread."""
    global _engine  # noqa: PLW0603
    name, words_per_minute = VOICES.get(voice, AGENT_VOICE)
    with _lock:
        engine = _engine = _engine or _Engine()
        samples = engine.say(text, Voice(name, round(words_per_minute * speed)))
        return _resample(samples, engine.rate, RATE)


def encode(samples: Samples, format: str) -> bytes:  # noqa: A002
    """24 kHz mono samples as a file of this format, one of `CONTENT_TYPES`."""
    if format == "pcm":
        return samples.tobytes()
    if format == "wav":
        return _wav(samples)
    return _compressed(samples, format)


def _resample(samples: Samples, source: int, target: int) -> Samples:
    """Linear-phase, by the spectrum: exact for a band-limited signal, and numpy has it."""
    if source == target or not len(samples):
        return samples
    count = round(len(samples) * target / source)
    spectrum = np.fft.rfft(samples.astype(np.float64))
    kept = np.zeros(count // 2 + 1, np.complex128)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    wave_form = np.fft.irfft(kept, count) * (count / len(samples))
    return np.clip(np.round(wave_form), -32768, 32767).astype(np.int16)


def _wav(samples: Samples) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()


_ENCODERS = {
    "mp3": ("mp3", "libmp3lame", RATE),
    "opus": ("ogg", "libopus", 48_000),
    "aac": ("adts", "aac", RATE),
    "flac": ("flac", "flac", RATE),
}


def _compressed(samples: Samples, format: str) -> bytes:  # noqa: A002
    import av  # here, because it takes a quarter of a second to import  # noqa: PLC0415

    container_name, codec, rate = _ENCODERS[format]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container_name) as container:
        stream = cast("Any", container.add_stream(codec, rate=rate, layout="mono"))  # pyright: ignore[reportUnknownMemberType]
        context = stream.codec_context
        resampler = av.AudioResampler(context.format, "mono", rate, context.frame_size or 1024)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = RATE
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return buffer.getvalue()
