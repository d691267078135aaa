"""Feed files to the readers in this process, and write a line of JSON on each: what it said, time, memory.

Run as `python -m tests.hostile.feed`, with "reader<TAB>path" lines on stdin, in a folder of its own. A file
that takes a minute ends the process with a traceback of where it hangs.
"""

import contextlib
import ctypes
import faulthandler
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facelab.data.embeddings import load_embeddings
from facelab.data.formats.opened import open_labeled
from facelab.data.pairs import read_pairs, read_people, read_unlabeled_pairs
from facelab.data.unpack import unpack
from facelab.models import checkpoint
from facelab.models.recipes import find_recipe
from facelab.photos.read import read_photo
from facelab.recognition.gallery import load_gallery, photos_in_zip

TYPED = {"recipe"}  # read by commands alone, which name a file as it was typed
HANGS = 60.0  # seconds of one file, on a machine however busy


def photo(path: Path) -> None:
    """Read it from disk, and as content."""
    for source in (path, path.read_bytes()):
        pixels = read_photo(source).pixels
        assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size


def archive(path: Path) -> None:
    """Unpack it: every file must lie below the folder."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "a" / "b"
        unpack(path, out)
        below = {found for found in Path(place).rglob("*") if found.is_file()}
        assert all(found.is_relative_to(out) and not found.is_symlink() for found in below), below


def enrolled(path: Path) -> None:
    """Read its photos as the Identify tab does."""
    for _, _, read in photos_in_zip(path)[0][:20]:
        read()


def data_set(path: Path) -> None:
    """Stream all of it."""
    for _ in open_labeled(path).read():
        pass


def vectors(path: Path) -> None:
    """Read names and embeddings, which must have a direction."""
    found = load_embeddings(path)[1]
    norms = np.linalg.norm(found.astype(np.float64), axis=1)
    assert np.isfinite(norms).all() and (norms > 0).all()


def gallery(path: Path) -> None:
    """Read it as the Identify tab does."""
    load_gallery(path, "strong")


def weights(path: Path) -> None:
    """Rebuild the network."""
    checkpoint.load(path)


def recipe(path: Path) -> None:
    """Read a recipe by the name of its file."""
    find_recipe(str(path))


READERS: dict[str, tuple[Callable[[Path], object], ...]] = {
    "photo": (photo,),
    "archive": (archive, enrolled, data_set),
    "gallery": (vectors, gallery),
    "checkpoint": (weights,),
    "list": (read_pairs, read_unlabeled_pairs, read_people, data_set),
    "recipe": (recipe,),
    "format": (data_set,),
}


def memory(key: str) -> float:
    """Return VmRSS or VmHWM of this process in MB; 0 where there is no /proc."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0.0
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(key))) / 1024


def settled() -> float:
    """Return the memory in use once what can go back to the system has gone."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    return memory("VmRSS")


def fed(reader: Callable[[Path], object], path: Path, idle: float) -> dict[str, object]:
    """Return what one reader did with one file; its peak is above `idle`, in MB."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    faulthandler.dump_traceback_later(HANGS, exit=True)
    began, said, kind = time.process_time(), "", "accepted"
    try:
        reader(path)
    except ValueError as error:
        said, kind = str(error), "refused" if type(error) in REFUSALS or _own(error) else "crashed"
    except BaseException as error:
        said, kind = f"{type(error).__name__}: {error}", "crashed"
    seconds = time.process_time() - began
    faulthandler.cancel_dump_traceback_later()
    said = said[:5000]
    leaks = str(path.parent) in said and path.parent.name not in TYPED
    sentence = bool(said.strip()) and "\n" not in said and not leaks and len(said) < 1000
    if kind == "refused" and not sentence:
        kind = "no sentence"
    return {
        "reader": reader.__name__, "file": f"{path.parent.name}/{path.name}", "kind": kind,
        "said": said[:300],
        "seconds": round(seconds, 3), "peak": round(memory("VmHWM") - idle, 1),
    }  # fmt: skip


REFUSALS = {ValueError}


def _own(error: ValueError) -> bool:
    """Return whether a kind of ValueError is the project's own and no library's (UnicodeDecodeError)."""
    return type(error).__module__.startswith("facelab.")


def main() -> None:
    """Feed what stdin names."""
    gc.collect()
    gc.freeze()  # or looking through all of torch would take longer than the readers do
    idle = settled()
    for line in sys.stdin.read().splitlines():
        group, path = line.split("\t")
        if not path:  # a mark: how much memory is in use now
            idle = settled()
            print(json.dumps({"idle": round(idle, 1)}), flush=True)
        for reader in READERS[group] if path else ():
            print(json.dumps(fed(reader, Path(path), idle)), flush=True)


if __name__ == "__main__":
    main()
