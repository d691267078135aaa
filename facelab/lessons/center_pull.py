"""Center loss on its simplest picture: the embeddings of three classes in the plane, free to move.

There is no network: the embeddings themselves are trained by gradient descent on softmax + λ·center loss (Wen
et al., ECCV 2016), the class weights held at three directions. They start stretched along their rays, as
softmax leaves them, and it leaves them so; the pull to the class center makes the classes compact. Loss and
rule of the centers are those that train (`facelab.models.losses.center`).
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch

from facelab.models.losses.center import Center, center_loss

FORMULA = center_loss  # whose code the page shows
CLASSES, PHOTOS = 3, 14
STEPS, RATE = 40, 6.0
SCALE = 1.5  # length of the class weights
OUT, ALONG, ACROSS = (
    3.0,
    1.1,
    0.35,
)  # mean and standard deviations along and across a ray, as softmax leaves them


@dataclass(frozen=True, eq=False)
class Pulled:
    """The plane after some steps.

    Attributes:
        embeddings: (N, 2).
        labels: (N,) class, from 0.
        centers: (C, 2), as the loss has learned them.
        weights: (C, 2) class weights, which stay.
        pull: (N, 2) step of gradient descent on λ·center loss alone, per unit of the learning rate and photo.
        intra: mean distance to the own center.
        inter: mean distance between centers.
        softmax, center: both terms of the loss, the second without λ.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    centers: np.ndarray
    weights: np.ndarray
    pull: np.ndarray
    intra: float
    inter: float
    softmax: float
    center: float


@functools.lru_cache(maxsize=64)
def pulled(weight: float, steps: int = STEPS, seed: int = 0) -> Pulled:
    """Train the embeddings for some steps.

    Args:
        weight: λ >= 0.
        steps: of gradient descent, >= 1.
        seed: of the start.

    Raises:
        ValueError: λ is out of range.
    """
    labels = torch.arange(CLASSES).repeat_interleave(PHOTOS)
    loss_fn = Center(2, CLASSES, center_weight=weight, bias=False).double()
    angles = torch.deg2rad(torch.tensor([90.0, 210.0, 330.0], dtype=torch.float64))
    weights = SCALE * torch.stack([angles.cos(), angles.sin()], 1)
    along, across = np.random.default_rng(seed).normal(0, 1, (2, len(labels), 1))
    rays = (weights / SCALE)[labels].numpy()
    start = (OUT + ALONG * along) * rays + ACROSS * across * rays[:, ::-1] * (-1, 1)
    points = torch.from_numpy(start).requires_grad_()
    with torch.no_grad():
        loss_fn.linear.weight.copy_(weights)
    for _ in range(steps):
        (slope,) = torch.autograd.grad(loss_fn(points, labels), points)
        points = (points - RATE * slope).detach().requires_grad_()
    loss_fn(points, labels)
    return _state(points.detach(), labels, loss_fn)


def _state(points: torch.Tensor, labels: torch.Tensor, loss_fn: Center) -> Pulled:
    centers = loss_fn.centers
    offsets = points - centers[labels]
    apart = torch.pdist(centers)
    return Pulled(
        points.numpy(),
        labels.numpy(),
        centers.numpy(),
        loss_fn.linear.weight.detach().numpy(),
        (-loss_fn.center_weight * offsets).numpy(),
        float(offsets.norm(dim=1).mean()),
        float(apart.mean()),
        float(loss_fn.parts["softmax"]),
        float(loss_fn.parts["center"]),
    )
