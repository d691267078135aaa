"""Calibration against plain loops, scikit-learn, torchmetrics and, where it is installed, netcal."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression
from sklearn.metrics import brier_score_loss, log_loss
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import binary_calibration_error, multiclass_calibration_error

from facelab.metrics.calibration import (
    TEMPERATURES,
    brier_score,
    fit_isotonic,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    softmax,
)

claims = st.lists(
    st.tuples(st.one_of(st.integers(0, 20).map(lambda i: i / 20), st.floats(0, 1)), st.booleans()),
    min_size=1,
    max_size=40,
)


@given(claims, st.sampled_from([1, 2, 5, 10, 15]))
def test_bins_hold_what_a_loop_puts_there(rows, bins):
    confidence, correct = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    found = reliability(confidence, correct, bins)
    edges = np.linspace(0, 1, bins + 1)
    gaps, shares = [], []
    for m in range(bins):
        last = m == bins - 1
        inside = [
            i for i, c in enumerate(confidence) if edges[m] <= c and (c < edges[m + 1] or (last and c == 1))
        ]
        assert found.count[m] == len(inside)
        if not inside:
            assert np.isnan(found.confidence[m]) and np.isnan(found.accuracy[m])
            continue
        assert found.confidence[m] == pytest.approx(confidence[inside].mean())
        assert found.accuracy[m] == pytest.approx(correct[inside].mean())
        gaps.append(abs(correct[inside].mean() - confidence[inside].mean()))
        shares.append(len(inside) / len(rows))
    assert found.count.sum() == len(rows)
    assert found.ece() == pytest.approx(np.dot(gaps, shares)) and found.mce() == pytest.approx(max(gaps))


@pytest.fixture
def classifier():
    """An overconfident one: (logits (2000, 7), labels)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2000, 7))
    return logits, np.array([rng.choice(7, p=p) for p in softmax(logits / 2)])


@pytest.mark.parametrize("bins", [10, 15])
def test_ece_and_mce_equal_torchmetrics(classifier, bins):
    logits, labels = classifier
    top = softmax(logits)
    found = reliability(top.max(1), top.argmax(1) == labels, bins)
    for norm, ours in (("l1", found.ece()), ("max", found.mce())):
        theirs = multiclass_calibration_error(torch.tensor(logits), torch.tensor(labels), 7, bins, norm)
        assert ours == pytest.approx(theirs.item(), abs=1e-6)
    claim, same = top[:, 0], labels == 0
    theirs = binary_calibration_error(torch.tensor(claim), torch.tensor(same), bins)
    assert reliability(claim, same, bins).ece() == pytest.approx(theirs.item(), abs=1e-6)


@pytest.mark.parametrize("bins", [10, 15])
def test_ece_and_mce_equal_netcal(classifier, bins):
    netcal = pytest.importorskip("netcal.metrics", reason="netcal brings pyro and gpytorch: not pinned")
    logits, labels = classifier
    top = softmax(logits)
    found = reliability(top.max(1), top.argmax(1) == labels, bins)
    assert found.ece() == pytest.approx(netcal.ECE(bins).measure(top, labels))
    assert found.mce() == pytest.approx(netcal.MCE(bins).measure(top, labels))
    sure = np.array([1.0, 1.0, 0.95, 0.3])  # where torchmetrics gives claims of 1 a bin of their own
    truth = np.array([1, 0, 1, 0])
    assert reliability(sure, truth, bins).ece() == pytest.approx(netcal.ECE(bins).measure(sure, truth))


def test_brier_and_nll_equal_scikit_learn_and_torch(classifier):
    logits, labels = classifier
    probabilities = softmax(logits)
    theirs = brier_score_loss(labels, probabilities, labels=range(7), scale_by_half=False)
    assert brier_score(probabilities, labels) == pytest.approx(theirs)
    assert negative_log_likelihood(logits, labels) == pytest.approx(log_loss(labels, probabilities))
    exact = cross_entropy(torch.tensor(logits * 1e4), torch.tensor(labels)).item()  # past exp's range
    assert negative_log_likelihood(logits * 1e4, labels) == pytest.approx(exact)
    one, two = np.array([[0.3, 0.7]]), np.array([1])
    assert brier_score(one, two) == pytest.approx(2 * 0.3**2)  # both classes are counted
    assert brier_score(np.array([[1.0, 0.0]]), two) == 2


