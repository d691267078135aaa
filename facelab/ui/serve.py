"""Launch of the page with all features disabled that could store or send a visitor's photo.

Uploads and temporary files go to a private folder of this process. Files older than fifteen minutes are
deleted there. The folder is removed when the process ends, or by the next start if it was killed. Run history
(which stores inputs in the browser), analytics, sharing and server-side rendering are disabled.
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
import stat
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any

from facelab import settings
from facelab.data.files import may_be_running

PREFIX = "facelab-uploads-"
WAITING = 200  # events that may wait at once; more are told that the page is busy
IDLE = datetime.timedelta(minutes=15)  # after which nothing of a visit is left in memory, or on disk
LOOK_EVERY = 20.0  # seconds


def upload_folder() -> Path:
    """Create a folder for this process's uploads, removed at its end; remove those of killed processes
    now.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = old.name.removeprefix(PREFIX).split("-")[0]
        if not (owner.isdecimal() and may_be_running(int(owner))):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextlib.asynccontextmanager
async def forgetting(app: Any) -> AsyncIterator[None]:
    """Delete visits unused for `IDLE`, and uploads as old as that, while the server runs.

    By default Gradio keeps the last content of a page, including photos as data, for ten thousand visits, and
    a closed page's gallery for an hour. It can delete old uploads, but only those that it has listed: not a
    photo sent as data, the state behind a deep link, or a file rejected for its name.
    """
    task = asyncio.create_task(_forget_on_and_on(app))
    try:
        yield
    finally:
        task.cancel()


async def _forget_on_and_on(app: Any) -> None:
    while True:
        forget_idle(app.state_holder, datetime.datetime.now())
        await asyncio.to_thread(forget_uploads, app, time.time())
        await asyncio.sleep(LOOK_EVERY)


def forget_uploads(app: Any, now: float) -> None:
    """Sweep the upload folder of a gradio app, except for the pictures with which its tabs open."""
    page = app.get_blocks()
    kept = {os.path.realpath(path) for block in page.blocks.values() for path in block.keep_in_cache}
    sweep(Path(app.uploaded_file_dir), kept, now)
    for listed in page.temp_file_sets:  # gradio lists every upload for good
        listed.intersection_update([path for path in listed if os.path.lexists(path)])


def sweep(folder: Path, kept: Collection[str], now: float) -> None:
    """Delete everything below a folder that was last written more than `IDLE` ago, and folders left empty.

    Args:
        folder: not deleted itself.
        kept: real paths of files to keep.
        now: seconds since 1970.
    """
    found = []  # before anything is deleted, which makes the folder around it new
    for here, folders, files in os.walk(os.path.realpath(folder), topdown=False):
        for path in (os.path.join(here, name) for name in (*files, *folders)):
            with contextlib.suppress(OSError):  # gone already
                found.append((path, os.lstat(path)))
    for path, status in found:
        written = min(status.st_mtime, status.st_ctime)  # a file can claim to be of tomorrow
        if path not in kept and written <= now - IDLE.total_seconds():
            with contextlib.suppress(OSError):  # gone already, or a folder that is still in use
                (os.rmdir if stat.S_ISDIR(status.st_mode) else os.unlink)(path)


def forget_idle(sessions: Any, now: datetime.datetime) -> None:
    """Delete the values of every session last used more than `IDLE` ago, and the session with them."""
    for name, used in list(sessions.time_last_used.items()):
        if now - used > IDLE:
            sessions.delete_state(name)
            sessions.session_data.pop(name, None)
            sessions.time_last_used.pop(name, None)


def free_port() -> int:
    """Return the port for the page; 0 lets the system choose one.

    Raises:
        ValueError: it is not a port, or another program uses it.
    """
    port, host = settings.port(), settings.host()
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return port
    except OSError as error:
        why = (
            "is taken by another program"
            if error.errno == errno.EADDRINUSE
            else f"cannot be opened ({error.strerror})"
        )
        raise ValueError(
            f"port {port} {why}; choose another, e.g. PORT={8000 if port != 8000 else 8001}"
        ) from error


def middleware() -> list[Any]:
    """Return the middleware: a log line per request if others can connect, the doors, and compression."""
    from starlette.middleware import Middleware

    from facelab.ui.api import NAMES
    from facelab.ui.doors import Doors
    from facelab.ui.packing import compressed
    from facelab.ui.requests import Lines

    return [*[Middleware(Lines)] * settings.hosted(), Middleware(Doors, named=NAMES), *compressed()]


def start() -> None:
    """Check the settings, and serve the page until the process ends.

    Raises:
        ValueError: a setting is wrong or the port is taken, in one sentence.
    """
    settings.check()
    serve(free_port())


def serve(port: int) -> None:
    """Build the page and serve it until the process ends, on this machine only unless HOST says otherwise."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # or the clean-up at exit would not run
    tempfile.tempdir = str(upload_folder())
    os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir  # read when gradio is imported
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    if settings.zero_gpu():
        import spaces  # noqa: F401  before anything that may look for a GPU
    import torch

    from facelab.ui import build_app, header
    from facelab.ui.requests import routes
    from facelab.ui.theme import CSS, LAYOUT, SCRIPT, theme
    from facelab.ui.widgets.chart import HEAD

    torch.set_num_threads(1)  # photos run side by side: two threads on one wait for each other when busy
    page = build_app()
    page.queue(max_size=WAITING).launch(
        server_name=settings.host(),
        server_port=port,
        theme=theme(),
        css_paths=CSS,
        head=HEAD + LAYOUT + header.script() + SCRIPT,
        max_file_size=f"{settings.max_upload_mb():g}mb",
        run_history=False,
        show_error=False,
        ssr_mode=False,
        app_kwargs={"lifespan": forgetting, "middleware": middleware(), "routes": routes(page.opening)},
        share=False,
    )
