"""The connections to OpenAI's models, and what on them is no answer at all."""

from __future__ import annotations

import ssl

import httpx2

# In seconds. Whoever asks may wish for less, never for more.
TIMEOUT = httpx2.Timeout(connect=5.0, read=10.0, write=5.0, pool=5.0)
# A whole sentence is understood before the first word of it comes back. With ten people speaking at once to a
# recogniser on two cores that took 14.7 s, and to ask again makes it longer.
STT_TIMEOUT = httpx2.Timeout(connect=5.0, read=20.0, write=5.0, pool=5.0)

_HEARD = "/audio/transcriptions"
_SPOKEN = "/audio/speech"
_NO_SOUND = ("text/html", "application/json")


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
