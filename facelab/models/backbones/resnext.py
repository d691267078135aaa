"""ResNeXt: ResNet with grouped 3x3 convolutions (Xie et al. 2016, arXiv:1611.05431).

A grouped convolution is a set of parallel narrow convolutions. Their number, the cardinality, is a third
dimension besides depth and width; increasing it improves accuracy more than either. The computation saved by
32 groups allows twice the inner width, so only two numbers of ResNet's bottleneck change.
"""

from functools import partial

from torch import nn

from facelab.models.backbones.resnet import (
    Residual,
    bottleneck_branch,
    face_stem,
    imagenet_stem,
    network,
    projection,
)
from facelab.models.layers import Activation, prelu, relu


def resnext_block(
    in_channels: int, channels: int, stride: int, groups: int = 32, act: Activation = relu
) -> Residual:
    """Build a block whose 3x3 convolution works on half of the channels, in groups (figure 3c)."""
    residual = bottleneck_branch(in_channels, channels // 2, channels, stride, groups, act=act)
    return Residual(residual, projection(in_channels, channels, stride), act(channels))


def resnext50_32x4d() -> nn.Sequential:
    """Build the paper's ResNeXt-50 (32x4d) (table 1) up to its last feature map: (B, 2048, H/32, W/32)."""
    return network(imagenet_stem(), resnext_block, (256, 512, 1024, 2048), (3, 4, 6, 3))


def resnext_face() -> nn.Sequential:
    """Build the member for 112x112 crops, with 8 groups and PReLU: (B, 3, 112, 112) -> (B, 512, 4, 4)."""
    block = partial(resnext_block, groups=8, act=prelu)
    return network(face_stem(), block, (96, 192, 384, 512), (2, 3, 4, 2), (2, 2, 2, 2), stem_channels=32)
