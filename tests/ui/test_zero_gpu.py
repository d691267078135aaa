"""ZeroGPU: the page under the Space's own library, with a stub in place of the server that lends GPUs."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import gradio as gr
import numpy as np
import pytest

from facelab.data.folders import CropSet
from facelab.lessons.live.course import course
from facelab.lessons.live.data import TrainingData, rendered
from facelab.models.recipe import Recipe
from facelab.ui import gpu
from tests.networks import SMALL

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("small_backbone")
TINY = Recipe(backbone=SMALL, embedding_dim=16, epochs=1, batch_size=8, held_out=0.4, precision="fp32")
# Serve the page, train as a visitor does, and say what was touched. CUDA's own door is watched, not emulated.
PROGRAM = """
import json, os, sys, threading
import facelab.ui.serve as serve

def visit(page):
    import gradio as gr, numpy as np, torch
    from facelab.lessons.live.session import Training
    from facelab.lessons.live.data import rendered
    from facelab.lessons.live.queue import TrainingQueue
    from facelab.models.recipe import Recipe
    from facelab.recognition.embedder import load, as_face
    from facelab.photos.faces import Photo
    from facelab.ui.gpu import BORROW
    import spaces.zero.torch.patching as patching

    reached = []
    def door():
        reached.append(1)
        raise RuntimeError("CUDA was initialized in the main process")
    torch._C._cuda_init = door
    recipe = Recipe(backbone="resnet_face", embedding_dim=16, epochs=1, batch_size=8, held_out=0.4)
    pool = rendered(5, 4, 0)
    *_, last = Training(recipe, pool, 45.0, line=TrainingQueue(), borrow=BORROW).follow()
    crop = pool.data.crops[np.array([0])][0]
    vector = load("strong").embed(Photo(crop, 1.0), [as_face(crop)])
    print(json.dumps({
        "state": last.state, "words": last.message, "steps": last.step, "result": last.result is not None,
        "where": str(next(last.result.model.parameters()).device) if last.result else "",
        "vector": list(vector.shape), "reached": len(reached), "initialized": torch.cuda.is_initialized(),
        "says": torch.cuda.is_available(),
    }), flush=True)

def launch(page, *args, **kwargs):
    kwargs["prevent_thread_lock"] = True
    original(page, *args, **kwargs)
    worker = threading.Thread(target=visit, args=(page,))  # as gradio's own threads: no emulation there
    worker.start()
    worker.join()
    page.close()

import spaces
import gradio as gr
import facelab.ui

def small():
    with facelab.ui.Page() as page:
        gr.Markdown("small")
    return page

facelab.ui.build_app = small  # all tabs are imported; to build them takes a busy machine minutes
original = gr.Blocks.launch  # the library's, which reports the start
gr.Blocks.launch = launch
serve.serve(int(sys.argv[1]))
"""


class Lender(BaseHTTPRequestHandler):
    """Says yes to everything, as the machine that lends GPUs does, and keeps what it was asked."""

    def do_POST(self):
        url = urlparse(self.path)
        self.server.asked.append((url.path, parse_qs(url.query)))
        lent = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "GPU-0", "allowToken": "t"}
        answer = json.dumps(lent if url.path == "/schedule" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def lender():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lender)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_page_starts_trains_and_embeds_without_touching_cuda_outside(lender, tmp_path):
    """No GPU is here, so the lent process fails at its first CUDA call and the run takes the CPU."""
    environment = os.environ | {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{lender.server_address[1]}",
        "HOST": "127.0.0.1",
        "TMPDIR": str(tmp_path),
        "HOME": str(tmp_path),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(free_port())],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"state"')]
    assert lines, done.stderr[-2000:]
    said = json.loads(lines[0])
    paths = [path for path, _ in lender.asked]
    assert paths[0] == "/startup-report"
    assert paths.count("/schedule") == 1 and "/allow" in paths and "/release" in paths
    (schedule,) = (asked for path, asked in lender.asked if path == "/schedule")
    assert int(schedule["durationSeconds"][0]) <= 60 * 2  # times the factor of the card's size
    assert said["says"] is True  # what the library pretends everywhere
    assert (said["reached"], said["initialized"]) == (0, False)
    assert (said["state"], said["result"], said["where"]) == ("finished", True, "cpu"), said
    assert said["vector"][0] == 1


def small_pool():
    return rendered(5, 4, 0)


def test_a_lent_run_brings_back_what_it_learned_and_every_loss(tmp_path):
    here = list(course(TINY, small_pool(), 60.0, lambda: False))
    there = list(gpu.borrowing(gpu.packed)(TINY, small_pool(), 60.0, lambda: False))
    assert [now.state for now in there] == [now.state for now in here]
    assert there[-1].losses == here[-1].losses and there[-1].figures == here[-1].figures
    assert there[-1].result.header == here[-1].result.header
    for mine, theirs in zip(there[-1].result.model.parameters(), here[-1].result.model.parameters()):
        np.testing.assert_allclose(mine.detach(), theirs.detach(), rtol=1e-3, atol=1e-6)  # stored as fp16


def test_a_wish_to_stop_reaches_a_lent_run():
    asked, long = iter([False]), replace(TINY, epochs=6)
    *_, last = gpu.borrowing(gpu.packed)(long, small_pool(), 60.0, lambda: next(asked, True))
    assert last.state == "stopped" and "You stopped it" in last.message and last.result is not None
    assert last.step < last.steps


def test_without_a_gpu_to_lend_the_run_takes_the_cpu_but_a_broken_one_is_told():
    def none(*_):
        raise gr.Error("ZeroGPU quota exceeded")
        yield

    *_, last = gpu.borrowing(none)(TINY, small_pool(), 60.0, lambda: False)
    assert last.state == "finished" and last.result is not None

    def broken(*args):
        with contextlib.closing(gpu.packed(*args)) as told:
            yield next(told)
        raise gr.Error("GPU task aborted")

    with pytest.raises(gr.Error, match="aborted"):
        list(gpu.borrowing(broken)(TINY, small_pool(), 60.0, lambda: False))


def test_a_sentence_of_ours_survives_the_way_back():
    one = TrainingData(
        CropSet(np.zeros((4, 112, 112, 3), np.uint8), np.zeros(4, int), ("a",), tuple("1234")), "x"
    )
    *_, (last, content) = gpu.packed(TINY, one, 60.0, "/nowhere/stop")
    assert last.state == "failed" and last.message and not content
