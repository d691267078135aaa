"""Embeddings in a file: what goes in comes out, and a stranger's file is refused before it is unpacked."""

import io
import zipfile

import numpy as np
import pytest
from conftest import one_sentence
from hypothesis import given
from hypothesis import strategies as st

from facelab.data.embeddings import load_embeddings, save_embeddings

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
        with pytest.raises(ValueError, match=f"announces {size} bytes for 'embeddings'; it was not read"):
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
        ("text.npz", "is no whole .npz file"),
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
