"""SENet: ResNet with a gate per channel (Hu et al. 2017, arXiv:1709.01507).

A convolution weights channels in the same way at every position and for every image. Squeeze-and-excitation
averages each channel over the map (squeeze) and rescales the channels for this image (excitation: two small
linear maps and a sigmoid). It adds one module at the end of ResNet's residual.
"""

from functools import partial

from torch import nn

from facelab.models.backbones.resnet import Residual, bottleneck, face_stem, imagenet_stem, network
from facelab.models.layers import Activation, SqueezeExcite, prelu, relu


def se_bottleneck(in_channels: int, channels: int, stride: int, act: Activation = relu) -> Residual:
    """Build ResNet's bottleneck with squeeze-and-excitation before the sum (figure 3)."""
    block = bottleneck(in_channels, channels, stride, act)
    block.residual.append(SqueezeExcite(channels, channels // 16))
    return block


def se_resnet50() -> nn.Sequential:
    """Build the paper's SE-ResNet-50 (table 1) up to its last feature map: (B, 2048, H/32, W/32)."""
    return network(imagenet_stem(), se_bottleneck, (256, 512, 1024, 2048), (3, 4, 6, 3))


def senet_face() -> nn.Sequential:
    """Build the member for 112x112 crops, with PReLU: (B, 3, 112, 112) -> (B, 512, 4, 4)."""
    block = partial(se_bottleneck, act=prelu)
    return network(face_stem(), block, (96, 192, 384, 512), (2, 3, 4, 2), (2, 2, 2, 2), stem_channels=32)
