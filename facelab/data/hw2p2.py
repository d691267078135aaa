"""Data of the homework: CMU 11-785, homework 2 part 2, face classification and verification.

Two layouts have been in use. Since fall 2024: `cls_data/{train,dev,test}` with `images/` and `labels.txt`
(`image label` a line), `ver_data/`, `val_pairs.txt` (`image1 image2 label`) and `test_pairs.txt` without
labels. Before: `classification_data/{train_data,val_data,test_data}` (or `{train,dev,test}`) with one folder
per person and unlabeled test images, `verification_data/` and `verification_pairs_{val,test}.txt`. Lists of
known and unknown faces, as used in 2022 to 2024, are not read.
"""

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from facelab.data.files import replacing
from facelab.data.folders import CropSet, load_crops
from facelab.data.identities import parse_labels
from facelab.data.images import LABELS, ImageFolder, Track, untracked

CLASSIFICATION = ("cls_data", "classification_data", "classification", "")
SPLITS = {"train": ("train", "train_data"), "dev": ("dev", "val", "val_data"), "test": ("test", "test_data")}
VERIFICATION = ("ver_data", "verification_data", "")
PAIRS = {
    "val": ("val_pairs.txt", "verification_pairs_val.txt"),
    "test": ("test_pairs.txt", "verification_pairs_test.txt"),
}


@dataclass(frozen=True)
class Homework:
    """Hold the paths of the homework's parts; None where a semester does not have one.

    Attributes:
        train, dev, test: folders of classification crops.
        faces: the folder to which the pairs' names are relative.
        val_pairs, test_pairs: lists with and without labels.
    """

    train: Path | None
    dev: Path | None
    test: Path | None
    faces: Path
    val_pairs: Path | None
    test_pairs: Path | None


def find_homework(root: str | os.PathLike) -> Homework:
    """Find the parts of the homework below its folder.

    Raises:
        ValueError: no folder, or nothing of either layout in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder; unpack the homework with `python -m facelab data unpack`")
    parts = [root / part for part in CLASSIFICATION]
    found = {
        split: _first([part / name for part in parts for name in names], Path.is_dir)
        for split, names in SPLITS.items()
    }
    lists = {
        kind: _first([root / part / name for part in ("", *VERIFICATION) for name in names], Path.is_file)
        for kind, names in PAIRS.items()
    }
    if not (found["train"] or lists["test"]):
        raise ValueError(
            f"{root} has neither cls_data/train nor test_pairs.txt; name the homework's own folder"
        )
    faces = _first([root / part for part in VERIFICATION], Path.is_dir)
    return Homework(**found, faces=faces, val_pairs=lists["val"], test_pairs=lists["test"])


def homework_of(sources: Sequence[str | os.PathLike]) -> Homework | None:
    """Return the homework whose root, folder of classes or training classes a single source is.

    A folder named `train` alone is not a homework: the homework's lists or its folder's name must exist as
    well.

    Raises:
        ValueError: it is the homework's archive, from which pairs cannot be read.
    """
    if len(sources) == 1 and Path(sources[0]).is_file():
        _refuse_archive(Path(sources[0]))
    if len(sources) != 1 or not Path(sources[0]).is_dir():
        return None
    source = Path(os.path.abspath(sources[0]))  # links are not followed: parts may be linked into one folder
    for root in (source.parent.parent, source.parent, source):  # the outermost has the lists
        try:
            found = find_homework(root)
        except ValueError:
            continue
        if found.train is None or source not in (root, found.train.parent, found.train):
            continue
        if found.train.parent.name in CLASSIFICATION[:-1] or found.val_pairs or found.test_pairs:
            return found
    return None


def _refuse_archive(path: Path) -> None:
    lists = {name for names in PAIRS.values() for name in names}
    if any(PurePosixPath(text).name in lists for text in ImageFolder(path).texts):
        raise ValueError(
            f"{path} is the homework's archive; unpack it with `python -m facelab data unpack {path.name} "
            f"{path.stem}/` and name the folder, so that its pairs are found"
        )


def _first(paths: Iterable[Path], is_there: Callable[[Path], bool]) -> Path | None:
    return next((path for path in paths if is_there(path)), None)


def class_labels(train: Path) -> dict[str, str]:
    """Return the homework's label of each class: {identity below `train`: label}.

    With `labels.txt` an identity is its label. With folders the label is the index of the folder among the
    sorted names, as in torchvision's ImageFolder and in the course's notebooks.

    Raises:
        ValueError: no class in the folder, or a malformed list.
    """
    if (train / LABELS).is_file():
        text = (train / LABELS).read_text("utf-8-sig", "replace")
        return {label: label for label in parse_labels(text, f"{train.name}/{LABELS}").values()}
    folders = sorted(path.name for path in train.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise ValueError(f"{train} holds no class; name the homework's own folder")
    return {name: str(i) for i, name in enumerate(folders)}


def class_order(identities: Sequence[str]) -> list[str]:
    """Return identities without the name of their source: `train/n000002` is the class `n000002`."""
    return [name.partition("/")[2] or name for name in identities]


def load_split(
    folder: Path, identities: Sequence[str], cache: Path | None = None, track: Track = untracked
) -> CropSet:
    """Load a labeled split with the labels of the training set.

    Args:
        folder: e.g. `Homework.dev`.
        identities: training identities by class, as in `CropSet.identities` or `Header.identities`.
        cache, track: as in `load_crops`.

    Returns:
        The crops of `folder`; labels count `identities`, of which some may have no crop.

    Raises:
        ValueError: as `load_crops`; or a class that is not in the training set.
    """
    data = load_crops([folder], cache, track)
    place = {name: k for k, name in enumerate(class_order(identities))}
    own = class_order(data.identities)
    unknown = [name for name in own if name not in place]
    if unknown:
        raise ValueError(
            f"{folder.name} has {len(unknown)} of {len(own)} classes that were not trained on (first: "
            f"{unknown[0]}); train with --held-out 0 if they were held out, else use splits of one data set"
        )
    labels = np.array([place[name] for name in own], np.int64)[data.labels]
    return replace(data, labels=labels, identities=tuple(identities))


def write_scores(
    path: Path, first: Sequence[str], second: Sequence[str], scores: np.ndarray, by_name: bool
) -> None:
    """Write the verification submission, atomically.

    Args:
        path: .csv file.
        first: P images.
        second: P images.
        scores: (P,), higher means more similar; AUC and EER depend on their order only.
        by_name: identify rows by `image1 image2` under `Id,Category`, as up to 2021; else 0, 1, ... under
            `ID,Label`.
    """
    header = ("Id", "Category") if by_name else ("ID", "Label")
    ids = (f"{a} {b}" for a, b in zip(first, second)) if by_name else range(len(scores))
    _write_rows(path, header, zip(ids, (f"{score:.9g}" for score in scores)))


def write_classes(path: Path, images: Sequence[str], labels: Sequence[str]) -> None:
    """Write the classification submission `id,label`, atomically."""
    _write_rows(path, ("id", "label"), zip(images, labels))


def _write_rows(path: Path, header: tuple[str, str], rows: Iterable[tuple[object, str]]) -> None:
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
