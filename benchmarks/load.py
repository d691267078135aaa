"""A class on the page: visitors who compare every ten seconds, alone and beside a training; 200 idle tabs.

Usage: PYTHONPATH=. python benchmarks/load.py [--visitors 50] [--seconds 15] [--tabs 200]; the figures of
docs/hosting.md are of `--seconds 300`, and of 20 beside a training. Starts `app.py` as
a Space does, on this machine only, and prints times, errors and the server's memory (Linux). Each comparison
uploads two photos and waits for the answer.
"""

import argparse
import io
import platform
import random
import re
import shutil
import socket
import statistics
import tempfile
import threading
import time
import uuid
from pathlib import Path

import httpx
import torch
from PIL import Image
from playwright.sync_api import sync_playwright

from benchmarks.hosted_memory import first_answer, resident, started
from facelab.data.parametric import ParametricFaces
from facelab.photos.faces import SURE_CONFIDENCE, find_faces, read_photo
from facelab.ui.doors import BUSY

EVERY = 10.0  # seconds between two comparisons of a visitor
META = {"_type": "gradio.FileData"}


def photos(count: int) -> list[bytes]:
    """Render faces on 960x720 photos, as JPEG.

    All are faces of which the detector is sure at once, as it is of 94 in 100 of LFW's photos and of half of
    the rendered ones; it looks at the others again in seven ways.
    """
    out: list[bytes] = []
    for crop in ParametricFaces(5 * count, 1, seed=0).rows(torch.arange(5 * count))[0].numpy():
        picture, file = Image.new("RGB", (960, 720), (127, 127, 127)), io.BytesIO()
        picture.paste(Image.fromarray(crop).resize((400, 400)), (280, 160))
        picture.save(file, "JPEG")
        (face, *_) = find_faces(read_photo(file.getvalue())) or [None]
        if face and face.confidence >= SURE_CONFIDENCE:
            out.append(file.getvalue())
        if len(out) == 2 * count:
            break
    return out


def comparison(client: httpx.Client, url: str, pair: list[bytes]) -> str:
    """Upload two photos and compare them -> "" or what went wrong."""
    sent = client.post(f"{url}gradio_api/upload", files=[("files", ("a.jpg", data)) for data in pair])
    data = [*({"path": path, "meta": META} for path in sent.json()), "strong", 0.01]
    started = client.post(f"{url}gradio_api/call/compare", json={"data": data})
    if started.status_code == 503:
        return "busy" if started.json()["detail"] == BUSY else "503"
    event = started.json()["event_id"]
    said = client.get(f"{url}gradio_api/call/compare/{event}").text
    return "" if "event: complete" in said else said[-200:]


def attend(url: str, pairs: list[bytes], visitors: int, seconds: float) -> tuple[list[float], list[str]]:
    """Let a class compare for some time -> (seconds of each comparison, what went wrong)."""
    took: list[float] = []
    wrong: list[str] = []
    end = time.monotonic() + seconds

    def visitor(seed: int) -> None:
        rng = random.Random(seed)
        time.sleep(rng.random() * EVERY)
        with httpx.Client(timeout=120) as client:
            while (began := time.monotonic()) < end:
                at = 2 * rng.randrange(len(pairs) // 2)
                try:
                    said = comparison(client, url, pairs[at : at + 2])
                except (httpx.HTTPError, KeyError, ValueError) as error:
                    said = type(error).__name__
                took.append(time.monotonic() - began)
                if said:
                    wrong.append(said)
                time.sleep(max(0.0, EVERY - took[-1]))

    threads = [threading.Thread(target=visitor, args=(seed,)) for seed in range(visitors)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took, wrong


def open_tabs(url: str, count: int) -> None:
    """Open the page without touching it: the page, its configuration and its events of loading."""
    with httpx.Client(timeout=120) as client:
        config = client.get(f"{url}config").json()
        values = {part["id"]: part["props"].get("value") for part in config["components"]}
        loading = [d for d in config["dependencies"] if any(event == "load" for _, event in d["targets"])]
        for _ in range(count):
            client.get(url)
            session = uuid.uuid4().hex
            for one in loading:
                body = {"data": [values[i] for i in one["inputs"]], "fn_index": one["id"]}
                client.post(f"{url}gradio_api/queue/join", json=body | {"session_hash": session})
                client.get(f"{url}gradio_api/queue/data", params={"session_hash": session})


def last_in_line(program: str, folder: str) -> Path:
    """A script in a folder that starts a program at the lowest priority: a visitor's browser is elsewhere."""
    script = Path(folder) / program
    script.write_text(f'#!/bin/sh\nexec nice -n 19 {shutil.which(program)} "$@"\n', encoding="utf-8")
    script.chmod(0o700)
    return script


def row(name: str, took: list[float], wrong: list[str]) -> str:
    """A line of the table."""
    busy = wrong.count("busy")
    middle, late = statistics.median(took), sorted(took)[int(0.95 * (len(took) - 1))]
    return f"{name:<28}{len(took):>7}{middle:>8.2f}{late:>8.2f}{busy:>7}{len(wrong) - busy:>8}"


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return next(iter(re.findall(r"model name\s*: (.*)", info)), platform.processor())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--tabs", type=int, default=200)
    asked = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server, url = started(port), f"http://127.0.0.1:{port}/"
    pairs = photos(8)
    try:
        print(f"{processor()}; first page after {first_answer(url, server):.0f} s", flush=True)
        print(f"{asked.visitors} visitors, one comparison every {EVERY:g} s, {asked.seconds:g} s")
        print(f"{'':<28}{'tried':>7}{'p50 s':>8}{'p95 s':>8}{'busy':>7}{'errors':>8}")
        print(row("(warm-up)", *attend(url, pairs, 5, EVERY)), flush=True)
        before = resident(server.pid)[0]
        print(row("comparing", *attend(url, pairs, asked.visitors, asked.seconds)), flush=True)
        after = resident(server.pid)[0]
        with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
            flags = ["--no-sandbox", "--disable-gpu"]
            browser = playwright.chromium.launch(executable_path=last_in_line("chromium", folder), args=flags)
            page = browser.new_page()
            page.goto(f"{url}?tab=train")
            page.locator("#train-start").click(timeout=60_000)
            print(row("beside a training", *attend(url, pairs, asked.visitors, asked.seconds)), flush=True)
            browser.close()
        between = resident(server.pid)[0]
        open_tabs(url, asked.tabs)
        print(f"memory: {before:.0f} -> {after:.0f} MB while comparing ({after / before - 1:+.1%}); "
              f"{between:.0f} -> {resident(server.pid)[0]:.0f} MB with {asked.tabs} idle tabs")  # fmt: skip
    finally:
        server.terminate()
        server.wait(60)


if __name__ == "__main__":
    main()
