"""Training data of a visitor: rendered faces, drawn on first access, or the visitor's photos.

Drawing two thousand faces takes seconds, and the first step needs thirty-two of them. So the crops act as an
array in memory and each is drawn once, when it is read. Photos are read in memory and never written; photos
that are not 112x112 crops are aligned as elsewhere in the project.
"""

import hashlib
import os
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from facelab.data.folders import CropSet
from facelab.data.identities import Who, who_is_on
from facelab.data.images import ImageFolder, Track, printable, untracked
from facelab.data.parametric import ParametricFaces
from facelab.photos.faces import CROP_SIZE, Source, find_faces, main_face, read_photo

RENDERED = "rendered faces"


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Hold crops to train on, and their source.

    Attributes:
        data: the crops.
        source: `rendered faces`, or the name of the zip (without its suffix) or folder.
        per_identity: rendered faces of each person; 0 for photos.
        seed: of the rendered faces.
        aligned: whether every image was a 112x112 crop, so that `train --data` reads the same data.
        path: argument of `train --data`: a zip's file name or a folder's path; empty for rendered faces.
    """

    data: CropSet
    source: str
    per_identity: int = 0
    aligned: bool = True
    path: str = ""
    seed: int = 0

    def digest(self) -> str:
        """Return a name that two pools of photos share if they have the same crops of the same people."""
        found = hashlib.blake2b(digest_size=16)
        for part in (self.data.identities, self.data.labels.tolist()):
            found.update(repr(part).encode())
        found.update(np.ascontiguousarray(self.data.crops))
        return found.hexdigest()

    def forget(self) -> None:
        """Overwrite a visitor's faces."""
        if isinstance(self.data.crops, np.ndarray):
            self.data.crops.fill(0)


class DrawnCrops:
    """`ParametricFaces` as an array (N, 112, 112, 3) uint8 that draws a face on first access.

    Args:
        faces: the dataset; its rows are this array's.
    """

    def __init__(self, faces: ParametricFaces) -> None:
        self._faces, self._lock = faces, threading.Lock()
        self._pixels = np.empty((len(faces), CROP_SIZE, CROP_SIZE, 3), np.uint8)  # no memory until written
        self.drawn = np.zeros(len(faces), bool)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._pixels.shape

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Return (B, 112, 112, 3) uint8 of (B,) row numbers; safe to call from several threads."""
        with self._lock:
            todo = np.unique(rows[~self.drawn[rows]])
            if len(todo):
                self._pixels[todo] = self._faces.rows(torch.from_numpy(todo))[0].numpy()
                self.drawn[todo] = True
        return self._pixels[rows]


def rendered(identities: int, per_identity: int, seed: int) -> TrainingData:
    """Return the crops, labels and names of `ParametricFaces(...).crop_set()`, without drawing them first.

    Args:
        identities: number of people.
        per_identity: number of faces of each.
        seed: a recipe's, as `python -m facelab train` takes it.
    """
    faces = ParametricFaces(identities, per_identity, seed)
    names = tuple(f"{person}/{i}" for person in range(identities) for i in range(per_identity))
    people = tuple(f"rendered/{person}" for person in range(identities))
    return TrainingData(
        CropSet(DrawnCrops(faces), faces.targets.numpy(), people, names), RENDERED, per_identity, seed=seed
    )


def from_photos(path: str | os.PathLike, most: int, least: int = 2, track: Track = untracked) -> TrainingData:
    """Read crops of a zip or folder, by person as determined by `who_is_on`, named and ordered as in
    `load_crops`.

    Args:
        path: the zip, which may be deleted while it is read, or the folder.
        most: maximum number of photos.
        least: minimum number of photos per person.
        track: draws progress.

    Raises:
        ValueError: neither a folder nor a safe zip of images, names from which no identity follows, an empty
            folder, one person only, too many photos, or too few with a face.
    """
    title, source = Path(path).name, Path(path).resolve().stem
    try:
        folder = ImageFolder(path)
    except ValueError as error:  # without the place where the server keeps uploads
        raise ValueError(str(error).replace(str(path), title)) from error
    found = who_is_on(folder)
    _check_folders(found, title, most, least)
    crops, people, names, skipped, aligned = [], [], [], list(found.unnamed.items()), True
    for name, person in track(found.people.items(), len(found.people), "align"):
        try:
            crop, ready = read_crop(folder.read(name))
        except ValueError as error:
            skipped.append((name, str(error)))
            continue
        aligned &= ready
        crops.append(crop)
        people.append(f"{source}/{person}")
        names.append(name)
    _check_people(Counter(people), title, least, skipped)
    identities, labels = np.unique(people, return_inverse=True)
    data = CropSet(
        np.stack(crops), labels, tuple(identities.tolist()), tuple(names), tuple(skipped), found.notes
    )
    return TrainingData(data, source, aligned=aligned, path=str(path) if Path(path).is_dir() else title)


def read_crop(source: Source) -> tuple[np.ndarray, bool]:
    """Return the main face of a photo, or a crop unchanged, as (112, 112, 3) uint8, and whether it was a
    crop.
    """
    photo = read_photo(source)
    if photo.pixels.shape[:2] == (CROP_SIZE, CROP_SIZE):
        return photo.pixels, True
    return main_face(find_faces(photo), photo).crop, False


def _check_folders(found: Who, title: str, most: int, least: int) -> None:
    """Raise a ValueError based on names alone, before a photo is read."""
    if len(found.people) > most:
        raise ValueError(f"{title} holds {len(found.people):,} photos; leave at most {most:,} in it")
    if found.empty:
        empty = printable(found.empty[0])
        raise ValueError(f"{title} has an empty folder ({empty}); put photos there or delete it")
    _check_people(Counter(found.people.values()), title, least, [])


def _check_people(photos: Counter, title: str, least: int, skipped: list[tuple[str, str]]) -> None:
    first = ""
    if skipped:
        first = f" ({len(skipped)} left out, the first: {printable(skipped[0][0])}: {skipped[0][1]})"
    if len(photos) < 2:
        who = "one person only" if photos else "nobody"
        raise ValueError(
            f"{title} has photos of {who}{first}; training needs two folders or more, one for each person"
        )
    person, count = min(photos.items(), key=lambda item: item[1])
    if count < least:
        raise ValueError(
            f"{PurePosixPath(person).name} has {count} photo{'s' if count > 1 else ''} in {title}{first}; "
            f"give everyone {least} or more"
        )
