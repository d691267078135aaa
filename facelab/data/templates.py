"""The lists of template protocols such as IJB-B and IJB-C, as the field hands them on.

`*name_5pts_score.txt` has an image, the ten coordinates of its five landmarks and the detector's score a
line; `*face_tid_mid.txt` an image, its template and its medium (a photo or a video);
`*template_pair_label.txt` two templates and 1 for one person or 0, millions of lines, which are read in
pieces.
"""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facelab.data.images import leaves, printable

FILES = {"landmarks": "name_5pts_score", "media": "face_tid_mid", "pairs": "template_pair_label"}
CHUNK = 2**18  # pairs at once
MAX_IMAGES = 5_000_000
MAX_LINE = 4096  # characters
MAX_ID = 2**31


@dataclass(frozen=True, eq=False)
class TemplateLists:
    """N images of templates, and where the pairs are.

    Attributes:
        names: N images.
        templates, media: (N,) int64 ids.
        landmarks: (N, 5, 2) float32 pixels, and scores (N,) of the detector; None without that list.
        pairs: the list of pairs.
    """

    names: tuple[str, ...]
    templates: np.ndarray
    media: np.ndarray
    landmarks: np.ndarray | None
    scores: np.ndarray | None
    pairs: Path


def read_templates(folder: str | os.PathLike) -> TemplateLists:
    """Find and read the lists of a protocol in a folder, or in its `meta/`.

    Raises:
        ValueError: no such folder, a list that is missing or there twice, or a line of another form.
    """
    found = {kind: _find(Path(folder), end, kind == "landmarks") for kind, end in FILES.items()}
    rows = list(_lines(found["media"], 3))
    names, ids = tuple(row[0] for row in rows), np.empty((len(rows), 2), np.int64)
    for i, row in enumerate(rows):
        if not all(word.isdecimal() and int(word) < MAX_ID for word in row[1:]):
            raise ValueError(
                f"{found['media'].name}, line {i + 1}: template and medium must be whole numbers"
            )
        ids[i] = int(row[1]), int(row[2])
    landmarks, scores = _landmarks(found["landmarks"], names) if found["landmarks"] else (None, None)
    return TemplateLists(names, ids[:, 0], ids[:, 1], landmarks, scores, found["pairs"])


def _find(folder: Path, end: str, optional: bool) -> Path | None:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; name the one with the protocol's lists")
    files = [
        path for place in (folder, folder / "meta") for path in place.glob(f"*{end}.txt") if path.is_file()
    ]
    if len(files) > 1 or (not files and not optional):
        words = "there must be one" if not files else "name a folder with one protocol"
        raise ValueError(f"{folder.name} holds {len(files)} lists *{end}.txt; {words}")
    return files[0] if files else None


def _lines(path: Path, width: int) -> Iterator[list[str]]:
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), ""), 1):
            row = line.split()
            if len(row) != width or leaves(row[0]) or number > MAX_IMAGES:
                raise ValueError(
                    f"{path.name}, line {number}: expected {width} fields, got {printable(line[:80])!r}"
                )
            yield row


def _landmarks(path: Path, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    values = np.empty((len(names), 11), np.float32)
    count = 0
    for count, row in enumerate(_lines(path, 12), 1):
        if count > len(names) or row[0] != names[count - 1]:
            raise ValueError(
                f"{path.name}, line {count}: {printable(row[0])} is another image than in the media's list"
            )
        try:
            values[count - 1] = [float(word) for word in row[1:]]
        except ValueError as error:
            raise ValueError(f"{path.name}, line {count}: the landmarks must be numbers") from error
    if count != len(names) or not np.isfinite(values).all():
        raise ValueError(
            f"{path.name} has {count:,} lines for {len(names):,} images, or numbers that are not finite"
        )
    return values[:, :10].reshape(-1, 5, 2), values[:, 10]


def read_template_pairs(path: Path, size: int = CHUNK) -> Iterator[np.ndarray]:
    """Return (up to `size`, 3) int64 at a time: two templates and 1 for one person or 0.

    Raises:
        ValueError: a line of another form.
    """
    done = 0
    with open(path, encoding="ascii", errors="replace") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, at the end of the file
        while True:
            try:
                part = np.loadtxt(file, np.int64, comments=None, max_rows=size, ndmin=2)
            except ValueError as error:
                raise ValueError(
                    f"{path.name}: after line {done:,} expected `template template 0|1`"
                ) from error
            if not part.size:
                return
            if part.shape[1] != 3 or not np.isin(part[:, 2], (0, 1)).all():
                raise ValueError(f"{path.name}: after line {done:,} expected `template template 0|1`")
            done += len(part)
            yield part
