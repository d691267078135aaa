"""Divide a head's classes among the processes of a run, and put the head together again to save it.

A process keeps and updates the prototypes of its own classes only (`facelab.models.losses.shards`), so its
gradients and the optimizer's moments are as small. Files hold whole heads, so a run can be resumed, and a
checkpoint used, with any number of processes.
"""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from facelab.models.losses import LOSSES
from facelab.models.losses.shards import Shard, heads
from facelab.models.recipe import Recipe

if TYPE_CHECKING:
    from accelerate import Accelerator

    from facelab.training.resume import Run

ASK_STEPS = 20
BLOCK = 65_536  # prototypes that are sent at a time


def divide(loss_fn: nn.Module, processes: int, rate: float = 1.0, device: str = "cpu") -> None:
    """Keep this process's classes of a loss only, in place.

    Args:
        loss_fn: built alike in every process.
        processes: their number; with one, all classes stay.
        rate: share of the classes that a training step scores, in (0, 1].
        device: type of the processes' devices.

    Raises:
        ValueError: a loss without a head that can be divided, or fewer classes than that takes.
    """
    found = heads(loss_fn)
    if not found:
        legal = ", ".join(name for name, loss in LOSSES.items() if hasattr(loss.build, "shard"))
        raise ValueError(
            f"the classes of this loss can be neither divided nor sampled; choose {legal}, arcface or cosface"
        )
    for head in found:
        mesh = dist.device_mesh.init_device_mesh(device, (processes,)) if processes > 1 else None
        shard = Shard(head.num_classes, mesh, rate)
        last = shard.rows(processes - 1)
        if last.start == last.stop:
            raise ValueError(
                f"{shard.total} identities cannot be divided among {processes} processes, {shard.each} each; "
                "start fewer processes, or leave --shard-classes out"
            )
        head.shard = shard
        if mesh is not None:
            for parameter in head.parameters():
                parameter.data = parameter.data[shard.rows()].clone()


def divided(loss_fn: nn.Module) -> dict[str, Shard]:
    """Return the parameters of which this process holds some rows only, by name, with their classes."""
    names = {module: name for name, module in loss_fn.named_modules()}
    return {
        ".".join(filter(None, (names[head], name))): head.shard
        for head in heads(loss_fn)
        if head.shard is not None and head.shard.mesh is not None
        for name, _ in head.named_parameters()
    }


def begin(loss_fn: nn.Module, recipe: Recipe, accelerator: "Accelerator", shard: bool) -> None:
    """Split a run's classes among processes if that is wanted, sample them if its recipe says so.

    Raises:
        ValueError: as `divide`; or with what takes a whole head: whitening, and float16, whose overflows
            each process would find for itself.
    """
    if shard and accelerator.num_processes > 1 and recipe.whiten:
        raise ValueError("whiten needs the whole head; set it to 0, or leave --shard-classes out")
    if shard and accelerator.num_processes > 1 and accelerator.mixed_precision == "fp16":
        raise ValueError("precision fp16 cannot train divided classes; give --precision fp32 or bf16")
    if shard or recipe.sample_classes < 1:
        count, device = accelerator.num_processes if shard else 1, accelerator.device.type
        divide(loss_fn, count, recipe.sample_classes, device)


def whole(loss_fn: nn.Module) -> nn.Module:
    """Return a copy with all classes on the CPU of the first process; all processes must call it.

    The others get `loss_fn` itself, as does every process whose classes are not divided.
    """
    names = divided(loss_fn)
    if not names:
        return loss_fn
    state = gathered(loss_fn.state_dict(), names)
    if next(iter(names.values())).rank:
        return loss_fn
    joined = copy.deepcopy(loss_fn).cpu()
    for head in heads(joined):
        head.shard = head.part = None
    for name, parameter in joined.named_parameters():
        parameter.data = state[name].cpu()
    return joined


@torch.no_grad()
def gathered(tensors: Mapping[str, Tensor], shards: Mapping[str, Shard]) -> dict[str, Tensor]:
    """Return tensors with the rows of all processes for those in `shards`, on the first one's CPU."""
    return {key: _whole(value, shards[key]) if key in shards else value for key, value in tensors.items()}


def _whole(own: Tensor, shard: Shard) -> Tensor:
    """Send the rows of every process to the first, a block at a time -> all rows there, else the own."""
    if shard.rank:
        for block in own.split(BLOCK):
            dist.send(block.contiguous(), 0)
        return own
    whole = torch.empty((shard.total, *own.shape[1:]), dtype=own.dtype)
    whole[shard.rows()] = own.cpu()
    for rank in range(1, shard.count):
        for block in whole[shard.rows(rank)].split(BLOCK):
            received = torch.empty(block.shape, dtype=own.dtype, device=own.device)
            dist.recv(received, rank)
            block.copy_(received)
    return whole


def clip(optimizer: torch.optim.Optimizer, loss_fn: nn.Module, most: float) -> None:
    """Scale all gradients in place so that the whole gradient has at most the norm `most`, the rows of all
    processes included.
    """
    names, parameters = divided(loss_fn), [p for group in optimizer.param_groups for p in group["params"]]
    mine = {p for name, p in loss_fn.named_parameters() if name in names}
    if not mine:
        nn.utils.clip_grad_norm_(parameters, most)
        return
    kept = [p for p in parameters if p.grad is not None]
    squared = nn.utils.get_total_norm([p.grad for p in kept if p in mine]).square()
    dist.all_reduce(squared)
    shared = nn.utils.get_total_norm([p.grad for p in kept if p not in mine])
    nn.utils.clip_grads_with_norm_(kept, most, (squared + shared.square()).sqrt())


def parallel(loss_fn: nn.Module) -> AbstractContextManager:
    """Open what the backward pass of a loss with divided classes needs."""
    found = [head for head in heads(loss_fn) if head.shard is not None]
    return found[0].shard.parallel() if found else nullcontext()


def draw_from(loss_fn: nn.Module, generator: torch.Generator) -> None:
    """Let the draws of classes come from a generator."""
    for head in heads(loss_fn):
        if head.shard is not None:
            head.shard.generator = generator


def hits(loss_fn: nn.Module, embeddings: Tensor, labels: Tensor) -> Tensor:
    """Return whether each embedding's true class scores highest of all that this step scores, (B,) bool."""
    for head in heads(loss_fn):
        if head.part is not None and len(labels):
            return head.part.hits(head.logits(embeddings))
    return loss_fn.logits(embeddings).argmax(1) == labels


def saves(run: "Run", due: bool, epoch_done: bool, first: bool) -> bool:
    """Return whether this process calls `resume.save` now: with divided classes all do together, and the
    first process's clock decides, after every ASK_STEPS steps and every epoch.
    """
    if not divided(run.loss_fn):
        return first and due
    if epoch_done or run.step % ASK_STEPS:
        return epoch_done
    said = torch.tensor(float(due), device=next(run.loss_fn.parameters()).device)
    dist.broadcast(said, 0)
    return bool(said.item())
