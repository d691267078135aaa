"""VGG: deep networks of 3x3 convolutions only (Simonyan and Zisserman 2014, arXiv:1409.1556).

Two 3x3 layers have the receptive field of one 5x5 layer, with fewer weights and one more ReLU (section 2.3).
The networks have 11 to 19 layers in five groups; each group is twice as wide as the one before, at half the
resolution. The `_bn` members add batch norm (arXiv:1502.03167), without which the deeper ones do not train
from scratch. Their convolutions have no bias, because the norm would subtract it: 2,752 (VGG-11) or 4,224
(VGG-16) parameters fewer than in torchvision; `pretrained` moves torchvision's biases into the running means.
The classifier's three fully connected layers, 123.6 M parameters, are not part of the backbone.
"""

from collections import OrderedDict

from torch import nn

from facelab.models.layers import ConvNormAct


def stage(in_channels: int, channels: int, convs: int, pool: bool = True) -> nn.Sequential:
    """Build a group of `convs` 3x3 convolutions, the last one followed by 2x2 max pooling."""
    blocks = [ConvNormAct(in_channels if i == 0 else channels, channels) for i in range(convs)]
    if pool:
        blocks[-1].append(nn.MaxPool2d(2))
    return nn.Sequential(*blocks)


def vgg(convs: tuple[int, int, int, int, int]) -> nn.Sequential:
    """Build the paper's five groups (table 1) of `convs` layers: (B, 512, 7, 7) for images of 32 pixels or
    more.
    """
    return nn.Sequential(
        OrderedDict(
            stem=stage(3, 64, convs[0]),
            stage1=stage(64, 128, convs[1]),
            stage2=stage(128, 256, convs[2]),
            stage3=stage(256, 512, convs[3]),
            stage4=stage(512, 512, convs[4]),
            head=nn.AdaptiveAvgPool2d(7),  # the identity at 224 pixels; repeats values of a smaller map
        )
    )


def vgg11_bn() -> nn.Sequential:
    """Build configuration A: 8 convolutions, without the classifier's 3 layers."""
    return vgg((1, 1, 2, 2, 2))


def vgg16_bn() -> nn.Sequential:
    """Build configuration D: 13 convolutions."""
    return vgg((2, 2, 3, 3, 3))


def vgg_face() -> nn.Sequential:
    """Build configuration A, narrow and without the last pooling: (B, 3, 112, 112) -> (B, 192, 7, 7)."""
    return nn.Sequential(
        OrderedDict(
            stem=stage(3, 16, 1),
            stage1=stage(16, 32, 1),
            stage2=stage(32, 64, 2),
            stage3=stage(64, 128, 2),
            stage4=stage(128, 192, 2, pool=False),
        )
    )
