"""Verification sets of the field in one `.bin` each (lfw, cfp_fp, agedb_30, ...): a pickle of two lists, the
encoded images and whether each two neighbors show one person.

A pickle is a program, and this one is never run. Its opcodes are walked; those that build bytes, flags, lists
and tuples are followed with a stack of places in the file, and every other one (all that import or call) ends
the reading. Images stay where they are until a pair is asked for.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pickletools import genops
from typing import BinaryIO, NamedTuple

from facelab.data.formats.labeled import LabeledPairs, PairItem
from facelab.data.images import MAX_FILE_BYTES

MAX_IMAGES = 500_000
MAX_OPCODES = 4 * MAX_IMAGES  # two and a half an image are usual
BYTES = {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8", "SHORT_BINSTRING", "BINSTRING"}
PUT = {"PUT", "BINPUT", "LONG_BINPUT"}
GET = {"GET", "BINGET", "LONG_BINGET"}
NUMBERS = {"BININT", "BININT1", "BININT2", "INT", "LONG1"}
FLAGS = {"NEWTRUE": True, "NEWFALSE": False}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
IGNORED = {"PROTO", "FRAME"}


class _Place(NamedTuple):
    """Bytes in the file."""

    start: int
    length: int


_MARK = object()


@dataclass(eq=False)
class _Bounded:
    """A file for genops, which believes the lengths that it reads."""

    file: BinaryIO

    def __post_init__(self) -> None:
        self.tell = self.file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_FILE_BYTES:
            raise ValueError(f"it declares {size:,} bytes at once")
        return self.file.read(size)

    def readline(self) -> bytes:
        return self.file.readline(MAX_FILE_BYTES)


def open_bin(path: str | os.PathLike) -> LabeledPairs:
    """Find the pairs of a `.bin` without running it.

    Raises:
        ValueError: no such file, a pickle that does more than hold bytes and flags, or lists that do not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a .bin file of pairs")
    with open(path, "rb") as file:
        try:
            found = _walk(_Bounded(file))
        except _ForbiddenError as error:
            raise ValueError(f"{path.name} {error}") from error
        except Exception as error:  # a broken pickle makes the walk raise anything
            raise ValueError(
                f"{path.name} is not a complete .bin file of pairs; download it again"
            ) from error
    images, flags = _checked(path.name, found)
    return LabeledPairs("verification .bin", lambda: _pairs(path, images, flags), len(flags))


def _pairs(path: Path, images: list[_Place], flags: list[bool]) -> Iterator[PairItem]:
    with open(path, "rb") as file:
        for i, same in enumerate(flags):
            yield PairItem(_read(file, images[2 * i]), _read(file, images[2 * i + 1]), bool(same))


def _read(file: BinaryIO, place: _Place) -> bytes:
    file.seek(place.start)
    return file.read(place.length)


class _ForbiddenError(ValueError):
    """What a pickle does that is not done here, as the end of a sentence that begins with its name."""


def _walk(file: _Bounded) -> object:
    """Return the content of a pickle, with positions instead of bytes."""
    stack: list = []
    memo: dict[int, object] = {}
    for count, (opcode, argument, _) in enumerate(genops(file)):
        name = opcode.name
        if count > MAX_OPCODES:
            raise _ForbiddenError(f"holds more than {MAX_IMAGES:,} images; split it")
        if name in BYTES:
            length = len(argument)
            stack.append(_Place(file.tell() - length, length))
        elif name in FLAGS or name in NUMBERS:
            stack.append(FLAGS.get(name, argument))
        elif name in PUT or name == "MEMOIZE":
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in GET:
            stack.append(memo[argument])
        elif name == "STOP":
            return stack.pop()
        elif name not in IGNORED:
            _build(name, stack)
    raise ValueError("it does not end")


def _build(name: str, stack: list) -> None:
    """Execute an opcode that creates or fills a list or tuple."""
    if name == "MARK":
        stack.append(_MARK)
    elif name in ("EMPTY_LIST", "EMPTY_TUPLE"):
        stack.append([])
    elif name == "APPEND":
        value = stack.pop()
        stack[-1].append(value)
    elif name == "APPENDS":
        values = _above_mark(stack)
        stack[-1].extend(values)
    elif name in ("LIST", "TUPLE"):
        stack.append(_above_mark(stack))
    elif name in TUPLES:
        values = [stack.pop() for _ in range(TUPLES[name])]
        stack.append(values[::-1])
    else:
        words = "is a program that imports or calls (its pickle has the opcode"
        raise _ForbiddenError(f"{words} {name}); only lists of encoded images and flags are read")


def _above_mark(stack: list) -> list:
    at = len(stack) - 1 - stack[::-1].index(_MARK)
    values = stack[at + 1 :]
    del stack[at:]
    return values


def _checked(name: str, found: object) -> tuple[list[_Place], list[bool]]:
    """Return the two lists, after checking them."""
    if not isinstance(found, list) or len(found) != 2 or not all(isinstance(part, list) for part in found):
        raise ValueError(
            f"{name} does not hold a list of images and a list of flags; it is not a set of pairs"
        )
    images, flags = found
    if not flags or len(images) != 2 * len(flags):
        counts = f"{len(images):,} images and {len(flags):,} flags"
        raise ValueError(f"{name} holds {counts}; there must be two images for each flag")
    if not all(isinstance(image, _Place) and image.length for image in images):
        raise ValueError(f"{name} holds an entry that is not an encoded image; pack the pairs again")
    if not all(type(flag) in (bool, int) and flag in (0, 1) for flag in flags):
        raise ValueError(f"{name} holds a flag that is neither true nor false; pack the pairs again")
    return images, flags
