"""Blends of two faces: aligned crops of different people, joined softly, for distillation from a teacher.

Distillation can use any face that the teacher can embed. A blend is a synthetic face: its embedding resembles
both parents' and equals neither. Thousands of photos give millions of blends. Distillation on mixed images
follows Beyer et al. 2022 (arXiv:2106.05237, section 3.1); here whole regions are mixed as well, as in CutMix
(arXiv:1905.04899), with soft seams and matched colors.
"""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from facelab.data.files import replacing
from facelab.data.folders import CropSet, Selection
from facelab.data.images import Track, untracked
from facelab.models.recipe import Recipe
from facelab.photos.faces import CROP_SIZE
from facelab.training.splits import split

QUALITY = 92
FOLDER = "blends"
KINDS = 4


def write_blends(data: CropSet, recipe: Recipe, out: Path, count: int, track: Track = untracked) -> None:
    """Write a zip of blends of a recipe's training identities, without its held-out identities.

    Args:
        data: all crops.
        recipe: its held_out, held_out_from, split_seed and seed are used.
        out: the zip, written atomically.
        count: number of blends, >= 1.

    Raises:
        ValueError: count is less than 1.
    """
    if count < 1:
        raise ValueError(f"--count is {count}; it must be 1 or more")
    training = split(data, replace(recipe, unlabeled=None)).training
    with replacing(out) as part, zipfile.ZipFile(part, "w") as archive:
        for i in track(range(count), count, "blend"):
            file = io.BytesIO()
            Image.fromarray(blend(training, recipe.seed, i)).save(file, "JPEG", quality=QUALITY)
            archive.writestr(f"{FOLDER}/{i:06d}.jpg", file.getvalue())


def blend(people: Selection, seed: int, number: int) -> np.ndarray:
    """Return one blend, a function of seed and number: (112, 112, 3) uint8."""
    rng = np.random.default_rng((seed, number))
    a = rng.integers(len(people))
    b = rng.choice(np.flatnonzero(people.labels != people.labels[a]))
    first, second = people.batch(np.array([a, b])).astype(np.float32)
    first, second = (x[:, ::-1] if rng.random() < 0.5 else x for x in (first, second))
    if rng.random() < 0.3:  # gray ones stay rare among colors otherwise
        first = np.repeat(first.mean(2, keepdims=True), 3, 2)
    second = (second - second.mean((0, 1))) / (second.std((0, 1)) + 1)  # its colors become the first's
    second = second * first.std((0, 1)) + first.mean((0, 1))
    mask = blend_mask(rng)[..., None]
    return (mask * first + (1 - mask) * second).round().clip(0, 255).astype(np.uint8)


def blend_mask(rng: np.random.Generator) -> np.ndarray:
    """Return the weight of the first face at each pixel: (112, 112) in [0, 1].

    It is constant, or a region above a line, next to a line, or around the middle of the face.
    """
    y, x = np.mgrid[:CROP_SIZE, :CROP_SIZE] / CROP_SIZE
    kind, softness = rng.integers(KINDS), rng.uniform(10, 40)
    if kind == 0:
        return np.full_like(x, rng.uniform(0.35, 0.65))
    if kind == 1:
        return _soft(rng.uniform(0.45, 0.75) - y, softness)
    if kind == 2:
        return _soft(rng.uniform(0.35, 0.65) - x, softness)
    distance = np.hypot(x - 0.5, y - rng.uniform(0.45, 0.65))
    return _soft(rng.uniform(0.22, 0.38) - distance, softness)


def _soft(x: np.ndarray, softness: float) -> np.ndarray:
    """Compute a step at 0 with a soft edge."""
    return 1 / (1 + np.exp(-softness * x))
