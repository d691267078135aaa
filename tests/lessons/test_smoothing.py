"""The sum by hand: the course's numbers, and gradients that vanish where the formula says."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from facelab.lessons.smoothing import loss_curve, optimal_gap, step, targets


def cross_entropy(gap, classes, alpha):
    logits = torch.zeros(1, classes, dtype=torch.float64)
    logits[0, 0] = gap
    return F.cross_entropy(logits, torch.tensor([0]), label_smoothing=alpha).item()


def test_the_numbers_of_the_course():
    assert targets(3, 0.1).round(4).tolist() == [0.9333, 0.0333, 0.0333]
    assert optimal_gap(3, 0.1) == pytest.approx(math.log(0.93333333 / 0.03333333), abs=1e-5)
    assert round(optimal_gap(3, 0.1), 3) == 3.332
    sure = step([10.0, 0.0, 0.0], 0.1)
    assert sure.probabilities.round(4).tolist() == [0.9999, 0.0, 0.0]
    assert step([3.332, 0.0, 0.0], 0.1).probabilities.round(4).tolist() == [0.9333, 0.0333, 0.0333]
    assert step([3.332, 0.0, 0.0], 0.1).loss < sure.loss < step([14.0, 0.0, 0.0], 0.1).loss


@settings(max_examples=25)
@given(st.integers(2, 40), st.floats(0.01, 0.9))
def test_at_the_best_gap_the_gradient_is_zero_and_the_target_is_reached(classes, alpha):
    best = optimal_gap(classes, alpha)
    now = step([best] + [0.0] * (classes - 1), alpha)
    assert np.abs(now.gradient).max() < 1e-6
    assert now.probabilities == pytest.approx(now.target, abs=1e-6)
    entropy = -(now.target * np.log(now.target)).sum()
    assert now.loss == pytest.approx(entropy, abs=1e-6)  # no cross-entropy is lower
    for nudge in (-0.1, 0.1):
        other = step([best + nudge] + [0.0] * (classes - 1), alpha)
        assert other.loss > now.loss and np.sign(other.gradient[0]) == np.sign(nudge)


@settings(max_examples=25)
@given(st.lists(st.floats(-8, 8), min_size=2, max_size=6), st.floats(0, 1))
def test_the_gradient_is_p_minus_y_and_the_loss_is_torchs(logits, alpha):
    now = step(logits, alpha)
    assert now.gradient == pytest.approx(now.probabilities - now.target, abs=1e-6)
    assert now.probabilities == pytest.approx(np.exp(logits) / np.exp(logits).sum())
    z = torch.tensor([logits], dtype=torch.float64)
    theirs = F.cross_entropy(z, torch.tensor([0]), label_smoothing=alpha)
    assert now.loss == pytest.approx(theirs.item(), abs=1e-9)


@pytest.mark.parametrize(("classes", "alpha"), [(3, 0.1), (650, 0.1), (10, 0.5), (3, 0.0)])
def test_the_curve_is_the_training_loss_at_every_gap(classes, alpha):
    gaps, losses = loss_curve(classes, alpha, 14.0)
    assert (gaps[0], gaps[-1]) == (0, 14) and losses[0] == pytest.approx(math.log(classes))
    assert losses == pytest.approx([cross_entropy(gap, classes, alpha) for gap in gaps])
    if alpha:
        assert abs(gaps[losses.argmin()] - optimal_gap(classes, alpha)) <= gaps[1]
        assert losses[-1] > losses.min()
    else:
        assert (np.diff(losses) < 0).all() and optimal_gap(classes, 0.0) == math.inf


def test_drawing_leaves_the_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    step([1.0, 0.0], 0.2)
    loss_curve(4, 0.123, 9.0)
    assert torch.equal(torch.rand(2), expected)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"label_smoothing is 1\.5; legal: 0 to 1"):
        step([1.0, 0.0], 1.5)
    with pytest.raises(ValueError, match="classes is 1; it must be 2 or more"):
        loss_curve(1, 0.1, 14.0)
