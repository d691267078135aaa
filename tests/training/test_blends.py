"""Blends: faces of nobody, made of two people whom training may see, the same every time."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from facelab.data.folders import CropSet
from facelab.models.recipe import Recipe
from facelab.training.blends import FOLDER, blend, blend_mask, write_blends

COLORS = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 10), (10, 250, 250)]


@pytest.fixture(scope="module")
def striped():
    """Five people, each a stripe pattern of their own at another phase per photo."""
    y, x = np.mgrid[:112, :112]
    crops = np.empty((20, 112, 112, 3), np.uint8)
    for i in range(20):
        wave = np.sin((x if i // 4 % 2 else y) / (2 + i // 4) + i)
        crops[i] = (128 + 100 * wave)[..., None] * np.array(COLORS[i // 4]) / 250
    labels = np.repeat(np.arange(5), 4)
    return CropSet(crops, labels, tuple(f"s/p{i}" for i in range(5)), tuple(map(str, range(20))))


def test_a_blend_is_a_function_of_seed_and_number(striped):
    people = striped.select(range(5))
    assert (blend(people, 3, 7) == blend(people, 3, 7)).all()
    assert (blend(people, 3, 7) != blend(people, 3, 8)).any()
    assert (blend(people, 3, 7) != blend(people, 4, 7)).any()


def test_both_parents_are_seen(striped):
    """Where a region is one parent's, the blend is that parent up to its colors; no two people share one."""
    people = striped.select([0, 1])  # horizontal and vertical stripes
    both = 0
    for number in range(40):
        gray = blend(people, 0, number).astype(float).mean(2)
        across, down = np.abs(np.diff(gray, axis=1)).mean(), np.abs(np.diff(gray, axis=0)).mean()
        both += min(across, down) > 0.08 * max(across, down)
    assert both == 40


def test_masks_are_soft_and_of_every_kind():
    masks = [blend_mask(np.random.default_rng(i)) for i in range(80)]
    assert all(m.min() >= 0 and m.max() <= 1 and m.shape == (112, 112) for m in masks)
    assert all(
        np.abs(np.diff(m, axis=0)).max() < 0.25 and np.abs(np.diff(m, axis=1)).max() < 0.25 for m in masks
    )
    even = sum(np.ptp(m) == 0 for m in masks)
    rows = sum(np.ptp(m) > 0 and np.ptp(m, axis=1).max() == 0 for m in masks)
    columns = sum(np.ptp(m) > 0 and np.ptp(m, axis=0).max() == 0 for m in masks)
    assert min(even, rows, columns, 80 - even - rows - columns) >= 10
    assert 0.25 < np.mean([m.mean() for m in masks]) < 0.65


def test_nobody_who_is_held_out_is_blended(striped, tmp_path):
    """Held-out people are painted white; no blend of the others is."""
    from facelab.training.splits import split

    recipe = Recipe(held_out=0.4, teacher="t.npz", unlabeled="blends")  # as a recipe that will learn them
    crops = striped.crops.copy()
    crops[split(striped, Recipe(held_out=0.4)).people.rows] = 255
    data = CropSet(crops, striped.labels, striped.identities, striped.names)
    write_blends(data, recipe, tmp_path / "b.zip", 12)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.namelist() == [f"{FOLDER}/{i:06d}.jpg" for i in range(12)]
        for name in archive.namelist():
            image = np.asarray(Image.open(io.BytesIO(archive.read(name))))
            assert image.shape == (112, 112, 3) and image.std() > 5
            assert (image > 240).all(2).mean() < 0.2
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_the_recipes_seed_draws_the_blends(striped, tmp_path):
    contents = []
    for seed in (3, 3, 4):
        write_blends(striped, Recipe(seed=seed, held_out=0.0), tmp_path / "b.zip", 1)
        with zipfile.ZipFile(tmp_path / "b.zip") as archive:
            contents.append(archive.read(f"{FOLDER}/000000.jpg"))
    assert contents[0] == contents[1] != contents[2]


def test_no_blends_is_refused(striped, tmp_path):
    with pytest.raises(ValueError, match="--count is 0; it must be 1 or more"):
        write_blends(striped, Recipe(), tmp_path / "b.zip", 0)
