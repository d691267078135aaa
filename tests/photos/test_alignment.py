"""Alignment: a similarity is recovered exactly, and landmarks land on the template."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facelab.photos.faces import TEMPLATE, align, similarity_transform, to_tensor

# The similarity transform


def similarity(angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([scale * turn, shift])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


shifts = st.floats(-3000, 3000)


@given(st.floats(-np.pi, np.pi), st.floats(0.02, 50), shifts, shifts, st.integers(0, 2**31))
def test_a_similarity_is_recovered_exactly(angle, scale, x, y, seed):
    points = np.random.default_rng(seed).normal(0, 50, (5, 2))
    true = similarity(angle, scale, (x, y))
    found = similarity_transform(points, apply(true, points))
    assert np.allclose(found, true, atol=1e-6 * (1 + scale))


@given(st.integers(2, 9), st.integers(0, 2**31))
def test_noisy_points_give_the_least_squares_solution(n, seed):
    """Against numpy's solver on the linear system in (a, b, tx, ty)."""
    rng = np.random.default_rng(seed)
    source, target = rng.normal(0, 30, (n, 2)), rng.normal(0, 30, (n, 2))
    zero, one = np.zeros(n), np.ones(n)
    x, y = source.T
    system = np.concatenate([np.column_stack([x, -y, one, zero]), np.column_stack([y, x, zero, one])])
    a, b, tx, ty = np.linalg.lstsq(system, np.concatenate([target[:, 0], target[:, 1]]), rcond=None)[0]
    assert np.allclose(similarity_transform(source, target), [[a, -b, tx], [b, a, ty]], atol=1e-7)


def test_a_mirrored_face_is_turned_and_never_mirrored():
    mirrored = TEMPLATE * [-1, 1]
    assert np.linalg.det(similarity_transform(mirrored, TEMPLATE)[:, :2]) >= 0


def test_landmarks_in_one_place_are_refused():
    with pytest.raises(ValueError, match="landmarks coincide"):
        similarity_transform(np.full((5, 2), 7.0), TEMPLATE)


# Alignment


def with_dots(size: tuple[int, int], points: np.ndarray, radius: float) -> np.ndarray:
    """Soft-edged white dots on black, drawn at exact positions (x, y of pixel centers)."""
    y, x = np.mgrid[: size[1], : size[0]]
    value = np.zeros(x.shape)
    for px, py in points:
        value = np.maximum(value, np.clip(radius + 0.5 - np.hypot(x - px, y - py), 0, 1))
    return np.repeat((value * 255).round().astype(np.uint8)[:, :, None], 3, 2)


def centroid(crop: np.ndarray, near: np.ndarray, reach: float = 7) -> np.ndarray:
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]]
    weight = crop[:, :, 0] * (np.hypot(x - near[0], y - near[1]) < reach)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("angle", [0, 30, -75, 170])
@pytest.mark.parametrize("scale", [0.3, 0.7, 1, 1.99, 2, 3.3, 8])
def test_landmarks_land_on_the_template(scale, angle):
    turn = similarity(np.radians(angle), scale, (0, 0))
    points = apply(turn, TEMPLATE - 56)
    side = int(np.abs(points).max() * 2 + 60 * scale)
    points = points + side / 2 + (0.3, -0.2)
    crop = align(with_dots((side, side), points, max(1.5, 2.5 * scale)), points)
    assert crop.shape == (112, 112, 3) and crop.dtype == np.uint8
    for target in TEMPLATE:
        assert np.abs(centroid(crop, target) - target).max() < 0.6


def test_an_aligned_crop_is_aligned_to_itself():
    """Where the landmarks are on the template already, alignment changes nothing."""
    crop = np.asarray(Image.effect_noise((112, 112), 80).convert("RGB"))
    assert np.array_equal(align(crop, TEMPLATE), crop)


def test_a_large_face_is_averaged_and_not_sampled():
    pattern = np.indices((1000, 1000)).sum(0) % 2 * 254
    pixels = np.repeat(pattern.astype(np.uint8)[:, :, None], 3, 2)
    crop = align(pixels, TEMPLATE * 6 + 100)
    assert np.abs(crop.astype(int) - 127).max() <= 2


def test_beyond_the_edge_the_border_is_repeated():
    pixels = np.full((60, 60, 3), 200, np.uint8)
    assert (align(pixels, TEMPLATE - 56) == 200).all()


def test_to_tensor_maps_bytes_to_minus_one_to_one():
    crops = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    x = to_tensor(crops)
    assert x.shape == (1, 3, 16, 16) and x.dtype == torch.float32
    assert x.min() == -1 and x.max() == 1
    assert torch.allclose(x[0, 1].flatten(), torch.arange(256) / 127.5 - 1)
