"""Files that are written whole or not at all.

Everything that takes a while to write is written beside its target and renamed when it is done, so that a
killed program or a full disk leaves the old file as it was. A run over many files is summed up by what it
wrote, what was there and what failed.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Written:
    """How a run over many files ended.

    Attributes:
        written: files that are new.
        kept: files that were there before.
        failures: (name, reason) of each that could not be written.
    """

    written: int
    kept: int
    failures: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to in place of `path`, which it replaces if the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
