"""ConvNeXt: a ResNet modernized step by step (Liu et al. 2022, arXiv:2201.03545).

The authors applied the design choices of vision transformers to a ResNet one at a time and reached the same
accuracy with a plain convolutional network. A depthwise 7x7 convolution mixes positions; two linear maps per
position mix channels and widen them fourfold in between. Each block has one layer norm and one GELU. Patches
of 4x4 pixels are the stem, and separate 2x2 convolutions halve the map.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from facelab.models.backbones.resnet import Residual
from facelab.models.layers import LayerNorm2d, LayerScale


class ToChannelsLast(nn.Module):
    """Permute (B, C, H, W) -> (B, H, W, C), as a view, for layers that work on the last dimension."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class ToChannelsFirst(nn.Module):
    """Permute (B, H, W, C) -> (B, C, H, W), as a view."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


def convnext_block(channels: int, scale: float = 1e-6) -> Residual:
    """Build x + F(x), without an activation after the sum (figure 4).

    Args:
        channels: C, before and after.
        scale: initial factor of F(x), for each channel; 1e-6 in the paper.
    """
    residual = nn.Sequential(
        nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
        ToChannelsLast(),
        nn.LayerNorm(channels, eps=1e-6),
        nn.Linear(channels, 4 * channels),
        nn.GELU(),
        nn.Linear(4 * channels, channels),
        ToChannelsFirst(),
        LayerScale(channels, scale),
    )
    return Residual(residual, nn.Identity(), nn.Identity())


def halve(in_channels: int, channels: int, kernel: int) -> nn.Sequential:
    """Build the layer norm and the strided convolution that halve a map (section 2.6)."""
    conv = nn.Conv2d(in_channels, channels, kernel, stride=2, padding=(kernel - 1) // 2)
    return nn.Sequential(LayerNorm2d(in_channels, eps=1e-6), conv)


def convnext(
    channels: Sequence[int], depths: Sequence[int], kernel: int = 2, scale: float = 1e-6
) -> nn.Sequential:
    """Build a stem and stages; each stage after the first begins with `halve`.

    Args:
        channels, depths: channels and number of blocks of each stage.
        kernel: kernel size of the convolutions that halve the map.
        scale: initial factor of each residual.
    """
    stem = nn.Sequential(nn.Conv2d(3, channels[0], 4, stride=4), LayerNorm2d(channels[0], eps=1e-6))
    backbone = nn.Sequential(OrderedDict(stem=stem))
    for i, (width, depth) in enumerate(zip(channels, depths, strict=True)):
        first = [halve(channels[i - 1], width, kernel)] if i > 0 else []
        blocks = (convnext_block(width, scale) for _ in range(depth))
        backbone.add_module(f"stage{i + 1}", nn.Sequential(*first, *blocks))
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)  # appendix A.1
            nn.init.zeros_(module.bias)
    return backbone


def convnext_tiny() -> nn.Sequential:
    """Build the paper's ConvNeXt-T up to its last feature map: (B, 768, H/32, W/32).

    The layer norm after the average pooling belongs to the classifier; the neck takes its place.
    """
    return convnext((96, 192, 384, 768), (3, 3, 9, 3))


def convnext_face() -> nn.Sequential:
    """Build ConvNeXt-T at half width and a third of its depth: (B, 3, 112, 112) -> (B, 320, 4, 4).

    3x3 convolutions halve the maps, because 2x2 ones would drop the last row and column of a 7x7 map.
    Residuals start at 0.1, CaiT's choice for shallow networks.
    """
    return convnext((48, 96, 192, 320), (1, 1, 3, 1), kernel=3, scale=0.1)
