"""The files of a gallery in a folder: mapped, appended to and locked against a second writer; and its header,
which is checked before anything it says is believed.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from facelab.data.files import replacing

FORMAT = "facelab-gallery/1"
HEADER = "gallery.json"
KINDS = ("float32", "int8")
MOST_DIM, MOST_HEADER = 8192, 2**20


def mapped(path: Path, dtype: type, rows: int, dim: int) -> np.ndarray:
    """Map a file of numbers into memory, (rows, dim)."""
    # Copy on write, because PyTorch takes writable memory only; nothing is written.
    return np.memmap(path, dtype, "c", shape=(rows, dim))


def append(path: Path, start: int, content: np.ndarray | bytes) -> None:
    """Write from a byte on, over what an interrupted change may have left, and wait for the disk."""
    path.touch()
    with open(path, "r+b") as file:
        file.truncate(start)
        file.seek(start)
        file.write(content if isinstance(content, bytes) else np.ascontiguousarray(content).data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the folder against other writers.

    Raises:
        ValueError: another process writes.
    """
    with open(path / "lock", "ab") as file:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ValueError(f"another process writes to {path.name}; wait for it") from error
        yield


def write_header(path: Path, values: dict[str, object]) -> None:
    """Write the header of a gallery, atomically."""
    with replacing(path / HEADER) as part:
        part.write_text(json.dumps({"format": FORMAT} | values), "utf-8")


def read_header(path: Path) -> dict[str, object]:
    """Read and check what a header says.

    Raises:
        ValueError: no gallery, or a damaged one.
    """
    file = path / HEADER
    if not file.is_file():
        raise ValueError(f"{path} is not a gallery; `python -m facelab gallery build` makes one")
    try:
        if file.stat().st_size > MOST_HEADER:
            raise ValueError("too long")
        found = json.loads(file.read_text("utf-8"))
        if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
            raise ValueError(f"it does not say {FORMAT}")
        steps = np.asarray(found["steps"], np.float32)
        whole = all(type(found[name]) is int and found[name] >= 0 for name in ("dim", "generation"))
        if not whole or found["dim"] > MOST_DIM or steps.shape != (found["dim"],):
            raise ValueError("its dimension and its steps do not agree")
        if found["kind"] not in KINDS or not isinstance(found["model"], str):
            raise ValueError("its kind or its model is unknown")
        if not (np.isfinite(steps).all() and (steps > 0).all()):
            raise ValueError("its steps are not numbers above 0")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged ({str(error)[:80]}); build it again") from error
    return found | {"steps": steps}
