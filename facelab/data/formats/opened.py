"""What a path is: recognized by its suffix and content, once for every command."""

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from facelab.data.formats.crops import open_crops
from facelab.data.formats.labeled import Item, Labeled, LabeledPairs
from facelab.data.formats.parquet import open_parquet
from facelab.data.formats.recordio import open_recordio
from facelab.data.formats.shards import open_shards
from facelab.data.formats.table import open_table
from facelab.data.formats.verification_bin import open_bin
from facelab.data.identities import who_is_on
from facelab.data.images import ImageFolder, printable

TARS = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2")
READERS: dict[tuple[str, ...], Callable[[list[Path]], Labeled | LabeledPairs]] = {
    (".rec",): lambda paths: open_recordio(paths[0]),
    (".bin",): lambda paths: open_bin(paths[0]),
    (".parquet",): open_parquet,
    TARS: open_shards,
    (".csv", ".tsv", ".lst"): lambda paths: open_table(paths[0]),
    (".npy",): lambda paths: open_crops(paths[0]),
}
KNOWN = (".zip", *(suffixes[0] for suffixes in READERS))
SHARDED = ((".parquet",), TARS)  # a folder of several files of these is one data set


def open_labeled(path: str | os.PathLike) -> Labeled | LabeledPairs:
    """Open a data set of any format that is read: images with identities, or pairs with their truth.

    Args:
        path: a folder or zip of images, .rec, .bin, .parquet, .tar, .csv or .npy; or a folder of shards.

    Raises:
        ValueError: none of these, or damaged; the sentence says what to do.
    """
    path = Path(path)
    if path.is_dir():
        return _shards(path) or open_folder(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a folder or a file of images")
    name = path.name.lower()
    reader = next((read for suffixes, read in READERS.items() if name.endswith(suffixes)), None)
    if reader is None and not name.endswith(".zip") and not zipfile.is_zipfile(path):
        raise ValueError(f"{path.name} is not a data set; name a folder or {', '.join(KNOWN)}")
    return reader([path]) if reader else open_folder(path)


def _shards(folder: Path) -> Labeled | LabeledPairs | None:
    """Return the data set of a folder of Parquet files, tars or one .rec, if the folder contains no image
    itself.
    """
    places = [place for place in (folder, folder / "data") if place.is_dir()]
    files = sorted(entry for place in places for entry in place.iterdir() if not entry.name.startswith("."))
    for suffixes in ((".rec",), *SHARDED):
        found = [file for file in files if file.name.lower().endswith(suffixes) and file.is_file()]
        if not found or _holds_images(folder):
            continue
        if suffixes == (".rec",) and len(found) > 1:
            raise ValueError(f"{folder} holds {len(found)} .rec files; name one of them")
        return READERS[suffixes](found)
    return None


def _holds_images(folder: Path) -> bool:
    try:
        return bool(ImageFolder(folder).names)
    except ValueError:
        return False


def open_folder(path: Path) -> Labeled:
    """Read a folder or zip of images."""
    folder = ImageFolder(path)
    found = who_is_on(folder)
    notes = found.notes
    if found.empty:
        notes += (f"{len(found.empty)} folders hold no image (first: {printable(found.empty[0])})",)

    def items() -> Iterator[Item]:
        for name, person in found.people.items():
            yield Item(name, person, folder.read(name))

    return Labeled("folder of images" if path.is_dir() else "zip of images", items, len(found.people), notes)
