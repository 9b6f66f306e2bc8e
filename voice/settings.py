"""Which models a session uses, from the environment."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Part = Literal["stt", "llm", "tts", "realtime", "embeddings"]
TurnDetection = Literal["words", "model", "silence", "cloud"]


AUTO = "auto"
"""The recogniser finds out which language is spoken."""


class VoiceNotConfigured(Exception):
    """There is no key for a model; the message says which variable to set."""


class VoiceSettings(BaseSettings):
    """Each of STT, LLM, TTS and embeddings has a model, a base URL and a key of its own; what is not set comes from
    `OPENAI_*`."""

    model_config = SettingsConfigDict(
        alias_generator=str.upper,
        populate_by_name=True,
        env_ignore_empty=True,
        frozen=True,
        hide_input_in_errors=True,  # a key that fails to parse is still a key
    )

    voice_mode: Literal["pipeline", "realtime"] = "pipeline"
    turn_detection: TurnDetection = "words"

    openai_api_key: SecretStr | None = None
    openai_base_url: str | None = None

    stt_model: str = "gpt-4o-mini-transcribe"
    stt_language: str = AUTO
    stt_base_url: str | None = None
    stt_api_key: SecretStr | None = None

    llm_model: str = "gpt-4.1-mini"
    llm_base_url: str | None = None
    llm_api_key: SecretStr | None = None

    tts_model: str = "gpt-4o-mini-tts"
    tts_voice: str = "ash"
    # as OpenAI takes it: times the usual
    tts_speed: float = Field(default=1.0, ge=0.25, le=4.0)
    # raw samples: nothing to decode before the first word; mp3, the plugin's default, is the slowest
    tts_format: Literal["pcm", "wav", "mp3", "opus", "aac", "flac"] = "pcm"
    tts_base_url: str | None = None
    tts_api_key: SecretStr | None = None

    realtime_model: str = "gpt-realtime"
    realtime_voice: str = "marin"
    realtime_base_url: str | None = None
    realtime_api_key: SecretStr | None = None

    embeddings_model: str = "text-embedding-3-small"
    embeddings_base_url: str | None = None
    embeddings_api_key: SecretStr | None = None

    def require_keys(self) -> None:
        """Raise `VoiceNotConfigured` unless every part that this mode uses can be reached."""
        for part in ("realtime",) if self.voice_mode == "realtime" else ("stt", "llm", "tts"):
            self.endpoint(part)

    def endpoint(self, part: Part) -> tuple[str, str | None]:
        """The (key, base URL) of one part; no base URL means OpenAI's own. Raises `VoiceNotConfigured`."""
        key = self._key(part) or self._key("openai")
        base_url: str | None = getattr(self, f"{part}_base_url") or self.openai_base_url
        if not key and not base_url:
            raise VoiceNotConfigured(
                f"no key for {part.upper()}: set OPENAI_API_KEY or {part.upper()}_API_KEY, or {part.upper()}_BASE_URL "
                "to a server that needs none (`make talk` starts one by itself)"
            )
        return key or "none", base_url

    def _key(self, part: Part | Literal["openai"]) -> str:
        """The part's own key without blanks around it; empty if it has none."""
        key: SecretStr | None = getattr(self, f"{part}_api_key")
        return key.get_secret_value().strip() if key else ""


def is_on_this_machine(url: str | None) -> bool:
    """Does the URL of a server name this machine?"""
    return bool(url) and urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
