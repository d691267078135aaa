"""Atomic writing of files.

A file is written under a temporary name next to its target and renamed when complete, so that a killed
program or a full disk leaves the old file unchanged. A run over many files reports which were written, which
existed and which failed.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_NAME = 255  # bytes, of one file or folder
ILLEGAL = re.compile(r'[<>:"|?*\\\x00-\x1f]')  # on Windows and on many sticks and cards
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Written:
    """Report a run over many files.

    Attributes:
        written: new files.
        kept: files that existed before.
        failures: (name, reason) of each that could not be written.
        notes: one sentence on each thing omitted or renamed.
    """

    written: int
    kept: int
    failures: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def may_be_running(process: int) -> bool:
    """Return whether a process of this machine exists; True if the system has no harmless way to check."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)  # signal 0 asks and does nothing
    except (ProcessLookupError, OverflowError):  # no number is that large
        return False
    except OSError:  # it is another user's
        return True
    return True


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` if the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    short = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]  # the whole name may fill its 255 bytes
    part = path.with_name(f".{short}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def safe_name(name: str) -> str:
    """Return a relative name that is valid on any system: characters that are not become `_`."""
    parts = []
    for part in PurePosixPath(name).parts:
        part = ILLEGAL.sub("_", part)
        part = re.sub(r"[. ]+$", "_", part) if part.strip(". ") else part
        parts.append(f"_{part}" if RESERVED.match(part) else part)
    return "/".join(parts)


def shortened(name: str) -> str:
    """Return a relative name with no part too long for a file system; a hash replaces the middle of a long
    part.
    """
    return "/".join(map(_short, PurePosixPath(name).parts))


def _short(part: str) -> str:
    whole = os.fsencode(part)
    if len(whole) <= MAX_NAME:
        return part
    stem, suffix = os.path.splitext(part)
    suffix = suffix if len(suffix) <= 10 else ""
    room = MAX_NAME - len(suffix.encode()) - 18
    start = os.fsencode(stem)[:room].decode("utf-8", "ignore")
    return f"{start}~{hashlib.sha256(whole).hexdigest()[:16]}{suffix}"
