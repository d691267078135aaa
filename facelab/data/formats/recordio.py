"""MXNet's RecordIO (`.rec`, with or without `.idx`), in which InsightFace's data sets are given.

A record is the magic number, a word with its length and its place in a split record, and its content, padded
to four bytes; content that holds the magic number is split there. An image's record begins with a header of
flag, label and ids. InsightFace's files begin with a record that says where the images end and the
identities' own records begin; files of MXNet's `im2rec` have none. A `.lst` beside the file (`key label
path` a line) names the images and, by their folders, the identities.
"""

import array
import itertools
import os
import struct
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from facelab.data.formats.labeled import Item, Labeled, suffix_of
from facelab.data.images import MAX_FILE_BYTES, printable, unsafe
from facelab.data.lists import decode_text

MAGIC = struct.pack("<I", 0xCED7230A)
HEADER = struct.Struct("<IfQQ")  # flag, label, id, id2
WHOLE, BEGIN, MIDDLE, END = range(4)  # what the three upper bits of a record's length say of its place
MAX_RECORDS = 2**27
MAX_LABELS = 1024  # numbers of one label
MAX_LABEL = 2**24  # up to here every whole number is a float32
MAX_INDEX_BYTES = 2**32


def read_record(file: BinaryIO, where: str) -> bytes | None:
    """Return the content of the record that begins here, its parts joined; None at the end of the file.

    Raises:
        ValueError: it is truncated, not a record, or larger than an image may be.
    """
    parts, total = [], 0
    while True:
        head = file.read(8)
        if not head and not parts:
            return None
        if len(head) < 8 or head[:4] != MAGIC:
            raise ValueError(f"{where} is cut short or no RecordIO; copy it again")
        place, length = divmod(int.from_bytes(head[4:], "little"), 2**29)
        total += length + 4
        if place not in ((MIDDLE, END) if parts else (WHOLE, BEGIN)) or total > MAX_FILE_BYTES:
            raise ValueError(f"{where} has a record at a wrong place or over {MAX_FILE_BYTES // 2**20} MB")
        content = file.read(length)
        if len(content) < length or len(file.read(-length % 4)) < -length % 4:
            raise ValueError(f"{where} is cut short; copy it again")
        parts.append(content)
        if place in (WHOLE, END):
            return MAGIC.join(parts)


def split_header(record: bytes, where: str) -> tuple[list[float], bytes]:
    """Return (labels, image file) of a record; the image is empty in records that only describe.

    Raises:
        ValueError: it is shorter than its header announces.
    """
    if len(record) < HEADER.size:
        raise ValueError(f"{where} has a record without MXNet's image header; pack it with im2rec")
    flag, label, _, _ = HEADER.unpack_from(record)
    if flag > MAX_LABELS or len(record) < HEADER.size + 4 * flag:
        raise ValueError(f"{where} declares {flag:,} labels in one record; it was not read")
    labels = list(struct.unpack_from(f"<{flag}f", record, HEADER.size)) if flag else [label]
    return labels, record[HEADER.size + 4 * flag :]


