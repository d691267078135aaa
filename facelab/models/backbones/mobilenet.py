"""MobileNet: a convolution factored into two costs an eighth (Howard et al. 2017, arXiv:1704.04861; Sandler
et al. 2018, arXiv:1801.04381).

Version 1 filters each channel separately with 3x3 kernels, then mixes channels with 1x1 kernels. For k x k
kernels and N outputs this takes 1/N + 1/k² of the multiplications (section 3.1). Version 2 inverts ResNet's
bottleneck: it is wide in the middle, where filtering is cheap. The shortcut connects the narrow ends, which
stay linear because a ReLU there would lose information. Version 1's paper specifies ReLU; its authors' code
and this one use ReLU6, as in version 2. A stage holds all blocks of one resolution, so it can contain several
rows of the papers' tables.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from facelab.models.layers import Activation, ConvNormAct, relu6


class DepthwiseSeparable(nn.Sequential):
    """Version 1's block (figure 3): a 3x3 filter per channel, then a 1x1 convolution across channels."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__(
            ConvNormAct(in_channels, in_channels, 3, stride, groups=in_channels, act=relu6),
            ConvNormAct(in_channels, channels, 1, act=relu6),
        )


class InvertedResidual(nn.Module):
    """Version 2's block (table 1): widen `expand` times, filter each channel, narrow without activation.

    The shortcut exists only where input and output have the same shape; otherwise `shortcut` is None.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        expand: int = 6,
        kernel: int = 3,
        act: Activation = relu6,
    ) -> None:
        super().__init__()
        hidden = expand * in_channels
        self.residual = (
            nn.Sequential() if expand == 1 else nn.Sequential(ConvNormAct(in_channels, hidden, 1, act=act))
        )
        self.residual.append(ConvNormAct(hidden, hidden, kernel, stride, groups=hidden, act=act))
        self.residual.append(ConvNormAct(hidden, channels, 1, act=None))
        self.shortcut = nn.Identity() if stride == 1 and in_channels == channels else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        return y if self.shortcut is None else y + self.shortcut(x)


def stages(
    in_channels: int, rows: Sequence[tuple[int, ...]], block: Callable[..., nn.Module]
) -> OrderedDict[str, nn.Module]:
    """Build the rows of a paper's table; a row with stride 2 begins a new stage.

    Args:
        in_channels: channels of the stem's output.
        rows: (channels, blocks, stride, *further arguments of the block); the stride is the first block's.
        block: called with in_channels, channels, stride and the further arguments.

    Returns:
        stage1, stage2, ... by name.
    """
    built: list[nn.Sequential] = []
    for channels, blocks, stride, *rest in rows:
        if stride == 2 or not built:
            built.append(nn.Sequential())
        for i in range(blocks):
            built[-1].append(block(in_channels, channels, stride if i == 0 else 1, *rest))
            in_channels = channels
    return OrderedDict((f"stage{i}", stage) for i, stage in enumerate(built, 1))


def mobilenet_v1() -> nn.Sequential:
    """Build table 1 of arXiv:1704.04861 up to its last map: (B, 1024, H/32, W/32)."""
    rows = [(64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)]
    stem = ConvNormAct(3, 32, 3, stride=2, act=relu6)
    return nn.Sequential(OrderedDict(stem=stem, **stages(32, rows, DepthwiseSeparable)))


def mobilenet_v2() -> nn.Sequential:
    """Build table 2 of arXiv:1801.04381 up to its last map: (B, 1280, H/32, W/32)."""
    rows = [  # channels, blocks, stride, expansion
        (16, 1, 1, 1), (24, 2, 2, 6), (32, 3, 2, 6), (64, 4, 2, 6),
        (96, 3, 1, 6), (160, 3, 2, 6), (320, 1, 1, 6),
    ]  # fmt: skip
    stem = ConvNormAct(3, 32, 3, stride=2, act=relu6)
    head = ConvNormAct(320, 1280, 1, act=relu6)
    return nn.Sequential(OrderedDict(stem=stem, **stages(32, rows, InvertedResidual), head=head))


def mobilenet_face() -> nn.Sequential:
    """Build version 2 for 112x112 crops, with one halving less: (B, 3, 112, 112) -> (B, 192, 7, 7)."""
    rows = [(32, 2, 2, 3), (64, 6, 2, 6), (128, 4, 2, 6)]
    stem = ConvNormAct(3, 32, 3, stride=2, act=relu6)
    head = ConvNormAct(128, 192, 1, act=relu6)
    return nn.Sequential(OrderedDict(stem=stem, **stages(32, rows, InvertedResidual), head=head))
