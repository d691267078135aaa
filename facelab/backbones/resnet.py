"""ResNet: layers learn a residual F(x) and the block returns F(x) + x (He et al. 2015, arXiv:1512.03385).

The identity path lets gradients reach early layers unchanged, which made networks of 18 to 152 layers
trainable where plain stacks of the same depth got worse. `resnet18` is the paper's; `resnet_face` keeps its
block and its 2-2-2-2 plan for 112x112 crops at half the width, with a 3x3 stem in place of the 7x7 one and
its pooling, and PReLU in place of ReLU, as face networks do.
"""

from collections import OrderedDict

from torch import Tensor, nn

from facelab.layers import Activation, ConvNormAct, prelu, relu


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (figure 2); a 1x1 projection where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1, act: Activation = relu) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ConvNormAct(in_channels, channels, 3, stride, act=act),
            ConvNormAct(channels, channels, 3, act=None),
        )
        nn.init.zeros_(self.residual[1][1].weight)  # a block starts as the identity (arXiv:1706.02677, 5.1)
        same = stride == 1 and in_channels == channels
        self.shortcut = nn.Identity() if same else ConvNormAct(in_channels, channels, 1, stride, act=None)
        self.act = act(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.residual(x) + self.shortcut(x))


def stage(in_channels: int, channels: int, blocks: int, stride: int, act: Activation = relu) -> nn.Sequential:
    """`blocks` basic blocks, of which the first changes the channels and, with stride 2, halves the map."""
    first = BasicBlock(in_channels, channels, stride, act)
    return nn.Sequential(first, *(BasicBlock(channels, channels, act=act) for _ in range(blocks - 1)))


def resnet18() -> nn.Sequential:
    """The paper's 18-layer network (table 1) up to its last feature map: (B, 512, H/32, W/32)."""
    return nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(ConvNormAct(3, 64, 7, stride=2), nn.MaxPool2d(3, stride=2, padding=1)),
            stage1=stage(64, 64, blocks=2, stride=1),
            stage2=stage(64, 128, blocks=2, stride=2),
            stage3=stage(128, 256, blocks=2, stride=2),
            stage4=stage(256, 512, blocks=2, stride=2),
        )
    )


def resnet_face() -> nn.Sequential:
    """ResNet-18 at half width for 112x112 crops: (B, 3, 112, 112) -> (B, 256, 4, 4)."""
    return nn.Sequential(
        OrderedDict(
            stem=ConvNormAct(3, 32, 3, stride=2, act=prelu),
            stage1=stage(32, 32, blocks=2, stride=2, act=prelu),
            stage2=stage(32, 64, blocks=2, stride=2, act=prelu),
            stage3=stage(64, 128, blocks=2, stride=2, act=prelu),
            stage4=stage(128, 256, blocks=2, stride=2, act=prelu),
        )
    )
