"""Asynchronous transfer of numbers from a GPU to the host; a reader waits only when it needs them.

To read a number from a GPU is to wait until it has done all that was asked of it before. Here the number is
copied behind the work that makes it, the host goes on to queue more work, and asks only then.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def fetch(values: Tensor) -> Callable[[], list[float]]:
    """Begin to copy (N,) numbers to the host -> what waits for them, and for nothing that is queued later."""
    if values.device.type != "cuda":
        numbers = values.tolist()
        return lambda: numbers
    here = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    here.copy_(values, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()

    def wait() -> list[float]:
        arrived.synchronize()
        return here.tolist()

    return wait
