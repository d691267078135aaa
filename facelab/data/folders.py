"""Folder-per-identity datasets, read from a directory or straight from a zip, and split by identity.

Crops are decoded once into one uint8 array on disk and memory-mapped after that, so a second start reads no
JPEG and a large set needs no RAM. Splits are by identity: open-set verification is measured on people whom
training never saw. A zip is never unpacked: its entries are checked and read in memory.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from facelab.faces import CROP_SIZE, IMAGE_SUFFIXES, read_photo

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

    Raises:
        ValueError: no such path, not a zip, no image in it, or an entry that a safe archive does not have.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        if self.path.is_dir():
            found = (p.relative_to(self.path) for p in self.path.rglob("*") if p.is_file())
            names = [p.as_posix() for p in found]
        elif self.path.is_file():
            try:
                self._zip = zipfile.ZipFile(self.path)
            except Exception as error:  # usually BadZipFile; a hostile directory makes zipfile raise anything
                raise ValueError(f"{self.path} is neither a folder nor a whole zip; make it again") from error
            names = [_checked(info, self.path).filename for info in self._zip.infolist() if not info.is_dir()]
        else:
            raise ValueError(f"{self.path} does not exist; give a folder or a zip of images")
        self.names = sorted({name for name in names if _is_image(name)})
        if not self.names:
            raise ValueError(f"{self.path} holds no image ({', '.join(IMAGE_SUFFIXES)})")

    def read(self, name: str) -> bytes:
        """The bytes of one file.

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
            for name in self.names:
                stat = (self.path / name).stat()
                parts += [name, stat.st_size, stat.st_mtime_ns]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _is_image(name: str) -> bool:
    """Whether a relative name is an image's and no part of it is hidden, as macOS leaves them in archives."""
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return name.lower().endswith(IMAGE_SUFFIXES) and not hidden


def _checked(info: zipfile.ZipInfo, archive: Path) -> zipfile.ZipInfo:
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in info.filename:
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


@dataclass(frozen=True, eq=False)
class CropSet:
    """Aligned crops with their identities.

    Attributes:
        crops: (N, 112, 112, 3) uint8, usually memory-mapped.
        labels: (N,) int64 in [0, K).
        identities: K names, by label.
        names: N relative file names.
        skipped: (name, reason) of files that could not be read.
    """

    crops: np.ndarray
    labels: np.ndarray
    identities: tuple[str, ...]
    names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, identities: Sequence[int]) -> "Selection":
        """The rows of some identities, relabelled 0, 1, ... in the order given; crops are not copied."""
        new = np.full(len(self.identities), -1, np.int64)
        new[list(identities)] = np.arange(len(identities))
        rows = np.flatnonzero(new[self.labels] >= 0)
        return Selection(
            self.crops, rows, new[self.labels[rows]], tuple(self.identities[i] for i in identities)
        )


@dataclass(frozen=True, eq=False)
class Selection:
    """Some rows of a crop array: `crops[rows]` belong to `labels`, which count the `identities` from 0."""

    crops: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    identities: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: np.ndarray) -> np.ndarray:
        """(B, 112, 112, 3) uint8, read in file order, which is kinder to a disk than a random one."""
        rows = self.rows[index]
        order = np.argsort(rows)
        out = np.empty((len(rows), *self.crops.shape[1:]), np.uint8)
        out[order] = self.crops[rows[order]]
        return out


def split_identities(data: CropSet, held_out: float, seed: int) -> tuple[Selection, Selection]:
    """Split into training and held-out identities, disjoint; equal seeds give equal splits.

    Args:
        data: all crops.
        held_out: share of identities to hold out, in [0, 1); rounded, and at least 2 unless 0.
        seed: of the shuffle.

    Raises:
        ValueError: fewer than two identities would be left to train on.
    """
    count = len(data.identities)
    held = max(2, round(held_out * count)) if held_out > 0 else 0
    if count - held < 2:
        raise ValueError(f"{count} identities are too few to hold out {held}; give more, or held_out 0")
    order = np.random.default_rng(seed).permutation(count)
    return data.select(sorted(order[held:])), data.select(sorted(order[:held]))


