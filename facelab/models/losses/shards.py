"""Heads for millions of identities: each process holds the prototypes of some classes and scores those alone.

The margin is applied where the label's prototype is, and the softmax runs over all processes through
PyTorch's tensor parallelism (`DTensor`, `loss_parallel`). Optionally a step scores the classes of its batch
and a random share of the others (Partial FC, An et al. 2022, arXiv:2203.15565). Simplified: prototypes that
were not drawn still take the optimizer's step, with a zero gradient.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh


_PARALLEL = ContextVar("parallel", default=False)


@contextmanager
def _parallel() -> Iterator[None]:
    """Open PyTorch's `loss_parallel` unless it is open; one inside another would end it for both."""
    from torch.distributed.tensor.parallel import loss_parallel

    if _PARALLEL.get():
        yield
        return
    token = _PARALLEL.set(True)
    try:
        with loss_parallel():
            yield
    finally:
        _PARALLEL.reset(token)


@dataclass(eq=False)
class Shard:
    """The classes that this process holds, and the share of them that a training step scores.

    Attributes:
        total: C, the classes of all processes together.
        mesh: the processes, in order of their classes; None where one process holds all.
        rate: share of the classes scored at a training step, in (0, 1].
        generator: source of the draws, on the device of the prototypes; None is PyTorch's own.
    """

    total: int
    mesh: "DeviceMesh | None" = None
    rate: float = 1.0
    generator: Generator | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> "Shard":
        return self  # a moving average of a head is of the same classes

    @property
    def count(self) -> int:
        """Return the number of processes."""
        return 1 if self.mesh is None else self.mesh.size()

    @property
    def rank(self) -> int:
        """Return the place of this process."""
        return 0 if self.mesh is None else self.mesh.get_local_rank()

    @property
    def each(self) -> int:
        """Return the classes of every process but the last, as `DTensor` divides them."""
        return -(-self.total // self.count)

    def rows(self, rank: int | None = None) -> slice:
        """Return the classes of a process, by default of this one."""
        start = (self.rank if rank is None else rank) * self.each
        return slice(min(start, self.total), min(start + self.each, self.total))

    def parallel(self) -> AbstractContextManager:
        """Open what both a forward and a backward pass over shards of classes need."""
        return nullcontext() if self.mesh is None else _parallel()


@dataclass(frozen=True, eq=False)
class Part:
    """What one process scores at one step.

    Attributes:
        labels: (B,) int64, of the batch, among all classes that are scored.
        places: (B,) int64, the label's column in this process's scores; -1 where its prototype is elsewhere.
        drawn: rows of the prototypes that are scored, in order; None means all.
        shard: the classes of this process; None where one process scores them all.
        columns: classes that all processes score together.
    """

    labels: Tensor
    places: Tensor
    drawn: Tensor | None = None
    shard: Shard | None = None
    columns: int = 0

    def enter(self, embeddings: Tensor) -> Tensor:
        """Return the embeddings; their gradient is then the sum over all processes."""
        if self.shard is None or self.shard.mesh is None:
            return embeddings
        from torch.distributed.tensor import DTensor, Partial, Replicate

        whole = DTensor.from_local(embeddings, self.shard.mesh, [Replicate()], run_check=False)
        return whole.to_local(grad_placements=[Partial()])

    def cross_entropy(self, logits: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Compute the mean cross-entropy over all scored classes of logits (B, own columns)."""
        if self.shard is None or self.shard.mesh is None:
            return F.cross_entropy(logits, self.labels, label_smoothing=label_smoothing)
        from torch.distributed.tensor import DTensor
        from torch.distributed.tensor import Shard as Along

        shape, stride = (len(logits), self.columns), (self.columns, 1)
        scores = DTensor.from_local(
            logits, self.shard.mesh, [Along(1)], run_check=False, shape=torch.Size(shape), stride=stride
        )
        with self.shard.parallel():
            loss = F.cross_entropy(scores, self.labels).to_local()
        return loss + label_smoothing * self._excess(logits) if label_smoothing else loss

    def _excess(self, logits: Tensor) -> Tensor:
        """Compute mean(z_y - mean z): what a smoothed target's cross-entropy has beyond a hard one's."""
        from torch.distributed.tensor import DTensor, Partial

        own = logits.gather(1, self.places.clamp(min=0)[:, None])[:, 0] * (self.places >= 0)
        mean = (own - logits.sum(1) / self.columns).mean()
        return DTensor.from_local(mean, self.shard.mesh, [Partial()], run_check=False).full_tensor()

    @torch.no_grad()
    def hits(self, logits: Tensor) -> Tensor:
        """Return whether the true class has the highest of all processes' logits, (B,) bool."""
        best, column = logits.max(1)
        right = (column == self.places).to(best)
        if self.shard is None or self.shard.mesh is None:
            return right.bool()
        from torch.distributed._functional_collectives import all_gather_tensor

        both = all_gather_tensor(torch.stack([best, right])[None], 0, self.shard.mesh)
        return both[:, 1].gather(0, both[:, 0].argmax(0)[None])[0].bool()


def take_part(head: nn.Module, labels: Tensor) -> Part:
    """Return what this process scores of a batch; `shown` then returns those prototypes.

    Args:
        head: a loss with an attribute `shard`; the part is kept as its `part`.
        labels: (B,) int64 in [0, C), of the whole batch.
    """
    shard = head.shard
    if shard is None:
        return Part(labels, labels)
    own = shard.rows()
    here = (labels >= own.start) & (labels < own.stop)
    inside = torch.where(here, labels - own.start, -1)
    if shard.rate >= 1 or not head.training:
        head.part = Part(labels, inside, None, shard, shard.total)
        return head.part
    drawn = _draw(shard, inside, own.stop - own.start)
    each = _scored(shard, len(labels), shard.each)
    places = torch.where(here, torch.searchsorted(drawn, inside.clamp(min=0)), -1)
    # Where another process has the label, only that it is there is asked for: any column of it will do.
    among = torch.where(here, shard.rank * each + places, labels // shard.each * each)
    last = shard.rows(shard.count - 1)
    columns = (shard.count - 1) * each + min(each, last.stop - last.start)
    head.part = Part(among, places, drawn, shard, columns)
    return head.part


def _scored(shard: Shard, batch: int, classes: int) -> int:
    """Return how many of a process's classes a step scores: its share, and room for every label."""
    return min(classes, max(batch, round(shard.rate * shard.each)))


def _draw(shard: Shard, inside: Tensor, classes: int) -> Tensor:
    """Draw the classes of a step without repetition, those of its batch first -> rows in order."""
    device = inside.device
    order = torch.rand(classes + 1, generator=shard.generator, device=device)
    order[torch.where(inside >= 0, inside, classes)] = 2.0  # the last stands for labels of other processes
    kept = _scored(shard, len(inside), classes)
    return order[:-1].topk(kept, sorted=False).indices.sort().values


def shown(head: nn.Module, parameter: Tensor) -> Tensor:
    """Return the rows of a head's parameter that this step scores; all outside of training."""
    part = head.part if head.training else None
    return parameter if part is None or part.drawn is None else parameter.index_select(0, part.drawn)


def heads(loss_fn: nn.Module) -> list[nn.Module]:
    """Return the parts of a loss whose classes can be divided among processes."""
    return [module for module in loss_fn.modules() if hasattr(module, "shard")]
