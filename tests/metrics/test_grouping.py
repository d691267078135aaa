"""Grouping: the clusters of SciPy's average linkage, and pairs counted one by one."""

import itertools

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from facelab.metrics.grouping import MOST, group, pairwise_report


def faces(people, each, spread, seed=0, dim=16):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(people, dim))
    x = np.repeat(centers, each, 0) + spread * rng.normal(size=(people * each, dim))
    return x.astype(np.float32), np.repeat(np.arange(people), each)


def same(a, b):
    return ((a[:, None] == a) == (b[:, None] == b)).all()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [-0.2, 0.1, 0.35, 0.6, 0.9])
def test_groups_are_those_of_average_linkage(seed, threshold):
    x, _ = faces(6, 12, 0.7, seed)
    x64 = x.astype(np.float64) / np.linalg.norm(x, axis=1, keepdims=True)
    tree = linkage(x64, "average", metric="cosine")
    found = group(x, threshold)
    assert same(found.groups, fcluster(tree, 1 - threshold, "distance"))
    joins, kept = 1 - tree[:, 2], len(np.unique(found.groups))
    assert found.weakest is None or found.weakest == pytest.approx(joins[joins >= threshold].min(), abs=1e-5)
    if kept > 1:  # the next join of the tree is the most similar pair of groups that stayed apart
        assert found.strongest == pytest.approx(joins[joins < threshold].max(), abs=1e-5)
        assert found.strongest < threshold


def test_faces_at_the_very_threshold_are_joined():
    assert group(np.array([[1.0, 0.0], [1.0, 0.0]]), 1.0).groups.tolist() == [0, 0]


def test_groups_are_numbered_by_size_and_a_face_alone_is_a_group():
    x, _ = faces(1, 3, 0.01)
    other, _ = faces(1, 5, 0.01, seed=1)
    found = group(np.concatenate([x, other, -x[:1]]), 0.5)
    assert found.groups.tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 2]
    alone = group(x[:1], 0.5)
    assert alone.groups.tolist() == [0] and alone.weakest is None and alone.strongest is None
    assert "joined while the mean cosine between their faces is 0.500 or more." in alone.reason()
    assert "stayed apart have" in found.reason() and "the weakest join had" in found.reason()


def test_pairs_are_counted_as_one_by_one():
    rng = np.random.default_rng(0)
    groups, labels = rng.integers(0, 5, 40), rng.integers(-1, 6, 40)
    known = [i for i in range(40) if labels[i] >= 0]
    pairs = list(itertools.combinations(known, 2))
    together = {(i, j) for i, j in pairs if groups[i] == groups[j]}
    one = {(i, j) for i, j in pairs if labels[i] == labels[j]}
    report = pairwise_report(groups, labels)
    assert report["precision"] == pytest.approx(len(together & one) / len(together))
    assert report["recall"] == pytest.approx(len(together & one) / len(one))
    assert report["people"] == 6 and report["faces"] == len(known)
    nobody = pairwise_report(np.arange(4), np.arange(4))
    assert np.isnan(nobody["precision"]) and np.isnan(nobody["recall"]) and np.isnan(nobody["f1"])


def test_too_many_faces_are_refused_in_words():
    with pytest.raises(ValueError, match="25,001 faces cannot be grouped at once; give 1 to 25,000"):
        group(np.zeros((MOST + 1, 1)), 0.5)
    with pytest.raises(ValueError, match="0 faces"):
        group(np.zeros((0, 4)), 0.5)
