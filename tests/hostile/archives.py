"""Malformed zips and tars: bombs, ways out of the folder, links, nesting, encryption, names, counts."""

import gzip
import io
import random
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator

from tests.conftest import CROP
from tests.hostile.images import flipped

NAMES = (
    "../out.png", "../../../../tmp/out.png", "/etc/out.png", "a/../../out.png", "C:\\out.png",
    "..\\..\\out.png",
    "\\\\host\\share\\out.png", "a//b.png", "./a.png", ".", "..", "", "a\0b.png", "a\nb.png", "\x1b[2J.png",
    "\u202egnp.exe.png", "x" * 250 + ".png", "x" * 60_000 + ".png", "CON.png", "a:b.png",
    "a/" * 2000 + "b.png",
    "con/aux.png", "%2e%2e/out.png", "~/out.png", "$HOME/out.png", "a/b/../../../out.png", "-rf.png",
)  # fmt: skip


def archives(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of about 130 files."""
    good = zipped({f"p{i}/{j}.png": CROP for i in range(3) for j in range(3)})
    yield "good.zip", good
    for i in range(20):
        yield f"cut {i}.zip", good[: rng.randrange(len(good))]
        yield f"flipped {i}.zip", flipped(good, rng, 8)
    for i, name in enumerate(NAMES):
        yield f"name {i}.zip", zipped({name: CROP, "p/a.png": CROP})
        yield f"name {i}.tar", tarred({name: CROP, "p/a.png": CROP}) if "\0" not in name else b""
    yield from _zips(good)
    yield from _tars(rng)


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return the bytes of a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return buffer.getvalue()


def tarred(entries: dict[str, bytes], **fields: object) -> bytes:
    """Return the bytes of a tar; `fields` are set on each entry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _zips(good: bytes) -> Iterator[tuple[str, bytes]]:
    yield "empty.zip", zipped({})
    yield "no image.zip", zipped({"a.txt": b"x", "b.exe": b"MZ"})
    yield "bomb.zip", zipped({"p/a.png": bytes(60_000_000)}, zipfile.ZIP_DEFLATED)
    yield "bomb lzma.zip", zipped({"p/a.png": bytes(30_000_000)}, zipfile.ZIP_LZMA)
    yield "bomb bzip2.zip", zipped({"p/a.png": bytes(30_000_000)}, zipfile.ZIP_BZIP2)
    yield "many.zip", zipped({f"p/{i}.png": b"" for i in range(100_000)})
    nested = good
    for i in range(4):
        nested = zipped({f"{i}.zip": nested, "p/a.png": CROP})
        yield f"nested {i}.zip", nested
    link = zipfile.ZipInfo("p/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("p/a.png", CROP)
    yield "link.zip", buffer.getvalue()
    encrypted = bytearray(good)
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = encrypted.index(mark)
        encrypted[place + at] |= 1
    yield "encrypted.zip", bytes(encrypted)
    central = good.index(b"PK\1\2")
    for name, at, value in (
        ("size", 24, 2**32 - 1), ("packed", 20, 2**32 - 1), ("offset", 42, 2**32 - 2), ("crc", 16, 7),
    ):  # fmt: skip
        yield f"false {name}.zip", good[: central + at] + struct.pack("<L", value) + good[central + at + 4 :]
    for method in (1, 9, 98, 99, 65_535):
        yield f"method {method}.zip", good[: central + 10] + struct.pack("<H", method) + good[central + 12 :]
    end = good.index(b"PK\5\6")
    yield "false count.zip", good[: end + 8] + b"\xff\xff\xff\xff" + good[end + 12 :]
    yield "false directory.zip", good[: end + 12] + b"\xff" * 8 + good[end + 20 :]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for _ in range(3):
            archive.writestr(zipfile.ZipInfo("p/a.png"), CROP)
    yield "duplicate.zip", buffer.getvalue()
    name = zipped({"p/\u00e9\u00e9.png": CROP})
    yield "undecodable.zip", name.replace("\u00e9\u00e9".encode(), b"\xff\xfe\xfd\x80")
    yield "both.zip", CROP + good


def _tars(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    good = tarred({f"p{i}/{j}.png": CROP for i in range(3) for j in range(3)})
    yield "good.tar", good
    yield "good.tar.gz", gzip.compress(good)
    for i in range(8):
        yield f"cut {i}.tar", good[: rng.randrange(len(good))]
        yield f"flipped {i}.tar", flipped(good, rng, 8)
        yield f"flipped {i}.tar.gz", flipped(gzip.compress(good), rng, 3)
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE):
        yield f"type {ord(kind)}.tar", tarred({"p/a.png": b""}, type=kind, linkname="/etc/passwd")
        yield f"type {ord(kind)} and image.tar", tarred({"p/a.png": b""}, type=kind, linkname="../..") + good
    yield "bomb.tar.gz", gzip.compress(tarred({"p/a.png": bytes(60_000_000)}))
    yield "many.tar", tarred({f"p/{i}.png": b"" for i in range(20_000)})
    huge = tarfile.TarInfo("p/a.png")
    huge.size = 2**60
    yield "huge.tar", huge.tobuf(tarfile.GNU_FORMAT) + CROP
    yield "empty.tar", bytes(10_240)
