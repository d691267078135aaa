"""A gallery of millions of faces in a folder: embeddings mapped from files, and a journal of who is on them.

`codes` holds a byte a dimension, `rows` the embeddings themselves (a gallery of kind int8 has none), both
only ever appended to. A change counts from the moment its line is in the journal: a line has a checksum, and
one that a crash cut short is dropped together with the embeddings it was about. `compact` writes new files
and then renames the header that names them.
"""

import copy
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from facelab.recognition.flat_search import Scan, bounds, calibrate, encode, search
from facelab.recognition.gallery_files import KINDS, append, locked, mapped, read_header, write_header
from facelab.recognition.people import Match, checked_vectors

BATCH = 65_536  # rows that are copied at a time
Kind = Literal["float32", "int8"]


class StoredGallery:
    """People and their embeddings in a folder; see `facelab.recognition.people.People`.

    Args:
        path: the folder of a gallery.

    Attributes:
        model: name of the embedder.
        kind: `float32` or `int8`.

    Raises:
        ValueError: no gallery, a damaged one, or one of another version.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        header = read_header(self.path)
        self.model, self.kind, self.dim = header["model"], header["kind"], header["dim"]
        self.steps = header["steps"]
        self._begin(header["generation"])
        self._replay()

    def _begin(self, generation: int) -> None:
        self.generation = generation
        self._names: list[str] = []
        self._people: list[str] = []
        self._of: dict[str, list[int]] = {}
        self._known: set[tuple[str, str]] = set()
        self._gone: list[int] = []
        self._slack = self._longest = 0.0
        self._mapped: Scan | None = None
        self._end = 0  # of the journal, in bytes

    @classmethod
    def create(cls, path: str | os.PathLike, model: str, kind: Kind = "float32") -> "StoredGallery":
        """Create an empty gallery; its dimension and scale follow from the first embeddings.

        Raises:
            ValueError: the folder holds something, or an unknown kind.
        """
        path = Path(path)
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r}; choose float32 or int8")
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f"{path} exists; name a new folder, or add to the gallery in it")
        path.mkdir(parents=True, exist_ok=True)
        write_header(path, {"model": model, "kind": kind, "dim": 0, "generation": 0, "steps": []})
        return cls(path)

    def __len__(self) -> int:
        return len(self._names) - len(self._gone)

    def counts(self) -> dict[str, int]:
        """Return the number of photos of each person, in the order of enrollment."""
        return {person: len(rows) for person, rows in self._of.items()}

    def holds(self, person: str, name: str) -> bool:
        """Return whether a photo of a person is enrolled."""
        return (person, name) in self._known

    def add(self, people: Sequence[str], names: Sequence[str], vectors: np.ndarray) -> int:
        """Enroll photos -> how many; those with a person and name that are there do not change.

        Args:
            people: M names, the person on each photo.
            names: M names of the photos.
            vectors: (M, D), finite and not zero.

        Raises:
            ValueError: numbers or lengths that do not fit.
        """
        vectors = checked_vectors(people, names, vectors, self.dim)
        fresh, seen = [], set()
        for i, key in enumerate(zip(people, names)):
            if key not in self._known and key not in seen:
                seen.add(key)
                fresh.append(i)
        if fresh:
            entries = [[people[i], names[i]] for i in fresh]
            self._commit({"add": entries}, vectors[fresh])
        return len(fresh)

    def remove(self, person: str) -> int:
        """Remove a person's photos -> how many; their embeddings leave the files when these are compacted."""
        count = len(self._of.get(person, ()))
        if count:
            self._commit({"remove": [person]}, None)
        return count

    def update(self, person: str, names: Sequence[str], vectors: np.ndarray) -> None:
        """Replace a person's photos by others, in one change."""
        vectors = checked_vectors([person] * len(names), names, vectors, self.dim)
        self._commit({"remove": [person], "add": [[person, name] for name in names]}, vectors)

    def search(self, probes: np.ndarray, count: int = 10) -> list[list[Match]]:
        """Find the photos with the best cosines for each of the probes (P, D), best first.

        Raises:
            ValueError: no one is enrolled, or probes of another length.
        """
        if not len(self):
            raise ValueError(f"{self.path.name} has no one in it; add a person first")
        probes = checked_vectors(None, None, probes, self.dim)
        rows, scores = search(self._scan(), probes, count)
        return [
            [Match(self._people[r], self._names[r], float(s)) for r, s in zip(*one)]
            for one in zip(rows.tolist(), scores)
        ]

    def compact(self) -> None:
        """Write new files without removed photos, with a scale measured on all that remain."""
        kept, new = np.delete(np.arange(len(self._names)), self._gone), copy.copy(self)
        new._begin(self.generation + 1)
        for file in new._files():
            file.unlink(missing_ok=True)
        if len(kept):
            read = self._scan().rows
            new.steps = np.max([calibrate(read(part)) for part in _parts(kept)], 0)
            for part in _parts(kept):
                new._write({"add": [[self._people[i], self._names[i]] for i in part.tolist()]}, read(part))
        new._write_own_header()  # from here on the new files are the gallery
        for file in self._files():
            file.unlink(missing_ok=True)
        vars(self).update(vars(new))

    def _scan(self) -> Scan:
        """Map the files, once after each change."""
        if self._mapped is None:
            codes = mapped(self._file("codes"), np.int8, len(self._names), self.dim)
            gone = None
            if self._gone:
                gone = np.zeros(len(self._names), bool)
                gone[self._gone] = True
            if self._exact:
                rows = mapped(self._file("rows"), np.float32, len(self._names), self.dim)
                read, slack = rows.__getitem__, self._slack
            else:
                read, slack = partial(_decoded, codes, self.steps), 0.0
            self._mapped = Scan(codes, self.steps, slack, self._longest, read, gone)
        return self._mapped

    @property
    def _exact(self) -> bool:
        return self.kind == "float32"

    def _file(self, name: str) -> Path:
        return self.path / f"{name}-{self.generation}"

    def _files(self) -> list[Path]:
        return [self._file(name) for name in ("codes", "rows", "journal")]

    def _commit(self, change: dict[str, object], vectors: np.ndarray | None) -> None:
        """Apply a change after those of other processes."""
        with locked(self.path):
            if read_header(self.path)["generation"] != self.generation:
                raise ValueError(f"{self.path.name} was compacted by another process; open it again")
            self._replay()
            self._write(change, vectors)

    def _write(self, change: dict[str, object], vectors: np.ndarray | None) -> None:
        """Append embeddings, then the line that makes them count."""
        if vectors is not None:
            if not self.dim:
                self.dim, self.steps = vectors.shape[1], calibrate(vectors)
                self._write_own_header()
            codes = encode(vectors, self.steps)
            change |= dict(zip(("slack", "longest"), bounds(vectors, codes, self.steps)))
            append(self._file("codes"), len(self._names) * self.dim, codes)
            if self._exact:
                append(self._file("rows"), len(self._names) * self.dim * 4, vectors)
        line = json.dumps(change).encode()
        append(self._file("journal"), self._end, b"%08x %s\n" % (zlib.crc32(line), line))
        self._end += len(line) + 10
        self._apply(change)

    def _apply(self, change: dict[str, object]) -> None:
        self._mapped = None
        for person in change.get("remove", ()):
            rows = self._of.pop(person, [])
            self._gone += rows
            self._known -= {(person, self._names[row]) for row in rows}
        for person, name in change.get("add", ()):
            self._of.setdefault(person, []).append(len(self._names))
            self._known.add((person, name))
            self._people.append(person)
            self._names.append(name)
        self._slack = max(self._slack, float(change.get("slack", 0.0)))
        self._longest = max(self._longest, float(change.get("longest", 0.0)))

    def _replay(self) -> None:
        """Read what was added to the journal, up to the first line that is not whole."""
        journal = self._file("journal")
        if not journal.is_file():
            return
        with open(journal, "rb") as file:
            file.seek(self._end)
            for text in file:
                try:
                    check, line = int(text[:8], 16), text[9:-1]
                    if text[-1:] != b"\n" or zlib.crc32(line) != check:
                        break
                    self._apply(json.loads(line))
                except (ValueError, TypeError, KeyError, RecursionError):
                    break
                self._end += len(text)
        for name, size in (("codes", 1), ("rows", 4))[: 2 if self._exact else 1]:
            needed = len(self._names) * self.dim * size
            if needed and (not self._file(name).is_file() or self._file(name).stat().st_size < needed):
                raise ValueError(f"{self.path.name} has lost embeddings ({name}); build it again")

    def _write_own_header(self) -> None:
        steps = np.asarray(self.steps, np.float32).tolist()
        values = {"model": self.model, "kind": self.kind, "dim": self.dim}
        write_header(self.path, values | {"generation": self.generation, "steps": steps})


def _decoded(codes: np.ndarray, steps: np.ndarray, chosen: np.ndarray | slice) -> np.ndarray:
    """Return what codes (N, D) mean, (M, D) float32, for row numbers (M,) or a slice."""
    return np.multiply(codes[chosen], steps, dtype=np.float32)


def _parts(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]
