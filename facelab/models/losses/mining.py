"""Select the informative pairs and triplets of a batch: distances, masks and mining, as pure functions.

Most triplets of a batch already satisfy the margin and give no gradient, so mining decides whether triplet
loss works. FaceNet (arXiv:1503.03832, section 3.2) uses semi-hard triplets, Hermans et al. (arXiv:1703.07737,
eq. 5) the hardest. Nothing here is random. All functions take plain tensors, so embeddings gathered from
several machines can be passed as well.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

MINING = ("all", "semi_hard", "hard")


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, vectors: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
        norms = norms.masked_fill(norms == 0, 1)
        directions = vectors / norms
        ctx.save_for_backward(directions, norms)
        return directions

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        directions, norms = ctx.saved_tensors
        along = torch.linalg.vecdot(grad, directions)[:, None]
        return torch.addcmul(grad, directions, along, value=-1).div_(norms)


def l2_normalize(vectors: Tensor) -> Tensor:
    """Scale the rows of (B, D) to length 1; a zero row stays zero and its gradient stays finite.

    The gradient is the component orthogonal to the row, divided by its norm; autograd would need several
    passes to compute it.
    """
    return _Unit.apply(vectors)


class _SquaredDistances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, embeddings: Tensor) -> Tensor:
        centered = embeddings - embeddings.mean(0)
        ctx.save_for_backward(centered)
        squares = centered.square().sum(1)
        products = torch.addmm(squares, centered, centered.T, alpha=-2)
        return products.add_(squares[:, None]).clamp_(min=0)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        (centered,) = ctx.saved_tensors
        both = grad + grad.T
        return (centered * both.sum(1, keepdim=True)).addmm_(both, centered, alpha=-1).mul_(2)


def squared_distances(embeddings: Tensor) -> Tensor:
    """Compute squared Euclidean distances, never negative: (B, D) -> (B, B).

    The mean is subtracted first. This changes no distance, and equal embeddings far from the origin
    (collapse) then have distance zero instead of the rounding error of two large squares. The gradient, Σ_j
    2·(g_ij + g_ji)·(x_i - x_j), is one matrix product where autograd would need two.
    """
    return _SquaredDistances.apply(embeddings)


def pair_masks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return two (B, B) boolean masks (genuine, impostor) of (B,) labels; a photo with itself is in
    neither.
    """
    same = labels[:, None] == labels
    return same.clone().fill_diagonal_(False), ~same


