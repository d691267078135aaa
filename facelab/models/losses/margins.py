"""Margin losses: the true class must win by a margin, which leaves a gap between identities.

SphereFace multiplies the angle to the true prototype (arXiv:1704.08063), CosFace subtracts a constant from
its cosine (arXiv:1801.09414), and ArcFace adds a constant to the angle (arXiv:1801.07698). Each is a function
ψ of the true class's cosine, used by the loss and by the page that draws it. Only the target logit of each
sample changes; the other (B, C) scores do not.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from facelab.models.losses.batch import Scheduled, check_batch, in_float32, require
from facelab.models.losses.cosine import prototype_scores
from facelab.models.losses.mining import l2_normalize
from facelab.models.losses.shards import Part, Shard, shown, take_part


def arcface_psi(cosine: Tensor, margin: float) -> Tensor:
    """Compute the true class's cosine with ArcFace's margin: cos(θ + m), continued past θ = π - m.

    cos(θ + m) would rise again there and reward the hardest samples for getting worse, so they get cos θ -
    m·sin m instead. At θ = π - m the value steps down from -1 to -(cos m + m·sin m), because cos m + m·sin m
    grows from 1 on [0, π/2] (its slope is m·cos m); so ψ never rises with θ, for any valid m. sin θ = √(1 -
    cos²θ) has an infinite slope at cos θ = ±1; there it is treated as the constant 0.

    Args:
        cosine: any shape, cos θ in [-1, 1], up to rounding.
        margin: m in radians, in [0, π/2).

    Returns:
        Same shape. Its slope over cos θ is finite everywhere, 1 past the step, and 0 only at θ = π - m.

    Raises:
        ValueError: margin is out of range.
    """
    require(0 <= margin < math.pi / 2, "margin", margin, "0 to π/2 radians, π/2 excluded")
    squared = 1 - cosine * cosine
    sine = torch.where(squared > 0, squared, 1).sqrt() * (squared > 0)
    shifted = cosine * math.cos(margin) - sine * math.sin(margin)
    return torch.where(cosine >= -math.cos(margin), shifted, cosine - margin * math.sin(margin))


def cosface_psi(cosine: Tensor, margin: float) -> Tensor:
    """Compute the true class's cosine with CosFace's margin: cos θ - m (arXiv:1801.09414, eq. 4).

    Args:
        cosine: any shape, in [-1, 1].
        margin: m in [0, 1].

    Raises:
        ValueError: margin is out of range.
    """
    require(0 <= margin <= 1, "margin", margin, "0 to 1")
    return cosine - margin


def a_softmax_psi(cosine: Tensor, margin: int) -> Tensor:
    """Compute the true class's cosine with SphereFace's margin: (-1)^k·cos(mθ) - 2k (arXiv:1704.08063, eq.
    7).

    k counts the multiples of π/m below θ, so the pieces of cos(mθ) join into one decreasing curve. cos(mθ) is
    computed as the Chebyshev polynomial T_m(cos θ); its slope is finite at cos θ = ±1, while that of the
    arccosine is not.

    Args:
        cosine: any shape, in [-1, 1].
        margin: m, an integer >= 1; 1 means no margin.

    Returns:
        Same shape, from 1 at θ = 0 down to 1 - 2m at θ = π.

    Raises:
        ValueError: margin is out of range.
    """
    require(margin >= 1 and margin % 1 == 0, "margin", margin, "1, 2, 3, ...")
    margin = int(margin)
    k = torch.zeros_like(cosine, dtype=torch.int64)
    for joint in range(1, margin):  # plain numbers: a tensor of them would have to be sent to a GPU
        k += cosine < math.cos(math.pi * joint / margin)
    before, multiple = torch.ones_like(cosine), cosine
    for _ in range(margin - 1):
        before, multiple = multiple, 2 * cosine * multiple - before
    return multiple * (1 - 2 * (k % 2)) - 2 * k


def of_true_class(scores: Tensor, labels: Tensor) -> Tensor:
    """Return each sample's score for its true class: (B, C), (B,) -> (B,); of any class where it is -1."""
    return scores[torch.arange(len(labels), device=labels.device), labels]


