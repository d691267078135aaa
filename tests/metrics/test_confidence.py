"""Bootstrap intervals: a draw is what repeating the scores would give, and the interval covers the truth."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelab.metrics import confidence
from facelab.metrics.confidence import (
    difference_by_pair,
    intervals_by_identity,
    intervals_by_pair,
    mean_interval,
)
from facelab.metrics.verification import auc, equal_error_rate, tar_at_far

tied = st.lists(st.integers(-4, 4), min_size=1, max_size=15).map(lambda s: np.array(s, float))


def spread(interval):
    return interval[1] - interval[0]


@given(tied, tied, st.integers(0, 10**6))
def test_weighing_scores_gives_the_figures_of_repeating_them(genuine, impostor, seed):
    """One draw, twice, so that the interval is a point: it must be the figure of the list drawn."""
    rng = np.random.default_rng(seed)
    weights = [rng.integers(0, 3, len(side)) + (np.arange(len(side)) == 0) for side in (genuine, impostor)]
    found = confidence._intervals(genuine, impostor, [weights] * 2)
    drawn = [np.repeat(side, weight) for side, weight in zip((genuine, impostor), weights)]
    assert found["eer"] == pytest.approx((equal_error_rate(*drawn)[0],) * 2)
    assert found["auc"] == pytest.approx((auc(*drawn),) * 2)
    for rate, interval in found["tar_at_far"].items():
        assert interval == pytest.approx((tar_at_far(*drawn, float(rate)),) * 2)


def test_pairs_are_drawn_with_replacement_and_the_middle_95_percent_is_kept():
    """The same draws by hand, each figure from its own sorted list."""
    rng = np.random.default_rng(0)
    genuine, impostor = rng.normal(1, 1, 80), rng.normal(0, 1, 120)
    found = intervals_by_pair(genuine, impostor, resamples=60, seed=7)
    rng = np.random.default_rng(7)
    samples = []
    for _ in range(60):
        drawn = genuine[rng.integers(0, 80, 80)], impostor[rng.integers(0, 120, 120)]
        samples.append([equal_error_rate(*drawn)[0], auc(*drawn), tar_at_far(*drawn, 0.1)])
    low, high = np.quantile(samples, [0.025, 0.975], axis=0)
    for interval, a, b in zip((found["eer"], found["auc"], found["tar_at_far"]["0.1"]), low, high):
        assert interval == pytest.approx((a, b))
    assert found == intervals_by_pair(genuine, impostor, 60, 7) != intervals_by_pair(genuine, impostor, 60, 8)


def test_two_models_meet_the_same_draws():
    """By hand, each figure from its own sorted list; the same model twice differs by nothing."""
    rng = np.random.default_rng(0)
    genuine, impostor = rng.normal(1, 1, (2, 80)), rng.normal(0, 1, (2, 120))
    first, second = zip(genuine, impostor)
    found = difference_by_pair(first, second, resamples=60, seed=7)
    rng = np.random.default_rng(7)
    samples = []
    for _ in range(60):
        rows, columns = rng.integers(0, 80, 80), rng.integers(0, 120, 120)
        eers = [equal_error_rate(genuine[i, rows], impostor[i, columns])[0] for i in (0, 1)]
        rates = [tar_at_far(genuine[i, rows], impostor[i, columns], 0.1) for i in (0, 1)]
        samples.append([eers[0] - eers[1], rates[0] - rates[1]])
    whole = equal_error_rate(*first)[0] - equal_error_rate(*second)[0]
    low, high = np.quantile(samples, [0.025, 0.975], axis=0)
    assert found["eer"] == pytest.approx((whole, low[0], high[0]))
    assert found["tar_at_far"]["0.1"][1:] == pytest.approx((low[1], high[1]))
    assert difference_by_pair(first, first)["eer"] == (0, 0, 0)


def test_a_paired_difference_is_surer_than_two_intervals_side_by_side():
    """Two models that err on the same pairs: what is hard for both cancels."""
    rng = np.random.default_rng(2)
    genuine, impostor = rng.normal(1, 1, 400), rng.normal(0, 1, 400)
    other = genuine + rng.normal(0, 0.1, 400), impostor + rng.normal(0, 0.1, 400)
    low, high = difference_by_pair((genuine, impostor), other)["auc"][1:]
    assert high - low < 0.5 * spread(intervals_by_pair(genuine, impostor)["auc"])
    with pytest.raises(ValueError, match="give the same ones to both"):
        difference_by_pair((genuine, impostor), (genuine[1:], impostor))


def test_the_interval_of_the_auc_is_as_wide_as_its_known_error():
    """Hanley and McNeil's standard error of the AUC (1982), times 2 · 1.96."""
    rng = np.random.default_rng(1)
    genuine, impostor = rng.normal(1, 1, 400), rng.normal(0, 1, 400)
    area = auc(genuine, impostor)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + 399 * (q1 - area**2) + 399 * (q2 - area**2)) / 400**2)
    interval = intervals_by_pair(genuine, impostor)["auc"]
    assert spread(interval) == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert interval[0] < area < interval[1]