def load_crops(
    paths: Sequence[str | os.PathLike], cache: Path | None = None, track: Track = untracked
) -> CropSet:
    """Load aligned crops from folders or zips of one folder per identity, from the cache if it is there.

    Identities are named `source/folder`, so that equal folder names of two sources stay two people.

    Args:
        paths: directories or zips.
        cache: directory for the decoded arrays; None keeps them in memory and writes nothing.
        track: draws progress.

    Raises:
        ValueError: nothing readable, or images that are not 112x112 crops.
    """
    if not paths:
        raise ValueError("no data was given; name at least one folder or zip of aligned crops")
    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise ValueError(f"a source is named twice in {', '.join(map(str, paths))}; name each once")
    sources = [ImageFolder(path) for path in paths]
    if cache is None:
        return _decode(sources, None, track)
    key = hashlib.sha256(" ".join(source.fingerprint() for source in sources).encode()).hexdigest()[:16]
    array, index = cache / f"crops-{key}.npy", cache / f"crops-{key}.json"
    if not (index.exists() and array.exists()):  # the index is written last: then the array is whole
        cache.mkdir(parents=True, exist_ok=True)
        part = cache / f"crops-{key}.{os.getpid()}.part.npy"
        try:
            decoded = _decode(sources, part, track)
            os.replace(part, array)
        finally:
            part.unlink(missing_ok=True)
        _write_index(index, decoded)
    return _read_cached(array, index)


def _decode(sources: list[ImageFolder], path: Path | None, track: Track) -> CropSet:
    """Decode every image, into a memory-mapped file at `path` or into memory."""
    entries = [(source, name) for source in sources for name in source.names]
    shape = (len(entries), CROP_SIZE, CROP_SIZE, 3)
    if path is None:
        crops = np.empty(shape, np.uint8)
    else:
        crops = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
        _reserve(path)
    titles = _titles(sources)
    people, names, skipped = [], [], []
    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
        results = pool.map(_read_crop, entries)
        try:
            for (source, name), result in zip(entries, track(results, len(entries), "decode")):
                if isinstance(result, str):
                    skipped.append((name, result))
                    continue
                crops[len(names)] = result
                people.append(f"{titles[source]}/{PurePosixPath(name).parent}")
                names.append(name)
        except BaseException:  # a stopped run must not wait for all that was queued
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if not names:
        raise ValueError(f"no readable crop: {skipped[0][0]}: {skipped[0][1]}")
    identities, labels = np.unique(people, return_inverse=True)
    return CropSet(crops[: len(names)], labels, tuple(map(str, identities)), tuple(names), tuple(skipped))


def _titles(sources: list[ImageFolder]) -> dict[ImageFolder, str]:
    """What identities of each source are called by: its name, numbered where two sources share one."""
    stems = [source.path.resolve().stem for source in sources]
    seen = [stems[: i + 1].count(stem) for i, stem in enumerate(stems)]
    return {source: stem if n == 1 else f"{stem} ({n})" for source, stem, n in zip(sources, stems, seen)}


def _reserve(path: Path) -> None:
    """Claim the file's whole space now: a full disk is an error here and a crash when it is met in memory."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _read_crop(entry: tuple[ImageFolder, str]) -> np.ndarray | str:
    """The crop, or why it could not be read."""
    source, name = entry
    try:
        pixels = read_photo(source.read(name)).pixels
    except ValueError as error:
        return str(error)
    if pixels.shape[:2] != (CROP_SIZE, CROP_SIZE):
        height, width = pixels.shape[:2]
        return f"{width}x{height} is no aligned 112x112 crop; run `python -m facelab prepare` on the photos"
    return pixels


def _write_index(path: Path, data: CropSet) -> None:
    index = {
        "labels": data.labels.tolist(),
        "identities": data.identities,
        "names": data.names,
        "skipped": data.skipped,
    }
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(index))
    os.replace(part, path)


def _read_cached(array: Path, index: Path) -> CropSet:
    values = json.loads(index.read_text())
    crops = np.load(array, mmap_mode="r", allow_pickle=False)[: len(values["names"])]
    skipped = tuple((name, reason) for name, reason in values["skipped"])
    labels = np.asarray(values["labels"], np.int64)
    return CropSet(crops, labels, tuple(values["identities"]), tuple(values["names"]), skipped)
