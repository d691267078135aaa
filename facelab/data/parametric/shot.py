"""Faces before a camera: parameters by name, pose of the head, and visible pixels.

A shot holds the input of drawing. Parts of it (some faces, some rows of the picture) can be selected, so that
a beard or a hat costs nothing on faces without one. Head coordinates are in decimeters, x to the image's
right, y down, z toward the viewer, with the origin between the eyes on the axis of the head.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from facelab.data.parametric.field import Frame, apply, plane, quadrics, rotation, times
from facelab.data.parametric.table import IDENTITY, NUISANCE

_COLUMN = {name: column for column, name in enumerate((*IDENTITY, *NUISANCE))}


@dataclass(frozen=True)
class Values:
    """Parameters by name: (B,) float64 to compute with, or (B, 1, 1) float32 to combine with planes."""

    numbers: Tensor  # (B, P), or (B, P, 1, 1): identity and nuisance side by side

    def __getitem__(self, name: str) -> Tensor:
        return self.numbers[:, _COLUMN[name]]


@dataclass(frozen=True)
class Shot:
    """Faces before a camera: parameters, pose of the head, and the view coordinates of every pixel."""

    frame: Frame
    pose: Tensor  # (B, 3, 3) float64, from head axes to the view
    u: Tensor  # (B, 1, W) dm
    v: Tensor  # (B, H, 1) dm
    pixel: Tensor  # (B, 1, 1) width of a pixel in dm
    values: Values  # (B,) float64
    look: Values  # the same as (B, 1, 1) float32


@dataclass(frozen=True)
class Surface:
    """A solid that the camera sees, as planes in dm: depth, distance inside its outline, head coordinates."""

    depth: Tensor
    inside: Tensor
    x: Tensor
    y: Tensor
    z: Tensor


def planes(values: Values) -> Values:
    """Return (B,) float64 parameters as (B, 1, 1) float32."""
    return Values(values.numbers.float()[:, :, None, None])


def take_shot(values: Values, frame: Frame) -> Shot:
    """Compute the view of each face from its parameters."""
    pose = head_pose(values, frame.turn)
    return Shot(frame, pose, *frame.grid(), plane(1.0 / frame.pixels_per_dm), values, planes(values))


def pick(shot: Shot, chosen: Tensor) -> tuple[Tensor, Shot | None]:
    """Return row numbers where chosen (B,) is true, and a shot of these faces alone (None if there are
    none).
    """
    rows = chosen.nonzero()[:, 0]
    if len(rows) == 0:
        return rows, None
    frame, values = shot.frame, Values(shot.values.numbers[rows])
    part = Frame(frame.turn[rows], frame.pixels_per_dm[rows], frame.origin[rows], frame.size)
    return rows, Shot(
        part, shot.pose[rows], *(t[rows] for t in (shot.u, shot.v, shot.pixel)), values, planes(values)
    )


def faces_of(surface: Surface, rows: Tensor) -> Surface:
    """Return the surface of some faces."""
    return Surface(
        *(getattr(surface, name).index_select(0, rows) for name in ("depth", "inside", "x", "y", "z"))
    )


Window = tuple[slice, slice]  # rows and columns of the picture


def window_of(surface: Surface, part: Window) -> Surface:
    """Return the surface in a window of the picture."""
    rows, columns = part
    return Surface(*(getattr(surface, name)[:, rows, columns] for name in ("depth", "inside", "x", "y", "z")))


def window(shot: Shot, x: tuple, y: tuple, z: tuple) -> Window:
    """Return the window of the picture that can show a box of the head, over all faces of the shot.

    The box is given as (low, high) along each axis, in dm.
    """
    box = torch.tensor([[(a, b, c) for a in x for b in y for c in z]], dtype=torch.float64)
    view = apply(shot.pose, box.to(shot.pose.device).expand(len(shot.pose), -1, -1))[..., :2]
    view = view * shot.frame.pixels_per_dm[:, None, None] + shot.frame.origin[:, None]
    (left, top), (right, bottom) = view.amin((0, 1)).tolist(), view.amax((0, 1)).tolist()
    return _span(top, bottom, shot.frame.size), _span(left, right, shot.frame.size)


def _span(first: float, last: float, size: int) -> slice:
    """Return the pixels from first to last and two more on either side, at least one."""
    low = min(max(math.floor(first) - 2, 0), size - 1)
    return slice(low, min(max(math.ceil(last) + 3, low + 1), size))


def head_pose(values: Values, turn: Tensor) -> Tensor:
    """Return (B, 3, 3) from head axes to the view, with the camera's in-plane rotation (B,) added to the
    roll.
    """
    yaw, pitch, roll = (torch.deg2rad(values[name]) for name in ("yaw", "pitch", "roll"))
    return rotation(yaw, pitch, roll + turn)


def to_head(pose: Tensor, u: Tensor, v: Tensor, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute head coordinates x, y, z of view points: the transpose of the pose applied to (u, v, depth)."""
    turned = pose.float()[..., None, None]
    return tuple(
        (depth * turned[:, 2, k]).add_(u * turned[:, 0, k]).add_(v * turned[:, 1, k]) for k in range(3)
    )


def _stacked(numbers: list[tuple], like: Tensor) -> Tensor:
    """Return (B, S, 3) float64 from S triples of numbers and (B,) tensors."""
    columns = [n if isinstance(n, Tensor) else torch.full_like(like, n) for triple in numbers for n in triple]
    return torch.stack(columns, dim=1).reshape(len(like), len(numbers), 3)


def placed(pose: Tensor, centers: list[tuple], radii: list[tuple], leans: list[float]) -> Tensor:
    """Return `quadrics` of ellipsoids given in axes that the pose (B, 3, 3) rotates to the view."""
    like = pose[:, 0, 0]
    axes = times(pose[:, None], _tilts(tuple(leans)).to(pose.device)[None])
    return quadrics(axes, apply(pose, _stacked(centers, like)), _stacked(radii, like))


@cache
def _tilts(leans: tuple[float, ...]) -> Tensor:
    """Return (S, 3, 3) float64 rotations about the x axis by angles in radians."""
    nod = torch.tensor(leans, dtype=torch.float64)
    return rotation(torch.zeros_like(nod), nod, torch.zeros_like(nod))
