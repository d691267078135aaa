"""Images below a directory or inside a zip, by name, as one thing.

A zip is never unpacked here: its entries are checked and read in memory, so an archive from a stranger costs
what its images cost and writes nothing. `unpack.py` is for those who want the files.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from facelab.photo import IMAGE_SUFFIXES

TEXT_SUFFIXES = (".txt", ".csv")
LABELS = "labels.txt"  # at the root: who is on which image, where folders do not say it
MAX_FILE_BYTES = 64 * 2**20
MAX_RATIO = 200  # of unpacked to packed size; photographs stay near 1, even blank bitmaps of use below 100

Track = Callable[[Iterable[Any], int, str], Iterable[Any]]


def untracked(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """No progress bar; the command line passes one that draws."""
    return items


class ImageFolder:
    """The image files below a directory or inside a zip, by relative name with forward slashes.

    Args:
        path: a directory or a .zip file.

    Attributes:
        names: of the images, sorted.
        texts: of the lists (.txt, .csv) that lie among them.
        empty: folders that hold no image, although the folder around them holds some.

    Raises:
        ValueError: no such path, not a zip, no image in it, or an entry that a safe archive does not have.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        if self.path.is_dir():
            names, folders = _below(self.path)
        elif self.path.is_file():
            try:
                self._zip = zipfile.ZipFile(self.path)
            except Exception as error:  # usually BadZipFile; a hostile directory makes zipfile raise anything
                raise ValueError(f"{self.path} is neither a folder nor a whole zip; make it again") from error
            entries = [_checked(info, self.path).filename for info in self._zip.infolist()]
            names = [name for name in entries if not name.endswith("/")]
            folders = [name.rstrip("/") for name in entries if name.endswith("/")]
        else:
            raise ValueError(f"{self.path} does not exist; give a folder or a zip of images")
        self.names = sorted({name for name in names if is_shown(name, IMAGE_SUFFIXES)})
        self.texts = sorted({name for name in names if is_shown(name, TEXT_SUFFIXES)})
        if not self.names:
            raise ValueError(f"{self.path} holds no image ({', '.join(IMAGE_SUFFIXES)})")
        self.empty = _empty(folders, self.names)

    def read(self, name: str) -> bytes:
        """The bytes of one image or list.

        Raises:
            ValueError: it is larger than 64 MB, or its part of the archive is damaged.
        """
        try:
            with open(self.path / name, "rb") if self._zip is None else self._zip.open(name) as file:
                data = file.read(MAX_FILE_BYTES + 1)  # bounded here too: a header can lie about the size
        except Exception as error:  # zlib.error, EOFError, NotImplementedError, ...
            raise ValueError(f"{name} cannot be read from {self.path.name}; copy it again") from error
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"{name} is larger than {MAX_FILE_BYTES // 2**20} MB; reduce it first")
        return data

    def fingerprint(self) -> str:
        """A short hash of names, sizes and times, which changes when the content does."""
        parts: list[object] = [str(self.path.resolve())]
        if self._zip is not None:
            stat = self.path.stat()
            parts += [stat.st_size, stat.st_mtime_ns]
        else:
            for name in [*self.names, *(text for text in self.texts if text == LABELS)]:
                stat = (self.path / name).stat()
                parts += [name, stat.st_size, stat.st_mtime_ns]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _below(root: Path) -> tuple[list[str], list[str]]:
    """(files, folders) below a directory, as relative names with forward slashes."""
    files, folders = [], []
    for folder, inner, names in os.walk(root):
        here = Path(folder).relative_to(root).as_posix()
        prefix = "" if here == "." else f"{here}/"
        files += [prefix + name for name in names if os.path.isfile(os.path.join(folder, name))]
        folders += [prefix + name for name in inner]
    return files, folders


def _empty(folders: list[str], names: list[str]) -> tuple[str, ...]:
    """The outermost folders without an image below them, except hidden ones."""
    full = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    parts = (PurePosixPath(folder) for folder in folders if not _is_hidden(folder))
    return tuple(sorted(str(path) for path in parts if str(path) not in full and str(path.parent) in full))


def is_shown(name: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a relative name has one of these suffixes and no part of it is hidden."""
    return name.lower().endswith(suffixes) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    """Whether a part of a name begins with a dot or is what macOS leaves in archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def leaves(name: str) -> bool:
    """Whether an archive's name for an entry leads out of its own folder, on any system."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or ":" in name


def _checked(info: zipfile.ZipInfo, archive: Path) -> zipfile.ZipInfo:
    if leaves(info.filename):
        raise ValueError(
            f"{archive.name} has an entry outside its own folder ({info.filename}); it was not read"
        )
    if info.file_size > MAX_FILE_BYTES or info.file_size > MAX_RATIO * max(info.compress_size, 1024):
        raise ValueError(
            f"{archive.name} unpacks {info.filename} to {info.file_size:,} bytes; it was not read"
        )
    if info.flag_bits & 1:
        raise ValueError(f"{archive.name} is encrypted; give a plain zip")
    return info
