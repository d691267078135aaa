"""A CSV that names images and who is on them: `path,label` under any usual titles, or without titles.

Paths are matched with the images below the table's own folder as those of pairs lists are: from another
machine, with backslashes or with other folders in front. Nothing outside that folder is read.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from facelab.data.formats.labeled import Item, Labeled
from facelab.data.identities import canonical
from facelab.data.images import ImageFolder, printable
from facelab.data.lists import read_rows
from facelab.data.matching import resolve
from facelab.photos.read import IMAGE_SUFFIXES

PATH = re.compile(
    r"(image|img|file|photo|face)?[_ ]?(path|file|filename|name|image|img|photo|url)?s?|image_id"
)
LABEL = (  # the first of these that is a title; an id may also count the rows
    "label", "labels", "identity", "person", "class", "subject", "target", "who", "identity_id", "person_id",
    "class_id", "subject_id", "name", "id",
)  # fmt: skip


def open_table(path: str | os.PathLike) -> Labeled:
    """Read the images that a CSV names.

    Raises:
        ValueError: no such file, no two columns of paths and labels, images that are not there, or one that
            is named with two labels.
    """
    path = Path(path)
    rows = read_rows(path, "image and label")
    where, who, body = _columns(path.name, rows)
    people: dict[str, str] = {}
    for number, row in body:
        if max(where, who) >= len(row) or not row[where] or not row[who]:
            raise ValueError(f"{path.name}, line {number}: expected an image and a label")
        key, label = row[where], canonical(row[who])
        if people.setdefault(key, label) != label:
            both = f"{printable(label)} here and {printable(people[key])} on an earlier line"
            raise ValueError(f"{path.name}, line {number}: {printable(key)} is {both}; name each image once")
    folder = ImageFolder(path.parent)
    names = resolve([*people], folder.names)
    if len(set(names)) < len(names):
        raise ValueError(f"{path.name} names one file in two ways; name each image once")
    listed = dict(zip(names, people.values()))
    left = len(folder.names) - len(listed)
    notes = (f"{path.name}: {left:,} images beside it are not in the list",) if left else ()
    return Labeled("CSV of paths", lambda: _items(folder, listed), len(listed), (*folder.notes, *notes))


def _items(folder: ImageFolder, people: dict[str, str]) -> Iterator[Item]:
    for name, person in people.items():
        yield Item(name, person, folder.read(name))


def _columns(title: str, rows: list[tuple[int, list[str]]]) -> tuple[int, int, list[tuple[int, list[str]]]]:
    """Return (the column of paths, the column of labels, the rows below the titles)."""
    head = [field.lower() for field in rows[0][1]]
    is_file = [PurePosixPath(field.replace("\\", "/")).suffix in IMAGE_SUFFIXES for field in head]
    if len(head) == 2 and sum(is_file) == 1:  # no titles
        return is_file.index(True), is_file.index(False), rows
    body = rows[1:]
    sample = body[0][1] if body else []
    paths = [i for i, name in enumerate(head) if PATH.fullmatch(name) and _names_file(sample, i)]
    titles = [name for name in LABEL if name in head and head.index(name) not in paths]
    if len(paths) != 1 or not titles:
        found = ", ".join(map(printable, rows[0][1]))[:200]
        raise ValueError(
            f"{title} needs a column of image files and one of labels, e.g. path,label; it has {found}"
        )
    return paths[0], head.index(titles[0]), body


def _names_file(row: list[str], place: int) -> bool:
    return place < len(row) and row[place].lower().endswith(IMAGE_SUFFIXES)
