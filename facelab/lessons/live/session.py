"""Training for an audience: one run at a time in this process, and a line of those who wait.

A run has a thread of its own, so that the page answers while a step computes; whoever follows it gets a
`Snapshot` twice a second, may stop it, and may go away and come back, as a page does that is loaded again. A
run that nobody follows for `PATIENCE` seconds ends at the next step and its memory is given back. The steps
are those of `facelab.training.loop`, so a run here and the same recipe on a command line are the same.
"""

import contextlib
import ctypes
import gc
import math
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from facelab.data.folders import Selection
from facelab.lessons.live import queue as live_line
from facelab.lessons.live.data import TrainingData
from facelab.lessons.live.queue import QUEUE, TrainingQueue
from facelab.lessons.projection import fit_pca
from facelab.metrics.similarity import normalized
from facelab.models import checkpoint
from facelab.models.model import FaceModel, embed_all
from facelab.models.recipe import Recipe
from facelab.training.loop import Progress, train
from facelab.training.splits import Split, split
from facelab.training.validation import header_of, held_out_points, validate, validate_classes

POLL = 0.4  # seconds between two snapshots
MAP_PEOPLE, MAP_FACES = 8, 96  # of those held out, on the map


@dataclass(frozen=True, eq=False)
class Map:
    """Embeddings of held-out people squeezed flat: (N, 2) coordinates and (N,) labels."""

    coordinates: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Result:
    """What a run leaves: the network and the loss in eval mode, and what a checkpoint says of them."""

    model: FaceModel
    loss_fn: nn.Module
    header: checkpoint.Header

    def content(self) -> bytes:
        """The checkpoint, as `python -m facelab train` would have written it."""
        with tempfile.TemporaryDirectory(prefix="facelab-") as folder:
            path = Path(folder) / "live.safetensors"
            checkpoint.save(path, self.model, self.loss_fn, self.header)
            return path.read_bytes()


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What there is to see of a run.

    Attributes:
        state: waiting, starting, training, ending, stopped, finished or failed.
        ahead: runs before this one, while it waits.
        message: why it was stopped or failed, in a sentence.
        step, steps, epoch, epochs: done so far, and in all.
        losses, accuracies: of each step so far; accuracies run smoothly and are NaN without logits.
        figures: (step, validation) at the end of each epoch, as `Progress` has it.
        map: of held-out people after the last epoch, or None.
        images_per_second, seconds_left: the pace.
        seconds: since the run began.
        result: when it has ended with something to keep.
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


