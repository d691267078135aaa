"""Several processes that train together with the same batch, loss and weights.

Each process embeds its share of a batch; the embeddings are then gathered, and every process computes the
loss of the whole batch, so that mining uses the whole batch, and centers or soft labels stay equal in all
processes without extra code in a loss. Batch norms share their statistics as well. Accelerate finds the
device and the other processes, started by `torchrun` or `accelerate launch`; with one process, all of this is
the identity.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from facelab.models.device import choose
from facelab.models.losses.batch import widen
from facelab.settings.extras import explained
from facelab.training.class_shards import divided

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.state import PartialState

PATIENCE = timedelta(hours=12)  # for another process, e.g. while the first one decodes a large data set


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return what convolutions and matrix products compute in; None means float32.

    `auto` is bf16 where the hardware multiplies it natively, and float16 on the GPUs before that (compute
    capability 7.x, as the T4 and V100 that Colab and Kaggle lend).

    Raises:
        ValueError: float16 is asked for on a CPU, which emulates it about a hundred times slower.
    """
    cuda = device.type == "cuda"
    if precision == "fp16" and not cuda:
        raise ValueError(
            "precision fp16 needs a GPU; give --precision auto, which chooses what this machine can"
        )
    if precision == "auto":
        if not cuda:
            return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else None
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16
        return torch.float16 if torch.cuda.get_device_capability(device)[0] == 7 else None
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def processes(device: str = "auto") -> "PartialState":
    """Return this process and the number of processes that `torchrun` or `accelerate launch` started; by
    default the first of one.

    Args:
        device: as for `facelab.models.device.choose`.

    Raises:
        ValueError: no such device, or one GPU given by number for several processes.
    """
    chosen = choose(device)
    with explained():
        from accelerate.state import AcceleratorState, PartialState
    if PartialState._shared_state and PartialState().device.type != chosen.type:
        AcceleratorState._reset_state(reset_partial_state=True)  # forked from a process that has no GPU
    # Left to itself it would not look for other CPUs; the others wait while the first one decodes crops.
    state = PartialState(cpu=chosen.type != "cuda", timeout=PATIENCE)
    if state.num_processes == 1:
        state.device = chosen
    elif device.startswith("cuda:"):
        raise ValueError(
            f"--device {device} is one GPU for {state.num_processes} processes; give --device cuda"
        )
    if state.device.type == "cuda":
        torch.cuda.set_device(state.device)
    return state


def start(precision: str, device: str = "auto") -> "Accelerator":
    """Join the other processes, if there are any, on a CUDA GPU each or on CPUs.

    Float32 products stay float32 (PyTorch's default): logits of a head with scale 64 cannot bear TF32.

    Args:
        precision: `auto`, `fp32`, `bf16` or `fp16`, as in a recipe.
        device: as `facelab.models.device.choose` takes it.
    """
    with explained():
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
    state = processes(device)
    dtype = autocast_dtype(precision, state.device)
    AcceleratorState._reset_state()  # one process may train in bf16 first and in float32 then
    names = {None: "no", torch.bfloat16: "bf16", torch.float16: "fp16"}
    return Accelerator(cpu=state.device.type != "cuda", mixed_precision=names[dtype])


def be_deterministic() -> None:
    """Set algorithms by which equal runs on a GPU end with equal weights, at some cost; CPUs need none of it.

    Center loss adds to centers, and cuDNN sums gradients, in whichever order is fastest at the moment.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = True


def loss_scaler(accelerator: "Accelerator") -> torch.amp.GradScaler | None:
    """Return what scales a float16 loss, so that small gradients stay above zero; None for other precisions.

    It starts at 2^10: from PyTorch's 2^16 the logits of ArcFace overflow for many steps.
    """
    if accelerator.mixed_precision != "fp16":
        return None
    return torch.amp.GradScaler(accelerator.device.type, init_scale=2.0**10)


def distribute(model: nn.Module, accelerator: "Accelerator") -> nn.Module:
    """Return the module to call in training: `model` itself, or one that averages its gradients over
    processes.
    """
    if accelerator.num_processes == 1:
        return model
    if accelerator.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # in place: its kernels take a fifth of the launches
    else:
        _synchronise_norms(model)
    if not any(p.requires_grad for p in model.parameters()):
        return model
    device = accelerator.device
    return nn.parallel.DistributedDataParallel(model, [device] if device.type == "cuda" else None)


def share_gradients(loss_fn: nn.Module, accelerator: "Accelerator") -> None:
    """Average the gradients of a loss's parameters, without those of divided classes.

    They differ only in the last bits, because GPUs add in any order; without averaging, prototypes would
    diverge.
    """
    if accelerator.num_processes > 1:
        own = divided(loss_fn)
        for name, p in loss_fn.named_parameters():
            if p.grad is not None and name not in own:
                p.grad = accelerator.reduce(p.grad, "mean")


def share_of(batch: int, accelerator: "Accelerator") -> slice:
    """Return the rows of a batch that this process embeds.

    Raises:
        ValueError: the batch does not divide evenly.
    """
    count = accelerator.num_processes
    if batch % count:
        raise ValueError(f"batch_size is {batch}; with {count} processes it must be a multiple of {count}")
    each = batch // count
    return slice(accelerator.process_index * each, (accelerator.process_index + 1) * each)


def gather(embeddings: Tensor, accelerator: "Accelerator") -> Tensor:
    """Gather (B / processes, D) of each process -> (B, D) on all of them, in order, with gradient."""
    if accelerator.num_processes == 1:
        return embeddings
    return _Gather.apply(embeddings)


class _Gather(torch.autograd.Function):
    """Keep the gradient of a process's rows, because all processes compute the same loss; it is multiplied by
    the number of processes, because `DistributedDataParallel` takes a mean where the sum is required.
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
    """Replace every batch norm by one over the batches of all processes; keys and tensors do not change."""
    for name, child in model.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            shared = SharedBatchNorm(child.num_features, child.eps, child.momentum, child.affine)
            vars(shared)["_parameters"], vars(shared)["_buffers"] = child._parameters, child._buffers
            setattr(model, name, shared)
        else:
            _synchronise_norms(child)


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the batch of all processes, for CPUs, which torch's own `SyncBatchNorm` refuses.

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