@given(st.integers(0, 10**6), st.floats(0.2, 5))
def test_temperature_is_where_no_grid_point_is_better(seed, scale):
    rng = np.random.default_rng(seed)
    logits, labels = scale * rng.normal(size=(40, 4)), rng.integers(0, 4, 40)
    found = fit_temperature(logits, labels)
    best = negative_log_likelihood(logits / found, labels)
    for other in [*np.geomspace(*TEMPERATURES, 60), found * 0.999, found * 1.001]:
        if TEMPERATURES[0] <= other <= TEMPERATURES[1]:
            assert best <= negative_log_likelihood(logits / other, labels) + 1e-12


def test_temperature_scales_with_the_logits_and_stops_at_its_ends(classifier):
    logits, labels = classifier
    once = fit_temperature(logits, labels)
    assert once == pytest.approx(2, rel=0.06)  # they were drawn at T = 2
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * once)
    assert fit_temperature(logits + 5, labels) == pytest.approx(once)
    right = 10 * np.eye(3)
    assert fit_temperature(right, np.arange(3)) == TEMPERATURES[0]  # all right: never sure enough
    assert fit_temperature(-right, np.arange(3)) == TEMPERATURES[1]  # all wrong: never unsure enough


def balanced_loss(probability, genuine, impostor):
    return ((1 - probability(genuine)) ** 2).mean() + (probability(impostor) ** 2).mean()


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=20),
    st.lists(st.integers(-3, 3), min_size=1, max_size=20),
)
def test_isotonic_is_the_best_rising_fit_with_ties(genuine, impostor):
    genuine, impostor = np.array(genuine, float), np.array(impostor, float)
    fit = fit_isotonic(genuine, impostor)
    values = np.unique(np.concatenate([genuine, impostor]))
    ours = fit.probability(values)
    assert (np.diff(ours) >= -1e-12).all() and ours.min() >= 0 and ours.max() <= 1
    g = np.array([(genuine == v).mean() for v in values])
    i = np.array([(impostor == v).mean() for v in values])
    assert ours == pytest.approx(isotonic_regression(g / (g + i), sample_weight=g + i))
    # Any rising step function does no better, as a brute force over thresholds and levels shows.
    best = balanced_loss(fit.probability, genuine, impostor)
    for threshold in values:
        for low, high in ((0, 1), (0.2, 0.6), (0.5, 0.5)):
            step = lambda s, t=threshold, a=low, b=high: np.where(s >= t, b, a)  # noqa: E731
            assert best <= balanced_loss(step, genuine, impostor) + 1e-12


def test_isotonic_finds_even_odds_however_many_pairs_there_are_of_a_kind():
    """Two normal distributions of one spread: P = 1/2 midway, whatever their counts."""
    rng = np.random.default_rng(3)
    fit = fit_isotonic(rng.normal(0.6, 0.2, 4_000), rng.normal(0.2, 0.2, 100_000))
    assert fit.probability(0.4) == pytest.approx(0.5, abs=0.06)
    assert fit.probability(-9.0) == fit.probabilities[0] < 0.01 and fit.probability(9.0) > 0.99
    score = np.linspace(0, 0.8, 50)
    exact = 1 / (1 + np.exp(-(0.4 / 0.2**2) * (score - 0.4)))
    assert np.abs(fit.probability(score) - exact).mean() < 0.03


@pytest.mark.parametrize(
    ("confidence", "correct", "bins", "words"),
    [
        ([], [], 15, r"shape \(0,\)"),
        ([0.5], [True, False], 15, r"truths \(2,\)"),
        ([1.1], [True], 15, r"outside \[0, 1\]"),
        ([np.nan], [True], 15, "NaN"),
        ([0.5], [True], 0, "bins is 0; it must be 1 or more"),
    ],
)
def test_claims_that_are_no_probabilities_are_refused(confidence, correct, bins, words):
    with pytest.raises(ValueError, match=words):
        reliability(np.array(confidence), np.array(correct), bins)


def test_isotonic_refuses_an_empty_or_unfinished_side():
    for bad in ([], [np.nan]):
        with pytest.raises(ValueError, match="no genuine score"):
            fit_isotonic(np.array(bad), np.arange(3.0))
        with pytest.raises(ValueError, match="no impostor score"):
            fit_isotonic(np.arange(3.0), np.array(bad))
