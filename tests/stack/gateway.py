"""What stands in front of PostgREST in a Supabase project: `/rest/v1`, and the rule about keys.

Run by `tests.stack.postgrest` as a program of its own; its configuration is JSON in RAPPORT_GATEWAY.
The rule is that of the self-hosted gateway (`docker/volumes/api/kong-entrypoint.sh`): an unknown `apikey` is refused;
an `Authorization` that is somebody's token passes as it is; one that is missing or an opaque key becomes the token of
the key's role.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from multidict import CIMultiDict

PREFIX = "/rest/v1"
HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "host", "te", "upgrade")
LONGEST_REQUEST = 16 * 1024 * 1024


def handler(keys: Path, upstream: str, session: ClientSession) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The file `keys` has the JWT behind each key that exists, and may change; `upstream` is where PostgREST is."""

    async def handle(request: web.Request) -> web.Response:
        if not request.path.startswith(f"{PREFIX}/"):
            return web.json_response({"error": "requested path is invalid"}, status=404)
        tokens: dict[str, str] = json.loads(keys.read_text())  # noqa: ASYNC240 - some hundred bytes
        key = request.headers.get("apikey")
        if key is None:
            return _refused("No API key found in request", "No `apikey` request header or url param was found.")
        if key not in tokens:
            return _refused("Invalid API key", "Double check your Supabase `anon` or `service_role` API key.")
        headers = CIMultiDict(
            (name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP
        )
        if headers.get("Authorization", "Bearer sb_").startswith("Bearer sb_"):
            headers["Authorization"] = f"Bearer {tokens[key]}"
        try:
            async with session.request(
                request.method,
                upstream + request.raw_path.removeprefix(PREFIX),
                headers=headers,
                data=await request.read(),
                allow_redirects=False,
            ) as answer:
                body = await answer.read()
        except (ClientError, TimeoutError):
            return web.json_response(
                {"message": "An invalid response was received from the upstream server"}, status=502
            )
        kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
        return web.Response(status=answer.status, headers=CIMultiDict(kept), body=body)

    return handle


def _refused(message: str, hint: str) -> web.Response:
    return web.json_response({"message": message, "hint": hint}, status=401)


async def serve(host: str, port: int, upstream: str, keys: str) -> None:
    """Until somebody ends the program."""
    connector, patience = TCPConnector(limit=0), ClientTimeout(total=60)
    async with ClientSession(connector=connector, timeout=patience, auto_decompress=False) as session:
        application = web.Application(client_max_size=LONGEST_REQUEST)
        application.router.add_route("*", "/{path:.*}", handler(Path(keys), upstream, session))
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(**json.loads(os.environ["RAPPORT_GATEWAY"])))
