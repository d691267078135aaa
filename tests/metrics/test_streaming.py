"""Streamed pairs against the sorted scores of all of them, and memory that their number does not move."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelab.metrics import streaming
from facelab.metrics.similarity import cosine_matrix, distance_matrix
from facelab.metrics.streaming import BINS, stream_roc
from facelab.metrics.verification import all_pairs, cosine, equal_error_rate, roc
from facelab.recognition import reference

FEW = 4096  # bins, where a million would only take time
RATES = (0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)


def people(count: int, photos: int, seed: int = 0, noise: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (N, 64) about a center a person, shuffled, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(count), photos))
    centers = rng.normal(size=(count, 64))
    return (centers[labels] + noise * rng.normal(size=(len(labels), 64))).astype(np.float32), labels


def measured(embeddings, labels):
    """(the streamed ROC, bytes at the peak beyond what was there before)."""
    tracemalloc.start()
    found = stream_roc(embeddings, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, peak


def test_three_thousand_embeddings_give_the_figures_of_all_their_sorted_pairs():
    embeddings, labels = people(300, 10)
    found, peak = measured(embeddings, labels)
    unit = embeddings.astype(np.float64) / np.linalg.norm(embeddings.astype(np.float64), axis=1)[:, None]
    above = np.triu(np.ones((3000, 3000), bool), 1)
    same = labels[:, None] == labels
    scores = unit @ unit.T
    exact = roc(scores[above & same], scores[above & ~same])
    assert (found.genuine_pairs, found.impostor_pairs) == (300 * 45, 3000 * 2999 // 2 - 300 * 45)
    assert found.error < 1e-3
    eer = exact.equal_error_rate()[0]
    assert 0.001 < eer == pytest.approx(found.curve.equal_error_rate()[0], abs=found.error)
    assert exact.auc() == pytest.approx(found.curve.auc(), abs=found.error)
    for far in RATES:
        best = exact.tar_at_far(far)
        assert best - found.error <= found.curve.tar_at_far(far) <= best + 1e-9, far
    _, half = measured(embeddings[:2100], labels[:2100])
    assert peak < 60e6 and peak < 1.1 * half  # for twice the pairs; their scores would take 36 MB more


def test_every_point_of_the_curve_is_exact():
    embeddings, labels = people(20, 6, seed=1)
    found = stream_roc(embeddings, labels)
    genuine, impostor = (np.sort(side.astype(np.float64)) for side in all_pairs(embeddings, labels))
    assert found.curve.thresholds[0] == np.inf and found.curve.far[-1] == found.curve.tar[-1] == 1
    slack = 4 / BINS  # scores of one pair differ by rounding between the two programs
    for side, rate in ((genuine, found.curve.tar), (impostor, found.curve.far)):
        for threshold, share in zip(found.curve.thresholds[1:], rate[1:]):
            low, high = (len(side) - np.searchsorted(side, threshold + d) for d in (slack, -slack))
            assert low <= round(share * len(side)) <= high


@given(st.integers(0, 10**6), st.integers(2, 40), st.sampled_from([3, 7, 1024]))
def test_ties_and_tiles_change_nothing(seed, n, tile):
    """Directions at multiples of 45 degrees: nearly all scores tie, in bins that only equal scores share."""
    rng = np.random.default_rng(seed)
    angle, labels = rng.integers(0, 8, n) * (np.pi / 4), rng.integers(0, 3, n)
    embeddings = np.stack([np.cos(angle), np.sin(angle)], 1).round(6)
    genuine, impostor = (side.astype(np.float64).round(5) for side in all_pairs(embeddings, labels))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "TILE", tile)
        patch.setattr(streaming, "BINS", FEW)
        if not len(genuine) or not len(impostor):
            with pytest.raises(ValueError, match=r"there is no (genuine|impostor) pair; give two people"):
                stream_roc(embeddings, labels, shifted, (-1.1, 1.1))
            return
        found = stream_roc(embeddings, labels, shifted, (-1.1, 1.1))
    exact = roc(genuine, impostor)
    assert np.allclose(found.curve.far, exact.far) and np.allclose(found.curve.tar, exact.tar)
    assert found.curve.equal_error_rate()[0] == pytest.approx(exact.equal_error_rate()[0])
    assert found.curve.auc() == pytest.approx(exact.auc())
    below = exact.thresholds[1:] + 0.6 / FEW - found.curve.thresholds[1:]
    assert (below >= 0).all() and (
        below < 2.2 / FEW
    ).all()  # a threshold is the lower edge of its scores' bin
    largest = max(np.unique(side, return_counts=True)[1].max() / len(side) for side in (genuine, impostor))
    assert found.error == pytest.approx(largest)


def shifted(gallery, probes):
    """Cosines rounded into the middle of bins, away from edges, so that equal ones share a bin."""
    return np.round(cosine_matrix(gallery, probes).astype(np.float64), 5) + 0.6 / FEW


@given(st.integers(0, 10**6))
def test_matrices_are_the_paired_scores_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    gallery, probes = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=(5, 3)).astype(np.float32)
    probes[0], probes[1] = gallery[0], 0
    for matrix, paired in ((cosine_matrix, cosine), (distance_matrix, reference.score)):
        expected = [[paired(g[None], p[None])[0] for p in probes] for g in gallery]
        assert matrix(gallery, probes) == pytest.approx(np.array(expected), abs=1e-6)
    assert distance_matrix(gallery, probes)[0, 0] == pytest.approx(1, abs=1e-7)
    assert (np.abs(cosine_matrix(gallery, gallery)) <= 1).all()


def test_another_score_is_streamed_within_its_own_limits():
    embeddings, labels = people(30, 5, seed=2)
    limits = (1 - 2 * float(np.linalg.norm(embeddings, axis=1).max()), 1.0)
    found = stream_roc(embeddings, labels, distance_matrix, limits)
    genuine, impostor = all_pairs(embeddings, labels, reference.score)
    eer, threshold = equal_error_rate(genuine, impostor)
    assert found.curve.equal_error_rate() == (
        pytest.approx(eer, abs=found.error),
        pytest.approx(threshold, abs=0.05),
    )


@pytest.mark.parametrize(
    ("embeddings", "labels", "words"),
    [
        (np.ones((3, 2)), np.arange(2), r"shape \(3, 2\) and labels \(2,\)"),
        (np.ones(3), np.arange(3), r"shape \(3,\)"),
        (np.empty((0, 2)), np.empty(0), r"shape \(0, 2\)"),
        (np.full((3, 2), np.nan), np.zeros(3), "embeddings hold NaN"),
        (np.ones((3, 2)), np.zeros(3), "no impostor pair"),
        (np.ones((3, 2)), np.arange(3), "no genuine pair"),
        (np.ones((1, 2)), np.zeros(1), "no genuine pair"),
    ],
)
def test_what_has_no_pairs_of_both_kinds_is_refused(embeddings, labels, words):
    with pytest.raises(ValueError, match=words):
        stream_roc(embeddings, labels)