def with_true_class(scores: Tensor, labels: Tensor, target: Tensor) -> Tensor:
    """Write `target` (B,) into the scores of the true class, in place; rows labeled -1, a class of another
    process, do not change.
    """
    column = labels.clamp(min=0)
    kept = torch.where(labels >= 0, target, of_true_class(scores, column))
    return scores.scatter_(1, column[:, None], kept[:, None])


def arcface_logits(cosine: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """Add an angular margin to the true-class angle (ArcFace, arXiv:1801.07698, eq. 3).

    Args:
        cosine: (B, C), cos θ in [-1, 1].
        labels: (B,) int64 in [0, C), or -1 for a class of another process.
        margin: m in radians, in [0, π/2).
        scale: s, the radius of the hypersphere.

    Returns:
        (B, C) logits: s·cos(θ + m) for the true class (`arcface_psi` past π - m), s·cos θ for the others.

    Raises:
        ValueError: margin is out of range.
    """
    target = scale * arcface_psi(of_true_class(cosine, labels), margin)
    return with_true_class(cosine * scale, labels, target)


def cosface_logits(cosine: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """Subtract a margin from the true-class cosine (CosFace, arXiv:1801.09414, eq. 4).

    Args:
        cosine: (B, C), cos θ in [-1, 1].
        labels: (B,) int64 in [0, C), or -1 for a class of another process.
        margin: m in [0, 1].
        scale: s, the radius of the hypersphere.

    Returns:
        (B, C) logits: s·(cos θ - m) for the true class, s·cos θ for the others.

    Raises:
        ValueError: margin is out of range.
    """
    target = scale * cosface_psi(of_true_class(cosine, labels), margin)
    return with_true_class(cosine * scale, labels, target)


def a_softmax_logits(scores: Tensor, labels: Tensor, norms: Tensor, margin: int, annealing: float) -> Tensor:
    """Multiply the true-class angle by m, blended with plain softmax (SphereFace, arXiv:1704.08063, eq. 7).

    Args:
        scores: (B, C), ‖x‖·cos θ.
        labels: (B,) int64 in [0, C), or -1 for a class of another process.
        norms: (B,), ‖x‖.
        margin: m, an integer >= 1.
        annealing: λ >= 0, the weight of the plain cosine relative to ψ.

    Returns:
        (B, C) logits: ‖x‖·(λ·cos θ + ψ(θ))/(1 + λ) for the true class, ‖x‖·cos θ for the others.

    Raises:
        ValueError: margin is out of range.
    """
    plain = of_true_class(scores, labels)
    cosine = plain / norms.masked_fill(norms == 0, 1)
    target = plain + norms * (a_softmax_psi(cosine, margin) - cosine) / (1 + annealing)
    return with_true_class(scores.clone(), labels, target)


def annealed_lambda(step: int) -> float:
    """Compute λ = max(5, 1500/(1 + 0.1·step)): nearly plain softmax at first, a constant share of it
    later.
    """
    return max(5.0, 1500 / (1 + 0.1 * step))


class MarginSoftmax(Scheduled):
    """Softmax on scaled cosines with a margin for the true class; `arcface` and `cosface` build it.

    Args:
        embedding_dim: D.
        num_classes: C.
        margin_logits: `arcface_logits` or `cosface_logits`.
        margin: m.
        scale: s > 0.
        margin_warmup: training steps over which the margin grows linearly from 0; 0 uses the full margin from
            the first step. From scratch and with little data, the full margin can do worse than plain
            softmax. The step is in the state_dict.

    Raises:
        ValueError: margin, scale or warm-up is out of range.
    """

    shard: Shard | None = None  # see `shards`
    part: Part | None = None

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        margin_logits: Callable[[Tensor, Tensor, float, float], Tensor],
        margin: float,
        scale: float,
        margin_warmup: int,
    ) -> None:
        super().__init__()
        require(0 < scale < float("inf"), "scale", scale, "above 0")
        require(
            margin_warmup >= 0 and margin_warmup % 1 == 0,
            "margin_warmup",
            margin_warmup,
            "0, 1, 2, ... steps",
        )
        margin_logits(
            torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64), margin, scale
        )  # checks the margin
        self.embedding_dim, self.num_classes = embedding_dim, num_classes
        self.margin_logits, self.margin, self.scale, self.margin_warmup = (
            margin_logits,
            margin,
            scale,
            margin_warmup,
        )
        self.prototypes = nn.Parameter(torch.randn(num_classes, embedding_dim) * 0.01)

    def current_margin(self) -> float:
        """Return the margin of the next step."""
        if not self.margin_warmup:
            return self.margin
        return self.margin * min(1.0, self.step.item() / self.margin_warmup)

    @in_float32
    def logits(self, embeddings: Tensor) -> Tensor:
        """Return class scores without margin: (B, D) -> (B, C), s·cos θ."""
        return prototype_scores(l2_normalize(embeddings), shown(self, self.prototypes)) * self.scale

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        check_batch(self, embeddings, labels)
        part = take_part(self, labels)
        cosine = prototype_scores(l2_normalize(part.enter(embeddings)), shown(self, self.prototypes))
        logits = self.margin_logits(cosine, part.places, self.current_margin(), self.scale)
        if self.training:
            self.step += 1
        return part.cross_entropy(logits)


