"""Clothes, hat, glasses, mask and background of a rendered person.

All of it is nuisance and drawn independently of identity. Glasses lie on a plane in front of the eyes, the
hat is a slightly enlarged shell of the hair, the mask is painted on the face, and the body is two ellipsoids
that stay upright while the head turns. Simplified: one cut of garment, one kind of hat.
"""

import torch
from torch import Tensor

from facelab.data.parametric import exact
from facelab.data.parametric.field import (
    apply,
    edge,
    ellipsoid,
    line,
    plane,
    ripple,
    rotation,
    slopes,
    smooth_max,
)
from facelab.data.parametric.hair import shell
from facelab.data.parametric.head import eye_x, nose_tip
from facelab.data.parametric.paint import Palette, darken, hue, lay, swatch
from facelab.data.parametric.shot import Shot, Surface, Values, faces_of, pick, placed, to_head

CLOTH = "c9dde3"


def garment_color(values: Values) -> Tensor:
    """Return the (B, 3) color of clothes and hat; glasses have a dark shade of it."""
    return hue(values["garment_hue"], 0.2 + 0.5 * values["garment_tone"], 0.24)


def backdrop(shot: Shot) -> Tensor:
    """Return the (B, 3, H, W) background: one color, lighter behind the head."""
    base = hue(shot.values["background_hue"], 0.32 + 0.55 * shot.values["background_tone"], 0.1)
    u, v = shot.u - 0.3, shot.v + 0.3
    glow = (u * u * (-1 / 6.5) + 1.15 - v * v * (1 / 6.5)).clamp_(min=0.45)
    return base.float()[:, :, None, None] * glow[:, None]


