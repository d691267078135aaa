"""Verification figures against plain loops and scikit-learn, with many ties."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score, roc_curve
from torchmetrics.functional.classification import binary_eer

from facelab.metrics.confidence import intervals_by_pair
from facelab.metrics.verification import (
    all_pairs,
    auc,
    best_threshold,
    cosine,
    equal_error_rate,
    fold_accuracy,
    roc,
    supported_fars,
    tar_at_far,
    threshold_at_far,
    thresholds_at_far,
    verification_report,
)

tied = st.lists(st.integers(-4, 4), min_size=1, max_size=25).map(lambda s: np.array(s, float))
fine = arrays(np.float64, st.integers(1, 25), elements=st.floats(-1, 1))
scores = st.one_of(tied, fine)
rates = st.floats(1e-4, 1, exclude_min=True)


def far_at(impostor, threshold):
    return sum(s >= threshold for s in impostor) / len(impostor)


def frr_at(genuine, threshold):
    return sum(s < threshold for s in genuine) / len(genuine)


@given(scores, scores)
def test_roc_counts_what_a_loop_counts(genuine, impostor):
    curve = roc(genuine, impostor)
    assert curve.thresholds.tolist() == [np.inf, *sorted({*genuine, *impostor}, reverse=True)]
    assert curve.far.tolist() == [far_at(impostor, t) for t in curve.thresholds]
    assert np.allclose(curve.frr, [frr_at(genuine, t) for t in curve.thresholds], atol=1e-15)
    assert curve.far[0] == 0 and curve.frr[0] == 1 and curve.far[-1] == 1 and curve.frr[-1] == 0
    assert (np.diff(curve.far) >= 0).all() and (np.diff(curve.frr) <= 0).all()


@given(scores, scores)
def test_roc_equals_scikit_learn(genuine, impostor):
    truth = np.repeat([1, 0], [len(genuine), len(impostor)])
    far, tar, thresholds = roc_curve(truth, np.concatenate([genuine, impostor]), drop_intermediate=False)
    curve = roc(genuine, impostor)
    assert np.array_equal(curve.thresholds, thresholds)
    assert np.allclose(curve.far, far) and np.allclose(1 - curve.frr, tar)


@given(scores, scores)
def test_auc_counts_ties_half_and_equals_scikit_learn(genuine, impostor):
    wins = sum((g > i) + (g == i) / 2 for g in genuine for i in impostor)
    assert auc(genuine, impostor) == pytest.approx(wins / (len(genuine) * len(impostor)))
    truth = np.repeat([1, 0], [len(genuine), len(impostor)])
    assert auc(genuine, impostor) == pytest.approx(roc_auc_score(truth, np.concatenate([genuine, impostor])))
    assert auc(genuine, impostor) == pytest.approx(1 - auc(impostor, genuine))


@pytest.mark.parametrize(
    ("genuine", "impostor", "rate", "threshold"),
    [
        ([2, 3], [0, 1], 0.0, 2),  # apart: no error from 2 on
        ([0, 1], [2, 3], 1.0, 2),  # the wrong way round
        ([1], [1], 0.5, 1),  # all tied: halfway along the one segment
        ([1, 1, 2, 2], [1, 1, 0, 0], 0.25, 1.5),  # (far 0, frr .5) to (.5, 0): they cross at .25
        ([1, 2, 3, 4], [0, 1, 2, 3], 0.375, 2.5),  # (.25, .25) would be at 3... see the loop below
        ([3, 1], [2, 0], 0.5, 2),
    ],
)
def test_eer_on_cases_worked_by_hand(genuine, impostor, rate, threshold):
    if genuine == [1, 2, 3, 4]:
        # at 3: far 1/4, frr 2/4; at 2: far 2/4, frr 1/4; straight between them they meet at 3/8
        assert (far_at(impostor, 3), frr_at(genuine, 3)) == (0.25, 0.5)
    assert equal_error_rate(np.array(genuine), np.array(impostor)) == pytest.approx((rate, threshold))


@given(scores, scores)
def test_eer_lies_where_the_interpolated_rates_are_equal(genuine, impostor):
    rate, threshold = equal_error_rate(genuine, impostor)
    curve = roc(genuine, impostor)
    position = np.linspace(0, len(curve.far) - 1, 200 * len(curve.far) + 1)
    far = np.interp(position, range(len(curve.far)), curve.far)
    frr = np.interp(position, range(len(curve.frr)), curve.frr)
    nearest = np.abs(far - frr).argmin()
    assert rate == pytest.approx((far[nearest] + frr[nearest]) / 2, abs=0.006)
    assert 0 <= rate <= 1
    assert min(*genuine, *impostor) <= threshold <= max(*genuine, *impostor)


@given(scores, rates)
@example(np.array([0.5] * 10), 0.1)
@example(np.arange(10.0), 0.3)  # 0.3 * 10 is 3 in decimals and 2.999... in binary
def test_threshold_at_far_never_exceeds_far_and_is_tight(impostor, far):
    threshold = threshold_at_far(impostor, far)
    assert far_at(impostor, threshold) <= far + 1e-9
    if far < 1:
        assert far_at(impostor, np.nextafter(threshold, -np.inf)) > far - 1e-9


@given(scores, scores, rates)
def test_tar_at_far_is_the_best_that_any_threshold_reaches(genuine, impostor, far):
    assume(far < 1 - 1e-9)  # at 1 it is the lowest impostor score by definition
    candidates = [np.inf, *np.nextafter([*genuine, *impostor], np.inf), *genuine, *impostor]
    legal = [t for t in candidates if far_at(impostor, t) <= far + 1e-12]
    assert tar_at_far(genuine, impostor, far) == pytest.approx(max(1 - frr_at(genuine, t) for t in legal))


def test_a_genuine_score_at_the_threshold_is_accepted():
    assert tar_at_far(np.array([0.1, 0.0]), np.array([0.1, 0.5]), 1.0) == 0.5


@pytest.mark.parametrize("far", [0, -0.1, 1.1, float("nan"), float("inf")])
def test_a_far_that_is_no_rate_is_refused(far):
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        threshold_at_far(np.arange(5.0), far)


def right(values, same, threshold):
    return sum((s >= threshold) == bool(t) for s, t in zip(values, same))


labeled = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30)


def most_right(values, same):
    return max(right(values, same, t) for t in [np.inf, *values])


@given(labeled)
def test_best_threshold_makes_the_most_right_decisions(pairs):
    values, same = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])
    assert right(values, same, best_threshold(values, same)) == most_right(values, same)


def test_best_threshold_splits_even_neighboring_floats():
    low = 0.1
    values, same = np.array([low, np.nextafter(low, 1)]), np.array([False, True])
    assert right(values, same, best_threshold(values, same)) == 2


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=4, max_size=40))
def test_fold_accuracy_equals_the_naive_loop(rows):
    values, same = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    folds = np.array([r[2] for r in rows])
    assume(same.any() and not same.all())
    accuracy = fold_accuracy(values, same, folds)
    kinds = sorted(set(folds.tolist()))
    assert len(accuracy) == len(kinds)
    for value, fold in zip(accuracy, kinds):
        test = folds == fold
        rest = ~test if len(kinds) > 1 else test
        # one threshold between any two scores; of those that are best on the rest, the strictest counts
        ordered = sorted(set(values[rest]), reverse=True)
        between = [
            ordered[0] + 0.5,
            *[(a + b) / 2 for a, b in itertools.pairwise(ordered)],
            ordered[-1] - 0.5,
        ]
        strictest = max(between, key=lambda t: right(values[rest], same[rest], t))
        assert value == pytest.approx(right(values[test], same[test], strictest) / test.sum())


def test_fold_accuracy_on_a_case_worked_by_hand():
    """Fold 0 is judged at fold 1's best threshold, 0.5, and the other way round at 0.75."""
    values = np.array([0.9, 0.6, 0.7, 0.2])
    same = np.array([True, False, True, False])
    accuracy = fold_accuracy(values, same, np.array([0, 0, 1, 1]))
    assert accuracy.tolist() == [0.5, 0.5]


