"""Painted parts of a rendered face: skin, eyes, brows, lips, beard and lines, as 2-D shapes on a solid.

Each shape is a signed distance in head coordinates (dm, seen from the front), so it turns with the head and
has a crisp edge one pixel wide at any size. Colors are linear light with a gamma of 2: swatches are squared,
and the final picture is the square root. Simplified: skin has one color plus tints, and hairs are a texture.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from facelab.data.parametric import exact
from facelab.data.parametric.field import bump, edge, line, ripple, rise, speckle
from facelab.data.parametric.head import eye_width, eye_x, lids, mouth_line, nose_tip
from facelab.data.parametric.shot import Shot, Surface, Values, faces_of, pick, window, window_of

SKIN = ("ecccb7", "e5bb9d", "d8a680", "bf895f", "a2704d", "845b43", "68473a")
IRIS = ("3a2417", "5d3a1e", "80602f", "64764a", "4a7a9c", "8fa3ad")
HAIR = ("1f1a1a", "35241c", "553723", "86592f", "b98a4e", "e0bf85")
COPPER, GRAY, LIPS_PALE, LIPS_ROSE = "a4491c", "b9b8ba", "c98473", "a8324a"
SKIN_BOX = ((-0.95, 0.95), (-0.75, 1.25), (-0.3, 1.05))
MOUTH_BOX = ((-0.42, 0.42), (0.42, 1.24), (0.0, 1.0))  # x, y, z: what is painted there ends inside
EYE_BOX = ((-0.7, 0.7), (-0.42, 0.26), (0.0, 0.95))
WHITE, TEETH, THROAT = "efe7df", "eee6da", "3a1417"


@dataclass(frozen=True)
class Palette:
    """Colors of each face, (B, 3) float64, linear light."""

    skin: Tensor
    hair: Tensor
    lips: Tensor
    iris: Tensor


def swatch(*colors: str) -> Tensor:
    """Return (N, 3) linear colors of hex codes such as 'e3b48d'."""
    codes = [[int(code[i : i + 2], 16) / 255.0 for i in (0, 2, 4)] for code in colors]
    return torch.tensor(codes, dtype=torch.float64) ** 2


def ramp(colors: tuple[str, ...], position: Tensor) -> Tensor:
    """Return (B, 3) colors at position (B,) in [0, 1] along evenly spaced stops."""
    stops = swatch(*colors).to(position.device)
    place = position.clamp(0.0, 1.0) * (len(stops) - 1)
    index = place.floor().long().clamp(max=len(stops) - 2)
    return mixed(stops[index], stops[index + 1], place - index)


def mixed(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Return (B, 3) colors a + share (b - a), share (B,)."""
    return a + share[:, None] * (b.to(a.device) - a)


def hue(position: Tensor, tone: Tensor, strength: float) -> Tensor:
    """Return (B, 3) colors from a position (B,) on the color circle, a tone (B,), and how far channels
    differ.
    """
    third = torch.arange(3, dtype=torch.float64, device=position.device) / 3.0
    wave = exact.sin_cos(2.0 * torch.pi * (position[:, None] - third))[1]
    return (tone[:, None] * (1.0 + strength * wave)).clamp(0.0, 1.0) ** 2


def palette(values: Values) -> Palette:
    """Mix the colors of each face from its parameters."""
    warm = torch.tensor([0.01, 0.02, -0.13], dtype=torch.float64, device=values["yaw"].device)
    skin = (ramp(SKIN, values["skin_tone"]) * (1.0 + values["skin_warmth"][:, None] * warm)).clamp(0.0, 1.0)
    hair = mixed(ramp(HAIR, values["hair_tone"]), swatch(COPPER), rise(values["hair_red"], 0.4, 1.0) * 0.85)
    hair = mixed(hair, swatch(GRAY), rise(values["hair_gray"], 0.45, 0.95) * 0.9)
    light = exact.sqrt((skin[:, 0] + skin[:, 1] + skin[:, 2]) / 3.0)[:, None]
    lips = skin * 0.26 + ramp((LIPS_PALE, LIPS_ROSE), values["lip_color"]) * (0.3 + 0.34 * light)
    return Palette(skin, hair, lips, ramp(IRIS, values["iris_color"]))


