"""Angles against the law of cosines in loops, known figures on the circle, and invariances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelab.metrics import geometry
from facelab.metrics.geometry import (
    class_centers,
    inter_class_angle,
    intra_class_angle,
    nearest_angles,
    nearest_prototype_angle,
    norm_statistics,
    prototype_to_center_angle,
)


def at(*degrees):
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], -1)


def angle(a, b):
    return np.degrees(np.arccos(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1)))


@given(st.integers(0, 10**6), st.integers(2, 6), st.sampled_from([1, 4, 1024]))
def test_every_statistic_is_the_loop(seed, classes, chunk):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), [0], rng.integers(0, classes, 12)])
    embeddings = rng.normal(size=(len(labels), 4)) * rng.uniform(0.5, 3, (len(labels), 1))
    prototypes = rng.normal(size=(classes + 2, 4))
    unit = [e / np.sqrt(e @ e) for e in embeddings]
    centers = [sum(u for u, y in zip(unit, labels) if y == k) for k in range(classes)]
    several = [i for i, y in enumerate(labels) if (labels == y).sum() > 1]
    intra = np.mean([angle(embeddings[i], centers[labels[i]]) for i in several])
    inter = np.mean([min(angle(a, b) for b in centers if b is not a) for a in centers])
    nearest = np.mean(
        [min(angle(a, b) for j, b in enumerate(prototypes) if j != i) for i, a in enumerate(prototypes)]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "CHUNK", chunk)
        assert intra_class_angle(embeddings, labels) == pytest.approx(intra, abs=1e-5)
        assert inter_class_angle(embeddings, labels) == pytest.approx(inter, abs=1e-5)
        assert nearest_prototype_angle(prototypes) == pytest.approx(nearest, abs=1e-5)
    to_center = np.mean([angle(w, c) for w, c in zip(prototypes, centers)])
    assert prototype_to_center_angle(prototypes, embeddings, labels) == pytest.approx(to_center, abs=1e-5)


def test_known_angles_on_the_circle():
    embeddings, labels = at(0, 20, 90, 96, 300), np.array([0, 0, 1, 1, 2])
    embeddings = embeddings * np.array([[1], [7], [2], [2], [5]])  # lengths do not matter
    assert intra_class_angle(embeddings, labels) == pytest.approx((10 + 10 + 3 + 3) / 4)  # 2 has one photo
    # Centers at 10, 93 and 300 degrees: the nearest others are 70, 83 and 70 away.
    assert inter_class_angle(embeddings, labels) == pytest.approx((70 + 83 + 70) / 3)
    assert prototype_to_center_angle(at(15, 90, 310, 0), embeddings, labels) == pytest.approx(
        (5 + 3 + 10) / 3
    )
    assert nearest_prototype_angle(at(0, 90, 190)) == pytest.approx((90 + 90 + 100) / 3)


def test_a_regular_simplex_has_the_largest_nearest_angle():
    """K points whose every cosine is -1 / (K - 1)."""
    for k in (2, 3, 10):
        simplex = np.eye(k) - 1 / k
        assert nearest_prototype_angle(simplex) == pytest.approx(np.degrees(np.arccos(-1 / (k - 1))))


def test_tiny_and_flat_angles_keep_their_digits():
    """arccos would give 0 here: cos 1e-9 is 1 in float64."""
    tiny = np.degrees(1e-9)
    assert nearest_angles(np.array([[1, 0], [1, 1e-9]])) == pytest.approx([tiny, tiny], rel=1e-6)
    assert nearest_angles(np.array([[1.0, 0], [-1, 1e-9]])) == pytest.approx([180 - tiny] * 2, abs=1e-12)


def test_centers_weigh_photos_alike_and_come_sorted():
    centers, people = class_centers(np.array([[9.0, 0], [0, 1], [0, -3]]), np.array(["b", "b", "a"]))
    assert people.tolist() == ["a", "b"] and centers == pytest.approx(np.vstack([at(-90), at(45)]))


def test_norm_statistics():
    found = norm_statistics(np.array([[3, 4], [0, 1], [0, 2.0], [6, 8]]))
    assert found == pytest.approx(
        {"mean": 4.5, "std": np.std([5, 1, 2, 10]), "min": 1, "median": 3.5, "max": 10}
    )
    half = norm_statistics(np.full((2, 4), 200, np.float16))  # whose squares float16 does not hold
    assert half["mean"] == 400 and half["std"] == 0


def test_what_has_no_angle_is_refused():
    e, y = np.eye(3), np.arange(3)
    with pytest.raises(ValueError, match="no identity has two photos"):
        intra_class_angle(e, y)
    for function in (lambda: inter_class_angle(e, np.zeros(3)), lambda: nearest_prototype_angle(e[:1])):
        with pytest.raises(ValueError, match="there is one identity"):
            function()
    with pytest.raises(ValueError, match="labels run from 0 to 2; legal: 0 to 1"):
        prototype_to_center_angle(e[:2], e, y)
    with pytest.raises(ValueError, match="labels run from -1"):
        prototype_to_center_angle(e, e, y - 1)
    for function in (class_centers, intra_class_angle, inter_class_angle):
        with pytest.raises(ValueError, match="embeddings hold NaN"):
            function(e * np.nan, y)
        with pytest.raises(ValueError, match=r"labels \(2,\)"):
            function(e, y[:2])
    with pytest.raises(ValueError, match="embeddings hold NaN"):
        norm_statistics(np.full((2, 2), np.inf))
