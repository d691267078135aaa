"""Compression of what the page sends: its scripts and styles once, its other answers as they come.

Gradio compresses its scripts again for each visitor, quickly and therefore less well, and neither the page
itself nor plotly's scripts. Event streams stay as they are.
"""

import asyncio
import re
from typing import Any

from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from facelab.ui.widgets.chart import LIBRARIES

STATIC = re.compile(r"/(assets|static)/.*\.(js|css|svg)")
CHARTS = {f"/{address}" for address in LIBRARIES.values()}  # and no other file: an upload is kept by nobody
QUALITY = 9  # of 11: the last two take ten times as long for a tenth
LEVEL = 5  # of gzip, for what is compressed each time
PARTIAL = {b"range", b"if-none-match", b"if-modified-since"}


class Packed:
    """Middleware that keeps each static script and style compressed by brotli, for browsers that take it."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._kept: dict[str, asyncio.Task[list[dict[str, Any]]]] = {}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer from what is kept, or hand the request on."""
        if not self._packs(scope):
            await self.app(scope, receive, send)
            return
        path = _path(scope)
        if path not in self._kept:
            self._kept[path] = asyncio.ensure_future(self._pack(scope, receive))
        try:
            messages = await asyncio.shield(self._kept[path])
        except Exception:
            self._kept.pop(path, None)
            raise
        if messages[0]["status"] != 200:  # it may be there later, and anybody can ask for what is not there
            self._kept.pop(path, None)
        for message in messages:
            await send(message)

    def _packs(self, scope: dict[str, Any]) -> bool:
        if scope["type"] != "http" or scope["method"] != "GET" or not _is_static(_path(scope)):
            return False
        headers = dict(scope["headers"])
        return b"br" in headers.get(b"accept-encoding", b"") and not PARTIAL & set(headers)

    async def _pack(self, scope: dict[str, Any], receive: Any) -> list[dict[str, Any]]:
        import brotli

        messages: list[dict[str, Any]] = []

        async def gather(message: dict[str, Any]) -> None:
            messages.append(message)

        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        await self.app(dict(scope) | {"headers": plain}, receive, gather)
        start, body = messages[0], b"".join(one.get("body", b"") for one in messages[1:])
        if start["status"] != 200:
            return messages
        packed = await asyncio.to_thread(brotli.compress, body, quality=QUALITY)
        changed = {b"content-length": str(len(packed)).encode(), b"content-encoding": b"br"}
        headers = [pair for pair in start["headers"] if pair[0].lower() not in {*changed, b"vary"}]
        start = start | {"headers": [*headers, *changed.items(), (b"vary", b"Accept-Encoding")]}
        return [start, {"type": "http.response.body", "body": packed}]


def _path(scope: dict[str, Any]) -> str:
    return scope["path"].removeprefix(scope.get("root_path", ""))


def _is_static(path: str) -> bool:
    return path in CHARTS or STATIC.fullmatch(path) is not None


def compressed() -> list[Middleware]:
    """Return the middleware that compresses scripts, styles, pages and JSON, but not event streams."""
    return [Middleware(Packed), Middleware(GZipMiddleware, minimum_size=1024, compresslevel=LEVEL)]