def count_inversions(high: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
    """Count the pairs with high > low, at each high and at each low, along the last dimension.

    Two sorts and two binary searches replace the H x L table of comparisons: O(n log n). The counts suffice
    for a hinge over all pairs, because Σ max(0, high - low) is linear in the values once they are known.

    Args:
        high: (..., H); -inf is ignored.
        low: (..., L); +inf is ignored.

    Returns:
        int64 counts, (..., H) and (..., L).
    """
    below = torch.searchsorted(low.sort(-1).values, high)
    above = high.shape[-1] - torch.searchsorted(high.sort(-1).values, low, right=True)
    return below, above


class Triplets(NamedTuple):
    """Hold indices (T,) into the batch: each anchor with one photo of its class and one of another."""

    anchor: Tensor
    positive: Tensor
    negative: Tensor


def hard_triplets(distances: Tensor, labels: Tensor) -> Triplets:
    """Return the farthest positive and the nearest negative of each anchor (arXiv:1703.07737, eq. 5).

    Args:
        distances: (B, B).
        labels: (B,).

    Returns:
        At most B triplets: anchors without a positive or without a negative are omitted.
    """
    mined, positive, negative = mined_places(distances, labels, "hard")
    anchor = mined.squeeze(1).nonzero().squeeze(1)
    return Triplets(anchor, positive[anchor, 0], negative[anchor, 0])


def mined_places(
    distances: Tensor, labels: Tensor, mining: str, margin: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the triplets of a strategy as masks and columns of a fixed size.

    Args:
        distances: (B, B).
        labels: (B,).
        mining: `hard` or `semi_hard`.
        margin: margin of `semi_hard`.

    Returns:
        Three (B, K): whether the entry is a triplet (its row is the anchor), the column of its positive and
        of its negative. K is 1 for `hard`, B for `semi_hard`.
    """
    genuine, impostor = pair_masks(labels)
    distances = distances.detach()
    if mining == "hard":
        farthest, positive = distances.masked_fill(~genuine, -torch.inf).max(1, keepdim=True)
        nearest, negative = distances.masked_fill(~impostor, torch.inf).min(1, keepdim=True)
        return farthest.isfinite() & nearest.isfinite(), positive, negative
    ordered, index = distances.masked_fill(~impostor, torch.inf).sort(1)
    place = torch.searchsorted(ordered, distances, right=True)  # in range: each row ends in its own inf,
    place = place.clamp_(max=len(place) - 1)  # unless there are NaNs, and a GPU ends a process for an index
    within = genuine & (ordered.gather(1, place) < distances + margin)
    positive = torch.arange(len(labels), device=labels.device).expand_as(place)
    return within, positive, index.gather(1, place)


def semi_hard_triplets(distances: Tensor, labels: Tensor, margin: float) -> Triplets:
    """Return, for each genuine pair, the nearest negative that is farther than the positive, if within the
    margin.

    Such negatives are farther than the positive, but by less than the margin (FaceNet, arXiv:1503.03832,
    section 3.2); the hardest negatives can make an untrained network collapse. One row sort and one binary
    search per pair: O(B² log B).

    Args:
        distances: (B, B).
        labels: (B,).
        margin: largest useful difference of the two distances, >= 0.

    Returns:
        At most one triplet per genuine (anchor, positive) pair.
    """
    within, _, negative = mined_places(distances, labels, "semi_hard", margin)
    anchor, positive = within.nonzero(as_tuple=True)
    return Triplets(anchor, positive, negative[anchor, positive])


def all_triplets(distances: Tensor, labels: Tensor, margin: float) -> tuple[Tensor, Tensor, Tensor]:
    """Count the non-zero hinges max(0, d(a,p) - d(a,n) + margin) of all triplets without listing them.

    Args:
        distances: (B, B).
        labels: (B,).
        margin: margin of the hinge.

    Returns:
        (B, B) int64: number of non-zero triplets in which an entry is the positive distance; (B, B) int64:
        the same for the negative distance; () int64: the number of valid triplets, zero ones included.
    """
    genuine, impostor = pair_masks(labels)
    distances = distances.detach()
    high = (distances + margin).masked_fill(~genuine, -torch.inf)
    as_positive, as_negative = count_inversions(high, distances.masked_fill(~impostor, torch.inf))
    return as_positive, as_negative, (genuine.sum(1) * impostor.sum(1)).sum()


@dataclass(frozen=True)
class Mined:
    """Hold what a strategy found in a batch; the means are NaN where it found nothing.

    Attributes:
        triplets: number of triplets.
        nonzero: share of triplets with a loss above zero, in [0, 1].
        positive: mean squared distance from anchor to positive.
        negative: mean squared distance from anchor to negative.
    """

    triplets: int
    nonzero: float
    positive: float
    negative: float


@torch.no_grad()
def mine(embeddings: Tensor, labels: Tensor, mining: str, margin: float) -> Mined:
    """Report what `triplet` learns from with this strategy, on squared distances of unit vectors.

    Args:
        embeddings: (B, D), not normalized.
        labels: (B,).
        mining: a name in MINING.
        margin: margin of the hinge, on squared distances.

    Raises:
        ValueError: unknown strategy.
    """
    check_mining(mining)
    distances = squared_distances(l2_normalize(embeddings.float()))
    if mining == "all":
        genuine, impostor = pair_masks(labels)
        as_positive, _, triplets = all_triplets(distances, labels, margin)
        active = as_positive.sum()
        positive = (distances * genuine * impostor.sum(1, keepdim=True)).sum() / triplets
        negative = (distances * impostor * genuine.sum(1, keepdim=True)).sum() / triplets
    else:
        found = mine_triplets(distances, labels, mining, margin)
        near, far = distances[found.anchor, found.positive], distances[found.anchor, found.negative]
        triplets, active, positive, negative = (
            len(near),
            (near - far + margin > 0).sum(),
            near.mean(),
            far.mean(),
        )
    return Mined(
        int(triplets), float(active / triplets) if triplets else 0.0, float(positive), float(negative)
    )


def mine_triplets(distances: Tensor, labels: Tensor, mining: str, margin: float) -> Triplets:
    """Return the triplets of the strategy `hard` or `semi_hard`; for `all` see `all_triplets`, which does not
    list them.
    """
    if mining == "hard":
        return hard_triplets(distances, labels)
    return semi_hard_triplets(distances, labels, margin)


def check_mining(mining: str) -> None:
    """Raise a ValueError unless the strategy is one of MINING."""
    if mining not in MINING:
        raise ValueError(f"mining is {mining!r}; legal: {', '.join(MINING)}")


@torch.no_grad()
def has_collapsed(embeddings: Tensor, loss: float, margin: float, tolerance: float = 0.05) -> bool:
    """Return whether triplet training has collapsed: all embeddings are equal and the loss stays at the
    margin.

    Equal embeddings make every hinge max(0, 0 - 0 + margin), and the gradient of a squared distance is zero
    there, so training cannot leave this point (arXiv:1703.07737). A lower learning rate, `all` or `semi_hard`
    mining, or an added classification loss prevents it.

    Args:
        embeddings: (B, D), not normalized.
        loss: the triplet loss of this batch.
        margin: its margin, on squared distances of unit vectors.
        tolerance: tolerance as a share of the margin.

    Returns:
        True if |loss - margin| and the mean squared distance between unit embeddings are both below
        tolerance * margin; a loss of 0 counts as well, because semi-hard mining finds nothing at that point.
    """
    spread = squared_distances(l2_normalize(embeddings.float())).mean()
    stuck = loss == 0 or abs(loss - margin) < tolerance * margin
    return stuck and bool(spread < tolerance * margin)
