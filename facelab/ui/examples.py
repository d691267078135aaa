"""Example photos for the tabs: rendered faces, which belong to nobody and need no download."""

import functools

import numpy as np
from PIL import Image

from facelab.data.parametric import NUISANCE, relative, render, sample_identities, typical, with_values

SIZE = 384
SEEDS = (6, 5)  # two identities that both models tell apart


@functools.cache
def example_pairs() -> dict[str, tuple[Image.Image, Image.Image]]:
    """Pairs by what they show; the first is the one that a tab opens with."""
    first, second = (sample_identities(1, seed) for seed in SEEDS)
    return {
        "One person, twice": (_portrait(first, -10.0, 0.0), _portrait(first, 14.0, 0.6)),
        "Look-alikes": (_portrait(first, -10.0, 0.0), _portrait(relative(first, 0.3, SEEDS[0]), 6.0, 0.2)),
        "Two people": (_portrait(first, -10.0, 0.0), _portrait(second, 8.0, 0.3)),
    }


def _portrait(identity, yaw: float, smile: float) -> Image.Image:
    nuisance = with_values(typical(NUISANCE, 1), NUISANCE, {"yaw": yaw, "smile": smile})
    pixels = render(identity, nuisance, SIZE)[0].permute(1, 2, 0).numpy()
    return Image.fromarray((pixels * 255).round().astype(np.uint8))
