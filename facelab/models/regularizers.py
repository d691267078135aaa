"""Regularizers that drop activations, so that a network cannot rely on single ones.

Dropout (Srivastava et al. 2014) drops single values, which suits fully connected layers. In a feature map the
neighbors of a dropped value still predict it, so spatial dropout (arXiv:1411.4280) drops whole channels,
DropBlock (arXiv:1810.12890) square regions, and stochastic depth (arXiv:1603.09382) whole residual branches.
Each is a pure function that returns the mask, which the layer applies and the page draws; the remaining
values are scaled up to preserve the mean.
"""

import functools
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

Shape = tuple[int, ...]


@torch._disable_dynamo  # a generator cannot be traced; the public `disable` imports the compiler, a second
def dropout_mask(
    shape: Shape, rate: float, generator: Generator | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """Return which values are kept when each is dropped independently.

    Args:
        shape: shape of the values.
        rate: share dropped, in [0, 1).
        generator: source of randomness; None is torch's default.
        device: where the mask is made.

    Returns:
        Boolean of that shape, True is kept.

    Raises:
        ValueError: rate is out of range.
    """
    _check_rate(rate)
    return torch.rand(shape, generator=generator, device=device) >= rate


def spatial_dropout_mask(
    shape: Shape, rate: float, generator: Generator | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """Return which channels are kept: (B, C, H, W) -> boolean (B, C, 1, 1). Arguments as in
    `dropout_mask`.
    """
    return dropout_mask((*_check_map(shape)[:2], 1, 1), rate, generator, device)


def stochastic_depth_mask(
    shape: Shape, rate: float, generator: Generator | None = None, device: torch.device | str = "cpu"
) -> Tensor:
    """Return which samples keep their branch: (B, ...) -> boolean (B, 1, ...). Arguments as in
    `dropout_mask`.
    """
    return dropout_mask((shape[0], *(1,) * (len(shape) - 1)), rate, generator, device)


@torch._disable_dynamo  # the rate is another in every step, and each would be compiled anew
def dropblock_mask(
    shape: Shape,
    rate: float,
    block_size: int = 7,
    generator: Generator | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Return which values are kept when square blocks are dropped, independently per channel
    (arXiv:1810.12890, algorithm 1).

    Blocks are seeded only where they fit; a block larger than the map is reduced to the map.

    Args:
        shape: (B, C, H, W).
        rate: expected share of values dropped, in [0, 1); `seed_rate` makes it exact.
        block_size: side of a block, odd or even, >= 1.
        generator: source of randomness; None is torch's default.
        device: where the mask is made.

    Returns:
        Boolean (B, C, H, W), True is kept.

    Raises:
        ValueError: rate, block size or shape is out of range.
    """
    _check_rate(rate)
    if block_size < 1:
        raise ValueError(f"block_size is {block_size}; legal: 1, 2, 3, ...")
    batch, channels, height, width = _check_map(shape)
    block = min(block_size, height), min(block_size, width)
    places = batch, channels, height - block[0] + 1, width - block[1] + 1
    seeds = torch.rand(places, generator=generator, device=device) < seed_rate(rate, block, (height, width))
    return grow_blocks(seeds, block)


def grow_blocks(seeds: Tensor, block: tuple[int, int]) -> Tensor:
    """Turn seeds, the upper left corners of blocks, into the mask of kept values.

    Args:
        seeds: boolean (B, C, H - h + 1, W - w + 1).
        block: (h, w).

    Returns:
        Boolean (B, C, H, W), False inside blocks.
    """
    height, width = block
    padded = F.pad(seeds.float(), (width - 1, width - 1, height - 1, height - 1))
    rows = F.max_pool2d(padded, (height, 1), stride=1)
    return F.max_pool2d(rows, (1, width), stride=1) == 0


@functools.lru_cache
def seed_rate(rate: float, block: tuple[int, int], size: tuple[int, int]) -> float:
    """Return γ, the probability of a seed at each position for which the expected share dropped is exactly
    `rate`.

    A value that n blocks can cover is kept with probability (1 - γ)^n. The paper's eq. 1, γ = rate·H·W /
    (h·w·(H-h+1)·(W-w+1)), counts overlaps twice and so drops too little. Newton's method starts there and
    increases to the exact value without overshooting, because the share dropped is concave in γ.

    Args:
        rate: in [0, 1).
        block: (h, w), no larger than the map.
        size: (H, W) of the map.
    """
    covers = []
    for side, length in zip(block, size, strict=True):
        position = torch.arange(length, dtype=torch.float64)
        covers.append((position + 1).clamp(max=min(side, length - side + 1)).minimum(length - position))
    n = covers[0][:, None] * covers[1]
    gamma = rate * n.numel() / n.sum().item()
    for _ in range(20):
        stays = (1 - gamma) ** (n - 1)
        gamma += (rate - 1 + (stays * (1 - gamma)).mean().item()) / (n * stays).mean().item()
    return gamma


def linear_schedule(rate: float, progress: float) -> float:
    """Return the drop rate at training progress `progress`: from 0 up to `rate`."""
    return rate * min(1.0, max(0.0, progress))


class DropBlock2d(nn.Module):
    """Drop square regions of (B, C, H, W) in training; see `dropblock_mask`.

    The rate follows `linear_schedule`: the trainer calls `set_progress(model, share)`. Without that call the
    full rate applies. Kept values are scaled by count/count_kept over the whole batch, as in the paper.

    Args:
        rate: final share dropped, in [0, 1).
        block_size: side of a block, odd or even; 7 in the paper.

    Raises:
        ValueError: rate, block size or the input's shape is out of range.
    """

    generator: Generator | None = None  # see `draw_from`

    def __init__(self, rate: float = 0.1, block_size: int = 7) -> None:
        super().__init__()
        dropblock_mask((1, 1, 1, 1), rate, block_size)  # checks both
        self.rate, self.block_size, self.progress = rate, block_size, 1.0

    def forward(self, x: Tensor) -> Tensor:
        rate = linear_schedule(self.rate, self.progress)
        if not self.training or rate == 0:
            return x
        mask = dropblock_mask(tuple(x.shape), rate, self.block_size, self.generator, x.device)
        return x * mask * (mask.numel() / mask.sum().clamp(min=1)).to(x.dtype)


class Dropout(nn.Module):
    """Drop single values in training and scale the rest by 1/(1 - rate); see `dropout_mask`."""

    generator: Generator | None = None  # see `draw_from`

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        _check_rate(rate)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        return x * dropout_mask(tuple(x.shape), self.rate, self.generator, x.device) / (1 - self.rate)


class SpatialDropout(nn.Module):
    """Drop whole channels of (B, C, H, W) in training, scale the rest; see `spatial_dropout_mask`."""

    generator: Generator | None = None  # see `draw_from`

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        _check_rate(rate)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        return x * spatial_dropout_mask(tuple(x.shape), self.rate, self.generator, x.device) / (1 - self.rate)


class StochasticDepth(nn.Module):
    """Drop a residual branch (B, ...) for whole samples in training, and scale the rest; place it before the
    sum.

    Simplified: the paper instead scales by the survival rate in evaluation, which is equivalent.
    """

    generator: Generator | None = None  # see `draw_from`

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        _check_rate(rate)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        return (
            x * stochastic_depth_mask(tuple(x.shape), self.rate, self.generator, x.device) / (1 - self.rate)
        )


def draw_from(model: nn.Module, generator: Generator) -> None:
    """Set one generator for the masks of all layers that drop, on the device of its inputs.

    By default they draw from torch's generator, which all threads of a process share.
    """
    for module in model.modules():
        if isinstance(module, DropBlock2d | Dropout | SpatialDropout | StochasticDepth):
            module.generator = generator


def set_progress(model: nn.Module, progress: float) -> None:
    """Set the training progress, a share in [0, 1], of every `DropBlock2d` of a model.

    The trainer sets it from its step, so it is not part of the state_dict.
    """
    for module in model.modules():
        if isinstance(module, DropBlock2d):
            module.progress = progress


def insert_regularizers(
    backbone: nn.Sequential, drop_block: float, drop_block_size: int, stochastic_depth: float
) -> None:
    """Insert DropBlock and stochastic depth into a backbone, in place; no key of its state_dict changes.

    DropBlock follows every block of the last two stages, the paper's groups 3 and 4 (arXiv:1810.12890,
    section 4.1). Stochastic depth ends the branch of every block that has a shortcut; of L such blocks the
    l-th is dropped at l/L of the rate (arXiv:1603.09382, eq. 4).

    Args:
        backbone: named stages, see `facelab.models.backbones`.
        drop_block: final share of values dropped, in [0, 1); 0 inserts none.
        drop_block_size: side of DropBlock's blocks, >= 1.
        stochastic_depth: drop rate of the last residual block, in [0, 1); 0 places none.

    Raises:
        ValueError: a rate or size is out of range, or stochastic depth is requested for a family without
            shortcuts.
    """
    DropBlock2d(drop_block, drop_block_size)  # checks both before anything is changed
    _check_rate(stochastic_depth)
    stages = {name: stage for name, stage in backbone.named_children() if name.startswith("stage")}
    blocks = [block for stage in stages.values() for block in stage]
    residual = [block for block in blocks if isinstance(getattr(block, "shortcut", None), nn.Module)]
    if stochastic_depth > 0 and not residual:
        raise ValueError(
            f"stochastic_depth is {stochastic_depth}, but this backbone has no residual blocks; set it to 0"
        )
    if stochastic_depth > 0:
        for i, block in enumerate(residual, 1):
            block.residual.add_module("drop", StochasticDepth(stochastic_depth * i / len(residual)))
    if drop_block > 0:
        for name in list(stages)[-2:]:
            children = OrderedDict()
            for key, block in stages[name].named_children():
                children[key] = block  # the name stays, and with it the weights' keys
                children[f"{key}_drop"] = DropBlock2d(drop_block, drop_block_size)
            setattr(backbone, name, nn.Sequential(children))
    backbone.train(backbone.training)  # the new modules follow


def _check_rate(rate: float) -> None:
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}; legal: 0 to 1, 1 excluded")


def _check_map(shape: Shape) -> Shape:
    if len(shape) != 4:
        raise ValueError(f"a feature map has shape {tuple(shape)}; legal: (B, C, H, W)")
    return shape
