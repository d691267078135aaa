"""Optimizers, learning-rate schedules, gradient clipping and averaged weights.

Everything depends on the recipe and the step alone, or is stored in tensors that are saved with a run, so
that a resumed run continues exactly.
"""

import copy
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from facelab.models.layers import is_vector
from facelab.models.recipe import Recipe


def build_optimizer(recipe: Recipe, modules: Iterable[nn.Module]) -> torch.optim.Optimizer:
    """Build SGD with Nesterov momentum, or AdamW (arXiv:1711.05101).

    Weight decay applies to matrices and kernels, not to vectors: biases, norms, slopes, gains and scales.
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    if not parameters:
        raise ValueError(
            f"freeze={recipe.freeze} leaves nothing to train; freeze less, or use a loss with a head"
        )
    groups = [
        {"params": [p for p in parameters if not is_vector(p)], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if is_vector(p)], "weight_decay": 0.0},
    ]
    fused = parameters[0].device.type == "cuda"
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, recipe.lr, betas=(recipe.momentum, 0.999), fused=fused)
    return torch.optim.SGD(groups, recipe.lr, recipe.momentum, nesterov=recipe.momentum > 0, fused=fused)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate of a step, counted from 0.

    Linear warm-up to the peak; then `cosine`: half a cosine down to zero (SGDR, arXiv:1608.03983, eq. 5);
    `step`: times 0.1 at each milestone, as for AlexNet; `one_cycle`: up and down along cosines from 1/25 of
    the peak to almost nothing (arXiv:1708.07120, with the shape of PyTorch's `OneCycleLR`).
    """
    warm = recipe.warmup * steps
    if recipe.schedule == "one_cycle":
        return recipe.lr * _one_cycle(step, max(1.0, warm - 1), steps - 1)
    if step < warm:
        return recipe.lr * (step + 1) / math.ceil(warm)
    if recipe.schedule == "step":
        return recipe.lr * 0.1 ** sum(step >= share * steps for share in recipe.milestones)
    return recipe.lr * _half_cosine(1.0, 0.0, (step - warm) / (steps - warm))


def _one_cycle(step: int, peak: float, last: int) -> float:
    if step <= peak:
        return _half_cosine(1 / 25, 1.0, step / peak)
    return _half_cosine(1.0, 1 / 25e4, (step - peak) / max(1.0, last - peak))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


@torch.no_grad()
def clip_adaptively(parameters: Iterable[Tensor], clipping: float, eps: float = 1e-3) -> None:
    """Scale the gradient of each unit to at most λ times its weights' norm, in place (NFNet,
    arXiv:2102.06171, eq. 3).

    A unit is a row of a matrix or an output channel of a kernel; a vector's entries are taken together, as
    in the authors' code. eps keeps zero weights from freezing.

    Args:
        parameters: those with a gradient are clipped.
        clipping: λ > 0; 0.01 to 0.16 in the paper.
        eps: minimum norm of the weights.
    """
    with_gradient = [p for p in parameters if p.grad is not None]
    if not with_gradient:
        return
    gradients = [p.grad for p in with_gradient]
    most = torch._foreach_clamp_min(list(map(_unit_norms, with_gradient)), eps)
    torch._foreach_mul_(most, clipping)
    norms = torch._foreach_clamp_min([_unit_norms(p.grad) for p in with_gradient], 1e-6)
    torch._foreach_div_(most, norms)
    torch._foreach_clamp_max_(most, 1.0)
    torch._foreach_mul_(gradients, most)


def _unit_norms(values: Tensor) -> Tensor:
    """Return the norm of each unit of weights or of their gradient."""
    dims = None if is_vector(values) else tuple(range(1, values.ndim))
    return torch.linalg.vector_norm(values, dim=dims, keepdim=True)


class Average:
    """Exponential moving average of all weights and batch statistics (Polyak averaging, as in
    arXiv:1905.11946).

    At update t the old average has weight min(decay, (1 + t)/(10 + t)), so that the first steps lose weight
    quickly.

    Args:
        modules: what to average, in order; deep copies are made.
        decay: in (0, 1).
    """

    def __init__(self, modules: Iterable[nn.Module], decay: float) -> None:
        self.source = nn.ModuleList(modules)
        self.copy = copy.deepcopy(self.source).eval().requires_grad_(False)
        self.decay = decay
        pairs = list(zip(self.copy.state_dict().values(), self.source.state_dict().values()))
        self._averaged = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counted = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the weights after a step, counted from 1, to the average."""
        keep = min(self.decay, (1 + step) / (10 + step))
        means, values = map(list, zip(*self._averaged))
        torch._foreach_lerp_(means, values, 1 - keep)
        for here in (True, False):  # the step of a schedule stays on the host
            counted = [(count, now) for count, now in self._counted if (count.device.type == "cpu") == here]
            if counted:
                torch._foreach_copy_(*map(list, zip(*counted)))
