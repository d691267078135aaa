"""Pairs files: which two images to compare, and whether they show the same person.

Three forms are read. LFW's lists `name i j` and `name1 i name2 j` under a header of folds; the same as a
table under `name,imagenum1,imagenum2`, as Kaggle gives them; and the plain one, `image1 image2 label` or
`label image1 image2` a line, as in course homeworks, which is split into ten folds with both labels in equal
shares. An ambiguous file raises an error.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facelab.data.lists import Row, read_rows

FOLDS = 10
FAMILIES = (  # what says "same" and what says "different"; a list keeps to one of them
    ({"1", "+1", "1.0"}, {"0", "0.0"}),
    ({"1", "+1", "1.0"}, {"-1", "-1.0"}),
    ({"true", "t"}, {"false", "f"}),
    ({"yes", "y"}, {"no", "n"}),
    ({"same"}, {"different", "diff"}),
    ({"match"}, {"mismatch", "nonmatch", "non-match"}),
    ({"genuine"}, {"impostor", "imposter"}),
)
PLAIN = {word for yes, no in FAMILIES[:4] for word in yes | no}  # which do not say themselves what they mean
LABEL_TITLES = {"label", "labels", "same", "match", "issame", "is_same", "target", "truth", "ground_truth"}
IMAGE_TITLE = re.compile(r"(image|img|file|filename|path|name|photo|face)[_ ]?[12ab]")
OPPOSITE = re.compile(
    r"diff|dist|mismatch|non_?-?match|impost|unlike|dissim"
)  # in a title: 1 may mean "different"
EXPECTED = "expected `image1 image2 label`, label 0 or 1 (-1 or 1, true or false, same or different)"


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs: image keys, labels and folds."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    same: np.ndarray
    folds: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def read_pairs(path: str | os.PathLike) -> Pairs:
    """Read a pairs file of any form.

    Raises:
        ValueError: no such file, not text, or a line that matches no form (the message gives its number).
    """
    name, rows = Path(path).name, read_rows(path)
    first_line = rows[0][1]
    reader = next(reader for fits, reader in FORMS if fits(first_line))
    return reader(name, rows)


def _read_lfw(name: str, rows: list[Row]) -> Pairs:
    header, rows = rows[0][1], rows[1:]
    folds, each = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
    first, second, same = _lfw_images(name, rows)
    if not rows or len(rows) != 2 * folds * each:
        raise ValueError(
            f"{name} declares {2 * folds * each} pairs and holds {len(rows)}; it may be cut short"
        )
    return Pairs(first, second, same, np.repeat(np.arange(folds), 2 * each))


def _read_lfw_table(name: str, rows: list[Row]) -> Pairs:
    """Read LFW's list without its header of folds: stretches of equal labels and equal length mark them."""
    rows = rows[1:]
    if not rows:
        raise ValueError(f"{name} is empty below its header; it needs one pair a line")
    filled = [(i, row[: len(row) - (row[-1] == "")]) for i, row in rows]
    first, second, same = _lfw_images(name, filled)
    starts = np.flatnonzero(np.diff(same, prepend=~same[:1]))
    lengths = np.diff(starts, append=len(same))
    if len(starts) > 2 and len(starts) % 2 == 0 and len(set(lengths.tolist())) == 1:
        return Pairs(first, second, same, np.arange(len(same)) // (2 * lengths[0]))
    return Pairs(first, second, same, _dealt(same))


def _lfw_images(name: str, rows: list[Row]) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    first, second, same = [], [], []
    for number, row in rows:
        if len(row) not in (3, 4) or not all(row) or not (row[-1].isdecimal() and row[1].isdecimal()):
            raise ValueError(
                f"{name}, line {number}: expected `name i j` or `name1 i name2 j`, got {_shown(row)}"
            )
        other = row[0] if len(row) == 3 else row[2]
        first.append(f"{row[0]}/{row[0]}_{int(row[1]):04d}")
        second.append(f"{other}/{other}_{int(row[-1]):04d}")
        same.append(len(row) == 3)
    return tuple(first), tuple(second), np.array(same, bool)


def _read_plain(name: str, rows: list[Row]) -> Pairs:
    title, body = _without_title(rows)
    if not body:
        raise ValueError(f"{name} is empty below its header; it needs one pair a line")
    body = _without_index(body, 4)
    place, same = _truth(name, title, body)
    if title and OPPOSITE.search(title[place]) and any(row[place].lower() in PLAIN for _, row in body):
        raise ValueError(
            f"{name}: under the title {title[place][:40]!r} it is unclear whether 1 "
            "means the same person; call the column `same`, with 1 for one person"
        )
    images = [row[1:] if place == 0 else row[:2] for _, row in body]
    return Pairs(tuple(row[0] for row in images), tuple(row[1] for row in images), same, _dealt(same))


def _without_title(rows: list[Row]) -> tuple[list[str], list[Row]]:
    """Return (titles of the columns in lower case, or none; the rows below them)."""
    title, rest = [field.lower() for field in rows[0][1]], rows[1:]
    ends = {title[0], title[-1]} & LABEL_TITLES
    images = sum(bool(IMAGE_TITLE.fullmatch(field)) for field in title) == 2
    files = any(mark in field for field in title for mark in "./\\")  # no title holds those
    value = any(word in family[0] for word in ends for family in FAMILIES)  # "same" may be an answer
    if images or (ends and not files and not (value and _same_family(title, rest))):
        return title, rest
    return [], rows


def _same_family(title: list[str], rest: list[Row]) -> bool:
    """Return whether the label of a first row has the vocabulary of the rows below it."""
    return all(
        any(title[place] in a | b and row[place].lower() in a | b for a, b in FAMILIES)
        for _, row in rest
        for place in ((-1,) if title[-1] in LABEL_TITLES else (0,))
    )


def _without_index(rows: list[Row], width: int) -> list[Row]:
    """Return the rows without a first column that only numbers them."""
    if len(rows) > 1 and all(len(row) == width for _, row in rows):
        for start in (0, 1):
            if [row[0] for _, row in rows] == [str(i + start) for i in range(len(rows))]:
                return [(i, row[1:]) for i, row in rows]
    return rows


def _truth(name: str, title: list[str], rows: list[Row]) -> tuple[int, np.ndarray]:
    """Return (position of the label in a row, 0 or -1; (P,) boolean, whether a pair is genuine)."""
    read = {place: _labels(rows, place) for place in (-1, 0)}
    for place, opposite in ((-1, 0), (0, -1)):
        labels, good = read[place]
        titled = title and title[place] in LABEL_TITLES and title[opposite] not in LABEL_TITLES
        if good == len(rows) and (titled or read[opposite][1] < len(rows)):
            return place, np.array(labels)
    if all(good == len(rows) for _, good in read.values()):
        raise ValueError(f"{name}: the label may be the first or the last field; name images with a suffix")
    number, row = rows[max(good for _, good in read.values())]
    raise ValueError(f"{name}, line {number}: {EXPECTED}, got {_shown(row)}")


def _labels(rows: list[Row], place: int) -> tuple[list[bool], int]:
    """Return (labels of the rows that can be read with the label at that position; their number, from the
    first).
    """
    best: list[bool] = []
    for yes, no in FAMILIES:
        labels: list[bool] = []
        for _, row in rows:
            if len(row) != 3 or not all(row) or row[place].lower() not in yes | no:
                break
            labels.append(row[place].lower() in yes)
        best = max(best, labels, key=len)
    return best, len(best)


def _dealt(same: np.ndarray) -> np.ndarray:
    """Return (P,) folds with both labels in equal shares; one fold where a label is too rare."""
    folds = np.zeros(len(same), int)
    if min(same.sum(), (~same).sum()) >= FOLDS:
        for kind in (same, ~same):
            folds[kind] = np.arange(kind.sum()) % FOLDS
    return folds


def _shown(row: list[str]) -> str:
    return repr(" ".join(row)[:120])


def read_unlabeled_pairs(path: str | os.PathLike) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read a course's test list, `image1 image2` a line, whose labels only the course has.

    Returns:
        (P first images, P second images).

    Raises:
        ValueError: no such file, not text, empty, or a line of another form (the message gives its number).
    """
    name, rows = Path(path).name, read_rows(path)
    if sum(bool(IMAGE_TITLE.fullmatch(field.lower())) for field in rows[0][1]) == 2:
        rows = rows[1:]
    if not rows:
        raise ValueError(f"{name} is empty below its header; it needs one pair a line")
    rows = _without_index(rows, 3)
    for number, row in rows:
        if len(row) != 2 or not all(row):
            raise ValueError(
                f"{name}, line {number}: expected `image1 image2`, got {_shown(row)}; "
                "a list with labels is for `evaluate`"
            )
    return tuple(row[0] for _, row in rows), tuple(row[1] for _, row in rows)


def read_people(path: str | os.PathLike) -> list[str]:
    """Return the names in one of LFW's people files (`name count` a line below headers of bare numbers or
    titles).

    Raises:
        ValueError: no such file, not text, or empty.
    """
    rows = [row for _, row in read_rows(path, "name")]
    if [field.lower() for field in rows[0]] == ["name", "images"]:  # as Kaggle gives them
        rows = rows[1:]
    return [row[0] for row in rows if not row[0].isdecimal()]


def suspicious(names: Sequence[str], same: np.ndarray) -> dict[str, int]:
    """Count the pairs of a list that carry no new information.

    Args:
        names: 2P images, all first images, then all second images.
        same: (P,) whether a pair is genuine.

    Returns:
        {"self_pairs": pairs of an image with itself, "repeated_pairs": repeats of a pair with the same label,
        in either order, "contradicting_pairs": pairs of images with both labels}.
    """
    couples = [tuple(sorted(couple)) for couple in zip(names[: len(same)], names[len(same) :])]
    times = Counter(zip(couples, same.tolist()))
    return {
        "self_pairs": sum(a == b for a, b in couples),
        "repeated_pairs": len(couples) - len(times),
        "contradicting_pairs": sum((couple, not label) in times for couple, label in times if label),
    }


# (whether a list's first line is of this form, what reads its lines); the first that fits reads
FORMS: list[tuple[Callable[[list[str]], bool], Callable[[str, list[Row]], Pairs]]] = [
    (lambda fields: len(fields) <= 2 and all(field.isdecimal() for field in fields), _read_lfw),
    (lambda fields: [field.lower() for field in fields[:2]] == ["name", "imagenum1"], _read_lfw_table),
    (lambda fields: True, _read_plain),
]
