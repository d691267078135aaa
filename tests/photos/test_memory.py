"""Memory of reading a photo and finding its faces, measured over a whole fresh process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import png_header

GIB = 2**20  # in KiB

CHILD = """
import sys
from facelab.photos.faces import find_faces, read_photo
for path in sys.argv[1:]:
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # the peak is that of this photo alone
    said = ""
    try:
        find_faces(read_photo(path))
    except ValueError as error:
        said = str(error)
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(peak, said)  # not ru_maxrss, which a child takes over from its parent
"""
needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="peak memory needs Linux's /proc"
)


def in_a_fresh_process(*paths: Path) -> list[tuple[str, int]]:
    """(what it answers, peak memory in KiB) of reading each photo and finding its faces."""
    run = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    lines = [line.partition(" ") for line in run.stdout.splitlines()]
    assert len(lines) == len(paths)
    return [(answer, int(peak)) for peak, _, answer in lines]


@needs_proc
def test_fifty_megapixels_are_handled_within_a_gigabyte(tmp_path):
    rgb = Image.radial_gradient("L").resize((8160, 6120)).convert("RGB")
    images = {kind: (rgb, {"compress_level": 1}) for kind in ("rgb.png", "rgba.png")}
    images |= {kind: (rgb, {"quality": 60, "method": 0}) for kind in ("photo.jpg", "photo.webp")}
    palette = rgb.quantize(16, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    images["palette.png"] = palette, {"compress_level": 1, "transparency": 3}
    for kind, (image, options) in images.items():
        if kind == "rgba.png":
            image = image.copy()
            image.putalpha(200)
        image.save(tmp_path / kind, **options)
    found = in_a_fresh_process(*(tmp_path / kind for kind in images))
    for kind, (answer, peak) in zip(images, found, strict=True):
        assert not answer
        assert peak < 1.0 * GIB, f"{kind}: {peak / 1024:.0f} MB"


@needs_proc
def test_a_decompression_bomb_costs_no_memory(tmp_path):
    """The same process with a photo of 39x39 pixels is the yardstick: imports alone take most of it."""
    Image.new("RGB", (39, 39)).save(tmp_path / "small.png")
    (tmp_path / "bomb.png").write_bytes(png_header(20_000, 20_000))
    (_, usual), (answer, peak) = in_a_fresh_process(tmp_path / "small.png", tmp_path / "bomb.png")
    assert answer.startswith("bomb.png has")
    assert peak < usual + 30 * 1024
