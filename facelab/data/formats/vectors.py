"""Embeddings of another program: `.npz`, `.npy` with a `.csv` beside it, or `.parquet`.

An .npz of ours has `names`; one that practitioners save has `embeddings` and `labels` alone, and its rows are
then called 0, 1, .... `logits` (N, K) may come along, for calibration. Headers are checked with the file
before a number is unpacked, and nothing is unpickled.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facelab.data.embeddings import (
    MAX_BYTES,
    MAX_DIMENSION,
    MAX_HEADER,
    UnusableError,
    announced,
    checked_embeddings,
    load_embeddings,
    load_identities,
    read_array_of,
)
from facelab.data.formats.parquet import open_table, table_rows
from facelab.data.identities import canonical
from facelab.data.images import printable
from facelab.data.lists import read_rows
from facelab.data.zips import OpenZip

EMBEDDINGS = ("embeddings", "features", "embedding", "feats", "x")
LABELS = ("labels", "identities", "label", "identity", "person", "ids", "y", "targets", "target", "class")
NAMES = ("name", "names", "file", "path", "image", "filename")


@dataclass(frozen=True, eq=False)
class Vectors:
    """N embeddings.

    Attributes:
        names: N different strings; 0, 1, ... where the file has none.
        embeddings: (N, D) float32, finite and of some length.
        identities: N strings, "" where it is not known; None if the file does not say.
        logits: (N, K) float32 class scores; None if there are none.
    """

    names: tuple[str, ...]
    embeddings: np.ndarray
    identities: tuple[str, ...] | None
    logits: np.ndarray | None = None


def read_vectors(path: str | os.PathLike, most: int | None = None) -> Vectors:
    """Read embeddings in any of the forms above.

    Args:
        path: the file.
        most: N at most; None, as many as memory has room for.

    Raises:
        ValueError: no such file, another form, damaged, or numbers that are no embeddings.
    """
    path = Path(path)
    reader = {".npy": _read_npy, ".parquet": _read_parquet}.get(path.suffix.lower(), _read_npz)
    if reader is not _read_npz and not path.is_file():
        raise ValueError(f"{path} does not exist; name a file of embeddings")
    found = reader(path, most)
    if most is not None and len(found.names) > most:
        raise ValueError(f"{path.name} holds {len(found.names):,} embeddings; {most} is the limit")
    return found


def _read_npz(path: Path, most: int | None) -> Vectors:
    arrays = _arrays(path) if path.is_file() else {}
    if "names" in arrays or not arrays:  # `load_embeddings` says what is wrong
        names, embeddings = load_embeddings(path, most)
        return Vectors(names, embeddings, load_identities(path))
    try:
        with OpenZip(path) as archive:
            vectors = _array(archive, arrays, EMBEDDINGS, "f", most)
            labels = _array(archive, arrays, LABELS, "iuU", most)
            logits = _array(archive, arrays, ("logits",), "f", most)
    except UnusableError as error:
        raise ValueError(f"{path.name}{error}") from error
    except Exception as error:  # a hostile or broken archive makes its readers raise anything
        raise ValueError(
            f"{path.name} is not a complete .npz file; write it again with numpy.savez"
        ) from error
    if vectors is None:
        found = ", ".join(map(printable, sorted(arrays)))[:200]
        raise ValueError(f"{path.name} has no array 'embeddings'; it has {found}")
    return _vectors(path.name, vectors, None if labels is None else _as_text(labels), None, logits)


def _arrays(path: Path) -> dict[str, str]:
    """Return {array's name in small letters: as it is written}; empty where the file cannot be opened."""
    try:
        with OpenZip(path) as archive:
            return {name[:-4].lower(): name[:-4] for name in archive.namelist() if name.endswith(".npy")}
    except Exception:
        return {}


def _array(archive: Any, arrays: dict[str, str], names: tuple[str, ...], kinds: str, most: int | None) -> Any:
    """Return the first of these arrays that is there, its header having been checked; None if none is."""
    name = next((arrays[name] for name in names if name in arrays), None)
    if name is None:
        return None
    said = announced(archive, name, MAX_RATIO.get(kinds, 200))
    wide = len(said.shape) == 2 and said.shape[1] > MAX_DIMENSION and name in EMBEDDINGS
    if said.dtype.kind not in kinds or not math.prod(said.shape) or wide:
        raise UnusableError(f": {printable(name)} is {said.dtype} {said.shape}; it must be {NEEDED[kinds]}")
    if most is not None and said.shape[0] > most:
        raise UnusableError(f" holds {said.shape[0]:,} rows; {most} is the limit")
    return read_array_of(archive, said)


MAX_RATIO = {"f": 20}
NEEDED = {
    "f": f"floating-point numbers (N, D), D at most {MAX_DIMENSION:,}",
    "iuU": "N integers or texts, one for each embedding",
}


def _as_text(labels: np.ndarray) -> np.ndarray:
    if labels.ndim != 1:
        raise ValueError(
            f"the labels are {labels.dtype} {labels.shape}; there must be one for each embedding"
        )
    return labels.astype(np.str_)


def _vectors(
    title: str, embeddings: np.ndarray, labels: Any, names: Any, logits: np.ndarray | None = None
) -> Vectors:
    """Return what was read, held together."""
    count = len(embeddings)
    names = np.array([str(i) for i in range(count)] if names is None else list(names), np.str_)
    embeddings = checked_embeddings(title, names, embeddings)
    for what, values in (("labels", labels), ("logits", logits)):
        if values is not None and len(values) != count:
            raise ValueError(
                f"{title}: {count:,} embeddings and {len(values):,} {what}; there must be N of each"
            )
    if logits is not None and (logits.ndim != 2 or not np.isfinite(logits).all()):
        raise ValueError(
            f"{title}: logits are {logits.dtype} {logits.shape}; they must be finite numbers (N, K)"
        )
    people = None if labels is None else tuple(canonical(str(label).strip()) for label in labels)
    return Vectors(
        tuple(names.tolist()), embeddings, people, None if logits is None else logits.astype(np.float32)
    )


def _read_npy(path: Path, most: int | None) -> Vectors:
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file, max_header_size=MAX_HEADER)
            whole = math.prod(shape) * dtype.itemsize == size - file.tell()
    except Exception as error:  # no header
        raise ValueError(f"{path.name} is not an .npy file; write it again with numpy.save") from error
    if not whole or dtype.kind != "f" or len(shape) != 2 or shape[1] > MAX_DIMENSION or size > MAX_BYTES:
        words = f"it must hold floating-point numbers (N, D), D at most {MAX_DIMENSION}, and be whole"
        raise ValueError(f"{path.name} holds {dtype} {shape} in {size:,} bytes; {words}")
    if most is not None and shape[0] > most:
        raise ValueError(f"{path.name} holds {shape[0]:,} embeddings; {most} is the limit")
    table = path.with_suffix(".csv")
    labels, names = _read_labels(table, shape[0]) if table.is_file() else (None, None)
    return _vectors(path.name, np.load(path, allow_pickle=False), labels, names)


