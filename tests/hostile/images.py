"""Malformed images: cut, flipped, mislabeled, oversized, with lies in their metadata; and honest ones."""

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.conftest import encoded, png_header

WRITTEN = {
    "JPEG": ("L", "RGB", "CMYK"), "PNG": ("1", "L", "LA", "I;16", "P", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"), "BMP": ("1", "L", "P", "RGB"), "DIB": ("L", "RGB"),
    "TIFF": ("1", "L", "LA", "I;16", "I", "F", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"),
    "GIF": ("L", "P", "RGB"), "PPM": ("1", "L", "I;16", "RGB", "F"), "AVIF": ("RGB", "RGBA"),
    "JPEG2000": ("L", "RGB", "RGBA"), "MPO": ("L", "RGB"),
}  # fmt: skip


def images(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of about 250 files."""
    seeds = dict(_honest())
    yield from seeds.items()
    for name, data in seeds.items():
        yield f"cut {name}", data[: rng.randrange(1, len(data))]
        yield f"flipped {name}", flipped(data, rng, 1 + len(data) // 200)
        yield f"head flipped {name}", flipped(data[:64], rng, 4) + data[64:]
        yield f"doubled {name}", data[: len(data) // 2] * 2
    yield from _bombs()
    yield from _metadata(seeds["RGB.jpeg"])
    yield from _polyglots(seeds, rng)


def flipped(data: bytes, rng: random.Random, count: int) -> bytes:
    """Return the bytes with some of their bits turned over."""
    out = bytearray(data)
    for _ in range(count):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _honest() -> Iterator[tuple[str, bytes]]:
    coarse = np.random.default_rng(0).integers(0, 256, (12, 15, 3), np.uint8)
    photo = Image.fromarray(coarse).resize((60, 48))
    for kind, modes in WRITTEN.items():
        for mode in modes:
            gray = np.asarray(photo.convert("L"))
            if mode == "I;16":
                image = Image.fromarray(gray.astype(np.uint16) * 257)
            elif mode == "LAB":
                image = Image.frombytes("LAB", photo.size, photo.tobytes())
            else:
                image = photo.convert(mode)
            yield f"{mode.replace(';', '')}.{kind.lower()}", encoded(image, kind)


def _bombs() -> Iterator[tuple[str, bytes]]:
    for side in (7200, 30_000, 65_535, 2**31 - 1):
        yield f"{side}.png", png_header(side, side)
    yield "wide.png", png_header(2**31 - 1, 1)
    yield "flat.png", encoded(Image.new("1", (20_000, 20_000)), "PNG")
    yield "flat.gif", encoded(Image.new("L", (9000, 9000)), "GIF")
    yield "flat.tiff", encoded(Image.new("L", (9000, 9000)), "TIFF", compression="tiff_deflate")
    yield (
        "many.gif",
        encoded(
            Image.new("P", (2000, 2000)),
            "GIF",
            save_all=True,
            append_images=[Image.new("P", (2000, 2000), 1)] * 20,
        ),
    )
    yield "zero.bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 0, 0, 1, 24, 0, 0, 0, 0, 0, 0)
    yield (
        "huge.bmp",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 2**30, -(2**30), 1, 24, 0, 0, 0, 0, 0, 0),
    )
    yield "huge.ppm", b"P6 99999999 99999999 255\n" + bytes(100)
    yield "negative.ppm", b"P6 -5 -5 255\n" + bytes(100)
    yield "endless.ppm", b"P6 " + b"9" * 100_000
    yield "comments.ppm", b"P6\n" + b"#\n" * 50_000 + b"4 4 255\n" + bytes(48)


def _metadata(jpeg: bytes) -> Iterator[tuple[str, bytes]]:
    """JPEGs whose EXIF, color profile or size fields lie."""

    def with_segment(code: int, body: bytes) -> bytes:
        return jpeg[:2] + bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]

    directory = b"Exif\0\0II*\0\x08\0\0\0"
    for orientation in (0, 6, 9, 65_535):
        entry = struct.pack("<HHLL", 0x0112, 3, 1, orientation)
        yield f"orientation {orientation}.jpg", with_segment(0xE1, directory + b"\1\0" + entry + bytes(4))
    yield (
        "text orientation.jpg",
        with_segment(0xE1, directory + b"\1\0" + struct.pack("<HHLL", 0x0112, 2, 4, 0x41414141) + bytes(4)),
    )
    yield "loop.jpg", with_segment(0xE1, directory + b"\0\0" + struct.pack("<L", 8))
    yield "far.jpg", with_segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")
    yield "rows.jpg", with_segment(0xE1, directory + b"\xff\xff")
    for profile in (
        b"ICC_PROFILE\0\1\1" + bytes(128),
        b"ICC_PROFILE\0\0\0",
        b"ICC_PROFILE\0\xff\1" + b"x" * 99,
    ):
        yield f"profile {len(profile)}.jpg", with_segment(0xE2, profile)
    yield "mpf.jpg", with_segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff")
    yield "adobe.jpg", with_segment(0xEE, b"Adobe" + b"\xff" * 7)
    yield "long segment.jpg", jpeg[:2] + b"\xff\xe1\xff\xff" + jpeg[2:]
    yield "no length.jpg", jpeg[:2] + b"\xff\xe1\0\0" + jpeg[2:]
    at = jpeg.index(b"\xff\xc0")
    for side in (0, 1, 65_535):
        yield f"side {side}.jpg", jpeg[: at + 5] + struct.pack(">HH", side, side) + jpeg[at + 9 :]
    yield "precision.jpg", jpeg[: at + 4] + b"\x0c" + jpeg[at + 5 :]
    yield "components.jpg", jpeg[: at + 9] + b"\xff" + jpeg[at + 10 :]


def _polyglots(seeds: dict[str, bytes], rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Files of another kind than their name says, and of two kinds at once."""
    jpeg, png = seeds["RGB.jpeg"], seeds["RGB.png"]
    for kind, head in {
        "pdf": b"%PDF-1.7\n%", "html": b"<html><script>alert(1)</script>", "svg": b"<svg onload='x()'/>",
        "zip": b"PK\3\4" + bytes(26), "elf": b"\x7fELF" + bytes(60), "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "gzip": b"\x1f\x8b\x08" + bytes(20), "pickle": b"\x80\4\x95" + bytes(20),
        "heic": b"\0\0\0\x18ftypheic",
        "php": b"<?php system('ls'); ?>", "psd": b"8BPS\0\1" + bytes(40), "xpm": b"/* XPM */", "empty": b"",
    }.items():  # fmt: skip
        yield f"{kind}.jpg", head
        yield f"{kind} and photo.jpg", head + jpeg
        yield f"photo and {kind}.jpg", jpeg + head
    yield "png.jpg", png
    yield "two.jpg", jpeg + png
    for length in (1, 2, 3, 12, 100, 5000):
        yield f"noise {length}.png", rng.randbytes(length)
        yield f"noise after {length}.jpg", b"\xff\xd8\xff\xe0" + rng.randbytes(length)
    raw = zlib.compress(bytes(10))
    for color in (1, 5, 7):
        body = struct.pack(">IIBBBBB", 8, 8, 8, color, 0, 0, 0)
        yield (
            f"color {color}.png",
            b"\x89PNG\r\n\x1a\n"
            + b"".join(
                struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
                for kind, part in ((b"IHDR", body), (b"IDAT", raw), (b"IEND", b""))
            ),
        )
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "ICO")
    yield "icon.png", stream.getvalue()
