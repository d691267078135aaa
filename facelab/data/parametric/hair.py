"""Hair: a shell around the skull, cut off along a hairline, and a curtain that hangs behind the face.

Shell, curtain and bun are ellipsoids, so they turn with the head and occlude what is behind them; the
hairline is a curve in head coordinates on the shell. Simplified: gravity has no effect on hair, and strands
are a texture that fans out from the parting.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from facelab.data.parametric import exact
from facelab.data.parametric.field import bump, edge, ellipsoid, ripple, rise, slopes, smooth_max
from facelab.data.parametric.paint import Palette
from facelab.data.parametric.shot import Shot, Surface, Values, pick, placed, to_head

FAR = 9.0  # dm: pushed this far back, a solid is out of the picture


@dataclass(frozen=True)
class Hair:
    """Hold the hair's color before lighting, and its position, as planes (B, H, W)."""

    picture: Tensor  # (B, 3, H, W)
    normal: Tensor  # (B, 3, H, W)
    behind: Tensor  # cover where nothing stands before it
    front: Tensor  # cover before the head
    shadow: Tensor  # on the head, along the hairline


def thickness(values: Values) -> Tensor:
    """Return the thickness of the hair above the skull, in dm."""
    return (0.035 + 0.19 * values["hair_volume"]) * (0.3 + 0.7 * rise(values["hair_length"], 0.1, 0.45))


def shell(shot: Shot, gap: float) -> tuple[Tensor, Tensor]:
    """Compute the depth of the skull enlarged by the hair and a gap in dm, and the distance inside its
    outline.
    """
    values = shot.values
    thick = thickness(values) + gap
    center = (0.0, -0.20 - 0.25 * thick, -0.1)
    radii = (0.72 * values["head_width"] + thick, 0.96 * values["forehead"] + thick, 0.87 + 0.6 * thick)
    return _alone(shot, center, radii)


def _alone(shot: Shot, center: tuple, radii: tuple) -> tuple[Tensor, Tensor]:
    """Compute the depth of one ellipsoid and the distance inside its outline."""
    quadric = placed(shot.pose, [center], [radii], [0.0])[0]
    depth, inside = ellipsoid(shot.u, shot.v, quadric)
    return depth, inside.mul_(quadric[-1])


def _add(
    shot: Shot, chosen: Tensor, solid: tuple[tuple, tuple], blend: float, hull: tuple[Tensor, Tensor]
) -> None:
    """Blend an ellipsoid (center, radii) into the hull's depth and inside, in place, for the chosen faces."""
    rows, part = pick(shot, chosen)
    if part is None:
        return
    center, radii = (tuple(n[rows] if isinstance(n, Tensor) else n for n in triple) for triple in solid)
    for plane, new in zip(hull, _alone(part, center, radii), strict=True):
        plane.index_copy_(0, rows, smooth_max(plane.index_select(0, rows), new, blend))


def _curtain(values: Values) -> tuple[tuple, tuple]:
    """Return long hair as (center, radii)."""
    bottom, top = 0.55 + 1.4 * rise(values["hair_length"], 0.5, 1.0), -0.75
    wide = 0.73 * values["head_width"] + 0.75 * thickness(values) + 0.1
    return (0.0, 0.5 * (bottom + top), -0.12), (wide, 0.5 * (bottom - top), 0.66)


def _bun(values: Values) -> tuple[tuple, tuple]:
    """Return a bun on top of the head as (center, radii)."""
    size = 0.1 + 0.2 * rise(values["hair_bun"], 0.65, 0.9)
    return (0.0, -1.16 * values["forehead"] - 0.9 * thickness(values) - 0.05, -0.2), (size, size, size)


def _hairline(look: Values, x: Tensor, z: Tensor) -> Tensor:
    """Return the lowest y of the hair shell at head coordinates x and z: brow, temples, sideburns and
    nape.
    """
    fringe = rise(look["hair_fringe"], 0.45, 0.9) * rise(look["hair_length"], 0.15, 0.3)
    thin = rise(look["hair_recession"], 0.72, 1.0)
    front = -0.61 * look["forehead"] - look["hairline"] + 0.33 * fringe - 0.5 * thin
    temple = 0.17 * look["hair_recession"] * (1.0 - fringe)
    brow = bump(x.abs(), z, (0.5, 0.5), (0.5, 0.8)).mul_(-temple).add_(front)
    brow.add_(x * (0.28 * look["hair_parting"] * (0.3 + fringe)))
    back = rise(z, -0.55, -0.2).mul_(-0.4).add_(0.52)
    sides = (0.66 - z).mul_(1 / 0.42).clamp_(0.0, 1.0)
    return brow.add_((back - brow).mul_(sides.mul_(sides)))


