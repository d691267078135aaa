"""How long a verdict on two 12-megapixel photos takes, step by step, and how long a move of the slider does.

    python benchmarks/compare.py

The photos are rendered portraits, written as JPEG at 4000x3000, so the figures need no data and no network.
"""

import io
import statistics
import time

import numpy as np
import torch
from PIL import Image

from facelab.data.parametric import sample_identities
from facelab.recognition.embedder import load, model_names
from facelab.recognition.verify import detect, detect_both, score_faces
from facelab.ui.compare.tab import outcome, show_pair
from facelab.ui.widgets.examples import portrait

REPEATS = 5
WIDTH, HEIGHT = 4000, 3000


def photo(seed: int) -> bytes:
    """A rendered portrait on a 12-megapixel canvas, with sensor noise so that the JPEG has a photo's size."""
    face = portrait(sample_identities(1, seed), {"yaw": 8.0}, 512).resize((HEIGHT, HEIGHT))
    canvas = Image.new("RGB", (WIDTH, HEIGHT), (120, 130, 140))
    canvas.paste(face, ((WIDTH - HEIGHT) // 2, 0))
    noise = np.random.default_rng(seed).normal(0, 6, (HEIGHT, WIDTH, 1))
    buffer = io.BytesIO()
    pixels = (np.asarray(canvas) + noise).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def median_ms(task) -> float:
    """Median wall time of a task over REPEATS runs after two that warm up."""
    times = []
    for i in range(REPEATS + 2):
        start = time.perf_counter()
        task()
        if i >= 2:
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def row(name: str, task) -> None:
    """Measure and print one line of the table."""
    print(f"{name:<44}{median_ms(task):8.1f}", flush=True)


def main() -> None:
    torch.set_num_threads(1)  # as the app does
    a, b = photo(1), photo(2)
    print(
        f"{WIDTH}x{HEIGHT} photos, {len(a) / 1e6:.1f} and {len(b) / 1e6:.1f} MB; medians of {REPEATS} in ms"
    )
    row("read, find and align one photo", lambda: detect(a, "Photo A"))
    row("both photos", lambda: detect_both(a, b))
    sightings = detect_both(a, b)
    for name in model_names():
        embedder = load(name)
        row(f"embed and score, {name}", lambda e=embedder: score_faces(e, *sightings))
    for name in (model_names()[0], model_names()[-1]):  # what else it does is the same for all
        row(f"Compare button, {name}", lambda n=name: outcome(a, b, n, 3.0))
    pair = outcome(a, b, model_names()[0], 3.0)[0]
    row("slider (verdict and chart)", lambda: show_pair(pair, 2.5))


if __name__ == "__main__":
    main()
