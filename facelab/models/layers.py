"""Layers that several backbones share, each short and named as in its paper.

A family's module imports from here and adds only what its paper added. An activation is passed as a function
of the channel count, so that PReLU (one slope per channel) and ReLU are interchangeable.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Activation = Callable[[int], nn.Module]


def relu(channels: int) -> nn.Module:
    """Build a ReLU; `channels` is unused and exists to match `Activation`."""
    return nn.ReLU(inplace=True)


def prelu(channels: int) -> nn.Module:
    """Build a PReLU: one learned negative slope per channel (He et al. 2015, arXiv:1502.01852), usual in face
    networks.
    """
    return nn.PReLU(channels)


def relu6(channels: int) -> nn.Module:
    """Build a ReLU clipped at 6, which low-precision arithmetic on phones can represent
    (arXiv:1801.04381).
    """
    return nn.ReLU6(inplace=True)


def silu(channels: int) -> nn.Module:
    """Build x·sigmoid(x), also called Swish (arXiv:1702.03118)."""
    return nn.SiLU(inplace=True)


def is_vector(p: Tensor) -> bool:
    """Return whether a parameter is a bias, gain, slope or scale: at most one of its dimensions is longer
    than 1.

    Some are stored as (C, 1, 1) to be multiplied with a map. They are exempt from weight decay, which would
    pull a gain away from its initial value, and from fp16, which loses small values.
    """
    return sum(side > 1 for side in p.shape) <= 1


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm and activation; `act=None` omits the activation.

    For odd kernels, padding preserves the size at stride 1 and halves it (rounding up) at stride 2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        act: Activation | None = relu,
    ) -> None:
        kind = DepthwiseConv if groups == in_channels > 1 else nn.Conv2d
        conv = kind(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(conv, nn.BatchNorm2d(out_channels))
        if act is not None:
            self.append(act(out_channels))


def fold_norms(model: nn.Module) -> None:
    """Fold the batch norm of each `ConvNormAct` into its convolution, for inference only.

    Both are linear maps in eval mode, and on a CPU each pass over a map costs time. Embeddings change by
    rounding.

    Args:
        model: in eval mode; it is changed.
    """
    for block in [module for module in model.modules() if isinstance(module, ConvNormAct)]:
        block[0] = fuse_conv_bn_eval(block[0], block[1])
        del block[1]


class DepthwiseConv(nn.Conv2d):
    """One filter per channel (arXiv:1704.04861, section 3.1).

    On CPUs, convolutions with a stride or a kernel above 3x3 stay in float32 under autocast, because their
    bfloat16 gradient takes 3 to 15 times as long.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or (self.stride == (1, 1) and self.kernel_size == (3, 3)):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.to(self.weight.dtype))


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate in (0, 1) computed from all channels' means (arXiv:1709.01507, eq. 2 to
    4).

    Args:
        channels: C of the map (B, C, H, W).
        squeezed: channels between the two linear maps, C/16 in the paper.
        act: activation between them.
    """

    def __init__(self, channels: int, squeezed: int, act: Activation = relu) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            act(squeezed),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad a map as TensorFlow and JAX do: ceil(size/stride) outputs, the odd row and column at the end."""
    height, width = (max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[2:])
    if height == width == 0:
        return x
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


class ScaledStdConv2d(nn.Conv2d):
    """Convolution whose filters always have mean 0 and variance gain²/fan-in (arXiv:2102.06171, eq. 1).

    An input of variance 1 gives an output of variance 1: the weights are normalized instead of the signal.
    Padding is "same". Simplified as in timm: ε = 1e-5 is added to the variance, while the authors' code takes
    the larger of the two.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        padding = kernel // 2 if stride == 1 else 0  # else `pad_same` does it, by the size of the input
        super().__init__(in_channels, out_channels, kernel, stride, padding, groups=groups)
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="linear")
        nn.init.zeros_(self.bias)
        self.gain = nn.Parameter(torch.ones(out_channels, 1, 1, 1))

    def standardized(self) -> Tensor:
        """Return the filters in use: (C_out, C_in / groups, kernel, kernel)."""
        scale = self.gain.flatten() * self.weight[0].numel() ** -0.5
        filters = self.weight.reshape(1, len(self.weight), -1)  # batch norm over each filter's own weights
        return F.batch_norm(filters, None, None, scale, training=True, eps=1e-5).view_as(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            x = pad_same(x, self.kernel_size[0], self.stride[0])
        return F.conv2d(x, self.standardized(), self.bias, self.stride, self.padding, groups=self.groups)


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each position of a map (B, C, H, W) (arXiv:1607.06450)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class LayerScale(nn.Module):
    """One learned factor per channel, small at first (CaiT, arXiv:2103.17239, section 2): (B, C, H, W)."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, 1), scale))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight
