"""Matching of names in a list with files; ambiguous names raise an error.

A list may have been written on another machine, for the photos before they were aligned, or with another
folder in front. Its slashes, its suffixes, its Unicode form and the path before all of its names may
therefore differ from those of the files.
"""

import itertools
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

from facelab.photos.read import IMAGE_SUFFIXES


def resolve(keys: Sequence[str], names: Sequence[str]) -> list[str]:
    """Match the images that a list names with the existing files.

    A key matches a whole name, or the end of one after a folder, with its suffix, without one, or with
    another image's, e.g. LFW's `Ann_Veneman/Ann_Veneman_0001` and `lfw/Ann_Veneman/Ann_Veneman_0001.jpg`. If
    some keys do not match, the leading folders that all keys share are dropped one by one, as long as the
    rest matches a whole name or still has a folder.

    Raises:
        ValueError: images are missing or ambiguous; the message names the first.
    """
    index, exact = _index(names), set(names)
    plain = [_plain(key) for key in keys]
    found = [{key} if key in exact else _find(path, index) for key, path in zip(keys, plain)]
    if not all(found):
        found = _behind_shared_folders(plain, index, {_plain(name) for name in names}) or found
    missing = [
        f"{key} ({f'{len(files)} files match' if files else 'not found'})"
        for key, files in zip(keys, found)
        if len(files) != 1
    ]
    if missing:
        what = "1 image" if len(missing) == 1 else f"{len(missing):,} images"
        raise ValueError(f"{what} of the list cannot be matched, the first: {missing[0]}")
    return [next(iter(files)) for files in found]


Index = dict[PurePosixPath, set[str]]


def _plain(name: str) -> PurePosixPath:
    return PurePosixPath(unicodedata.normalize("NFC", name.replace("\\", "/")))


def _without_suffix(path: PurePosixPath) -> PurePosixPath:
    return path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path


def _index(names: Sequence[str]) -> Index:
    """Map every ending of a name, with and without its suffix, to the files with that ending."""
    index: Index = {}
    for name in names:
        path = _plain(name)
        for form in {path, _without_suffix(path)}:
            for start in range(len(form.parts)):
                index.setdefault(PurePosixPath(*form.parts[start:]), set()).add(name)
    return index


def _find(path: PurePosixPath, index: Index) -> set[str]:
    return index.get(path) or index.get(_without_suffix(path), set())


def _behind_shared_folders(
    paths: list[PurePosixPath], index: Index, whole: set[PurePosixPath]
) -> list[set[str]] | None:
    """Return the files of each path without the fewest of the shared leading folders, or None."""
    levels = zip(*(path.parent.parts for path in paths))
    shared = len(list(itertools.takewhile(lambda parts: len(set(parts)) == 1, levels)))
    stems = {_without_suffix(path) for path in whole}
    for drop in range(1, shared + 1):
        rest = [PurePosixPath(*path.parts[drop:]) for path in paths]
        if all(len(path.parts) > 1 or _without_suffix(path) in stems for path in rest):
            found = [_find(path, index) for path in rest]
            if all(len(files) == 1 for files in found):
                return found
    return None