def crowd(count, photos, seed, gap=1.5):
    """Scores of all pairs among people of whom each is easy or hard as a whole, with who they are."""
    rng = np.random.default_rng(seed)
    easy = rng.normal(0, 1, count)
    pairs = list(itertools.combinations(np.repeat(np.arange(count), photos), 2))
    own = np.array([i for i, j in pairs if i == j])
    others = np.array([(i, j) for i, j in pairs if i != j])
    genuine = gap + easy[own] + 0.3 * rng.normal(size=len(own))
    impostor = 0.5 * easy[others].sum(1) + 0.3 * rng.normal(size=len(others))
    return genuine, impostor, own, others


def test_someone_drawn_twice_counts_twice_with_themself_and_with_others():
    genuine, impostor, own, others = crowd(6, 3, 0, gap=0.4)
    found = intervals_by_identity(genuine, impostor, own, others, resamples=40, seed=3)
    rng = np.random.default_rng(3)
    samples = []
    for _ in range(40):
        people = rng.integers(0, 6, 6)
        drawn = [s for p in people for s in genuine[own == p]]
        strange = [
            s
            for a, b in itertools.combinations(people, 2)
            if a != b
            for s in impostor[(others == sorted((a, b))).all(1)]
        ]
        if drawn and strange:
            samples.append([equal_error_rate(drawn, strange)[0], auc(drawn, strange)])
    low, high = np.quantile(samples, [0.025, 0.975], axis=0)
    assert found["eer"] == pytest.approx((low[0], high[0])) and found["auc"] == pytest.approx(
        (low[1], high[1])
    )


def test_drawing_people_covers_the_truth_where_drawing_pairs_does_not():
    truth = np.mean([auc(*crowd(60, 4, seed)[:2]) for seed in range(100, 120)])
    covered = np.zeros(2, int)
    for seed in range(12):
        genuine, impostor, own, others = crowd(14, 4, seed)
        for i, found in enumerate(
            (
                intervals_by_pair(genuine, impostor, 80),
                intervals_by_identity(genuine, impostor, own, others, 80),
            )
        ):
            covered[i] += found["auc"][0] <= truth <= found["auc"][1]
    assert covered[1] >= 9 > covered[0]


def test_a_mean_is_drawn_by_whole_people():
    rng = np.random.default_rng(2)
    hits = np.repeat(rng.uniform(size=50) < 0.7, 8)  # all photos of a person hit, or none
    people = np.repeat(np.arange(50), 8).astype(str)
    whole, single = mean_interval(hits, people), mean_interval(hits, np.arange(400))
    assert spread(whole) == pytest.approx(2 * 1.96 * np.sqrt(0.7 * 0.3 / 50), rel=0.25)
    assert spread(single) == pytest.approx(spread(whole) / np.sqrt(8), rel=0.15)
    assert whole[0] <= hits.mean() <= whole[1]
    assert mean_interval(np.ones(6), np.arange(6)) == (1, 1)
    uneven = np.repeat([0, 1], [9, 1])  # drawn: both, the one with nine photos twice, or the other twice
    assert mean_interval(uneven == 1, uneven) == (0, 1)
    assert mean_interval(np.full(10, 0.3), uneven) == pytest.approx((0.3, 0.3))


def test_what_cannot_be_drawn_is_refused():
    sides = np.arange(5.0), np.arange(5.0)
    with pytest.raises(ValueError, match="resamples is 1; an interval needs 2 or more"):
        intervals_by_pair(*sides, resamples=1)
    for bad in ([], [np.nan]):
        with pytest.raises(ValueError, match="genuine score"):
            intervals_by_pair(np.array(bad), sides[1])
    with pytest.raises(ValueError, match="no impostor score"):
        intervals_by_identity(sides[0], np.array([]), np.zeros(5, int), np.empty((0, 2), int))