def lay(picture: Tensor, color: Tensor, cover: Tensor) -> None:
    """Cover picture (B, 3, H, W), in place, with a color (B, 3) or (1, 3), in proportion to cover (B, H,
    W).
    """
    color = color.to(picture)[:, :, None, None]
    picture.add_((color - picture).mul_(cover[:, None]))  # exactly the picture where cover is 0


def darken(picture: Tensor, cover: Tensor, tint: tuple[float, float, float]) -> None:
    """Multiply picture, in place, by 1 - tint * cover, channel by channel, to paint a stain."""
    for channel, amount in enumerate(tint):
        picture[:, channel].mul_((cover * -amount).add_(1.0))


def paint_face(shot: Shot, colors: Palette, face: Surface) -> Tensor:
    """Return the (B, 3, H, W) color of the head before lighting."""
    picture = colors.skin.float()[:, :, None, None].expand(-1, 3, *face.y.shape[1:]).clone()
    rows, columns = place = window(shot, *SKIN_BOX)
    part, area = window_of(face, place), picture[..., rows, columns]
    _tints(shot.look, area, part)
    _lines(shot.look, area, part)
    _freckles(shot, picture, face)
    rows, columns = place = window(shot, *MOUTH_BOX)
    _mouth(shot.look, colors, picture[..., rows, columns], window_of(face, place), shot.pixel)
    _beards(shot, colors, picture, face)
    rows, columns = place = window(shot, *EYE_BOX)
    part, area = window_of(face, place), picture[..., rows, columns]
    _eyes(shot.look, colors, area, part, shot.pixel)
    _brows(shot.look, colors, area, part, shot.pixel)
    return picture


def _tints(look: Values, picture: Tensor, face: Surface) -> None:
    """Paint blush, nostrils, the shade under nose and lip, and the inside of the ears, in place."""
    side, y, tip = face.x.abs(), face.y, nose_tip(look)
    under = bump(side, y, (0.0, tip + 0.10), (0.19 * look["nose_width"], 0.09))
    under.add_(bump(side, y, (0.0, mouth_line(look)[1] + 0.19), (0.22, 0.08)).mul_(0.7))
    darken(picture, under, (0.34, 0.4, 0.42))
    blush = bump(side, y, (0.42, 0.30), (0.30, 0.26))
    blush.add_(bump(side, y, (0.0, tip), (0.13, 0.14)).mul_(0.6))
    darken(picture, blush, (0.02, 0.14, 0.12))
    nostril = bump(side, y, (0.058 * look["nose_width"], tip + 0.058), (0.05 * look["nose_width"], 0.03))
    darken(picture, nostril.mul_(2.0).clamp_(max=1.0), (0.72, 0.82, 0.84))
    ear = bump(side, y, (0.725 * look["head_width"] + 0.012, 0.11), (0.05, 0.16 * look["ear_size"]))
    darken(picture, ear, (0.28, 0.42, 0.42))


