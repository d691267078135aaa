"""Random changes of good files, for each reader: read, or refused in one sentence.

The suite tries a few, the same ones each time. By hand, `FACELAB_FUZZ=5000 python -m pytest
tests/hostile/test_fuzz.py` tries that many of each, new ones each time; what they find becomes a case of the
corpus.
"""

import gzip
import importlib.util
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from facelab.data.formats.vectors import read_vectors
from facelab.evaluation.groups import read_groups
from facelab.models.recipe import Recipe
from tests.conftest import CROP, encoded, one_sentence
from tests.hostile import feed, tables
from tests.hostile.archives import tarred, zipped
from tests.hostile.arrays import npz

EACH = int(os.environ.get("FACELAB_FUZZ", "0"))
PHOTO = Image.fromarray(np.random.default_rng(1).integers(0, 255, (24, 20, 3), np.uint8))
FILES = {f"p{i}/{j}.png": CROP for i in range(2) for j in range(2)}
VECTORS = {"names": np.array(["a", "b"]), "embeddings": np.arange(1, 9, dtype=np.float32).reshape(2, 4)}


def vectors(path: Path) -> None:
    """Read embeddings of other programs, which must be finite."""
    assert np.isfinite(read_vectors(path).embeddings).all()


def groups(path: Path) -> None:
    """Read attributes of two photos."""
    read_groups(path, ["a/1.png", "b/1.png"])


def onnx(path: Path) -> None:
    """Open a network."""
    importlib.import_module("facelab.recognition.onnx_embedder").open_onnx(path)


def good() -> list[tuple[str, str, bytes]]:
    """(reader, suffix, content) of a good file of each kind."""
    kinds = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000")
    tar, archive = tarred(FILES), zipped(FILES)
    table = b"path,identity\na/1.png,a\nb/1.png,b\n"
    return [
        *(("photo", f".{kind.lower()}", encoded(PHOTO, kind)) for kind in kinds),
        *(("archive", suffix, data) for suffix, data in ((".zip", archive), (".tar", tar))),
        ("archive", ".tar.gz", gzip.compress(tar)),
        *(("list", suffix, text) for suffix, text in (
            (".txt", b"10\t2\nAnn\t1\t2\nAnn\t1\tBo\t2\n"), (".csv", table), (".csv", b"a,b,1\na,c,0\n"),
        )),
        ("gallery", ".npz", npz(**VECTORS)), ("vectors", ".npz", npz(**VECTORS)),
        ("recipe", ".json", json.dumps(Recipe().to_dict()).encode()), ("recipe", ".toml", b"lr = 0.1\n"),
        ("format", ".rec", tables.record_file()), ("format", ".bin", tables.bin_file()),
        ("format", ".parquet", tables.parquet_file()), ("groups", ".csv", b"name,sex\na,f\nb,m\n"),
    ]  # fmt: skip


GOOD = good()
READERS = feed.READERS | {"vectors": (vectors,), "groups": (groups,), "onnx": (onnx,)}
place, some = st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)
change = st.one_of(
    st.tuples(st.just("set"), place, some),
    st.tuples(st.just("head"), place, some),  # a header is short, and all of it matters
    st.tuples(st.just("insert"), place, some),
    st.tuples(st.just("cut"), place, st.just(b"")),
    st.tuples(st.just("twice"), place, st.just(b"")),
)


def changed(content: bytes, changes: list[tuple[str, float, bytes]]) -> bytes:
    """Return the content with each change made in turn."""
    data = bytearray(content)
    for kind, where, new in changes:
        at = int(where * (min(len(data), 200) if kind == "head" else len(data)))
        if kind in ("set", "head"):
            data[at : at + len(new)] = new
        elif kind == "insert":
            data[at:at] = new
        elif kind == "cut":
            del data[at:]
        else:
            data[at:] = data[at:] * 2
    return bytes(data)


def read(group: str, path: Path) -> None:
    """Read it by each reader of its kind; any error that is no sentence is raised."""
    for reader in READERS[group]:
        try:
            reader(path)
        except ValueError as error:
            if type(error) not in feed.REFUSALS and not feed._own(error):
                raise
            said = str(error)
            hidden = () if group in feed.TYPED else (path.parent,)
            assert one_sentence(said, *hidden) and len(said) < 1000, said


def fuzz(group: str, suffix: str, content: bytes) -> None:
    """Change a good file in many ways, and read each."""
    steady = {} if EACH else {"derandomize": True, "database": None, "phases": [Phase.generate]}

    @settings(max_examples=EACH or 25, suppress_health_check=list(HealthCheck), deadline=None, **steady)
    @given(st.lists(change, min_size=1, max_size=5))
    def try_one(changes: list[tuple[str, float, bytes]]) -> None:
        path.write_bytes(changed(content, changes))
        read(group, path)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"some{suffix}"
        path.write_bytes(content)
        read(group, path)
        try_one()
        assert [found.name for found in Path(folder).iterdir()] == [path.name], "something is left"


@pytest.mark.parametrize(("group", "suffix", "content"), GOOD, ids=[f"{g}{s}" for g, s, _ in GOOD])
def test_a_changed_file_is_read_or_refused_in_a_sentence(group, suffix, content):
    fuzz(group, suffix, content)


def test_a_changed_checkpoint_is_read_or_refused_in_a_sentence(tiny_checkpoint):
    fuzz("checkpoint", ".safetensors", tiny_checkpoint.read_bytes())


def test_a_changed_network_is_read_or_refused_in_a_sentence():
    pytest.importorskip("onnxruntime")
    from tests.recognition.test_onnx_embedder import graph

    fuzz("onnx", ".onnx", graph())
