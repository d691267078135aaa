"""Identity of each image of a source, determined in one place for every command and every tab.

The plain layout is one folder per identity. Wrapper folders, sessions or cameras below a person, groups of
people, the splits of a homework and a `labels.txt` are recognized and reported; an ambiguous layout raises an
error. Simplified: sessions, splits and groups are recognized by their usual English names and by the shape of
the tree, never by the images themselves.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from facelab.data import levels
from facelab.data.images import LABELS, ImageFolder, printable
from facelab.photos.read import IMAGE_SUFFIXES

Parts = tuple[str, ...]
NAMED = re.compile(rf"(.+?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))})) +(.+)", re.IGNORECASE)

NUMBERED = re.compile(r"([^\W\d_](?:.*[^\W_])?)_\d{3,6}\.\w+")  # a name, then a number, as in LFW
CAMERA = re.compile(  # what cameras, programs and people call any photo
    r"(img|dscn?|dscf|pict?|p|photo|image|picture|frame|face|crop|scan|screenshot|stranger|unknown|file|mvi|"
    r"pxl|gopr|snap(shot)?|sam|cimg|hpim|test|train|val|dev|sample|new|untitled)s?([_ -].*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Who:
    """Hold the identities on the images of a source.

    Attributes:
        people: {image: identity}, in the order of the images.
        unnamed: {image: why its identity is unknown}; images of other splits are in neither.
        empty: folders without an image in the part that was taken.
        notes: how a source without the plain layout was read, one sentence each.
    """

    people: dict[str, str]
    unnamed: dict[str, str]
    empty: tuple[str, ...]
    notes: tuple[str, ...]


def who_is_on(folder: ImageFolder) -> Who:
    """Find the identity of every image of a folder or zip.

    Raises:
        ValueError: no identity follows from the names, or the layout is ambiguous; the message says what to
            do.
    """
    lists = {name: folder.read_list(name) for name in folder.texts if PurePosixPath(name).name == LABELS}
    found = identify(folder.names, lists, folder.empty, folder.path.name)
    return Who(found.people, found.unnamed, found.empty, (*folder.notes, *found.notes))


def person_labels(folder: ImageFolder, names: Sequence[str]) -> np.ndarray:
    """Return (N,) int64, a label for each image's person, -1 where it is not known."""
    try:
        people = who_is_on(folder).people
    except ValueError:  # photos of unknown people need no names
        people = {}
    labels = np.unique([people.get(name, "") for name in names], return_inverse=True)[1]
    return np.where([name in people for name in names], labels, -1)


def identify(
    names: Sequence[str],
    lists: Mapping[str, str] | None = None,
    empty: Sequence[str] = (),
    title: str = "the source",
) -> Who:
    """Determine the identity of every image from its name.

    Args:
        names: of the images, with forward slashes.
        lists: {name of a labels.txt: its text}.
        empty: folders without an image.
        title: name of the source in messages.

    Raises:
        ValueError: as `who_is_on`.
    """
    title, lists, notes = printable(title), lists or {}, []
    tables = {tuple(PurePosixPath(name).parts[:-1]): (name, text) for name, text in lists.items()}
    top: Parts = ()
    images = {name: PurePosixPath(name).parts for name in names}
    unnamed: dict[str, str] = {}
    while True:
        if top in tables:
            listed = _by_list(images, top, *tables[top], title)
            if listed:
                return _reported(listed, unnamed, names, notes, title)
        step = levels.step_down({parts[len(top) : -1] for parts in images.values()}, _place(title, top))
        if step is None:
            break
        top = (*top, step.folder)
        beside = [name for name, parts in images.items() if parts[: len(top)] != top]
        for name in beside:
            parts = images.pop(name)
            if len(parts) == len(top):
                unnamed[name] = f"lies beside {step.folder}"
        if step.note:
            notes.append(step.note)
    listed = _by_lists_below(images, tables, top, title)
    if listed:
        return _reported(listed, unnamed, names, notes, title)
    notes += [
        f"{printable(name)} does not name any image here and was not used" for name, _ in tables.values()
    ]
    return _by_folders(images, unnamed, empty, top, notes, title)


def _by_folders(
    images: dict[str, Parts],
    unnamed: dict[str, str],
    empty: Sequence[str],
    top: Parts,
    notes: list,
    title: str,
) -> Who:
    """Return the identities given by the folders below `top`."""
    rest = {name: parts[len(top) :] for name, parts in images.items()}
    flat = _by_file_names(rest, unnamed, notes, title)
    if flat:
        return flat
    loose = next((name for name, parts in rest.items() if len(parts) == 1), None)
    if loose is not None:
        raise ValueError(
            f"{title} holds images outside any identity folder (first: {printable(loose)}); "
            "put each person's images into a folder of their own"
        )
    reading = levels.identity_level({parts[:-1] for parts in rest.values()}, _place(title, top))
    people = {name: canonical("/".join(parts[reading.part])) for name, parts in rest.items()}
    if reading.note:
        notes.append(reading.note)
    elif top and not notes:
        notes.append(f"{title}: the people are the folders inside {printable('/'.join(top))}")
    inside = tuple(
        name for name in empty if (p := PurePosixPath(name).parts)[: len(top)] == top and len(p) > len(top)
    )
    return Who(people, unnamed, inside, tuple(notes))