def arcface(
    embedding_dim: int, num_classes: int, margin: float = 0.5, scale: float = 64.0, margin_warmup: int = 0
) -> MarginSoftmax:
    """Build ArcFace with the paper's m = 0.5 rad and s = 64; see `arcface_logits` and `MarginSoftmax`."""
    return MarginSoftmax(embedding_dim, num_classes, arcface_logits, margin, scale, margin_warmup)


def cosface(
    embedding_dim: int, num_classes: int, margin: float = 0.35, scale: float = 64.0, margin_warmup: int = 0
) -> MarginSoftmax:
    """Build CosFace with the paper's m = 0.35 and s = 64; see `cosface_logits` and `MarginSoftmax`."""
    return MarginSoftmax(embedding_dim, num_classes, cosface_logits, margin, scale, margin_warmup)


class ASoftmax(Scheduled):
    """A-Softmax: normalized prototypes, embeddings of any norm, m times the true angle (arXiv:1704.08063).

    Training from scratch with the full margin fails, so λ mixes in plain softmax; it falls from 1500 to 5
    over the training steps (`annealed_lambda`). The step is in the state_dict.

    Args:
        embedding_dim: D.
        num_classes: C.
        margin: m, an integer >= 1; 4 in the paper.

    Raises:
        ValueError: margin is out of range.
    """

    shard: Shard | None = None  # see `shards`
    part: Part | None = None

    def __init__(self, embedding_dim: int, num_classes: int, margin: int = 4) -> None:
        super().__init__()
        a_softmax_psi(torch.zeros(1), margin)  # checks the margin
        self.embedding_dim, self.num_classes, self.margin = embedding_dim, num_classes, margin
        self.prototypes = nn.Parameter(torch.randn(num_classes, embedding_dim) * 0.01)

    @in_float32
    def logits(self, embeddings: Tensor) -> Tensor:
        """Return class scores without margin: (B, D) -> (B, C), ‖x‖·cos θ."""
        return prototype_scores(embeddings, shown(self, self.prototypes))

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        check_batch(self, embeddings, labels)
        part = take_part(self, labels)
        embeddings = part.enter(embeddings)
        norms = torch.linalg.vector_norm(embeddings, dim=1)
        annealing = annealed_lambda(self.step.item())
        logits = a_softmax_logits(self.logits(embeddings), part.places, norms, self.margin, annealing)
        if self.training:
            self.step += 1
        return part.cross_entropy(logits)