def _lines(look: Values, picture: Tensor, face: Surface) -> None:
    """Paint creases, in place: from nose to mouth, under the eyes, and across the forehead."""
    side, y = face.x.abs(), face.y
    age, eye, tip = rise(look["age"], 0.3, 1.0), eye_x(look), nose_tip(look)
    half, mouth, _ = mouth_line(look)
    slope = (half - 0.04) / (mouth - tip)
    crease = line(side - (0.13 - slope * tip) - y * slope, 0.045)
    crease.mul_(
        ((y - 0.5 * (tip + mouth)) / (0.62 * (mouth - tip))).square_().neg_().add_(1.0).clamp_(min=0.0)
    )
    crease.mul_(0.10 + 0.55 * age + 0.3 * look["smile"].clamp(min=0.0))
    bag = line(((side - eye) / 0.2).square_().mul_(0.06).add_(y).sub_(0.155), 0.035)
    crease.add_(bag.mul_(bump(side, y, (eye, 0.16), (0.2, 0.2))).mul_(0.08 + 0.5 * age))
    forehead = bump(side, y, (0.0, -0.48), (0.5, 0.2)).mul_(ripple((side * side * 0.4 + y) / 0.1))
    crease.add_(forehead.mul_(0.45 * age + 0.15 * look["brow_raise"].clamp(min=0.0)))
    darken(picture, crease, (0.38, 0.5, 0.55))


def _freckles(shot: Shot, picture: Tensor, face: Surface) -> None:
    """Paint small round spots over nose and cheeks, in place, one at most in each cell of a grid."""
    rows = (shot.values["freckles"] > 0.6).nonzero()[:, 0]
    if len(rows) == 0:
        return
    spots, amount = faces_of(face, rows), rise(shot.look["freckles"][rows], 0.6, 1.0)
    x, y = spots.x * 18.0, spots.y * 18.0
    column, row = x.floor(), y.floor()
    chance = speckle(column.long(), row.long(), (shot.look["freckles"][rows] * 2.0**20).long())
    jitter = (chance * 7.0 - (chance * 7.0).floor(), chance * 31.0 - (chance * 31.0).floor())
    x.sub_(column).sub_(jitter[0].sub_(0.5).mul_(0.4)).sub_(0.5)
    y.sub_(row).sub_(jitter[1].sub_(0.5).mul_(0.4)).sub_(0.5)
    spot = (0.2 + 0.1 * chance - exact.sqrt_(x * x + y * y)).mul_(6.0).clamp_(0.0, 1.0)
    spot.mul_((chance < 0.35 + 0.5 * amount).float())
    spot.mul_(bump(spots.x, spots.y, (0.0, 0.27), (0.72, 0.33)).mul_(2.0).clamp_(max=1.0))
    freckled = picture.index_select(0, rows)
    darken(freckled, spot.mul_(0.5 + 0.5 * amount), (0.25, 0.42, 0.5))
    picture.index_copy_(0, rows, freckled)


def _eyes(look: Values, colors: Palette, picture: Tensor, face: Surface, pixel: Tensor) -> None:
    """Paint eyeball, lashes and the fold of the lid, in place. Eye coordinates: 1 is half the width of an
    eye.
    """
    width = eye_width(look)
    unit = pixel / width
    right = (face.x > 0).float().mul_(2.0).sub_(1.0)
    x = (face.x * right - eye_x(look)).div_(width)
    y = (face.y / width).add_(x * look["eye_tilt"])
    arch = torch.where(face.z > 0.0, 1.0 - x * x, -1.0)  # nothing is painted on the back of the head
    closed = look["eyes_closed"]
    high, low = lids(look)
    low = low * (1.0 - 0.15 * look["smile"].clamp(min=0.0))
    high = high * (1.0 - closed) - 0.9 * low * closed
    above = (arch * (1.0 - 0.16 * x)).mul_(high).add_(y)  # distance below the upper lid
    below = (arch * low).sub_(y)  # distance above the lower lid
    near = (arch + 0.25).mul_(4.0).clamp_(0.0, 1.0)
    fold = line(above + (0.2 + 0.12 * look["eye_openness"]), 0.09).mul_(near).mul_(look["lid_fold"] * 0.75)
    darken(picture, fold, (0.36, 0.45, 0.48))
    lid = (above * (1 / 0.3)).add_(1.0).clamp_(0.0, 1.0).mul_(near).mul_(above < 0)
    darken(picture, lid, (0.12, 0.2, 0.2))
    opening = edge(torch.minimum(above, below), unit).mul_(near)
    _eyeball(look, colors, picture, (x, y, above, right), opening, unit)
    reach = (arch + 0.12).mul_(4.0).clamp_(0.0, 1.0)
    thick = (0.08 + 0.05 * x).mul_(reach)
    darken(picture, edge(thick.sub_((above + 0.02).abs_()), unit).mul_(reach), (0.86, 0.89, 0.9))
    rim = (0.05 - below.abs_()).div_(unit + 0.04).clamp_(0.0, 1.0).mul_(near).mul_(0.5)
    darken(picture, rim, (0.3, 0.42, 0.42))


