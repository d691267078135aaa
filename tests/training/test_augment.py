"""Augmentation: identities where everything is switched off, and each switch does what it says."""

from dataclasses import replace

import pytest
import torch

from facelab.models.recipe import Recipe
from facelab.photos.faces import to_tensor
from facelab.photos.read import LUMA
from facelab.training.augment import DRAWS, augment

OFF = Recipe(flip=False, rotate=0, zoom=0, shift=0, jitter=0, gray=0, random_erasing=0)
CROPS = torch.randint(
    0, 256, (32, 112, 112, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def run(seed=0, **fields):
    draw = torch.rand((DRAWS, len(CROPS)), generator=torch.Generator().manual_seed(seed))
    return augment(CROPS, replace(OFF, **fields), draw)


def test_all_off_is_the_crop():
    assert torch.allclose(run(), to_tensor(CROPS), atol=1e-4)


def test_same_draws_same_variants():
    fields = {
        "flip": True,
        "rotate": 10,
        "zoom": 0.1,
        "shift": 0.1,
        "jitter": 0.3,
        "gray": 0.5,
        "random_erasing": 0.5,
    }
    assert torch.equal(run(3, **fields), run(3, **fields))
    assert not torch.equal(run(3, **fields), run(4, **fields))


def test_flip_mirrors_about_half_of_the_crops():
    straight, out = to_tensor(CROPS), run(flip=True)
    mirrored = [torch.allclose(out[i], straight[i].flip(2), atol=1e-4) for i in range(32)]
    unchanged = [torch.allclose(out[i], straight[i], atol=1e-4) for i in range(32)]
    assert all(m != u for m, u in zip(mirrored, unchanged))
    assert 6 <= sum(mirrored) <= 26


def marked(row, column):
    """200 crops, dark but for a bright square of 4 pixels about a place."""
    dot = torch.zeros(200, 112, 112, 3, dtype=torch.uint8)
    dot[:, row - 2 : row + 2, column - 2 : column + 2] = 255
    return dot


def middles(out):
    """(B, 2) row and column of the middle of mass of each picture's brightness."""
    light = out[:, 0] + 1
    places = torch.stack(torch.meshgrid(torch.arange(112.0), torch.arange(112.0), indexing="ij"))
    return torch.einsum("bhw,nhw->bn", light, places) / light.sum((1, 2))[:, None]


@pytest.mark.parametrize("fields", [{"rotate": 20.0}, {"zoom": 0.2}, {"rotate": 20.0, "zoom": 0.2}])
def test_a_mirrored_variant_is_the_mirror_image_of_the_straight_one(fields):
    # Mirrored and turned, a crop must not be sheared: distances between points stay as without the mirror.
    draw = torch.rand((DRAWS, 200), generator=torch.Generator().manual_seed(5))
    recipe = replace(OFF, flip=True, **fields)
    points = [middles(augment(marked(*place), recipe, draw)) for place in ((56, 88), (56, 24), (24, 56))]
    right, left, top = (point - 55.5 for point in points)
    assert torch.allclose((right * top).sum(1), torch.zeros(200), atol=12.0)  # a right angle stays one
    assert torch.allclose(right.norm(dim=1), top.norm(dim=1), atol=0.8)  # and both arms as long
    assert torch.allclose(right, -left, atol=0.8)
    mirrored = draw[2] < 0.5
    turn = right[:, 1] * top[:, 0] - right[:, 0] * top[:, 1]  # the sign of a cross product: handedness
    assert mirrored.any() and ((turn > 0) == mirrored).all()


@pytest.mark.parametrize(
    ("row", "places"),
    [
        (0, [(10.94, 30.07), (-10.94, 30.07)]),  # turned by 20 degrees
        (1, [(0, 32 / 0.8), (0, 32 / 1.2)]),
        (3, [(0, 32 + 11.2), (0, 32 - 11.2)]),
        (4, [(11.2, 32), (-11.2, 32)]),
    ],
)
def test_the_ends_of_each_draw_are_its_own_strength(row, places):
    draw = torch.full((DRAWS, 2), 0.5)
    draw[row] = torch.tensor([0.0, 1.0])
    recipe = replace(OFF, rotate=20.0, zoom=0.2, shift=0.1)
    moved = middles(augment(marked(56, 88)[:2], recipe, draw)) - 55.5
    assert torch.allclose(moved, torch.tensor(places), atol=0.1)


def test_contrast_scales_about_each_crops_own_mean_and_brightness_moves_it():
    gray = 60 + torch.arange(64, dtype=torch.uint8).view(8, 1, 8, 1).repeat(1, 112, 14, 3)  # far from black
    draw = torch.rand((DRAWS, 8), generator=torch.Generator().manual_seed(2))
    before = to_tensor(gray)

    def moved(draw):
        out = augment(gray, replace(OFF, jitter=0.5), draw)
        means, spreads = ([f(x, (1, 2, 3)) for x in (out, before)] for f in (torch.mean, torch.std))
        return means[0] - means[1], spreads[0] / spreads[1]

    draw[7] = 0.5  # no change of contrast
    offset, factor = moved(draw)
    assert torch.allclose(offset, draw[6] - 0.5, atol=1e-4)
    assert torch.allclose(factor, torch.ones(8), atol=1e-4)
    draw[6:8] = draw[6:8].flip(0)
    offset, factor = moved(draw)
    assert torch.allclose(offset, torch.zeros(8), atol=1e-4)
    assert torch.allclose(factor, 0.5 + draw[7], atol=1e-4)


def test_saturation_moves_colors_along_their_gray():
    x, out = to_tensor(CROPS), run(saturation=0.5)
    luma = torch.einsum("bchw,c->bhw", x, torch.tensor(LUMA))[:, None]
    factor = ((out - luma) / (x - luma)).flatten(1)
    inside = (out.abs() < 0.99) & ((x - luma).abs() > 0.1)
    for crop in range(len(x)):
        values = factor[crop][inside[crop].flatten()]
        assert 0.5 <= values.mean() <= 1.5 and values.std() < 0.01
    assert factor.new_tensor([f[i.flatten()].mean() for f, i in zip(factor, inside)]).std() > 0.1


def test_a_crop_depends_on_its_own_draws_alone():
    fields = {
        "flip": True,
        "rotate": 10,
        "zoom": 0.1,
        "shift": 0.1,
        "jitter": 0.3,
        "gray": 0.5,
        "random_erasing": 0.5,
    }
    draw = torch.rand((DRAWS, 32), generator=torch.Generator().manual_seed(1))
    part = augment(CROPS[8:16], replace(OFF, **fields), draw[:, 8:16])
    assert torch.allclose(part, augment(CROPS, replace(OFF, **fields), draw)[8:16], atol=1e-6)


def test_gray_equalizes_the_channels():
    out = run(gray=1.0)
    assert torch.allclose(out[:, 0], out[:, 2], atol=1e-5)
    luma = (to_tensor(CROPS) * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
    assert torch.allclose(out[:, 0], luma, atol=1e-4)


def test_erase_blanks_one_rectangle_of_the_stated_size():
    blank = (run(random_erasing=1.0) == 0).all(1)
    for mask in blank:
        rows, cols = mask.any(1).nonzero(), mask.any(0).nonzero()
        height, width = rows[-1] - rows[0] + 1, cols[-1] - cols[0] + 1
        assert mask.sum() >= 0.99 * height * width
        assert 0.14 * 112 <= height <= 0.46 * 112 and 0.14 * 112 <= width <= 0.46 * 112


def test_an_erased_rectangle_has_the_sides_and_the_place_that_are_drawn():
    draw = torch.tensor([[0.0, 1], [1, 0], [0, 1], [1, 0], [0, 0]])
    draw = torch.cat([torch.full((DRAWS - 5, 2), 0.5), draw])
    erased = (augment(CROPS[:2], replace(OFF, random_erasing=1.0), draw) == 0).all(1)
    for mask, rows, columns in zip(erased, (range(17), range(62, 112)), (range(62, 112), range(17))):
        assert mask.any(1).nonzero().flatten().tolist() == list(rows)
        assert mask.any(0).nonzero().flatten().tolist() == list(columns)


def test_rotation_and_shift_stay_within_their_range():
    dot = torch.zeros(200, 112, 112, 3, dtype=torch.uint8)
    dot[:, 54:58, 90:94] = 255  # 36 pixels right of the center
    for fields, bound in (({"shift": 0.1}, 11.2 + 1), ({"rotate": 20.0}, 36 * 0.35 + 1)):
        draw = torch.rand((DRAWS, len(dot)), generator=torch.Generator().manual_seed(1))
        out = augment(dot, replace(OFF, **fields), draw)[:, 0] + 1
        ys, xs = torch.arange(112.0).view(-1, 1), torch.arange(112.0)
        mass = out.sum((1, 2))
        y, x = (out * ys).sum((1, 2)) / mass, (out * xs).sum((1, 2)) / mass
        offset = torch.hypot(x - 91.5, y - 55.5)
        assert offset.max() < bound * 1.5 and offset.max() > bound * 0.5


@pytest.mark.parametrize("field", ["jitter", "gray", "random_erasing", "zoom", "shift"])
def test_output_stays_in_range(field):
    out = run(**{field: 1.0 if field != "shift" else 0.2})
    assert out.min() >= -1 - 1e-5 and out.max() <= 1 + 1e-5 and torch.isfinite(out).all()
