"""Validate loss inputs once per step; run losses in float32.

PyTorch's losses treat a label of -100 as "ignore", broadcast a wrong shape and propagate NaN to the weights;
here each raises an error with a message. Networks may compute in bf16, but angles and log-sum-exps need
float32: bf16 has three digits, and with a scale of 64 the third digit is a quarter of a logit.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

_CHECKED = ContextVar("checked", default=False)


@contextmanager
def checked() -> Iterator[None]:
    """Open a block whose batches have labels that are known to be valid, and values that the caller checks.

    `check_batch` then reads nothing from the device, because on a GPU the host would have to wait.
    """
    token = _CHECKED.set(True)
    try:
        yield
    finally:
        _CHECKED.reset(token)


def check_batch(loss_fn: nn.Module, embeddings: Tensor, labels: Tensor) -> None:
    """Raise a ValueError if a batch is not valid for the loss.

    One small tensor summarizes labels and values and is read once. On a GPU this is one synchronization per
    step; it happens before the labels index anything, because an index out of range there aborts the process.
    NaN and infinity propagate through a sum, so only the sum is checked; rows are searched only when it is
    not finite.

    Args:
        loss_fn: has `embedding_dim` and `num_classes`.
        embeddings: (B, embedding_dim), floating point, finite, B >= 1.
        labels: (B,) int64 in [0, num_classes).

    Raises:
        ValueError: any of these does not hold; the message names the value and the valid range.
    """
    dim, classes = loss_fn.embedding_dim, loss_fn.num_classes
    if embeddings.ndim != 2 or embeddings.shape[1] != dim or not len(embeddings):
        raise ValueError(f"embeddings have shape {tuple(embeddings.shape)}; legal: (B, {dim}) with B >= 1")
    if not embeddings.is_floating_point():
        raise ValueError(f"embeddings are {embeddings.dtype}; legal: floating-point types")
    if labels.shape != embeddings.shape[:1] or labels.dtype != torch.int64:
        shape = tuple(labels.shape)
        raise ValueError(
            f"labels are {labels.dtype} of shape {shape}; legal: torch.int64, ({len(embeddings)},)"
        )
    if _CHECKED.get():
        return
    finite = embeddings.detach().sum().isfinite().long()
    low, high, finite = torch.stack([*labels.aminmax(), finite]).tolist()
    if low < 0 or high >= classes:
        raise ValueError(f"label {low if low < 0 else high} is out of range; legal: 0 to {classes - 1}")
    if not finite:
        _refuse_non_finite(embeddings)


def _refuse_non_finite(embeddings: Tensor) -> None:
    rows = (~embeddings.isfinite()).any(1).nonzero()
    if len(rows):  # else the sum alone overflowed
        row = int(rows[0])
        value = embeddings[row][~embeddings[row].isfinite()][0].item()
        raise ValueError(f"embeddings hold {value} in row {row}; every value must be finite")


def in_float32(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorate `logits` or `forward`: disable autocast, and convert half-precision embeddings to float32."""

    @functools.wraps(method)
    def wrapper(self: nn.Module, embeddings: Tensor, *labels: Tensor) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):
            return method(self, widen(embeddings), *labels)

    return wrapper


def widen(x: Tensor) -> Tensor:
    """Convert float16 and bfloat16 to float32; other types are unchanged, and `check_batch` rejects
    integers.
    """
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class Scheduled(nn.Module):
    """A loss whose schedule counts training steps in the buffer `step`, which stays on the host wherever the
    rest goes, because to read a number from a GPU is to wait for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.tensor(0))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        step = self.step
        super()._apply(fn, recurse)
        self.step = step
        return self


def require(holds: bool, name: str, value: object, legal: str) -> None:
    """Raise a ValueError that names an option, its value and the valid range, unless `holds`."""
    if not holds:
        raise ValueError(f"{name} is {value}; legal: {legal}")
