"""AlexNet: five convolutions, ReLU and GPU training won ImageNet in 2012 (Krizhevsky et al. 2012,
https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks).

ReLU does not saturate, so it trains several times faster than tanh (section 3.1); overlapping 3x3 max pooling
shrinks the map (section 3.4). `alexnet` is the one-tower version of arXiv:1404.5997, as in torchvision: no
split over two GPUs, no local response normalization, 64-192-384-256-256 channels. The classifier's three
fully connected layers hold 58,631,144 of its 61,100,840 parameters. They are not part of the backbone, which
ends with the 6x6 map before them and has 2,469,696 parameters. Weights are initialized as in
arXiv:1502.01852, so that five layers train without normalization; the paper draws them from N(0, .01²).
"""

from collections import OrderedDict

from torch import nn


def block(
    in_channels: int,
    channels: int,
    kernel: int = 3,
    stride: int = 1,
    padding: int | None = None,
    pool: bool = False,
) -> nn.Sequential:
    """Build a convolution with bias, ReLU and, with `pool`, overlapping max pooling (3x3, stride 2, no
    padding).
    """
    conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2 if padding is None else padding)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(conv.bias)
    layers = nn.Sequential(conv, nn.ReLU(inplace=True))
    return layers.append(nn.MaxPool2d(3, stride=2)) if pool else layers


def alexnet() -> nn.Sequential:
    """Build the one-tower network up to its last map: (B, 256, 6, 6) for any image of 63 pixels or more."""
    return nn.Sequential(
        OrderedDict(
            stem=block(3, 64, 11, stride=4, padding=2, pool=True),
            stage1=nn.Sequential(block(64, 192, 5, pool=True)),
            stage2=nn.Sequential(block(192, 384), block(384, 256), block(256, 256, pool=True)),
            head=nn.AdaptiveAvgPool2d(6),  # the identity at 224 pixels; repeats values of a smaller map
        )
    )


def alexnet_face() -> nn.Sequential:
    """Build the same five layers for 112x112 crops, a 5x5 stem at stride 2: (B, 3, 112, 112) -> (B, 128, 6,
    6).
    """
    return nn.Sequential(
        OrderedDict(
            stem=block(3, 32, 5, stride=2, pool=True),
            stage1=nn.Sequential(block(32, 80, 5, pool=True)),
            stage2=nn.Sequential(block(80, 176), block(176, 128), block(128, 128, pool=True)),
        )
    )
