"""Pair losses: photos of one identity close together, photos of different identities apart.

They have no classifier and learn the embedding only: contrastive (Hadsell et al. 2006), triplet
(arXiv:1503.03832) and pairwise, which separates the scores of genuine pairs from those of impostor pairs. All
pairs or triplets of the batch can be used, at the cost of one B x B matrix; each loss is used alone or added,
with a weight, to a classification loss.
"""

import torch
from torch import Tensor, nn

from facelab.models.losses.batch import check_batch, in_float32, require
from facelab.models.losses.mining import (
    all_triplets,
    check_mining,
    count_inversions,
    l2_normalize,
    mine_triplets,
    mined_places,
    pair_masks,
    squared_distances,
)


def contrastive_loss(distances: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Compute ½·(mean of d² over genuine pairs + mean of max(0, m - d)² over impostor pairs).

    Hadsell et al. (CVPR 2006, eq. 4) sum over a list of pairs; here all pairs of the batch count, and each
    kind is averaged separately, because genuine pairs are few. The distance has no slope at d = 0; it is set
    to 0.

    Args:
        distances: (B, B) squared distances d².
        labels: (B,).
        margin: m > 0, in units of d.

    Returns:
        A scalar; a kind of pair that is absent from the batch adds 0.
    """
    genuine, impostor = pair_masks(labels)
    apart = distances > 0
    shortfall = (margin - torch.where(apart, distances, 1).sqrt() * apart).clamp(min=0)
    near = (distances * genuine).sum() / genuine.sum().clamp(min=1)
    far = (shortfall.square() * impostor).sum() / impostor.sum().clamp(min=1)
    return 0.5 * (near + far)


def pairwise_loss(genuine: Tensor, impostor: Tensor, margin: float) -> Tensor:
    """Compute the mean of max(0, m - (g - i)) over every genuine score g and every impostor score i, exactly.

    The hinge is a surrogate for "an impostor pair scores above a genuine pair"; the rate of that event is one
    minus the area under the ROC curve. The aim is that of the histogram loss (arXiv:1611.00822). Given the
    number of non-zero hinges of each score, the loss is linear; sorting yields these numbers in O(n log n)
    without a G x I table.

    Args:
        genuine: (G,) scores of genuine pairs.
        impostor: (I,) scores of impostor pairs.
        margin: m >= 0, the margin by which every g should exceed every i.

    Returns:
        A scalar; 0 where either is empty.
    """
    wanted = genuine - margin
    at_impostor, at_genuine = count_inversions(impostor.detach(), wanted.detach())
    total = impostor @ at_impostor.to(impostor) - wanted @ at_genuine.to(wanted)
    return total / max(1, len(genuine) * len(impostor))


def masked_pairwise_loss(cosine: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Compute `pairwise_loss` of all pairs of a batch without listing them, so that their number is not
    needed.

    Listing them is faster on a CPU; on a GPU the host would wait for the number.

    Args:
        cosine: (B, B).
        labels: (B,).
        margin: m >= 0.
    """
    genuine, impostor = (mask.triu().flatten() for mask in pair_masks(labels))
    scores = cosine.flatten()
    wanted = scores - margin
    at_impostor, at_genuine = count_inversions(
        scores.detach().masked_fill(~impostor, -torch.inf), wanted.detach().masked_fill(~genuine, torch.inf)
    )
    total = scores @ at_impostor.to(scores) - wanted @ at_genuine.to(scores)
    return total / (genuine.sum() * impostor.sum()).clamp(min=1)


def masked_triplet_loss(distances: Tensor, labels: Tensor, mining: str, margin: float) -> Tensor:
    """Compute `triplet_loss` of the strategy `hard` or `semi_hard` without listing triplets, for GPUs.

    Args:
        distances: (B, B).
        labels: (B,).
        mining: `hard` or `semi_hard`.
        margin: margin of the hinge.
    """
    mined, positive, negative = mined_places(distances, labels, mining, margin)
    hinges = (distances.gather(1, positive) - distances.gather(1, negative) + margin).clamp(min=0)
    return (hinges * mined).sum() / mined.sum().clamp(min=1)


def triplet_loss(distances: Tensor, labels: Tensor, mining: str, margin: float) -> Tensor:
    """Compute the mean of max(0, d(a,p) - d(a,n) + m) over the mined triplets (FaceNet, arXiv:1503.03832,
    section 3.1).

    Args:
        distances: (B, B); FaceNet's are squared distances of unit vectors, in [0, 4].
        labels: (B,).
        mining: `all` uses every valid triplet, including those with zero loss; `semi_hard` and `hard` as in
            `facelab.models.losses.mining`.
        margin: m, on those distances.

    Returns:
        A scalar; 0 with a zero gradient where there is no triplet.
    """
    if mining == "all":
        as_positive, as_negative, count = all_triplets(distances, labels, margin)
        total = (distances * (as_positive - as_negative) + margin * as_positive).sum()
        return total / count.clamp(min=1)
    if distances.is_cuda:
        return masked_triplet_loss(distances, labels, mining, margin)
    anchor, positive, negative = mine_triplets(distances, labels, mining, margin)
    hinges = (distances[anchor, positive] - distances[anchor, negative] + margin).clamp(min=0)
    return hinges.sum() / max(1, len(anchor))


class Contrastive(nn.Module):
    """Contrastive loss over all pairs of the batch; see `contrastive_loss`.

    Args:
        embedding_dim: D.
        num_classes: C, to check labels against; nothing is learned per class.
        pair_margin: m > 0, the Euclidean distance beyond which impostor pairs give no gradient.
        normalize: compare unit vectors (no distance then exceeds 2), as verification by cosine does. False
            compares raw embeddings, as Hadsell's 2-D pictures do.

    Raises:
        ValueError: the margin is out of range.
    """

    def __init__(
        self, embedding_dim: int, num_classes: int, pair_margin: float = 1.0, normalize: bool = True
    ) -> None:
        super().__init__()
        highest = 2.0 if normalize else float("inf")
        require(0 < pair_margin <= highest, "pair_margin", pair_margin, f"above 0, up to {highest}")
        self.embedding_dim, self.num_classes = embedding_dim, num_classes
        self.pair_margin, self.normalize = pair_margin, normalize

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        check_batch(self, embeddings, labels)
        points = l2_normalize(embeddings) if self.normalize else embeddings
        return contrastive_loss(squared_distances(points), labels, self.pair_margin)


class Pairwise(nn.Module):
    """Pairwise loss: every genuine cosine of the batch above every impostor cosine by a margin; see
    `pairwise_loss`.

    Args:
        embedding_dim: D.
        num_classes: C, to check labels against; nothing is learned per class.
        pair_margin: m in [0, 2], on cosines. The default is this project's choice.

    Raises:
        ValueError: the margin is out of range.
    """

    def __init__(self, embedding_dim: int, num_classes: int, pair_margin: float = 0.5) -> None:
        super().__init__()
        require(0 <= pair_margin <= 2, "pair_margin", pair_margin, "0 to 2")
        self.embedding_dim, self.num_classes, self.pair_margin = embedding_dim, num_classes, pair_margin

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        check_batch(self, embeddings, labels)
        directions = l2_normalize(embeddings)
        cosine = directions @ directions.T
        if cosine.is_cuda:
            return masked_pairwise_loss(cosine, labels, self.pair_margin)
        genuine, impostor = pair_masks(labels)
        return pairwise_loss(cosine[genuine.triu()], cosine[impostor.triu()], self.pair_margin)


class Triplet(nn.Module):
    """Triplet loss on squared distances of unit vectors, as in FaceNet (arXiv:1503.03832, section 3.1).

    Args:
        embedding_dim: D.
        num_classes: C, to check labels against; nothing is learned per class.
        pair_margin: m in [0, 4], on squared distances; 0.2 in FaceNet.
        mining: which triplets: `all`, `semi_hard` (FaceNet's) or `hard`.

    Raises:
        ValueError: margin or strategy is not valid.
    """

    def __init__(
        self, embedding_dim: int, num_classes: int, pair_margin: float = 0.2, mining: str = "semi_hard"
    ) -> None:
        super().__init__()
        require(0 <= pair_margin <= 4, "pair_margin", pair_margin, "0 to 4")
        check_mining(mining)
        self.embedding_dim, self.num_classes = embedding_dim, num_classes
        self.pair_margin, self.mining = pair_margin, mining

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        check_batch(self, embeddings, labels)
        return triplet_loss(
            squared_distances(l2_normalize(embeddings)), labels, self.mining, self.pair_margin
        )


class Sum(nn.Module):
    """classification(x, y) + pair_weight·pair(x, y), for a recipe with `loss="softmax+triplet"`.

    Args:
        classification: a loss with `logits`, which this loss returns.
        pair: a loss of this file.
        pair_weight: >= 0.

    Raises:
        ValueError: the weight is out of range.
    """

    def __init__(self, classification: nn.Module, pair: nn.Module, pair_weight: float = 1.0) -> None:
        super().__init__()
        require(0 <= pair_weight < float("inf"), "pair_weight", pair_weight, "0 or more")
        self.classification, self.pair, self.pair_weight = classification, pair, pair_weight

    def logits(self, embeddings: Tensor) -> Tensor:
        """Return class scores of the classification loss: (B, D) -> (B, C)."""
        return self.classification.logits(embeddings)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        named, paired = self.classification(embeddings, labels), self.pair(embeddings, labels)
        self.parts = {"classification": named.detach(), "pair": paired.detach()}
        return named + self.pair_weight * paired

    def end_epoch(self) -> None:
        """Close the epoch for a classification loss that counts epochs."""
        if hasattr(self.classification, "end_epoch"):
            self.classification.end_epoch()