def test_the_report_gathers_the_figures_and_takes_zero_and_one_for_truth():
    rng = np.random.default_rng(1)
    same = np.tile([1, 0], 200)
    values = rng.normal(same, 1)
    folds = np.arange(400) // 40
    report = verification_report(values, same, folds)
    genuine, impostor = values[same == 1], values[same == 0]
    assert report["accuracy"] == pytest.approx(fold_accuracy(values, same, folds).mean())
    assert report["accuracy_std"] == pytest.approx(np.std(report["fold_accuracy"], ddof=1))
    assert report["eer"] == equal_error_rate(genuine, impostor)[0]
    assert report["auc"] == auc(genuine, impostor)
    assert report["tar_at_far"] == {
        k: tar_at_far(genuine, impostor, float(k))
        for k in ("0.1", "0.01")  # 200 impostors
    }
    assert verification_report(values, same, np.zeros(400))["accuracy_std"] == 0


@pytest.mark.parametrize("power", range(1, 7))
def test_a_rate_is_shown_from_one_impostor_on_that_may_be_accepted(power):
    """The boundary itself: 1,000 impostors show a rate of 0.001 and 999 do not."""
    far, count = 10.0**-power, 10**power
    assert supported_fars([far], count) == [far]
    assert supported_fars([far], count - 1) == []
    assert supported_fars([0.1, far], count) == [0.1, far]


