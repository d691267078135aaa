"""A photo that would take too long, or too much memory, is refused by its structure, undecoded."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelab.photos import cost as photo_cost
from facelab.photos import read as photo
from facelab.photos.cost import CostlyError, check_jpeg, fits
from facelab.photos.read import read_photo
from tests.conftest import one_sentence

ROOT = Path(__file__).parents[2]


def encoded(image, kind, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


SMALL = encoded(Image.new("RGB", (64, 64), "teal"), "JPEG")


def with_scans(data: bytes, more: int) -> bytes:
    """A JPEG whose last scan comes again and again."""
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * more + b"\xff\xd9"


def segment(code: int, body: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body


def directory(entries: int, size: int, room: int) -> bytes:
    """A TIFF directory whose entries all claim the same bytes."""
    rows = b"".join(struct.pack("<HHLL", 700 + i, 7, size, 8) for i in range(entries))
    return (b"II*\0\x08\0\0\0" + struct.pack("<H", entries) + rows + bytes(4)).ljust(room, b"x")


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(middle: bytes) -> bytes:
    data = encoded(Image.new("RGB", (64, 64), "teal"), "PNG")
    return data[:33] + middle + data[33:]


def gif_with(blocks: bytes) -> bytes:
    data = encoded(Image.new("P", (64, 64)), "GIF")
    at = data.index(b"\x2c")
    return data[:at] + blocks + data[at:]


def rle_bmp(side: int) -> bytes:
    runs = b"\x01\x05" * (side * side) + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(runs), 0, 0, 256, 0) + bytes(1024)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(runs), 0, 0, 14 + len(header)) + header + runs


def tiff_with(**tags) -> bytes:
    """A gray TIFF of 64x64 whose strips are as said."""
    rows = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 277: 1, 278: 64}
    at, extra = 8 + 2 + 12 * 9 + 4, b""
    offsets, counts = tags["offsets"], tags["counts"]
    entries = [struct.pack("<HHLL", tag, 4, 1, value) for tag, value in rows.items()]
    for tag, values in ((273, offsets), (279, counts)):
        entries.append(struct.pack("<HHLL", tag, 4, len(values), at + len(extra)))
        extra += struct.pack(f"<{len(values)}L", *values)
    entries.sort(key=lambda entry: struct.unpack("<H", entry[:2]))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 9) + b"".join(entries) + bytes(4) + extra + bytes(4096)


PROGRESSIVE = encoded(Image.new("L", (64, 64)), "JPEG", progressive=True)
HOSTILE = {
    "scans": (with_scans(PROGRESSIVE, 100), "progressive JPEG of too many scans"),
    "segments": (SMALL[:2] + b"\xff\xfe\x00\x02" * 6000 + SMALL[2:], "has more than 5,000 segments"),
    "exif": (
        SMALL[:2] + segment(0xE1, b"Exif\0\0" + directory(3000, 60_000, 65_000)) + SMALL[2:],
        "metadata",
    ),
    "mpf": (SMALL[:2] + segment(0xE2, b"MPF\0" + directory(3000, 60_000, 65_000)) + SMALL[2:], "metadata"),
    "chunks": (png_with(chunk(b"tEXt", b"a\0") * 60_000), "takes too long"),
    "comments": (gif_with(b"\x21\xfe" + b"\x01a" * 60_000 + b"\0"), "takes too long"),
    "frames": (gif_with(b"\x21\xf9\x04\0\0\0\0\0" * 60_000), "takes too long"),
    "directory": (directory(2000, 60_000, 65_000), "takes too long"),
    "ascii": (b"P3 700 700 255\n" + b"1 " * (3 * 700 * 700), "PPM of a kind that is slow to read"),
    "ascii bits": (b"P1 1100 1100\n" + b"1 " * 1100**2, "PPM of a kind that is slow to read"),
    "odd maximum": (b"P6 700 700 100\n" + bytes(3 * 700 * 700), "PPM of a kind that is slow to read"),
    "runs": (rle_bmp(1100), "BMP of a kind that is slow to read"),
    "strips": (tiff_with(offsets=[200] * 60_000, counts=[1] * 60_000), "TIFF of too many parts"),
    "overlap": (tiff_with(offsets=[0] * 1000, counts=[10_000] * 1000), "TIFF of too many parts"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("as_path", [False, True])
def test_a_costly_photo_is_refused_in_a_sentence(kind, as_path, tmp_path, monkeypatch):
    data, words = HOSTILE[kind]
    monkeypatch.setattr(photo, "_decoded", lambda *_: pytest.fail("it was decoded"))
    (tmp_path / "a.img").write_bytes(data)
    with pytest.raises(ValueError, match=words) as error:
        read_photo(tmp_path / "a.img" if as_path else data)
    assert str(error.value).startswith("a.img " if as_path else "The file ")
    assert one_sentence(str(error.value), tmp_path)


def test_what_cameras_and_programs_write_is_read():
    coarse = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    noise = Image.fromarray(coarse).resize((400, 300))
    for image in (noise, noise.convert("L"), noise.convert("CMYK")):
        for options in ({}, {"progressive": True}, {"quality": 98, "subsampling": 0, "progressive": True}):
            assert read_photo(encoded(image, "JPEG", **options)).pixels.shape == (300, 400, 3)
    tables = {"icc_profile": bytes(300_000), "comment": b"x" * 60_000, "exif": noise.getexif()}
    assert read_photo(encoded(noise, "JPEG", restart_marker_blocks=1, **tables)).pixels.shape == (300, 400, 3)
    for kind in ("PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF"):
        assert read_photo(encoded(noise, kind)).pixels.shape == (300, 400, 3)
    for packing in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        assert read_photo(encoded(noise, "TIFF", compression=packing)).pixels.shape == (300, 400, 3)
    assert read_photo(b"P3 2 2 255\n" + b"9 " * 12).pixels.shape == (2, 2, 3)
    many = encoded(noise, "MPO", save_all=True, append_images=[noise])
    assert read_photo(many).pixels.shape == (300, 400, 3)


def test_scans_weigh_by_the_blocks_that_they_visit(monkeypatch):
    """20 scans are an encoder's; of 50 megapixels they would be seconds."""
    check_jpeg(with_scans(PROGRESSIVE, 20))
    large = bytearray(with_scans(PROGRESSIVE, 40))
    at = large.index(b"\xff\xc2") + 5
    large[at : at + 4] = struct.pack(">HH", 7000, 7000)
    with pytest.raises(CostlyError, match="too many scans"):
        check_jpeg(bytes(large))
    plain = bytearray(encoded(Image.new("CMYK", (64, 64)), "JPEG", progressive=True))
    at = plain.index(b"\xff\xc2") + 5
    plain[at : at + 4] = struct.pack(">HH", 7000, 7000)
    with pytest.raises(CostlyError, match="too large for a progressive JPEG"):
        check_jpeg(bytes(plain))


