"""Detection, alignment and embedding of thousands of photos in parallel processes, resumable, with a list of
failures.

Each worker computes on one thread, because for a detector's small convolutions two threads per photo are
slower than two photos in parallel. Detections are stored by photo, so an interrupted run can continue and a
second model does not detect again.
"""

import functools
import io
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image

from facelab.data.cache import touch
from facelab.data.files import Written, replacing, safe_name
from facelab.data.images import LABELS, ImageFolder, Track, untracked
from facelab.evaluation import shards
from facelab.evaluation.crop_names import crop_files
from facelab.evaluation.crop_stream import BATCH, embed_batch
from facelab.models.device import CPU
from facelab.photos.faces import (
    DETECTION_SIDE,
    MIN_CONFIDENCE,
    MIN_FACE,
    NO_FACE,
    SURE_CONFIDENCE,
    Face,
    Photo,
    align,
    find_faces,
    main_face,
    read_photo,
)
from facelab.recognition import reference
from facelab.recognition.embedder import as_face, load

# Another detector's faces are not reused.
DETECTOR = f"mtcnn-turned-{DETECTION_SIDE}-{MIN_FACE}-{MIN_CONFIDENCE}-{SURE_CONFIDENCE}"
LASTING = ("", NO_FACE)  # what is kept of a photo; one that cannot be read may be mended, unseen from outside
FEW = 8  # photos for which starting processes takes longer than it saves


@dataclass(frozen=True)
class Found:
    """Worker's result for one photo: a face and optionally its crop or embedding, or an error."""

    name: str
    box: list[float] | None = None
    landmarks: list[list[float]] | None = None
    confidence: float = 0.0
    embedding: np.ndarray | None = None
    error: str = ""
    crop: np.ndarray | None = None


Place = tuple[str, str]  # a source's path and fingerprint, since a file may be replaced under its name


@functools.lru_cache(maxsize=4)
def _folder(place: Place) -> ImageFolder:
    return ImageFolder(place[0])


def _place(folder: ImageFolder) -> Place:
    return str(folder.path), folder.fingerprint()


def _one_thread() -> None:
    torch.set_num_threads(1)


def _parallel(task: Callable, items: Sequence, jobs: int) -> Iterator:
    """Map a function over processes, in order; in this process for few items or one job."""
    if jobs < 1:
        raise ValueError(f"--jobs is {jobs}; it must be 1 or more")
    if jobs == 1 or len(items) <= FEW:
        yield from map(task, items)
        return
    context = multiprocessing.get_context("spawn")  # forking a process that has run torch can deadlock
    try:
        with ProcessPoolExecutor(jobs, context, _one_thread) as pool:
            yield from pool.map(task, items, chunksize=4)
    except BrokenProcessPool as error:
        raise ValueError(
            "a worker process died, most likely because memory ran out; use fewer --jobs"
        ) from error


def _locate(place: Place, name: str, known: Found | None) -> tuple[np.ndarray, Found]:
    """Return (photo pixels, its main face), from stored detections or a new one."""
    photo = read_photo(_folder(place).read(name))
    if known is not None:
        if known.error:
            raise ValueError(known.error)
        return photo.pixels, known
    face = main_face(find_faces(photo), photo)
    return photo.pixels, Found(name, face.box.tolist(), face.landmarks.tolist(), face.confidence)


def _read_face(item: tuple[Place, str, str, bool, Found | None]) -> Found:
    """Cut the crop of one photo's main face; the reference, which looks at the photo, embeds it too."""
    place, name, model, aligned, known = item
    try:
        if aligned:
            photo = read_photo(_folder(place).read(name))
            face, found = as_face(photo.pixels), Found(name)
        else:
            pixels, found = _locate(place, name, known)
            photo, face = Photo(pixels, 1.0), _face(pixels, found)
    except (ValueError, OSError) as error:
        return Found(name, error=str(error))
    if model == reference.NAME:
        return replace(found, embedding=load(model).embed(photo, [face])[0])
    return replace(found, crop=face.crop)


def _face(pixels: np.ndarray, found: Found) -> Face:
    box, landmarks = np.array(found.box, np.float32), np.array(found.landmarks, np.float32)
    return Face(box, landmarks, found.confidence, align(pixels, landmarks))


