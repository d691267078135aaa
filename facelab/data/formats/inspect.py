"""What a data set holds: counts, sizes, and what usually goes wrong in one.

Every image file is read and hashed, none is decoded but a few: people with one image, photos that occur
twice, and photos that stand under two identities, of which at most one can be right.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from facelab.data.formats.labeled import Item, Labeled, LabeledPairs
from facelab.data.images import Track, printable, untracked
from facelab.photos.read import read_photo

MOST_HASHED = 2_000_000  # images whose contents are compared; 8 bytes of each hash are kept
DECODED = 20  # images of a set, the first ten and then one in fifty


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        kind: the format, in words.
        images: readable items, or twice the pairs.
        identities: how many; None for pairs.
        bytes: of all image files.
        sizes: {"112x112": how often} among the few that were decoded.
        notes: a sentence each on how the source was read and on what is unusual.
    """

    kind: str
    images: int
    identities: int | None
    bytes: int
    sizes: dict[str, int]
    notes: tuple[str, ...]


def inspect(source: Labeled | LabeledPairs, track: Track = untracked) -> Inspection:
    """Read a data set through once.

    Raises:
        ValueError: the source is damaged.
    """
    if isinstance(source, LabeledPairs):
        return _pairs(source, track)
    people: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    seen = _Seen()
    total = 0
    for number, item in enumerate(track(source.read(), source.count or 0, "read")):
        people[item.person] += 1
        total += len(item.content)
        seen.add(item)
        if _sampled(number) and sizes.total() < DECODED:
            sizes[_size(item.content)] += 1
    named = sum(bool(person) for person in people)
    notes = (*source.notes, *_few(people), *seen.notes())
    return Inspection(source.kind, people.total(), named, total, dict(sizes), notes)


def _pairs(source: LabeledPairs, track: Track) -> Inspection:
    sizes: Counter[str] = Counter()
    total, same, count = 0, 0, 0
    for pair in track(source.read(), source.count, "read"):
        total += len(pair.first) + len(pair.second)
        if _sampled(count) and sizes.total() < DECODED:
            sizes[_size(pair.first)] += 1
        same, count = same + pair.same, count + 1
    notes = (f"{same:,} genuine and {count - same:,} impostor pairs",)
    return Inspection(source.kind, 2 * count, None, total, dict(sizes), notes)


def _sampled(number: int) -> bool:
    """Return whether an image is decoded, by its number from 0."""
    return number < DECODED // 2 or number % 50 == 0


def _size(content: bytes) -> str:
    try:
        height, width = read_photo(content).pixels.shape[:2]
    except ValueError:
        return "unreadable"
    return f"{width}x{height}"


def _few(people: Counter[str]) -> Iterator[str]:
    single = sorted(person for person, count in people.items() if count == 1)
    if single:
        words = "so no genuine pair"
        few = "1 identity has" if len(single) == 1 else f"{len(single):,} identities have"
        yield f"{few} one image ({words}; first: {printable(single[0])})"


class _Seen:
    """Which photos came before, and under which identity."""

    def __init__(self) -> None:
        self._first: dict[bytes, str] = {}
        self._again, self._empty, self._two = 0, 0, []
        self._complete = True

    def add(self, item: Item) -> None:
        if not item.content:
            self._empty += 1
            return
        key = hashlib.blake2b(item.content, digest_size=8).digest()
        before = self._first.get(key)
        if before is None:
            if len(self._first) < MOST_HASHED:
                self._first[key] = item.person
            else:
                self._complete = False
        elif before == item.person:
            self._again += 1
        else:
            self._two.append((item.name, before, item.person))

    def notes(self) -> Iterator[str]:
        if self._empty:
            empty = "1 file is" if self._empty == 1 else f"{self._empty:,} files are"
            yield f"{empty} empty; copy the data set again"
        if self._again:
            again = "1 file repeats" if self._again == 1 else f"{self._again:,} files repeat"
            yield f"{again} a photo of the same identity"
        if self._two:
            name, before, now = map(printable, self._two[0])
            count = "1 photo appears" if len(self._two) == 1 else f"{len(self._two):,} photos appear"
            what = f"{count} under two identities"
            yield f"{what} (first: {name}, under {before} and under {now}); one of the labels is wrong"
        if not self._complete:
            yield f"only the first {MOST_HASHED:,} photos were compared"
