"""Variants of one crop as in training: each augmentation alone, then all together.

All rows take the same random numbers, so a column is one draw: the effect of each augmentation also appears
in the last row. The pictures come from `facelab.training.augment`, which training uses.
"""

from dataclasses import replace

import numpy as np
import torch

from facelab.models.recipe import Recipe
from facelab.training.augment import DRAWS, augment

OFF = Recipe(flip=False, rotate=0, zoom=0, shift=0, jitter=0, saturation=0, gray=0, random_erasing=0)
KINDS = ("flip", "rotate", "zoom", "shift", "jitter", "saturation", "gray", "random_erasing")
TOGETHER = "all together"


def variants(crop: np.ndarray, strengths: dict[str, float], count: int, seed: int) -> dict[str, np.ndarray]:
    """Draw variants of a crop.

    Args:
        crop: (112, 112, 3) uint8.
        strengths: strength of each of KINDS, as the recipe's field of that name.
        count: variants per row.
        seed: seed of the draw.

    Returns:
        By kind and under TOGETHER, (count, 112, 112, 3) uint8.

    Raises:
        ValueError: an unknown kind, or a strength that is invalid in a recipe.
    """
    for kind in strengths:
        if kind not in KINDS:
            raise ValueError(f"unknown augmentation {kind!r}; legal: {', '.join(KINDS)}")
    crops = torch.from_numpy(crop).expand(count, *crop.shape)
    draw = torch.rand(DRAWS, count, generator=torch.Generator().manual_seed(seed))
    recipes = {kind: replace(OFF, **{kind: strength}) for kind, strength in strengths.items()}
    recipes[TOGETHER] = replace(OFF, **strengths)
    return {name: _pixels(augment(crops, recipe, draw)) for name, recipe in recipes.items()}


def _pixels(x: torch.Tensor) -> np.ndarray:
    """Convert (B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8."""
    return x.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
