"""Folder-per-identity datasets, read from a directory or straight from a zip, and split by identity.

Crops are decoded once into one uint8 file on disk and read from there by batch, so a second start reads no
JPEG and a large set needs no RAM. Splits are by identity: open-set verification is measured on unseen
identities. `identities.py` determines the identity on each image.
"""

import hashlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facelab.data.cropfile import (
    CropFile,
    is_whole,
    read_crop_file,
    read_index,
    write_index,
    writing_crops,
)
from facelab.data.identities import who_is_on
from facelab.data.images import ImageFolder, Track, printable, untracked
from facelab.photos.faces import CROP_SIZE, read_photo

AHEAD = 64  # images that are decoded before they are asked for


@dataclass(frozen=True, eq=False)
class CropSet:
    """Aligned crops with their identities.

    Attributes:
        crops: (N, 112, 112, 3) uint8, in memory or in a file.
        labels: (N,) int64 in [0, K).
        identities: K names, by label.
        names: N relative file names.
        skipped: (name, reason) of files that could not be read.
        notes: how sources were read that do not have one folder per identity.
    """

    crops: np.ndarray | CropFile
    labels: np.ndarray
    identities: tuple[str, ...]
    names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, identities: Sequence[int]) -> "Selection":
        """Return the rows of some identities, relabeled 0, 1, ... in the given order, without copying
        crops.
        """
        new = np.full(len(self.identities), -1, np.int64)
        new[list(identities)] = np.arange(len(identities))
        rows = np.flatnonzero(new[self.labels] >= 0)
        return Selection(
            self.crops, rows, new[self.labels[rows]], tuple(self.identities[i] for i in identities)
        )


def fewer_than(data: "CropSet | Selection", count: int) -> tuple[str, ...]:
    """Return the identities with fewer than `count` crops, e.g. too few for batches of K crops each."""
    crops = np.bincount(data.labels, minlength=len(data.identities))
    return tuple(name for name, n in zip(data.identities, crops) if n < count)


@dataclass(frozen=True, eq=False)
class Selection:
    """Some rows of a crop array: `crops[rows]` have `labels`, which index `identities`."""

    crops: np.ndarray | CropFile
    rows: np.ndarray
    labels: np.ndarray
    identities: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: np.ndarray) -> np.ndarray:
        """Return crops (B, 112, 112, 3) uint8; safe to call from several threads."""
        return self.crops[self.rows[index]]

    def take(self, index: np.ndarray) -> "Selection":
        """Return some of these rows with unchanged labels."""
        return Selection(self.crops, self.rows[index], self.labels[index], self.identities)

    def batches(self, track: Track = untracked, words: str = "", size: int = 128) -> Iterator[np.ndarray]:
        """Yield all crops in order, (up to `size`, 112, 112, 3) uint8 at a time; `words` is the title of its
        progress bar.
        """
        starts = range(0, len(self), size)
        for start in track(starts, len(starts), words):
            yield self.batch(np.arange(start, min(start + size, len(self))))


def load_crops(
    paths: Sequence[str | os.PathLike], cache: Path | None = None, track: Track = untracked
) -> CropSet:
    """Load aligned crops from folders or zips with one folder per identity, from the cache if possible.

    Identities are named `source/folder`, so that equal folder names of two sources remain two identities.

    Args:
        paths: directories or zips, or one crop file (.npy) of `data convert`.
        cache: directory for the decoded crops; None keeps them in memory and writes nothing.
        track: draws progress.

    Raises:
        ValueError: nothing readable, a folder without images, or names from which no identity follows.
    """
    if not paths:
        raise ValueError("no data was given; name at least one folder or zip of aligned crops")
    if len(paths) == 1 and Path(paths[0]).suffix == ".npy":
        return _crop_set(*read_crop_file(paths[0]), ())
    if len({Path(path).resolve() for path in paths}) < len(paths):
        raise ValueError(f"a source is named twice in {', '.join(map(str, paths))}; name each once")
    sources = [ImageFolder(path) for path in paths]
    people, unnamed, notes = _people(sources)
    if cache is None:
        crops = np.empty((len(people), CROP_SIZE, CROP_SIZE, 3), np.uint8)
        free = iter(crops)
        known = _decode(people, unnamed, lambda crop: np.copyto(next(free), crop), track)
        return _crop_set(crops, known, notes)
    contents = [source.fingerprint() for source in sources]
    who = [(image, person) for _, image, person in people]  # the same files may be understood otherwise
    key = hashlib.sha256(repr((contents, who, unnamed)).encode()).hexdigest()[:16]
    file, index = cache / f"crops-{key}.npy", cache / f"crops-{key}.json"
    known = read_index(index)
    if known is None or not is_whole(file, len(known["names"])):
        index.unlink(missing_ok=True)
        with writing_crops(file, len(people)) as write:
            known = _decode(people, unnamed, write, track)
        write_index(index, known)  # last: then the crops are whole
    return _crop_set(CropFile(file, len(known["names"])), known, notes)


