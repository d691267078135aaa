"""Several zips or tars of aligned crops as one data set, read in place: nothing is unpacked or decoded ahead.

An index on disk has the archive, the place and the label of every crop, and is mapped into memory, so that
memory does not grow with the crops' pixels or names. A batch reads its crops where they are and decodes them
in threads; the order of an epoch is a permutation of all rows, which shuffles across archives and resumes
exactly. Identities are the folders' names, in whichever archives they are.
"""

import hashlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from facelab.data.cache import touch
from facelab.data.cropfile import CROP
from facelab.data.files import replacing
from facelab.data.folders import CropSet
from facelab.data.formats.shards import judged
from facelab.data.identities import identify, who_is_on
from facelab.data.images import MAX_FILE_BYTES, ImageFolder, Track, is_shown, printable, untracked
from facelab.data.unpack import OPENERS
from facelab.photos.read import IMAGE_SUFFIXES, read_photo

ROW = np.dtype(
    [
        ("archive", "<u4"),
        ("start", "<u8"),
        ("size", "<u4"),
        ("whole", "<u4"),
        ("label", "<i8"),
        ("name", "<u8"),
    ]
)
LOCAL = 30  # bytes of the header before an entry of a zip
THREADS = min(8, os.cpu_count() or 1)
Placed = tuple[
    str, str, int, int, int
]  # name, person, start, bytes in the archive, bytes unpacked or 0 if stored


