"""The training loop: one generator of Progress that the command line prints, the page streams and tests
consume.

Every random draw comes from a generator seeded by (recipe seed, epoch, step), so equal recipes and data
give equal losses, and closing the generator between two steps stops a run cleanly. Crops stay uint8 until
they lie on the device, where augmentation runs.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from facelab.data.augment import augment
from facelab.data.folders import CropSet, Selection, split_identities
from facelab.losses import build_loss
from facelab.metrics.verification import all_pairs, auc, equal_error_rate, tar_at_far
from facelab.model import FaceModel, build_model, embed
from facelab.recipe import Recipe

SMOOTHING = 0.98  # of the running loss and accuracy that Progress shows


@dataclass(frozen=True, eq=False)
class Progress:
    """What a run says after a step.

    Attributes:
        step, steps: steps done, and in all.
        epoch, epochs: passes begun, and in all.
        loss: of this step's batch.
        accuracy: running share of batch crops whose highest logit is right; NaN for losses without logits.
        lr: learning rate of this step.
        images_per_second: over the epoch so far.
        seconds_left: estimate from the pace of the run so far.
        validation: figures on held-out identities, after the last step of an epoch; else empty.
        model, loss_fn: live references; save them, do not change them.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    lr: float
    images_per_second: float
    seconds_left: float
    model: FaceModel
    loss_fn: nn.Module
    validation: dict[str, float] = field(default_factory=dict)


def pick_device() -> torch.device:
    """The CUDA GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """bf16 where asked for, or on `auto` where the hardware multiplies it natively; None means float32.

    float16 is never chosen: CPUs emulate it about a hundred times slower.
    """
    if precision == "auto":
        native = (
            torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_avx512_bf16_supported()
        )
        return torch.bfloat16 if native else None
    return {"fp32": None, "bf16": torch.bfloat16}[precision]


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up to the peak, then half a cosine down to zero (SGDR, arXiv:1608.03983, eq. 5)."""
    warm = recipe.warmup * steps
    if step < warm:
        return recipe.lr * (step + 1) / math.ceil(warm)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def build_optimizer(recipe: Recipe, modules: list[nn.Module]) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weight decay pulls on matrices and kernels, not on biases and norms."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0)


def epoch_batches(
    data: Selection, batch_size: int, seed: int, epoch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled batches (crops, labels) of one epoch; a short last batch is dropped unless it is the first."""
    order = np.random.default_rng((seed, epoch)).permutation(len(data))
    size = min(batch_size, len(order))
    for start in range(0, len(order) - size + 1, size):
        index = order[start : start + size]
        yield data.batch(index), data.labels[index]


def validate(model: FaceModel, held_out: Selection) -> dict[str, float]:
    """Verification figures over all pairs of the held-out identities; empty if none are held out."""
    if not len(held_out):
        return {}
    embeddings = embed(model, held_out.batch(np.arange(len(held_out))), flip=False)
    genuine, impostor = all_pairs(embeddings, held_out.labels)
    return {
        "eer": equal_error_rate(genuine, impostor)[0],
        "auc": auc(genuine, impostor),
        "tar_at_far_0.01": tar_at_far(genuine, impostor, 0.01),
    }


def train(recipe: Recipe, data: CropSet) -> Iterator[Progress]:
    """Train a recipe on crops, one `Progress` per step.

    Raises:
        ValueError: too few identities, or a loss that is no longer finite.
    """
    device = pick_device()
    training, held_out = split_identities(data, recipe.held_out, recipe.seed)
    torch.manual_seed(recipe.seed)
    model = build_model(recipe).to(device, memory_format=torch.channels_last)
    loss_fn = build_loss(
        recipe.loss, recipe.embedding_dim, len(training.identities), recipe.loss_options()
    ).to(device)
    optimizer = build_optimizer(recipe, [model, loss_fn])
    steps = recipe.epochs * max(1, len(training) // recipe.batch_size)
    step, started, accuracy = 0, time.perf_counter(), float("nan")
    for epoch in range(recipe.epochs):
        epoch_started, seen = time.perf_counter(), 0
        model.train()
        for crops, labels in epoch_batches(training, recipe.batch_size, recipe.seed, epoch):
            lr = learning_rate(recipe, step, steps)
            x = _variants(crops, recipe, step, device)
            loss, hits = _step(model, loss_fn, optimizer, x, torch.from_numpy(labels).to(device), lr, recipe)
            accuracy = hits if math.isnan(accuracy) else SMOOTHING * accuracy + (1 - SMOOTHING) * hits
            step, seen = step + 1, seen + len(labels)
            last = step == steps or step % (steps // recipe.epochs) == 0
            speed = seen / (time.perf_counter() - epoch_started)
            if last and hasattr(loss_fn, "end_epoch"):
                loss_fn.end_epoch()
            validation = validate(model, held_out) if last else {}
            left = (time.perf_counter() - started) / step * (steps - step)
            yield Progress(
                step,
                steps,
                epoch + 1,
                recipe.epochs,
                loss,
                accuracy,
                lr,
                speed,
                left,
                model,
                loss_fn,
                validation,
            )


def _variants(crops: np.ndarray, recipe: Recipe, step: int, device: torch.device) -> Tensor:
    """Augmented crops of one step, (B, 3, 112, 112), a function of seed and step alone."""
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    x = augment(torch.from_numpy(crops).to(device), recipe, generator)
    return x.contiguous(memory_format=torch.channels_last)


def _require_finite(value: Tensor, name: str, lr: float) -> None:
    if not torch.isfinite(value).all():
        raise ValueError(
            f"the {name} became NaN or infinite at learning rate {lr:.3g}; lower --lr or raise --warmup"
        )


def _step(
    model: FaceModel,
    loss_fn: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    labels: Tensor,
    lr: float,
    recipe: Recipe,
) -> tuple[float, float]:
    """One optimiser step -> (loss, accuracy of the batch)."""
    dtype = autocast_dtype(recipe.precision, x.device)
    for group in optimizer.param_groups:
        group["lr"] = lr
    with torch.autocast(x.device.type, dtype or torch.bfloat16, enabled=dtype is not None):
        embeddings = model(x)
        _require_finite(embeddings, "embedding", lr)
        loss = loss_fn(embeddings, labels)
    _require_finite(loss, "loss", lr)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.clip:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, recipe.clip)
    optimizer.step()
    if not hasattr(loss_fn, "logits"):
        return loss.item(), float("nan")
    with torch.no_grad():
        hits = (loss_fn.logits(embeddings.detach().float()).argmax(1) == labels).float().mean()
    return loss.item(), hits.item()
