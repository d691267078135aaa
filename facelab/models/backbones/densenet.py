"""DenseNet: each layer sees all maps made before it (Huang et al. 2016, arXiv:1608.06993).

ResNet adds a layer's output to its input; DenseNet concatenates both (eq. 2), so features are reused and a
layer only adds k new maps, the growth rate. These are the BC networks of section 3: a 1x1 bottleneck of 4k
channels before each 3x3 convolution, and transitions that halve channels and map. Activations come before
convolutions (arXiv:1603.05027), so one last batch norm and ReLU follow. A dense layer has no sum, so
stochastic depth has no branch to drop.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn


def norm_act_conv(in_channels: int, channels: int, kernel: int) -> nn.Sequential:
    """Build batch norm, ReLU and a convolution without bias: H of section 3, in pre-activation order."""
    conv = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU(inplace=True), conv)


class DenseLayer(nn.Module):
    """Append k new maps to those before (eq. 2): (B, C, H, W) -> (B, C + k, H, W)."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.new = nn.Sequential(
            norm_act_conv(in_channels, 4 * growth, 1), norm_act_conv(4 * growth, growth, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.new(x)], 1)


def dense_block(in_channels: int, layers: int, growth: int) -> nn.Sequential:
    """Build `layers` dense layers: C -> C + layers·k channels at one resolution."""
    return nn.Sequential(*(DenseLayer(in_channels + i * growth, growth) for i in range(layers)))


def transition(in_channels: int) -> nn.Sequential:
    """Halve the channels with a 1x1 convolution, then the map with average pooling."""
    return norm_act_conv(in_channels, in_channels // 2, 1).append(nn.AvgPool2d(2))


def dense_stages(channels: int, layers: tuple[int, ...], growth: int) -> OrderedDict[str, nn.Module]:
    """Build dense blocks, a transition at the beginning of each stage after the first, and the last norm."""
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    for i, count in enumerate(layers, 1):
        stages[f"stage{i}"] = nn.Sequential()
        if i > 1:
            stages[f"stage{i}"].append(transition(channels))
            channels //= 2
        stages[f"stage{i}"].append(dense_block(channels, count, growth))
        channels += count * growth
    stages["head"] = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
    return stages


def densenet121() -> nn.Sequential:
    """Build the paper's DenseNet-121, k = 32 (table 1), up to its last map: (B, 1024, H/32, W/32)."""
    conv = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    stem = nn.Sequential(conv, nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1))
    return nn.Sequential(OrderedDict(stem=stem, **dense_stages(64, (6, 12, 24, 16), growth=32)))


def densenet_face() -> nn.Sequential:
    """Build three dense blocks, k = 20, for 112x112 crops: (B, 3, 112, 112) -> (B, 268, 7, 7)."""
    conv = nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    stem = nn.Sequential(conv, nn.AvgPool2d(2))
    return nn.Sequential(OrderedDict(stem=stem, **dense_stages(32, (4, 8, 8), growth=20)))