def _by_file_names(
    rest: Mapping[str, Parts], unnamed: dict[str, str], notes: list[str], title: str
) -> Who | None:
    """Return identities from LFW's file names, `Ann_Veneman_0001.jpg`, if all images are in one folder and
    have such names.
    """
    found = {name: NUMBERED.fullmatch(parts[-1]) for name, parts in rest.items() if len(parts) == 1}
    if not rest or len(found) < len(rest) or not all(found.values()):
        return None
    people = {name: canonical(match[1]) for name, match in found.items()}
    if len(set(people.values())) < 2 or any(CAMERA.fullmatch(person) for person in people.values()):
        return None
    note = f"{title}: identities are taken from the file names, e.g. {printable(next(iter(people.values())))}"
    return Who(people, unnamed, (), (*notes, note))


def _reported(
    listed: dict[str, str], unnamed: dict[str, str], names: Sequence[str], notes: list[str], title: str
) -> Who:
    """Return the identities of a list, and report the images that it omits."""
    place, people = listed.pop(""), {name: listed[name] for name in names if name in listed}
    missing = [name for name, label in listed.items() if label == ""]
    people = {name: label for name, label in people.items() if label}
    unnamed = unnamed | dict.fromkeys(missing, f"is not named in {LABELS}")
    note = f"{title}: {place} gives the identity of each image"
    if unnamed:
        first = printable(next(iter(unnamed)))
        note += f"; {len(unnamed)} of {len(people) + len(unnamed)} images are left out (first: {first})"
    return Who(people, unnamed, (), (*notes, note))


def _by_list(
    images: Mapping[str, Parts], top: Parts, name: str, text: str, title: str
) -> dict[str, str] | None:
    """Return {image: label, or "" if the list omits it; "": the list's name}, or None for a list of other
    content.

    Raises:
        ValueError: a malformed line, if the list is next to `images/` or names an image.
    """
    rest = {image: parts[len(top) :] for image, parts in images.items()}
    beside = any(parts[0] == "images" and len(parts) > 1 for parts in rest.values())
    try:
        labels = parse_labels(text, f"{title}/{printable(name)}")
    except ValueError:
        if beside:
            raise
        return None
    found = _matched(rest, labels)
    if not found and beside and all(parts[0] == "images" for parts in rest.values()):
        raise ValueError(f"{title}/{printable(name)} names no image that is there; give the list of these")
    if not found:
        return None
    return {"": printable(name)} | {image: found.get(image, "") for image in images}


def _by_lists_below(
    images: Mapping[str, Parts], tables: Mapping[Parts, tuple[str, str]], top: Parts, title: str
) -> dict[str, str] | None:
    """Return the same for the only deeper list that names all images except those outside any folder."""
    for place in sorted(tables, key=len):
        below = {image: parts for image, parts in images.items() if parts[: len(place)] == place}
        if place[: len(top)] != top or not below:
            continue
        others = [parts for image, parts in images.items() if image not in below]
        if any(len(parts) > len(top) + 1 for parts in others):
            continue
        listed = _by_list(below, place, *tables[place], title)
        if listed:
            return listed | {image: listed.get(image, "") for image in images}
    return None


def _matched(rest: Mapping[str, Parts], labels: Mapping[str, str]) -> dict[str, str]:
    """Return {image: label}, matched by the path below the list or its `images/`, else by a unique ending."""
    exact: dict[str, str] = {}
    endings: dict[str, set[str]] = {}
    for image, parts in rest.items():
        key = "/".join(parts)
        exact.setdefault(canonical(key), image)
        if parts[0] == "images":
            exact[canonical(key.removeprefix("images/"))] = image
        for form in (PurePosixPath(key), PurePosixPath(key).with_suffix("")):
            for start in range(len(form.parts)):
                endings.setdefault(canonical("/".join(form.parts[start:])), set()).add(image)
    found = {}
    for key, label in labels.items():
        key = canonical(key.replace("\\", "/").removeprefix("./"))
        matches = endings.get(key, endings.get(str(PurePosixPath(key).with_suffix("")) if key else "", set()))
        if key in exact:
            found[exact[key]] = label
        elif len(matches) == 1:
            found.setdefault(next(iter(matches)), label)
    return found


def parse_labels(text: str, name: str) -> dict[str, str]:
    """Parse the lines of a labels.txt -> {image: label}, separated by a tab, a comma, the space after the
    image's suffix, or the last space.

    Raises:
        ValueError: a line that is not `image label`, or one that contradicts another (its number is given).
    """
    labels: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        named = NAMED.match(line)
        if "\t" not in line and named:  # a label may hold spaces, and so may an image's name
            image, label = named.groups()
        elif "\t" in line or line.partition(",")[0].lower().endswith(IMAGE_SUFFIXES):
            image, _, label = line.partition("\t" if "\t" in line else ",")
        else:
            image, _, label = line.rpartition(" ")
        image, label = image.strip(), label.strip()
        if line and not (image and label):
            raise ValueError(f"{name}, line {number}: expected `image label`, got {printable(line[:80])!r}")
        if labels.get(image, label) != label:
            raise ValueError(
                f"{name}, line {number}: {printable(image)} is {printable(label)} here and "
                f"{printable(labels[image])} on an earlier line; name each image once"
            )
        labels[image] = canonical(label)
    labels.pop("", None)
    return labels


def canonical(name: str) -> str:
    """Return a name in the form for comparing and showing: composed (NFC), with unprintable characters
    escaped.
    """
    return printable(unicodedata.normalize("NFC", name))


def _place(title: str, top: Parts) -> str:
    return "/".join([title, *map(printable, top)])
