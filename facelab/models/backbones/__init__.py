"""List the backbones: name, constructor and paper of each.

A backbone is a plain `nn.Sequential` of named stages that returns a feature map (B, C, h, w): `stem`,
`stage1`, `stage2`, ... and, where the paper ends with a convolution that widens the map, `head`. A stage is
an `nn.Sequential` of blocks; a block with a shortcut has two children: `residual`, an `nn.Sequential` of all
layers before the sum, and `shortcut`. Feature maps, freezing, saliency, DropBlock and stochastic depth rely
on this structure and work for all families. Families are ordered by year; each ends with `<family>_face`, the
compact member for 112x112 crops (at most 4.5 M parameters and 150 MMACs).
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from facelab.models.backbones.alexnet import alexnet, alexnet_face
from facelab.models.backbones.alexnet import block as alexnet_block
from facelab.models.backbones.convnext import convnext_block, convnext_face, convnext_tiny
from facelab.models.backbones.densenet import DenseLayer, densenet121, densenet_face
from facelab.models.backbones.efficientnet import (
    efficientnet_b0,
    efficientnet_face,
    efficientnet_lite0,
    mbconv,
)
from facelab.models.backbones.mobilenet import (
    DepthwiseSeparable,
    InvertedResidual,
    mobilenet_face,
    mobilenet_v1,
    mobilenet_v2,
)
from facelab.models.backbones.nfnet import NFBlock, nfnet_f0, nfnet_face
from facelab.models.backbones.regnet import regnet_face, regnet_x_400mf, regnet_y_400mf, x_block, y_block
from facelab.models.backbones.resnest import resnest50, resnest_block, resnest_face
from facelab.models.backbones.resnet import basic_block, bottleneck, resnet18, resnet34, resnet50, resnet_face
from facelab.models.backbones.resnext import resnext50_32x4d, resnext_block, resnext_face
from facelab.models.backbones.senet import se_bottleneck, se_resnet50, senet_face
from facelab.models.backbones.vgg import stage as vgg_stage
from facelab.models.backbones.vgg import vgg11_bn, vgg16_bn, vgg_face
from facelab.models.names import nearest


@dataclass(frozen=True)
class Architecture:
    """Describe a backbone of the table: `build()` returns the network, the other fields fill the card.

    Attributes:
        build: a function without arguments.
        family, year, paper, idea: the paper, and what it is about in one sentence.
        block: the class or function that builds one block; its source is shown with the paper.
        parent: the row that this one modifies, or None for the first row.
        change: how it differs from its parent, in one sentence.
        min_size: smallest image side in pixels. By default the total stride, below which most of the input is
            padding; larger where a kernel would not fit.
        published_parameters: parameters of the whole ImageNet-1k network with its classifier; None for
            compact members.
    """

    build: Callable[[], nn.Sequential]
    family: str
    year: int
    paper: str
    idea: str
    block: Callable[..., nn.Module]
    parent: str | None = None
    change: str = ""
    min_size: int = 32
    published_parameters: int | None = None


# (family, year, paper, idea), once for all members
ALEXNET = (
    "AlexNet", 2012,
    "https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
    "Stack convolutions with ReLU and train them end to end on a GPU with a million labeled pictures.",
)  # fmt: skip
VGG = (
    "VGG", 2014, "https://arxiv.org/abs/1409.1556",
    "Use only 3x3 convolutions, and put more of them on top of one another.",
)  # fmt: skip
RESNET = (
    "ResNet", 2015, "https://arxiv.org/abs/1512.03385",
    "Learn the change F(x) and add it to x, so that depth stops hurting.",
)  # fmt: skip
DENSENET = (
    "DenseNet", 2016, "https://arxiv.org/abs/1608.06993",
    "Let every layer see the maps of all layers before it, so that features are reused.",
)  # fmt: skip
RESNEXT = (
    "ResNeXt", 2016, "https://arxiv.org/abs/1611.05431",
    "Many narrow convolutions side by side beat one wide one of the same cost.",
)  # fmt: skip
MOBILENET = "MobileNet", 2017, "https://arxiv.org/abs/1704.04861"
MOBILENET_V2 = (
    "MobileNet", 2018, "https://arxiv.org/abs/1801.04381",
    "Filter in a wide space channel by channel, and keep narrow linear ends for the shortcut.",
)  # fmt: skip
SENET = (
    "SENet", 2017, "https://arxiv.org/abs/1709.01507",
    "Look at the whole map once, then turn each channel up or down for this image.",
)  # fmt: skip
EFFICIENTNET = (
    "EfficientNet", 2019, "https://arxiv.org/abs/1905.11946",
    "Search one small network, then grow its depth, width and resolution together.",
)  # fmt: skip
REGNET = (
    "RegNet", 2020, "https://arxiv.org/abs/2003.13678",
    "Widths on one straight line: good networks come from a simple rule, not from a search.",
)  # fmt: skip
RESNEST = (
    "ResNeSt", 2020, "https://arxiv.org/abs/2004.08955",
    "Compute every channel in two ways and let attention mix them.",
)  # fmt: skip
NFNET = (
    "NFNet", 2021, "https://arxiv.org/abs/2102.06171",
    "Keep the variance of signals by arithmetic, so that no layer has to normalize them.",
)  # fmt: skip
CONVNEXT = (
    "ConvNeXt", 2022, "https://arxiv.org/abs/2201.03545",
    "Bring a ResNet up to date step by step, and it is as good as a vision transformer.",
)  # fmt: skip

BACKBONES: dict[str, Architecture] = {
    "alexnet": Architecture(
        alexnet, *ALEXNET, alexnet_block, min_size=63, published_parameters=61_100_840,
    ),
    "alexnet_face": Architecture(
        alexnet_face, *ALEXNET, alexnet_block, "alexnet",
        "Fewer channels and a 5x5 stem with stride 2 in place of 11x11 with stride 4.",
    ),
    "vgg11_bn": Architecture(
        vgg11_bn, *VGG, vgg_stage, "alexnet",
        "3x3 convolutions throughout, twice as many of them, and batch norm after each.",
        published_parameters=132_868_840,
    ),
    "vgg16_bn": Architecture(
        vgg16_bn, *VGG, vgg_stage, "vgg11_bn",
        "Two or three convolutions in each group instead of one or two.",
        published_parameters=138_365_992,
    ),
    "vgg_face": Architecture(
        vgg_face, *VGG, vgg_stage, "vgg11_bn",
        "About a quarter of the width, and no pooling after the last group.",
    ),
    "resnet18": Architecture(
        resnet18, *RESNET, basic_block, "vgg11_bn",
        "A shortcut around every two 3x3 convolutions, and strides in place of pooling.",
        published_parameters=11_689_512,
    ),
    "resnet34": Architecture(
        resnet34, *RESNET, basic_block, "resnet18",
        "Three to six blocks a stage instead of two.",
        published_parameters=21_797_672,
    ),
    "resnet50": Architecture(
        resnet50, *RESNET, bottleneck, "resnet34",
        "1x1 convolutions around the 3x3 one, which works on a quarter of the channels.",
        published_parameters=25_557_032,
    ),
    "resnet_face": Architecture(
        resnet_face, *RESNET, basic_block, "resnet18",
        "Half the width, a 3x3 stem without pooling, and PReLU.",
    ),
    "densenet121": Architecture(
        densenet121, *DENSENET, DenseLayer, "resnet50",
        "A layer's output is appended to its input instead of added to it.",
        published_parameters=7_978_856,
    ),
    "densenet_face": Architecture(
        densenet_face, *DENSENET, DenseLayer, "densenet121",
        "Growth 20 instead of 32, 20 layers instead of 58, and a 3x3 stem.",
    ),
    "resnext50_32x4d": Architecture(
        resnext50_32x4d, *RESNEXT, resnext_block, "resnet50",
        "The 3x3 convolution works in 32 groups on twice as many channels.",
        published_parameters=25_028_904,
    ),
    "resnext_face": Architecture(
        resnext_face, *RESNEXT, resnext_block, "resnext50_32x4d",
        "8 groups, fewer channels and blocks, a 3x3 stem without pooling, and PReLU.",
    ),
    "mobilenet_v1": Architecture(
        mobilenet_v1, *MOBILENET,
        "Filter each channel by itself, then mix channels: an eighth of a convolution's cost.",
        DepthwiseSeparable, "vgg16_bn",
        "Each 3x3 convolution is split into a depthwise 3x3 and a 1x1 one; strides replace pooling.",
        published_parameters=4_231_976,
    ),
    "mobilenet_v2": Architecture(
        mobilenet_v2, *MOBILENET_V2, InvertedResidual, "mobilenet_v1",
        "A 1x1 convolution widens before the filter, the one after narrows without activation, and a "
        "shortcut joins the narrow ends.",
        published_parameters=3_504_872,
    ),
    "mobilenet_face": Architecture(
        mobilenet_face, *MOBILENET_V2, InvertedResidual, "mobilenet_v2",
        "Fewer channels, one halving less, and a first block that halves the map at once.",
    ),
    "se_resnet50": Architecture(
        se_resnet50, *SENET, se_bottleneck, "resnet50",
        "One module, squeeze-and-excitation, ends each residual.",
        published_parameters=28_088_024,
    ),
    "senet_face": Architecture(
        senet_face, *SENET, se_bottleneck, "se_resnet50",
        "Fewer channels and blocks, a 3x3 stem without pooling, and PReLU.",
    ),
    "efficientnet_b0": Architecture(
        efficientnet_b0, *EFFICIENTNET, mbconv, "mobilenet_v2",
        "Squeeze-and-excitation in each block, SiLU, some 5x5 filters, and a searched plan.",
        published_parameters=5_288_548,
    ),
    "efficientnet_lite0": Architecture(
        efficientnet_lite0, *EFFICIENTNET, InvertedResidual, "efficientnet_b0",
        "Without squeeze-and-excitation, and ReLU6 for SiLU: what phones compute in 8 bits.",
        published_parameters=4_652_008,
    ),
    "efficientnet_face": Architecture(
        efficientnet_face, *EFFICIENTNET, mbconv, "efficientnet_b0",
        "Fewer channels, expansion 4 in most blocks, and one halving less.",
    ),
    "regnet_x_400mf": Architecture(
        regnet_x_400mf, *REGNET, x_block, "resnext50_32x4d",
        "No bottleneck, groups of a fixed width, and channels and depths from five numbers.",
        published_parameters=5_157_512,
    ),
    "regnet_y_400mf": Architecture(
        regnet_y_400mf, *REGNET, y_block, "regnet_x_400mf",
        "Squeeze-and-excitation after the 3x3 convolution, and five other numbers.",
        published_parameters=4_344_144,
    ),
    "regnet_face": Architecture(
        regnet_face, *REGNET, y_block, "regnet_y_400mf",
        "Five other numbers for 112x112 crops, and PReLU.",
    ),
    "resnest50": Architecture(
        resnest50, *RESNEST, resnest_block, "resnet50",
        "The 3x3 convolution gives two alternatives, which attention mixes; averages replace strides.",
        published_parameters=27_483_240,
    ),
    "resnest_face": Architecture(
        resnest_face, *RESNEST, resnest_block, "resnest50",
        "Fewer channels and blocks, a narrower stem without pooling, and PReLU.",
    ),
    "nfnet_f0": Architecture(
        nfnet_f0, *NFNET, NFBlock, "se_resnet50",
        "Standardized filters and scaled signals replace batch norm; activations come first.",
        published_parameters=71_489_284,
    ),
    "nfnet_face": Architecture(
        nfnet_face, *NFNET, NFBlock, "nfnet_f0",
        "A quarter of the width, fewer blocks, and a narrow head.",
    ),
    "convnext_tiny": Architecture(
        convnext_tiny, *CONVNEXT, convnext_block, "resnet50",
        "Depthwise 7x7 convolutions, wide in the middle, one layer norm and one GELU a block, a patch stem.",
        published_parameters=28_589_128,
    ),
    "convnext_face": Architecture(
        convnext_face, *CONVNEXT, convnext_block, "convnext_tiny",
        "Half the width, a third of the depth, and 3x3 convolutions between stages.",
    ),
}  # fmt: skip


def build_backbone(name: str) -> nn.Sequential:
    """Build a backbone with fresh weights.

    Raises:
        ValueError: unknown name; the message lists the valid names and the nearest one.
    """
    return _row(name).build()


def check_size(name: str, size: int) -> None:
    """Raise a ValueError if an image is too small for a backbone.

    Args:
        name: a name in BACKBONES.
        size: side of the image in pixels.

    Raises:
        ValueError: unknown name, or the side is below the family's minimum, which the message gives.
    """
    smallest = _row(name).min_size
    if size < smallest:
        raise ValueError(f"image side {size} is too small for {name}; legal: {smallest} pixels or more")


def _row(name: str) -> Architecture:
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}: {nearest(name, BACKBONES)}")
    return BACKBONES[name]
