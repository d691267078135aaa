"""Pairs files: which two images to compare, and whether they show one person.

Two forms are read. LFW's lists `name i j` and `name1 i name2 j` under a header of folds; the plain one has
`image1 image2 label` a line, as in course homeworks, and is dealt into ten folds that hold both labels
evenly.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

FOLDS = 10


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs: image keys, truth and fold."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    same: np.ndarray
    folds: np.ndarray

    def __len__(self) -> int:
        return len(self.first)


def read_pairs(path: str | os.PathLike) -> Pairs:
    """Read a pairs file of either form.

    Raises:
        ValueError: no such file, not text, or a line that fits neither form (its number is given).
    """
    name = Path(path).name
    lines = [(i, _fields(line)) for i, line in enumerate(_read_text(path).splitlines(), 1)]
    lines = [(i, fields) for i, fields in lines if fields]
    if not lines:
        raise ValueError(f"{name} is empty; it needs one pair a line")
    if len(lines[0][1]) <= 2 and all(field.isdecimal() for field in lines[0][1]):
        return _read_lfw(name, lines)
    return _read_plain(name, lines)


def _read_text(path: str | os.PathLike) -> str:
    name = Path(path).name
    try:
        return Path(path).read_text("utf-8-sig")  # some editors begin a file with an invisible mark
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; give LFW's file or one of the same form") from error
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise ValueError(f"{name} is not a text file; give LFW's file or one of the same form") from error


def _fields(line: str) -> list[str]:
    separator = next((s for s in ("\t", ",") if s in line), None)
    return [field.strip() for field in line.split(separator)] if line.strip() else []


def _read_lfw(name: str, lines: list[tuple[int, list[str]]]) -> Pairs:
    header, rows = lines[0][1], lines[1:]
    folds, each = (int(header[0]), int(header[1])) if len(header) == 2 else (1, int(header[0]))
    first, second, same = [], [], []
    for number, row in rows:
        if len(row) not in (3, 4) or not all(row) or not (row[-1].isdecimal() and row[1].isdecimal()):
            raise ValueError(
                f"{name}, line {number}: expected `name i j` or `name1 i name2 j`, got {' '.join(row)!r}"
            )
        other = row[0] if len(row) == 3 else row[2]
        first.append(f"{row[0]}/{row[0]}_{int(row[1]):04d}")
        second.append(f"{other}/{other}_{int(row[-1]):04d}")
        same.append(len(row) == 3)
    if not rows or len(rows) != 2 * folds * each:
        raise ValueError(
            f"{name} announces {2 * folds * each} pairs and holds {len(rows)}; it may be cut short"
        )
    return Pairs(tuple(first), tuple(second), np.array(same), np.repeat(np.arange(folds), 2 * each))


def _read_plain(name: str, lines: list[tuple[int, list[str]]]) -> Pairs:
    if lines[0][1][-1].lower() in ("label", "same", "match"):
        lines = lines[1:]
    if not lines:
        raise ValueError(f"{name} is empty below its header; it needs one pair a line")
    for number, row in lines:
        if len(row) != 3 or not all(row) or row[2] not in ("0", "1"):
            raise ValueError(
                f"{name}, line {number}: expected `image1 image2 label`, label 0 or 1, got {' '.join(row)!r}"
            )
    same = np.array([row[2] == "1" for _, row in lines])
    folds = np.zeros(len(same), int)
    if min(same.sum(), (~same).sum()) >= FOLDS:
        for kind in (same, ~same):
            folds[kind] = np.arange(kind.sum()) % FOLDS
    return Pairs(tuple(row[0] for _, row in lines), tuple(row[1] for _, row in lines), same, folds)


def read_unlabelled_pairs(path: str | os.PathLike) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read a course's test list, `image1 image2` a line, whose truth only the course knows.

    Returns:
        (P first images, P second images).

    Raises:
        ValueError: no such file, not text, empty, or a line of another form (its number is given).
    """
    name = Path(path).name
    lines = [(i, _fields(line)) for i, line in enumerate(_read_text(path).splitlines(), 1)]
    lines = [(i, fields) for i, fields in lines if fields]
    if not lines:
        raise ValueError(f"{name} is empty; it needs one pair a line")
    for number, row in lines:
        if len(row) != 2 or not all(row):
            raise ValueError(
                f"{name}, line {number}: expected `image1 image2`, got {' '.join(row)!r}; "
                "a list with labels is for `evaluate`"
            )
    return tuple(row[0] for _, row in lines), tuple(row[1] for _, row in lines)


def read_people(path: str | os.PathLike) -> list[str]:
    """The names in one of LFW's people files (`name count` a line below headers of bare numbers).

    Raises:
        ValueError: no such file, or not text.
    """
    rows = [_fields(line) for line in _read_text(path).splitlines()]
    return [row[0] for row in rows if row and not row[0].isdecimal()]


def resolve(keys: Sequence[str], names: Sequence[str]) -> list[str]:
    """Match the images that a pairs file names with the files that are there.

    A key matches a whole name, a name without its suffix, or the end of one after a folder, e.g. LFW's
    `Ann_Veneman/Ann_Veneman_0001` and `lfw/Ann_Veneman/Ann_Veneman_0001.jpg`.

    Raises:
        ValueError: images are missing or ambiguous; the first is named.
    """
    index: dict[str, set[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        for form in (path, path.with_suffix("")):
            for start in range(len(form.parts)):
                index.setdefault("/".join(form.parts[start:]), set()).add(name)
    exact = set(names)
    out, missing = [], []
    for key in keys:
        found = {key} if key in exact else index.get(str(PurePosixPath(key)), set())
        if len(found) != 1:
            missing.append(f"{key} ({'not there' if not found else f'{len(found)} files match'})")
            continue
        out.append(next(iter(found)))
    if missing:
        raise ValueError(f"{len(missing)} images of the list cannot be matched, the first: {missing[0]}")
    return out
