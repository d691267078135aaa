"""Embeddings in one .npz file, so that another program's vectors can be judged without its model.

The file holds `names` (N strings), `embeddings` (N, D) and perhaps `identities` (N strings, "" where nobody
is known); any program that writes NumPy archives can make one. It may come from a stranger: nothing in it is
ever unpickled, and the sizes that its headers announce are checked before a byte is unpacked.
"""

import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facelab.files import replacing

ARRAYS = ("names", "embeddings")
MAX_BYTES = 8 * 2**30  # unpacked, of one array; 4 million embeddings of 512 numbers
MAX_RATIO = 200  # of unpacked to packed size; names pack well, embeddings do not


def save_embeddings(
    path: str | os.PathLike,
    names: Sequence[str],
    embeddings: np.ndarray,
    identities: Sequence[str] | None = None,
) -> None:
    """Write an .npz file whole or not at all.

    Args:
        path: must end in .npz.
        names: N different strings, e.g. image names.
        embeddings: (N, D), finite; kept as float32.
        identities: N strings, who is on each image and "" where that is not known; None keeps none.

    Raises:
        ValueError: another suffix, or names and embeddings that do not fit.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"{path.name} must end in .npz; rename it")
    names = np.array(list(names), dtype=np.str_)
    embeddings = _checked(path.name, names, np.asarray(embeddings))
    arrays = {"names": names, "embeddings": embeddings}
    if identities is not None:
        arrays["identities"] = _as_many(path.name, names, np.array(list(identities), dtype=np.str_))
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, **arrays)


def load_embeddings(path: str | os.PathLike) -> tuple[tuple[str, ...], np.ndarray]:
    """Read an .npz file -> (N names, (N, D) float32 embeddings).

    Raises:
        ValueError: no such file, damaged, or not `names` (N strings, all different) and `embeddings` (N, D)
            of finite numbers.
    """
    names, embeddings = _read_arrays(path, ARRAYS)
    return tuple(names.tolist()), _checked(Path(path).name, names, embeddings)


def load_identities(path: str | os.PathLike) -> tuple[str, ...] | None:
    """Who is on each image of an .npz file, in the order of its names; None if it does not say.

    Raises:
        ValueError: as `load_embeddings`, or not N strings.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if "identities.npy" not in archive.namelist():
                return None
    except Exception:  # `_read_arrays` says what is wrong
        pass
    names, identities = _read_arrays(path, ("names", "identities"))
    return tuple(_as_many(Path(path).name, names, identities).tolist())


def _as_many(file: str, names: np.ndarray, identities: np.ndarray) -> np.ndarray:
    if identities.dtype.kind != "U" or identities.shape != names.shape:
        kind = f"{identities.dtype} {identities.shape}"
        raise ValueError(f"{file}: identities are {kind}; there must be one string for each name")
    return identities


def _read_arrays(path: str | os.PathLike, arrays: Sequence[str]) -> list[np.ndarray]:
    """Some arrays of the file, each checked before it is unpacked."""
    name = Path(path).name
    if not os.path.isfile(path):
        raise ValueError(f"{path} does not exist; `python -m facelab embed` writes such a file")
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read_array(archive, array) for array in arrays]
    except _UnusableError as error:
        raise ValueError(f"{name} {error}") from error
    except Exception as error:  # a hostile or broken archive makes its readers raise anything
        raise ValueError(f"{name} is no whole .npz file; write it again with numpy.savez") from error


class _UnusableError(ValueError):
    """What is wrong with a file, as the end of a sentence that begins with its name."""


def _read_array(archive: zipfile.ZipFile, array: str) -> np.ndarray:
    """One array of the archive, after its announced size and type have been checked."""
    if f"{array}.npy" not in archive.namelist():
        raise _UnusableError(f"has no array {array!r}; it needs {' and '.join(ARRAYS)}")
    info = archive.getinfo(f"{array}.npy")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype.hasobject:
        raise _UnusableError(f"holds Python objects in {array!r}, never unpickled; save plain arrays")
    size = math.prod(shape) * dtype.itemsize
    if max(size, info.file_size) > min(MAX_BYTES, MAX_RATIO * max(info.compress_size, 1024)):
        raise _UnusableError(f"announces {max(size, info.file_size):,} bytes for {array!r}; it was not read")
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _checked(file: str, names: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
    """The embeddings as float32, if the two arrays are what they should be."""
    if names.dtype.kind != "U" or names.ndim != 1:
        raise ValueError(f"{file}: names are {names.dtype} {names.shape}; they must be N strings")
    if embeddings.ndim != 2 or embeddings.dtype.kind != "f" or not embeddings.size:
        kind = f"{embeddings.dtype} {embeddings.shape}"
        raise ValueError(f"{file}: embeddings are {kind}; they must be floating-point numbers (N, D)")
    if len(names) != len(embeddings):
        raise ValueError(
            f"{file}: {len(names)} names and {len(embeddings)} embeddings; there must be N of each"
        )
    values, count = np.unique(names, return_counts=True)
    if count.max() > 1:
        raise ValueError(
            f"{file}: {str(values[count.argmax()])!r} is named {count.max()} times; name each once"
        )
    with np.errstate(over="ignore"):
        embeddings = np.ascontiguousarray(embeddings, np.float32)
    bad = ~np.isfinite(embeddings).all(1)
    if bad.any():
        raise ValueError(
            f"{file}: the embedding of {str(names[bad][0])!r} holds NaN or infinity; make it again"
        )
    return embeddings
