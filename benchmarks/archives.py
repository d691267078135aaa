"""Crops streamed from archives beside decoded ones: what the loader costs a training step, and its memory.

    python benchmarks/archives.py

Batches of 128 JPEG crops in two zips are read in turn from the archives and from decoded crops, and a step of
resnet_face is timed beside them; medians count. Memory is measured in processes of their own, for few and for
many crops.
"""

import argparse
import io
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

BATCH, FEW, MANY = 128, 2_000, 200_000


def pack(folder: Path, count: int) -> list[Path]:
    """Write two zips of crops with the spectrum of photographs, of 100 people."""
    rng, paths = np.random.default_rng(0), [folder / f"{count}-{i}.zip" for i in range(2)]
    files = []
    for _ in range(64):
        small = Image.fromarray(rng.integers(0, 256, (28, 28, 3), np.uint8))
        buffer = io.BytesIO()
        small.resize((112, 112), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=95, subsampling=0)
        files.append(buffer.getvalue())
    for half, path in enumerate(paths):
        with zipfile.ZipFile(path, "w") as archive:
            for i in range(half, count, 2):
                archive.writestr(f"{i % 100:03d}/{i}.jpg", files[i % 64])
    return paths


def resident() -> float:
    """Return the highest resident set of this process so far, in MB; Linux only."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text("utf-8"))[1]) / 1024


def memory(paths: list[str], cache: str) -> None:
    """Print the megabytes that opening the index and reading 20 batches add to this process."""
    from facelab.data.archives import open_archives

    before = resident()
    data = open_archives(paths, Path(cache))
    rng = np.random.default_rng(0)
    for _ in range(20):
        data.crops[rng.integers(0, len(data), BATCH)]
    print(resident() - before)


def cost(paths: list[Path], cache: Path, rounds: int) -> tuple[float, float, float]:
    """Return the median seconds of a batch from archives, from decoded crops, and of a training step."""
    import torch

    from facelab.data.archives import open_archives
    from facelab.data.folders import load_crops
    from facelab.models.losses import build_loss
    from facelab.models.model import build_model
    from facelab.models.recipe import Recipe

    streamed, decoded = open_archives(paths, cache), load_crops(paths, cache)
    model, loss_fn = build_model(Recipe()), build_loss("softmax", 256, 100, {})
    rng, times = np.random.default_rng(0), ([], [], [])
    for _ in range(rounds):
        rows = rng.integers(0, len(streamed), BATCH)
        start = time.perf_counter()
        crops = streamed.crops[rows]
        times[0].append(time.perf_counter() - start)
        start = time.perf_counter()
        decoded.crops[rows]
        times[1].append(time.perf_counter() - start)
        start = time.perf_counter()
        x = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
        loss_fn(model(x), torch.from_numpy(streamed.labels[rows])).backward()
        times[2].append(time.perf_counter() - start)
    return tuple(statistics.median(each) for each in times)


def main() -> int:
    """Parse the arguments and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", nargs=3, default=None)
    arguments = parser.parse_args()
    if arguments.memory:
        memory(arguments.memory[:2], arguments.memory[2])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        from facelab.data.archives import open_archives

        added = {}
        for count in (FEW, MANY):
            paths = pack(root, count)
            open_archives(paths, root)
            words = [sys.executable, __file__, "--memory", *map(str, paths), folder]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            added[count] = float(done.stdout)
            print(f"{count:>8,} crops: {added[count]:6.1f} MB more in memory", flush=True)
        archive, decoded, step = cost([root / f"{FEW}-{i}.zip" for i in range(2)], root, arguments.rounds)
    print(f"a batch of {BATCH}: archives {1000 * archive:.0f} ms, decoded {1000 * decoded:.0f} ms")
    print(f"a training step {1000 * step:.0f} ms; the loader adds {100 * (archive - decoded) / step:.1f} %")
    return int((archive - decoded) / step > 0.05)


if __name__ == "__main__":
    sys.exit(main())
