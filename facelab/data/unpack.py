"""Safe unpacking of archives of images.

Archives are untrusted. All entries are checked before one is written: a name that leads out of the folder, a
link, a device or an implausible size rejects the whole archive. Only images and lists (.txt, .csv) are
written, each atomically, so an interrupted run can continue.
"""

import bz2
import contextlib
import errno
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from facelab.data.files import Written, replacing, safe_name
from facelab.data.images import (
    MAX_FILE_BYTES,
    MAX_RATIO,
    TEXT_SUFFIXES,
    Track,
    is_shown,
    printable,
    unsafe,
    untracked,
)
from facelab.data.zip_names import entry_names
from facelab.data.zips import OpenZip
from facelab.photos.read import HEIC_SUFFIXES, IMAGE_SUFFIXES

MAX_FILES = 2_000_000
MAX_BYTES = 2**40  # of all files together
SMALL = 2**20  # an archive of less counts as this large where its ratio is judged
DAMAGE = (EOFError, OSError, lzma.LZMAError, zlib.error, tarfile.TarError)  # how a broken archive shows
HERE = (
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EINVAL,
    errno.EILSEQ,
)  # one name, not the disk, is at fault
OPENERS = {b"\x1f\x8b": gzip.open, b"\xfd7": lzma.open, b"BZ": bz2.open}  # by a file's first two bytes


@dataclass(frozen=True)
class Entry:
    """A file in an archive: its name, its size in bytes, and where it is."""

    name: str
    size: int
    place: zipfile.ZipInfo | tarfile.TarInfo | int
    start: int = 0  # of its bytes, in a tar that is not compressed


def unpack(archive: str | os.PathLike, out: str | os.PathLike, track: Track = untracked) -> Written:
    """Unpack the images and lists of a zip or tar (.tar, .tar.gz, .tar.xz, .tar.bz2) into a folder.

    Hidden files and other types are omitted. Existing files of the right size are kept.

    Args:
        archive: the file.
        out: the folder.
        track: draws progress.

    Raises:
        ValueError: not such an archive, truncated, without an image, or unsafe: entries that lead out of the
            folder, links, devices, encryption, or implausible sizes.
        OSError: the disk is full.
    """
    path, out = Path(archive), Path(out)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a zip or tar of images")
    written, kept, failures = 0, 0, []
    with contextlib.closing(_Zip(path) if zipfile.is_zipfile(path) else Tar(path)) as source:
        entries = _accepted(path, source)
        targets = _targets(entries)
        for entry in track(source.in_order(entries), len(entries), "unpack"):
            try:
                if _write(source, entry, out / targets[entry.name]):
                    written += 1
                else:
                    kept += 1
            except ValueError as error:
                failures.append((entry.name, str(error)))
    return Written(written, kept, tuple(failures), _notes(path.name, targets))


def _targets(entries: list[Entry]) -> dict[str, str]:
    """Return {name: path to write}: the same, except for characters that not every file system allows."""
    names = {entry.name for entry in entries}
    targets: dict[str, str] = {}
    taken = {name for name in names if safe_name(name) == str(PurePosixPath(name))}
    for name in sorted(names):
        target, number = safe_name(name), 1
        while name not in taken and target in taken:
            number += 1
            path = PurePosixPath(safe_name(name))
            target = str(path.with_stem(f"{path.stem} ({number})"))
        taken.add(target)
        targets[name] = target
    return targets


def _notes(title: str, targets: dict[str, str]) -> tuple[str, ...]:
    renamed = {name: new for name, new in targets.items() if new != str(PurePosixPath(name))}
    if not renamed:
        return ()
    first, new = next(iter(renamed.items()))
    return (f"{title}: {len(renamed)} files were renamed (the first, {printable(first)}, to {new})",)


def _write(source: "_Zip | Tar", entry: Entry, target: Path) -> bool:
    """Write one file, unless it exists."""
    try:
        if target.is_file() and target.stat().st_size == entry.size:
            return False
        content = source.read(entry)
        with replacing(target) as part:
            part.write_bytes(content)
    except OSError as error:
        if error.errno not in HERE:
            raise
        raise ValueError(f"cannot be written under this name: {error.strerror}") from error
    return True


