"""Lists written by people: lines of fields, in UTF-8 or UTF-16, with or without a byte order mark. Fields are
separated by tabs, semicolons, commas or spaces, and may be quoted.
"""

import codecs
import csv
import os
from pathlib import Path

SEPARATORS = ("\t", ";", ",")
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
Row = tuple[int, list[str]]  # number of the line, from 1, and its fields


def read_rows(path: str | os.PathLike, entry: str = "pair") -> list[Row]:
    """Return the lines of a list that are not blank, split into stripped fields.

    The separator is the first of tab, semicolon and comma that most lines after the first contain; else
    spaces.

    Args:
        path: the file.
        entry: what a line should contain, as text.

    Raises:
        ValueError: no such file, not text, or empty.
    """
    name = Path(path).name
    lines = [(i, line.strip(" \r\n")) for i, line in enumerate(_read_text(path).splitlines(), 1)]
    lines = [(i, line) for i, line in lines if line.strip()]
    if not lines:
        raise ValueError(f"{name} is empty; it needs one {entry} a line")
    body = [line for _, line in lines[1:] or lines]
    separator = next((s for s in SEPARATORS if 2 * sum(s in line for line in body) > len(body)), None)
    try:
        return [(i, _fields(line, separator)) for i, line in lines]
    except csv.Error as error:
        raise ValueError(f"{name} is not a list ({error}); give one {entry} a line") from error


def _fields(line: str, separator: str | None) -> list[str]:
    if separator is None and '"' not in line:
        return line.split()
    fields = next(csv.reader([line], delimiter=separator or " ", skipinitialspace=True))
    return [field.strip() for field in fields if separator or field]


def _read_text(path: str | os.PathLike) -> str:
    name = Path(path).name
    try:
        return decode_text(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; give LFW's file or one of the same form") from error
    except IsADirectoryError as error:
        raise ValueError(f"{name} is not a text file but a folder; name the list in it") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not a text file in UTF-8 or UTF-16; save it as UTF-8") from error


def decode_text(data: bytes) -> str:
    """Decode UTF-8 or UTF-16 text, by its byte order mark or, without one, by the positions of zero bytes.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding)
    if b"\0" in data:  # no text in UTF-8; every separator of one in UTF-16 has a zero byte on the same side
        low, high = data[::2].count(0), data[1::2].count(0)
        if (low and high) or len(data) % 2:
            raise UnicodeDecodeError("utf-8", data, 0, 1, "holds zero bytes")
        return data.decode("utf-16-be" if low else "utf-16-le")
    return data.decode("utf-8")
