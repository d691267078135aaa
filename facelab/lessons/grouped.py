"""Grouped convolution: each group of output channels sees its own share of the input channels alone.

A k x k convolution of C_in to C_out channels has k²·C_in·C_out/g weights, and as many multiply-adds at every
output position: g = 1 is an ordinary convolution (AlexNet split it in two to fit two GPUs), ResNeXt has 32
groups, and g = C_in is depthwise, as MobileNet's (arXiv:1611.05431, arXiv:1704.04861). Counted on the module
itself.
"""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class GroupedCost:
    """What one convolution costs.

    Attributes:
        groups: g.
        parameters: weights, no bias.
        macs: multiply-adds at every output position of the map.
    """

    groups: int
    parameters: int
    macs: int


def grouped_conv(channels: int, groups: int, kernel: int = 3) -> nn.Conv2d:
    """Return the convolution of `channels` to as many, same padding, without bias.

    Raises:
        ValueError: `groups` does not divide the channels.
    """
    if groups < 1 or channels % groups:
        legal = ", ".join(map(str, divisors(channels)))
        raise ValueError(f"{groups} groups do not divide {channels} channels; choose one of {legal}")
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=groups, bias=False)


def grouped_cost(channels: int, groups: int, side: int, kernel: int = 3) -> GroupedCost:
    """Count the weights and MACs of a grouped convolution on a square map.

    Args:
        channels: C_in = C_out.
        groups: g, a divisor of the channels.
        side: height and width of the map, in positions.
        kernel: k.

    Raises:
        ValueError: `groups` does not divide the channels.
    """
    weights = grouped_conv(channels, groups, kernel).weight.numel()
    return GroupedCost(groups, weights, weights * side * side)


def divisors(channels: int) -> list[int]:
    """Return the powers of two that divide a number of channels, and that number: g from 1 to depthwise."""
    powers = [2**i for i in range(channels.bit_length()) if channels % 2**i == 0]
    return powers if powers[-1] == channels else [*powers, channels]
