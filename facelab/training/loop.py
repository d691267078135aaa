"""Training loop: a generator of Progress, used by the command line, the page and the tests.

Every random draw follows from the recipe's seed and the step, so equal recipes and data give equal losses, a
resumed run continues exactly, and closing the generator between two steps stops a run cleanly. Crops stay
uint8 until they are on the device, where augmentation runs. Several processes train as one
(`facelab.training.distributed`).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from facelab.data.folders import CropSet, Selection
from facelab.models.losses import build_loss
from facelab.models.losses.batch import checked
from facelab.models.model import FaceModel, build_model
from facelab.models.recipe import Recipe
from facelab.models.regularizers import draw_from, set_progress
from facelab.models.seeding import Seeded
from facelab.training import class_shards, distributed, resume
from facelab.training.augment import DRAWS, augment
from facelab.training.batches import epoch_order, on_device, read_batches, require_pairs, sent
from facelab.training.distillation import load_teacher
from facelab.training.fetch import fetch
from facelab.training.optim import Average, build_optimizer, clip_adaptively, learning_rate
from facelab.training.pace import Pace
from facelab.training.resume import Run
from facelab.training.splits import Split, split
from facelab.training.transfer import freeze, initialize
from facelab.training.validation import validate, validate_classes
from facelab.training.whitening import whiten

if TYPE_CHECKING:
    from accelerate import Accelerator

SMOOTHING = 0.98  # of the running accuracy that Progress shows


@dataclass(frozen=True, eq=False)
class Progress:
    """Hold the state of a run after a step.

    Attributes:
        step, steps: steps done, and total.
        epoch, epochs: epochs begun, and total.
        loss: loss of this step's batch.
        parts: its unweighted terms by name, for losses that are sums; else empty.
        accuracy: running top-1 accuracy on the batches; NaN before the first value, and for losses without
            logits.
        lr: learning rate of this step.
        images_per_second: speed of all processes, since this call or the epoch began.
        seconds_left: estimate from the speed so far.
        model, loss_fn: the weights to use, averaged if the recipe says so; save them, do not change them.
        run: argument of `resume.save`.
        epoch_done: whether this was the last step of its epoch.
        validation: figures on held-out data at the end of an epoch, if there are any; else empty.
    """

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    parts: dict[str, float]
    accuracy: float
    lr: float
    images_per_second: float
    seconds_left: float
    model: FaceModel
    loss_fn: nn.Module
    run: Run
    epoch_done: bool
    validation: dict[str, float] = field(default_factory=dict)


def train(
    recipe: Recipe, data: CropSet, state: Path | None = None, device: str = "auto", shard: bool = False
) -> Iterator[Progress]:
    """Train a recipe on crops, one `Progress` per step.

    Args:
        recipe: describes the run.
        data: all crops, those to hold out included.
        state: what `resume.save` wrote, to go on from there; None begins.
        device: where to train: auto, cpu, cuda or cuda:N.
        shard: divide the classes among the processes; only the first has all, after an epoch.

    Raises:
        ValueError: an unknown device, data that do not suit the recipe, a state that is not of this run, or
            a loss that is no longer finite.
    """
    accelerator = distributed.start(recipe.precision, device)
    parts_of_data = split(data, recipe)
    training = parts_of_data.training
    require_pairs(training, recipe)
    run, frozen = _begin(recipe, training, accelerator, shard)
    run.teacher = load_teacher(recipe, data, training, accelerator.device)
    if state is not None:
        resume.restore(state, run)
    masks = torch.Generator(accelerator.device)
    draw_from(run.model, masks)
    class_shards.draw_from(run.loss_fn, masks)
    network = distributed.distribute(run.model, accelerator)
    network = torch.compile(network) if recipe.compile else network
    resident = on_device(training, accelerator.device)
    each = len(epoch_order(training, recipe, 0))
    pace = Pace(run.step, each * recipe.epochs)
    for epoch in range(run.step // each, recipe.epochs):
        pace.begin_epoch()
        order = epoch_order(training, recipe, epoch)[run.step - epoch * each :]
        mine = order[:, distributed.share_of(order.shape[1], accelerator)]
        for rows, crops in zip(order, read_batches(training, mine, accelerator.device, resident)):
            _train_mode(run.model, run.loss_fn, frozen)
            lr = learning_rate(recipe, run.step, pace.steps)
            set_progress(run.model, run.step / pace.steps)
            batch = _batch(run, crops, rows, training.labels[rows], accelerator)
            loss, parts = _step(run, network, batch, lr, accelerator, masks)
            done = run.step == (epoch + 1) * each
            model, loss_fn = run.whole_best() if done else run.best()
            validation = (
                _end_epoch(run, parts_of_data, run.step == pace.steps, model, loss_fn) if done else {}
            )
            run.history.end_step(run.step, pace.steps, {"epoch": epoch + 1, "lr": lr} | validation)
            speed, left = pace.after(run.step, len(rows))
            yield Progress(
                run.step, pace.steps, epoch + 1, recipe.epochs, loss, parts, run.accuracy, lr, speed, left,
                model, loss_fn, run, done, validation,
            )  # fmt: skip


def _begin(
    recipe: Recipe, training: Selection, accelerator: "Accelerator", shard: bool
) -> tuple[Run, list[nn.Module]]:
    """Return a run before its first step, and the stages that stay in eval mode."""
    with Seeded(recipe.seed):
        model = build_model(recipe)
        classes = len(training.identities)
        loss_fn = build_loss(recipe.loss, recipe.embedding_dim, classes, recipe.loss_options())
    initialize(model, loss_fn, recipe, training.identities)
    frozen = freeze(model, recipe.freeze)
    class_shards.begin(loss_fn, recipe, accelerator, shard)  # a whole head may fit no device
    device = accelerator.device
    model, loss_fn = model.to(device, memory_format=torch.channels_last), loss_fn.to(device)
    optimizer = build_optimizer(recipe, [model, loss_fn])
    average = Average([model, loss_fn], recipe.ema_decay) if recipe.ema_decay else None
    scaler = distributed.loss_scaler(accelerator)
    return Run(recipe, resume.fingerprint(training), model, loss_fn, optimizer, average, scaler), frozen


def _train_mode(model: FaceModel, loss_fn: nn.Module, frozen: list[nn.Module]) -> None:
    """Set training mode for all but the frozen stages; validation or the consumer may have set eval mode."""
    model.train()
    loss_fn.train()
    for stage in frozen:
        stage.eval()


def _end_epoch(run: Run, parts: Split, last: bool, model: FaceModel, loss_fn: nn.Module) -> dict[str, float]:
    if hasattr(run.loss_fn, "end_epoch"):
        run.loss_fn.end_epoch()
    if last and run.recipe.whiten:
        whiten(model, loss_fn, parts.training, run.recipe.whiten)
    return validate(model, parts.people) | validate_classes(model, loss_fn, parts.images)


def _draws(recipe: Recipe, step: int, batch: int, accelerator: "Accelerator") -> Tensor:
    """Return the random numbers of this process's crops at one step, a function of seed and step alone."""
    generator = torch.Generator().manual_seed(_step_seed(recipe, step))
    return torch.rand((DRAWS, batch), generator=generator)[:, distributed.share_of(batch, accelerator)]


