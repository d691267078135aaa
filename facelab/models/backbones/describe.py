"""Describe the cost and receptive field of a backbone, stage by stage, and its difference from its parent.

The network is built and run on PyTorch's meta device, which tracks shapes only, so every figure is exact and
no weights are allocated. A receptive field follows from kernels, strides and paddings by recursion over the
modules (https://distill.pub/2019/computing-receptive-fields).
"""

import functools
import inspect
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from facelab.models.backbones import BACKBONES, Architecture, check_size


@dataclass(frozen=True)
class Stage:
    """Hold the output shape (C, h, w), parameters and MACs of one named stage for one image."""

    name: str
    shape: tuple[int, int, int]
    parameters: int
    macs: int


@dataclass(frozen=True)
class Description:
    """Hold the figures of a backbone for one float32 image.

    Attributes:
        name: in BACKBONES; the paper's card is in `architecture`.
        size: side of the image in pixels.
        architecture: the row of the table.
        stages: in order.
        activation_bytes: memory that autograd keeps per image for the backward pass.
        receptive_field: side in pixels of the square that influences one value of the last map through
            convolutions and pooling. Gates that average the whole map (squeeze-and-excitation, split
            attention) and a last adaptive pooling are not counted; the square can be larger than the image.
        source: source code of the block.
        parent_source: source code of the parent's block, empty where there is no parent.
    """

    name: str
    size: int
    architecture: Architecture
    stages: tuple[Stage, ...]
    activation_bytes: int
    receptive_field: int
    source: str
    parent_source: str

    @property
    def parameters(self) -> int:
        """Return the number of learned values of the backbone, without neck or classifier."""
        return sum(stage.parameters for stage in self.stages)

    @property
    def macs(self) -> int:
        """Return the MACs of convolutions and linear maps, as counted by `torch.utils.flop_counter`."""
        return sum(stage.macs for stage in self.stages)


@functools.lru_cache
@torch.inference_mode(False)  # whatever mode the caller is in
@torch.enable_grad()
def describe(name: str, size: int = 112) -> Description:
    """Measure a backbone of the table on images of size x size pixels.

    Raises:
        ValueError: unknown name, or a size below this backbone's minimum.
    """
    check_size(name, size)
    row = BACKBONES[name]
    with torch.device("meta"):
        backbone = row.build().eval()
    return Description(
        name=name,
        size=size,
        architecture=row,
        stages=measure_stages(backbone, size),
        activation_bytes=saved_bytes(backbone, size, 2) - saved_bytes(backbone, size, 1),
        receptive_field=receptive_field(backbone),
        source=inspect.getsource(row.block),
        parent_source=inspect.getsource(BACKBONES[row.parent].block) if row.parent else "",
    )


def measure_stages(backbone: nn.Sequential, size: int) -> tuple[Stage, ...]:
    """Run one image of size x size pixels through a backbone on the meta device, stage by stage."""
    x = torch.zeros(1, 3, size, size, device="meta")
    stages = []
    for name, stage in backbone.named_children():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            x = stage(x)
        parameters = sum(parameter.numel() for parameter in stage.parameters())
        stages.append(Stage(name, tuple(x.shape[1:]), parameters, counter.get_total_flops() // 2))
    return tuple(stages)


def saved_bytes(backbone: nn.Sequential, size: int, batch: int) -> int:
    """Return the bytes that autograd keeps for the backward pass of a batch: each storage once, weights
    included.
    """
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[id(storage)] = storage  # holding it keeps the id from being reused
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        backbone(torch.zeros(batch, 3, size, size, device="meta"))
    return sum(storage.nbytes() for storage in kept.values())


@dataclass(frozen=True)
class Field:
    """Describe a receptive field: value i of a map depends on the pixels `low` + i·`step` to `high` +
    i·`step`, both included.
    """

    low: int = 0
    high: int = 0
    step: int = 1


def receptive_field(module: nn.Module) -> int:
    """Return the receptive field of the last map, as the side of a square in pixels; see `Description`.

    Branches join at blocks with a `shortcut`, whose field is the union of both.
    """
    field = see(module, Field())
    return field.high - field.low + 1


def see(module: nn.Module, field: Field) -> Field:
    """Return the receptive field behind a module, given that of its input."""
    if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        kernel, stride, padding, dilation = (
            _side(getattr(module, name, 1)) for name in ("kernel_size", "stride", "padding", "dilation")
        )
        low = field.low - padding * field.step
        return Field(
            low, low + field.high - field.low + dilation * (kernel - 1) * field.step, stride * field.step
        )
    if getattr(module, "shortcut", None) is not None:
        branch, skip = see(module.residual, field), see(module.shortcut, field)
        return Field(min(branch.low, skip.low), max(branch.high, skip.high), branch.step)
    for child in module.children():
        field = see(child, field)
    return field


def _side(value: int | tuple[int, int]) -> int:
    """Return the side of a square kernel: (3, 3) -> 3."""
    return value[0] if isinstance(value, tuple) else value
