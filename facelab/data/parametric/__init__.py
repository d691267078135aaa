"""Parametric faces: synthetic faces rendered by code, with known identity and nuisance parameters.

A face is a row of identity (the person) and a row of nuisance (pose, light, expression, accessories, camera
effects). `render` draws it, and `landmarks` returns the positions of eyes, nose and mouth. If one nuisance
parameter changes and identity is fixed, any change of a score is due to the model. Simplified: these are
illustrations, and results on them do not indicate accuracy on people; always report figures on real photos
next to them.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from facelab.data.folders import CropSet, Track, untracked
from facelab.data.parametric import exact
from facelab.data.parametric.head import Frame, aligned_frame, portrait_frame, project
from facelab.data.parametric.render import draw
from facelab.data.parametric.shot import Values, take_shot
from facelab.data.parametric.table import (
    IDENTITY,
    NUISANCE,
    Parameter,
    bounds,
    check,
    normals,
    typical,
    with_values,
)
from facelab.photos.faces import CROP_SIZE

__all__ = [
    "IDENTITY",
    "NUISANCE",
    "Parameter",
    "ParametricFaces",
    "crop_landmarks",
    "crops",
    "landmarks",
    "relative",
    "render",
    "sample_identities",
    "sample_nuisances",
    "typical",
    "with_values",
]

SIZES = (64, 512)
CROP = 112
DEFAULT_DIFFICULTY = 0.5
BATCH = 8  # faces drawn at once: few enough that their planes stay in the processor's cache
_NUISANCE_SEED = 0x51F15EED


def sample_identities(n: int, seed: int) -> Tensor:
    """Draw n identities: (n, K) float32, one column per parameter of IDENTITY.

    Row i depends on seed and i alone, so a larger draw starts with the smaller one.
    """
    return _identities(torch.arange(n), seed)


def sample_nuisances(n: int, seed: int, difficulty: float = DEFAULT_DIFFICULTY) -> Tensor:
    """Draw n photographic conditions, independently of identity.

    Args:
        n: number of rows.
        seed: any integer; row i depends on seed and i alone.
        difficulty: 0 is the frontal, neutral, evenly lit portrait; 0.5 is the default; 1 is the hardest.

    Returns:
        (n, K) float32, one column per parameter of NUISANCE.

    Raises:
        ValueError: difficulty is outside [0, 1].
    """
    return _nuisances(torch.arange(n), seed, difficulty)


def relative(identity: Tensor, distance: float, seed: int) -> Tensor:
    """Move each identity toward another one: twins near 0, siblings around 0.4, an unrelated person at 1.

    In the normal scores z of the draw, the relative is cos(a) z + sin(a) other, a = distance * π / 2, which
    preserves the distribution of identities.

    Args:
        identity: (B, K) identities.
        distance: in [0, 1]; 0 returns the same people.
        seed: selects the other identities; row i depends on seed and i alone.

    Returns:
        (B, K) float32.

    Raises:
        ValueError: identity or distance is out of range.
    """
    identity = check(identity, IDENTITY)
    _check_unit("distance", distance)
    low, high, middle, spread = bounds(IDENTITY)
    share = ((identity.cpu().double() - low) / (high - low)).clamp(1e-4, 1.0 - 1e-4)
    offset = exact.logit((middle - low) / (high - low))
    scores = (exact.logit(share) - offset) / spread
    stranger = normals(torch.arange(len(identity)), len(IDENTITY), seed)
    angle = torch.tensor(distance * torch.pi / 2.0, dtype=torch.float64)
    sin, cos = exact.sin_cos(angle)
    mixture = cos * scores + sin * stranger
    change = (exact.sigmoid(offset + spread * mixture) - share) * (high - low)
    change = change * (distance > 0.0)
    moved = identity.cpu().double() + change
    return _inside(moved, low, high).to(identity.device)


def render(identity: Tensor, nuisance: Tensor, size: int) -> Tensor:
    """Draw portraits, with the margin around the head that a detector needs.

    Args:
        identity: (B, K) identities, as from sample_identities.
        nuisance: (B, M) conditions, as from sample_nuisances.
        size: side of the picture in pixels, 64 to 512.

    Returns:
        (B, 3, size, size) float32 RGB in [0, 1], in steps of 1/255.

    Raises:
        ValueError: a parameter or the size is out of range, or the two have different lengths.
    """
    values = _values(identity, nuisance)
    _check_size(size)
    return _drawn(values, portrait_frame(values, size)).float() / 255.0


def landmarks(identity: Tensor, nuisance: Tensor, size: int) -> Tensor:
    """Return eyes, nose tip and mouth corners in the picture of `render`, in image order: left before right.

    Returns:
        (B, 5, 2) float32 pixel coordinates x, y; the center of the first pixel is (0, 0).
    """
    values = _values(identity, nuisance)
    _check_size(size)
    return project(values, portrait_frame(values, size))


def crops(identity: Tensor, nuisance: Tensor) -> Tensor:
    """Draw faces aligned to the ArcFace 112 template: (B, 112, 112, 3) uint8 RGB.

    Roll is removed and a share of shift and scale remains, as after a real detector.
    """
    values = _values(identity, nuisance)
    return _drawn(values, aligned_frame(values, CROP)).permute(0, 2, 3, 1).contiguous()


def crop_landmarks(identity: Tensor, nuisance: Tensor) -> Tensor:
    """Return (B, 5, 2) float32 pixel coordinates of the five landmarks in the picture of `crops`."""
    values = _values(identity, nuisance)
    return project(values, aligned_frame(values, CROP))


class ParametricFaces(Dataset):
    """Rendered faces as a dataset: item i is (crop (112, 112, 3) uint8, label), drawn on access.

    Faces of one identity are consecutive: item i shows identity i // per_identity. Nothing is stored, so
    memory does not grow with the number of faces. Conditions are drawn independently of identity.

    Args:
        identities: number of identities, one or more.
        per_identity: number of faces of each, one or more.
        seed: any integer.
        difficulty: deviation of the conditions from the neutral portrait, in [0, 1].
        first: number of the first identity; identities 0..199 and 200..249 of one seed are disjoint.

    Raises:
        ValueError: a count or the difficulty is out of range.
    """

    def __init__(
        self,
        identities: int,
        per_identity: int,
        seed: int,
        difficulty: float = DEFAULT_DIFFICULTY,
        first: int = 0,
    ) -> None:
        for name, count, least in (
            ("identities", identities, 1),
            ("per_identity", per_identity, 1),
            ("first", first, 0),
        ):
            if count < least:
                raise ValueError(f"{name} is {count}; legal values are {least} or more")
        _check_unit("difficulty", difficulty)
        self.identities, self.per_identity = identities, per_identity
        self.seed, self.difficulty, self.first = seed, difficulty, first

    def __len__(self) -> int:
        return self.identities * self.per_identity

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is outside the {len(self)} faces")
        images, labels = self.rows(torch.tensor([index % len(self)]))
        return images[0], int(labels[0])

    @property
    def targets(self) -> Tensor:
        """Return (len(self),) int64 labels in order, without drawing a face."""
        return torch.arange(self.identities).repeat_interleave(self.per_identity)

    def parameters(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return identity (B, K) and nuisance (B, M) of the faces at (B,) int64 indices."""
        person = indices // self.per_identity + self.first
        face = person * self.per_identity + indices % self.per_identity
        conditions = _nuisances(face, self.seed ^ _NUISANCE_SEED, self.difficulty)
        return _identities(person, self.seed), conditions

    def rows(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Draw the faces at (B,) int64 indices: crops (B, 112, 112, 3) uint8 and labels (B,) int64."""
        return crops(*self.parameters(indices)), indices // self.per_identity

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Draw all faces in order, batch_size at a time: crops (B, 112, 112, 3) uint8 and labels (B,)."""
        for indices in torch.arange(len(self)).split(batch_size):
            yield self.rows(indices)

    def crop_set(self, track: Track = untracked) -> CropSet:
        """Draw all faces into memory, 38 kB each, in the form that `train` takes; identities are named by
        number.
        """
        pixels = np.empty((len(self), CROP_SIZE, CROP_SIZE, 3), np.uint8)
        drawn = (crop for batch, _ in self.batches(BATCH) for crop in batch)
        for i, crop in enumerate(track(drawn, len(self), "draw")):
            pixels[i] = crop
        people = range(self.first, self.first + self.identities)
        names = tuple(f"{person}/{i}" for person in people for i in range(self.per_identity))
        return CropSet(pixels, self.targets.numpy(), tuple(f"rendered/{person}" for person in people), names)


def _identities(rows: Tensor, seed: int) -> Tensor:
    """Return identities at the given row numbers."""
    low, high, middle, spread = bounds(IDENTITY)
    offset = exact.logit((middle - low) / (high - low))
    share = exact.sigmoid(offset + spread * normals(rows, len(IDENTITY), seed))
    return _inside(low + (high - low) * share, low, high)


def _nuisances(rows: Tensor, seed: int, difficulty: float) -> Tensor:
    """Return conditions at the given row numbers; values outside a range are reflected into it."""
    _check_unit("difficulty", difficulty)
    low, high, middle, spread = bounds(NUISANCE)
    value = middle + 2.0 * difficulty * spread * normals(rows, len(NUISANCE), seed)
    width = high - low
    fold = (value - low) - 2.0 * width * ((value - low) / (2.0 * width)).floor()
    return _inside(low + torch.minimum(fold, 2.0 * width - fold), low, high)


def _inside(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return float32 rows that rounding has not moved out of their ranges."""
    return torch.minimum(torch.maximum(values.float(), low.float()), high.float())


def _values(identity: Tensor, nuisance: Tensor) -> Values:
    """Return checked parameters, side by side."""
    identity, nuisance = check(identity, IDENTITY), check(nuisance, NUISANCE)
    if len(identity) != len(nuisance):
        raise ValueError(
            f"{len(identity)} identities and {len(nuisance)} nuisances; give one of each per face"
        )
    return Values(torch.cat([identity, nuisance], dim=1).double())


def _drawn(values: Values, frame: Frame) -> Tensor:
    """Return (B, 3, H, W) uint8 pictures, drawn a few at a time."""
    total, size = len(frame.turn), frame.size
    pictures = torch.empty(total, 3, size, size, dtype=torch.uint8, device=frame.turn.device)
    for start in range(0, total, BATCH):
        few = slice(start, start + BATCH)
        view = Frame(frame.turn[few], frame.pixels_per_dm[few], frame.origin[few], frame.size)
        pictures[few] = draw(take_shot(Values(values.numbers[few]), view)).mul_(255.0).add_(0.5).floor_()
    return pictures


def _check_unit(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}; legal values are 0 to 1")


def _check_size(size: int) -> None:
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(f"size is {size}; legal values are {SIZES[0]} to {SIZES[1]}")