@pytest.mark.parametrize(
    ("impostors", "rates"), [(9, []), (10, ["0.1"]), (99, ["0.1"]), (100, ["0.1", "0.01"])]
)
def test_a_list_reports_no_rate_that_its_impostors_cannot_show(impostors, rates):
    values = np.linspace(0, 1, 50 + impostors)
    same = np.arange(len(values)) >= impostors
    assert list(verification_report(values, same, np.zeros(len(values)))["tar_at_far"]) == rates
    assert list(intervals_by_pair(values[same], values[~same], 5)["tar_at_far"]) == rates


@pytest.mark.parametrize("function", [roc, auc, equal_error_rate, lambda g, i: tar_at_far(g, i, 0.1)])
@pytest.mark.parametrize("bad", [[], [np.nan, 1.0], [np.inf]], ids=str)
def test_empty_and_unfinished_scores_are_refused(function, bad):
    with pytest.raises(ValueError, match=r"there is no genuine score|genuine scores hold NaN"):
        function(np.array(bad), np.arange(4.0))
    with pytest.raises(ValueError, match=r"there is no impostor score|impostor scores hold NaN"):
        function(np.arange(4.0), np.array(bad))


def test_thresholds_and_folds_refuse_them_too():
    for bad in ([], [np.nan, 1.0]):
        with pytest.raises(ValueError, match="impostor score"):
            threshold_at_far(np.array(bad), 0.1)
    with pytest.raises(ValueError, match="no impostor score"):
        fold_accuracy(np.arange(3.0), np.ones(3, bool), np.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        fold_accuracy(np.array([1, np.nan]), np.array([True, False]), np.zeros(2))


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 5), st.integers(1, 4)),
        elements=st.integers(-900, 900).map(lambda i: i / 100),
    )
)
def test_cosine_is_the_loop_and_zero_for_zero_vectors(a):
    b = a[::-1] + 1
    for value, x, y in zip(cosine(a, b), a, b):
        length = np.sqrt(sum(v * v for v in x)) * np.sqrt(sum(v * v for v in y))
        assert value == pytest.approx(sum(x * y) / length if length > 1e-12 else 0, abs=1e-6)
    assert (np.abs(cosine(a, a)) <= 1).all()


@given(st.integers(0, 9), st.integers(0, 99))
def test_all_pairs_are_each_taken_once(n, seed):
    rng = np.random.default_rng(seed)
    embeddings, labels = rng.normal(size=(n, 3)), rng.integers(0, 3, n)
    genuine, impostor = all_pairs(embeddings, labels)
    values = [(cosine(embeddings[i : i + 1], embeddings[j : j + 1])[0], labels[i] == labels[j])
              for i in range(n) for j in range(i + 1, n)]  # fmt: skip
    assert genuine.tolist() == pytest.approx([v for v, same in values if same], abs=1e-6)
    assert impostor.tolist() == pytest.approx([v for v, same in values if not same], abs=1e-6)


@given(scores, scores, rates)
def test_the_curve_gives_the_figures_of_the_scores(genuine, impostor, far):
    assume(far < 1 - 1e-9)
    curve = roc(genuine, impostor)
    assert curve.tar_at_far(far) == tar_at_far(genuine, impostor, far)
    expected = {"eer": equal_error_rate(genuine, impostor)[0], "auc": auc(genuine, impostor)}
    assert curve.figures([far]) == expected | {"tar_at_far": {f"{far:g}": curve.tar_at_far(far)}}


def test_a_curve_refuses_a_far_that_is_no_rate():
    for far in (0, -0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
            roc(np.arange(3.0), np.arange(3.0)).tar_at_far(far)


@given(scores, st.lists(rates, max_size=5))
def test_many_thresholds_are_each_alone(impostor, fars):
    assert thresholds_at_far(impostor, fars).tolist() == [threshold_at_far(impostor, far) for far in fars]


def test_eer_is_torchmetrics_within_the_step_that_it_does_not_interpolate():
    rng = np.random.default_rng(4)
    genuine, impostor = rng.normal(0.6, 0.1, 3000), rng.normal(0.4, 0.1, 5000)
    truth = torch.tensor(np.repeat([1, 0], [3000, 5000]))
    theirs = binary_eer(torch.tensor(np.concatenate([genuine, impostor])), truth).item()
    assert equal_error_rate(genuine, impostor)[0] == pytest.approx(theirs, abs=1 / 3000)
