"""Embeddings of other programs in every form that is read, and what is none."""

import io
import zipfile

import numpy as np
import pytest

from facelab.data.embeddings import save_embeddings
from facelab.data.formats.vectors import read_vectors
from tests.conftest import one_sentence

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def test_every_form_gives_the_same(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    save_embeddings(tmp_path / "own.npz", ["a", "b", "c", "d"], X, ["7", "7", "8", ""])
    np.savez(tmp_path / "plain.npz", embeddings=X, labels=np.array([7, 7, 8, 8]))
    np.savez_compressed(
        tmp_path / "other.npz", features=X.astype(np.float64), y=np.array(["7", "7", "8", "8"])
    )
    np.save(tmp_path / "e.npy", X)
    (tmp_path / "e.csv").write_text("\ufeffname,label\r\na,7\r\nb,7\r\nc,8\r\nd,8\r\n")
    np.save(tmp_path / "f.npy", X)
    (tmp_path / "f.csv").write_text("7\n7\n8\n8\n")
    columns = {"embedding": list(X), "label": [7, 7, 8, 8], "name": list("abcd")}
    pq.write_table(pa.table(columns), tmp_path / "e.parquet")
    for file in ("own.npz", "plain.npz", "other.npz", "e.npy", "f.npy", "e.parquet"):
        found = read_vectors(tmp_path / file)
        assert np.array_equal(found.embeddings, X), file
        assert found.identities == ("7", "7", "8", "" if file == "own.npz" else "8"), file
        named = file in ("own.npz", "e.npy", "e.parquet")
        assert found.names == (tuple("abcd") if named else tuple("0123")), file


def test_logits_come_along_and_no_label_need(tmp_path):
    np.savez(tmp_path / "a.npz", embeddings=X, logits=np.eye(4, 3))
    found = read_vectors(tmp_path / "a.npz")
    assert found.identities is None and found.logits.shape == (4, 3)
    np.save(tmp_path / "b.npy", X)
    assert read_vectors(tmp_path / "b.npy").identities is None


def bomb() -> bytes:
    """An .npz whose 80 MB of zeros take 80 kB."""
    head, out = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f4", "fortran_order": False, "shape": (40_000, 512)}
    )
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("embeddings.npy", head.getvalue() + bytes(40_000 * 2048))
    return out.getvalue()


def header(shape: tuple, descr: str = "<f4") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()


HOSTILE = {
    "a.npz": b"PK\x03\x04 cut",
    "bomb.npz": bomb(),
    "a.npy": b"no array",
    "long.npy": header((10**12, 512)) + bytes(64),
    "short.npy": header((4, 6)) + bytes(90),
    "wide.npy": header((1, 9000)) + bytes(36_000),
    "object.npy": header((2, 2), "|O") + bytes(32),
    "ints.npy": header((2, 2), "<i4") + bytes(16),
    "negative.npy": header((-1, 4)) + bytes(16),
    "zeros.npy": header((2, 2)) + bytes(16),
    "a.parquet": b"PAR1",
}


@pytest.mark.parametrize("file", HOSTILE)
def test_hostile_files_get_one_sentence(file, tmp_path):
    if file.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / file).write_bytes(HOSTILE[file])
    with pytest.raises(ValueError) as stop:
        read_vectors(tmp_path / file)
    assert one_sentence(str(stop.value), tmp_path) and file in str(stop.value)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"embeddings": X, "labels": np.arange(3)}, "4 embeddings and 3 labels"),
        ({"embeddings": X[:, :, None], "labels": np.arange(4)}, "floating-point numbers (N, D)"),
        ({"embeddings": X.astype(int)}, "int64 (4, 6); it must be floating-point numbers (N, D)"),
        ({"embeddings": X, "labels": np.arange(4.0)}, "it must be N integers or texts"),
        ({"embeddings": X, "labels": np.zeros((4, 2), int)}, "one for each embedding"),
        ({"embeddings": X, "labels": np.array([None] * 4)}, "never unpickled"),
        ({"embeddings": X, "logits": np.full((4, 2), np.nan)}, "must be finite numbers"),
        ({"vectors": X}, "has no array 'embeddings'; it has vectors"),
    ],
)
def test_arrays_that_do_not_fit_are_named(arrays, words, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError) as stop:
        read_vectors(tmp_path / "a.npz")
    assert words in str(stop.value) and one_sentence(str(stop.value), tmp_path)


def test_most_is_kept_to(tmp_path):
    np.savez(tmp_path / "a.npz", embeddings=X)
    np.save(tmp_path / "a.npy", X)
    for file in ("a.npz", "a.npy"):
        assert len(read_vectors(tmp_path / file, 4).names) == 4
        with pytest.raises(ValueError, match="3 is the limit"):
            read_vectors(tmp_path / file, 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label\n1\n2\n", "2 rows for 4 embeddings"),
        ("a,b\n1,2\n1,2\n1,2\n1,2\n", "needs a column titled label"),
        ("name,label\na,1\nb\nc,1\nd,2\n", "a row with fewer fields"),
        ("name,label\na,1\na,1\nc,1\nd,2\n", "'a' is named 2 times"),
    ],
)
def test_a_table_of_labels_must_fit(text, words, tmp_path):
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError) as stop:
        read_vectors(tmp_path / "a.npy")
    assert words in str(stop.value) and one_sentence(str(stop.value), tmp_path)
