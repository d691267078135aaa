"""EfficientNet: scale depth, width and resolution together, starting from a searched network (Tan and Le
2019, arXiv:1905.11946).

The base network, B0 (table 1), uses MobileNetV2's inverted bottleneck with squeeze-and-excitation added
before the block narrows, SiLU in place of ReLU6, and some 5x5 kernels; B1 to B7 scale it by eq. 3. The paper
trains with stochastic depth; here `regularizers.insert_regularizers` adds it to any family. Lite0, by the
same authors for phones (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite),
drops what quantizes badly: it has no squeeze-and-excitation and uses ReLU6 instead of SiLU.
"""

from collections import OrderedDict

from torch import Tensor, nn

from facelab.models.backbones.mobilenet import InvertedResidual, stages
from facelab.models.layers import ConvNormAct, SqueezeExcite, pad_same, relu6, silu

# channels, blocks, stride, expansion, kernel: table 1, stages 2 to 8
B0 = [
    (16, 1, 1, 1, 3), (24, 2, 2, 6, 3), (40, 2, 2, 6, 5), (80, 3, 2, 6, 3),
    (112, 3, 1, 6, 5), (192, 4, 2, 6, 5), (320, 1, 1, 6, 3),
]  # fmt: skip


def mbconv(in_channels: int, channels: int, stride: int, expand: int, kernel: int) -> InvertedResidual:
    """Build MobileNetV2's block plus squeeze-and-excitation, whose bottleneck is a quarter of the block's
    input.
    """
    block = InvertedResidual(in_channels, channels, stride, expand, kernel, act=silu)
    block.residual.insert(-1, SqueezeExcite(expand * in_channels, in_channels // 4, act=silu))
    return block


def efficientnet_b0() -> nn.Sequential:
    """Build table 1 up to its last map: (B, 1280, H/32, W/32)."""
    stem = ConvNormAct(3, 32, 3, stride=2, act=silu)
    head = ConvNormAct(320, 1280, 1, act=silu)
    return nn.Sequential(OrderedDict(stem=stem, **stages(32, B0, mbconv), head=head))


class SameConv2d(nn.Conv2d):
    """Pad and convolve as TensorFlow's SAME does: ⌈H/s⌉ output rows, an odd row of zeros goes below."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(pad_same(x, self.kernel_size[0], self.stride[0]))


def efficientnet_lite0() -> nn.Sequential:
    """Build Lite0 as TensorFlow computes it: SAME padding at stride 2 and ε = 1e-3 in the norms."""
    stem = ConvNormAct(3, 32, 3, stride=2, act=relu6)
    head = ConvNormAct(320, 1280, 1, act=relu6)
    network = nn.Sequential(OrderedDict(stem=stem, **stages(32, B0, InvertedResidual), head=head))
    for layer in list(network.modules()):
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = 1e-3
        if isinstance(layer, ConvNormAct) and layer[0].stride == (2, 2):
            conv = layer[0]
            layer[0] = SameConv2d(
                conv.in_channels, conv.out_channels, conv.kernel_size, 2, groups=conv.groups, bias=False
            )
            layer[0].weight = conv.weight
    return network


def efficientnet_face() -> nn.Sequential:
    """Build B0's plan for 112x112 crops, narrower and with one halving less: (B, 3, 112, 112) -> (B, 192, 7,
    7).
    """
    rows = [(32, 2, 2, 4, 3), (64, 3, 2, 4, 5), (80, 4, 1, 4, 3), (128, 4, 2, 6, 5)]
    stem = ConvNormAct(3, 32, 3, stride=2, act=silu)
    head = ConvNormAct(128, 192, 1, act=silu)
    return nn.Sequential(OrderedDict(stem=stem, **stages(32, rows, mbconv), head=head))