def wear_garment(shot: Shot, colors: Palette, face: Surface, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
    """Draw neck and shoulders in a band of rows: color (B, 3, h, W), normal and cover.

    The neck follows the head; the shadow of the head falls on it.
    """
    turn, u, v = shot.frame.turn, shot.u, shot.v[:, rows]
    still = torch.zeros_like(turn)
    upright = rotation(0.25 * torch.deg2rad(shot.values["yaw"]), still, turn)
    joint = torch.tensor([[[0.0, 0.75, -0.25]]], dtype=torch.float64, device=turn.device).expand(
        len(turn), 1, 3
    )
    shift = (apply(shot.pose, joint) - apply(upright, joint))[:, 0].float()[..., None, None]
    u, v = u - shift[:, 0], v - shift[:, 1]
    neck = 0.33 + 0.05 * shot.values["jaw_width"]
    neck, torso = placed(
        upright, [(0.0, 1.15, -0.22), (0.0, 2.42, -0.2)], [(neck, 1.5, 0.40), (1.6, 1.08, 0.85)], [0.0, 0.0]
    )
    (depth, inside), (far, wide) = ellipsoid(u, v, neck), ellipsoid(u, v, torso)
    depth, inside = smooth_max(depth, far, 0.5), smooth_max(inside.mul_(neck[-1]), wide.mul_(torso[-1]), 0.36)
    sin, cos = map(plane, exact.sin_cos(turn))
    x, y = u * cos + v * sin, v * cos - u * sin
    collar = y - 1.3 - (x / 0.6).square_().neg_().add_(1.0).clamp_(min=0.0).mul_(0.22)
    picture = colors.skin.float()[:, :, None, None].expand(-1, 3, *y.shape[1:]).clone()
    cloth = garment_color(shot.values)
    lay(picture, cloth, edge(collar, shot.pixel))
    lay(picture, cloth * 0.6, edge(0.03 - (collar - 0.06).abs_(), shot.pixel + 0.02).mul_(0.35))
    shadow = (face.inside[:, rows] * (1 / 0.55)).add_(1.0).clamp_(0.0, 1.0)
    darken(picture, shadow, (0.62, 0.7, 0.72))
    return picture, slopes(depth, shot.pixel), edge(inside, shot.pixel)


def wear_hat(shot: Shot) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Draw knitted hats, where hat is above 0.5: rows, color (b, 3, H, W), normal, cover; or None."""
    rows, part = pick(shot, shot.values["hat"] > 0.5)
    if part is None:
        return None
    depth, inside = shell(part, 0.05)
    x, y, z = to_head(part.pose, part.u, part.v, depth)
    brim = (0.6 - z).clamp_(min=0.0).mul_(0.42).sub_(0.47)
    cuff = edge(y - brim + 0.26, 0.03)
    inside.add_(cuff * 0.02)
    cover = edge(torch.minimum(brim.sub_(y), inside), part.pixel)
    knit = ripple((x / (y + 2.2)).mul_(26.0)).mul_(0.22).add_(0.78).mul_(1.0 - cuff * 0.16)
    color = garment_color(part.values).float()[:, :, None, None]
    return rows, color * knit[:, None], slopes(depth, part.pixel), cover


def wear_glasses(shot: Shot, picture: Tensor, face: Surface) -> None:
    """Draw frames on a plane in front of the eyes and arms along the temples, in place, where glasses are
    above 0.5.
    """
    rows, part = pick(shot, shot.values["glasses"] > 0.5)
    if part is None:
        return
    face, look, pixel, pose = faces_of(face, rows), part.look, part.pixel, part.pose
    toward = pose[:, 2, 2]
    depth = (
        plane(0.79 / toward) - part.u * plane(pose[:, 0, 2] / toward) - part.v * plane(pose[:, 1, 2] / toward)
    )
    x, y, _ = to_head(pose, part.u, part.v, depth)
    side, eye = x.abs(), eye_x(look)
    a, b = (side - (eye + 0.015)).abs_(), (y - 0.03).abs_()
    circle = exact.sqrt_((a / 0.235).square_() + (b / 0.205).square_())
    box = smooth_max(a / 0.24, b / 0.165, 0.5).sub_(0.06)
    lens = circle.add_((box - circle).mul_(look["glasses_shape"])).neg_().add_(1.0).mul_(0.2)
    rim = edge(0.022 - lens.abs(), pixel)
    bridge = edge(torch.minimum(0.02 - (y + 0.03 - side * 0.15).abs_(), -lens), pixel).mul_(side < eye)
    arm = torch.minimum(0.02 - (face.y + 0.03).abs_(), face.x.abs().sub_(eye + 0.25))
    arm = edge(arm, pixel).mul_(face.z < 0.72).mul_(edge(face.inside, pixel))
    glass = edge(lens, pixel)
    worn = picture.index_select(0, rows)
    worn.mul_((1.0 - glass * 0.06)[:, None])
    glint = line((x * 0.8 + y).abs_().sub_(0.22), 0.04).mul_(glass).mul_(0.1)
    worn.add_(glint[:, None])
    lay(worn, garment_color(part.values) * 0.35, torch.maximum(torch.maximum(rim, bridge), arm))
    picture.index_copy_(0, rows, worn)


def wear_mask(shot: Shot, picture: Tensor, face: Surface) -> None:
    """Draw a cloth mask over nose and mouth with straps to the ears, in place, where face_mask is above
    0.5.
    """
    rows, part = pick(shot, shot.values["face_mask"] > 0.5)
    if part is None:
        return
    face, look = faces_of(face, rows), part.look
    side, y = face.x.abs(), face.y
    tip, low = nose_tip(look), 1.0 * look["face_length"]
    cloth = torch.minimum(y - (tip - 0.17) - side * side * 0.75, low - side * 0.35 - y)
    cloth = torch.minimum(cloth, 0.54 * look["head_width"] - side)
    upper, lower = y - tip + (side - 0.5) * 0.5 + 0.02, y - low + (side - 0.5) * 1.6 + 0.2
    strap = torch.minimum(0.014 - torch.minimum(upper.abs_(), lower.abs_()), side - 0.5)
    masked = picture.index_select(0, rows)
    lay(masked, swatch(CLOTH), edge(torch.maximum(cloth, strap), part.pixel))
    darken(masked, edge(cloth, part.pixel).mul_(ripple(y * 6.0)), (0.12, 0.12, 0.12))
    picture.index_copy_(0, rows, masked)