def _eyeball(
    look: Values, colors: Palette, picture: Tensor, eye: tuple, opening: Tensor, unit: Tensor
) -> None:
    """Paint white, iris, pupil, catch light and the shade of the upper lid, in place, where the lids are
    open.
    """
    x, y, above, right = eye
    lay(picture, swatch(WHITE), opening)
    across, down = x - right * (0.3 * look["gaze_x"]), y - (0.2 * look["gaze_y"] - 0.05)
    radius = exact.sqrt_(across * across + down * down)
    size = 0.068 / eye_width(look) * (0.5 + 0.5 * look["eye_size"])
    lay(picture, colors.iris * 0.45, edge(size - radius, unit).mul_(opening))
    inner = edge(size * 0.84 - radius, unit + 0.08).mul_(opening)
    lay(picture, colors.iris * 1.05, inner)
    lay(picture, colors.iris * 1.5 + 0.04, bump(across, down, (0.0, 0.2), (0.42, 0.36)).mul_(inner).mul_(0.7))
    lay(picture, colors.iris * 0.02, edge(size * 0.43 - radius, unit).mul_(opening))
    shade = (1.0 - above * (1 / 0.3)).clamp_(0.0, 1.0).mul_(opening)
    darken(picture, shade, (0.45, 0.48, 0.5))
    lit_side = (look["light_azimuth"] * (0.14 / 20.0)).clamp(-0.14, 0.14)
    spot = exact.sqrt_((across * right - lit_side).square_() + (down + 0.17).square_())
    lay(picture, swatch("ffffff"), edge(0.08 - spot, unit).mul_(opening).mul_(0.95))


def _brows(look: Values, colors: Palette, picture: Tensor, face: Surface, pixel: Tensor) -> None:
    """Paint eyebrows, in place: a tapering stroke with a texture of hairs."""
    side, tilt, arch = face.x.abs(), look["brow_tilt"], look["brow_arch"]
    t = (side - (eye_x(look) - 0.185)).mul_(1 / 0.39)
    height = -0.195 - look["brow_height"] - 0.045 * look["brow_raise"] - 0.45 * arch + 0.12 * tilt
    offset = (t - 0.6).square_().mul_(2.2 * arch).sub_(t * (0.3 * tilt)).add_(height).neg_().add_(face.y)
    thick = (
        (t * 4.0 + 0.45)
        .clamp_(0.0, 1.0)
        .mul_((t * t * t * -0.85).add_(1.0))
        .mul_(0.036 * look["brow_thickness"])
    )
    strokes = ripple(side * 21.0 + offset * 18.0).mul_(0.008)
    cover = edge(thick.sub_(offset.abs_()).sub_(strokes).add_(0.004), pixel + 0.014)
    cover.mul_(edge(t + 0.02, pixel * 2.5 + 0.1)).mul_(edge(1.02 - t, pixel * 2.5 + 0.05))
    lay(picture, colors.hair * 0.42, cover.mul_(0.9).mul_(face.z > 0.0))


