"""What the server answers before gradio does: which routes are closed, how large a request may be, and what
a page may load.

Gradio serves routes that this page does not use; one writes the state of any named session to disk, others
tell how the page is built and used. Bodies of JSON are held in memory whole and have no limit in gradio.
"""

import json
import re
from collections.abc import Collection
from typing import Any

from gradio.route_utils import FnIndexInferError

from facelab import settings

CLOSED = re.compile(
    r"(/gradio_api)?/(openapi\.json|docs|redoc|monitoring|deep_link|proxy=|vibe-|undo-vibe-|process_recording"
    r"|run-history/|runs|dev/|custom_component/|token|user)(/.*|(?<=[=/-]).*)?"
)
CALLED = re.compile(r"(?:/gradio_api)?/(?:call|run|api)/(?:v2/)?([^/]*)(?:/.*)?")  # an event, by its name
BY_NUMBER = "predict"  # in place of a name, where the page calls an event by its number
UPLOAD = "/gradio_api/upload"  # limited file by file
PACKED = 4 / 3  # base64, in which a photo travels within JSON
ROOM = 2**20  # of a request's other values
GONE = "This address is closed; the API page lists what can be called."
BUSY = "The page is busy; please try again in a moment."
POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src 'self' 'unsafe-inline'", "img-src 'self' data: blob:", "media-src 'self' data: blob:",
    "font-src 'self' data:", "connect-src 'self' data: blob:", "worker-src 'self' blob:", "object-src 'none'",
    "base-uri 'self'", "form-action 'self'",
))  # fmt: skip
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"same-origin"),  # a link to a paper does not say where it was followed
    (b"x-content-type-options", b"nosniff"),
)
PARTS = (
    "text/css",
    "text/javascript",
    "application/javascript",
    "font/",
)  # of a page, whose policy holds for them


def largest() -> int:
    """Return the bytes that a request's body may have, uploads aside: one photo in base64, and some room."""
    return int(settings.max_upload_mb() * 1e6 * PACKED) + ROOM


class _Counted:
    """A request's `receive`, which ends it once more than `limit` bytes have come; `over` tells."""

    def __init__(self, receive: Any, limit: int | None) -> None:
        self._receive, self._left, self.over = receive, limit, False

    async def __call__(self) -> dict[str, Any]:
        """Return the next message; a disconnection where the limit is passed."""
        message = await self._receive()
        if self._left is not None:
            self._left -= len(message.get("body", b""))
            self.over = self.over or self._left < 0
        return {"type": "http.disconnect"} if self.over else message


class Doors:
    """Middleware that closes routes, limits bodies, says "busy" in a sentence, and sets the page's policy.

    Args:
        app: what it stands before.
        named: the events that may be called by name, which gradio allows for private ones too; None, all.
    """

    def __init__(self, app: Any, named: Collection[str] | None = None) -> None:
        self.app, self._named = app, None if named is None else {*named, BY_NUMBER}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer a request that is not allowed; hand any other on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        said = dict(scope["headers"]).get(b"content-length", b"0")
        limit = None if path == UPLOAD else largest()
        if CLOSED.fullmatch(path) or self._is_private(path):
            await _refuse(send, 404, GONE)
        elif limit and (not said.isdigit() or int(said) > limit):
            await _refuse(send, 413, _too_large())
        else:
            await self._answer(scope, _Counted(receive, limit), send)

    def _is_private(self, path: str) -> bool:
        called = CALLED.fullmatch(path)
        return self._named is not None and called is not None and called[1] not in self._named

    async def _answer(self, scope: dict[str, Any], receive: _Counted, send: Any) -> None:
        started = replaced = False

        async def outward(message: dict[str, Any]) -> None:
            nonlocal started, replaced
            if message["type"] == "http.response.start":
                started = True
                replaced = receive.over or message["status"] == 503
                message = message | {"headers": [*message.get("headers", ()), *_own(message)]}
            if not replaced:  # by a sentence; gradio's own counts its queue
                await send(message)

        try:
            await self.app(scope, receive, outward)
        except FnIndexInferError:  # it would be logged with whatever name was asked for
            await _refuse(send, 404, GONE)
            return
        except Exception:  # starlette's, of a body that ends early
            if not receive.over or (started and not replaced):
                raise
        if receive.over and (replaced or not started):
            await _refuse(send, 413, _too_large())
        elif replaced:
            await _refuse(send, 503, BUSY)


def _own(start: dict[str, Any]) -> tuple[tuple[bytes, bytes], ...]:
    """Return our headers of an answer; a hundred scripts and styles would repeat the policy for 50 kB."""
    kind = dict(start.get("headers", ())).get(b"content-type", b"").decode("latin-1")
    return HEADERS[-1:] if kind.startswith(PARTS) else HEADERS


def _too_large() -> str:
    return (
        f"This request has more than {largest() / 1e6:.0f} MB; upload files first and name them, "
        f"each of at most {settings.max_upload_mb():g} MB."
    )


async def _refuse(send: Any, status: int, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *HEADERS]})
    await send({"type": "http.response.body", "body": body})
