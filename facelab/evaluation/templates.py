"""Embedding of the images of a template protocol such as IJB-B and IJB-C; `template_scores` judges them."""

from functools import partial

import numpy as np
import torch

from facelab.data.images import ImageFolder, Track, untracked
from facelab.data.matching import resolve
from facelab.data.templates import read_templates
from facelab.evaluation.crop_stream import embed_stream
from facelab.evaluation.photo_pool import embed_images
from facelab.evaluation.template_scores import judge_templates
from facelab.models.device import CPU
from facelab.photos.faces import Photo, align, read_photo
from facelab.recognition.embedder import Embedder, load

HALF = 0.5  # from a pixel's corner to its center: what is scaled is the distance from the photo's corner


def evaluate_templates(
    model: str, images: str, protocol: str, aligned: bool = False, jobs: int = 1, track: Track = untracked,
    flip: bool = True, device: torch.device = CPU,
) -> dict[str, object]:  # fmt: skip
    """Embed the images of a protocol and judge its templates -> `judge_templates`.

    Faces are cut by the protocol's landmarks where it gives them, and looked for where it does not.

    Args:
        model: a checkpoint's name or path, or `reference`, which needs whole photos.
        images: folder or zip of the images that the lists name.
        protocol: folder with the lists.
        aligned: the images are aligned 112x112 crops.
        jobs: processes, where faces are looked for.
        track: draws progress.
        flip: add the embedding of the mirrored crop.
        device: where our checkpoints embed, in batches.

    Raises:
        ValueError: bad input, or no image that could be embedded.
    """
    lists, folder = read_templates(protocol), ImageFolder(images)
    names = resolve(lists.names, folder.names)
    if aligned or lists.landmarks is None:
        found, failures = embed_images(
            model, folder, sorted(set(names)), aligned, None, jobs, track, flip, device
        )
        vectors = [found.get(name) for name in names]
    else:
        vectors, failures = _by_landmarks(load(model, flip, device), folder, names, lists.landmarks, track)
    known = next((vector for vector in vectors if vector is not None), None)
    if known is None:
        name, reason = next(iter(failures.items()))
        raise ValueError(f"no image could be embedded; {name}: {reason}")
    missing = np.full(len(known), np.nan, np.float32)
    stacked = np.stack([missing if vector is None else vector for vector in vectors])
    return judge_templates(stacked, lists, track) | {"failures": failures}


def _by_landmarks(
    embedder: Embedder, folder: ImageFolder, names: list[str], landmarks: np.ndarray, track: Track
) -> tuple[list[np.ndarray | None], dict[str, str]]:
    """Return the embedding of each row of a list, or None, and why there is none by image."""

    def read(row: int) -> tuple[Photo, np.ndarray]:
        photo = read_photo(folder.read(names[row]))
        return photo, align(photo.pixels, (landmarks[row] + HALF) / photo.scale - HALF)

    rows = track(range(len(names)), len(names), f"embed with {embedder.name}")
    vectors, failures = embed_stream(embedder, ((row, partial(read, row)) for row in rows))
    found = [vectors.get(row) for row in range(len(names))]
    return found, {names[row]: why for row, why in failures.items()}
