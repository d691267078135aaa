"""Malformed lists of pairs, tables, recipes, and the field's formats: RecordIO, .bin, Parquet, crop files."""

import io
import json
import pickle
import random
import struct
from collections.abc import Iterator
from dataclasses import fields

from facelab.models.recipe import Recipe
from tests.conftest import CROP
from tests.hostile.arrays import SHAPES, _Call, npy
from tests.hostile.images import flipped

TEXTS = (
    b"", b"\n\n", b"a b 1\n" * 3, b"10\t300\n", b"-1\t-1\n", b"9" * 30 + b"\n", b"\xff\xfe\xfd\x80 1\n",
    "a,b,1\n".encode("utf-16"), b"a" * 1_000_000, b"a\0b,c,1\n", b'"unclosed,a,b\n' * 5, b",,,\n" * 10,
    b"../../etc/passwd,/etc/shadow,1\n", b"a,b,maybe\n", b"a;b;1\nc,d,0\n", b"name,label\n", b"a,b\nc\n",
    b"\x89PNG\r\n\x1a\n", b"a,b," + b"1" * 10_000 + b"\n", b"Abel 1 2\nAbel 1\n",
    b"Abel 999999999999999999 2\n",
    b"1 2\nAbel -1 2\n", b"a.png,b.png,nan\n", b"=cmd|'/c calc'!A1,b,1\n", b"a,b,1\n" * 100_000,
    b"path,identity\n../../x.png,a\n", b"path,identity\n/etc/passwd,b\n", b"a.png," + b"\xc3\x28" + b"\n",
)  # fmt: skip


def lists() -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of lists and tables."""
    for i, text in enumerate(TEXTS):
        yield f"list {i}.txt", text
        yield f"table {i}.csv", text


def recipes() -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of recipe files: wrong syntax, and each field out of range."""
    wrong = (
        b"",
        b"null",
        b"5",
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"lr": NaN}',
        b'{"seed": 1e999}',
        b"\xff\xfe",
        b"{}x",
    )
    for i, text in enumerate(wrong):
        yield f"syntax {i}.json", text
        yield f"syntax {i}.toml", text
    yield "long name.json", json.dumps({"x" * 60_000: 1}).encode()
    yield "deep.toml", b"a = " + b"[" * 100_000
    for field in fields(Recipe):
        for i, value in enumerate(("x" * 60_000, ["x" * 60_000], [1] * 60_000, 10**4000)):
            yield f"long {field.name} {i}.json", json.dumps({field.name: value}).encode()
        for i, value in enumerate((None, -1, 10**30, "x", [["x"]], {"a": 1})):
            yield f"{field.name} {i}.json", json.dumps({field.name: value}).encode()


def field_formats(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of .rec, .bin, .parquet and .npy files."""
    for suffix, good in (("rec", record_file()), ("bin", bin_file()), ("parquet", parquet_file())):
        yield f"good.{suffix}", good
        for i in range(15):
            yield f"cut {i}.{suffix}", good[: rng.randrange(len(good))]
            yield f"flipped {i}.{suffix}", flipped(good, rng, 4)
            yield f"head {i}.{suffix}", flipped(good[:48], rng, 3) + good[48:]
            yield f"tail {i}.{suffix}", good[:-48] + flipped(good[-48:], rng, 3)
        yield f"noise.{suffix}", rng.randbytes(2000)
    for claimed in (2**29 - 1, 0, 1, 23, 24):
        yield f"record {claimed}.rec", struct.pack("<II", 0xCED7230A, claimed) + bytes(40)
    yield "parts.rec", struct.pack("<II", 0xCED7230A, 1 << 29 | 4) * 500
    yield "call.bin", pickle.dumps(([_Call()], [True]))
    for i, value in enumerate(
        ([], ([], []), ([b"a"], [True]), ([b"a", b"b"], ["x"]), ([1, 2], [True]), {"a": 1})
    ):
        yield f"value {i}.bin", pickle.dumps(value)
    loop: list = []
    loop.append(loop)
    yield "loop.bin", pickle.dumps((loop, loop))
    yield "memo.bin", b"\x80\2" + b"(" * 100_000 + b"."
    yield "long.bin", b"\x80\4\x8e" + struct.pack("<Q", 2**60)
    yield "frame.bin", b"\x80\4\x95" + struct.pack("<Q", 2**63) + b"."
    for i, shape in enumerate(SHAPES):
        yield f"crops {i}.npy", npy(shape, "|u1")


def record_file() -> bytes:
    """Return two images as RecordIO."""
    out = b""
    for label in (0, 1):
        body = struct.pack("<IfQQ", 0, label, label, 0) + CROP
        out += struct.pack("<II", 0xCED7230A, len(body)) + body + bytes(-len(body) % 4)
    return out


def bin_file() -> bytes:
    """Return two pairs as a verification .bin."""
    return pickle.dumps(([CROP] * 4, [True, False]), protocol=2)


def parquet_file() -> bytes:
    """Return two images as Parquet, or noise where its package is absent."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        return b"PAR1" + bytes(100) + b"PAR1"
    table = arrow.table({"image": [{"bytes": CROP, "path": "a.png"}] * 2, "label": [0, 1]})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()
