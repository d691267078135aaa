"""What every reader gives: image files as they are, each with its name and its identity."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Item(NamedTuple):
    """One image of somebody.

    Attributes:
        name: relative, with forward slashes and a suffix.
        person: the identity's name; "" where it is not known.
        content: the bytes of the image file, not decoded.
    """

    name: str
    person: str
    content: bytes


@dataclass(frozen=True, eq=False)
class Labeled:
    """Images of identities in any format.

    Attributes:
        kind: the format, in words.
        read: starts reading from the beginning, one item at a time; raises ValueError where the file is
            damaged.
        count: how many items there are; None where only reading tells.
        notes: how the source was understood, a sentence each.
    """

    kind: str
    read: Callable[[], Iterator[Item]]
    count: int | None
    notes: tuple[str, ...] = ()


class PairItem(NamedTuple):
    """Two image files and whether they show one person."""

    first: bytes
    second: bytes
    same: bool


@dataclass(frozen=True, eq=False)
class LabeledPairs:
    """Pairs of images with their truth, whose order is the protocol's.

    Attributes:
        kind: the format, in words.
        read: starts reading from the beginning, one pair at a time.
        count: P pairs.
    """

    kind: str
    read: Callable[[], Iterator[PairItem]]
    count: int


def suffix_of(content: bytes) -> str:
    """Return the suffix of an image file by its first bytes; `.img` if they are of no usual type."""
    for start, suffix in SIGNATURES.items():
        if content.startswith(start):
            return suffix
    return ".webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else ".img"


SIGNATURES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"BM": ".bmp", b"GIF8": ".gif"}
