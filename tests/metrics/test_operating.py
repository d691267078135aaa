"""Operating points: thresholds keep their promise on the scores they were measured on, and survive JSON."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facelab.metrics.operating import BINS, FARS, OperatingPoints, fit_logistic, measure_operating_points
from facelab.metrics.verification import equal_error_rate, threshold_at_far


@pytest.fixture(scope="module")
def scores() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.normal(0.7, 0.15, 3_000), rng.normal(0.2, 0.15, 100_000)


@pytest.fixture(scope="module")
def points(scores) -> OperatingPoints:
    return measure_operating_points(*scores, "draws from two normal distributions")


def test_thresholds_keep_to_their_rate_and_frr_is_what_they_cost(scores, points):
    genuine, impostor = scores
    for far, threshold, frr in zip(points.far, points.threshold, points.frr):
        accepted = (impostor >= threshold).mean()
        assert far - 1.01 / len(impostor) <= accepted <= far
        assert frr == pytest.approx((genuine < threshold).mean())
    assert (points.genuine_pairs, points.impostor_pairs) == (3_000, 100_000)
    assert (points.eer, points.eer_threshold) == equal_error_rate(genuine, impostor)


@pytest.mark.parametrize("far", [0.1, 0.01, 0.001, 0.0001])
def test_whole_decades_are_measured_and_answered_exactly(far, scores, points):
    assert points.threshold_for(far) == pytest.approx(threshold_at_far(scores[1], far), abs=1e-12)
    assert points.frr_for(far) == pytest.approx((scores[0] < threshold_at_far(scores[1], far)).mean())


@given(st.floats(1e-4, 0.1), st.floats(1e-4, 0.1))
def test_stricter_rates_have_higher_thresholds_and_refuse_more(points, a, b):
    strict, loose = sorted((a, b))
    assert points.threshold_for(strict) >= points.threshold_for(loose)
    assert points.frr_for(strict) >= points.frr_for(loose)
    assert points.threshold[0] <= points.threshold_for(a) <= points.threshold[-1]


def test_between_measured_rates_it_interpolates_in_log_far(points):
    middle = math.sqrt(points.far[3] * points.far[4])
    assert points.threshold_for(middle) == pytest.approx((points.threshold[3] + points.threshold[4]) / 2)
    assert points.frr_for(middle) == pytest.approx((points.frr[3] + points.frr[4]) / 2)


NO_RATES = [float("nan"), 0.0, -0.01, 0.11, 1.0, 1e-5, float("inf"), -float("inf"), None, "0.01", [0.01]]


@pytest.mark.parametrize("far", NO_RATES, ids=str)
def test_a_rate_outside_the_measured_ones_is_refused_with_the_range(far, points):
    for ask in (points.threshold_for, points.frr_for):
        with pytest.raises(
            ValueError, match=rf"rate is {re.escape(str(far))}; it must lie between 0\.0001 and 0\.1"
        ):
            ask(far)


@pytest.mark.parametrize(
    ("impostors", "lowest"), [(100, 0.1), (999, 10 ** (-31 / 16)), (1_000, 0.01), (10_000, 0.001)]
)
def test_no_rate_is_offered_that_fewer_than_ten_pairs_stand_behind(impostors, lowest):
    draw = np.random.default_rng(0).normal(size=impostors)
    points = measure_operating_points(draw[:50] + 2, draw, "few")
    assert points.far[-1] == pytest.approx(lowest) and points.far[0] == pytest.approx(0.1)
    assert len(points.far) == len(points.threshold) == len(points.frr)


@pytest.mark.parametrize("decade", [1, 2, 3, 4])
def test_exactly_ten_pairs_are_enough_for_a_rate_and_nine_are_not(decade):
    """The boundary itself, at whole decades, where it is a whole number of pairs."""
    far, enough = 10.0**-decade, 10 ** (decade + 1)
    draw = np.linspace(-1, 1, enough)
    genuine = np.linspace(0, 2, 20)
    assert measure_operating_points(genuine, draw, "ten").covers(far)
    if decade > 1:
        assert not measure_operating_points(genuine, draw[1:], "nine").covers(far)


def test_too_few_or_unfinished_scores_are_refused():
    draw = np.random.default_rng(0).normal(size=200)
    for genuine, impostor in ((draw[:9], draw), (draw[:50], draw[:99]), (draw[:0], draw), (draw, draw[:0])):
        with pytest.raises(ValueError, match="too few to set thresholds; give at least 10 and 100"):
            measure_operating_points(genuine, impostor, "few")
    for genuine, impostor in ((np.append(draw, np.nan), draw), (draw, np.append(draw, np.inf))):
        with pytest.raises(ValueError, match="scores hold NaN or infinity"):
            measure_operating_points(genuine, impostor, "broken")


def test_histograms_share_their_edges_and_sum_to_one(scores, points):
    assert len(points.edges) == BINS + 1 and len(points.genuine) == len(points.impostor) == BINS
    assert points.edges[0] == min(s.min() for s in scores) and points.edges[-1] == max(
        s.max() for s in scores
    )
    for share, values in ((points.genuine, scores[0]), (points.impostor, scores[1])):
        assert sum(share) == pytest.approx(1)
        inside = [
            ((values >= a) & (values < b)).mean() for a, b in zip(points.edges[:-2], points.edges[1:-1])
        ]
        assert np.allclose(share[:-1], inside)


def test_equal_scores_have_a_histogram_too():
    points = measure_operating_points(np.full(20, 0.5), np.full(200, 0.5), "all alike")
    assert sum(points.genuine) == pytest.approx(1) and points.edges[-1] > points.edges[0]
    assert points.probability(0.5) == pytest.approx(0.5, abs=0.01)


def test_a_round_trip_through_json_keeps_nine_digits_and_then_everything(points):
    once = OperatingPoints.from_dict(json.loads(json.dumps(points.to_dict())))
    assert once.source == points.source and once.genuine_pairs == points.genuine_pairs
    for name in ("far", "threshold", "frr", "edges", "genuine", "impostor"):
        assert getattr(once, name) == pytest.approx(getattr(points, name), rel=1e-8)
    assert OperatingPoints.from_dict(json.loads(json.dumps(once.to_dict()))) == once
    assert once.threshold_for(0.001) == pytest.approx(points.threshold_for(0.001), rel=1e-8)
    assert once.threshold_for(0.1) and once.threshold_for(0.0001)  # the ends are still legal when rounded


def test_missing_and_unknown_keys_are_named(points):
    values = points.to_dict()
    for broken in (values | {"extra": 1}, {k: v for k, v in values.items() if k != "slope"}):
        with pytest.raises(ValueError, match=r"wrong keys: .*(extra|slope)"):
            OperatingPoints.from_dict(broken)


def test_the_logistic_fit_recovers_a_known_sigmoid():
    """Scores drawn evenly and kinds by σ(8 s - 4): as many of each, so that weighting changes nothing."""
    rng = np.random.default_rng(2)
    slope, intercept = 8.0, -4.0
    values = rng.uniform(0, 1, 200_000)
    same = rng.uniform(size=len(values)) < 1 / (1 + np.exp(-(slope * values + intercept)))
    fitted = fit_logistic(values[same][:50_000], values[~same][:50_000])
    assert fitted == pytest.approx((slope, intercept), rel=0.03)


def test_the_fit_does_not_follow_how_many_pairs_there_are_of_a_kind():
    """Two normal distributions of equal spread have the exact posterior σ(d/σ² (s - middle)) at even odds."""
    rng = np.random.default_rng(3)
    genuine, impostor = rng.normal(0.6, 0.2, 5_000), rng.normal(0.2, 0.2, 200_000)
    slope, intercept = fit_logistic(genuine, impostor)
    assert slope == pytest.approx(0.4 / 0.2**2, rel=0.06)
    assert -intercept / slope == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("unit", [1.0, 1e-2, 1e-4, 1e-6, 1e4])
@pytest.mark.parametrize("shift", [0.0, 0.9])
def test_the_fit_does_not_depend_on_the_unit_of_the_scores(unit, shift):
    """σ(slope·score + intercept) of scores that spread by 1e-4 is that of the same scores spread by 1."""
    rng = np.random.default_rng(5)
    genuine, impostor = rng.normal(0.5, 0.2, 2_000), rng.normal(0.0, 0.2, 2_000)
    slope, intercept = fit_logistic(genuine, impostor)
    scaled, moved = fit_logistic(genuine * unit + shift, impostor * unit + shift)
    assert scaled * unit == pytest.approx(slope, rel=1e-3)
    for score in (0.0, 0.25, 0.5):
        assert scaled * (score * unit + shift) + moved == pytest.approx(slope * score + intercept, abs=0.02)


def test_a_narrow_model_keeps_its_decisions_and_probabilities_through_its_header():
    """Scores within 1e-5 of each other, as of a network that hardly tells anybody apart."""
    rng = np.random.default_rng(6)
    genuine, impostor = 0.9 + 1e-6 * rng.normal(5, 1, 500), 0.9 + 1e-6 * rng.normal(0, 1, 5_000)
    points = measure_operating_points(genuine, impostor, "narrow")
    kept = OperatingPoints.from_dict(json.loads(json.dumps(points.to_dict())))
    threshold = kept.threshold_for(0.01)
    assert (impostor >= threshold).mean() <= 0.0102 and (genuine >= threshold).mean() > 0.95
    assert kept.probability(genuine.mean()) > 0.95 and kept.probability(impostor.mean()) < 0.05


def test_equal_scores_say_nothing():
    assert fit_logistic(np.full(20, 0.3), np.full(30, 0.3)) == (0.0, 0.0)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_probability_rises_with_the_score_and_stays_a_probability(points, a, b):
    low, high = sorted((a, b))
    assert 0 <= points.probability(low) <= points.probability(high) <= 1


def test_the_rates_are_sixteen_a_decade_from_a_tenth():
    assert len(FARS) == 49 and FARS[0] == 0.1 and FARS[-1] == pytest.approx(1e-4)
    assert np.allclose(FARS[16:] / FARS[:-16], 0.1)
