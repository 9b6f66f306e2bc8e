"""STT and TTS that know when a person has waited too long, and what is no answer at all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence

import httpx2
from livekit import rtc
from livekit.agents import APIConnectOptions, stt, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import AudioBuffer
from livekit.plugins import openai
from livekit.plugins.openai.tts import ChunkedStream

# How long, in seconds, a person waits in silence for their words to be understood. The silence that ended them counts
# too, and the way of the sound: with 2.5 it was once heard after 3.1 s.
STT_PATIENCE = 2.2
# For a first sound, and for the first word of a reply: their words were ended and understood before, in half a second,
# and the sound of it has a way to go (with 2.0 it was heard after 2.9 to 3.3 s on two busy cores).
TTS_PATIENCE = 1.7

# In seconds. Whoever asks may wish for less, never for more.
TIMEOUT = httpx2.Timeout(connect=5.0, read=10.0, write=5.0, pool=5.0)
# A whole sentence is understood before the first word of it comes back. With ten people speaking at once to a
# recogniser on two cores that took 14.7 s, and to ask again makes it longer.
STT_TIMEOUT = httpx2.Timeout(connect=5.0, read=20.0, write=5.0, pool=5.0)

MEANWHILE = "meanwhile"
"""The request id of sound that nobody synthesised for the sentence."""

_HEARD = "/audio/transcriptions"
_SPOKEN = "/audio/speech"
_NO_SOUND = ("text/html", "application/json")


class PatientSTT(openai.STT):
    """Speech to text that says when somebody waits for it."""

    on_late: Callable[[], None] | None = None
    """Called when a recording is not understood for so long that the person must be told."""

    async def recognize(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.SpeechEvent:
        late = asyncio.get_running_loop().call_later(STT_PATIENCE, lambda: self.on_late and self.on_late())
        try:
            return await super().recognize(buffer, language=language, conn_options=conn_options)
        finally:
            late.cancel()


class PatientTTS(openai.TTS):
    """Text to speech that says something else meanwhile."""

    meanwhile: Sequence[rtc.AudioFrame] = ()
    """What is heard where a sentence is late. `session.say` would queue behind the very reply that is late."""

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _Sentence(self, text, conn_options)


class _Sentence(ChunkedStream):
    """One sentence, as sound. Where the first of it is late, what is to be heard meanwhile comes before it."""

    def __init__(self, voice: PatientTTS, text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=voice, input_text=text, conn_options=conn_options)
        self._meanwhile = list(voice.meanwhile)
        self._first: asyncio.Task[tts.SynthesizedAudio] | None = None

    async def __anext__(self) -> tts.SynthesizedAudio:
        if self._meanwhile:
            meanwhile = rtc.combine_audio_frames(self._meanwhile)
            self._meanwhile.clear()
            self._first = asyncio.create_task(super().__anext__())
            await asyncio.wait({self._first}, timeout=TTS_PATIENCE)
            if not self._first.done():
                return tts.SynthesizedAudio(meanwhile, request_id=MEANWHILE)
        if self._first:
            first, self._first = self._first, None
            return await first
        return await super().__anext__()

    async def aclose(self) -> None:
        if self._first:
            self._first.cancel()
        await super().aclose()


def http_client(tls: ssl.SSLContext) -> httpx2.AsyncClient:
    """A connection pool for all models of a session."""
    hooks = {"request": [_hurry], "response": [_refuse_pages]}
    return httpx2.AsyncClient(timeout=TIMEOUT, verify=tls, follow_redirects=True, event_hooks=hooks)


async def _hurry(request: httpx2.Request) -> None:
    # the plugins ask for 30 s whatever the client says, and ask again after that
    wished: dict[str, float | None] = request.extensions.get("timeout", {})
    longest = STT_TIMEOUT if request.url.path.endswith(_HEARD) else TIMEOUT
    request.extensions["timeout"] = {
        phase: min(seconds, wished.get(phase) or seconds) for phase, seconds in longest.as_dict().items() if seconds
    }


async def _refuse_pages(response: httpx2.Response) -> None:
    # A proxy's page that came with 200 would be spoken as noise or taken for a model that has nothing to say, and in
    # neither case would anybody learn of a failure.
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    spoken = response.request.url.path.endswith(_SPOKEN)
    if response.is_success and response.request.method == "POST" and kind in (_NO_SOUND if spoken else _NO_SOUND[:1]):
        raise httpx2.RemoteProtocolError(f"{kind} is no answer", request=response.request)
