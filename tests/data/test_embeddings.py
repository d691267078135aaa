"""Embeddings in a file: what goes in comes out, and a stranger's file is refused before it is unpacked."""

import io
import math
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelab.data.embeddings import load_embeddings, save_embeddings
from facelab.data.images import ImageFolder
from tests.conftest import one_sentence

NAMES = ["a/x.jpg", "李雷/照片.png", "c"]
VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def archive(path, **members: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path):
    save_embeddings(tmp_path / "a.npz", NAMES, VECTORS)
    names, vectors = load_embeddings(tmp_path / "a.npz")
    assert names == tuple(NAMES) and vectors.dtype == np.float32 and np.array_equal(vectors, VECTORS)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["names"].tolist() == NAMES and np.array_equal(file["embeddings"], VECTORS)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_numpys_own_files_are_read_in_every_precision_and_order(dtype, write, tmp_path):
    write(tmp_path / "a.npz", embeddings=np.asfortranarray(VECTORS.astype(dtype)), names=np.array(NAMES))
    names, vectors = load_embeddings(tmp_path / "a.npz")
    assert names == tuple(NAMES) and vectors.dtype == np.float32
    assert np.array_equal(vectors, VECTORS.astype(dtype).astype(np.float32))


def test_a_pickle_is_never_run(tmp_path):
    fired = tmp_path / "fired"

    class Hostile:
        def __reduce__(self):
            return open, (str(fired), "w")

    for members in (
        {"names": npy(np.array([Hostile()], object)), "embeddings": npy(VECTORS[:1])},
        {"names": npy(np.array(["a"])), "embeddings": npy(np.array([[Hostile()]], object))},
    ):
        fired.unlink(missing_ok=True)
        with pytest.raises(ValueError, match="holds Python objects in") as error:
            load_embeddings(archive(tmp_path / "a.npz", **members))
        assert not fired.exists() and one_sentence(str(error.value), tmp_path)


