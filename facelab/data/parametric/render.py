"""From a shot to a picture: layers from back to front, one light for all of them, then the camera.

Layers have color and surface normal; they are composed first and lit once, so that the cost of lighting does
not depend on accessories. The light is a key light with a soft, warm terminator (wrapped Lambert, an
approximation of scattering in skin), a sky-and-ground ambient, and a broad highlight. Simplified: shadows are
painted at their usual positions.
"""

import torch
from torch import Tensor

from facelab.data.parametric import exact
from facelab.data.parametric.camera import expose
from facelab.data.parametric.dress import backdrop, wear_garment, wear_glasses, wear_hat, wear_mask
from facelab.data.parametric.field import edge, slopes
from facelab.data.parametric.hair import grow_hair
from facelab.data.parametric.head import head_of
from facelab.data.parametric.paint import darken, paint_face, palette
from facelab.data.parametric.shot import Shot, Values, window

Scene = tuple[Tensor, Tensor, Tensor]  # color (B, 3, H, W), normal (B, 3, H, W), gloss (B, H, W)

GLOSS = 0.16  # of fair skin; deep skin shines twice as much, hair and cloth a quarter
_HAIR_SHADOW = (0.38, 0.45, 0.48)
_WRAP = ((0.5, 0.12), (0.36, 0.0), (0.28, -0.16))  # per channel: how far light bends round, and its warmth


def draw(shot: Shot) -> Tensor:
    """Draw the (B, 3, H, W) float32 sRGB picture in [0, 1]."""
    colors = palette(shot.values)
    face = head_of(shot)
    hair = grow_hair(shot, colors, face)
    skin = paint_face(shot, colors, face)
    wear_mask(shot, skin, face)
    darken(skin, hair.shadow, _HAIR_SHADOW)
    wear_glasses(shot, skin, face)
    scene = (hair.picture * 0.55, hair.normal.clone(), torch.full_like(hair.front, 0.25 * GLOSS))
    cover = hair.behind
    rows = slice(window(shot, (-0.8, 0.8), (0.2, 0.6), (0.0, 1.05))[0].start, shot.frame.size)
    body, normal, new = wear_garment(shot, colors, face, rows)
    _over(tuple(part[..., rows, :] for part in scene), (body, normal, 0.25 * GLOSS), new)
    _hide(cover[:, rows], new)
    new = edge(face.inside, shot.pixel)
    _over(scene, (skin, slopes(face.depth, shot.pixel), GLOSS * (1.0 + shot.look["skin_tone"])), new)
    _hide(cover, new)
    _over(scene, (hair.picture, hair.normal, 0.25 * GLOSS), hair.front)
    _hide(cover, hair.front)
    _put_on_hat(shot, scene, cover)
    picture = backdrop(shot)
    picture.mul_((1.0 - cover)[:, None]).add_(_lit(shot, scene).mul_(cover[:, None]))
    picture.mul_(shot.look["exposure"][:, None]).clamp_(0.0, 1.0)
    return expose(shot, exact.sqrt_(picture))


def _over(below: Scene, layer: tuple[Tensor, Tensor, Tensor | float], cover: Tensor) -> None:
    """Blend color, normal and gloss over a scene, in place, in proportion to cover (B, H, W)."""
    picture, normal, gloss = layer
    clear = 1.0 - cover
    below[0].mul_(clear[:, None]).add_(picture.mul_(cover[:, None]))
    below[1].mul_(clear[:, None]).add_(normal.mul_(cover[:, None]))
    below[2].mul_(clear).add_(cover * gloss)


def _hide(cover: Tensor, new: Tensor) -> None:
    """Add a layer's cover to the cover of all layers, in place."""
    cover.add_((1.0 - cover).mul_(new))


def _put_on_hat(shot: Shot, scene: Scene, cover: Tensor) -> None:
    """Draw hats over everything else, in place, on the heads that wear one."""
    worn = wear_hat(shot)
    if worn is None:
        return
    rows, picture, normal, new = worn
    below, covered = tuple(part.index_select(0, rows) for part in scene), cover.index_select(0, rows)
    _over(below, (picture, normal, 0.0), new)
    _hide(covered, new)
    for whole, part in zip((*scene, cover), (*below, covered), strict=True):
        whole.index_copy_(0, rows, part)


def _light(values: Values, turn: Tensor) -> Tensor:
    """Return the (B, 3, 1, 1) direction of the key light, which is fixed when the camera turns."""
    azimuth, elevation = (torch.deg2rad(values[name]) for name in ("light_azimuth", "light_elevation"))
    (across, ahead), (up, level) = exact.sin_cos(azimuth), exact.sin_cos(elevation)
    x, y, z = across * level, -up, ahead * level
    sin, cos = exact.sin_cos(turn)
    return torch.stack([cos * x - sin * y, sin * x + cos * y, z], dim=1)


def _facing(normal: Tensor, direction: Tensor) -> Tensor:
    """Compute the cosine between normals (B, 3, H, W) and a direction (B, 3)."""
    along = direction.float()[..., None, None]
    return (normal[:, 0] * along[:, 0]).add_(normal[:, 1] * along[:, 1]).add_(normal[:, 2] * along[:, 2])


def _lit(shot: Shot, scene: Scene) -> Tensor:
    """Return the (B, 3, H, W) linear light that a scene sends to the camera; the scene's colors are
    overwritten.
    """
    picture, normal, gloss = scene
    key, warmth = shot.look["light_strength"], shot.look["light_warmth"]
    light = _light(shot.values, shot.frame.turn)
    facing = _facing(normal, light)
    ambient = (normal[:, 1] * -0.08).add_(normal[:, 2] * 0.12).add_(0.84).mul_(1.0 - 0.75 * key)
    for channel, (wrap, tint) in enumerate(_WRAP):
        strength = 1.4 / (1.0 + wrap) * key * (1.0 + tint * (warmth + 0.3))
        picture[:, channel].mul_(facing.add(wrap).clamp_(min=0.0).mul_(strength).add_(ambient))
    half = light + torch.tensor([0.0, 0.0, 1.0], dtype=light.dtype, device=light.device)
    half = half / exact.sqrt(half[:, :1] ** 2 + half[:, 1:2] ** 2 + half[:, 2:] ** 2).clamp(min=1e-3)
    shine = _facing(normal, half).clamp_(min=0.0)
    for _ in range(4):
        shine.mul_(shine)
    return picture.add_(shine.mul_(gloss).mul_(key)[:, None])
