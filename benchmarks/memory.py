"""Peak memory of decoding and reading 20,000 crops, or others: `python benchmarks/memory.py [COUNT ...]`.

Each size runs in a process of its own: a zip of rendered faces, repeated, is decoded into the cache and read
twice in random batches, as training does. The same file mapped into memory is read for comparison. 200,000
crops need about 9 GB of disk, in a temporary folder that is deleted.
"""

import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facelab.data.cropfile import CROP_BYTES
from facelab.data.folders import Selection, load_crops
from facelab.data.parametric import ParametricFaces
from facelab.photos.faces import to_tensor

COUNTS = (20_000,)
FACES, BATCH, PASSES, PER_IDENTITY = 64, 256, 2, 50
MB = 2**20


def write_zip(path: Path, count: int) -> None:
    """A zip of `count` JPEG crops, `PER_IDENTITY` in a folder; the pictures repeat."""
    pictures = []
    crops, _ = ParametricFaces(FACES // 4, 4, seed=0).rows(torch.arange(FACES))
    for crop in np.asarray(crops):
        buffer = io.BytesIO()
        Image.fromarray(crop).save(buffer, "JPEG", quality=95)
        pictures.append(buffer.getvalue())
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(count):
            archive.writestr(f"{i // PER_IDENTITY:05d}/{i:06d}.jpg", pictures[i % FACES])


def status(field: str) -> float:
    """MB that Linux says of this process."""
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) / 1024


def peak_since() -> float:
    """MB of the process's peak, which is then counted anew."""
    peak = status("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")
    return peak


def read(part: Selection) -> tuple[float, float]:
    """(peak MB, processor ms per batch) of random passes over all crops."""
    rng, seconds = np.random.default_rng(0), []
    peak_since()
    for _ in range(PASSES):
        order = rng.permutation(len(part))
        for start in range(0, len(part) - BATCH + 1, BATCH):
            begun = time.thread_time()
            crops = part.batch(order[start : start + BATCH])
            seconds.append(time.thread_time() - begun)
            to_tensor(torch.from_numpy(crops)).mean()
    return peak_since(), 1000 * float(np.median(seconds))


def measure(source: str, cache: str) -> dict[str, float]:
    """What one process needs, in its own words."""
    started = peak_since()
    data = load_crops([source], Path(cache))
    decoding = peak_since()
    part = data.select(range(len(data.identities)))
    reading, ms = read(part)
    own = status("RssAnon")
    (file,) = Path(cache).glob("*.npy")
    mapped = Selection(np.load(file, mmap_mode="r"), part.rows, part.labels, part.identities)
    mapped_reading, mapped_ms = read(mapped)
    return {
        "start": started, "decoding": decoding, "reading": reading, "own": own, "ms": ms,
        "mapped": mapped_reading, "mapped_ms": mapped_ms,
    }  # fmt: skip


def main(counts: tuple[int, ...]) -> None:
    if not Path("/proc/self/clear_refs").exists():
        print("peak memory is asked of Linux and was not measured here")
        return
    print(f"peak memory of a process in MB (its own pages alone); {PASSES} random passes, batches of {BATCH}")
    print(
        f"{'crops':>8}{'as array':>10}{'imports':>9}{'decoding':>10}"
        f"{'reading':>9}{'':8}{'mapped':>8}{'CPU ms':>8}{'mapped':>8}"
    )
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            needed = int(1.3 * count * CROP_BYTES)
            if shutil.disk_usage(folder).free < needed:
                print(f"{count:>8,}  skipped: {needed / 1e9:.1f} GB of disk are needed in {folder}")
                continue
            source = Path(folder) / "crops.zip"
            write_zip(source, count)
            args = [sys.executable, __file__, "measure", str(source), str(Path(folder) / "cache")]
            done = subprocess.run(args, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout)
        print(
            f"{count:>8,}{count * CROP_BYTES / MB:>10,.0f}{row['start']:>9.0f}{row['decoding']:>10.0f}"
            f"{row['reading']:>9.0f}{'(' + format(row['own'], '.0f') + ')':>8}{row['mapped']:>8.0f}"
            f"{row['ms']:>8.1f}{row['mapped_ms']:>8.1f}",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(*sys.argv[2:])))
    else:
        main(tuple(map(int, sys.argv[1:])) or COUNTS)
