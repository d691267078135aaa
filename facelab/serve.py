"""Launching, with everything that could keep or send a visitor's photo switched off.

Uploads go to a folder of this process's own, which is removed when it ends, and by the next start if it
was killed; run history (which stores inputs in the browser), analytics, sharing and server-side rendering
are off.
"""

import asyncio
import atexit
import contextlib
import datetime
import errno
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

MAX_UPLOAD = "25mb"  # a 50-megapixel JPEG
PREFIX = "facelab-uploads-"
IDLE = datetime.timedelta(minutes=15)  # after which nothing of a visit is left in memory
LOOK_EVERY = 20.0  # seconds


def upload_folder() -> Path:
    """A fresh folder for this process's uploads, removed at its end; killed processes' go now."""
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if not _alive(old.name.removeprefix(PREFIX).split("-")[0]):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _alive(pid: str) -> bool:
    if os.name != "posix":  # where signal 0 is no mere question
        return True
    try:
        os.kill(int(pid), 0)
    except PermissionError:  # another user's process
        return True
    except (ProcessLookupError, ValueError):
        return False
    return True


@contextlib.asynccontextmanager
async def forgetting(app: Any) -> AsyncIterator[None]:
    """While the server runs, forget visits that nobody has used for `IDLE`.

    Gradio by itself keeps what a page last showed, photos as data among it, until ten thousand visits later,
    and a closed page's gallery for an hour.
    """
    task = asyncio.create_task(_forget_on_and_on(app.state_holder))
    try:
        yield
    finally:
        task.cancel()


async def _forget_on_and_on(sessions: Any) -> None:
    while True:
        forget_idle(sessions, datetime.datetime.now())
        await asyncio.sleep(LOOK_EVERY)


def forget_idle(sessions: Any, now: datetime.datetime) -> None:
    """Delete the values of every session last used more than `IDLE` ago, and the session with them."""
    for name, used in list(sessions.time_last_used.items()):
        if now - used > IDLE:
            sessions.delete_state(name)
            sessions.session_data.pop(name, None)
            sessions.time_last_used.pop(name, None)


def free_port(text: str) -> int:
    """A port that the page can be served on; 0 lets the system choose one.

    Raises:
        ValueError: it is no port, or another program has it.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 2**16):
        raise ValueError(f"PORT is {text[:40]!r}; it must be a number from 1 to 65535, e.g. PORT=8000")
    from facelab.live_choice import address

    port, host = int(text), address()
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return port
    except OSError as error:
        why = (
            "is taken by another program"
            if error.errno == errno.EADDRINUSE
            else f"is refused ({error.strerror})"
        )
        raise ValueError(
            f"port {port} {why}; choose another, e.g. PORT={8000 if port != 8000 else 8001}"
        ) from error


def compressed() -> list[Any]:
    """Return the middleware that compresses what gradio sends whole: pages and JSON, but no event stream.

    Gradio compresses its own scripts; the page itself is 1.6 MB of text, and each answer brings cards along.
    """
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware

    return [Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)]


def serve(port: int) -> None:
    """Build the page and serve it until the process ends, on this machine only unless HOST says otherwise."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # or the clean-up at exit would not run
    os.environ["GRADIO_TEMP_DIR"] = str(upload_folder())  # read when gradio is imported
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import torch

    from facelab.live_choice import address
    from facelab.ui import build_app
    from facelab.ui.chart import HEAD
    from facelab.ui.theme import CSS, SCRIPT, theme

    torch.set_num_threads(1)  # photos run side by side: two threads on one wait for each other when busy
    build_app().launch(
        server_name=address(),
        server_port=port,
        theme=theme(),
        css_paths=CSS,
        head=HEAD + SCRIPT,
        max_file_size=MAX_UPLOAD,
        run_history=False,
        show_error=False,
        ssr_mode=False,
        app_kwargs={"lifespan": forgetting, "middleware": compressed()},
        share=False,
    )