def test_a_directory_may_claim_what_is_there_and_nonsense_is_left_to_its_reader():
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "Maker" * 100, 0x0110: "Model", 0x8298: "x" * 2000})
    data = exif.tobytes().removeprefix(b"Exif\0\0")
    assert (
        fits(data) and fits(data[:20]) and fits(b"") and fits(b"nonsense") and fits(b"II*\0\xff\xff\xff\xff")
    )
    assert not fits(directory(100, 1000, 1500))
    assert fits(directory(1, 1000, 1500))


def test_a_png_with_costly_exif_is_read_as_it_lies():
    data = png_with(chunk(b"eXIf", directory(5000, 60_000, 65_000)))
    assert read_photo(data).pixels.shape == (64, 64, 3)


CHILD = """
import sys
from facelab.photos.read import read_photo
def peak():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
read_photo(bytes.fromhex(sys.argv[2]))
before = peak()
for path in sys.argv[3:]:
    try:
        read_photo(path)
    except ValueError as error:
        print(error)
print((peak() - before) // 1024)
"""


def read_apart(*paths: str, loaded: str = "sys") -> tuple[list[str], int]:
    """Read photos in a process of their own that has modules in memory already, as the page has.

    Returns:
        (the refusals, the peak memory above that of a small photo in MB).
    """
    run = subprocess.run(
        [sys.executable, "-c", f"import {loaded}\n{CHILD}", "", SMALL.hex(), *paths],
        capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    *said, grown = run.stdout.splitlines()
    return said, int(grown)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory needs Linux's /proc")
def test_hostile_photos_cost_little_memory(tmp_path):
    paths = []
    for kind, (data, _) in HOSTILE.items():
        paths.append(str(tmp_path / f"{kind}.img"))
        Path(paths[-1]).write_bytes(data)
    flat = encoded(Image.new("L", (7000, 7000)), "JPEG", progressive=True, quality=20)
    (tmp_path / "large scans.img").write_bytes(with_scans(flat, 300))
    said, grown = read_apart(*paths, str(tmp_path / "large scans.img"))
    assert len(said) == len(HOSTILE) + 1 and grown < 300, (said, grown)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory needs Linux's /proc")
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_largest_still_webp_costs_little_memory(mode, tmp_path):
    image = Image.new("RGB", (8100, 6200), "teal")
    if mode == "RGBA":
        image.putalpha(200)
    image.save(tmp_path / "large.webp", quality=50, method=0)
    said, grown = read_apart(str(tmp_path / "large.webp"), loaded="torchvision.io")
    assert not said and grown < 300, (said, grown)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="peak memory needs Linux's /proc")
def test_the_largest_heic_costs_little_memory(tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.new("RGB", (8100, 6200), "teal").save(tmp_path / "large.heic", quality=50)
    said, grown = read_apart(str(tmp_path / "large.heic"), loaded="pillow_heif, torchvision.io")
    assert not said and grown < 300, (said, grown)


def test_every_limit_is_above_what_is_honest():
    assert photo_cost.MAX_SCANS >= 20 and photo_cost.MAX_VISITS > 10 * 1.5 * photo.MAX_PIXELS / 64
    assert photo_cost.MAX_COEFFICIENTS > 1.5 * 2 * photo.MAX_PIXELS, "a 4:2:0 progressive JPEG of full size"
