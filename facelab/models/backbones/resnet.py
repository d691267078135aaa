"""ResNet: layers learn a residual F(x) and the block returns F(x) + x (He et al. 2015, arXiv:1512.03385).

The identity path lets gradients reach early layers unchanged, so networks of 18 to 152 layers train, while
plain networks of the same depth got worse. `resnet18`, `resnet34` and `resnet50` are torchvision's, with one
difference from the paper: a bottleneck halves the map in its 3x3 convolution, not in the 1x1 before it.
`resnet_face` keeps ResNet-18's blocks and its 2-2-2-2 plan at half the width, for 112x112 crops. Like other
face networks, it has a 3x3 stem instead of the 7x7 stem with pooling, and PReLU instead of ReLU.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from facelab.models.layers import Activation, ConvNormAct, prelu, relu

Block = Callable[[int, int, int], nn.Module]


class Residual(nn.Module):
    """act(F(x) + shortcut(x)) (eq. 1 and 2), the form of every block derived from ResNet."""

    def __init__(self, residual: nn.Sequential, shortcut: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = shortcut
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.residual(x).add_(self.shortcut(x)))  # in place: a map less to keep and to move


def projection(in_channels: int, channels: int, stride: int) -> nn.Module:
    """Build the shortcut: x itself, or a 1x1 convolution where the shape changes (section 3.3, option B)."""
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return ConvNormAct(in_channels, channels, 1, stride, act=None)


def basic_block(in_channels: int, channels: int, stride: int, act: Activation = relu) -> Residual:
    """Build two 3x3 convolutions and a shortcut (figure 2)."""
    residual = nn.Sequential(
        ConvNormAct(in_channels, channels, 3, stride, act=act),
        ConvNormAct(channels, channels, 3, act=None),
    )
    nn.init.zeros_(residual[-1][1].weight)  # a block starts as the identity (arXiv:1706.02677, 5.1)
    return Residual(residual, projection(in_channels, channels, stride), act(channels))


def bottleneck_branch(
    in_channels: int, width: int, channels: int, stride: int, groups: int = 1, act: Activation = relu
) -> nn.Sequential:
    """Build F(x) of a bottleneck: 1x1 to `width` channels, 3x3 in `groups`, 1x1 to `channels`."""
    residual = nn.Sequential(
        ConvNormAct(in_channels, width, 1, act=act),
        ConvNormAct(width, width, 3, stride, groups, act=act),
        ConvNormAct(width, channels, 1, act=None),
    )
    nn.init.zeros_(residual[-1][1].weight)
    return residual


def bottleneck(in_channels: int, channels: int, stride: int, act: Activation = relu) -> Residual:
    """Build a block whose 3x3 convolution works on a quarter of the channels (figure 5, right)."""
    residual = bottleneck_branch(in_channels, channels // 4, channels, stride, act=act)
    return Residual(residual, projection(in_channels, channels, stride), act(channels))


def imagenet_stem() -> nn.Sequential:
    """Build the stem (B, 3, H, W) -> (B, 64, H/4, W/4) (table 1, conv1 and the pooling after it)."""
    return nn.Sequential(ConvNormAct(3, 64, 7, stride=2), nn.MaxPool2d(3, stride=2, padding=1))


def face_stem() -> ConvNormAct:
    """Build the stem (B, 3, 112, 112) -> (B, 32, 56, 56); it preserves detail that a 7x7 stem and its pooling
    would blur.
    """
    return ConvNormAct(3, 32, 3, stride=2, act=prelu)


def network(
    stem: nn.Module,
    block: Block,
    channels: Sequence[int],
    depths: Sequence[int],
    strides: Sequence[int] = (1, 2, 2, 2),
    stem_channels: int = 64,
) -> nn.Sequential:
    """Build a stem and stages of equal blocks; the first block of a stage changes channels and map.

    Args:
        stem: (B, 3, H, W) -> (B, stem_channels, h, w).
        block: `block(in_channels, channels, stride)` builds one block.
        channels, depths, strides: channels, number of blocks and the first block's stride of each stage.
        stem_channels: channels of the stem's output.
    """
    backbone = nn.Sequential(OrderedDict(stem=stem))
    before = stem_channels
    for i, (width, depth, stride) in enumerate(zip(channels, depths, strides, strict=True), 1):
        first = block(before, width, stride)
        backbone.add_module(
            f"stage{i}", nn.Sequential(first, *(block(width, width, 1) for _ in range(1, depth)))
        )
        before = width
    return backbone


def resnet18() -> nn.Sequential:
    """Build the paper's 18-layer network (table 1) up to its last feature map: (B, 512, H/32, W/32)."""
    return network(imagenet_stem(), basic_block, (64, 128, 256, 512), (2, 2, 2, 2))


def resnet34() -> nn.Sequential:
    """Build the 34-layer network, with more blocks of the same kind: (B, 512, H/32, W/32)."""
    return network(imagenet_stem(), basic_block, (64, 128, 256, 512), (3, 4, 6, 3))


def resnet50() -> nn.Sequential:
    """Build ResNet-34's plan with bottlenecks of four times the channels: (B, 2048, H/32, W/32)."""
    return network(imagenet_stem(), bottleneck, (256, 512, 1024, 2048), (3, 4, 6, 3))


def resnet_face() -> nn.Sequential:
    """Build ResNet-18 at half width for 112x112 crops: (B, 3, 112, 112) -> (B, 256, 4, 4)."""
    block = partial(basic_block, act=prelu)
    return network(face_stem(), block, (32, 64, 128, 256), (2, 2, 2, 2), (2, 2, 2, 2), stem_channels=32)
