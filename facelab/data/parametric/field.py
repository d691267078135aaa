"""Arithmetic on planes of pixels from which a rendered face is built: edges, bumps and ellipsoids.

A plane is (B, H, W) float32, one number per pixel; one number per face is (B, 1, 1). Only + - * / sqrt,
comparisons and integers are used on planes: IEEE defines their rounding, so a face has the same pixels in any
batch, with any thread count, on any machine. The camera is orthographic (a very long lens), so the depth of
an ellipsoid is closed-form.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from facelab.data.parametric import exact
from facelab.data.parametric.table import mix

ROUND = 0.16  # rounds the outline of an ellipsoid, where its depth would fall off vertically
_NEAR_HEIGHT = math.sqrt(1.0 + ROUND * ROUND) - ROUND


@dataclass(frozen=True)
class Frame:
    """Describe the camera: in-plane rotation (B,), pixels per dm (B,), pixel of the head's origin (B, 2)."""

    turn: Tensor
    pixels_per_dm: Tensor
    origin: Tensor
    size: int

    def grid(self) -> tuple[Tensor, Tensor]:
        """Return view coordinates of the pixel centers in dm: u (B, 1, W) to the right and v (B, H, 1)
        down.
        """
        steps = torch.arange(self.size, dtype=torch.float64, device=self.turn.device)
        u = (steps - self.origin[:, :1]) / self.pixels_per_dm[:, None]
        v = (steps - self.origin[:, 1:]) / self.pixels_per_dm[:, None]
        return u.float()[:, None, :], v.float()[:, :, None]


def plane(value: Tensor) -> Tensor:
    """Return (B,) numbers, any dtype, as (B, 1, 1) float32: one number per face, ready to combine with
    planes.
    """
    return value.float()[:, None, None]


def edge(distance: Tensor, width: Tensor | float) -> Tensor:
    """Compute coverage in [0, 1] from the signed distance to an outline, positive inside: a ramp of width."""
    return distance.div(width).add_(0.5).clamp_(0.0, 1.0)


def line(offset: Tensor, half_width: Tensor | float) -> Tensor:
    """Compute a soft stroke: 1 on the curve where offset is 0, falling to 0 at half_width on either side."""
    return (1.0 - offset.abs_().div_(half_width)).clamp_(min=0.0)


def rise(value: Tensor, low: float, high: float) -> Tensor:
    """Compute a ramp from 0 at low to 1 at high, flat outside."""
    return ((value - low) / (high - low)).clamp(0.0, 1.0)


def bump(x: Tensor, y: Tensor, center: tuple, radii: tuple) -> Tensor:
    """Compute a round hill of height 1 that reaches 0, with slope 0, at the ellipse of the given radii."""
    a = (x - center[0]).mul_(1.0 / radii[0])
    b = (y - center[1]).mul_(1.0 / radii[1])
    hill = (1.0 - a.mul_(a)).sub_(b.mul_(b)).clamp_(min=0.0)
    return hill.mul_(hill)


def smooth_max(a: Tensor, b: Tensor, blend: float) -> Tensor:
    """Compute a maximum whose crease is rounded over a width of blend; its curvature is continuous
    (cubic).
    """
    overlap = (a - b).abs_().neg_().add_(blend).clamp_(min=0.0)
    return torch.maximum(a, b).add_((overlap * overlap).mul_(overlap).mul_(1.0 / (6.0 * blend * blend)))


def ripple(phase: Tensor) -> Tensor:
    """Compute a smooth wave of period 1 between 0 and 1: a polynomial in place of (1 - cos 2πx) / 2."""
    t = phase - phase.floor()
    t.mul_(1.0 - t)
    return t.mul_(t).mul_(16.0)


def speckle(column: Tensor, row: Tensor, key: Tensor) -> Tensor:
    """Hash integer cells to numbers in [0, 1): (…) int64 columns and rows and per-face keys."""
    cells = (column & 0xFFFF) + (row & 0xFFFF) * 0x10000
    return mix(cells ^ key, 7).float() / 2.0**32


