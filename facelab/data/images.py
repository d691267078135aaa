"""Images below a directory or inside a zip, by name, through one interface.

A zip is not unpacked here: its entries are checked and read in memory, so an untrusted archive writes
nothing. `unpack.py` extracts files. Files that look like pictures but are not read are counted and listed.
Links are followed in a directory, once each, and never in a zip.
"""

import hashlib
import os
import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from facelab.data.zip_names import ESCAPED, entry_names
from facelab.data.zips import OpenZip
from facelab.photos.read import IMAGE_SUFFIXES, UNREAD_SUFFIXES, readable_suffixes, why_unread

TEXT_SUFFIXES = (".txt", ".csv")
CONVERTED = (".rec", ".parquet", ".npy", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2")  # see `formats/`
LABELS = "labels.txt"  # who is on which image, where folders do not say it
JUNK = {
    "__macosx",
    "@eadir",
    "#recycle",
    "@recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
}
MAX_NAME, MAX_DEPTH = 1000, 100  # characters and folders of an entry of an archive
MAX_FILE_BYTES = 64 * 2**20
MAX_RATIO = 200  # of unpacked to packed size; photographs stay near 1, even blank bitmaps of use below 100
JOINERS = "\u200c\u200d"
DRIVE = re.compile("[A-Za-z]:")

Track = Callable[[Iterable[Any], int, str], Iterable[Any]]


def untracked(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """Return the iterable without a progress bar; the command line passes a function that draws one."""
    return items


class ImageFolder:
    """The image files below a directory or inside a zip, by relative name with forward slashes.

    Args:
        path: a directory or a .zip file.

    Attributes:
        names: names of the images, sorted.
        texts: names of the lists (.txt, .csv) among them.
        empty: folders without images inside a folder with images.
        unread: {file that looks like a picture: why it is not among the images}.

    Raises:
        ValueError: no such path, not a zip, no image in it, or an unsafe entry.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.unread: dict[str, str] = {}
        self._zip: zipfile.ZipFile | None = None
        self._entries: dict[str, zipfile.ZipInfo] = {}
        if self.path.is_dir():
            names, folders, self.unread = _below(self.path)
        elif self.path.name.lower().endswith(CONVERTED):
            words = "python -m facelab data convert"
            raise ValueError(
                f"{self.path.name} is not a folder or zip; `{words} {self.path.name} OUT/` makes one"
            )
        elif self.path.is_file():
            names, folders = self._open_zip()
        else:
            raise ValueError(f"{self.path} does not exist; give a folder or a zip of images")
        suffixes = readable_suffixes()
        self.names = sorted({name for name in names if is_shown(name, suffixes)} - self.unread.keys())
        self.texts = sorted({name for name in names if is_shown(name, TEXT_SUFFIXES)} - self.unread.keys())
        unread = (name for name in names if is_shown(name, UNREAD_SUFFIXES) and name not in self.names)
        self.unread |= {name: why_unread(name) for name in sorted(unread)}
        if not self.names:
            words = "".join(f"; {note}" for note in self.notes)
            raise ValueError(f"{self.path.name} holds no image ({', '.join(IMAGE_SUFFIXES)}){words}")
        self.empty = _empty(folders, self.names)

    def _open_zip(self) -> tuple[list[str], list[str]]:
        """Return (files, folders) of the archive; what is read of it has been checked."""
        try:
            self._zip = OpenZip(self.path)
            names = entry_names(self._zip.infolist())
        except Exception as error:  # usually BadZipFile; a hostile directory makes zipfile raise anything
            words = "is neither a folder nor a complete zip file; create it again"
            raise ValueError(f"{self.path.name} {words}") from error
        files, wanted = [], readable_suffixes() + TEXT_SUFFIXES
        for name, info in zip(names, self._zip.infolist()):
            if wrong := unsafe(name):
                raise ValueError(f"{self.path.name} has {wrong}; it was not read")
            if name.endswith("/"):
                continue
            files.append(name)
            if name in self._entries:
                self.unread[f"{name} (again)"] = "has a name that already exists"
            elif is_shown(name, wanted):
                self._entries[name] = info
                why = _unusable(name, info, self.path)
                if why:
                    self.unread[name] = why
            elif info.file_size > MAX_FILE_BYTES:
                self.unread[name] = "is not an image"
        return files, [name.rstrip("/") for name in names if name.endswith("/")]

    @property
    def notes(self) -> tuple[str, ...]:
        """Return one sentence each on unread files that look like pictures, and on undecodable names."""
        title, notes = printable(self.path.name), []
        if self.unread:
            first, why = next(iter(self.unread.items()))
            count = f"{len(self.unread)} file{'s' if len(self.unread) > 1 else ''}"
            notes.append(f"{title}: {count} not read (the first, {printable(first)}, {why})")
        doubtful = [name for name in self.names if self.in_doubt(name)]
        if doubtful:
            notes.append(
                f"{title}: {len(doubtful)} names are in an unknown code page (first: {doubtful[0]}); "
                "pack them again with UTF-8 names"
            )
        return tuple(notes)

    def in_doubt(self, name: str) -> bool:
        """Return whether part of this entry's name could not be decoded."""
        info = self._entries.get(name)
        return info is not None and not info.orig_filename.isascii() and bool(ESCAPED.search(name))

    def entry(self, name: str) -> zipfile.ZipInfo:
        """Return where an image is in a zip."""
        return self._entries[name]

    def read(self, name: str) -> bytes:
        """Return the bytes of one image or list.

        Raises:
            ValueError: it is larger than 64 MB, or its part of the archive is damaged.
        """
        shown = printable(name)
        try:
            with self._open(name) as file:
                data = file.read(MAX_FILE_BYTES + 1)  # bounded here too: a header can lie about the size
        except Exception as error:  # zlib.error, EOFError, NotImplementedError, ...
            raise ValueError(
                f"{shown} cannot be read from {printable(self.path.name)}; copy it again"
            ) from error
        if len(data) > MAX_FILE_BYTES:
            raise ValueError(f"{shown} is larger than {MAX_FILE_BYTES // 2**20} MB; reduce it first")
        return data

    def _open(self, name: str) -> BinaryIO:
        return open(self.path / name, "rb") if self._zip is None else self._zip.open(self._entries[name])

    def read_list(self, name: str) -> str:
        """Return the text of a list; bytes that are not UTF-8 become question marks.

        Raises:
            ValueError: as `read`.
        """
        return self.read(name).decode("utf-8-sig", "replace")

    def fingerprint(self) -> str:
        """Return a short hash of names, sizes and times, which changes with the content."""
        parts: list[object] = [str(self.path.resolve()), self.names]
        lists = [text for text in self.texts if PurePosixPath(text).name == LABELS]
        if self._zip is not None:
            stat = self.path.stat()
            parts += [stat.st_size, stat.st_mtime_ns]
        else:
            for name in [*self.names, *lists]:
                stat = (self.path / name).stat()
                parts += [name, stat.st_size, stat.st_mtime_ns]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _below(root: Path) -> tuple[list[str], list[str], dict[str, str]]:
    """Return (files, folders, {omitted path: reason}) below a directory, as relative names with forward
    slashes.

    Links are followed last. A folder that is reachable twice is read once; a link to a parent of the
    directory is not followed.
    """
    files, folders, left_out = [], [], {}
    home = os.path.realpath(root)
    seen, waiting, links = {home}, [""], []
    while waiting or links:
        prefix = waiting.pop() if waiting else links.pop(0)
        place = os.path.realpath(os.path.join(root, prefix))
        if prefix and (place in seen or home.startswith(place.rstrip(os.sep) + os.sep)):
            left_out[prefix.rstrip("/")] = (
                "is a link to a folder that is already included or contains this one"
            )
            continue
        seen.add(place)
        folders += [prefix.rstrip("/")] if prefix else []
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            left_out[prefix.rstrip("/")] = f"cannot be opened: {error.strerror}"
            continue
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir():
                (links if entry.is_symlink() else waiting).append(f"{name}/")
            elif entry.is_file():
                files.append(name)
            elif entry.is_symlink() and is_shown(name, IMAGE_SUFFIXES):
                left_out[name] = "is a link to nothing"
    return files, folders, left_out


def _empty(folders: list[str], names: list[str]) -> tuple[str, ...]:
    """Return the outermost folders without an image below them, except hidden ones."""
    full = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    parts = (PurePosixPath(folder) for folder in folders if not _is_hidden(folder))
    return tuple(sorted(str(path) for path in parts if str(path) not in full and str(path.parent) in full))


def is_shown(name: str, suffixes: tuple[str, ...]) -> bool:
    """Return whether a relative name has one of these suffixes and no hidden part."""
    return name.lower().endswith(suffixes) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    """Return whether a part of a name begins with a dot or is a typical leftover of systems and network
    drives.
    """
    return any(part.startswith(".") or part.casefold() in JUNK for part in PurePosixPath(name).parts)


def leaves(name: str) -> bool:
    """Return whether an archive's name for an entry leads out of its folder, on any system."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or bool(DRIVE.match(name))


def unsafe(name: str) -> str:
    """Return what is wrong with the name of an archive's entry, as a phrase; '' if it can be unpacked."""
    if len(name) > MAX_NAME or name.count("/") + name.count("\\") > MAX_DEPTH:
        return f"a name of {len(name):,} characters, or in more than {MAX_DEPTH} folders"
    return f"an entry outside its own folder ({printable(name)})" if leaves(name) else ""


def printable(text: str) -> str:
    """Return a name with characters that cannot be printed or encoded as UTF-8 escaped: `caf\\xe9.jpg`."""
    return "".join(
        c if c.isprintable() or unicodedata.category(c) == "Zs" or _joins(text, i) else _escape(c)
        for i, c in enumerate(text)
    )


def _joins(text: str, at: int) -> bool:
    """Return whether a joiner stands between two letters of a script, or parts of an emoji, that require
    it.
    """
    beside = text[at - 1 : at] + text[at + 1 : at + 2]
    return text[at] in JOINERS and len(beside) == 2 and all(c > "\u02ff" and c.isprintable() for c in beside)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that Python could not decode
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _unusable(name: str, info: zipfile.ZipInfo, archive: Path) -> str:
    """Return why an image or list of a zip is not read; "" if it is readable.

    Raises:
        ValueError: the archive is a bomb, or encrypted.
    """
    if (info.external_attr >> 16) & 0o170000 == 0o120000:
        return "is a link, which is not followed out of an archive"
    if info.file_size > MAX_RATIO * max(info.compress_size, 1024):
        raise ValueError(
            f"{archive.name} unpacks {printable(name)} to {info.file_size:,} bytes; it was not read"
        )
    if info.flag_bits & 1:
        raise ValueError(f"{archive.name} is encrypted; give a plain zip")
    if info.file_size > MAX_FILE_BYTES:
        return f"is larger than {MAX_FILE_BYTES // 2**20} MB"
    return ""
