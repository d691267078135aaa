"""Example photos for the tabs: rendered faces, which belong to nobody and need no download."""

import functools

import numpy as np
from PIL import Image
from torch import Tensor

from facelab.data.parametric import NUISANCE, relative, render, sample_identities, typical, with_values

SIZE = 384
SEEDS = (6, 5)  # two identities that both models tell apart


@functools.cache
def example_pairs() -> dict[str, tuple[Image.Image, Image.Image]]:
    """Pairs by what they show; the first is the one that a tab opens with."""
    first, second = (sample_identities(1, seed) for seed in SEEDS)
    alike = relative(first, 0.3, SEEDS[0])
    start = portrait(first, {"yaw": -10.0, "smile": 0.0})
    return {
        "One person, twice": (start, portrait(first, {"yaw": 14.0, "smile": 0.6})),
        "Look-alikes": (start, portrait(alike, {"yaw": 6.0, "smile": 0.2})),
        "Two people": (start, portrait(second, {"yaw": 8.0, "smile": 0.3})),
    }


def portrait(identity: Tensor, conditions: dict[str, float], size: int = SIZE) -> Image.Image:
    """Photograph one identity (1, K) under neutral conditions but for those that are named."""
    nuisance = with_values(typical(NUISANCE, 1), NUISANCE, conditions)
    pixels = render(identity, nuisance, size)[0].permute(1, 2, 0).numpy()
    return Image.fromarray((pixels * 255).round().astype(np.uint8))
