"""Embedders, which map faces to embeddings with a similarity: the project's checkpoints, or dlib's network.

`load` finds one by name, path or as `reference`; it includes the operating points measured for it, which turn
a score into a decision. Loaded embedders stay in memory, because a page uses the same ones repeatedly.
"""

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facelab.metrics.operating import OperatingPoints
from facelab.metrics.similarity import ScoreMatrix, cosine_matrix, distance_matrix
from facelab.metrics.verification import Score, cosine
from facelab.models import checkpoint
from facelab.models.device import CPU
from facelab.models.layers import fold_norms
from facelab.models.model import embed
from facelab.models.names import nearest
from facelab.models.zoo import CHECKPOINTS, DEFAULT_MODEL, checkpoint_names, find_checkpoint, folders
from facelab.photos.faces import CROP_SIZE, Face, Photo
from facelab.recognition import onnx_embedder, reference, visit

CROPS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Embedder:
    """Function from faces to embeddings, with its score and operating points.

    Attributes:
        name: argument of `load`.
        embed: (photo, its faces) -> (N, D) float32.
        score: function of paired rows (N, D), (N, D) -> (N,) similarities.
        similarity: name of the score.
        points: operating points, or None if it is not calibrated.
        crops_suffice: whether the photo is not looked at, so that faces of several can be embedded at once.
        remedy: what to do about missing operating points.
    """

    name: str
    embed: Callable[[Photo, list[Face]], np.ndarray]
    score: Score
    similarity: str
    points: OperatingPoints | None
    crops_suffice: bool = False
    remedy: str = "measure them with `python -m facelab calibrate`"

    def calibrated(self) -> OperatingPoints:
        """Return the operating points.

        Raises:
            ValueError: there are none.
        """
        if self.points is None:
            raise ValueError(f"{self.name} has no thresholds yet; {self.remedy}")
        return self.points


def model_names() -> list[str]:
    """Return every name that `load` accepts: the project's checkpoints, then the reference if it is
    installed, then the models of this visit.
    """
    ours = checkpoint_names() + ([reference.NAME] if reference.is_installed() else [])
    return [*ours, *visit.models()]


def listed(name: str) -> str:
    """Return a model's name if a visitor, who must not name files, may use it.

    Raises:
        ValueError: not one of `model_names`, for example a path; the message lists them.
    """
    if name not in model_names():
        raise ValueError(f"there is no model {str(name)[:60]!r}: {nearest(str(name)[:60], model_names())}")
    return name


def load(name: str = DEFAULT_MODEL, flip: bool = True, device: torch.device = CPU) -> Embedder:
    """Load an embedder by a checkpoint's name or path, an ONNX file's path, `reference`, or a model of this
    visit by its name.

    Args:
        name: which one.
        flip: add the embedding of the mirrored crop, for our checkpoints; thresholds were measured so.
        device: where our checkpoints compute; the reference has the CPU only.

    Raises:
        ValueError: unknown name, damaged file, or the reference is not installed.
    """
    if name in visit.models():
        return visit.models()[name].embedder
    if name == reference.NAME:
        return _load_reference()
    if str(name).lower().endswith(".onnx") and Path(name).is_file():
        return _load_onnx(name, Path(name).stat().st_mtime_ns, flip)
    path = find_checkpoint(name)
    keep = path.parent in folders()  # a file from elsewhere goes when its caller does
    return (_kept if keep else _load_checkpoint)(name, path, path.stat().st_mtime_ns, flip, device)


def _load_checkpoint(name: str, path: Path, modified: int, flip: bool, device: torch.device) -> Embedder:
    model, _, header = checkpoint.load(path)
    model.to(device, memory_format=torch.channels_last).eval()
    fold_norms(model)

    def embed_faces(photo: Photo, faces: list[Face]) -> np.ndarray:
        return embed(model, np.stack([face.crop for face in faces]), flip)

    return Embedder(name, embed_faces, cosine, "cosine similarity", header.operating_points, True)


_kept = functools.lru_cache(maxsize=40)(_load_checkpoint)


@functools.lru_cache(maxsize=1)  # a session takes long to make, and every photo asks for it
def _load_onnx(name: str, modified: int, flip: bool) -> Embedder:
    embed_faces = onnx_embedder.open_onnx(name, flip).embed_faces
    return Embedder(name, embed_faces, cosine, "cosine similarity", None, True)


@functools.cache
def _load_reference() -> Embedder:
    if not reference.is_installed():
        raise ValueError(reference.MISSING)
    path = reference_points_path()
    points = (
        OperatingPoints.from_dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
    )
    return Embedder(reference.NAME, reference.embed_faces, reference.score, "1 - Euclidean distance", points)


def reference_points_path() -> Path:
    """Return the file of the reference's operating points; its weights come from a package."""
    return CHECKPOINTS / f"{reference.NAME}.json"


def as_face(crop: np.ndarray) -> Face:
    """Return an aligned 112x112 crop as the face of a photo that consists of the crop."""
    if crop.shape != (CROP_SIZE, CROP_SIZE, 3):
        height, width = crop.shape[:2]
        raise ValueError(
            f"{width}x{height} is not an aligned {CROP_SIZE}x{CROP_SIZE} crop; leave --aligned out"
        )
    box = np.array([18, 10, 94, 108], np.float32)  # where MTCNN's box falls on a crop, on average
    return Face(box, np.zeros((5, 2), np.float32), 1.0, crop)


def embed_crops(
    embedder: Embedder, crops: Sequence[np.ndarray], track: Callable[[range], Iterable[int]] = iter
) -> np.ndarray:
    """Embed aligned (112, 112, 3) uint8 crops whose photos are not kept -> (N, D) float32.

    Args:
        embedder: one for which crops do not suffice is given each crop as a photo of its own.
        crops: at least one.
        track: draws progress over the batches' starts.
    """
    size = CROPS_AT_ONCE if embedder.crops_suffice else 1
    parts = []
    for start in track(range(0, len(crops), size)):
        batch = crops[start : start + size]
        parts.append(embedder.embed(Photo(batch[0], 1.0), [as_face(crop) for crop in batch]))
    return np.concatenate(parts)


MATRICES: dict[Score, ScoreMatrix] = {cosine: cosine_matrix, reference.score: distance_matrix}
