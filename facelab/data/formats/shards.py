"""Tar shards as WebDataset writes them: files of one key follow each other, `key.jpg` with `key.cls`,
`key.json` or `key.txt` for its label.

A shard is judged whole before an image of it is used, as every archive is, and then read once more from its
beginning; tars of folders by identity are read too.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from facelab.data.files import safe_name
from facelab.data.formats.labeled import Item, Labeled
from facelab.data.identities import identify
from facelab.data.images import is_shown, printable, unsafe
from facelab.data.unpack import DAMAGE, MAX_BYTES, MAX_FILES, MAX_RATIO, SMALL, Entry, Tar
from facelab.photos.read import IMAGE_SUFFIXES

LABELS = (".cls", ".json", ".txt")
FIELDS = ("label", "cls", "class", "identity", "person", "id")  # of a .json
MAX_LABEL_BYTES = 2**16


def open_shards(paths: Sequence[Path]) -> Labeled:
    """Read one shard or several.

    Raises:
        ValueError: no tar, cut short, out of proportion, with links or entries outside its own folder, or
            without a label for an image.
    """
    checked = [(path, judged(path)) for path in paths]
    entries = [entry for _, found in checked for entry in found]
    images = [entry.name for entry in entries if is_shown(entry.name, IMAGE_SUFFIXES)]
    title = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
    if not images:
        raise ValueError(f"{title} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    if any(is_shown(entry.name, (".cls", ".json")) for entry in entries):
        return Labeled(f"WebDataset shards ({title})", lambda: _shard_items(checked), len(images))
    found = identify(images, title=title)
    count = len(found.people)
    return Labeled(f"tar ({title})", lambda: _folder_items(checked, found.people), count, found.notes)


def judged(path: Path) -> list[Entry]:
    """Return the images and labels of a shard, after checking all of its entries.

    Raises:
        ValueError: cut short, out of proportion, or with links or entries outside its own folder.
    """
    kept, total = [], 0
    limit = min(MAX_BYTES, MAX_RATIO * max(path.stat().st_size, SMALL))
    try:
        with contextlib.closing(Tar(path)) as tar:
            for count, entry in enumerate(tar.entries(), 1):
                total += entry.size
                if count > MAX_FILES or total > limit:
                    raise ValueError(f"{path.name} unpacks to more than {limit:,} bytes; it was not read")
                if wrong := unsafe(entry.name):
                    raise ValueError(f"{path.name} has {wrong}; it was not read")
                if is_shown(entry.name, IMAGE_SUFFIXES + LABELS):
                    kept.append(entry)
    except DAMAGE as error:
        raise ValueError(f"{path.name} is cut short or damaged; download it again") from error
    return kept


def _read(path: Path, entries: list[Entry]) -> Iterator[tuple[str, bytes]]:
    try:
        with contextlib.closing(Tar(path)) as tar:
            for entry in tar.in_order(entries):
                yield entry.name, tar.read(entry)
    except DAMAGE as error:
        raise ValueError(f"{path.name} is cut short or damaged; download it again") from error


def _shard_items(judged: list[tuple[Path, list[Entry]]]) -> Iterator[Item]:
    for path, entries in judged:
        last, images, label = "", [], None
        for name, content in _read(path, entries):
            key = _key(name)
            if key != last:
                yield from _sample(path, images, label)
                last, images, label = key, [], None
            if is_shown(name, IMAGE_SUFFIXES):
                images.append((name, content))
            else:
                label = _label(path, name, content) or label
        yield from _sample(path, images, label)


def _key(name: str) -> str:
    """Return the key that the files of one sample share: the name up to the first dot of its last part."""
    folder, _, file = name.rpartition("/")
    return f"{folder}/{file.partition('.')[0]}"


def _label(path: Path, name: str, content: bytes) -> str:
    """Return the label in a .cls, .txt or .json; "" if a .json has none."""
    try:
        if len(content) > MAX_LABEL_BYTES:
            raise ValueError
        text = content.decode("utf-8-sig").strip()
        if name.lower().endswith(".json"):
            values = json.loads(text)
            text = str(next((values[field] for field in FIELDS if field in values), "")).strip()
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path.name}: {printable(name)} is not a label; write one number or name in it"
        ) from error
    return f"{int(text):06d}" if text.isdecimal() and len(text) < 19 else text


def _sample(path: Path, images: list[tuple[str, bytes]], label: str | None) -> Iterator[Item]:
    for name, content in images:
        if not label:
            words = "is next to its image under the same key"
            raise ValueError(f"{path.name}: {printable(name)} has no label; see that its .cls {words}")
        yield Item(f"{safe_name(label)}/{PurePosixPath(name).name}", label, content)


def _folder_items(judged: list[tuple[Path, list[Entry]]], people: dict[str, str]) -> Iterator[Item]:
    for path, entries in judged:
        for name, content in _read(path, [entry for entry in entries if entry.name in people]):
            yield Item(name, people[name], content)