def _step_seed(recipe: Recipe, step: int) -> int:
    return (recipe.seed * 1_000_003 + step) % 2**63


@dataclass(frozen=True, eq=False)
class _Batch:
    """What a step works on, on the device.

    Attributes:
        crops: this process's.
        draws: their random numbers.
        labels: of those crops of all processes of which it is known who they are.
        known: their places among all crops; None where all are known.
        rows: all crops' rows of the training selection, for a teacher; else None.
    """

    crops: Tensor
    draws: Tensor
    labels: Tensor
    known: Tensor | None
    rows: Tensor | None


def _batch(
    run: Run, crops: Tensor, rows: np.ndarray, labels: np.ndarray, accelerator: "Accelerator"
) -> _Batch:
    """Send what belongs to some crops after them; who is known the host can say without asking a GPU."""
    device, known = accelerator.device, np.flatnonzero(labels >= 0)
    places = None if len(known) == len(labels) else sent(known, device)
    draws = sent(_draws(run.recipe, run.step, len(rows), accelerator), device)
    return _Batch(
        crops, draws, sent(labels[known], device), places, sent(rows, device) if run.teacher else None
    )


def _step(
    run: Run, network: nn.Module, batch: _Batch, lr: float, accelerator: "Accelerator", masks: torch.Generator
) -> tuple[float, dict[str, float]]:
    """Take one optimizer step -> (loss, its parts); `masks` is the generator of dropout."""
    x = augment(batch.crops, run.recipe, batch.draws).contiguous(memory_format=torch.channels_last)
    masks.manual_seed(_step_seed(run.recipe, run.step) + accelerator.process_index)
    with accelerator.autocast():
        embeddings = distributed.gather(network(x), accelerator)
        named = embeddings if batch.known is None else embeddings[batch.known]
        loss, parts = _labeled_loss(run.loss_fn, named, batch.labels)
        loss = run.recipe.loss_weight * loss
        if run.teacher is not None:
            parts["teacher"] = run.teacher(embeddings, batch.rows)
            loss = loss + parts["teacher"]
    figures = _figures(loss, parts, embeddings, named, batch.labels, run.loss_fn)
    run.optimizer.zero_grad(set_to_none=True)
    with class_shards.parallel(run.loss_fn):
        (loss if run.scaler is None else run.scaler.scale(loss)).backward()
    distributed.share_gradients(run.loss_fn, accelerator)
    _update(run, lr)
    run.step += 1
    if run.average:
        run.average.update(run.step)
    return _read(run, figures, list(parts), lr)


