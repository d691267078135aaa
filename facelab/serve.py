"""Launching, with everything that could keep or send a visitor's photo switched off.

Uploads go to a folder of this process's own, which is removed when it ends; run history (which stores
inputs in the browser), analytics, sharing and server-side rendering are off.
"""

import atexit
import os
import shutil
import tempfile

MAX_UPLOAD = "25mb"  # a 50-megapixel JPEG


def serve(port: int) -> None:
    """Build the page and serve it until the process ends, on this machine only unless it is a Space."""
    folder = tempfile.mkdtemp(prefix="facelab-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = folder  # read when gradio is imported
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
