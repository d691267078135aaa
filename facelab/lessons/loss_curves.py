"""Arrays of the Losses tab's curves, computed by the functions that training uses.

Margins come from `facelab.models.losses.margins` at given cosines, gradients from autograd, triplets from
`facelab.models.losses.mining` and pair gradients from `facelab.models.losses.pairs`. No loss is implemented a
second time here, so page and training cannot differ. Everything is float64.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facelab.metrics.verification import auc, equal_error_rate
from facelab.models.losses import LOSSES, Loss
from facelab.models.losses.batch import require
from facelab.models.losses.margins import a_softmax_logits, arcface_logits, cosface_logits
from facelab.models.losses.mining import (
    all_triplets,
    l2_normalize,
    mine_triplets,
    pair_masks,
    squared_distances,
)
from facelab.models.losses.pairs import contrastive_loss, pairwise_loss

COMPARED = ("norm_softmax", "a_softmax", "cosface", "arcface")
KINDS = ("easy", "semi-hard", "hard")
NO_CLASS = -1
PEOPLE, PHOTOS = 8, 8  # of the batch in which pairs are weighed
GENUINE, IMPOSTOR = PEOPLE * PHOTOS * (PHOTOS - 1) // 2, PEOPLE * (PEOPLE - 1) // 2 * PHOTOS**2


def papers(*names: str) -> dict[str, Loss]:
    """Return year, paper and idea of some losses, from the table of losses."""
    return {name: LOSSES[name] for name in names}


@dataclass(frozen=True)
class Margins:
    """Values of the sliders; the defaults are the papers'.

    Attributes:
        a_softmax: m, an integer >= 1, that multiplies the angle.
        cosface: m in [0, 1], subtracted from the cosine.
        arcface: m in radians, in [0, π/2), added to the angle.
        scale: s > 0; for A-Softmax, which has none, the length of the embedding.
        annealing: λ >= 0, A-Softmax's share of plain softmax; its training ends at 5.
    """

    a_softmax: int = 4
    cosface: float = 0.35
    arcface: float = 0.5
    scale: float = 64.0
    annealing: float = 5.0

    def logits(self, name: str, cosine: Tensor, labels: Tensor) -> Tensor:
        """Compute logits with the margin for the true class, of one of COMPARED: (B, C) cosines -> (B, C).

        Raises:
            ValueError: unknown name, or a margin or scale that is out of range.
        """
        require(0 < self.scale < float("inf"), "scale", self.scale, "above 0")
        if name == "a_softmax":
            lengths = cosine.new_full((len(cosine),), self.scale)
            scores = cosine * self.scale
            return a_softmax_logits(scores, labels, lengths, self.a_softmax, self.annealing)
        if name == "arcface":
            return arcface_logits(cosine, labels, self.arcface, self.scale)
        require(name in COMPARED, "loss", repr(name), ", ".join(COMPARED))
        return cosface_logits(cosine, labels, self.cosface if name == "cosface" else 0.0, self.scale)


@dataclass(frozen=True, eq=False)
class Curves:
    """One loss as a function of the angle θ between an embedding and its class weight vector; arrays (A,).

    Attributes:
        target: the true class's logit, margin included.
        loss: cross-entropy, with every other prototype at a right angle, which is nearly true in many
            dimensions.
        gradient: |∂loss/∂θ| per radian.
    """

    target: np.ndarray
    loss: np.ndarray
    gradient: np.ndarray


def margin_curves(margins: Margins, num_classes: int, degrees: np.ndarray) -> dict[str, Curves]:
    """Compute each of COMPARED at the angles θ.

    In a softmax, C - 1 classes with the same logit z act as one class with z + ln(C - 1).

    Args:
        margins: margins of the losses.
        num_classes: C >= 2.
        degrees: (A,), in [0, 180].
    """
    theta = torch.deg2rad(torch.as_tensor(degrees, dtype=torch.float64)).requires_grad_()
    labels = torch.zeros(len(theta), dtype=torch.int64)
    cosine = torch.stack([theta.cos(), torch.zeros_like(theta)], 1)
    alike = theta.new_tensor([0.0, math.log(num_classes - 1)])
    out = {}
    for name in COMPARED:
        logits = margins.logits(name, cosine, labels)
        loss = F.cross_entropy(logits + alike, labels, reduction="none")
        (slope,) = torch.autograd.grad(loss.sum(), theta, retain_graph=True)
        target = logits[:, 0].detach().numpy()
        out[name] = Curves(target, loss.detach().numpy(), slope.abs().numpy())
    return out


def best_probability(scale: np.ndarray | float, num_classes: int) -> np.ndarray | float:
    """Return the maximum of softmax on s·cos θ: 1 / (1 + (C-1)·exp(-s·C/(C-1))).

    It is attained where the embedding lies on its class weight vector and the C prototypes are as far from
    each other as possible, at cosines of -1/(C-1); the bound of NormFace (arXiv:1704.06369, proposition 2) as
    a probability.
    """
    others = num_classes - 1
    return 1 / (1 + others * np.exp(-np.asarray(scale) * num_classes / others))


def decision_regions(margins: Margins, prototypes: np.ndarray, degrees: np.ndarray) -> dict[str, np.ndarray]:
    """Return the class whose decision region contains each direction of the plane, margin included.

    A direction belongs to class c if a sample of class c there has the highest logit despite its margin. In
    the gap between regions no class does, and training continues to move samples.

    Args:
        margins: margins of the losses.
        prototypes: (P,) directions in degrees.
        degrees: (A,) directions.

    Returns:
        For each of COMPARED (A,) integers, a class in [0, P) or NO_CLASS.
    """
    return _owners(margins, np.cos(np.deg2rad(degrees[:, None] - prototypes)))


def sphere_regions(margins: Margins, prototypes: np.ndarray, directions: np.ndarray) -> dict[str, np.ndarray]:
    """Return which class each direction of space satisfies, as `decision_regions` does in the plane.

    Args:
        margins: of the losses.
        prototypes: (P, 3) unit vectors.
        directions: (A, 3) unit vectors.

    Returns:
        For each of COMPARED (A,) integers, a class in [0, P) or NO_CLASS.
    """
    return _owners(margins, directions @ prototypes.T)


def _owners(margins: Margins, cosines: np.ndarray) -> dict[str, np.ndarray]:
    """Return (A,) classes whose margin holds at (A, P) cosines, for each of COMPARED."""
    cosine = torch.as_tensor(cosines, dtype=torch.float64)
    out = {}
    for name in COMPARED:
        owner = np.full(len(cosine), NO_CLASS)
        for c in reversed(range(cosine.shape[1])):  # a tie goes to the first, as argmax would have it
            logits = margins.logits(name, cosine, torch.full((len(cosine),), c))
            owner[(logits[:, c] >= logits.max(1).values).numpy()] = c
        out[name] = owner
    return out


def on_circle(degrees: list[float]) -> Tensor:
    """Convert directions in degrees -> (N, 2) unit vectors."""
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()], 1)


@dataclass(frozen=True, eq=False)
class OneTriplet:
    """A triplet: its squared distances of unit vectors, its kind in KINDS, its hinge, and (3, D) ∂loss/∂x."""

    positive: float
    negative: float
    kind: str
    loss: float
    gradient: np.ndarray


def one_triplet(points: Tensor, margin: float) -> OneTriplet:
    """Compute max(0, d(a,p)² - d(a,n)² + m) of an anchor, a positive and a negative (3, D), on unit
    vectors.
    """
    points = points.detach().requires_grad_()
    distances = squared_distances(l2_normalize(points))
    hinge = (distances[0, 1] - distances[0, 2] + margin).clamp(min=0)
    (gradient,) = torch.autograd.grad(hinge, points)
    kind = triplet_kinds(points, torch.tensor([0, 0, 1]), 0, 1, margin)[2]
    near, far = distances[0, 1:].tolist()
    return OneTriplet(near, far, KINDS[kind], hinge.item(), gradient.numpy())


@torch.no_grad()
def triplet_kinds(points: Tensor, labels: Tensor, anchor: int, positive: int, margin: float) -> np.ndarray:
    """Classify each photo as negative of one anchor and positive (arXiv:1503.03832, section 3.2).

    Easy: the hinge is zero. Semi-hard: farther than the positive, but by less than the margin. Hard: not
    farther. `facelab.models.losses.mining` counts the hinges; this function only compares distances.

    Args:
        points: (B, D).
        labels: (B,).
        anchor, positive: two rows of one class.
        margin: m, on squared distances of unit vectors.

    Returns:
        (B,) indices into KINDS; NO_CLASS where the photo is of the anchor's class.
    """
    negatives = (labels != labels[anchor]).nonzero().squeeze(1)
    batch = torch.cat([torch.tensor([anchor, positive]), negatives])
    distances = squared_distances(l2_normalize(points[batch]))
    _, as_negative, _ = all_triplets(distances, labels[batch], margin)
    counts = (as_negative[0, 2:] > 0).long()
    kinds = torch.full((len(points),), NO_CLASS)
    kinds[negatives] = counts * (1 + (distances[0, 2:] <= distances[0, 1]).long())
    return kinds.numpy()


@torch.no_grad()
def mined_for(
    points: Tensor, labels: Tensor, anchor: int, mining: str, margin: float
) -> list[tuple[int, int]]:
    """Return the (positive, negative) rows that `hard` or `semi_hard` mining selects for one anchor of a
    batch.
    """
    found = mine_triplets(squared_distances(l2_normalize(points)), labels, mining, margin)
    mine = found.anchor == anchor
    return list(zip(found.positive[mine].tolist(), found.negative[mine].tolist()))


def normal_scores(mean: float, spread: float, count: int) -> np.ndarray:
    """Return `count` cosines at the quantiles of a normal distribution, clipped to [-0.999, 0.999]."""
    shares = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return (mean + spread * torch.special.ndtri(shares)).clamp(-0.999, 0.999).numpy()


def histogram_scores(edges: tuple[float, ...], shares: tuple[float, ...], count: int) -> np.ndarray:
    """Return `count` cosines distributed as a measured histogram, uniformly within each bin."""
    reached = np.concatenate([[0.0], np.cumsum(shares)])
    wanted = (np.arange(count) + 0.5) / count * reached[-1]
    return np.interp(wanted, reached, edges).clip(-0.999, 0.999)


@dataclass(frozen=True, eq=False)
class PairGradients:
    """A pair loss on two sets of scores: its value, and -∂loss/∂score of each, scaled as if there were one
    pair of its kind.

    Attributes:
        loss: the value.
        genuine: (G,) for genuine scores; positive raises the score.
        impostor: (I,) for impostor scores; negative lowers it.
    """

    loss: float
    genuine: np.ndarray
    impostor: np.ndarray


def weigh_contrastive(genuine: np.ndarray, impostor: np.ndarray, margin: float) -> PairGradients:
    """Compute `contrastive_loss` on GENUINE and IMPOSTOR cosines: the pairs of a batch of 8 people with 8
    photos.
    """
    scores = [torch.from_numpy(values).requires_grad_() for values in (genuine, impostor)]
    labels = torch.arange(PEOPLE).repeat_interleave(PHOTOS)
    above = torch.zeros(len(labels), len(labels), dtype=torch.float64)
    for mask, values in zip(pair_masks(labels), scores):
        above = above.masked_scatter(mask.triu(1), values)
    distances = 2 - 2 * (above + above.T)  # |a - b|² = 2 - 2·cos of unit vectors
    return _pair_gradients(contrastive_loss(distances, labels, margin), scores)


def weigh_pairwise(genuine: np.ndarray, impostor: np.ndarray, margin: float) -> PairGradients:
    """Compute `pairwise_loss` on any number of cosines of both kinds."""
    scores = [torch.from_numpy(values).requires_grad_() for values in (genuine, impostor)]
    return _pair_gradients(pairwise_loss(*scores, margin), scores)


def _pair_gradients(loss: Tensor, scores: list[Tensor]) -> PairGradients:
    of_genuine, of_impostor = (-len(s) * g.numpy() for s, g in zip(scores, torch.autograd.grad(loss, scores)))
    return PairGradients(loss.item(), of_genuine, of_impostor)


def separation(genuine: np.ndarray, impostor: np.ndarray) -> tuple[float, float, float]:
    """Return (EER, its threshold, share of ranking errors 1 - AUC), each in [0, 1]."""
    return *equal_error_rate(genuine, impostor), 1 - auc(genuine, impostor)
