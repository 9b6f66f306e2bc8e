"""The voice session: ears, mind, mouth, and when it is whose turn."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import httpx2
import openai as openai_sdk
from livekit.agents import AgentSession
from livekit.agents.vad import VAD
from livekit.plugins import openai, silero

from voice.failure import CONNECT, Apology
from voice.models import Ears, Mouth, http_client
from voice.settings import Part, VoiceSettings

# Silence after which speech counts as ended, in seconds. The plugin's own 0.55 s is heard as a delay in every turn:
# first audio after 1081 ms instead of 691 ms (voice-facts 0.3).
VAD_MIN_SILENCE = 0.25


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is slow to make and belongs to no one: built while the process waits for its first call."""

    vad: VAD
    tls: ssl.SSLContext


def prepare() -> Prepared:
    """Load the VAD's weights and the certificates (0.1 to 2 s of blocking work, too long beside a live call)."""
    return Prepared(silero.VAD.load(min_silence_duration=VAD_MIN_SILENCE), _certificates())


@cache
def _certificates() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def embeddings_client(settings: VoiceSettings) -> openai_sdk.AsyncClient:
    """What vectors of meaning are asked from. Raises `VoiceNotConfigured`."""
    key, base_url = settings.endpoint("embeddings")
    http = http_client(_certificates())  # the client closes it
    return openai_sdk.AsyncClient(api_key=key, base_url=base_url, max_retries=1, http_client=http)


class Voice:
    """One session's models, on one HTTP connection pool."""

    def __init__(self, settings: VoiceSettings, prepared: Prepared) -> None:
        """Call it in the job's event loop. Raises `VoiceNotConfigured`; `settings.require_keys()` tells beforehand."""
        self._settings = settings
        self._vad = prepared.vad
        self._http = http_client(prepared.tls)
        self._apology: Apology | None = None
        self.session: AgentSession[None] = self._realtime() if settings.voice_mode == "realtime" else self._pipeline()

    async def ask(self, messages: list[dict[str, str]], response_format: dict[str, Any] | None = None) -> str:
        """Ask the language model beside the conversation, for an answer of that format. Raises what its client does."""
        options: dict[str, Any] = {"response_format": response_format} if response_format else {}
        completions = cast("Any", self._client("llm").chat.completions)
        answer = await completions.create(model=self._settings.llm_model, messages=messages, **options)
        return str(answer.choices[0].message.content or "")

    async def prepare_apology(self) -> None:
        """Record what is said when a model fails or is late; until then it is a tone."""
        if self._apology:
            await self._apology.record()

    def apologise(self) -> None:
        """Tell the person that something went wrong."""
        if self._apology:
            self._apology.say()

    async def aclose(self) -> None:
        """Close the connections. The session itself is closed by the framework."""
        await self._http.aclose()

    def _pipeline(self) -> AgentSession[None]:
        settings = self._settings
        ears = Ears(model=settings.stt_model, language=settings.stt_language, client=self._client("stt"))
        mouth = Mouth(
            model=settings.tts_model,
            voice=settings.tts_voice,
            speed=settings.tts_speed,
            response_format=settings.tts_format,
            client=self._client("tts"),
        )
        session: AgentSession[None] = AgentSession(
            vad=self._vad,
            stt=ears,
            llm=openai.LLM(model=settings.llm_model, client=self._client("llm")),
            tts=mouth,
            conn_options=CONNECT,
            # Silence ends a turn. The default detector model holds some sentences for its full 2.5 s (voice-facts 1.3)
            # and asks LiveKit's cloud where it can; the cloud also judges interruptions unless told not to.
            turn_handling={"turn_detection": "vad", "interruption": {"mode": "vad"}},
            # how long a closing session waits for words that are still being recognised; 2 s unless told otherwise
            session_close_transcript_timeout=0.5,
        )
        self._apology = Apology(session, ears, mouth)
        return session

    def _realtime(self) -> AgentSession[None]:
        settings = self._settings
        key, base_url = settings.endpoint("realtime")
        options: dict[str, Any] = {"base_url": base_url} if base_url else {}
        model = openai.realtime.RealtimeModel(
            model=settings.realtime_model, voice=settings.realtime_voice, api_key=key, **options
        )
        return AgentSession(llm=model, vad=None, conn_options=CONNECT)  # the model hears for itself when a turn ends

    def _client(self, part: Part) -> openai_sdk.AsyncClient:
        key, base_url = self._settings.endpoint(part)
        # the framework retries; two layers of retries would multiply the silence
        return openai_sdk.AsyncClient(api_key=key, base_url=base_url, max_retries=0, http_client=self._http)
