"""Recordings for tests."""

from __future__ import annotations

import wave
from pathlib import Path


def write_wav(path: Path, *, rate: int = 16_000, channels: int = 1, width: int = 2, seconds: float = 0.3) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        for moment in range(int(rate * seconds)):  # a square wave, the same on all channels
            file.writeframesraw(
                (8000 if moment // 40 % 2 else -8000).to_bytes(2, "little", signed=True)[:width] * channels
            )
    return path
