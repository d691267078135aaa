"""Three kinds of dropout on a feature map: what they drop, and how well its neighbors predict it.

Dropout drops single values, which their neighbors predict; spatial dropout drops whole channels, and
DropBlock regions (arXiv:1810.12890, figure 1). The masks are those of `facelab.models.regularizers`, which
training uses; their effect on trained networks is read from the checkpoints' headers.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facelab.evaluation import results as measured
from facelab.models.recipes import RECIPES
from facelab.models.regularizers import dropblock_mask, dropout_mask, spatial_dropout_mask

DRAWS = 100
PLAIN = "softmax"
ROWS = (PLAIN, "dropout", "dropout_maps", "drop_block", "label_smoothing", "drop_block_smoothing")


@dataclass(frozen=True, eq=False)
class Dropped:
    """Hold the result of one kind of dropout on one map.

    Attributes:
        keep_mask: (C, h, w) boolean, the first draw's mask.
        shares: (DRAWS,) share of values dropped in each draw.
        told: share of the dropped values' variance that the mean of their visible neighbors explains, over
            some draws, in [0, 1]; NaN where nothing is dropped.
    """

    keep_mask: np.ndarray
    shares: np.ndarray
    told: float


def drop(maps: np.ndarray, rate: float, block_size: int, seed: int, draws: int = DRAWS) -> dict[str, Dropped]:
    """Drop parts of a map in three ways, in several draws.

    Args:
        maps: (C, h, w) float32.
        rate: share to drop, in [0, 1).
        block_size: side of DropBlock's blocks, >= 1.
        seed: seed of all draws.
        draws: number of draws.

    Raises:
        ValueError: rate or block size is out of range.
    """
    shape = (draws, *maps.shape)
    generator = torch.Generator().manual_seed(seed)
    masks = {
        "Dropout": dropout_mask(shape, rate, generator),
        "SpatialDropout": spatial_dropout_mask(shape, rate, generator).expand(shape),
        "DropBlock": dropblock_mask(shape, rate, block_size, generator),
    }
    return {
        name: Dropped(
            keep_mask[0].numpy(),
            1 - keep_mask.float().mean((1, 2, 3)).numpy(),
            neighbor_r2(torch.from_numpy(maps), keep_mask[: max(1, draws // 5)]),
        )
        for name, keep_mask in masks.items()
    }


def neighbor_r2(maps: Tensor, keep_mask: Tensor) -> float:
    """Return R²: how well the eight values around a dropped value predict it.

    A dropped value is predicted as the mean of its visible neighbors in its channel; where none is visible,
    as the mean of all visible values of the channel; in a dropped channel, as the mean of the other channels.

    Args:
        maps: (C, h, w).
        keep_mask: (N, C, h, w) boolean, N draws.

    Returns:
        1 - (squared error of the prediction) / (squared distance from the channel's mean), at least 0; NaN
        where nothing is dropped.
    """
    seen = keep_mask.float()
    values = seen * maps
    near = F.avg_pool2d(seen, 3, 1, 1)
    mean = _share(values.sum((2, 3), keepdim=True), seen.sum((2, 3), keepdim=True))
    overall = _share(values.sum((1, 2, 3), keepdim=True), seen.sum((1, 2, 3), keepdim=True))
    mean = torch.where(seen.sum((2, 3), keepdim=True) > 0, mean, overall)
    guess = torch.where(near > 0, _share(F.avg_pool2d(values, 3, 1, 1), near), mean)
    error = ((guess - maps) ** 2)[~keep_mask].sum().item()
    spread = ((maps - maps.mean((1, 2), keepdim=True)) ** 2).expand_as(guess)[~keep_mask].sum().item()
    return max(0.0, 1 - error / spread) if spread > 0 else float("nan")


def _share(part: Tensor, whole: Tensor) -> Tensor:
    return part / whole.clamp(min=1e-9)


@dataclass(frozen=True)
class Effect:
    """Hold the results of a training with one regularizer; figures are None where they are not measured.

    Attributes:
        name: name of recipe and checkpoint.
        change: the recipe's fields that differ from the plain recipe's, as text.
        measured: whether it was trained and measured.
        top_1: top-1 accuracy on held-out photos of training identities.
        ece: expected calibration error on these photos.
        eer: equal error rate of verification on unseen identities.
        lfw: accuracy on LFW's 6,000 pairs.
    """

    name: str
    change: str
    measured: bool
    top_1: float | None = None
    ece: float | None = None
    eer: float | None = None
    lfw: float | None = None


def effects() -> list[Effect]:
    """Return the zoo's rows on regularization, from the headers of the checkpoints."""
    return [_effect(name) for name in ROWS if name in RECIPES]


def _effect(name: str) -> Effect:
    plain, own = RECIPES[PLAIN], RECIPES[name]
    different = [
        field.name for field in fields(own) if getattr(own, field.name) != getattr(plain, field.name)
    ]
    change = ", ".join(f"{field} {getattr(own, field)}" for field in different)
    if name not in measured.names():
        return Effect(name, change, False)
    metrics = measured.header(name).metrics
    held_out, lfw = metrics.get("held_out", {}), metrics.get("lfw_view2", {})
    return Effect(
        name,
        change,
        True,
        *(held_out.get(key) for key in ("top_1", "ece", "eer")),
        lfw.get("accuracy"),
    )
