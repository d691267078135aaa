"""The table of backbones: what each is called, how it is built and which paper it comes from.

A backbone is a plain `nn.Sequential` of named stages that returns a feature map (B, C, h, w), so feature
maps, freezing and saliency are written once for all families.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from facelab.backbones.resnet import resnet18, resnet_face
from facelab.registry import nearest


@dataclass(frozen=True)
class Architecture:
    """A row of the table: `build()` gives the backbone; the rest fills the paper's card."""

    build: Callable[[], nn.Sequential]
    family: str
    year: int
    paper: str
    idea: str


RESNET_IDEA = "Learn the change F(x) and add it to x, so that depth stops hurting."

BACKBONES: dict[str, Architecture] = {
    "resnet18": Architecture(resnet18, "ResNet", 2015, "https://arxiv.org/abs/1512.03385", RESNET_IDEA),
    "resnet_face": Architecture(resnet_face, "ResNet", 2015, "https://arxiv.org/abs/1512.03385", RESNET_IDEA),
}


def build_backbone(name: str) -> nn.Sequential:
    """Build a backbone with fresh weights.

    Raises:
        ValueError: unknown name; the sentence lists the legal ones and the nearest.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}: {nearest(name, BACKBONES)}")
    return BACKBONES[name].build()