def _strands(look: Values, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Compute the texture of hair in [0, 1] at head coordinates, which fans out from the parting, and its
    curls.
    """
    across = x - (0.3 - y).clamp_(0.0, 1.0).mul_(0.3 * look["hair_parting"])
    fan = across / (across.abs() + (z + 0.3).abs_() + 0.05)
    fan.add_(ripple(y * 1.7 + fan).mul_(0.06 * rise(look["hair_curl"], 0.25, 0.7)))
    straight = ripple(fan * 11.0).mul_(0.4).add_(ripple(fan * 29.0 + 0.3).mul_(0.35)).add_(0.12)
    rows = (look["hair_curl"][:, 0, 0] > 0.6).nonzero()[:, 0]
    x, y, z, old = (p.index_select(0, rows) for p in (x, y, z, straight))
    warp = ripple(y * 2.1 + z * 1.3)
    curls = ripple((x * 4.3).add_(warp * 0.6).add_(z * 2.0)).mul_(
        ripple((y * 4.1).add_(x * 1.9).add_(warp.mul_(0.4)))
    )
    curls.sub_(old).mul_(rise(look["hair_curl"][rows], 0.6, 0.95)).add_(old)
    return straight.index_copy_(0, rows, curls)


def grow_hair(shot: Shot, colors: Palette, face: Surface) -> Hair:
    """Compute shape and color of the hair of each head; covers are 0 everywhere on a bald one."""
    values, look, pixel = shot.values, shot.look, shot.pixel
    hanging = values["hair_length"] >= 0.5
    bunned = (values["hair_bun"] > 0.65) & (values["hair_length"] > 0.3) & (values["hat"] <= 0.5)
    hull = shell(shot, 0.0)
    _add(shot, hanging, _curtain(values), 0.12, hull)
    _add(shot, bunned, _bun(values), 0.03, hull)
    depth, inside = hull
    x, y, z = to_head(shot.pose, shot.u, shot.v, depth)
    strands = _strands(look, x, y, z)
    ragged = strands.sub(0.5)
    rough = 0.006 + 0.06 * rise(look["hair_curl"], 0.4, 1.0) * rise(look["hair_length"], 0.15, 0.4)
    present = rise(look["hair_length"], 0.06, 0.1)
    short = FAR * (look["hair_length"] < 0.5)
    parted = (y - 0.3).square_().mul_(-0.1).add_(x.abs()).sub_(0.50 * look["head_width"] + short)
    kept = torch.maximum(_hairline(look, x, z).sub_(y), torch.minimum(parted, 0.5 - z))
    shadow = (kept * (1 / 0.22)).add_(1.0).clamp_(0.0, 1.0).mul_(present)
    kept.add_(ragged * (rough * 0.6 + 0.03))
    shape = edge(inside.add_(ragged.mul_(rough)), pixel).mul_(present)
    soft = pixel + 0.02 + 0.05 * (1.0 - rise(look["hair_length"], 0.1, 0.4))
    front = edge(kept, soft).mul_(edge(depth - face.depth, 0.03)).mul_(shape)
    behind = shape.mul_(edge((0.3 + FAR - short) - y, 0.1))
    normal = slopes(depth, pixel)
    return Hair(_colored(look, colors, strands, normal[:, 1]), normal, behind, front, shadow.mul_(shadow))


def _colored(look: Values, colors: Palette, strands: Tensor, down: Tensor) -> Tensor:
    """Return the (B, 3, H, W) color of the strands, with the sheen across them where the normal points up."""
    band = (down + 0.42).mul_(1 / 0.36).square_().neg_().add_(1.0).clamp_(min=0.0)
    sheen = band.mul_(band).mul_(strands).mul_(0.09 - 0.05 * rise(look["hair_curl"], 0.5, 1.0))
    color = colors.hair.float()[:, :, None, None]
    shine = exact.sqrt(color) * 0.7 + 0.3
    return (color * strands.mul(0.75).add_(0.5)[:, None]).add_(sheen[:, None] * shine)
