"""Embeddings in one .npz file, so that another program's embeddings can be evaluated without its model.

The file holds `names` (N strings), `embeddings` (N, D) and optionally `identities` (N strings, "" where the
identity is unknown); any program that writes NumPy archives can create one. The file is untrusted: nothing in
it is unpickled, and its headers are checked separately and against each other before any data is unpacked.
"""

import io
import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facelab.data.files import replacing
from facelab.data.zips import OpenZip

ARRAYS = ("names", "embeddings")
MAX_BYTES = 8 * 2**30  # unpacked, of one array; 4 million embeddings of 512 numbers
MAX_RATIO = {"names": 200, "identities": 200, "embeddings": 20}  # of unpacked to packed size
MAX_DIMENSION = 8192  # numbers of an embedding
MAX_NAME = 1024  # characters
MAX_HEADER = 4096  # bytes that say what an array is


def save_embeddings(
    path: str | os.PathLike,
    names: Sequence[str],
    embeddings: np.ndarray,
    identities: Sequence[str] | None = None,
) -> None:
    """Write an .npz file, atomically.

    Args:
        path: must end in .npz.
        names: N different strings, e.g. image names.
        embeddings: (N, D), finite; stored as float32.
        identities: N strings, the identity on each image, "" where it is unknown; None stores none.

    Raises:
        ValueError: another suffix, or names and embeddings that do not match.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"{path.name} must end in .npz; rename it")
    names = np.array(list(names), dtype=np.str_)
    embeddings = checked_embeddings(path.name, names, np.asarray(embeddings))
    arrays = {"names": names, "embeddings": embeddings}
    if identities is not None:
        arrays["identities"] = _as_many(path.name, names, np.array(list(identities), dtype=np.str_))
    with replacing(path) as part, open(part, "wb") as file:
        np.savez(file, **arrays)


def load_embeddings(path: str | os.PathLike, most: int | None = None) -> tuple[tuple[str, ...], np.ndarray]:
    """Read an .npz file -> (N names, (N, D) float32 embeddings).

    Args:
        path: the file.
        most: maximum of N; None is limited by memory only.

    Raises:
        ValueError: no such file, damaged, or not `names` (N strings, all different) and `embeddings` (N, D)
            of finite numbers, none of them all zeros.
    """
    names, embeddings = _read_arrays(path, ARRAYS, most)
    return tuple(names.tolist()), checked_embeddings(Path(path).name, names, embeddings)


def load_identities(path: str | os.PathLike) -> tuple[str, ...] | None:
    """Return the identity on each image of an .npz file, in the order of its names, or None if it has none.

    Raises:
        ValueError: as `load_embeddings`, or not N strings.
    """
    try:
        with OpenZip(path) as archive:
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


def _read_arrays(path: str | os.PathLike, arrays: Sequence[str], most: int | None = None) -> list[np.ndarray]:
    """Return some arrays of the file, each checked before it is unpacked."""
    name = Path(path).name
    if not os.path.isfile(path):
        raise ValueError(f"{path} does not exist; `python -m facelab embed` writes such a file")
    try:
        with OpenZip(path) as archive:
            found = {array: announced(archive, array) for array in arrays}
            _check_kinds(found, most)
            return [read_array_of(archive, announced) for announced in found.values()]
    except UnusableError as error:
        raise ValueError(f"{name}{error}") from error
    except Exception as error:  # a hostile or broken archive makes its readers raise anything
        raise ValueError(f"{name} is not a complete .npz file; write it again with numpy.savez") from error


class UnusableError(ValueError):
    """Describe a problem with a file, as the end of a sentence that begins with its name."""


@dataclass(frozen=True)
class Announced:
    """Hold what the header of an array announces."""

    entry: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype


def announced(archive: zipfile.ZipFile, array: str, ratio: int | None = None) -> Announced:
    """Return one array's header, after the size that the archive declares for it has been checked.

    Args:
        archive: the .npz file.
        array: its name.
        ratio: of unpacked to packed size at most; None: that of MAX_RATIO.

    Raises:
        UnusableError: there is none, or one that is not read.
    """
    if f"{array}.npy" not in archive.namelist():
        raise UnusableError(f" has no array {array!r}; it needs {' and '.join(ARRAYS)}")
    entry = archive.getinfo(f"{array}.npy")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnusableError(" is packed in another way than numpy packs; write it with numpy.savez")
    with archive.open(entry) as file:
        head = io.BytesIO(file.read(MAX_HEADER))  # the length that a header gives itself is not trusted
    version = np.lib.format.read_magic(head)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(head)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(head)
    if dtype.hasobject:
        raise UnusableError(f" holds Python objects in {array!r}, never unpickled; save plain arrays")
    size = max(math.prod(shape) * dtype.itemsize, entry.file_size)
    if size > min(MAX_BYTES, (ratio or MAX_RATIO[array]) * max(entry.compress_size, 1024)):
        raise UnusableError(f" declares {size:,} bytes for {array!r}; it was not read")
    return Announced(entry, shape, dtype)


def _check_kinds(found: dict[str, Announced], most: int | None) -> None:
    """Raise an error if the headers announce wrong types or shapes."""
    for array, said in found.items():
        kind = f"{said.dtype} {said.shape}"
        if array == "embeddings":
            if said.dtype.kind != "f" or len(said.shape) != 2 or not math.prod(said.shape):
                raise UnusableError(f": embeddings are {kind}; they must be floating-point numbers (N, D)")
            if said.shape[1] > MAX_DIMENSION:
                wide = f"{said.shape[1]:,} numbers"
                raise UnusableError(f": embeddings have {wide}; {MAX_DIMENSION} is the limit")
        elif said.dtype.kind != "U" or len(said.shape) != 1 or not 1 <= said.dtype.itemsize // 4 <= MAX_NAME:
            words = f"they must be N strings of 1 to {MAX_NAME} characters"
            raise UnusableError(f": {array} are {kind}; {words}")
    (first, count), *others = ((array, said.shape[0]) for array, said in found.items())
    for array, other in others:
        if other != count:
            raise UnusableError(f": {count} {first} and {other} {array}; there must be N of each")
    if most is not None and count > most:
        raise UnusableError(f" holds {count:,} {first}; {most} is the limit")


def read_array_of(archive: zipfile.ZipFile, array: Announced) -> np.ndarray:
    with archive.open(array.entry) as file:
        return np.lib.format.read_array(file, allow_pickle=False, max_header_size=MAX_HEADER)


def checked_embeddings(file: str, names: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
    """Return the embeddings as float32, after checking the two arrays."""
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
    with np.errstate(over="ignore", under="ignore"):
        length = np.linalg.norm(embeddings, axis=1)  # in float32, as scores are
    bad = ~((length > 0) & np.isfinite(length))
    if bad.any():
        raise ValueError(
            f"{file}: the embedding of {str(names[bad][0])!r} has no direction (its length is "
            f"{length[bad][0]:g}); make it again"
        )
    return embeddings
