"""Launching, with everything that could keep or send a visitor's photo switched off.

Uploads go to a folder of this process's own, which is removed when it ends, and by the next start if it
was killed; run history (which stores inputs in the browser), analytics, sharing and server-side rendering
are off.
"""

import atexit
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

MAX_UPLOAD = "25mb"  # a 50-megapixel JPEG
PREFIX = "facelab-uploads-"


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


def serve(port: int) -> None:
    """Build the page and serve it until the process ends, on this machine only unless it is a Space."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # or the clean-up at exit would not run
    os.environ["GRADIO_TEMP_DIR"] = str(upload_folder())  # read when gradio is imported
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import torch

    from facelab.ui import build_app
    from facelab.ui.theme import CSS, theme

    torch.set_num_threads(1)  # photos run side by side: two threads on one wait for each other when busy
    hosted = "SPACE_ID" in os.environ
    build_app().launch(
        server_name="0.0.0.0" if hosted else "127.0.0.1",
        server_port=port,
        theme=theme(),
        css_paths=CSS,
        max_file_size=MAX_UPLOAD,
        run_history=False,
        show_error=False,
        ssr_mode=False,
        share=False,
    )
