"""Status of the server, and one log line per request."""

import sys
import time
from typing import Any

from fastapi.routing import APIRoute


def health() -> dict[str, str]:
    """Report that the server is running; no model is used."""
    return {"status": "ok"}


def routes() -> list[APIRoute]:
    """Return the routes served besides the page."""
    return [APIRoute("/healthz", health, methods=["GET"], include_in_schema=False)]


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
