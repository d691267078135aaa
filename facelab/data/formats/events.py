"""Scalars of a TensorBoard event file, read without TensorFlow or TensorBoard.

The file is a TFRecord: length (u64), masked CRC-32C of the length, data, masked CRC-32C of the data. Data is
a protocol buffer `Event`, of which three fields are needed: step (2), summary (5), and in a summary's values
tag (1) with simple_value (2) or a tensor (8) of one number. Other kinds of values are skipped.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAX_BYTES = 1 << 30  # of a file
MAX_EVENT = 1 << 14  # bytes of an event that can be a scalar; images and graphs are larger
MAX_POINTS, MAX_TAGS = 2_000_000, 1_000
FLOAT, DOUBLE = 1, 2  # DT_FLOAT and DT_DOUBLE
Field = tuple[int, int | bytes]  # its number, and its value


@dataclass
class Scalars:
    """Hold {tag: (steps, values)}, and the tags whose values are not scalars."""

    series: dict[str, tuple[list[int], list[float]]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)


def is_event_file(path: str | os.PathLike) -> bool:
    """Return whether the first bytes are a TFRecord's: a length with its checksum."""
    with open(path, "rb") as file:
        head = file.read(12)
    return len(head) == 12 and struct.unpack("<I", head[8:])[0] == masked_crc(head[:8])


def read_scalars(path: str | os.PathLike) -> Scalars:
    """Read the scalars of an event file; an incomplete last event, as of a run that goes on, is left out.

    Raises:
        ValueError: not an event file, damaged, too large, or without a scalar.
    """
    path, found, points = Path(path), Scalars(), 0
    if os.path.getsize(path) > MAX_BYTES:
        raise ValueError(f"{path.name} is larger than 1 GB; log scalars into a file of their own")
    for data in _records(path):
        try:
            for tag, step, value in _values(data):
                if value is None:
                    found.others.add(tag)
                else:
                    steps, values = found.series.setdefault(tag, ([], []))
                    steps.append(step)
                    values.append(value)
                    points += 1
        except (struct.error, IndexError, UnicodeDecodeError, TypeError) as error:
            raise ValueError(f"{path.name} holds an event that is not an event of TensorBoard") from error
        if points > MAX_POINTS or len(found.series) + len(found.others) > MAX_TAGS:
            raise ValueError(f"{path.name} holds more than {MAX_TAGS:,} tags or {MAX_POINTS:,} values")
    if not found.series:
        held = f"; {', '.join(sorted(found.others)[:3])} are none" if found.others else ""
        raise ValueError(f"{path.name} holds no scalar{held}; log the loss by add_scalar")
    return found


def _records(path: Path) -> Iterator[bytes]:
    """Yield each event that can hold scalars alone; larger ones are passed over."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        while len(head := file.read(12)) == 12:
            length, check = struct.unpack("<QI", head)
            if check != masked_crc(head[:8]):
                raise ValueError(f"{path.name} is not an event file of TensorBoard, or is damaged")
            if file.tell() + length + 4 > size:
                return
            if length > MAX_EVENT:
                file.seek(length + 4, os.SEEK_CUR)
                continue
            data = file.read(length)
            if struct.unpack("<I", file.read(4))[0] != masked_crc(data):
                raise ValueError(f"{path.name} is damaged: the checksum of an event does not match")
            yield data


def _values(event: bytes) -> Iterator[tuple[str, int, float | None]]:
    """Yield (tag, step, value) of each value of an event; None for what is not one number."""
    step, summaries = 0, []
    for number, value in _fields(event):
        if number == 2:
            step = value
        elif number == 5:
            summaries.append(value)
    for summary in summaries:
        for number, value in _fields(summary):
            if number == 1:
                inner = dict(_fields(value))
                simple = inner.get(2)
                at = _number(dict(_fields(inner[8]))) if 8 in inner else None
                yield (
                    inner.get(1, b"").decode("utf-8"),
                    step,
                    at if simple is None else struct.unpack("<f", simple)[0],
                )


def _number(tensor: dict[int, int | bytes]) -> float | None:
    """Return the number in a TensorProto of one real number, or None."""
    kinds = {FLOAT: ("<f", 5), DOUBLE: ("<d", 6)}  # type -> its layout, and the field of its values
    if tensor.get(1) not in kinds:
        return None
    layout, place = kinds[tensor[1]]
    content = tensor.get(4) or tensor.get(place) or b""
    return struct.unpack(layout, content)[0] if len(content) == struct.calcsize(layout) else None


def _fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of one protocol buffer message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
        else:
            if wire == 2:
                length, at = _varint(data, at)
            elif wire in (1, 5):
                length = 8 if wire == 1 else 4
            else:
                raise IndexError("wire type")
            if at + length > len(data):
                raise IndexError("length")
            value, at = data[at : at + length], at + length
        yield number, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
    raise IndexError("varint")


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


CRC = _crc_table()


def masked_crc(data: bytes) -> int:
    """Return TFRecord's checksum: CRC-32C (Castagnoli), rotated by 15 bits, plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
