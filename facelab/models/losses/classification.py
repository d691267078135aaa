"""Classification losses: a linear layer scores every class and cross-entropy compares with the label.

Classification makes features separable; verification uses the features and discards the class scores. With a
one-hot target the logits grow without bound. Label smoothing (arXiv:1512.00567, section 7; arXiv:1812.01187)
trains toward a probability below 1, and online label smoothing (arXiv:2011.12562) learns how to distribute
the remainder over classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facelab.models.losses.batch import check_batch, in_float32, require
from facelab.models.losses.cosine import prototype_scores
from facelab.models.losses.mining import l2_normalize
from facelab.models.losses.shards import Part, Shard, shown, take_part


def smooth_targets(labels: Tensor, num_classes: int, label_smoothing: float) -> Tensor:
    """Return y_ls = (1-α)·onehot + α/K, the target of label smoothing.

    The optimal logits are then finite: ln y_ls, up to a constant.

    Args:
        labels: (B,) int64 in [0, K).
        num_classes: K.
        label_smoothing: α in [0, 1]; 0 is one-hot, 1 is uniform.

    Returns:
        (B, K) float32, rows sum to 1.

    Raises:
        ValueError: α is out of range.

    Example:
        >>> target = smooth_targets(torch.tensor([0]), num_classes=3, label_smoothing=0.1)
        >>> [round(p, 4) for p in target[0].tolist()]
        [0.9333, 0.0333, 0.0333]
        >>> [round(z, 2) for z in (target / target[:, 2:]).log()[0].tolist()]
        [3.33, 0.0, 0.0]
    """
    require(0 <= label_smoothing <= 1, "label_smoothing", label_smoothing, "0 to 1")
    return F.one_hot(labels, num_classes) * (1 - label_smoothing) + label_smoothing / num_classes


def linear_layer(embedding_dim: int, num_classes: int, bias: bool) -> nn.Linear:
    """Build the last layer, with small weights so that the initial loss is ln K."""
    layer = nn.Linear(embedding_dim, num_classes, bias)
    nn.init.normal_(layer.weight, std=0.01)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def linear_logits(layer: nn.Linear, embeddings: Tensor) -> Tensor:
    """Compute (B, D) -> (B, K) in the type of the embeddings, whatever the type of the layer."""
    return scores_of(layer.weight, layer.bias, embeddings)


def scores_of(weight: Tensor, bias: Tensor | None, embeddings: Tensor) -> Tensor:
    """Compute (B, D) -> (B, K) with weights (K, D), in the type of the embeddings."""
    bias = None if bias is None else bias.to(embeddings.dtype)
    return F.linear(embeddings, weight.to(embeddings.dtype), bias)


class Softmax(nn.Module):
    """Linear layer and cross-entropy, with optional label smoothing.

    Args:
        embedding_dim: D.
        num_classes: K.
        label_smoothing: α in [0, 1]; the target is `smooth_targets`, over all K classes.
        bias: whether the linear layer has one.

    Raises:
        ValueError: α is out of range.
    """

    shard: Shard | None = None  # see `shards`
    part: Part | None = None

    def __init__(
        self, embedding_dim: int, num_classes: int, label_smoothing: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        require(0 <= label_smoothing <= 1, "label_smoothing", label_smoothing, "0 to 1")
        self.embedding_dim, self.num_classes, self.label_smoothing = (
            embedding_dim,
            num_classes,
            label_smoothing,
        )
        self.linear = linear_layer(embedding_dim, num_classes, bias)

    @in_float32
    def logits(self, embeddings: Tensor) -> Tensor:
        """Return class scores: (B, D) -> (B, K)."""
        bias = None if self.linear.bias is None else shown(self, self.linear.bias)
        return scores_of(shown(self, self.linear.weight), bias, embeddings)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        check_batch(self, embeddings, labels)
        part = take_part(self, labels)
        return part.cross_entropy(self.logits(part.enter(embeddings)), self.label_smoothing)


class NormSoftmax(nn.Module):
    """Softmax on cosines: norms of embeddings and prototypes have no effect (NormFace, arXiv:1704.06369).

    Cosines lie in [-1, 1], which bounds the probability of softmax over K classes away from 1, hence the
    scale (proposition 2). Simplified: NormFace learns the scale; here it is fixed, by default at 1/0.05 as in
    arXiv:1811.12649.

    Args:
        embedding_dim: D.
        num_classes: K.
        scale: s > 0, the factor of the cosines.

    Raises:
        ValueError: the scale is out of range.
    """

    shard: Shard | None = None  # see `shards`
    part: Part | None = None

    def __init__(self, embedding_dim: int, num_classes: int, scale: float = 20.0) -> None:
        super().__init__()
        require(0 < scale < float("inf"), "scale", scale, "above 0")
        self.embedding_dim, self.num_classes, self.scale = embedding_dim, num_classes, scale
        self.prototypes = nn.Parameter(torch.randn(num_classes, embedding_dim) * 0.01)

    @in_float32
    def logits(self, embeddings: Tensor) -> Tensor:
        """Return class scores: (B, D) -> (B, K), s·cos θ."""
        return prototype_scores(l2_normalize(embeddings), shown(self, self.prototypes)) * self.scale

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        check_batch(self, embeddings, labels)
        part = take_part(self, labels)
        return part.cross_entropy(self.logits(part.enter(embeddings)))


class OnlineLabelSmoothing(nn.Module):
    """Soft labels learned from the network's own correct predictions (arXiv:2011.12562, algorithm 1).

    The soft label of a class is the mean probability vector of its correctly classified samples in the
    previous epoch; it shows which classes are similar. In the first epoch it is uniform; a class with no
    correct sample keeps its soft label. The trainer calls `end_epoch()` after each epoch. Row k of `soft` is
    column k in the paper.

    Args:
        embedding_dim: D.
        num_classes: K, at most 20,000: the current and the next table are both K x K.
        hard_label_weight: α in [0, 1]: the loss is α·(hard labels) + (1-α)·(soft labels).
        bias: whether the linear layer has one.

    Raises:
        ValueError: α or K is out of range.
    """

    def __init__(
        self, embedding_dim: int, num_classes: int, hard_label_weight: float = 0.5, bias: bool = True
    ) -> None:
        super().__init__()
        require(0 <= hard_label_weight <= 1, "hard_label_weight", hard_label_weight, "0 to 1")
        require(
            num_classes <= 20_000, "num_classes", num_classes, "at most 20000 (two tables of K x K numbers)"
        )
        self.embedding_dim, self.num_classes, self.hard_label_weight = (
            embedding_dim,
            num_classes,
            hard_label_weight,
        )
        self.linear = linear_layer(embedding_dim, num_classes, bias)
        self.register_buffer("soft", torch.full((num_classes, num_classes), 1 / num_classes))
        self.register_buffer("sums", torch.zeros(num_classes, num_classes))

    @in_float32
    def logits(self, embeddings: Tensor) -> Tensor:
        """Return class scores: (B, D) -> (B, K)."""
        return linear_logits(self.linear, embeddings)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        check_batch(self, embeddings, labels)
        log_p = self.logits(embeddings).log_softmax(1)
        hard = F.nll_loss(log_p, labels)
        soft = -(self.soft[labels].to(log_p.dtype) * log_p).sum(1).mean()
        if self.training:
            self._collect(log_p.detach(), labels)
        return self.hard_label_weight * hard + (1 - self.hard_label_weight) * soft

    def _collect(self, log_p: Tensor, labels: Tensor) -> None:
        correct = (
            log_p.argmax(1) == labels
        )  # as a factor: to pick rows by a mask, a GPU has to be asked how many
        self.sums.index_add_(0, labels, (log_p.exp() * correct[:, None]).to(self.sums.dtype))

    @torch.no_grad()
    def end_epoch(self) -> None:
        """Turn this epoch's statistics into the soft labels of the next epoch, and reset the statistics."""
        mass = self.sums.sum(1, keepdim=True)  # the number of correct samples, each of mass 1
        self.soft.copy_(torch.where(mass > 0, self.sums / mass, self.soft))
        self.sums.zero_()
