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
try:
    find_faces(read_photo(sys.argv[1]))
except ValueError as error:
    print(error)
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak)  # not ru_maxrss, which a child takes over from its parent
"""
needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/status"), reason="peak memory needs Linux's /proc"
)


def in_a_fresh_process(path: Path) -> tuple[str, int]:
    """(what it answers, peak memory in KiB) of reading a photo and finding its faces."""
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    *answer, peak = run.stdout.splitlines()
    return "\n".join(answer), int(peak)


@needs_proc
@pytest.mark.parametrize("kind", ["photo.jpg", "rgb.png", "rgba.png", "palette.png", "photo.webp"])
def test_fifty_megapixels_are_handled_within_a_gigabyte(kind, tmp_path):
    image = Image.radial_gradient("L").resize((8160, 6120)).convert("RGB")
    if kind == "rgba.png":
        image.putalpha(200)
    if kind == "palette.png":
        image = image.quantize(16, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    options = {"transparency": 3} if kind == "palette.png" else {}
    options |= {"compress_level": 1} if kind.endswith("png") else {"quality": 60, "method": 0}
    image.save(tmp_path / kind, **options)
    answer, peak = in_a_fresh_process(tmp_path / kind)
    assert not answer
    assert peak < 1.0 * GIB, f"{peak / 1024:.0f} MB"


@needs_proc
def test_a_decompression_bomb_costs_no_memory(tmp_path):
    """The same process with a photo of 40x40 pixels is the yardstick: imports alone take most of it."""
    Image.new("RGB", (39, 39)).save(tmp_path / "small.png")
    (tmp_path / "bomb.png").write_bytes(png_header(20_000, 20_000))
    _, usual = in_a_fresh_process(tmp_path / "small.png")
    answer, peak = in_a_fresh_process(tmp_path / "bomb.png")
    assert answer.startswith("bomb.png has")
    assert peak < usual + 30 * 1024
