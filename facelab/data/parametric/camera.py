"""Camera effects on a rendered picture: blur, sensor noise and the losses of JPEG.

Each is elementwise arithmetic in a fixed order, so that the same numbers give the same pixels in any batch
and on any machine, which no codec library guarantees. Simplified: noise is gray, and compression quantizes
the luminance as JPEG does (8 x 8 cosine transform, the standard table) and leaves the color differences
unchanged.
"""

import math
from functools import cache

import torch
from torch import Tensor

from facelab.data.parametric import exact
from facelab.data.parametric.shot import Shot
from facelab.data.parametric.table import mix, normals
from facelab.photos.read import LUMA

LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)  # ITU-T T.81, table K.1
_MIDDLE = 128.0 / 255.0  # JPEG codes differences from this level
_GRAIN = 2**18  # length of the one row of noise from which every picture takes its own stretch


def expose(shot: Shot, picture: Tensor) -> Tensor:
    """Apply blur, noise and compression to (B, 3, H, W) sRGB in [0, 1], in place, each only where it is
    visible.
    """
    for name, least, step in (
        ("blur", 0.1, _blur),
        ("noise", 0.01, _noise),
        ("compression", 0.05, _compress),
    ):
        rows = (shot.values[name] > least).nonzero()[:, 0]
        if len(rows):
            picture.index_copy_(0, rows, step(picture.index_select(0, rows), shot, rows).clamp_(0.0, 1.0))
    return picture


def _blur(picture: Tensor, shot: Shot, rows: Tensor) -> Tensor:
    """Apply Gaussian blur, standard deviation 1.5% of the frame times blur; 7 taps, with growing distance per
    pass.
    """
    size = picture.shape[-1]
    steps = [2**k for k in range(max(1, (size // 112).bit_length()))]
    sigma = 0.015 * size * shot.values["blur"][rows] / math.sqrt(sum(step * step for step in steps))
    taps = torch.arange(4, dtype=torch.float64, device=sigma.device)
    weights = exact.exp(-0.5 * (taps / sigma.clamp(min=0.05)[:, None]) ** 2)
    weights = weights / (weights[:, :1] + 2.0 * (weights[:, 1:2] + weights[:, 2:3] + weights[:, 3:]))
    weights = weights.float()[:, :, None, None, None]
    for step in steps:
        for axis in (2, 3):
            picture = _smooth(picture, weights, step, axis)
    return picture


def _smooth(picture: Tensor, weights: Tensor, step: int, axis: int) -> Tensor:
    """Apply one symmetric filter along an axis; borders repeat."""
    size = picture.shape[axis]
    first, last = picture.narrow(axis, 0, 1), picture.narrow(axis, size - 1, 1)
    margin = [3 * step if other == axis else count for other, count in enumerate(picture.shape)]
    wide = torch.cat([first.expand(margin), picture, last.expand(margin)], dim=axis)
    total = picture * weights[:, 0]
    for tap in (1, 2, 3):
        before, after = wide.narrow(axis, (3 - tap) * step, size), wide.narrow(axis, (3 + tap) * step, size)
        total.add_((before + after).mul_(weights[:, tap]))
    return total


def _noise(picture: Tensor, shot: Shot, rows: Tensor) -> Tensor:
    """Add gray noise, standard deviation a tenth of full scale times noise, in the pattern selected by
    grain.
    """
    start = mix((shot.values["grain"][rows] * 2.0**30).long(), 11) & (_GRAIN - 1)
    count, grain = picture.shape[-1] * picture.shape[-2], _grain()
    gray = torch.stack([grain[first : first + count] for first in start.tolist()]).to(picture.device)
    gray.mul_((0.1 * shot.values["noise"][rows]).float()[:, None])
    return picture.add_(gray.reshape(len(rows), 1, *picture.shape[-2:]))


@cache
def _grain() -> Tensor:
    """Return (2 * _GRAIN,) float32 standard normal numbers, the same on every machine; the row is repeated
    once.
    """
    return normals(torch.arange(_GRAIN), 1, 13)[:, 0].float().repeat(2)


def _compress(picture: Tensor, shot: Shot, rows: Tensor) -> Tensor:
    """Quantize the luminance of 8 x 8 blocks at quality 100 - 90 times compression."""
    height, width = picture.shape[-2:]
    red, green, blue = LUMA
    gray = (picture[:, 0] * red).add_(picture[:, 1] * green).add_(picture[:, 2] * blue)
    gray.sub_(_MIDDLE)
    right, low = -width % 8, -height % 8
    padded = torch.cat([gray, gray[:, :, -1:].expand(-1, -1, right)], dim=2)
    padded = torch.cat([padded, padded[:, -1:].expand(-1, low, -1)], dim=1)
    # (8, 8, b, rows of blocks, columns of blocks): each step below runs over long, contiguous rows
    blocks = padded.unflatten(1, (-1, 8)).unflatten(3, (-1, 8)).permute(2, 4, 0, 1, 3).contiguous()
    quality = 100.0 - 90.0 * shot.values["compression"][rows]
    scale = torch.where(quality < 50.0, 5000.0 / quality, 200.0 - 2.0 * quality) / 100.0
    table = torch.tensor(LUMINANCE, dtype=torch.float64, device=scale.device)
    steps = (table * scale[:, None, None]).round().clamp(1.0, 255.0).float().permute(1, 2, 0)[
        ..., None, None
    ] / 255.0
    basis = _cosines().to(picture.device)
    waves = _along(_along(blocks, basis, 0), basis, 1).div_(steps).round_().mul_(steps)
    coded = _along(_along(waves, basis.T, 0), basis.T, 1).permute(2, 3, 0, 4, 1)
    coded = coded.flatten(3).flatten(1, 2)[:, :height, :width]
    return picture.add_((coded - gray)[:, None])


def _cosines() -> Tensor:
    """Return the (8, 8) float32 orthonormal cosine basis: row k is the wave of frequency k."""
    k, n = torch.arange(8, dtype=torch.float64)[:, None], torch.arange(8, dtype=torch.float64)
    basis = exact.sin_cos(torch.pi / 8.0 * (n + 0.5) * k)[1] * 0.5
    basis[0] = basis[0] * math.sqrt(0.5)
    return basis.float()


def _along(blocks: Tensor, matrix: Tensor, axis: int) -> Tensor:
    """Multiply by an (8, 8) matrix along one axis, summed in a fixed order."""
    shape = [8 if other == axis else 1 for other in range(blocks.ndim)]
    total = blocks.narrow(axis, 0, 1) * matrix[:, 0].reshape(shape)
    for n in range(1, 8):
        total.add_(blocks.narrow(axis, n, 1) * matrix[:, n].reshape(shape))
    return total
