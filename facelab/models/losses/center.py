"""Center loss: softmax separates classes while each embedding is pulled to the center of its class.

A Discriminative Feature Learning Approach for Deep Face Recognition (Wen et al., ECCV 2016,
https://doi.org/10.1007/978-3-319-46478-7_31). Centers are not parameters: they are updated by the paper's
rule, at the paper's rate. Both terms are means over the batch where the paper uses sums, so λ has the same
meaning.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facelab.models.losses.batch import check_batch, in_float32, require
from facelab.models.losses.classification import linear_layer, linear_logits


def center_loss(offsets: Tensor) -> Tensor:
    """Compute ½·mean ‖x - c_y‖² over the batch (eq. 2, divided by B).

    Common implementations omit the ½, so their values are twice as large.

    Args:
        offsets: (B, D), each embedding minus the center of its class.
    """
    flat = offsets.flatten()
    return flat @ flat / (2 * len(offsets))


@torch.no_grad()
def update_centers(centers: Tensor, offsets: Tensor, labels: Tensor, rate: float) -> None:
    """Update centers in place by c_j -= α·Σ (c_j - x_i)/(1 + n_j), over the n_j samples of class j (eq. 4).

    The 1 damps the step of a class with few samples in the batch; the center of an absent class does not
    move.

    Args:
        centers: (C, D), changed in place.
        offsets: (B, D), `embeddings - centers[labels]`.
        labels: (B,) int64 in [0, C).
        rate: α in [0, 1].
    """
    ones = offsets.new_ones(1).expand(len(labels))
    one_more = offsets.new_ones(len(centers)).index_add_(0, labels, ones)
    steps = offsets * (rate / one_more.index_select(0, labels))[:, None]
    centers.index_add_(0, labels, steps.to(centers.dtype))


class Center(nn.Module):
    """Softmax + λ·center loss.

    Use it from the first step of training. Softmax alone soon spreads embeddings far from the origin, each
    class along a ray. If centers start from zero only then, the center term exceeds the softmax loss and
    shrinks all embeddings to a point. From the beginning, centers and embeddings move together.

    With a bias in the last layer, classes may differ by the bias rather than by direction, and 2-D embeddings
    do not form the star of the paper's figures; with `bias=False` they do.

    Args:
        embedding_dim: D.
        num_classes: C.
        center_weight: λ >= 0; 0.003 for faces in the paper.
        center_rate: α in [0, 1]; 0.5 in the paper.
        bias: whether the linear layer has one.

    Raises:
        ValueError: λ or α is out of range.
    """

    def __init__(
        self,
        embedding_dim: int,
        num_classes: int,
        center_weight: float = 0.003,
        center_rate: float = 0.5,
        bias: bool = True,
    ) -> None:
        super().__init__()
        require(0 <= center_weight < float("inf"), "center_weight", center_weight, "0 or more")
        require(0 <= center_rate <= 1, "center_rate", center_rate, "0 to 1")
        self.embedding_dim, self.num_classes = embedding_dim, num_classes
        self.center_weight, self.center_rate = center_weight, center_rate
        self.linear = linear_layer(embedding_dim, num_classes, bias)
        self.register_buffer("centers", torch.zeros(num_classes, embedding_dim))

    @in_float32
    def logits(self, embeddings: Tensor) -> Tensor:
        """Return class scores: (B, D) -> (B, C)."""
        return linear_logits(self.linear, embeddings)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        check_batch(self, embeddings, labels)
        offsets = embeddings - self.centers.index_select(0, labels)
        pull = center_loss(offsets)
        if self.training:
            update_centers(self.centers, offsets, labels, self.center_rate)
        softmax = F.cross_entropy(self.logits(embeddings), labels)
        self.parts = {"softmax": softmax.detach(), "center": pull.detach()}
        return softmax + self.center_weight * pull