def _mouth(look: Values, colors: Palette, picture: Tensor, face: Surface, pixel: Tensor) -> None:
    """Paint lips, the line between them, and what an open mouth shows, in place."""
    half, mouth, lift = mouth_line(look)
    lips = look["lip_fullness"]
    gape = look["mouth_open"] + 0.28 * rise(look["smile"], 0.45, 1.0)
    x = face.x.abs().div_(half)
    square = x * x
    front = face.z > 0.0
    arch = (1.0 - square).clamp_(min=0.0).mul_(front)
    inside = (arch * 14.0).clamp_(max=1.0)
    y = (face.y - mouth).add_(square * lift)
    bow = (x * (1 / 0.28)).square_().neg_().add_(1.0).clamp_(min=0.0).mul_(-0.24).add_(1.0)
    top = (1.45 - 0.45 * arch).mul_(arch).mul_(bow).mul_(0.07 * lips).add_(arch * (0.03 * gape))
    bottom = (1.45 - 0.45 * arch).mul_(arch).mul_(0.088 * lips).add_(arch * (0.17 * gape))
    cover = edge(torch.minimum(y + top, bottom - y), pixel + 0.012).mul_(inside)
    lay(picture, colors.lips, cover.mul(0.88))
    glow = bump(x, y, (0.0, 0.05 * lips), (0.75, 0.05 * lips + 0.02)).mul_(cover)
    lay(picture, colors.lips * 1.2 + 0.05, glow.mul_(0.7))
    corner = bump(x, y, (0.97, 0.0), (0.16, 0.035)).mul_(front)
    darken(picture, torch.maximum(cover.mul_(y < 0), corner), (0.34, 0.38, 0.36))
    hole = edge(torch.minimum(y + arch * (0.03 * gape), arch * (0.15 * gape) - y), pixel)
    hole.mul_(rise(gape, 0.04, 0.14)).mul_(inside)
    lay(picture, swatch(THROAT), hole)
    teeth = edge(0.075 * (0.4 + gape) - 0.03 - y, pixel + 0.006)
    lay(picture, swatch(TEETH), teeth.mul_(hole).mul_(0.9))
    parting = line(y, pixel * 0.8 + 0.016).mul_(inside).mul_(1.0 - hole).mul_(0.9)
    darken(picture, parting, (0.75, 0.85, 0.85))


def _beards(shot: Shot, colors: Palette, picture: Tensor, face: Surface) -> None:
    """Paint stubble, beard and moustache, in place, with a texture of hairs."""
    rows, part = pick(shot, (shot.values["beard"] > 0.45) | (shot.values["moustache"] > 0.5))
    if part is None:
        return
    look, face = part.look, faces_of(face, rows)
    side, y = face.x.abs(), face.y
    half, mouth, lift = mouth_line(look)
    tip, full, low = nose_tip(look), rise(look["beard"], 0.6, 0.8), side * side
    reach = y - (mouth + 0.15) + low * 1.75
    reach.sub_(bump(side, y, (0.0, mouth + 0.03), (half * 1.25, 0.2)).mul_(0.1))
    grain = ripple(face.x * 23.0 + ripple(y * 3.7 + face.x * 2.3).mul_(0.9))
    cover = edge(reach + grain * 0.03, 0.2 - 0.13 * full)
    cover.mul_(rise(look["beard"], 0.45, 0.55) * (0.42 + 0.5 * full))
    lip = (mouth - 0.035 - 0.05 * look["lip_fullness"]) - low * (lift / (half * half) - 0.7)
    patch = torch.minimum(lip - y, y - (tip + 0.085) - low * 1.3)
    patch = edge(torch.minimum(patch, half * 1.12 - side) + grain * 0.02, 0.05)
    patch.mul_(rise(look["moustache"], 0.5, 0.7) * 0.85)
    cover = torch.maximum(cover, patch).mul_(grain.mul_(0.18).add_(0.8)).mul_(edge(face.z + 0.15, 0.2))
    bearded = picture.index_select(0, rows)
    lay(bearded, colors.hair[rows] * 0.55, cover)
    picture.index_copy_(0, rows, bearded)
