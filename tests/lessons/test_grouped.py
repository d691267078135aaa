"""Grouped convolution: the counts are the formula's, and the module computes what they say."""

import pytest
import torch

from facelab.lessons.grouped import divisors, grouped_conv, grouped_cost
from facelab.ui.architectures import grouped as section


@pytest.mark.parametrize("groups", divisors(16))
def test_costs_are_those_of_the_formula(groups):
    found = grouped_cost(16, groups, 7)
    assert found.parameters == 9 * 16 * 16 // groups and found.macs == found.parameters * 49


@pytest.mark.parametrize("groups", [1, 4, 16])
def test_an_output_channel_sees_its_group_alone(groups):
    conv = grouped_conv(16, groups)
    x = torch.zeros(1, 16, 5, 5)
    x[:, 0] = 1  # the first group's input
    with torch.no_grad():
        seen = conv(x).abs().amax((0, 2, 3)) > 0
    assert seen.tolist() == [c < 16 // groups for c in range(16)]


def test_groups_that_do_not_divide_are_refused_and_depthwise_is_the_last():
    with pytest.raises(ValueError, match="5 groups do not divide 16 channels; choose one of 1, 2, 4, 8, 16"):
        grouped_conv(16, 5)
    assert divisors(128) == [2**i for i in range(8)] and divisors(96)[-1] == 96


def test_the_slider_ends_at_a_depthwise_convolution():
    card, formula, _ = section.show(7)
    assert "depthwise" in card and "1,152" in card and "1{,}152" in formula
    assert "ordinary" in section.show(0)[0] and "100.0%" in section.show(0)[0]