def _read_labels(path: Path, count: int) -> tuple[list[str] | None, list[str] | None]:
    """Return (labels, names) of a table with a row for each embedding, with titles or as one column of
    labels.
    """
    rows = [row for _, row in read_rows(path, "label")]
    head = [field.lower() for field in rows[0]]
    label = next((head.index(name) for name in LABELS if name in head), None)
    name = next((head.index(title) for title in NAMES if title in head), None)
    if label is None and name is None:
        if len(rows[0]) != 1:
            raise ValueError(
                f"{path.name} needs a column titled label; it has {', '.join(map(printable, head))[:200]}"
            )
        label = 0
    else:
        rows = rows[1:]
    if len(rows) != count:
        raise ValueError(
            f"{path.name} has {len(rows):,} rows for {count:,} embeddings; there must be N of each"
        )
    if any(len(row) <= max(label or 0, name or 0) for row in rows):
        raise ValueError(f"{path.name} has a row with fewer fields than its title line; fill it")
    pick = [None if at is None else [row[at] for row in rows] for at in (label, name)]
    return pick[0], pick[1]


def _read_parquet(path: Path, most: int | None) -> Vectors:
    columns, count = open_table(path)
    if most is not None and count > most:
        raise ValueError(f"{path.name} holds {count:,} rows; {most} is the limit")
    chosen = [
        next((columns[name] for name in names if name in columns), None)
        for names in (EMBEDDINGS, LABELS, NAMES)
    ]
    if chosen[0] is None:
        raise ValueError(
            f"{path.name} has no column 'embedding'; it has {', '.join(map(printable, columns))[:200]}"
        )
    rows = list(table_rows([path], [column for column in chosen if column]))
    fields = dict(zip((i for i, column in enumerate(chosen) if column), zip(*rows)))
    try:
        embeddings = np.array(fields.get(0, ()), np.float32)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path.name}: the embeddings are not lists of D numbers") from error
    if embeddings.ndim != 2 or not embeddings.size or embeddings.shape[1] > MAX_DIMENSION:
        raise ValueError(f"{path.name}: the embeddings are {embeddings.shape}; they must be (N, D)")
    return _vectors(path.name, embeddings, fields.get(1), fields.get(2))
