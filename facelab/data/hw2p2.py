"""Data of the homework: CMU 11-785, homework 2 part 2, face classification and verification, 2021 to 2026.

The parts have had several names. Classes: `cls_data/{train,dev,test}` with `images/` and `labels.txt` (`image
label` a line), or `classification/` and `classification_data/` with a folder per person and unlabeled test
images. Verification, from old to new: `verification_pairs_{val,test}.txt`; `verification_{dev,test}.csv` with
titles (2022); people in `known/` and photos of them and of others in `unknown_dev/` and `unknown_test/`, with
`verification_dev.csv` for the former (fall 2022 to spring 2024); `val_pairs.txt` and `test_pairs.txt` beside
`cls_data/` or inside it. Any folder may lie in one of its own name, or have the semester in front of it.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from facelab.data.folders import CropSet, load_crops
from facelab.data.identities import parse_labels
from facelab.data.images import LABELS, ImageFolder, Track, untracked

CLASSIFICATION = ("cls_data", "classification_data", "classification", "")
SPLITS = {"train": ("train", "train_data"), "dev": ("dev", "val", "val_data"), "test": ("test", "test_data")}
VERIFICATION = ("ver_data", "verification_data", "verification", "")
PAIRS = {
    "val": ("val_pairs.txt", "verification_pairs_val.txt", "verification_dev.csv"),
    "test": ("test_pairs.txt", "verification_pairs_test.txt", "verification_test.csv"),
}
OPEN_SET = ("known", "unknown_dev", "unknown_test")
ANSWERS = "verification_dev.csv"
LAYOUTS = {  # kind of verification: in words
    "names": "pairs called by their images (verification_pairs_test.txt, to 2021), answer Id,Category",
    "csv": "pairs in a CSV with titles (verification_test.csv, 2022), answer id,match",
    "open_set": "known and unknown people (fall 2022 to spring 2024), answer id,label or n000000",
    "pairs": "pairs in test_pairs.txt (since fall 2024), answer ID,Label",
    "": "classes without verification",
}


@dataclass(frozen=True)
class OpenSet:
    """Hold the paths of verification by known and unknown people.

    Attributes:
        known: a folder per person.
        dev, test: photos of these people or of others.
        answers: the person on each photo of `dev`, or n000000; None if the semester's part is not there.
    """

    known: Path
    dev: Path | None
    test: Path
    answers: Path | None


@dataclass(frozen=True)
class Homework:
    """Hold the paths of the homework's parts; None where a semester does not have one.

    Attributes:
        train, dev, test: folders of classification crops.
        faces: the folder to which the pairs' names are relative.
        val_pairs, test_pairs: lists with and without labels.
        open_set: verification by known and unknown people, in place of pairs.
    """

    train: Path | None
    dev: Path | None
    test: Path | None
    faces: Path
    val_pairs: Path | None
    test_pairs: Path | None
    open_set: OpenSet | None = None

    @property
    def layout(self) -> str:
        """Return the kind of verification, a key of LAYOUTS."""
        if self.open_set:
            return "open_set"
        if self.test_pairs is None:
            return ""
        if self.test_pairs.suffix == ".csv":
            return "csv"
        return "names" if self.test_pairs.name.startswith("verification_pairs") else "pairs"


def find_homework(root: str | os.PathLike) -> Homework:
    """Find the parts of the homework below its folder.

    Raises:
        ValueError: no folder, or nothing of any layout in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder; unpack the homework with `python -m facelab data unpack`")
    parts, places = _parts(root, CLASSIFICATION), _parts(root, VERIFICATION)
    found = {
        split: _first([part / name for part in parts for name in names], Path.is_dir)
        for split, names in SPLITS.items()
    }
    opened = _open_set(places)
    lists = {
        kind: None if opened else _first(
            [part / name for part in (root, *places, *parts) for name in names], Path.is_file
        )
        for kind, names in PAIRS.items()
    }  # fmt: skip
    if not (found["train"] or lists["test"] or opened):
        raise ValueError(
            f"{root} has neither cls_data/train nor test_pairs.txt; name the homework's own folder"
        )
    beside = lists["test"].parent if lists["test"] else None
    faces = beside if beside in places[:-1] else _first(places, Path.is_dir)
    return Homework(**found, faces=faces, val_pairs=lists["val"], test_pairs=lists["test"], open_set=opened)


def _parts(root: Path, names: Sequence[str]) -> list[Path]:
    """Return the folders that may hold a part: by its names, then by those with a semester, e.g.
    `11-785-f23-hw2p2-verification`; each also inside a folder of its own name; the root comes last.
    """
    own = [name for name in names if name]
    ending = own[-1]
    semesters = sorted(path.name for path in root.glob(f"*?{ending}") if path.is_dir())
    each = [root / name for name in (*own, *semesters)]
    return [*(inner for path in each for inner in (path, path / path.name, path / ending)), root]


def _open_set(places: Sequence[Path]) -> OpenSet | None:
    for place in places:
        known, dev, test = (place / name for name in OPEN_SET)
        if known.is_dir() and test.is_dir():
            answers = _first([place / ANSWERS, place.parent / ANSWERS], Path.is_file)
            return OpenSet(known, dev if dev.is_dir() else None, test, answers)
    return None


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
        named = found.train.parent.name in CLASSIFICATION[:-1]
        if named or found.val_pairs or found.test_pairs or found.open_set:
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
