"""A network small enough to be trained in every test: a step takes a quarter of the time of resnet_face."""

from dataclasses import replace

import pytest
from torch import nn

from facelab.models.backbones import BACKBONES
from facelab.models.backbones.resnet import basic_block, network
from facelab.models.layers import ConvNormAct

SMALL = "resnet18"  # the name that it takes: a recipe knows the networks of the table only


def small_face() -> nn.Sequential:
    """A ResNet of four blocks with 16 channels: (B, 3, 112, 112) -> (B, 16, 4, 4).

    Not with 8: oneDNN's AVX-512 kernel of a 1x1 convolution with stride 2 crashes there in its backward pass.
    """
    stem = ConvNormAct(3, 16, 3, stride=2)
    return network(stem, basic_block, (16, 16, 16, 16), (1, 1, 1, 1), (2, 2, 2, 2), stem_channels=16)


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Build `SMALL` that small until the patch is undone."""
    patch.setitem(BACKBONES, SMALL, replace(BACKBONES[SMALL], build=small_face))
