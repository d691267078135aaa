"""Malformed galleries (.npz), crop files (.npy) and checkpoints (.safetensors)."""

import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.hostile.archives import zipped
from tests.hostile.images import flipped

FORMATS = ["<U0", "<U1", "<f4", ">f8", "|S4", "|O", "<c8", "<M8[s]", "|V8", "<i8", "|b1", "<U1000000000"]
SHAPES = (
    "(2,)",
    "(2, 4)",
    "()",
    "(-1,)",
    "(2, 2, 2)",
    "(10**9,)",
    "(2, 1000000000)",
    "(0, 4)",
    "[2]",
    "(2.5,)",
)


def npy(shape: str, dtype: str, body: bytes = bytes(64), fortran: str = "False") -> bytes:
    """Return an .npy file whose header claims this."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + body


def galleries(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of about 80 .npz files."""
    names, vectors = np.array(["a/1@strong", "b/1@strong"]), np.eye(2, 128, dtype=np.float32)
    good = npz(names=names, embeddings=vectors)
    yield "good.npz", good
    for i in range(12):
        yield f"cut {i}.npz", good[: rng.randrange(len(good))]
        yield f"flipped {i}.npz", flipped(good, rng, 5)
    for i, shape in enumerate(SHAPES):
        yield f"names {i}.npz", zipped({"names.npy": npy(shape, "<U1"), "embeddings.npy": _saved(vectors)})
        yield f"embeddings {i}.npz", zipped({"names.npy": _saved(names), "embeddings.npy": npy(shape, "<f4")})
    for i, kind in enumerate(FORMATS):
        yield f"names of {i}.npz", zipped({"names.npy": npy("(2,)", kind), "embeddings.npy": _saved(vectors)})
        yield f"kind {i}.npz", zipped({"names.npy": _saved(names), "embeddings.npy": npy("(2, 4)", kind)})
    for value in (np.nan, np.inf, 0.0, 1e-30, 3e38):
        yield f"value {value}.npz", npz(names=names, embeddings=np.full((2, 128), value, np.float32))
    pickled = io.BytesIO()
    np.save(pickled, np.array([_Call(), _Call()], object), allow_pickle=True)
    yield "pickled.npz", zipped({"names.npy": pickled.getvalue(), "embeddings.npy": _saved(vectors)})
    yield "pickle.npz", pickle.dumps(_Call())
    yield (
        "bomb.npz",
        zipped({"names.npy": _saved(names), "embeddings.npy": bytes(10**8)}, zipfile.ZIP_DEFLATED),
    )
    yield "slip.npz", zipped({"../names.npy": _saved(names), "embeddings.npy": _saved(vectors)})
    yield (
        "header.npz",
        zipped({"names.npy": b"\x93NUMPY\3\0\xff\xff\xff\x7f", "embeddings.npy": _saved(vectors)}),
    )
    yield "code.npz", zipped({"names.npy": npy("__import__('os')", "<U1"), "embeddings.npy": _saved(vectors)})
    yield "deep.npz", zipped({"names.npy": npy("(" * 90, "<U1"), "embeddings.npy": _saved(vectors)})


class _Call:
    """What leaves a file behind if it is unpickled."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("unpickled"),))


def npz(**arrays: np.ndarray) -> bytes:
    """Return the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def checkpoints(rng: random.Random, good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of about 140 .safetensors files, made from a good one."""
    length = struct.unpack("<Q", good[:8])[0]
    header, body = json.loads(good[8 : 8 + length]), good[8 + length :]
    said = json.loads(header["__metadata__"]["facelab"])
    yield "good.safetensors", good
    for i in range(8):
        yield f"cut {i}.safetensors", good[: rng.randrange(len(good))]
        yield f"flipped {i}.safetensors", flipped(good[: 8 + length], rng, 6) + body
    for claimed in (0, 1, length - 1, length + 1, 10**8, 2**31, 2**63, 2**64 - 1):
        yield f"length {claimed}.safetensors", struct.pack("<Q", claimed) + good[8:]
    for deep in (100, 100_000):
        text = b"[" * deep + b"]" * deep
        yield f"deep {deep}.safetensors", struct.pack("<Q", len(text)) + text
    name = next(key for key in header if key != "__metadata__")
    for i, change in enumerate(
        [{"data_offsets": [0, 2**40]}, {"data_offsets": [-4, 0]}, {"data_offsets": [4, 0]},
         {"data_offsets": "a"},
         {"shape": [2**62]}, {"shape": [-1]}, {"shape": [1] * 100}, {"shape": None}, {"dtype": "F128"},
         {"dtype": None}, {"dtype": "F64"}, {"more": 1}, {"shape": [True]},
         {"data_offsets": [10**30, 10**30]}]
    ):  # fmt: skip
        yield f"entry {i}.safetensors", packed(header | {name: header[name] | change}, body)
    yield "overlap.safetensors", packed(header | {"twin": header[name]}, body)
    yield "missing.safetensors", packed({key: value for key, value in header.items() if key != name}, body)
    for i, (path, value) in enumerate(_lies(said)):
        changed = json.loads(json.dumps(said))
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        claim = {"__metadata__": {"format": "facelab/1", "facelab": json.dumps(changed)}}
        yield f"lie {i} {path[-1]}.safetensors", packed(header | claim, body)
    for i, text in enumerate(("", "[]", "null", "5", "{", "[" * 10_000, '{"recipe": 1}', "NaN")):
        claim = {"__metadata__": {"format": "facelab/1", "facelab": text}}
        yield f"metadata {i}.safetensors", packed(header | claim, body)
    yield "pickle.safetensors", pickle.dumps(_Call())


def _lies(said: dict) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield (place, value) that a header may not hold: every field of the recipe, and the rest."""
    for key, value in said["recipe"].items():
        yield (
            ("recipe", key),
            10**9 if isinstance(value, int) else float("nan") if value is None else {"a": 1},
        )
        if isinstance(value, int | float):
            yield ("recipe", key), -(10**18)
    for count in (0, -1, 10**9, 10**30, "4", None, 4.5):
        yield ("num_classes",), count
    for key, value in (
        ("data", 5),
        ("metrics", [1]),
        ("identities", ["a"]),
        ("identities", "abcd"),
        ("more", 1),
    ):
        yield (key,), value
    for key in said["operating_points"]:
        yield ("operating_points", key), None
        yield ("operating_points", key), [float("nan")]


def packed(header: dict, body: bytes) -> bytes:
    """Return a .safetensors file of this header."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body