def embed_images(
    model: str,
    folder: ImageFolder,
    names: Sequence[str],
    aligned: bool = False,
    cache: Path | None = None,
    jobs: int = 1,
    track: Track = untracked,
    flip: bool = True,
    device: torch.device = CPU,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Embed the main face of each named image.

    Args:
        model: argument of `load`.
        folder: the images.
        names: names of the images to embed.
        aligned: they are aligned 112x112 crops; nothing is detected.
        cache: folder of detected faces, kept between runs; None keeps nothing.
        jobs: number of processes.
        track: draws progress.
        flip: add the embedding of the mirrored crop; the reference never does.
        device: where our checkpoints embed, in batches; faces are found in the processes.

    Returns:
        ({name: (D,) embedding}, {name: why there is none}).
    """
    embedder = load(model, flip, device)  # a bad name fails here, once, and not in every worker
    file = None if cache is None or aligned else _found_file(cache, folder)
    known = _read_found(file)
    place = _place(folder)
    items = [(place, name, model, aligned, known.get(name)) for name in names]
    embeddings, failures, waiting = {}, {}, {}
    with _appending(file) as log:
        for found in track(_parallel(_read_face, items, jobs), len(items), f"embed with {model}"):
            if found.error:
                failures[found.name] = found.error
            elif found.embedding is not None:
                embeddings[found.name] = found.embedding
            else:
                waiting[found.name] = found.crop
            if found.name not in known and found.error in LASTING:
                log.write(
                    json.dumps([found.name, found.box, found.landmarks, found.confidence, found.error]) + "\n"
                )
            if len(waiting) == BATCH:
                embeddings |= embed_batch(embedder, waiting)
                waiting = {}
    return embeddings | embed_batch(embedder, waiting), failures


def _found_file(cache: Path, folder: ImageFolder) -> Path:
    return cache / f"faces-{folder.fingerprint()}-{DETECTOR}.jsonl"


def _measure_photo(
    item: tuple[Callable[[Face], np.ndarray], Place, str, Found | None],
) -> tuple[str, np.ndarray | None]:
    measure, place, name, known = item
    try:
        return name, measure(_face(*_locate(place, name, known)))
    except (ValueError, OSError):
        return name, None


def measure_faces(
    measure: Callable[[Face], np.ndarray],
    folder: ImageFolder,
    names: Sequence[str],
    cache: Path | None = None,
    jobs: int = 1,
    track: Track = untracked,
) -> dict[str, np.ndarray]:
    """Measure the main face of each named photo.

    Args:
        measure: a module-level function, which worker processes can import by its name.
        folder, names, jobs, track: as in `embed_images`.
        cache: folder of the faces detected by `embed_images`; they are not detected again.

    Returns:
        {name: measurement}, without photos that show no face.
    """
    known = _read_found(_found_file(cache, folder)) if cache else {}
    place = _place(folder)
    items = [(measure, place, name, known.get(name)) for name in names]
    done = track(_parallel(_measure_photo, items, jobs), len(items), "measure faces")
    return {name: measured for name, measured in done if measured is not None}


def _read_found(file: Path | None) -> dict[str, Found]:
    """Read the faces detected by earlier runs; an incomplete last line is dropped."""
    if file is None or not file.is_file():
        return {}
    found = {}
    touch(file)
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            name, box, landmarks, confidence, error = json.loads(line)
        except (ValueError, TypeError):
            continue
        if error not in LASTING:
            continue
        found[name] = Found(name, box, landmarks, confidence, None, error)
    return found


def _appending(file: Path | None) -> io.TextIOBase:
    if file is None:
        return io.StringIO()
    file.parent.mkdir(parents=True, exist_ok=True)
    torn = file.is_file() and not file.read_bytes().endswith(b"\n") and file.stat().st_size
    # Line by line, so that a kill costs one photo at most.
    log = file.open("a", buffering=1, encoding="utf-8")
    if torn:
        log.write("\n")
    return log


def _prepare_photo(item: tuple[Place, str, str]) -> tuple[str, str]:
    """Write one aligned crop -> (name, error or "")."""
    place, name, target = item
    try:
        pixels, found = _locate(place, name, None)
    except (ValueError, OSError) as error:
        return name, str(error)
    crop = align(pixels, np.array(found.landmarks, np.float32))
    with replacing(Path(target)) as part:
        Image.fromarray(crop).save(part, "JPEG", quality=95, subsampling=0)
    return name, ""


def prepare(
    source: str, out: str, jobs: int = 1, track: Track = untracked, shard: tuple[int, int] = (1, 1)
) -> Written:
    """Align the main face of every photo of a folder or zip into `out`, keeping the folder structure.

    Existing crops are kept, so an interrupted run can continue. Shard (i, n) takes every n-th photo.

    Raises:
        ValueError: no such source, no image in it, `out` is inside it, or shards that do not fit together.
    """
    folder = ImageFolder(source)
    if Path(out).resolve().is_relative_to(folder.path.resolve()):
        raise ValueError(f"{out} lies in {source}, so that crops would be taken for photos; choose another")
    targets = crop_files(folder.names, Path(out))
    place, mine = _place(folder), shards.share(folder.names, shard)
    if shard[1] > 1:
        shards.begin(Path(out), shard, folder.names)
    todo = [(place, name, str(targets[name])) for name in mine if not targets[name].exists()]
    failures = [
        (name, error)
        for name, error in track(_parallel(_prepare_photo, todo, jobs), len(todo), "align")
        if error
    ]
    for text in folder.texts if shard[0] == 1 else ():  # they say who is on the crops
        if PurePosixPath(text).name == LABELS:
            with replacing(Path(out) / safe_name(text)) as part:
                part.write_bytes(folder.read(text))
    counts = (len(todo) - len(failures), len(mine) - len(todo), tuple(failures))
    done = Written(*counts, notes=folder.notes)
    return shards.end(Path(out), shard, done) if shard[1] > 1 else done
