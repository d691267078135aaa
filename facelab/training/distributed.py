"""Several processes that train as one: the same batch, the same loss, the same weights.

Each process embeds its share of a batch; the embeddings are then gathered, and every process computes the
loss of the whole batch, so that mining sees all of it and centers or soft labels stay equal everywhere
without a line in any loss. Batch norms share their statistics too. Accelerate finds the device and the other
processes, started by `torchrun` or `accelerate launch`; alone, all of this is the identity.
"""

import multiprocessing
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from facelab.models.losses.batch import widen
from facelab.settings import zero_gpu
from facelab.settings.extras import explained

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.state import PartialState


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """bf16 where asked for, or on `auto` where the hardware multiplies it natively; None means float32.

    float16 is never chosen: CPUs emulate it about a hundred times slower.
    """
    if precision == "auto":
        cuda = device.type == "cuda"
        native = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if cuda
            else torch.cpu._is_avx512_bf16_supported()
        )
        return torch.bfloat16 if native else None
    return {"fp32": None, "bf16": torch.bfloat16}[precision]


def has_cuda() -> bool:
    """Whether this process may use a CUDA GPU.

    A ZeroGPU Space says everywhere that there is one, but lends it only to processes that it forks.
    """
    if zero_gpu() and multiprocessing.parent_process() is None:
        return False
    return torch.cuda.is_available()


def processes() -> "PartialState":
    """This process among those that `torchrun` or `accelerate launch` started; alone, the first of one."""
    with explained():
        from accelerate.state import AcceleratorState, PartialState
    cuda = has_cuda()
    if PartialState._shared_state and (PartialState().device.type == "cuda") != cuda:
        AcceleratorState._reset_state(reset_partial_state=True)  # forked from a process that has no GPU
    return PartialState(cpu=not cuda)  # left to itself it would not look for other CPUs


def start(precision: str) -> "Accelerator":
    """Join the other processes, if there are any, on a CUDA GPU each or on CPUs.

    Args:
        precision: `auto`, `fp32` or `bf16`, as in a recipe.
    """
    with explained():
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    cuda = processes().device.type == "cuda"
    dtype = autocast_dtype(precision, torch.device("cuda" if cuda else "cpu"))
    AcceleratorState._reset_state()  # one process may train in bf16 first and in float32 then
    accelerator = Accelerator(cpu=not cuda, mixed_precision="bf16" if dtype else "no")
    if cuda:
        torch.set_float32_matmul_precision("high")  # TF32 for what stays in float32
    return accelerator


def distribute(model: nn.Module, accelerator: "Accelerator") -> nn.Module:
    """The module to call in training: `model` itself, or one that averages its gradients over processes."""
    if accelerator.num_processes == 1:
        return model
    _synchronise_norms(model)
    if not any(p.requires_grad for p in model.parameters()):
        return model
    device = accelerator.device
    return nn.parallel.DistributedDataParallel(model, [device] if device.type == "cuda" else None)


def share_gradients(loss_fn: nn.Module, accelerator: "Accelerator") -> None:
    """Average the gradients of a loss's own parameters.

    They are equal but for the last bits, in which GPUs add in any order; unattended, prototypes would drift
    apart.
    """
    if accelerator.num_processes > 1:
        for p in loss_fn.parameters():
            if p.grad is not None:
                p.grad = accelerator.reduce(p.grad, "mean")


def share_of(batch: int, accelerator: "Accelerator") -> slice:
    """Which rows of a batch this process embeds.

    Raises:
        ValueError: the batch does not divide evenly.
    """
    count = accelerator.num_processes
    if batch % count:
        raise ValueError(f"batch_size is {batch}; with {count} processes it must be a multiple of {count}")
    each = batch // count
    return slice(accelerator.process_index * each, (accelerator.process_index + 1) * each)


def gather(embeddings: Tensor, accelerator: "Accelerator") -> Tensor:
    """(B / processes, D) of each process -> (B, D) on all of them, in order, with gradient."""
    if accelerator.num_processes == 1:
        return embeddings
    return _Gather.apply(embeddings)


class _Gather(torch.autograd.Function):
    """All processes compute one and the same loss, so each keeps the gradient of its own rows; times the
    number of processes, because `DistributedDataParallel` will take a mean where the total is wanted.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> Tensor:
        start = dist.get_rank() * ctx.rows
        return grad[start : start + ctx.rows] * dist.get_world_size()


def _synchronise_norms(model: nn.Module) -> None:
    """Replace every batch norm by one that sees the batches of all processes; keys and tensors stay."""
    for name, child in model.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            shared = SharedBatchNorm(child.num_features, child.eps, child.momentum, child.affine)
            vars(shared)["_parameters"], vars(shared)["_buffers"] = child._parameters, child._buffers
            setattr(model, name, shared)
        else:
            _synchronise_norms(child)


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the batch of all processes, on CPU and GPU alike; torch's own `SyncBatchNorm` refuses
    CPUs.

    (Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1.) Shards must be equally large.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        pass  # any (B, C, ...)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        dims = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        wide = widen(x)
        count = x.numel() / x.shape[1] * dist.get_world_size()
        mean = all_reduce(wide.sum(dims, dtype=torch.float64)) / count
        centered = wide - mean.view(shape).to(wide)
        variance = all_reduce(centered.square().sum(dims, dtype=torch.float64)) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt().to(wide)
        return (centered * scale.view(shape) + self.bias.view(shape)).to(x.dtype)