def announced(shape: tuple[int, ...], dtype: str, data: bytes) -> bytes:
    """A .npy whose header promises an array that its data are not."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + data


def test_a_bomb_is_refused_by_what_its_headers_say(tmp_path):
    small = npy(np.array(["a"]))
    for bomb, size in (
        (npy(np.zeros((1, 10_000_000), np.float32)), "40,000,128"),
        (announced((1, 2**40), "<f4", b"1234"), "4,398,046,511,104"),
    ):
        with pytest.raises(ValueError, match=f"declares {size} bytes for 'embeddings'; it was not read"):
            load_embeddings(archive(tmp_path / "a.npz", names=small, embeddings=bomb))


@pytest.mark.parametrize(
    ("names", "vectors", "words"),
    [
        (NAMES[:2], VECTORS, "2 names and 3 embeddings"),
        (["a", "b", "a"], VECTORS, "'a' is named 2 times"),
        (NAMES, VECTORS[0], r"embeddings are float32 \(4,\); they must be floating-point numbers \(N, D\)"),
        (NAMES, VECTORS.astype(int), r"embeddings are int64 \(3, 4\)"),
        (NAMES, np.where(np.eye(3, 4), np.nan, VECTORS), "embedding of 'a/x.jpg' holds NaN or infinity"),
        (NAMES, VECTORS.astype(np.float64) * 1e300, "holds NaN or infinity"),
        (np.array([], str), VECTORS[:0], r"embeddings are float32 \(0, 4\)"),
        ([1, 2, 3], VECTORS, "names are int64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_when_read(names, vectors, words, tmp_path):
    np.savez(tmp_path / "a.npz", names=np.array(names), embeddings=vectors)
    with pytest.raises(ValueError, match=words) as error:
        load_embeddings(tmp_path / "a.npz")
    assert str(error.value).startswith("a.npz") and one_sentence(str(error.value), tmp_path)


def test_nothing_is_written_that_could_not_be_read(tmp_path):
    save_embeddings(tmp_path / "a.npz", NAMES, VECTORS)
    before = (tmp_path / "a.npz").read_bytes()
    for names, vectors in ((NAMES[:2], VECTORS), (["a"] * 3, VECTORS), (NAMES, VECTORS * np.inf)):
        with pytest.raises(ValueError):
            save_embeddings(tmp_path / "a.npz", names, vectors)
    with pytest.raises(ValueError, match=r"a\.txt must end in \.npz"):
        save_embeddings(tmp_path / "a.txt", NAMES, VECTORS)
    assert (tmp_path / "a.npz").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("names")
    archive(tmp_path / "half.npz", names=npy(np.array(NAMES)))
    for name, words in (
        ("none.npz", "does not exist; `python -m facelab embed` writes such a file"),
        ("text.npz", "is not a complete .npz file"),
        ("half.npz", "half.npz has no array 'embeddings'; it needs names and embeddings"),
    ):
        with pytest.raises(ValueError, match=words) as error:
            load_embeddings(tmp_path / name)
        assert one_sentence(str(error.value))


@given(st.data())
def test_a_damaged_file_raises_nothing_but_value_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    save_embeddings(path, NAMES, VECTORS)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        names, vectors = load_embeddings(path)
    except ValueError as error:
        assert one_sentence(str(error))
    else:
        assert len(names) == len(vectors) and np.isfinite(vectors).all()


def headers(tmp_path, names, embeddings):
    """An archive of two arrays that announce these shapes and types and hold as many bytes."""
    members = {}
    for array, (shape, dtype) in (("names", names), ("embeddings", embeddings)):
        content = np.random.default_rng(0).bytes(math.prod(shape) * np.dtype(dtype).itemsize)
        members[array] = announced(shape, dtype, content)
    return archive(tmp_path / "a.npz", **members)


@pytest.mark.parametrize(
    ("names", "embeddings", "words"),
    [
        (((500_000_000,), "<U0"), ((3, 4), "<f4"), "must be N strings of 1 to"),
        (((3,), "<U0"), ((3, 4), "<f4"), "must be N strings of 1 to"),
        (((3,), "|S5"), ((3, 4), "<f4"), "must be N strings"),
        (((3, 1), "<U5"), ((3, 4), "<f4"), "must be N strings"),
        (((), "<U5"), ((3, 4), "<f4"), "must be N strings"),
        (((3,), "|V0"), ((3, 4), "<f4"), "must be N strings"),
        (((3,), "<U2000"), ((3, 4), "<f4"), "must be N strings of 1 to 1024"),
        (((2,), "<U5"), ((2, 9000), "<f4"), "embeddings have 9,000 numbers; 8192 is the limit"),
        (((3,), "<U5"), ((3, 0), "<f4"), "must be floating-point numbers"),
        (((3,), "<U5"), ((3, 4, 1), "<f4"), "must be floating-point numbers"),
        (((3,), "<U5"), ((12,), "<f4"), "must be floating-point numbers"),
        (((3,), "<U5"), ((3, 4), "<c8"), "must be floating-point numbers"),
        (((3,), "<U5"), ((3, 4), "<i4"), "must be floating-point numbers"),
        (((4,), "<U5"), ((3, 4), "<f4"), "4 names and 3 embeddings"),
    ],
)
def test_headers_are_judged_before_anything_is_unpacked(names, embeddings, words, tmp_path, monkeypatch):
    path = headers(tmp_path, names, embeddings)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *a, **k: pytest.fail("an array was read"))
    with pytest.raises(ValueError, match=words) as error:
        load_embeddings(path)
    assert one_sentence(str(error.value), tmp_path)


def test_two_rows_of_45_million_numbers_are_refused(tmp_path):
    names = npy(np.array(["a", "b"]))
    head = announced((2, 45_000_000), "<f4", b"")
    with pytest.raises(ValueError, match="declares 360,000,000 bytes"):
        load_embeddings(archive(tmp_path / "a.npz", names=names, embeddings=head + bytes(10**6)))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_numpy_does_not_write_are_refused(method, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as file:
        file.writestr("names.npy", npy(np.array(NAMES)))
        file.writestr("embeddings.npy", npy(VECTORS))
    with pytest.raises(ValueError, match=r"a\.npz is packed in another way than numpy packs"):
        load_embeddings(tmp_path / "a.npz")


def test_a_header_of_gigabytes_is_not_read(tmp_path):
    """Version 2 gives its header's length in four bytes; the rest of the entry is nothing but spaces."""
    long = b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little") + b" " * 100_000
    with pytest.raises(ValueError, match=r"a\.npz is not a complete \.npz file"):
        load_embeddings(archive(tmp_path / "a.npz", names=long, embeddings=npy(VECTORS)))


def test_no_more_rows_are_read_than_are_wanted(tmp_path):
    save_embeddings(tmp_path / "a.npz", NAMES, VECTORS)
    assert len(load_embeddings(tmp_path / "a.npz", 3)[0]) == 3
    with pytest.raises(ValueError, match="holds 3 names; 2 is the limit"):
        load_embeddings(tmp_path / "a.npz", 2)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_a_vector_without_a_direction_is_no_embedding(scale, tmp_path):
    vectors = VECTORS.copy()
    vectors[1] *= scale
    np.savez(tmp_path / "a.npz", names=np.array(NAMES), embeddings=vectors)
    with pytest.raises(ValueError, match=rf"embedding of {NAMES[1]!r} has no direction"):
        load_embeddings(tmp_path / "a.npz")


def test_a_table_of_contents_larger_than_what_it_lists_is_refused(tmp_path):
    """Thirty thousand empty entries: each would cost more in memory than in the file."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        for i in range(30_000):
            file.writestr(f"{i:060d}.png", b"")
    for read in (load_embeddings, ImageFolder):
        with pytest.raises(ValueError, match="complete"):
            read(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        for i in range(30_000):
            file.writestr(f"a/{i}.png", bytes(400))
    assert len(ImageFolder(tmp_path / "b.zip").names) == 30_000