def _crop_set(crops: np.ndarray | CropFile, index: dict[str, Any], notes: tuple[str, ...]) -> CropSet:
    labels, names = np.asarray(index["labels"], np.int64), tuple(index["names"])
    skipped = tuple((name, reason) for name, reason in index["skipped"])
    return CropSet(
        crops[: len(names)] if isinstance(crops, np.ndarray) else crops,
        labels,
        tuple(index["identities"]),
        names,
        skipped,
        notes,
    )


Person = tuple[ImageFolder, str, str]  # where, image, identity


def _people(sources: list[ImageFolder]) -> tuple[list[Person], list[tuple[str, str]], tuple[str, ...]]:
    """Return (every image with its identity, omitted images with reasons, notes).

    Raises:
        ValueError: a source whose identities cannot be determined, or with folders that hold no image.
    """
    people: list[Person] = []
    unnamed: list[tuple[str, str]] = []
    notes: list[str] = []
    for source, title in zip(sources, source_titles(sources)):
        found = who_is_on(source)
        if found.empty:
            raise ValueError(
                f"{source.path.name} has {len(found.empty)} folder(s) without any image (first: "
                f"{printable(found.empty[0])}); delete them or put that person's images there"
            )
        people += [(source, image, f"{title}/{person}") for image, person in found.people.items()]
        unnamed += found.unnamed.items()
        notes += found.notes
    return people, unnamed, tuple(notes)


def source_titles(sources: list[ImageFolder]) -> list[str]:
    """Return the prefix for the identities of each source: its name, numbered where two sources share one."""
    stems = [source.path.resolve().stem for source in sources]
    seen = [stems[: i + 1].count(stem) for i, stem in enumerate(stems)]
    return [stem if n == 1 else f"{stem} ({n})" for stem, n in zip(stems, seen)]


def _decode(
    people: list[Person],
    unnamed: list[tuple[str, str]],
    write: Callable[[np.ndarray], object],
    track: Track,
) -> dict[str, Any]:
    """Decode every image and write the readable ones in order -> labels, identities, names and skipped."""
    known, names, skipped = [], [], list(unnamed)
    results = decoded((source, image) for source, image, _ in people)
    for (_, image, person), result in zip(people, track(results, len(people), "decode")):
        if isinstance(result, str):
            skipped.append((image, result))
            continue
        write(result)
        known.append(person)
        names.append(image)
    if not names:
        name, reason = skipped[-1]
        raise ValueError(f"no readable crop: {printable(name)}: {reason}")
    identities, labels = np.unique(known, return_inverse=True)
    return {"labels": labels.tolist(), "identities": identities.tolist(), "names": names, "skipped": skipped}


def decoded(images: Iterable[tuple[ImageFolder, str]]) -> Iterator[np.ndarray | str]:
    """Yield the crop (112, 112, 3) uint8 of each image, or why it could not be read; in order, a few in
    advance.

    Pillow releases the interpreter's lock while decoding. At most 64 crops are held, even for a slow
    consumer.
    """
    images, waiting = iter(images), deque()
    with ThreadPoolExecutor() as pool:
        try:
            while True:
                waiting.extend(
                    pool.submit(_read_crop, x) for x in itertools.islice(images, AHEAD - len(waiting))
                )
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:  # a stopped run must not wait for what was queued
            pool.shutdown(wait=False, cancel_futures=True)


def _read_crop(entry: tuple[ImageFolder, str]) -> np.ndarray | str:
    """Return the crop, or why it could not be read."""
    source, name = entry
    try:
        pixels = read_photo(source.read(name)).pixels
    except ValueError as error:
        return str(error)
    if pixels.shape[:2] != (CROP_SIZE, CROP_SIZE):
        height, width = pixels.shape[:2]
        size = f"{width}x{height}"
        return f"{size} is not an aligned 112x112 crop; run `python -m facelab data prepare` on the photos"
    return pixels
