"""Cost of reading a photo, estimated from its structure before it is decoded.

A file of a few hundred kilobytes can keep a decoder busy for seconds or fill the memory: a progressive JPEG
with hundreds of scans over a large picture, a million empty segments, a directory whose entries all claim the
same megabytes, pixels that are read by a loop in Python. A running decoder cannot be stopped, so its work is
estimated first; structures that no camera writes raise an error.
"""

import io
import os
import re
import struct
from typing import Any, BinaryIO

MAX_SCANS = 100  # of a JPEG; encoders write 1 to about 20
MAX_VISITS = 25_000_000  # of 8x8 blocks, over all scans: a 50-megapixel photo has 1.2 million of them
MAX_COEFFICIENTS = 160 * 2**20  # bytes that a JPEG of several scans keeps until the last one
MAX_SEGMENTS = 5000  # of a JPEG
MAX_CALLS = 100_000  # reads while a header is parsed
MAX_PARTS = 50_000  # strips or tiles of a TIFF
MAX_SLOW = 1_000_000  # values that are decoded by a loop in Python
ROOM = 2**20  # bytes that may be read over and over, e.g. a header
SLOW = ("ppm", "ppm_plain", "bmp_rle")  # Pillow's names of those decoders
MAX_PIXELS = {"AVIF": 12_000_000, "JPEG2000": 8_000_000}  # whose decoders are slow and hold several copies
MAX_ANIMATED = 8_000_000  # pixels of a WebP or AVIF with frames

MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # but for restarts, which are many
FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
STRIPS, TILES = (273, 279), (324, 325)  # TIFF tags: offsets, byte counts


class CostlyError(ValueError):
    """Report why a photo is not read, as the end of a sentence that begins with its name."""


class Budgeted(io.RawIOBase):
    """Limit the number of reads and bytes of a file, then raise CostlyError."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self._file, self._bytes, self._calls = file, 4 * size + ROOM, MAX_CALLS

    def read(self, size: int = -1) -> bytes:
        """Read as from any file."""
        data = self._file.read(size)
        self._bytes -= len(data)
        self._calls -= 1
        if min(self._bytes, self._calls) < 0:
            raise CostlyError("is built so that reading it takes too long; export it again as JPEG or PNG")
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Seek as in any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position as for any file."""
        return self._file.tell()

    def getvalue(self) -> bytes:
        """Return the whole content, like io.BytesIO."""
        at = self.tell()
        self.seek(0)
        content = self.read()
        self.seek(at)
        return content

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True


def check_jpeg(data: Any) -> None:
    """Raise an error for a JPEG with too many scans or segments, or metadata that expand when they are read.

    Args:
        data: bytes, or a mapped file.

    Raises:
        CostlyError: it would take too long, or too much memory.
    """
    at, segments, scans, visits, blocks, exif = 2, 0, 0, 0, {}, b""
    while found := MARKER.search(data, at):
        code, at = data[found.end() - 1], found.end()
        if code == 0xD9:  # the end; what follows is not decoded
            break
        if code in (0x01, 0xD8):
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        body, at, segments = bytes(data[at + 2 : at + length]), at + max(length, 2), segments + 1
        if segments > MAX_SEGMENTS:
            raise CostlyError(f"has more than {MAX_SEGMENTS:,} segments; export it again as JPEG or PNG")
        if code in FRAMES:
            blocks = _blocks(body)
        elif code == 0xE1 and body[:6] == b"Exif\0\0":
            exif += body[6 if exif else 0 :]
        elif code == 0xE2 and body[:4] == b"MPF\0" and not fits(body[4:]):
            raise CostlyError("has metadata that unpack without end; export it again as JPEG or PNG")
        elif code == 0xDA and body:
            scans += 1
            parts = list(body[1 : 1 + 2 * body[0] : 2])
            visits += sum(blocks.get(part, 0) for part in parts)
            _check_scans(scans, visits, blocks, len(parts) < len(blocks))
    if not fits(exif[6:]):
        raise CostlyError("has metadata that unpack without end; export it again as JPEG or PNG")