def _labeled_loss(loss_fn: nn.Module, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute (loss, its parts) of the labeled crops; 0 if there are none."""
    if not len(labels):
        return embeddings.new_zeros(()), {}
    with checked():  # the labels are a split's, and `_figures` looks at the embeddings
        loss = loss_fn(embeddings, labels)
    return loss, dict(getattr(loss_fn, "parts", {}))


def _update(run: Run, lr: float) -> None:
    """Clip the gradient and take the optimizer's step."""
    if run.scaler:
        run.scaler.unscale_(run.optimizer)
    if run.recipe.clip_adaptive:
        clip_adaptively(run.model.parameters(), run.recipe.clip_adaptive)
    if run.recipe.grad_clip:
        class_shards.clip(run.optimizer, run.loss_fn, run.recipe.grad_clip)
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    if run.scaler is None:
        run.optimizer.step()
    else:
        run.scaler.step(run.optimizer)  # left out where a gradient overflowed
        run.scaler.update()


@torch.no_grad()
def _figures(
    loss: Tensor,
    parts: dict[str, Tensor],
    embeddings: Tensor,
    named: Tensor,
    labels: Tensor,
    loss_fn: nn.Module,
) -> Callable[[], list[float]]:
    """Return the figures of a step, in transfer to the host: whether the embeddings are finite, the loss, the
    accuracy on labeled crops (NaN without any), the mean norm of an embedding, the loss's parts.
    """
    hits = loss.new_full((), float("nan"))
    if hasattr(loss_fn, "logits"):
        hits = class_shards.hits(loss_fn, named.detach(), labels).float().mean()
    finite, norm = embeddings.isfinite().all(), embeddings.detach().float().norm(dim=1).mean()
    return fetch(torch.stack([x.detach().float() for x in (finite, loss, hits, norm, *parts.values())]))


def _read(
    run: Run, figures: Callable[[], list[float]], names: list[str], lr: float
) -> tuple[float, dict[str, float]]:
    """Wait for a step's figures, refuse those of a run that is lost -> (loss, its parts)."""
    finite, loss, hits, norm, *terms = figures()
    for name, good in (("embedding", finite), ("loss", math.isfinite(loss))):
        if not good:
            raise ValueError(
                f"the {name} became NaN or infinite at learning rate {lr:.3g}; lower --lr or raise --warmup"
            )
    if not math.isnan(hits):  # a batch may hold nobody who is known
        keep = min(SMOOTHING, run.judged / (run.judged + 1))  # a plain mean at first
        run.accuracy = hits if run.judged == 0 else keep * run.accuracy + (1 - keep) * hits
        run.judged += 1
    parts = dict(zip(names, terms))
    run.history.add({"loss": loss, "accuracy": hits, "norm": norm}, parts)
    return loss, parts
