"""NFNet: a residual network without normalization (Brock et al. 2021, arXiv:2102.06171 and arXiv:2101.08692).

Batch norm keeps signals at variance 1; here scaling does so without statistics. Convolutions have
standardized filters, and activations are scaled to keep variance 1. Each block adds α² to the variance of the
sum, so the next block divides its input by β, the expected standard deviation. A gain per block that starts
at 0 (SkipInit) makes each block start as the identity. Large batches need adaptive gradient clipping, which
the trainer provides. As in the authors' code: GELU, and a head that doubles the channels.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facelab.models.layers import ScaledStdConv2d, SqueezeExcite

GELU_GAIN = 1.7015043497085571  # 1 / standard deviation of gelu(x), x standard normal
GATE_GAIN = 2.0  # a sigmoid gate halves the signal on average
ALPHA = 0.2


class ScaledGELU(nn.Module):
    """GELU that preserves variance 1, applied to x/β: γ·gelu(x)/β (arXiv:2101.08692)."""

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.scale = GELU_GAIN / beta

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x) * self.scale


class SkipInit(nn.Module):
    """Scale a branch by a learned gain that starts at 0 (arXiv:2002.10444) and by a constant."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.gain * self.scale)


class NFBlock(nn.Module):
    """Pre-activation bottleneck with two grouped 3x3 convolutions (arXiv:2102.06171, figure 3).

    A shortcut that changes the shape takes the activated signal, any other takes x; this resets the variance
    at each stage. The residual ends with its gate and SkipInit, which also scales by α.

    Args:
        in_channels, channels: channels of input and output.
        stride: of the first 3x3 convolution.
        beta: standard deviation of the input at initialization.
        group_width: channels per group.
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int, beta: float, group_width: int = 128
    ) -> None:
        super().__init__()
        width = channels // 2
        groups = width // group_width
        self.act = ScaledGELU(beta)
        self.residual = nn.Sequential(
            ScaledStdConv2d(in_channels, width, 1),
            ScaledGELU(),
            ScaledStdConv2d(width, width, 3, stride, groups),
            ScaledGELU(),
            ScaledStdConv2d(width, width, 3, 1, groups),
            ScaledGELU(),
            ScaledStdConv2d(width, channels, 1),
            SqueezeExcite(channels, channels // 2),
            SkipInit(GATE_GAIN * ALPHA),
        )
        self.projects = stride > 1 or in_channels != channels
        self.shortcut = nn.Identity()
        if self.projects:
            self.shortcut = nn.Sequential(ScaledStdConv2d(in_channels, channels, 1))
        if stride > 1:
            self.shortcut.insert(0, nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))

    def forward(self, x: Tensor) -> Tensor:
        activated = self.act(x)
        return self.residual(activated) + self.shortcut(activated if self.projects else x)


def nf_network(
    stem: Sequence[tuple[int, int]],
    channels: Sequence[int],
    depths: Sequence[int],
    head: int,
    group_width: int,
) -> nn.Sequential:
    """Build the stem, four stages (all but the first halve the map) and a last 1x1 convolution with
    activation.

    Args:
        stem: (channels, stride) of each 3x3 convolution.
        channels, depths: channels and number of blocks of each stage.
        head: channels of the last map.
        group_width: channels of each group in the blocks.
    """
    backbone = nn.Sequential(OrderedDict(stem=nn.Sequential()))
    before, variance = 3, 1.0
    for i, (width, stride) in enumerate(stem):
        if i > 0:
            backbone.stem.append(ScaledGELU())
        backbone.stem.append(ScaledStdConv2d(before, width, 3, stride))
        before = width
    for i, (width, depth) in enumerate(zip(channels, depths, strict=True), 1):
        stage = nn.Sequential()
        for j in range(depth):
            stride = 2 if i > 1 and j == 0 else 1
            stage.append(NFBlock(before, width, stride, math.sqrt(variance), group_width))
            variance = (1.0 if j == 0 else variance) + ALPHA**2
            before = width
        backbone.add_module(f"stage{i}", stage)
    backbone.add_module("head", nn.Sequential(ScaledStdConv2d(before, head, 1), ScaledGELU()))
    return backbone


def nfnet_f0() -> nn.Sequential:
    """Build the paper's NFNet-F0 (table 1) up to its last feature map: (B, 3072, H/32, W/32)."""
    stem = ((16, 2), (32, 1), (64, 1), (128, 2))
    return nf_network(stem, (256, 512, 1536, 1536), (1, 2, 6, 3), head=3072, group_width=128)


def nfnet_face() -> nn.Sequential:
    """Build F0 at a quarter of its width for 112x112 crops: (B, 3, 112, 112) -> (B, 256, 4, 4)."""
    stem = ((8, 2), (16, 1), (32, 2))
    return nf_network(stem, (64, 128, 384, 384), (1, 2, 3, 2), head=256, group_width=32)
