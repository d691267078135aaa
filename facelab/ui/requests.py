"""Status of the server, the picture of link previews, and one log line per request."""

import sys
import time
from typing import Any

from fastapi import Response
from fastapi.routing import APIRoute

from facelab.ui.opening import ADDRESS, Opening
from facelab.ui.preview import PICTURE, picture


def health() -> dict[str, str]:
    """Report that the server is running; no model is used."""
    return {"status": "ok"}


def preview() -> Response:
    """Return the picture that a messenger shows of a link to the page."""
    return Response(picture(), media_type="image/jpeg", headers={"Cache-Control": "public, max-age=86400"})


def routes(opening: Opening) -> list[APIRoute]:
    """Return the routes served besides the page."""
    served = (("/healthz", health), (PICTURE, preview), (ADDRESS, opening.answer))
    return [APIRoute(path, answer, methods=["GET"], include_in_schema=False) for path, answer in served]


class Lines:
    """Middleware that writes one log line per request: method, route, status, milliseconds.

    The route is the matched pattern, not the requested address, because addresses contain the names of
    uploaded files and of visits. Client addresses, queries and browsers are not written.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Pass the request on, and write its line when the response is complete."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, began = 500, time.monotonic()

        async def watched(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "-")
            took = 1000 * (time.monotonic() - began)
            print(f"{scope['method']} {route} {status} {took:.0f} ms", file=sys.stderr, flush=True)
