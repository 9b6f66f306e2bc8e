"""The voice session: STT, LLM, TTS, and when it is whose turn."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, cast

import aiohttp
import httpx2
import openai as openai_sdk
from livekit.agents import AgentSession, llm
from livekit.agents.types import NOT_GIVEN
from livekit.agents.vad import VAD
from livekit.plugins import silero
from openai.types.realtime import AudioTranscription

from voice.failure import CONNECT, Apology
from voice.models import http_client
from voice.realtime.model import CONNECT as RECONNECT
from voice.realtime.model import PatientRealtimeModel, prepare_protocol
from voice.realtime.recovery import Recovery
from voice.settings import AUTO, Part, VoiceNotConfigured, VoiceSettings
from voice.turn_taking import Unfinished, turn_taking
from voice.vendors import Parts

# Silence after which speech counts as ended, in seconds. The plugin's own 0.55 s is heard as a delay in every turn:
# first audio after 1081 ms instead of 691 ms.
VAD_MIN_SILENCE = 0.25
# Otherwise nobody is heard while the agent speaks for the first 3 s, in case its voice comes back as an echo. Browsers
# and telephones cancel that, and in headsets there is none.
AEC_WARMUP = None

# OpenAI's realtime models speak no faster, other than its TTS.
FASTEST = 1.5

TOY = "offline-rules"
"""What `offline/` calls its rules."""
TOY_SECONDS = 1.0
"""For a server on this machine to say which models it has, while the store is asked who has come."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is slow to make and belongs to no one: built while the process waits for its first call."""

    vad: VAD
    tls: ssl.SSLContext


def prepare(settings: VoiceSettings | None = None) -> Prepared:
    """Load the VAD's weights and the certificates (0.1 to 2 s of blocking work, too long beside a live call), and what
    the settings' mode needs beside them."""
    if settings and settings.voice_mode == "realtime":
        prepare_protocol()
    return Prepared(_vad(), _certificates())


