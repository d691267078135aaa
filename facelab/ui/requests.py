"""What the server says of itself: whether it lives, and a line for each request."""

import sys
import time
from typing import Any

from fastapi.routing import APIRoute


def health() -> dict[str, str]:
    """Answer that the server lives; no model is touched."""
    return {"status": "ok"}


def routes() -> list[APIRoute]:
    """Return what is served besides the page."""
    return [APIRoute("/healthz", health, methods=["GET"], include_in_schema=False)]


class Lines:
    """Middleware that writes one line a request: method, route, status, milliseconds.

    The route is the pattern that answered, not the address that was asked for, because addresses hold the
    names of uploaded files and of visits. Nobody's address, query or browser is written either.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Hand the request on, and write its line when it is answered."""
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
