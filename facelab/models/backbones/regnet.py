"""RegNet: ResNeXt with block widths on a straight line (Radosavovic et al. 2020, arXiv:2003.13678).

The authors studied a design space instead of one network and found that good networks follow a simple rule:
the width of block j grows linearly, w0 + wa·j, and is rounded to a power of wm so that neighbors form stages.
Five numbers then define the whole network; the block is ResNeXt's without a bottleneck (X), or with
squeeze-and-excitation after its 3x3 convolution (Y).
"""

import math
from functools import partial

from torch import nn

from facelab.models.backbones.resnet import Residual, bottleneck_branch, face_stem, network, projection
from facelab.models.layers import Activation, ConvNormAct, SqueezeExcite, prelu, relu


def regnet_plan(
    depth: int, w0: float, wa: float, wm: float, group_width: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the channels and the number of blocks of each stage (eq. 2 to 4).

    Args:
        depth: number of blocks d.
        w0, wa: line of the widths; block j has w0 + wa·j channels before rounding.
        wm: neighboring stages differ by a power of this factor, > 1.
        group_width: channels in a group; widths are rounded to its multiples.

    Example:
        >>> regnet_plan(22, 24, 24.48, 2.54, 16)
        ((32, 64, 160, 384), (1, 2, 7, 12))
    """
    exponents = [round(math.log(1 + wa * j / w0, wm)) for j in range(depth)]
    stages = sorted(set(exponents))
    eights = (8 * round(w0 * wm**s / 8) for s in stages)
    channels = tuple(group_width * max(1, round(width / group_width)) for width in eights)
    return channels, tuple(exponents.count(s) for s in stages)


def x_block(
    in_channels: int, channels: int, stride: int, group_width: int, act: Activation = relu
) -> Residual:
    """Build a block whose three convolutions have the block's width and groups of a fixed width (figure
    4).
    """
    residual = bottleneck_branch(
        in_channels, channels, channels, stride, groups=channels // group_width, act=act
    )
    return Residual(residual, projection(in_channels, channels, stride), act(channels))


def y_block(
    in_channels: int, channels: int, stride: int, group_width: int, act: Activation = relu
) -> Residual:
    """Build the X block with squeeze-and-excitation after the 3x3 convolution, through in_channels/4."""
    block = x_block(in_channels, channels, stride, group_width, act)
    block.residual.insert(2, SqueezeExcite(channels, round(in_channels / 4)))
    return block


def regnet_x_400mf() -> nn.Sequential:
    """Build RegNetX-400MF: (B, 384, H/32, W/32)."""
    channels, depths = regnet_plan(depth=22, w0=24, wa=24.48, wm=2.54, group_width=16)
    block = partial(x_block, group_width=16)
    return network(ConvNormAct(3, 32, 3, stride=2), block, channels, depths, (2, 2, 2, 2), stem_channels=32)


def regnet_y_400mf() -> nn.Sequential:
    """Build RegNetY-400MF: (B, 440, H/32, W/32)."""
    channels, depths = regnet_plan(depth=16, w0=48, wa=27.89, wm=2.09, group_width=8)
    block = partial(y_block, group_width=8)
    return network(ConvNormAct(3, 32, 3, stride=2), block, channels, depths, (2, 2, 2, 2), stem_channels=32)


def regnet_face() -> nn.Sequential:
    """Build a RegNetY for 112x112 crops, with PReLU: (B, 3, 112, 112) -> (B, 384, 4, 4)."""
    channels, depths = regnet_plan(depth=12, w0=64, wa=32, wm=1.8, group_width=16)
    block = partial(y_block, group_width=16, act=prelu)
    return network(face_stem(), block, channels, depths, (2, 2, 2, 2), stem_channels=32)