def give_back_memory() -> None:
    """Free what a run has left, to the system too where its library can be asked (glibc)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


class Training:
    """One run, from its place in the line to its result.

    Args:
        recipe: what to train.
        pool: on what; it is given up when the run ends.
        seconds: after which it is stopped.
        visitor: whose it is; whoever knows this name may follow and stop the run.
        tab: from where.
        about: what its page says of it, for a page that finds it again.
        line: where it waits.
    """

    def __init__(
        self,
        recipe: Recipe,
        pool: TrainingData,
        seconds: float,
        visitor: str = "",
        tab: str = "",
        about: tuple[Any, ...] = (),
        line: TrainingQueue = QUEUE,
    ) -> None:
        self.recipe, self.visitor, self.tab, self.about, self.started = recipe, visitor, tab, about, False
        self._pool, self._limit, self._line = pool, seconds, line
        self._latest = self._end = Snapshot("starting")
        self._stop, self._done = threading.Event(), threading.Event()
        self._keep, self._seen, self._began, self._lock = True, time.monotonic(), math.nan, threading.Lock()

    def follow(self) -> Iterator[Snapshot]:
        """Wait for its turn, train, and tell; who closes the generator may follow again within `PATIENCE`."""
        self._line.join(self)
        while not self.started and (ahead := self._line.position(self)):
            yield Snapshot("waiting", ahead=ahead)
            self._seen = time.monotonic()
            if self._stop.wait(POLL):
                self._line.leave(self)
                yield Snapshot("stopped", message="It left the line before its turn.")
                return
        self._begin()
        while not self._done.wait(POLL):
            self._seen = time.monotonic()
            state = "ending" if self._stop.is_set() else self._latest.state
            yield replace(self._latest, state=state, seconds=self._seen - self._began)
        yield self._end
        self._line.forget(self)

    def _begin(self) -> None:
        """Start the thread, once, however many follow."""
        with self._lock:
            if not self.started:
                self.started, self._began = True, time.monotonic()
                threading.Thread(target=self._work, daemon=True, name="live-training").start()

    def stop(self) -> None:
        """End after the step that is being computed, and measure what it has learned so far."""
        self._stop.set()

    def is_abandoned(self) -> bool:
        """Whether nobody has asked for a snapshot for a long time."""
        return time.monotonic() - self._seen > live_line.PATIENCE

    def is_lost(self) -> bool:
        """Return whether it was given up, so that there is nothing to come back to."""
        return not self._keep

    def wait(self, seconds: float) -> bool:
        """Wait for the end -> whether it came; then nothing of the run is held here."""
        return self._done.wait(seconds)

    def _work(self) -> None:
        try:
            last, self._end = self._train()
            if self._keep:
                self._end = self._concluded(last)
        except Exception as error:  # the visitor is told, and the next in line must not wait for ever
            ours = isinstance(error, ValueError)
            said = " ".join(str(error).split()) if ours else "training broke off; try a smaller run"
            self._end = replace(self._latest, state="failed", message=said)
        finally:
            self._pool = last = None
            give_back_memory()
            self._line.leave(self, over=True)
            self._done.set()

    def _train(self) -> tuple[Progress, Snapshot]:
        """Step by step to the end, or until it is stopped -> (the last step, what to say of it)."""
        with contextlib.closing(train(self.recipe, self._pool.data)) as steps:
            for progress in steps:
                self._latest = self._after(progress)
                late = time.monotonic() - self._began > self._limit
                self._keep = self._keep and not self.is_abandoned()
                if progress.step < progress.steps and (self._stop.is_set() or late or not self._keep):
                    limit = f"It reached the limit of {self._limit / 60:g} minutes of a run here."
                    words = limit if late else "You stopped it."
                    return progress, replace(self._latest, state="stopped", message=words)
        return progress, replace(self._latest, state="finished")

    def _after(self, progress: Progress) -> Snapshot:
        """The snapshot after one more step."""
        before = self._latest
        figures, flat = before.figures, before.map
        if progress.epoch_done:
            figures = (*figures, (progress.step, progress.validation))
            flat = flat_map(progress.model, split(self._pool.data, self.recipe).people, before.map)
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
            seconds=time.monotonic() - self._began,
        )

    def _concluded(self, last: Progress) -> Snapshot:
        """Measure what it learned, as the command line does, and keep it."""
        self._latest = replace(self._latest, state="ending")
        parts, figures, end = split(self._pool.data, self.recipe), last.validation, self._end
        if not last.epoch_done:  # what the last epoch measured was another network
            classes = validate_classes(last.model, last.loss_fn, parts.images)
            figures = validate(last.model, parts.people) | classes
            flat = flat_map(last.model, parts.people, end.map)
            end = replace(end, figures=(*end.figures, (last.step, figures)), map=flat)
        model, loss_fn = last.model.eval(), last.loss_fn.eval()
        model.zero_grad(set_to_none=True)
        loss_fn.zero_grad(set_to_none=True)
        header = _header(self.recipe, self._pool.source, parts, figures, model)
        return replace(end, result=Result(model, loss_fn, header), seconds=time.monotonic() - self._began)


def _header(
    recipe: Recipe, source: str, parts: Split, figures: dict[str, float], model: FaceModel
) -> checkpoint.Header:
    """What the command line writes into the same run's checkpoint."""
    points = None
    if len(parts.people):
        with contextlib.suppress(ValueError):  # too few pairs to set thresholds from
            points = held_out_points(model, parts.people, source)
    header = header_of(recipe, source, parts.training)
    return replace(header, metrics={"held_out": figures}, operating_points=points)


def flat_map(model: FaceModel, people: Selection, before: Map | None) -> Map | None:
    """PCA of a few held-out people's unit embeddings, turned to lie like the map before; None without them.

    Args:
        model: the network.
        people: who was held out.
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
