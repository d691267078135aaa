"""A ZeroGPU Space as a visitor uses it: Compare, Train and Transfer, over a stub of the lender of GPUs."""

import os
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer

import pytest

from tests.ui.test_zero_gpu import Lender, free_port

from .conftest import ROOT, START_SECONDS, Watch, answers, choose_tab
from .test_compare_tab import jpeg, portrait, press_compare
from .test_compare_tab import put as put_photo
from .test_train_tab import LONG, put, small

# CUDA's own door is watched in the process that serves; a process that was lent a GPU may go through it.
PROGRAM = """
import os
from facelab.ui.serve import start
import torch

own, real = os.getpid(), torch._C._cuda_init
def door():
    if os.getpid() == own:
        with open(os.environ["REACHED"], "a") as file:
            file.write("CUDA was initialized in the process that serves\\\\n")
    return real()
torch._C._cuda_init = door
start()
"""


@pytest.fixture
def space(tmp_path):
    """(the page's URL, what the lender was asked, the file that CUDA's door writes)."""
    lender = ThreadingHTTPServer(("127.0.0.1", 0), Lender)
    lender.asked = []
    threading.Thread(target=lender.serve_forever, daemon=True).start()
    port, reached = free_port(), tmp_path / "reached"
    own = {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{lender.server_address[1]}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "TMPDIR": str(tmp_path),
        "HOME": str(tmp_path),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT),
        "REACHED": str(reached),
    }
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, env=os.environ | own)
    answers(f"http://127.0.0.1:{port}/", process)
    yield f"http://127.0.0.1:{port}/", lender.asked, reached
    process.terminate()
    process.wait(START_SECONDS)
    lender.shutdown()
    lender.server_close()


def test_compare_train_and_transfer_work_and_cuda_stays_untouched(space, chromium):
    url, asked, reached = space
    page = chromium.new_page(locale="en-US")
    watch = Watch(page)
    page.goto(f"{url}?tab=compare")
    page.wait_for_selector("#chart .main-svg", timeout=LONG)
    for which in "ab":  # an answer that is the old one would change nothing on the page
        put_photo(page, which, jpeg(portrait(4)))
    assert "score" in press_compare(page)
    choose_tab(page, "Train")
    page.wait_for_selector("#train-start", timeout=LONG)
    small(page)
    put(page, "train-epochs", 1)
    page.locator("#train-start").click()
    page.wait_for_selector("#train-run h2 >> text=✔ Finished", timeout=LONG)
    choose_tab(page, "Transfer")
    page.locator("#transfer-teach").click()
    page.wait_for_selector("#transfer-run h2 >> text=✔ Finished", timeout=LONG)
    page.close()
    paths = [path for path, _ in asked]
    assert paths[0] == "/startup-report" and paths.count("/schedule") == 2
    assert not reached.exists() and not watch.outside