def rotation(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Return matrices (…, 3, 3) float64 that nod, then turn, then tilt; radians, axes right, down, near."""
    sin, cos = exact.sin_cos(torch.stack([yaw, pitch, roll]).double())
    (sy, sp, sr), (cy, cp, cr) = sin, cos
    x = torch.stack([cr * cy, -cr * sy * sp - sr * cp, cr * sy * cp - sr * sp], dim=-1)
    y = torch.stack([sr * cy, -sr * sy * sp + cr * cp, sr * sy * cp + cr * sp], dim=-1)
    z = torch.stack([-sy, -cy * sp, cy * cp], dim=-1)
    return torch.stack([x, y, z], dim=-2)


def times(a: Tensor, b: Tensor) -> Tensor:
    """Multiply matrices (…, I, 3) and (…, 3, J), summed in a fixed order: the batch size changes no bit."""
    parts = a[..., None] * b[..., None, :, :]
    return parts[..., 0, :] + parts[..., 1, :] + parts[..., 2, :]


def apply(matrix: Tensor, points: Tensor) -> Tensor:
    """Rotate points (B, N, 3) by matrices (B, 3, 3)."""
    return times(points, matrix.transpose(1, 2))


def quadrics(axes: Tensor, centers: Tensor, radii: Tensor) -> Tensor:
    """Return the coefficients that `ellipsoid` needs for S ellipsoids per face.

    Args:
        axes: (B, S, 3, 3) float64, from the ellipsoid's axes to the view.
        centers: (B, S, 3) float64 in the view, in dm.
        radii: (B, S, 3) float64 semi-axes in dm.

    Returns:
        (S, 10, B, 1, 1) float32 coefficients.
    """
    scaled = axes / radii[:, :, None]
    form = times(scaled, scaled.transpose(2, 3))
    near = form[..., 2, 2]
    lean_u, lean_v = form[..., 0, 2] / near, form[..., 1, 2] / near
    uu = form[..., 0, 0] - form[..., 0, 2] * lean_u
    uv = form[..., 0, 1] - form[..., 0, 2] * lean_v
    vv = form[..., 1, 1] - form[..., 1, 2] * lean_v
    u, v, depth = centers.unbind(2)
    height = 1.0 / (exact.sqrt(near) * _NEAR_HEIGHT)
    flat = depth + lean_u * u + lean_v * v - ROUND * height
    reach = 0.5 / exact.sqrt(exact.sqrt((uu * vv).clamp(min=1e-12)))
    rows = torch.stack([u, v, uu, -2.0 * uv, vv, height, flat, lean_u, lean_v, reach])
    return rows.permute(2, 0, 1).float()[..., None, None]


def ellipsoid(u: Tensor, v: Tensor, quadric: Tensor) -> tuple[Tensor, Tensor]:
    """Return the near side of one ellipsoid, continued smoothly beyond its outline.

    Args:
        u, v: view coordinates in dm that broadcast to planes.
        quadric: (10, B, 1, 1), one row of `quadrics`.

    Returns:
        depth plane toward the viewer in dm; and a plane that is positive inside the outline; multiplied by
        the last row of the quadric, it is the distance to the outline in dm.
    """
    center_u, center_v, uu, uv, vv, height, flat, lean_u, lean_v, _ = quadric.unbind(0)
    du, dv = u - center_u, v - center_v
    form = (dv * uv) * du
    form.add_(1.0 - du * du * uu).sub_(dv * dv * vv)
    depth = exact.sqrt_(form.clamp(min=0.0).add_(ROUND * ROUND))
    depth.add_(form.clamp(max=0.0).mul_(0.5 / ROUND)).mul_(height)
    return depth.add_(flat - lean_u * u).sub_(lean_v * v), form


def slopes(depth: Tensor, pixel: Tensor) -> Tensor:
    """Compute unit normals (B, 3, H, W) of a depth plane in dm, by central differences; pixel (B, 1, 1) in
    dm.
    """
    normal = depth.new_empty(len(depth), 3, *depth.shape[1:])
    x, y, z = normal.unbind(1)
    torch.sub(depth[:, :, :-2], depth[:, :, 2:], out=x[:, :, 1:-1])
    torch.sub(depth[:, :-2], depth[:, 2:], out=y[:, 1:-1])
    x[:, :, 0], x[:, :, -1], y[:, 0], y[:, -1] = x[:, :, 1], x[:, :, -2], y[:, 1], y[:, -2]
    half = 0.5 / pixel
    x.mul_(half)
    y.mul_(half)
    torch.mul(x, x, out=z)
    exact.sqrt_(z.add_(y * y).add_(1.0)).reciprocal_()
    x.mul_(z)
    y.mul_(z)
    return normal
