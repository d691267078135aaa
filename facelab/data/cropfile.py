"""Decoded crops in one file on disk, read row by row.

Crops are decoded once; a second start reads no JPEG. The file is an ordinary .npy, but it is not mapped into
memory: mapped pages count toward the process's memory until the system reclaims them, and truncating a mapped
file kills the process. Plain reads of 256 crops take 2 ms, and memory use does not depend on the number of
crops.
"""

import contextlib
import json
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from facelab.data.cache import touch
from facelab.data.files import may_be_running, replacing
from facelab.photos.faces import CROP_SIZE

CROP = (CROP_SIZE, CROP_SIZE, 3)
CROP_BYTES = CROP_SIZE * CROP_SIZE * 3


class CropFile:
    """First `count` crops of a .npy file, read through `crops[rows]` like an array (N, 112, 112, 3) uint8.

    Raises:
        ValueError: not such a file, or truncated.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, count: int) -> None:
        self.path, self.shape = path, (count, *CROP)
        # It stays open, and so readable when it is removed from the cache meanwhile.
        self._file = file = open(path, "rb", buffering=0)  # noqa: SIM115
        np.lib.format.read_magic(file)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        self._start = file.tell()
        needed = self._start + count * CROP_BYTES
        if shape[1:] != CROP or shape[0] < count or fortran or dtype != self.dtype:
            raise ValueError(f"{path.name} holds {dtype} {shape}, not crops; delete it")
        if os.path.getsize(path) < needed:
            raise ValueError(f"{path.name} has fewer than {needed:,} bytes and is cut short; delete it")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return (B, 112, 112, 3) uint8 of a slice or index array, read in file order, which is faster on
        disks.
        """
        index = np.arange(len(self))[rows]
        out = np.empty((len(index), *CROP), np.uint8)
        for i in np.argsort(index).tolist():
            if self._read(out[i], self._start + int(index[i]) * CROP_BYTES) != CROP_BYTES:
                raise OSError(f"{self.path.name} became shorter while it was being read; start again")
        return out

    def _read(self, crop: np.ndarray, start: int) -> int:
        """Fill a crop from a byte offset -> number of bytes read; safe to call from several threads."""
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [crop.data], start)
        with open(self.path, "rb", buffering=0) as file:  # where a file that is open cannot be removed
            file.seek(start)
            return file.readinto(crop.data)


def is_whole(path: Path, count: int) -> bool:
    """Return whether a file exists and holds `count` crops."""
    try:
        CropFile(path, count)
    except (OSError, ValueError):
        return False
    return True


@contextlib.contextmanager
def writing_crops(path: Path, count: int) -> Iterator[Callable[[np.ndarray], object]]:
    """Write a .npy file with room for `count` crops, atomically.

    Args:
        path: the file.
        count: maximum number of crops; space for all is reserved first, so that a full disk is detected
            early.

    Yields:
        A function that appends one crop, (112, 112, 3) uint8.

    Raises:
        OSError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path.parent)
    part = path.with_name(f"{path.stem}.{platform.node()}-{os.getpid()}.part.npy")
    try:
        with open(part, "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, *CROP)}
            np.lib.format.write_array_header_1_0(file, header)
            size = file.tell() + count * CROP_BYTES
            if hasattr(os, "posix_fallocate"):
                file.flush()
                os.posix_fallocate(file.fileno(), 0, size)
            yield lambda crop: file.write(crop.tobytes())
            file.truncate(size)  # where room could not be claimed, and some images were unreadable
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    """Delete incomplete files of killed processes of this machine."""
    for part in folder.glob(f"*.{platform.node()}-*.part.npy"):
        owner = part.name.split("-")[-1].split(".")[0]
        if owner.isdecimal() and not may_be_running(int(owner)):
            part.unlink(missing_ok=True)


def write_index(path: Path, index: dict[str, Any]) -> None:
    """Write the index of the crops: labels, identities, names, skipped."""
    with replacing(path) as part:
        part.write_text(json.dumps(index), encoding="utf-8")


def read_index(path: Path) -> dict[str, Any] | None:
    """Read the result of `write_index`, or None if it is missing, truncated or inconsistent; mark it as
    used.
    """
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        labels, names = index["labels"], index["names"]
        whole = len(labels) == len(names) and {*labels} == {*range(len(index["identities"]))}
        if not whole or not isinstance(index["skipped"], list):
            return None
        touch(path)
        return index
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_crop_file(path: str | os.PathLike) -> tuple[CropFile, dict[str, Any]]:
    """Return (the crops, {"labels", "identities", "names", "skipped"}) of a crop file.

    Raises:
        ValueError: no such file, damaged, or without its .json.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; `python -m facelab data convert` writes such a file")
    index = read_index(path.with_suffix(".json"))
    if index is None:
        raise ValueError(f"{path.name} needs its own {path.stem}.json beside it; convert the images again")
    try:
        return CropFile(path, len(index["names"])), index
    except ValueError:
        raise
    except Exception as error:  # numpy's readers raise what they like
        raise ValueError(f"{path.name} is not a crop file; convert the images again") from error