class ArchiveCrops:
    """Crops in archives, read through `crops[rows]` like an array (N, 112, 112, 3) uint8.

    Args:
        paths: the archives.
        rows: (N,) of ROW.
        names: the names as bytes, each ended by a line feed.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[Path], rows: np.ndarray, names: np.ndarray) -> None:
        self.rows, self.shape = rows, (len(rows), *CROP)
        self.names = ArchiveNames(rows, names)
        self._paths = [*paths]
        self._files = [open(path, "rb", buffering=0) for path in paths]  # noqa: SIM115  open while it trains
        self._zips = [zipfile.is_zipfile(path) for path in paths]
        self._pool = ThreadPoolExecutor(THREADS)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: np.ndarray | slice) -> np.ndarray:
        """Return (B, 112, 112, 3) uint8 of a slice or index array.

        Raises:
            ValueError: an image cannot be read or is no aligned crop.
        """
        index = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows)
        out = np.empty((len(index), *CROP), np.uint8)
        for at, crop in enumerate(self._pool.map(self._crop, index.tolist())):
            out[at] = crop
        return out

    def _crop(self, row: int) -> np.ndarray:
        try:
            pixels = read_photo(self._content(row)).pixels
        except (ValueError, OSError, zlib.error, struct.error) as error:
            raise ValueError(
                f"{self._where(row)} cannot be read ({str(error)[:80]}); leave it out"
            ) from error
        if pixels.shape != CROP:
            height, width = pixels.shape[:2]
            raise ValueError(
                f"{self._where(row)} is {width}x{height}, not an aligned 112x112 crop; leave it out"
            )
        return pixels

    def _where(self, row: int) -> str:
        return f"{printable(self.names[row])} in {self._paths[self.rows['archive'][row]].name}"

    def _content(self, row: int) -> bytes:
        entry = self.rows[row]
        archive, start, size = int(entry["archive"]), int(entry["start"]), int(entry["size"])
        if self._zips[archive]:
            head = self._bytes(archive, LOCAL, start)
            name, extra = struct.unpack("<HH", head[26:30])
            start += LOCAL + name + extra
        data = self._bytes(archive, size, start)
        if len(data) != size:
            raise ValueError("the archive has become shorter")
        whole = int(entry["whole"])
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, whole) if whole else data

    def _bytes(self, archive: int, size: int, start: int) -> bytes:
        """Read from an archive; safe to call from several threads."""
        if hasattr(os, "pread"):
            return os.pread(self._files[archive].fileno(), size, start)
        with open(self._paths[archive], "rb") as file:
            file.seek(start)
            return file.read(size)


class ArchiveNames(Sequence):
    """Names of the crops, read from a mapped file when one is asked for."""

    def __init__(self, rows: np.ndarray, names: np.ndarray) -> None:
        self._rows, self._names = rows, names

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> str:
        start = int(self._rows["name"][row])
        end = int(self._rows["name"][row + 1]) if row + 1 < len(self._rows) else len(self._names)
        return bytes(self._names[start : end - 1]).decode("utf-8", "surrogateescape")


def open_archives(
    paths: Sequence[str | os.PathLike], cache: Path | None, track: Track = untracked
) -> CropSet:
    """Open zips or plain tars of aligned crops as one data set.

    Args:
        paths: the archives, with one folder per identity or a labels.txt (zips).
        cache: folder for the index, which is made once.
        track: draws progress over the archives.

    Raises:
        ValueError: no archive, a compressed tar, or names from which no identity follows.
    """
    if cache is None:
        raise ValueError("--stream needs a folder for its index; FACELAB_CACHE names one")
    paths = [Path(path) for path in paths]
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path} is not an archive; name zips or plain tars, or leave --stream out")
    stats = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    if len(set(stats)) < len(stats):
        raise ValueError(f"an archive is named twice in {', '.join(map(str, paths))}; name each once")
    key = hashlib.sha256(repr(stats).encode()).hexdigest()[:16]
    base = cache / f"archives-{key}"
    files = {suffix: base.with_suffix(suffix) for suffix in (".npy", ".names", ".json")}
    if not files[".json"].is_file():
        _index(paths, files, track)
    touch(*files.values())
    about = json.loads(files[".json"].read_text(encoding="utf-8"))
    rows = np.load(files[".npy"], mmap_mode="r")
    names = np.memmap(files[".names"], np.uint8, "r")
    if rows.dtype != ROW or len(rows) != about["crops"]:
        raise ValueError(f"the index {files['.npy'].name} is damaged; delete it with `cache --clear`")
    crops = ArchiveCrops(paths, rows, names)
    return CropSet(crops, rows["label"], tuple(about["identities"]), crops.names, (), tuple(about["notes"]))


def _index(paths: list[Path], files: dict[str, Path], track: Track) -> None:
    """Write the index, one archive's entries in memory at a time; the .json comes last."""
    numbers: dict[str, int] = {}
    notes, count, place = [], 0, 0
    raw = files[".npy"].with_suffix(".rows")
    with (
        replacing(raw) as part,
        replacing(files[".names"]) as texts,
        open(part, "wb") as rows,
        open(texts, "wb") as names,
    ):
        for archive, path in enumerate(track(paths, len(paths), "index")):
            found, said = _placed(path)
            notes += said
            block = np.empty(len(found), ROW)
            for i, (name, person, start, size, whole) in enumerate(found):
                label = numbers.setdefault(person, len(numbers))
                block[i] = (archive, start, size, whole, label, place)
                text = name.replace("\n", " ").encode("utf-8", "surrogateescape") + b"\n"
                place += len(text)
                names.write(text)
            rows.write(block.tobytes())
            count += len(block)
    order = np.argsort(np.array([*numbers], dtype=object)) if numbers else np.empty(0, np.int64)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    with replacing(files[".npy"]) as part:
        table = np.lib.format.open_memmap(part, "w+", ROW, (count,))
        table[:] = np.memmap(raw, ROW, "r", shape=(count,))
        table["label"] = rank[table["label"]]
        table.flush()
    raw.unlink()
    about = {"crops": count, "identities": sorted(numbers), "notes": notes}
    with replacing(files[".json"]) as part:
        part.write_text(json.dumps(about), encoding="utf-8")


def _placed(path: Path) -> tuple[list[Placed], tuple[str, ...]]:
    """Return where an archive's crops are, and notes on how it was read; all of its entries are checked."""
    if zipfile.is_zipfile(path):
        folder = ImageFolder(path)
        found = who_is_on(folder)
        places = []
        for name, person in found.people.items():
            info = folder.entry(name)
            whole = 0 if info.compress_type == zipfile.ZIP_STORED else info.file_size
            known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if not known or info.compress_size > MAX_FILE_BYTES:
                raise ValueError(f"{path.name} is packed in an unusual way; pack it again as a plain zip")
            places.append((name, person, info.header_offset, info.compress_size, whole))
        return places, found.notes
    with open(path, "rb") as file:
        if file.read(2) in OPENERS:
            raise ValueError(
                f"{path.name} is compressed, so no crop of it can be read alone; decompress it first"
            )
    entries = {
        e.name: e for e in judged(path) if is_shown(e.name, IMAGE_SUFFIXES) and e.size <= MAX_FILE_BYTES
    }
    if not entries:
        raise ValueError(f"{path.name} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    found = identify([*entries], title=path.name)
    places = [(n, who, entries[n].start, entries[n].size, 0) for n, who in found.people.items()]
    return places, found.notes