@cache
def _vad() -> VAD:
    """It runs on one thread, its caller's: processes that are forked afterwards share it."""
    return silero.VAD.load(min_silence_duration=VAD_MIN_SILENCE)


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

    def __init__(
        self, settings: VoiceSettings, prepared: Prepared, unfinished: Unfinished = lambda words: False
    ) -> None:
        """Call it in the job's event loop. `unfinished` knows sentences that go on. Raises `VoiceNotConfigured`;
        `settings.require_keys()` tells beforehand."""
        self._settings = settings
        self._unfinished = unfinished
        self._prepared = prepared
        self._http = http_client(prepared.tls)
        self._websockets: aiohttp.ClientSession | None = None
        self._parts = Parts(settings, prepared.vad, self._client, self._sockets)
        self._recovery: Recovery | None = None
        if settings.voice_mode == "realtime":
            self.session, self.apology, self._recovery = self._realtime()
        else:
            self.session, self.apology = self._pipeline()

    async def ask(
        self,
        messages: list[dict[str, str]],
        response_format: dict[str, Any] | None = None,
        spent: Callable[[int], None] = lambda _: None,
    ) -> str:
        """Ask the language model beside the conversation, for an answer of that format; `spent` is told how many tokens
        the request and the answer had. Raises what its client does."""
        if (choice := self._settings.choice("llm")).vendor != "openai":
            # how another vendor is asked for a format is its own affair; whoever asks reads what comes with care
            options = {"response_format": response_format} if response_format and choice.vendor == "inference" else {}
            return await self._ask_vendor(messages, options, spent)
        options = {"response_format": response_format} if response_format else {}
        completions = cast("Any", self._client("llm").chat.completions)
        # in pieces: the pool gives up a server that is silent for ten seconds, and a long answer takes longer
        options |= {"stream": True, "stream_options": {"include_usage": True}}
        answer: list[str] = []
        model = choice.model or self._settings.llm_model
        async for piece in await completions.create(model=model, messages=messages, **options):
            answer += [choice.delta.content or "" for choice in piece.choices]
            if piece.usage:
                spent(int(piece.usage.total_tokens))
        return "".join(answer)

    async def _ask_vendor(
        self, messages: list[dict[str, str]], options: dict[str, Any], spent: Callable[[int], None]
    ) -> str:
        context = llm.ChatContext.empty()
        for message in messages:
            context.add_message(role=cast("llm.ChatRole", message["role"]), content=message["content"])
        answer: list[str] = []
        chat = self._mind.chat(chat_ctx=context, conn_options=CONNECT.llm_conn_options, extra_kwargs=options)
        async with chat as pieces:
            async for piece in pieces:
                answer.append((piece.delta and piece.delta.content) or "")
                if piece.usage:
                    spent(piece.usage.total_tokens)
        return "".join(answer)

    @cached_property
    def _mind(self) -> llm.LLM[Any]:
        return self._parts.mind()

    async def is_toy(self) -> bool:
        """Do rules stand in for the language model, as they do where there is no key? Its server says so."""
        try:
            async with asyncio.timeout(TOY_SECONDS):
                models = await self._client("llm").models.list()
        except (TimeoutError, openai_sdk.OpenAIError, httpx2.HTTPError):
            return False
        return any(model.id == TOY for model in models.data)

    async def given_up(self) -> None:
        """Returns when no model of this session will answer any more, and the person was told so. A pipeline asks
        anew in every turn: it never gives up."""
        if self._recovery:
            await self._recovery.given_up()
        else:
            await asyncio.get_running_loop().create_future()

    async def aclose(self) -> None:
        """Close the connections. The session itself is closed by the framework."""
        await self._http.aclose()
        if self._websockets:
            await self._websockets.close()

    def _pipeline(self) -> tuple[AgentSession[None], Apology]:
        settings = self._settings
        stt, tts = self._parts.ears(), self._parts.mouth()
        ears, turn_handling = turn_taking(stt, self._prepared.vad, settings.turn_detection, self._unfinished)
        session: AgentSession[None] = AgentSession(
            vad=self._prepared.vad,
            stt=ears,
            llm=self._mind,
            tts=tts,
            conn_options=CONNECT,
            turn_handling=turn_handling,
            aec_warmup_duration=AEC_WARMUP,
            # how long a closing session waits for words that are still being recognised; 2 s unless told otherwise
            session_close_transcript_timeout=0.5,
        )
        apology = Apology(session, tts)
        session.on("error", apology.on_error)
        stt.on_late = apology.hold_on
        return session, apology

    def _realtime(self) -> tuple[AgentSession[None], Apology, Recovery]:
        """A model that hears for itself when a turn ends. The VAD tells silence from speech where the connection was
        lost in the middle of a word, the TTS speaks what the model answers in text alone."""
        settings = self._settings
        key, base_url = settings.endpoint("realtime")
        model = PatientRealtimeModel(
            model=settings.realtime_model,
            voice=settings.realtime_voice,
            speed=min(settings.tts_speed, FASTEST),
            input_audio_transcription=self._transcription(),
            api_key=key,
            base_url=base_url or NOT_GIVEN,
            http_session=self._sockets(),
            conn_options=RECONNECT,
        )
        try:
            tts = self._parts.mouth()
        except VoiceNotConfigured:
            tts = None
        session: AgentSession[None] = AgentSession(
            llm=model,
            tts=tts or NOT_GIVEN,
            vad=self._prepared.vad,
            conn_options=CONNECT,
            turn_handling={"turn_detection": "realtime_llm"},
            aec_warmup_duration=AEC_WARMUP,
        )
        apology = Apology(session, tts, may_end=True)
        return session, apology, Recovery(session, apology, model)

    def _transcription(self) -> AudioTranscription:
        """How a realtime server writes down what it hears. It does not have the models of another server."""
        settings = self._settings
        model = settings.stt_model
        if settings.stt_base_url not in (None, settings.realtime_base_url):
            model = VoiceSettings.model_fields["stt_model"].default
        if settings.stt_language == AUTO:
            return AudioTranscription(model=model)
        return AudioTranscription(model=model, language=settings.stt_language)

    def _sockets(self) -> aiohttp.ClientSession:
        if not self._websockets:
            self._websockets = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._prepared.tls))
        return self._websockets

    def _client(self, part: Part) -> openai_sdk.AsyncClient:
        key, base_url = self._settings.endpoint(part)
        # the framework retries; two layers of retries would multiply the silence
        return openai_sdk.AsyncClient(api_key=key, base_url=base_url, max_retries=0, http_client=self._http)
