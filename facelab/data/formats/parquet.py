"""Parquet tables of images, as the Hugging Face Hub keeps data sets: `image` and `label`, or `image1`,
`image2` and `label`.

An image is a struct of `bytes` and `path`, or the bytes alone; labels are numbers, whose names the schema may
hold, or names. A table is read in small batches. Needs pyarrow (facelab's extra `parquet`).
"""

import json
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from facelab.data.files import safe_name
from facelab.data.formats.labeled import Item, Labeled, LabeledPairs, PairItem, suffix_of
from facelab.data.images import MAX_FILE_BYTES, printable, unsafe

MISSING = "needs pyarrow; `pip install pyarrow` (facelab's extra `parquet`)"
IMAGE = ("image", "img", "jpg", "png", "photo", "face")
LABEL = ("label", "labels", "identity", "person", "class", "subject", "id", "name")
PAIR = (("image1", "image2"), ("image_1", "image_2"), ("img1", "img2"), ("image_a", "image_b"))
SAME = ("label", "same", "issame", "is_same", "match")
ROWS = 32  # that are held at once
MAX_ROWS = 2**27
MAX_GROUP_BYTES = 4 * 2**30  # unpacked, of one group of rows


def open_parquet(paths: Sequence[Path]) -> Labeled | LabeledPairs:
    """Read a table that lies in one file or several.

    Raises:
        ValueError: pyarrow is missing, a file is no Parquet, its columns are others, or it is out of
            proportion.
    """
    schemas = [_schema(path) for path in paths]
    count = sum(rows for _, rows in schemas)
    names, metadata = schemas[0][0].names, schemas[0][0].metadata or {}
    columns = {name.lower(): name for name in names}
    pair = next((pair for pair in PAIR if all(name in columns for name in pair)), None)
    title = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
    if pair:
        label = _one_of(columns, SAME, title, "label")
        wanted = (*(columns[name] for name in pair), label)
        return LabeledPairs(f"Parquet of pairs ({title})", lambda: _pairs(paths, wanted), count)
    image, label = _one_of(columns, IMAGE, title, "image"), _one_of(columns, LABEL, title, "label")
    classes = _class_names(metadata, label)
    return Labeled(f"Parquet ({title})", lambda: _items(paths, image, label, classes), count)


def _schema(path: Path) -> tuple[Any, int]:
    """Return (schema, rows) of a file with a footer of plausible size."""
    with _file(path) as file:
        rows, groups = file.metadata.num_rows, range(file.metadata.num_row_groups)
        largest = max((file.metadata.row_group(i).total_byte_size for i in groups), default=0)
        if rows > MAX_ROWS or largest > MAX_GROUP_BYTES:
            raise ValueError(
                f"{path.name} declares {rows:,} rows, {largest:,} bytes in one group; write smaller groups"
            )
        return file.schema_arrow, rows


def _file(path: Path) -> Any:
    if not find_spec("pyarrow"):
        raise ValueError(f"{path.name} {MISSING}")
    from pyarrow.parquet import ParquetFile  # here: an extra

    try:
        return ParquetFile(path, pre_buffer=False)
    except Exception as error:  # ArrowInvalid, OSError, ...
        raise ValueError(f"{path.name} is not a complete Parquet file; download it again") from error


def _one_of(columns: dict[str, str], names: Sequence[str], title: str, what: str) -> str:
    found = next((columns[name] for name in names if name in columns), None)
    if found is None:
        words = (
            f"needs image and label, or image1, image2 and label; it has {', '.join(map(printable, columns))}"
        )
        raise ValueError(f"{title} has no column {what!r}: it {words}"[:400])
    return found


def _class_names(metadata: dict[bytes, bytes], label: str) -> list[str]:
    """Return the class names in the Hub's note in the schema; empty if there is none."""
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][label]
        return [str(name) for name in feature["names"]]
    except (KeyError, ValueError, TypeError):
        return []


def open_table(path: Path) -> tuple[dict[str, str], int]:
    """Return ({column in small letters: as it is written}, rows) of any table, its footer having been
    checked.

    Raises:
        ValueError: as `open_parquet`.
    """
    schema, rows = _schema(path)
    return {name.lower(): name for name in schema.names}, rows


def table_rows(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Return some columns, row by row, in small batches.

    Raises:
        ValueError: a damaged file.
    """
    for path in paths:
        with _file(path) as file:
            batches = file.iter_batches(batch_size=ROWS, columns=[*columns], use_threads=False)
            while True:
                try:
                    batch = next(batches, None)
                except Exception as error:  # damaged pages raise what they like
                    raise ValueError(f"{path.name} is damaged; download it again") from error
                if batch is None:
                    break
                yield from zip(*(batch.column(i).to_pylist() for i in range(len(columns))))


def _items(paths: Sequence[Path], image: str, label: str, classes: list[str]) -> Iterator[Item]:
    for row, (picture, who) in enumerate(table_rows(paths, (image, label))):
        content, name = _content(picture, row)
        person = _person(who, classes, row)
        yield Item(name or f"{safe_name(person)}/{row:08d}{suffix_of(content)}", person, content)


def _pairs(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[PairItem]:
    for row, (first, second, same) in enumerate(table_rows(paths, columns)):
        if same not in (0, 1):
            raise ValueError(f"row {row:,} has the label {printable(str(same))[:40]!r}; it must be 0 or 1")
        yield PairItem(_content(first, row)[0], _content(second, row)[0], bool(same))


def _content(value: Any, row: int) -> tuple[bytes, str]:
    """Return (image file, its name or "") of a cell."""
    content = value.get("bytes") if isinstance(value, dict) else value
    name = value.get("path") if isinstance(value, dict) else None
    if not isinstance(content, bytes) or not content:
        raise ValueError(
            f"row {row:,} holds no bytes of an image; embed the files in the table before it is saved"
        )
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"row {row:,} holds an image over {MAX_FILE_BYTES // 2**20} MB; reduce it first")
    good = isinstance(name, str) and name and not unsafe(name) and PurePosixPath(name).suffix
    return content, name if good else ""


def _person(value: Any, classes: list[str], row: int) -> str:
    if isinstance(value, int) and 0 <= value < len(classes):
        return classes[value]
    if isinstance(value, int | str) and str(value).strip():
        return str(value) if isinstance(value, str) or classes else f"{value:06d}"
    raise ValueError(f"row {row:,} names no identity; give every image a label")


def schema_of(identities: Sequence[str]) -> Any:
    """Return the schema that the Hub's `datasets` reads as Image and ClassLabel."""
    import pyarrow as pa

    features = {"image": {"_type": "Image"}, "label": {"names": [*identities], "_type": "ClassLabel"}}
    note = json.dumps({"info": {"features": features}})
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.schema([("image", image), ("label", pa.int64())], metadata={"huggingface": note})


class TableWriter:
    """Write images as a Parquet table, 64 rows in memory at a time; close it.

    Raises:
        ValueError: pyarrow is missing.
    """

    GROUP = 64

    def __init__(self, path: str | os.PathLike, identities: Sequence[str]) -> None:
        if not find_spec("pyarrow"):
            raise ValueError(f"writing Parquet {MISSING}")
        from pyarrow.parquet import ParquetWriter

        self._labels = {person: label for label, person in enumerate(identities)}
        self._schema, self._rows = schema_of([printable(person) for person in identities]), []
        self._writer = ParquetWriter(path, self._schema, compression="none")

    def add(self, item: Item, name: str) -> None:
        """Append one image."""
        image = {"bytes": item.content, "path": printable(name)}
        self._rows.append({"image": image, "label": self._labels[item.person]})
        if len(self._rows) == self.GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
            self._rows = []

    def close(self) -> None:
        """Write what is left and the footer."""
        self._flush()
        self._writer.close()
