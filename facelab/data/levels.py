"""Level of a folder tree at which identities are separated.

A folder's name may identify a split, a session, a condition or a collection. Otherwise the shape of the tree
decides: names that repeat below every person are sessions, names that occur once are people.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from facelab.data.images import printable

Parts = tuple[str, ...]
TRAIN = {"train", "training", "train_data", "training_data", "train_set", "trainset"}
HELD = {"dev", "val", "valid", "validation", "test", "testing", "eval", "holdout"}
HELD |= {f"{word}_{end}" for word in HELD for end in ("data", "set")}
CLASSIFICATION = {"cls_data", "classification_data", "classification"}
COLLECTION = {
    "images", "imgs", "img", "photos", "pictures", "pics", "faces", "crops", "data", "dataset", "aligned",
    "cropped", "raw", "originals", "dcim", "roll", "downloads", "desktop", "new", "untitled", "folder",
}  # fmt: skip
MOMENT = {
    "session", "sess", "ses", "day", "date", "time", "visit", "take", "trial", "run", "recording", "rec",
    "seq", "sequence", "video", "vid", "clip", "track", "tracklet", "cam", "camera", "kamera", "webcam",
    "view", "angle", "shot", "scene",
}  # fmt: skip
CONDITION = {
    "pose", "light", "lighting", "illumination", "illum", "expression", "distance", "location", "room",
    "setup", "frame", "frontal", "front", "profile", "left", "right", "side", "up", "down", "indoor",
    "outdoor", "inside", "outside", "neutral", "smile", "smiling", "with", "without", "no", "glasses",
    "sunglasses", "mask", "masked", "color", "colour", "gray", "grey", "rgb", "nir", "ir", "depth",
    "visible", "thermal", "morning", "evening", "night",
}  # fmt: skip
GROUP = {
    "male", "female", "man", "men", "woman", "women", "boy", "girl", "actor", "actress", "actresses",
    "part", "batch", "group", "set", "chunk", "shard", "fold", "class", "subset", "archive",
}  # fmt: skip
DATE = re.compile(
    r"(19|20)\d\d([-_. ]?[01]\d([-_. ]?[0-3]\d)?)?([-_. tT]?\d\d[-_.:]?\d\d.*)?$|\d\d?[-_.]\d\d?[-_.]\d{4}$"
)
MANY = 10  # folders inside each of several; nobody has as many sessions, all with names of their own


@dataclass(frozen=True)
class Step:
    """Name a folder to descend into, and what to report about its siblings."""

    folder: str
    note: str = ""


@dataclass(frozen=True)
class Reading:
    """Name the parts of a folder's path that form the identity, and what to report about it."""

    part: slice
    note: str = ""


def step_down(folders: set[Parts], place: str) -> Step | None:
    """Return the one folder that holds all people: a wrapper, the homework's classes, or the training split.

    Args:
        folders: folders with images, below `place`; () is `place` itself.
        place: its name in messages.

    Raises:
        ValueError: splits without one for training.
    """
    tops = {folder[0] for folder in folders if folder}
    words = {_plain(name): name for name in tops}
    classes = [words[word] for word in sorted(words) if word in CLASSIFICATION]
    if len(classes) == 1 and len(tops) > 1:
        return Step(classes[0], _left_out(place, classes[0], tops))
    train = [words[word] for word in sorted(words) if word in TRAIN]
    held = [words[word] for word in sorted(words) if word in HELD]
    if len(train) == 1 and held:
        return Step(train[0], _left_out(place, train[0], tops))
    if len(held) > 1 and len(held) == len(tops):
        raise ValueError(f"{place} holds {_listed(held)}, which are splits of one set; give one of them")
    if len(tops) == 1 and () not in folders and not _one_person(folders):
        (top,) = tops
        if all(len(folder) > 1 for folder in folders) or _says(top, COLLECTION):
            return Step(top)
    return None


def _one_person(folders: set[Parts]) -> bool:
    """Return whether one folder with others in it is a person with sessions, rather than a wrapper."""
    (top,) = {folder[0] for folder in folders}
    inner = {folder[1] for folder in folders if len(folder) > 1}
    flat = all(len(folder) <= 2 for folder in folders)
    divided = all(map(_inside_person, inner)) and not all(_says(name, COLLECTION) for name in inner)
    return bool(inner) and flat and divided and not _says(top, COLLECTION)


