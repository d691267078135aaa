"""One block of a network as a list of layers with their channels, read from the module itself.

The network is built on PyTorch's meta device, so nothing is allocated. Of its blocks, one from the middle is
taken whose shortcut is the identity, where there is any. Norms, activations and scales belong to the layer
that they stand behind (or, where nothing is before them, in front of), so every parameter of the block is in
one layer or in the shortcut.
"""

import functools
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from facelab.models.backbones import BACKBONES
from facelab.models.backbones.densenet import DenseLayer
from facelab.models.backbones.mobilenet import DepthwiseSeparable
from facelab.models.backbones.nfnet import NFBlock, ScaledGELU, SkipInit
from facelab.models.backbones.resnest import SplitAttention
from facelab.models.layers import LayerNorm2d, LayerScale, SqueezeExcite

WORDS = {
    nn.BatchNorm2d: "batch norm",
    nn.LayerNorm: "layer norm",
    LayerNorm2d: "layer norm",
    LayerScale: "layer scale",
    SkipInit: "SkipInit",
    ScaledGELU: "scaled GELU",
    nn.ReLU: "ReLU",
    nn.ReLU6: "ReLU6",
    nn.PReLU: "PReLU",
    nn.SiLU: "SiLU",
    nn.GELU: "GELU",
}


@dataclass(frozen=True)
class Layer:
    """Hold one layer of a branch.

    Attributes:
        name: such as "3×3 conv, 32 groups".
        before, after: channels of its input and output.
        groups: of a convolution; equal to `before` if depthwise.
        squeezed: channels between the two maps of a gate; 0 for all other layers.
        parameters: its own and those of its `first` and `then`.
        first, then: norms, activations and scales in front of it and behind it.
    """

    name: str
    before: int
    after: int
    groups: int = 1
    squeezed: int = 0
    parameters: int = 0
    first: tuple[str, ...] = ()
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """Hold one block of a network.

    Attributes:
        kind: what its channels make it, such as "bottleneck".
        place: its name in the network, such as "stage3.2".
        layers: the branch, or the whole block where there is one path only.
        shortcut: layers beside the branch; empty for the identity, None for no shortcut.
        join: "sum", "concatenation" or "".
        last: activation behind the join, or "".
        parameters: of the whole block.
    """

    kind: str
    place: str
    layers: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] | None
    join: str
    last: str
    parameters: int


@dataclass
class _Reading:
    """Collect layers in the order of the forward pass; `waiting` are words before the first of them."""

    layers: list[Layer] = field(default_factory=list)
    waiting: list[nn.Module] = field(default_factory=list)

    def add(self, layer: Layer) -> None:
        words = tuple(WORDS[type(module)] for module in self.waiting)
        count = sum(map(_count, self.waiting))
        self.layers.append(replace(layer, first=words, parameters=layer.parameters + count))
        self.waiting = []

    def word(self, module: nn.Module) -> None:
        if not self.layers:
            self.waiting.append(module)
            return
        last = self.layers[-1]
        said, count = (*last.then, WORDS[type(module)]), last.parameters + _count(module)
        self.layers[-1] = replace(last, then=said, parameters=count)


@functools.cache
def block_of(name: str) -> Block:
    """Return a block of a network of the table.

    Args:
        name: in BACKBONES.
    """
    with torch.device("meta"):
        backbone = BACKBONES[name].build()
    place, block = _representative(backbone)
    reading = _Reading(waiting=[block.act] if isinstance(block, NFBlock) else [])
    _read(block.new if isinstance(block, DenseLayer) else getattr(block, "residual", block), reading)
    beside = _shortcut(block)
    act = None if isinstance(block, NFBlock) else getattr(block, "act", None)
    join = "concatenation" if isinstance(block, DenseLayer) else "sum" if beside is not None else ""
    return Block(
        kind=_kind(block, reading.layers),
        place=place,
        layers=tuple(reading.layers),
        shortcut=beside,
        join=join,
        last=WORDS.get(type(act), ""),
        parameters=_count(block),
    )


def _shortcut(block: nn.Module) -> tuple[Layer, ...] | None:
    """Return the layers beside the branch: none for the identity and for a dense layer's input."""
    skip = getattr(block, "shortcut", None)
    if skip is None:
        return () if isinstance(block, DenseLayer) else None
    reading = _Reading()
    _read(skip, reading)
    return tuple(reading.layers)


def _representative(backbone: nn.Sequential) -> tuple[str, nn.Module]:
    """Return (name, module) of a block from the middle; a whole stage of networks without blocks."""
    units = [
        (name, module)
        for name, module in backbone.named_modules()
        if hasattr(module, "residual") or isinstance(module, DenseLayer | DepthwiseSeparable)
    ]
    plain = [unit for unit in units if isinstance(getattr(unit[1], "shortcut", None), nn.Identity)]
    found = plain or units
    if not found:
        found = [(name, module) for name, module in backbone.named_children() if name.startswith("stage")]
        return found[-1]
    return found[len(found) // 2]


def _read(module: nn.Module, reading: _Reading) -> None:
    """Add a module's layers in the order of its forward pass."""
    if isinstance(module, nn.Conv2d):
        reading.add(_conv(module))
    elif isinstance(module, nn.Linear):
        reading.add(Layer("1×1 (linear)", module.in_features, module.out_features, parameters=_count(module)))
    elif isinstance(module, SqueezeExcite):
        reading.add(_gate("SE gate", module.gate, 1))
    elif isinstance(module, SplitAttention):
        _read(module.splits, reading)
        reading.add(_gate(f"softmax over {module.radix} splits", module.attention, module.radix))
    elif isinstance(module, nn.AvgPool2d | nn.MaxPool2d):
        channels = reading.layers[-1].after if reading.layers else 0
        kind = "average" if isinstance(module, nn.AvgPool2d) else "max"
        reading.add(Layer(f"{kind} pooling", channels, channels))
    elif type(module) in WORDS:
        reading.word(module)
    else:
        for child in module.children():
            _read(child, reading)


def _gate(name: str, maps: nn.Sequential, splits: int) -> Layer:
    """Describe a gate by its two maps, through fewer channels, of the means of all channels."""
    first = next(module for module in maps if isinstance(module, nn.Conv2d))
    channels, squeezed = first.in_channels, first.out_channels
    return Layer(name, splits * channels, channels, squeezed=squeezed, parameters=_count(maps))


def _conv(module: nn.Conv2d) -> Layer:
    """Describe a convolution: its kernel, its groups, and its stride where it halves the map."""
    side, groups = module.kernel_size[0], module.groups
    kind = "depthwise" if groups == module.in_channels > 1 else f"{side}×{side} conv"
    if kind == "depthwise":
        kind = f"{side}×{side} depthwise"
    elif groups > 1:
        kind += f", {groups} groups"
    stride = f", stride {module.stride[0]}" if module.stride[0] > 1 else ""
    return Layer(kind + stride, module.in_channels, module.out_channels, groups, parameters=_count(module))


def _kind(block: nn.Module, layers: list[Layer]) -> str:
    """Return what the channels make of a block, in words."""
    if isinstance(block, DenseLayer):
        return "dense layer"
    if not hasattr(block, "residual"):
        return "depthwise separable block" if isinstance(block, DepthwiseSeparable) else "plain stack"
    inner, ends = [layer.after for layer in layers[:-1]], (layers[0].before, layers[-1].after)
    if max(inner) > max(ends):
        return "inverted bottleneck"
    return "bottleneck" if min(inner) < min(ends) else "residual block"


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