def _accepted(path: Path, source: "_Zip | Tar") -> list[Entry]:
    """Return the entries to write, after checking all of them."""
    entries, total, seen = [], 0, set()
    limit = min(MAX_BYTES, MAX_RATIO * max(path.stat().st_size, SMALL))
    try:
        for count, entry in enumerate(source.entries(), 1):
            total += entry.size
            if count > MAX_FILES or total > limit:
                raise ValueError(f"{path.name} unpacks to more than {limit:,} bytes; it was not unpacked")
            if wrong := unsafe(entry.name):
                raise ValueError(f"{path.name} has {wrong}; it was not unpacked")
            if (
                is_shown(entry.name, IMAGE_SUFFIXES + HEIC_SUFFIXES + TEXT_SUFFIXES)
                and entry.name not in seen
            ):
                seen.add(entry.name)
                entries.append(entry)
    except DAMAGE as error:
        raise ValueError(f"{path.name} is cut short or damaged; download it again") from error
    if not any(is_shown(entry.name, IMAGE_SUFFIXES) for entry in entries):
        raise ValueError(f"{path.name} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return entries


class _Zip:
    def __init__(self, path: Path) -> None:
        try:
            self._path, self._zip = path, OpenZip(path)
        except Exception as error:  # a hostile directory makes zipfile raise anything
            raise ValueError(f"{path.name} is not a complete zip file; download it again") from error
        self.close = self._zip.close

    def entries(self) -> Iterator[Entry]:
        infos = self._zip.infolist()
        for name, info in zip(entry_names(infos), infos):
            if info.flag_bits & 1:
                raise ValueError(f"{self._path.name} is encrypted; unpack it with its password first")
            if (info.external_attr >> 16) & 0o170000 == 0o120000:
                raise ValueError(f"{self._path.name} holds a link ({printable(name)}); it was not unpacked")
            if not name.endswith("/"):
                yield Entry(name, info.file_size, info)

    def in_order(self, entries: list[Entry]) -> Iterator[Entry]:
        yield from entries

    def read(self, entry: Entry) -> bytes:
        try:
            with self._zip.open(entry.place) as file:
                return _whole(file, entry)
        except Exception as error:  # zlib.error, BadZipFile, NotImplementedError, ...
            raise ValueError(f"cannot be read from {self._path.name}; download it again") from error


class Tar:
    """A tar, read from front to back: once to judge its entries and once to use them; close it.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        with open(self._path, "rb") as file:
            opener = OPENERS.get(file.read(2), open)
        self._file = _Bounded(opener(self._path, "rb"))
        try:
            self._tar = tarfile.open(fileobj=self._file, mode="r:")  # noqa: SIM115  close() closes it
        except DAMAGE as error:
            self._file.close()
            raise ValueError(f"{self._path.name} is neither a zip nor a tar; name one of images") from error

    def _members(self) -> Iterator[tarfile.TarInfo]:
        for info in self._tar:
            yield info
            self._tar.members.clear()  # tarfile keeps every header that it has read
        self._file.seek(self._tar.offset)
        end = self._file.read(tarfile.BLOCKSIZE)  # tarfile takes rubbish for the end as well
        if len(end) < tarfile.BLOCKSIZE or any(end):
            raise tarfile.ReadError("there is no end mark")

    def close(self) -> None:
        """Close the file."""
        self._tar.close()
        self._file.close()

    def entries(self) -> Iterator[Entry]:
        """Return all files.

        Raises:
            ValueError: one is a link or a device.
        """
        for info in self._members():
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                kind = "link" if info.issym() or info.islnk() else "special file"
                raise ValueError(
                    f"{self._path.name} holds a {kind} ({printable(info.name)}); it was not unpacked"
                )
            yield Entry(info.name, info.size, info.offset, info.offset_data)

    def in_order(self, entries: list[Entry]) -> Iterator[Entry]:
        """Yield some of `entries`, from the beginning; read each before requesting the next."""
        self.close()
        self._open()
        wanted = {entry.place: entry.name for entry in entries}
        for info in self._members():
            if info.offset in wanted:
                yield Entry(wanted[info.offset], info.size, info)

    def read(self, entry: Entry) -> bytes:
        """Return the bytes of the entry that `in_order` returned last."""
        return _whole(self._tar.extractfile(entry.place), entry)


def _whole(file: BinaryIO, entry: Entry) -> bytes:
    """Return all bytes of an entry, exactly as many as announced."""
    content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"is larger than {MAX_FILE_BYTES // 2**20} MB; reduce it first")
    if len(content) != entry.size:
        raise ValueError("is shorter than its archive says; download it again")
    return content


class _Bounded:
    """Limit the reads of tarfile, which trusts a header and would read gigabytes of names at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= 2 * MAX_FILE_BYTES:
            raise tarfile.ReadError(f"a header declares {size:,} bytes")
        return self._file.read(size)
