"""Which models a session uses, from the environment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from livekit.agents.utils import is_hosted
from livekit.agents.utils.misc import is_cloud
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Part = Literal["stt", "llm", "tts", "realtime", "embeddings"]
TurnDetection = Literal["words", "model", "silence", "cloud"]
Chosen = Literal["stt", "llm", "tts"]

_CHOICE = re.compile(r"(inference|[a-z][a-z0-9_]*)(?:/(\S+))?")
# What LiveKit Inference is asked for where nobody chose.
_INFERENCE = {"stt": "deepgram/nova-3", "llm": "openai/gpt-5.4-mini", "tts": "cartesia/sonic-3"}


AUTO = "auto"
"""The recogniser finds out which language is spoken."""


class VoiceNotConfigured(Exception):
    """A model cannot be had; the message says which variable to set."""


@dataclass(frozen=True)
class Choice:
    """Whose model hears, thinks or speaks: `openai`, `inference`, or the name of a LiveKit plugin."""

    part: Chosen
    vendor: str
    model: str | None = None
    extra: str | None = None
    """The language of ears, the voice of a mouth."""

    @classmethod
    def parse(cls, part: Chosen, setting: str) -> Choice:
        """Raises `ValueError`."""
        if not (match := _CHOICE.fullmatch(setting)):
            raise ValueError("it is a vendor, or vendor/model, such as deepgram/nova-3 or inference/deepgram/nova-3")
        vendor, model = match.groups()
        extra = None
        if model and part != "llm":  # a language model's own name may have a colon
            model, _, extra = model.partition(":")
        if vendor == "inference":
            model = model or _INFERENCE[part]
        return cls(part, vendor, model or None, extra or None)

    def __str__(self) -> str:
        name = "/".join(filter(None, (self.vendor, self.model)))
        return f"{self.part.upper()}={name}{f':{self.extra}' if self.extra else ''}"


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

    # vendor/model, or vendor/model:language
    stt: str | None = None
    # words while they are spoken: `auto` where that is known to be served, at OpenAI itself
    stt_streaming: Literal["auto", "on", "off"] = "auto"
    stt_model: str = "gpt-transcribe"
    stt_language: str = AUTO
    stt_base_url: str | None = None
    stt_api_key: SecretStr | None = None

    llm: str | None = None
    llm_model: str = "gpt-5.4-mini"
    llm_base_url: str | None = None
    llm_api_key: SecretStr | None = None

    # vendor/model, or vendor/model:voice
    tts: str | None = None
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

    noise_cancellation: Literal["off", "krisp", "ai-coustics"] = "off"

    livekit_url: str | None = None
    livekit_api_key: SecretStr | None = None
    livekit_api_secret: SecretStr | None = None
    livekit_inference_url: str | None = None
    livekit_inference_api_key: SecretStr | None = None
    livekit_inference_api_secret: SecretStr | None = None

    @field_validator("stt", "llm", "tts")
    @classmethod
    def _is_a_choice(cls, setting: str | None) -> str | None:
        if setting:
            Choice.parse("stt", setting)
        return setting

    def choice(self, part: Chosen) -> Choice:
        """Whose model it is. Where nobody chose it is OpenAI's, or on LiveKit Cloud, without a key or a server for it,
        LiveKit Inference's."""
        if setting := getattr(self, part):
            return Choice.parse(part, setting)
        reachable = self._key(part) or self._key("openai") or self._base_url(part)
        return Choice.parse(part, "openai" if reachable or not self._cloud_pair() else "inference")

    @property
    def streams(self) -> bool:
        """Whether OpenAI's ears, or those of a server like it, hear a stream."""
        if self.stt_streaming != "auto":
            return self.stt_streaming == "on"
        url = self._base_url("stt")
        return not url or urlsplit(url).hostname == "api.openai.com"

    def require_keys(self) -> None:
        """Raise `VoiceNotConfigured` unless every part of OpenAI's and of Inference's that this mode uses can be
        reached. Plugins know their own keys."""
        if self.voice_mode == "realtime":
            self.endpoint("realtime")
            return
        for part in ("stt", "llm", "tts"):
            vendor = self.choice(part).vendor
            if vendor == "openai":
                self.endpoint(part)
            elif vendor == "inference":
                self.inference_pair()

    def inference_pair(self) -> tuple[str, str]:
        """The key and the secret that LiveKit Inference is shown. Raises `VoiceNotConfigured`.

        The pair of one's own LiveKit server is no business of LiveKit's gateway, which would refuse it too.
        """
        own = self._secret(self.livekit_inference_api_key), self._secret(self.livekit_inference_api_secret)
        if all(own):
            return own
        if pair := self._cloud_pair():
            return pair
        raise VoiceNotConfigured(
            "LiveKit Inference needs a key pair of LiveKit Cloud: set LIVEKIT_INFERENCE_API_KEY and "
            "LIVEKIT_INFERENCE_API_SECRET (LIVEKIT_API_KEY is shown to it only where LIVEKIT_URL is LiveKit Cloud's)"
        )

    def _cloud_pair(self) -> tuple[str, str] | None:
        pair = self._secret(self.livekit_api_key), self._secret(self.livekit_api_secret)
        return pair if all(pair) and (is_cloud(self.livekit_url or "") or is_hosted()) else None

    def endpoint(self, part: Part) -> tuple[str, str | None]:
        """The (key, base URL) of one part; no base URL means OpenAI's own. Raises `VoiceNotConfigured`."""
        key = self._key(part) or self._key("openai")
        base_url = self._base_url(part)
        if not key and not base_url:
            raise VoiceNotConfigured(
                f"no key for {part.upper()}: set OPENAI_API_KEY or {part.upper()}_API_KEY, or {part.upper()}_BASE_URL "
                f"to a server that needs none (`make talk` starts one by itself)"
            )
        return key or "none", base_url

    def _base_url(self, part: Part) -> str | None:
        return getattr(self, f"{part}_base_url") or self.openai_base_url

    def _key(self, part: Part | Literal["openai"]) -> str:
        return self._secret(getattr(self, f"{part}_api_key"))

    @staticmethod
    def _secret(key: SecretStr | None) -> str:
        """Without blanks around it; empty if there is none."""
        return key.get_secret_value().strip() if key else ""


def is_on_this_machine(url: str | None) -> bool:
    """Does the URL of a server name this machine?"""
    return bool(url) and urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
