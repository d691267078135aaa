"""ResNeSt: attention over several versions of each channel (Zhang et al. 2020, arXiv:2004.08955).

The 3x3 convolution computes `radix` versions of every channel, the splits. A softmax over the splits,
computed from the means of their sum as in SENet, weights them. The block adopts two changes from
arXiv:1812.01187: maps are halved by average pooling instead of by strides, and three 3x3 convolutions replace
the stem's 7x7. Simplified: cardinality is 1, as in all of the paper's main networks.
"""

from functools import partial

from torch import Tensor, nn

from facelab.models.backbones.resnet import Residual, network
from facelab.models.layers import Activation, ConvNormAct, prelu, relu


class SplitAttention(nn.Module):
    """Channel-wise mixture of `radix` 3x3 convolutions (eq. 1 and 2): (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, radix: int = 2, act: Activation = relu) -> None:
        super().__init__()
        self.radix = radix
        self.splits = ConvNormAct(channels, radix * channels, 3, groups=radix, act=act)
        squeezed = max(32, radix * channels // 4)
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.BatchNorm2d(squeezed),
            act(squeezed),
            nn.Conv2d(squeezed, radix * channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        splits = self.splits(x).unflatten(1, (self.radix, -1))  # (B, radix, C, H, W)
        scores = self.attention(splits.sum(1)).unflatten(1, (self.radix, -1))
        return (splits * scores.softmax(1)).sum(1)


def resnest_block(in_channels: int, channels: int, stride: int, act: Activation = relu) -> Residual:
    """Build ResNet's bottleneck with split attention instead of its 3x3 convolution (figure 1, right)."""
    width = channels // 4
    residual = nn.Sequential(
        ConvNormAct(in_channels, width, 1, act=act),
        SplitAttention(width, act=act),
        *([nn.AvgPool2d(3, stride, padding=1)] if stride > 1 else []),
        ConvNormAct(width, channels, 1, act=None),
    )
    nn.init.zeros_(residual[-1][1].weight)
    return Residual(residual, pooled_projection(in_channels, channels, stride), act(channels))


def pooled_projection(in_channels: int, channels: int, stride: int) -> nn.Module:
    """Build ResNet's shortcut with average pooling instead of the stride, which would skip three of four
    values.
    """
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    project = ConvNormAct(in_channels, channels, 1, act=None)
    if stride == 1:
        return nn.Sequential(project)
    return nn.Sequential(nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False), project)


def deep_stem(channels: int, act: Activation = relu) -> nn.Sequential:
    """Build three 3x3 convolutions: (B, 3, H, W) -> (B, 2·channels, H/2, W/2)."""
    return nn.Sequential(
        ConvNormAct(3, channels, 3, stride=2, act=act),
        ConvNormAct(channels, channels, 3, act=act),
        ConvNormAct(channels, 2 * channels, 3, act=act),
    )


def resnest50() -> nn.Sequential:
    """Build the paper's ResNeSt-50 (2s1x64d) up to its last feature map: (B, 2048, H/32, W/32)."""
    stem = deep_stem(32).append(nn.MaxPool2d(3, stride=2, padding=1))
    return network(stem, resnest_block, (256, 512, 1024, 2048), (3, 4, 6, 3))


def resnest_face() -> nn.Sequential:
    """Build the member for 112x112 crops, with a stem at half width without pooling, and PReLU: (B, 3, 112,
    112) -> (B, 512, 4, 4).
    """
    block = partial(resnest_block, act=prelu)
    return network(
        deep_stem(16, prelu), block, (64, 128, 384, 512), (1, 2, 3, 2), (2, 2, 2, 2), stem_channels=32
    )
