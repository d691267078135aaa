"""Augmentation of uint8 crops in one pass: flip, rotation, zoom and shift are a single affine resampling.

All random numbers are drawn per crop from the given generator, and everything is computed on the device of
the crops, so a step's batch depends on the seed and the step alone. Erasing is random erasing
(arXiv:1708.04896) with gray fill.
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from facelab.models.recipe import Recipe
from facelab.photos.faces import to_tensor
from facelab.photos.read import LUMA

DRAWS = 14  # random numbers that a variant of one crop takes


def augment(crops: Tensor, recipe: Recipe, draw: Tensor) -> Tensor:
    """Return one variant of each crop, a function of the numbers drawn for it.

    Args:
        crops: (B, H, W, 3) uint8.
        recipe: its fields flip, rotate, zoom, shift, jitter, saturation, gray and random_erasing are the
            strengths.
        draw: (DRAWS, B) uniform in [0, 1), one column per crop, on the device of the crops.

    Returns:
        (B, 3, H, W) float32, in [-1, 1].
    """
    x = to_tensor(crops)
    x = _affine(x, recipe, draw[:5])
    x = _color(x, recipe, draw[5:9])
    return _erase(x, recipe, draw[9:])


def _affine(x: Tensor, recipe: Recipe, draw: Tensor) -> Tensor:
    """Apply one bilinear resampling for mirror, rotation, zoom and shift; border pixels are repeated."""
    angle = (draw[0] * 2 - 1) * math.radians(recipe.rotate)
    scale = 1 + (draw[1] * 2 - 1) * recipe.zoom
    mirror = torch.where(draw[2] < 0.5, -1.0, 1.0) if recipe.flip else torch.ones_like(scale)
    shift_x, shift_y = ((draw[3:5] * 2 - 1) * recipe.shift * 2).unbind()  # the grid spans [-1, 1]
    cos, sin = angle.cos() * scale, angle.sin() * scale
    theta = torch.stack([cos * mirror, -sin, shift_x, sin * mirror, cos, shift_y], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _color(x: Tensor, recipe: Recipe, draw: Tensor) -> Tensor:
    """Scale saturation or turn colors gray; then add brightness and scale contrast about the mean."""
    luma = torch.einsum("bchw,c->bhw", x, _luma(x.device)).unsqueeze(1)
    saturation = torch.where(draw[0] < recipe.gray, 0.0, 1 + (draw[3] * 2 - 1) * recipe.saturation)
    x = torch.lerp(luma, x, saturation.view(-1, 1, 1, 1))
    brightness, contrast = ((draw[1:3] * 2 - 1) * recipe.jitter).view(2, -1, 1, 1, 1)
    mean = luma.mean((2, 3), keepdim=True)
    return ((x - mean) * (1 + contrast) + mean + brightness).clamp_(-1, 1)


@functools.cache
def _luma(device: torch.device) -> Tensor:
    """Return the weights of red, green and blue, sent to a device once."""
    return torch.tensor(LUMA, device=device)


def _erase(x: Tensor, recipe: Recipe, draw: Tensor) -> Tensor:
    """Blank one rectangle, 15 to 45% of each side, in a share of the crops."""
    height, width = x.shape[2:]
    side_y, side_x = 0.15 + 0.3 * draw[0], 0.15 + 0.3 * draw[1]
    top, left = draw[2] * (1 - side_y), draw[3] * (1 - side_x)
    rows = torch.arange(height, device=x.device).add(0.5).div(height)
    cols = torch.arange(width, device=x.device).add(0.5).div(width)
    in_rows = (rows >= top[:, None]) & (rows < (top + side_y)[:, None])
    in_cols = (cols >= left[:, None]) & (cols < (left + side_x)[:, None])
    chosen = draw[4] < recipe.random_erasing
    box = chosen[:, None, None] & in_rows[:, :, None] & in_cols[:, None, :]
    return x.masked_fill(box.unsqueeze(1), 0.0)