def identity_level(folders: set[Parts], place: str) -> Reading:
    """Return the level at which identities are separated.

    Args:
        folders: folders with images, below `place`.
        place: its name in messages.

    Raises:
        ValueError: the layout is ambiguous, or names no one.
    """
    tops = {folder[0] for folder in folders}
    inner: dict[str, set[str]] = {}
    for folder in folders:
        if len(folder) > 1:
            inner.setdefault(folder[0], set()).add(folder[1])
    direct = {folder[0] for folder in folders if len(folder) == 1}
    if all(_is_moment(name) and not DATE.match(name) for name in tops) and not (tops - direct):
        raise ValueError(f"{place}: {_listed(tops)} name no person; give each person a folder of their own")
    if not inner:
        return Reading(slice(0, 1))
    names = {name for below in inner.values() for name in below}
    first = _first(inner)
    divided = all(_plain(name) in TRAIN | HELD or _says(name, COLLECTION) for name in names)
    deeper = {
        part for folder in folders for part in folder[2:] if not (_inside_person(part) or part.isdecimal())
    }
    if divided and deeper and not direct:
        raise ValueError(
            f"{place}: each of {_listed(tops)} contains further folders below {first}, like a data set, not "
            f"like a person; give one of them at a time, e.g. {place}/{first}"
        )
    below_person = Reading(
        slice(0, 1), f"{place}: folders inside a person's ({first}) count as that person's sessions"
    )
    if direct:
        strange = {top for top in tops - direct if not all(map(_inside_person, inner[top]))}
        if len(tops) == 1 and not all(map(_inside_person, names)):
            strange = tops
        if strange:
            raise ValueError(
                f"{place} holds images outside any identity folder, or people at two levels: "
                f"{_first({key: {''} for key in direct}).rstrip('/')} holds images, and so does "
                f"{_first({top: inner[top] for top in strange})}; put each person's images into one folder"
            )
        return below_person
    return _without_direct(folders, inner, names, place, below_person)


def _without_direct(
    folders: set[Parts], inner: dict[str, set[str]], names: set[str], place: str, below_person: Reading
) -> Reading:
    """Return the reading for images two levels down or more: people above sessions, or groups above
    people.
    """
    tops, first = set(inner), _first(inner)
    shared = {name for name in names if sum(name in below for below in inner.values()) > 1}
    grouped = all(_says(top, GROUP) or _initial(top, inner[top]) for top in tops)
    moments = all(map(_is_moment, tops))
    if all(map(_inside_person, names)) and not moments:
        return below_person
    if moments and not all(_inside_person(name) or name.isdecimal() for name in names):
        deeper = identity_level({folder[1:] for folder in folders}, place)
        part = slice(deeper.part.start + 1, deeper.part.stop + 1)
        note = f"{place}: people are the folders inside {_listed(tops)}; one name in several is one person"
        return Reading(part, note)
    crowded = len(names) >= MANY * len(tops)
    numbers = all(name.isdecimal() or len(name) == 1 for name in names)
    if shared and not grouped and not moments and not crowded and (len(names) < len(tops) or numbers):
        return below_person
    if len(names) == len(tops) and not shared and not grouped and all(len(f) == 2 for f in folders):
        return Reading(slice(0, 1))  # one folder inside each: there is no other reading
    if not shared and (grouped or crowded or len(names) == len(tops)):
        deeper = identity_level({folder[1:] for folder in folders}, place)
        note = f"{place}: people are the folders inside {_listed(tops)} (first: {first})"
        return Reading(slice(0, deeper.part.stop + 1), note)
    if shared and not moments:
        name = min(shared)
        a, b = sorted(top for top in tops if name in inner[top])[:2]
        raise ValueError(
            f"{place}: {printable(name)} is in {printable(a)} and in {printable(b)}, which may be one person "
            "or two; give one of these folders, or put each person's images into one folder"
        )
    raise ValueError(
        f"{place}: it is unclear whether people are the folders {_listed(tops)} or those inside them "
        f"({first}); put each person's images directly into one folder"
    )


def _plain(name: str) -> str:
    """Return a folder's name in lower case with one kind of separator: `Train-Data` is `train_data`."""
    return re.sub(r"[\s\-.]+", "_", name.casefold()).strip("_")


def _says(name: str, words: set[str]) -> bool:
    """Return whether a name consists of these words, numbers and single letters: `Session-01`, `cam_a`."""
    found = [word for word in re.findall(r"[^\W\d_]+", name.casefold()) if len(word) > 1]
    return bool(found) and all(word in words or word[:-1] in words for word in found)


def _is_moment(name: str) -> bool:
    return _says(name, MOMENT) or bool(DATE.match(name))


def _inside_person(name: str) -> bool:
    """Return whether a folder's name marks a subdivision of one person's images."""
    return _is_moment(name) or _says(name, MOMENT | CONDITION | COLLECTION)


def _initial(top: str, inside: set[str]) -> bool:
    """Return whether a folder is a letter of the alphabet that holds names with that initial."""
    return len(top) == 1 and all(name.casefold().startswith(top.casefold()) for name in inside)


def _left_out(place: str, taken: str, tops: set[str]) -> str:
    others = _listed(tops - {taken})
    return f"{place}: {printable(taken)}/ is used, and {others} not; name one of those to use it instead"


def _listed(names: Iterable[str]) -> str:
    """Return up to three names, then how many more."""
    some = sorted(f"{printable(name)}/" for name in names)
    more = f" and {len(some) - 3} more" if len(some) > 3 else ""
    return ", ".join(some[:3]) + more


def _first(inner: dict[str, set[str]]) -> str:
    top = min(inner)
    return printable(f"{top}/{min(inner[top])}")
