"""A run as a series of snapshots of its progress, and the network that it produces.

The steps are those of `facelab.training.loop`, so a run here and the same recipe on a command line are the
same. Other modules decide where a run trains (a thread of this process, a process with a lent GPU).
"""

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from facelab.data.folders import Selection
from facelab.lessons.live.data import TrainingData
from facelab.lessons.live.held_out import held_out
from facelab.lessons.projection import fit_pca
from facelab.metrics.operating import OperatingPoints, measure_operating_points
from facelab.metrics.similarity import normalized
from facelab.metrics.verification import all_pairs
from facelab.models import checkpoint
from facelab.models.device import described
from facelab.models.model import FaceModel, embed_all
from facelab.models.recipe import Recipe
from facelab.recognition.visit import HeldOut
from facelab.training.loop import Progress, train
from facelab.training.splits import Split, split
from facelab.training.validation import header_of, held_out_points, validate, validate_classes

MAP_PEOPLE, MAP_FACES = 8, 96  # of those held out, on the map
STOPPED = "You stopped it."


@dataclass(frozen=True, eq=False)
class Map:
    """Hold embeddings of held-out people projected to 2-D: (N, 2) coordinates and (N,) labels."""

    coordinates: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Result:
    """Hold the result of a run: the network and the loss in eval mode, its checkpoint's header, and what it
    held out.
    """

    model: FaceModel
    loss_fn: nn.Module
    header: checkpoint.Header
    held_out: HeldOut | None = None

    def content(self) -> bytes:
        """Return the checkpoint as `python -m facelab train` would write it."""
        with tempfile.TemporaryDirectory(prefix="facelab-") as folder:
            path = Path(folder) / "live.safetensors"
            checkpoint.save(path, self.model, self.loss_fn, self.header)
            return path.read_bytes()


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Hold the visible state of a run.

    Attributes:
        state: waiting, starting, training, ending, stopped, finished or failed.
        ahead: runs before this one, while it waits.
        message: why it was stopped or failed, in a sentence.
        step, steps, epoch, epochs: done so far, and in all.
        losses, accuracies: of each step so far; accuracies run smoothly and are NaN without logits.
        figures: (step, validation) at the end of each epoch, as in `Progress`.
        map: map of held-out people after the last epoch, or None.
        images_per_second, seconds_left: speed and estimated remaining time; while it waits, until its start.
        seconds: since the run began.
        result: the result, when the run has ended with one.
    """

    state: str
    ahead: int = 0
    message: str = ""
    step: int = 0
    steps: int = 0
    epoch: int = 0
    epochs: int = 0
    losses: tuple[float, ...] = ()
    accuracies: tuple[float, ...] = ()
    figures: tuple[tuple[int, dict[str, float]], ...] = ()
    map: Map | None = None
    images_per_second: float = 0.0
    seconds_left: float = math.nan
    seconds: float = 0.0
    result: Result | None = None


Course = Callable[[Recipe, TrainingData, float, Callable[[], bool]], Iterator[Snapshot]]


def failed(latest: Snapshot, error: Exception) -> Snapshot:
    """Return the snapshot of a run that ended with an error."""
    said = " ".join(str(error).split())
    words = said if isinstance(error, ValueError) else "training broke off; try a smaller run"
    return replace(latest, state="failed", message=words)


def course(
    recipe: Recipe, pool: TrainingData, seconds: float, stop: Callable[[], bool]
) -> Iterator[Snapshot]:
    """Train step by step until the end or a stop, and measure the network.

    Args:
        recipe: what to train.
        pool: training data.
        seconds: time limit.
        stop: called after each step; True stops the run.

    Yields:
        a snapshot after each step, one in state `ending`, and the last, with the result.
    """
    began, now, end = time.monotonic(), Snapshot("starting"), {"state": "finished"}
    with contextlib.closing(train(recipe, pool.data)) as steps:
        for progress in steps:
            now = _after(progress, now, recipe, pool, time.monotonic() - began)
            late = now.seconds > seconds
            if progress.step < progress.steps and (stop() or late):
                limit = f"It reached the limit of {seconds / 60:g} minutes of a run here."
                end = {"state": "stopped", "message": limit if late else STOPPED}
                break
            yield now
    yield replace(now, state="ending")
    now = _concluded(progress, now, recipe, pool)
    yield replace(now, **end, seconds=time.monotonic() - began)


def _after(
    progress: Progress, before: Snapshot, recipe: Recipe, pool: TrainingData, seconds: float
) -> Snapshot:
    """Return the snapshot after one more step."""
    figures, flat = before.figures, before.map
    if progress.epoch_done:
        figures = (*figures, (progress.step, progress.validation))
        flat = flat_map(progress.model, split(pool.data, recipe).people, before.map)
    return Snapshot(
        "training",
        step=progress.step,
        steps=progress.steps,
        epoch=progress.epoch,
        epochs=progress.epochs,
        losses=(*before.losses, progress.loss),
        accuracies=(*before.accuracies, progress.accuracy),
        figures=figures,
        map=flat,
        images_per_second=progress.images_per_second,
        seconds_left=progress.seconds_left,
        seconds=seconds,
    )


def _concluded(last: Progress, now: Snapshot, recipe: Recipe, pool: TrainingData) -> Snapshot:
    """Measure the trained network as the command line does, and return the result."""
    parts, figures = split(pool.data, recipe), last.validation
    if not last.epoch_done:  # what the last epoch measured was another network
        classes = validate_classes(last.model, last.loss_fn, parts.images)
        figures = validate(last.model, parts.people) | classes
        flat = flat_map(last.model, parts.people, now.map)
        now = replace(now, figures=(*now.figures, (last.step, figures)), map=flat)
    model, loss_fn = last.model.eval(), last.loss_fn.eval()
    model.zero_grad(set_to_none=True)
    loss_fn.zero_grad(set_to_none=True)
    held = held_out(model, loss_fn, recipe, pool, parts)
    header = _header(recipe, pool.source, parts, figures, model, held)
    header = replace(header, history=tuple(last.run.history.so_far()))
    return replace(now, result=Result(model, loss_fn, header, held))


def _header(
    recipe: Recipe,
    source: str,
    parts: Split,
    figures: dict[str, float],
    model: FaceModel,
    held: HeldOut | None,
) -> checkpoint.Header:
    """Return the checkpoint header that the command line would write for the same run.

    A run without held-out people gets thresholds from held-out photos of its training identities, and says
    so.
    """
    points: OperatingPoints | None = None
    with contextlib.suppress(ValueError):  # too few pairs to set thresholds from
        if len(parts.people):
            points = held_out_points(model, parts.people, source)
        elif held is not None:
            title = f"held-out photos of the {len(parts.images.identities)} training identities of {source}"
            points = measure_operating_points(*all_pairs(held.after, held.labels), title)
    header = header_of(recipe, source, parts.training)
    device = described(next(model.parameters()).device)
    return replace(header, metrics={"held_out": figures}, operating_points=points, device=device)


def flat_map(model: FaceModel, people: Selection, before: Map | None) -> Map | None:
    """Project a few held-out people's unit embeddings by PCA, aligned with the previous map; None without
    such people.

    Args:
        model: the network.
        people: the held-out identities.
        before: an earlier map of the same photos.
    """
    rows = np.flatnonzero(people.labels < MAP_PEOPLE)[:MAP_FACES]
    if len(rows) < 3:
        return None
    few = people.take(rows)
    vectors = normalized(embed_all(model, few.batches(), flip=False))
    at = fit_pca(vectors, 2).project(vectors)
    if before is not None:  # orthogonal Procrustes (Schönemann 1966): the axes of PCA may swap and flip
        u, _, v = np.linalg.svd(at.T @ before.coordinates)
        at = at @ (u @ v)
    return Map(at, few.labels)
