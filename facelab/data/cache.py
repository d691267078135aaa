"""Cache of the commands on this machine: decoded crops, detected faces, and downloads.

Crops are photos, so the machine's owner can list them, limit their size and delete them. Only files that the
project wrote are counted and removed; other files in the folder are untouched.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

PATTERNS = ("archives-*", "crops-*", "faces-*", "sklearn/*")
WORDS = {"archives": "index", "crops": "decoded crops", "faces": "faces found", "sklearn": "downloads"}


@dataclass(frozen=True)
class Entry:
    """Hold files that are only useful together.

    Attributes:
        kind: "archives", "crops", "faces" or "sklearn".
        paths: the files, or one folder of a download.
        size: bytes.
        used: time of the last read or write, seconds since 1970.
    """

    kind: str
    paths: tuple[Path, ...]
    size: int
    used: float


def unusable(folder: Path) -> str | None:
    """Return why nothing can be kept in a folder, as text, or None."""
    if str(folder).startswith("~"):
        return "there is no home folder"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # photos are nobody else's business
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror or error})"


def entries(folder: Path) -> list[Entry]:
    """Return the entries of the cache, the least recently used first."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for pattern in PATTERNS:
        for path in folder.glob(pattern):
            groups[f"{path.parent.name}/{path.name.split('.')[0]}"].append(path)
    return sorted((_entry(sorted(paths)) for paths in groups.values()), key=lambda entry: entry.used)


def _entry(paths: list[Path]) -> Entry:
    inner = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    stats = [file.stat() for file in inner if file.is_file()]
    kind = paths[0].name.split("-")[0] if paths[0].parent.name != "sklearn" else "sklearn"
    return Entry(
        kind, tuple(paths), sum(s.st_size for s in stats), max((s.st_mtime for s in stats), default=0)
    )


def touch(*paths: Path) -> None:
    """Mark files as used now."""
    for path in paths:
        try:
            os.utime(path)
        except OSError:  # a cache of another user is of use as it is
            continue


def trim(folder: Path, most: int, since: float | None = None) -> list[Entry]:
    """Delete the least recently used entries until at most `most` bytes remain -> deleted entries.

    Args:
        folder: the cache.
        most: bytes.
        since: entries used from then on are kept, seconds since 1970; None protects nothing.
    """
    kept, gone = entries(folder), []
    total = sum(entry.size for entry in kept)
    for entry in kept:
        if total <= most or entry.used >= (since or time.time() + 1):
            break
        with contextlib.suppress(OSError):  # it is open on Windows, or another user's
            _delete(entry)
            gone.append(entry)
            total -= entry.size
    return gone


def clear(folder: Path) -> list[Entry]:
    """Delete the whole cache -> deleted entries."""
    gone = entries(folder)
    for entry in gone:
        _delete(entry)
    return gone


def _delete(entry: Entry) -> None:
    for path in entry.paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
