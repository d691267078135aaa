"""Start-up time and memory of the page, by tab and after comparisons: what a small machine must hold.

Usage: python benchmarks/hosted_memory.py [COMPARISONS]. Starts `app.py` as a Space does, opens each tab in
Chromium, presses what the tab computes, and reads the process's memory (Linux).
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from gradio_client import Client, handle_file
from PIL import Image
from playwright.sync_api import sync_playwright

from facelab.data.parametric import ParametricFaces

ROOT = Path(__file__).resolve().parent.parent
TABS = {  # tab: what is pressed in it
    "compare": None,
    "identify": None,
    "embedding-space": None,
    "calibration": None,
    "losses": None,
    "architectures": None,
    "regularization": None,
    "transfer": "#transfer-teach",
    "train": "#train-start",
}


def resident(process: int) -> tuple[float, float]:
    """Return the memory of a process now and at its peak, in MB."""
    text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    now, peak = (int(re.search(rf"{name}:\s+(\d+)", text)[1]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def started(port: int) -> subprocess.Popen:
    """Start the page in hosted mode."""
    own = {"PORT": str(port), "HOST": "127.0.0.1", "FACELAB_HOSTED": "on"}
    command = [sys.executable, "app.py"]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | own, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def first_answer(url: str, process: subprocess.Popen) -> float:
    """Wait for the first page -> seconds."""
    began = time.monotonic()
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return time.monotonic() - began
        except OSError:
            if process.poll() is not None:
                raise SystemExit("the server ended") from None
            time.sleep(0.1)


def compare(url: str, count: int, visitors: int) -> None:
    """Ask the endpoint for comparisons of rendered faces, by several visitors at once."""
    crops, _ = ParametricFaces(count, 2, seed=0).rows(torch.arange(2 * count))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(visitors) as pool:
        files = []
        for i, crop in enumerate(crops.numpy()):
            picture = Image.new("RGB", (960, 720), (127, 127, 127))
            picture.paste(Image.fromarray(crop).resize((400, 400)), (280, 160))
            files.append(Path(folder) / f"{i}.jpg")
            picture.save(files[-1])

        def ask(i: int) -> None:
            client = Client(url, verbose=False)
            pair = (handle_file(files[2 * i]), handle_file(files[2 * i + 1]))
            client.predict(*pair, "strong", 0.01, api_name="/compare")

        for done in [pool.submit(ask, i) for i in range(count)]:
            done.result()


def main() -> None:
    """Print the table."""
    comparisons = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = started(port)
    url = f"http://127.0.0.1:{port}/"
    try:
        print(f"first page after {first_answer(url, server):.0f} s")
        print(f"{'after':<24}{'MB now':>8}{'MB peak':>9}")

        def say(what: str) -> None:
            print(f"{what:<24}" + "{:8.0f}{:9.0f}".format(*resident(server.pid)), flush=True)

        say("start")
        with sync_playwright() as playwright:
            flags = ["--no-sandbox", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
            page = browser.new_page()
            for tab, button in TABS.items():
                page.goto(f"{url}?tab={tab}")
                page.wait_for_timeout(4000)
                if button:
                    page.locator(button).click()
                    run = button.partition("-")[0]
                    page.wait_for_selector(f"{run}-run h2 >> text=/Finished|Stopped|chance/", timeout=240_000)
                say(tab)
            browser.close()
        for visitors in (1, 10):
            compare(url, comparisons, visitors)
            say(f"{comparisons} by {visitors} visitors")
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    main()
