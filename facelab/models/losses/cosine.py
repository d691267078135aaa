"""Scores against prototypes, x·w/‖w‖: the linear layer of every loss that compares directions.

Each class has a prototype, a vector of which only the direction matters. Autograd would keep a normalized
copy of all prototypes for the backward pass; this keeps one number per class and projects the gradient. This
is exact, because scaling a prototype does not change the score.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


class _PrototypeScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, embeddings: Tensor, prototypes: Tensor) -> Tensor:
        norms = torch.linalg.vector_norm(prototypes, dim=1)
        inverse = 1 / norms.masked_fill(norms == 0, 1)
        ctx.save_for_backward(embeddings, prototypes, inverse)
        return (embeddings @ prototypes.T).mul_(inverse)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor]:
        embeddings, prototypes, inverse = ctx.saved_tensors
        grad = grad * inverse
        pull = grad.T @ embeddings
        along = torch.linalg.vecdot(pull, prototypes) * inverse.square()
        return grad @ prototypes, pull.addcmul_(prototypes, along[:, None], value=-1)


def prototype_scores(embeddings: Tensor, prototypes: Tensor) -> Tensor:
    """Compute x·w_c/‖w_c‖ for every embedding and class; this is cos θ for embeddings of length 1.

    Args:
        embeddings: (B, D).
        prototypes: (C, D); the score for a zero row is 0.

    Returns:
        (B, C). Through rounding a cosine may exceed [-1, 1] by one ulp.
    """
    return _PrototypeScores.apply(embeddings, prototypes.to(embeddings.dtype))