def _blocks(frame: bytes) -> dict[int, int]:
    """Return the number of 8x8 blocks of each component of a JPEG's frame."""
    if len(frame) < 6:
        return {}
    height, width = struct.unpack(">HH", frame[1:5])
    parts = [(frame[i], frame[i + 1] >> 4, frame[i + 1] & 15) for i in range(6, len(frame) - 2, 3)]
    across, down = (max((part[side] for part in parts), default=1) or 1 for side in (1, 2))
    return {name: -(-width * x // (8 * across)) * -(-height * y // (8 * down)) for name, x, y in parts}


def _check_scans(scans: int, visits: int, blocks: dict[int, int], several: bool) -> None:
    if scans > MAX_SCANS or visits > MAX_VISITS:
        raise CostlyError(
            f"is a progressive JPEG of too many scans ({scans} or more); save it as a plain one"
        )
    if (several or scans > 1) and 128 * sum(blocks.values()) > MAX_COEFFICIENTS:
        raise CostlyError("is too large for a progressive JPEG; reduce it, or save it as a plain one")


def fits(directory: bytes) -> bool:
    """Return whether the entries of a TIFF directory, such as EXIF, together announce no more than the file
    holds.

    Entries may overlap, and each is read separately: a thousand entries for the same megabyte are a gigabyte.
    Truncated or invalid directories fit; the reader rejects or ignores them.
    """
    order = {b"II": "<", b"MM": ">"}.get(directory[:2])
    if order is None or len(directory) < 8:
        return True
    start = struct.unpack(order + "L", directory[4:8])[0]
    if start + 2 > len(directory):
        return True
    count, claimed = struct.unpack(order + "H", directory[start : start + 2])[0], 0
    for at in range(start + 2, min(start + 2 + 12 * count, len(directory) - 11), 12):
        _, kind, many, place = struct.unpack(order + "HHLL", directory[at : at + 12])
        size = many * UNITS.get(kind, 1)
        claimed += min(size, max(0, len(directory) - place)) if size > 4 else 4
    return claimed <= 2 * len(directory)


def check_opened(image: Any, size: int) -> None:
    """Raise an error for an image that Pillow's header reader accepts but that costs too much time or memory
    to decode.

    Args:
        image: an opened image that is not loaded.
        size: size of the file, in bytes.

    Raises:
        CostlyError: decoding would cost too much.
    """
    pixels = image.width * image.height
    limit = MAX_PIXELS.get(image.format, pixels)
    if image.format in ("WEBP", "AVIF") and getattr(image, "is_animated", False):
        limit = MAX_ANIMATED
    if pixels > limit:
        raise CostlyError(f"has {pixels / 1e6:.0f} megapixels, too many for {image.format}; save it as JPEG")
    if any(tile[0] in SLOW for tile in image.tile) and pixels * len(image.getbands()) > MAX_SLOW:
        raise CostlyError(f"is a {image.format} of a kind that is slow to read; save it as JPEG or PNG")
    if image.format == "TIFF":
        _check_tiff(image, pixels, size)


def _check_tiff(image: Any, pixels: int, size: int) -> None:
    """Check the number, size and overlap of strips and tiles."""
    tags = image.tag_v2
    for offsets, counts in (STRIPS, TILES):
        many, lengths = (tags.get(tag, ()) for tag in (offsets, counts))
        many, lengths = (value if isinstance(value, tuple) else (value,) for value in (many, lengths))
        if len(many) > MAX_PARTS or sum(n for n in lengths if isinstance(n, int)) > 2 * size + ROOM:
            raise CostlyError("is a TIFF of too many parts; save it as JPEG or PNG")
    tile = tags.get(322, 1), tags.get(323, 1)
    if not all(isinstance(side, int) for side in tile) or tile[0] * tile[1] > max(2 * pixels, 2**22):
        raise CostlyError("is a TIFF with tiles larger than itself; save it as JPEG or PNG")