def open_recordio(path: str | os.PathLike) -> Labeled:
    """Read the images of a `.rec` in the order of its keys.

    Identities are the labels, or the folders of the `.lst` beside it.

    Raises:
        ValueError: no such file, no RecordIO, or an index that does not fit it.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a .rec file")
    with open(path, "rb") as file:
        offsets = _offsets(path, file)
        first = _record_at(file, offsets[0], path.name)
    labels, content = split_header(first, path.name)
    notes, keys = (), range(len(offsets))
    if not content and len(labels) == 2:  # InsightFace's record 0: where the images end, where all ends
        end, last = labels
        if not (1 <= end <= last <= len(offsets) and end == int(end) and last == int(last)):
            raise ValueError(
                f"{path.name} says that its images end at {end:g} of {len(offsets):,}; copy it again"
            )
        keys = range(1, int(end))
        notes = (f"{path.name}: InsightFace's layout, {int(last - end):,} identities",)
    names = _names(path.with_suffix(".lst"))
    return Labeled("MXNet RecordIO", lambda: _items(path, offsets, keys, names), len(keys), notes)


def _items(path: Path, offsets: array.array, keys: range, names: dict[int, str]) -> Iterator[Item]:
    with open(path, "rb") as file:
        for key in keys:
            where = f"{path.name}, record {key:,},"
            labels, content = split_header(_record_at(file, offsets[key], where), where)
            if not (0 <= labels[0] <= MAX_LABEL and labels[0] == int(labels[0])):
                raise ValueError(f"{where} has the label {labels[0]:g}; it must be a whole number from 0")
            if not content:
                raise ValueError(f"{where} holds no image; pack the images again")
            label = f"{int(labels[0]):06d}"
            name = names.get(key, f"{label}/{key:08d}{suffix_of(content)}")
            yield Item(name, str(PurePosixPath(name).parent) if key in names else label, content)


def _record_at(file: BinaryIO, offset: int, where: str) -> bytes:
    file.seek(offset)
    record = read_record(file, where)
    if record is None:
        raise ValueError(f"{where} is cut short; copy it again")
    return record


def _offsets(path: Path, file: BinaryIO) -> array.array:
    """Return the offset of each record by its key: from the index, or from one header to the next."""
    size, index = path.stat().st_size, path.with_suffix(".idx")
    offsets = _indexed(index, size) if index.is_file() else _scanned(file, size, path.name)
    if not offsets:
        raise ValueError(f"{path.name} holds no record; copy it again")
    return offsets


def _indexed(index: Path, size: int) -> array.array:
    if index.stat().st_size > MAX_INDEX_BYTES:
        raise ValueError(
            f"{index.name} is larger than any index; delete it, then the .rec is read without it"
        )
    offsets = array.array("Q")
    with open(index, "rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(64), b"")):
            fields = line.split()
            good = len(fields) == 2 and all(field.isdigit() for field in fields) and int(fields[0]) == number
            if not good or int(fields[1]) % 4 or int(fields[1]) + 8 > size or number >= MAX_RECORDS:
                words = "does not fit the .rec; delete it, then the .rec is read without it"
                raise ValueError(f"{index.name}, line {number + 1}, {words}")
            offsets.append(int(fields[1]))
    return offsets


def _scanned(file: BinaryIO, size: int, name: str) -> array.array:
    offsets, at = array.array("Q"), 0
    while at < size:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or head[:4] != MAGIC or len(offsets) >= MAX_RECORDS:
            raise ValueError(f"{name} is cut short or no RecordIO; copy it again")
        place, length = divmod(int.from_bytes(head[4:], "little"), 2**29)
        if place in (WHOLE, BEGIN):
            offsets.append(at)
        at += 8 + length + -length % 4
    if at > size:
        raise ValueError(f"{name} is cut short; copy it again")
    return offsets


def _names(path: Path) -> dict[int, str]:
    """Return {key: path} of an im2rec list whose paths have folders; empty if there is none."""
    if not path.is_file() or path.stat().st_size > MAX_INDEX_BYTES:
        return {}
    try:
        rows = [line.split("\t") for line in decode_text(path.read_bytes()).splitlines() if line.strip()]
        names = {int(row[0]): row[-1].strip().replace("\\", "/") for row in rows}
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path.name} is not a list of `key label path` lines; delete it") from error
    return names if all("/" in name and not unsafe(name) for name in names.values()) else {}


class RecordWriter:
    """Write a `.rec` with its `.idx` and `.lst` in InsightFace's layout; images must come by identity.

    Args:
        rec, idx, lst: open files.
        identities: {identity: how many images}, in the order in which they come.
    """

    def __init__(self, rec: BinaryIO, idx: BinaryIO, lst: BinaryIO, identities: dict[str, int]) -> None:
        self._rec, self._idx, self._lst, self._key = rec, idx, lst, 0
        self._labels = {person: label for label, person in enumerate(identities)}
        self._starts = list(itertools.accumulate(identities.values(), initial=1))
        end = self._starts[-1]
        self._append([end, end + len(identities)], b"")

    def add(self, item: Item, name: str) -> None:
        """Append one image."""
        label = self._labels[item.person]
        self._lst.write(f"{self._key}\t{label}\t{printable(name)}\n".encode())
        self._append([label], item.content)

    def close(self) -> None:
        """Append the identities' own records: from which key to which their images are."""
        for start, end in itertools.pairwise(self._starts):
            self._append([start, end], b"")

    def _append(self, labels: list[int], content: bytes) -> None:
        self._idx.write(f"{self._key}\t{self._rec.tell()}\n".encode())
        if len(labels) == 1:
            record = HEADER.pack(0, labels[0], self._key, 0) + content
        else:
            record = HEADER.pack(2, 0, self._key, 0) + struct.pack("<2f", *labels) + content
        for part in _parts(record):
            self._rec.write(part)
        self._key += 1


def _parts(record: bytes) -> Iterator[bytes]:
    """Split a record for writing, wherever it contains the magic number at a multiple of four bytes."""
    cuts, at = [], record.find(MAGIC)
    while at >= 0:
        if at % 4 == 0:
            cuts.append(at)
        at = record.find(MAGIC, at + (4 if at % 4 == 0 else 1))
    starts, ends = [0, *(cut + 4 for cut in cuts)], [*cuts, len(record)]
    for i, (start, end) in enumerate(zip(starts, ends)):
        place = WHOLE if not cuts else BEGIN if i == 0 else END if i == len(cuts) else MIDDLE
        length = end - start
        yield MAGIC + struct.pack("<I", place << 29 | length) + record[start:end] + b"\0" * (-length % 4)
