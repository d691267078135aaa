"""Bricks that several backbones share, each a few lines and each named as in the papers.

A family file imports from here and adds only what its paper added; an activation is given as a function of
the channel count, so that PReLU (one slope per channel) and ReLU are interchangeable.
"""

from collections.abc import Callable

from torch import nn

Activation = Callable[[int], nn.Module]


def relu(channels: int) -> nn.Module:
    """ReLU; `channels` is not needed and only there to match `Activation`."""
    return nn.ReLU(inplace=True)


def prelu(channels: int) -> nn.Module:
    """One learned negative slope per channel (He et al. 2015, arXiv:1502.01852), usual in face networks."""
    return nn.PReLU(channels)


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm, activation; `act=None` leaves the last one out.

    Padding keeps the size at stride 1 and halves it (rounding up) at stride 2, for odd kernels.
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
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(conv, nn.BatchNorm2d(out_channels))
        if act is not None:
            self.append(act(out_channels))
