"""Write a stream of labeled images in another format, without decoding any (but for our crop file).

Identities are written one after the other and in sorted order, as trainers expect; what cannot stand in a
file name becomes `_`, and two images that would then share a name are numbered.
"""

import contextlib
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from facelab.data.cropfile import write_index, writing_crops
from facelab.data.files import Written, replacing, safe_name, shortened
from facelab.data.formats.labeled import Item, Labeled
from facelab.data.formats.parquet import TableWriter
from facelab.data.formats.recordio import RecordWriter
from facelab.data.images import Track, printable, untracked
from facelab.photos.faces import CROP_SIZE, read_photo

Add = Callable[[Item, str], None]


def convert(source: Labeled, out: str | os.PathLike, track: Track = untracked) -> Written:
    """Write every image of a source, the bytes as they are.

    Args:
        source: what `open_labeled` opened.
        out: a folder, or a file that ends in .zip, .rec, .parquet or .npy (our crop file, of 112x112 crops
            only).
        track: draws progress.

    Raises:
        ValueError: it already exists, a damaged source, or images without a known identity.
        OSError: the disk is full.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} already exists; name a new folder or file, or delete it")
    writer = WRITERS.get(out.suffix.lower(), _folder)
    counts = _identities(source, track)
    failures: list[tuple[str, str]] = []
    written = 0
    with writer(out, counts, failures) as add:
        targets = _Targets()
        for item in _in_order(source, counts, track):
            add(item, targets.of(item))
            written += 1
    return Written(written - len(failures), 0, tuple(failures), source.notes)


def _identities(source: Labeled, track: Track) -> dict[str, int]:
    """Return {identity: images}, sorted; the source is read once for it."""
    counts: Counter[str] = Counter()
    for item in track(source.read(), source.count or 0, "count"):
        counts[item.person] += 1
        if not item.person:
            raise ValueError(f"{printable(item.name)} has no known identity; leave it out")
    if not counts:
        raise ValueError("there is no image to convert")
    return dict(sorted(counts.items()))


def _in_order(source: Labeled, counts: dict[str, int], track: Track) -> Iterator[Item]:
    """Yield the items by identity; items that arrive too early wait on disk."""
    import tempfile

    order = iter(counts)
    with tempfile.TemporaryFile() as waiting:
        kept: dict[str, list[tuple[str, int, int]]] = {}
        current, left = next(order), counts[next(iter(counts))]
        for item in track(source.read(), source.count or 0, "convert"):
            if item.person == current:
                yield item
                left -= 1
            else:
                waiting.seek(0, os.SEEK_END)
                kept.setdefault(item.person, []).append((item.name, waiting.tell(), len(item.content)))
                waiting.write(item.content)
            while not left:
                current = next(order, None)
                if current is None:
                    return
                left = counts[current]
                for name, start, length in kept.pop(current, ()):
                    waiting.seek(start)
                    yield Item(name, current, waiting.read(length))
                    left -= 1


class _Targets:
    """A name for each image that can be written anywhere, and that no other has."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, item: Item) -> str:
        inside = item.name.startswith(f"{item.person}/")
        name = item.name if inside else f"{item.person}/{PurePosixPath(item.name).name}"
        path = PurePosixPath(shortened(safe_name(name)))
        target, number = path, 1
        while str(target).casefold() in self._taken:
            number += 1
            target = path.with_stem(f"{path.stem} ({number})")
        self._taken.add(str(target).casefold())
        return str(target)


@contextlib.contextmanager
def _folder(out: Path, counts: dict[str, int], failures: list[tuple[str, str]]) -> Iterator[Add]:
    def add(item: Item, name: str) -> None:
        with replacing(out / name) as part:
            part.write_bytes(item.content)

    yield add


@contextlib.contextmanager
def _zip(out: Path, counts: dict[str, int], failures: list[tuple[str, str]]) -> Iterator[Add]:
    with replacing(out) as part, zipfile.ZipFile(part, "w") as archive:  # images are packed already
        yield lambda item, name: archive.writestr(printable(name), item.content)


@contextlib.contextmanager
def _rec(out: Path, counts: dict[str, int], failures: list[tuple[str, str]]) -> Iterator[Add]:
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(replacing(out.with_suffix(end))) for end in (".rec", ".idx", ".lst")]
        files = [stack.enter_context(open(part, "wb")) for part in parts]
        writer = RecordWriter(*files, counts)
        yield writer.add
        writer.close()


@contextlib.contextmanager
def _parquet(out: Path, counts: dict[str, int], failures: list[tuple[str, str]]) -> Iterator[Add]:
    with replacing(out) as part, contextlib.closing(TableWriter(part, [*counts])) as writer:
        yield writer.add


@contextlib.contextmanager
def _crop_file(out: Path, counts: dict[str, int], failures: list[tuple[str, str]]) -> Iterator[Add]:
    """Write a crop file; crops are decoded here, and those of another size are reported as failures."""
    labels, names = {person: i for i, person in enumerate(counts)}, []
    known: list[int] = []
    with writing_crops(out, sum(counts.values())) as write:

        def add(item: Item, name: str) -> None:
            try:
                pixels = read_photo(item.content).pixels
            except ValueError as error:
                failures.append((item.name, str(error)))
                return
            if pixels.shape != (CROP_SIZE, CROP_SIZE, 3):
                words = f"is not an aligned {CROP_SIZE}x{CROP_SIZE} crop"
                failures.append((item.name, f"{pixels.shape[1]}x{pixels.shape[0]} {words}"))
                return
            write(np.ascontiguousarray(pixels))
            known.append(labels[item.person])
            names.append(name)

        yield add
        if not names:
            raise ValueError(f"no image is an aligned {CROP_SIZE}x{CROP_SIZE} crop; run `data prepare` first")
    used = sorted(set(known))
    people = [*counts]
    index = {
        "labels": [used.index(label) for label in known] if len(used) < len(people) else known,
        "identities": [f"{out.stem}/{people[label]}" for label in used],
        "names": names,
        "skipped": failures,
    }
    write_index(out.with_suffix(".json"), index)


WRITERS = {".zip": _zip, ".rec": _rec, ".parquet": _parquet, ".npy": _crop_file}
