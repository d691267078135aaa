"""Label smoothing step by step: one photo, K classes, and the optimal gap of its logits.

Only infinite logits reach a one-hot target, so its loss keeps falling; a smoothed target, y = (1-α)·onehot +
α/K, is reached at a finite gap, and the loss rises beyond it (arXiv:1512.00567, section 7; arXiv:1812.01187).
Every number comes from the loss used in training.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from facelab.models.losses.classification import Softmax, smooth_targets

CLASS_0 = torch.tensor([0])


@dataclass(frozen=True, eq=False)
class Step:
    """State of one photo of class 0 before an optimizer's step.

    Attributes:
        target: (K,) y, the target probabilities.
        probabilities: (K,) p = softmax(logits).
        loss: cross-entropy -Σ y·ln p, in nats.
        gradient: (K,) gradient with respect to the logits, p - y; the step is opposite to it.
    """

    target: np.ndarray
    probabilities: np.ndarray
    loss: float
    gradient: np.ndarray


def step(logits: list[float], label_smoothing: float) -> Step:
    """Compute loss and gradient of one photo of class 0.

    Args:
        logits: K >= 2 class scores.
        label_smoothing: α in [0, 1].

    Raises:
        ValueError: α is out of range, or fewer than two logits.
    """
    classes = len(logits)
    target = targets(classes, label_smoothing)
    z = torch.tensor([logits], dtype=torch.float64, requires_grad=True)
    loss = _loss_fn(torch.eye(classes, dtype=torch.float64), label_smoothing)(z, CLASS_0)
    (gradient,) = torch.autograd.grad(loss, z)
    return Step(target, z.detach().softmax(1)[0].numpy(), loss.item(), gradient[0].numpy())


def targets(classes: int, label_smoothing: float) -> np.ndarray:
    """Return (K,) the smoothed target of class 0.

    Raises:
        ValueError: α is out of range, or K below 2.
    """
    if classes < 2:
        raise ValueError(f"classes is {classes}; it must be 2 or more")
    return smooth_targets(CLASS_0, classes, label_smoothing)[0].double().numpy()


def optimal_gap(classes: int, label_smoothing: float) -> float:
    """Return the gap between the true logit and the others at the minimum of the loss.

    There p = y, so the gap is ln((1-α+α/K) / (α/K)); infinite for a one-hot target.

    Raises:
        ValueError: α is out of range, or K below 2.
    """
    target = targets(classes, label_smoothing)
    return float(np.log(target[0] / target[1])) if label_smoothing else float("inf")


@functools.lru_cache(maxsize=64)
def loss_curve(classes: int, label_smoothing: float, furthest: float, points: int = 43) -> np.ndarray:
    """Compute the loss at logits [gap, 0, ..., 0].

    Returns:
        (2, `points`): gaps from 0 to `furthest`, and the loss at each.

    Raises:
        ValueError: α is out of range, or K below 2.
    """
    targets(classes, label_smoothing)  # refuses
    gaps = torch.linspace(0, furthest, points, dtype=torch.float64)
    prototypes = torch.zeros(classes, 1, dtype=torch.float64)
    prototypes[0] = 1.0  # an embedding of one number, the gap
    loss_fn = _loss_fn(prototypes, label_smoothing)
    losses = [loss_fn(gap.view(1, 1), CLASS_0).item() for gap in gaps]
    return np.stack([gaps.numpy(), losses])


def _loss_fn(prototypes: Tensor, label_smoothing: float) -> Softmax:
    """Build the training loss with a given last layer (K, D) and no bias."""
    classes, dim = prototypes.shape
    with torch.device("meta"):  # no weights are drawn, only to be replaced
        loss_fn = Softmax(dim, classes, label_smoothing, bias=False)
    loss_fn.linear.weight = nn.Parameter(prototypes, requires_grad=False)
    return loss_fn
