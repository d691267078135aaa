"""Intervals of counted rates, against their definitions."""

import math

import numpy as np
import pytest

from facelab.metrics.proportion import Z, rate_interval


@pytest.mark.parametrize(("errors", "trials"), [(1, 10), (5, 10), (3, 1000), (999, 1000)])
def test_wilsons_ends_are_the_rates_whose_normal_test_just_accepts_what_was_seen(errors, trials):
    seen = errors / trials
    for end in rate_interval(errors, trials):
        assert abs(seen - end) == pytest.approx(Z * math.sqrt(end * (1 - end) / trials), abs=1e-9)


@pytest.mark.parametrize("trials", [1, 20, 5000])
def test_no_error_still_allows_the_rate_at_which_it_happens_in_one_of_forty_sets(trials):
    low, high = rate_interval(0, trials)
    assert low == 0 and (1 - high) ** trials == pytest.approx(0.025)
    assert rate_interval(trials, trials) == pytest.approx((1 - high, 1.0))


def test_it_covers_the_true_rate_about_as_often_as_it_says():
    draws = np.random.default_rng(0).binomial(400, 0.03, 2000)
    held = [low <= 0.03 <= high for low, high in (rate_interval(int(k), 400) for k in draws)]
    assert 0.92 < np.mean(held) < 0.98


def test_no_trial_is_no_rate():
    for errors, trials in ((0, 0), (2, 1), (-1, 3)):
        with pytest.raises(ValueError, match="do not give a rate"):
            rate_interval(errors, trials)
