"""What is known of a training: curves by their usual names, and the settings that a rule may need.

A log of another program names its curves in its own way (`train_loss`, `valid_cls_acc`, `eval/loss`), so
names are taken apart into words. Settings come from a checkpoint's recipe or are stated by the caller; what
is not known is None, and a rule that needs it stays silent.
"""

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from facelab.data.run_logs import Series, read_log
from facelab.models import checkpoint
from facelab.models.losses import LOSSES, build_loss
from facelab.models.recipe import Recipe

HELD_OUT = {"val", "valid", "validation", "dev", "eval", "test", "testing"}
TRAINED = {"train", "training", "tr"}
LOSS, ACCURACY = {"loss", "nll", "xent"}, {"acc", "accuracy", "top1", "acc1", "precision1"}
RATE, NORM, GRADIENT = {"lr", "rate"}, {"norm", "norms"}, {"grad", "gradient", "gnorm"}
PAIR = {"pair", "triplet", "contrastive", "pairwise"}
FEWEST = 6  # points of a curve that a rule reads
FILLER = {"step", "epoch"}  # PyTorch Lightning says of each figure what it is the mean of
PAIR_LOSSES = tuple(name for name, loss in LOSSES.items() if loss.family == "pair")
MARGIN_LOSSES = tuple(name for name, loss in LOSSES.items() if loss.family == "margin")


@dataclass(frozen=True, eq=False)
class Curve:
    """Hold (N,) steps, in order, and (N,) values."""

    at: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.at)

    def tail(self, share: float = 1 / 3, fewest: int = FEWEST) -> np.ndarray:
        """Return the finite values in the last share of the steps; empty for a curve of fewer points."""
        if len(self) < fewest:
            return np.empty(0)
        values = self.values[self.at > self.at[-1] - share * (self.at[-1] - self.at[0])]
        return values[np.isfinite(values)]

    def level(self, share: float = 1 / 3, fewest: int = FEWEST) -> float:
        """Return the median of the tail; NaN without one."""
        tail = self.tail(share, fewest)
        return float(np.median(tail)) if len(tail) else math.nan

    def start(self) -> float:
        """Return the median of the first tenth, of three points or more; NaN for a curve of few points."""
        first = self.values[: max(3, len(self) // 10)]
        return float(np.median(first)) if len(self) >= FEWEST else math.nan

    def smooth(self) -> np.ndarray:
        """Return (N,) medians of each point and two on either side."""
        return np.array([np.median(self.values[max(0, i - 2) : i + 3]) for i in range(len(self))])


@dataclass(frozen=True)
class Settings:
    """Hold what a rule may need to know of a run; None where it is not known.

    Attributes:
        loss: a name in LOSSES, or a sum of two.
        classes: C, training identities.
        margin, scale: m and s of a margin loss.
        margin_warmup: steps in which the margin grows from zero.
        pair_margin: m of a pair loss.
        pretrained: whether the run began from trained weights.
        optimizer: sgd or adamw.
        measured: whether something was measured on held-out data after the run.
    """

    loss: str | None = None
    classes: int | None = None
    margin: float | None = None
    scale: float | None = None
    margin_warmup: int | None = None
    pair_margin: float | None = None
    pretrained: bool | None = None
    optimizer: str | None = None
    measured: bool = False

    def has(self, names: Iterable[str]) -> bool:
        """Return whether the loss, or a part of a sum, is one of these."""
        return self.loss is not None and bool(set(self.loss.split("+")) & set(names))


@dataclass(frozen=True, eq=False)
class RunLog:
    """Hold curves by name, and settings.

    Attributes:
        curves: of loss, its parts class_loss and pair_loss, accuracy, lr, norm (of embeddings), val_loss,
            val_accuracy and eer, those that were logged. Accuracies and the EER are in [0, 1].
        settings: of the run.
    """

    curves: dict[str, Curve]
    settings: Settings = field(default_factory=Settings)

    def curve(self, name: str) -> Curve:
        """Return a curve; one without points where it was not logged."""
        return self.curves.get(name, Curve(np.empty(0), np.empty(0)))


def from_rows(
    recipe: Recipe, classes: int, rows: Sequence[dict[str, float]], measured: bool = False
) -> RunLog:
    """Return the log of a run of this project.

    Args:
        recipe: of the run.
        classes: training identities.
        rows: its history, as `checkpoint.Header.history` holds it.
        measured: whether something was measured on held-out data after the run.
    """
    series: Series = {}
    for row in rows:
        for name, value in row.items():
            steps, values = series.setdefault(name, ([], []))
            steps.append(row.get("step", len(steps)))
            values.append(value)
    return RunLog(_curves(series), settings_of(recipe, classes, measured))


def settings_of(recipe: Recipe, classes: int, measured: bool = False) -> Settings:
    """Return a recipe's settings, with the defaults of its loss."""
    with torch.device("meta"):
        loss_fn = build_loss(recipe.loss, recipe.embedding_dim, classes, recipe.loss_options())
    parts = [loss_fn, *loss_fn.children()]

    def default(name: str) -> float | None:
        found = next((getattr(part, name) for part in parts if hasattr(part, name)), None)
        return found if getattr(recipe, name) is None else getattr(recipe, name)

    return Settings(
        recipe.loss, classes, default("margin"), default("scale"), default("margin_warmup"),
        default("pair_margin"), recipe.init_from is not None, recipe.optimizer, measured,
    )  # fmt: skip


def read_run(path: str | os.PathLike, stated: Settings | None = None) -> RunLog:
    """Read a run from a checkpoint's header, or from a log of any program.

    Args:
        path: a checkpoint of this project, or what `read_log` reads.
        stated: settings of a log, which cannot hold them.

    Raises:
        ValueError: as `describe` or `read_log`; a checkpoint without a history; or a log without a loss,
            an accuracy or an EER.
    """
    if Path(path).suffix == ".safetensors":
        header = checkpoint.describe(path)
        if not header.history:
            raise ValueError(
                f"{Path(path).name} holds no history, as those of earlier versions; give the log of its "
                "training instead"
            )
        tests = [name for name, figures in header.metrics.items() if figures]
        return from_rows(header.recipe, header.num_classes, header.history, bool(tests))
    series = read_log(path)
    curves = _curves(series)
    if not set(curves) & {"loss", "pair_loss", "accuracy", "val_loss", "val_accuracy", "eer"}:
        titles = ", ".join(series)[:200]
        raise ValueError(f"{Path(path).name} holds no loss and no accuracy by its titles: {titles}")
    return RunLog(curves, stated or Settings())


def _curves(series: Series) -> dict[str, Curve]:
    """Return the curves that are recognized; of several candidates the one with the plainest name."""
    found: dict[str, tuple[tuple[int, int], str]] = {}
    words = {name: _words(name) for name in series}
    for name, split in words.items():
        kind = _kind(split)
        rank = (len(split), -len(series[name][0]))
        if kind and (kind not in found or rank < found[kind][0]):
            found[kind] = (rank, name)
    if _is_fastai(words):  # its metrics are those of the validation set
        found["val_accuracy"] = found.pop("accuracy")
    return {kind: _curve(kind, *series[name]) for kind, (_, name) in found.items()}


def _is_fastai(words: dict[str, list[str]]) -> bool:
    titles = {" ".join(split) for split in words.values()}
    return {"train loss", "valid loss", "accuracy"} <= titles and "train accuracy" not in titles


def _words(name: str) -> list[str]:
    plain = re.sub(r"top[_@ -]?1\b|acc[@_]1\b", "top1", name.lower())
    plain = re.sub(r"(?<=[a-z])(loss|acc|accuracy)$", r"_\1", plain)  # trainloss
    split = [word for word in re.split(r"[^a-z0-9]+", plain) if word]
    return [word for word in split if word not in FILLER] or split


def _kind(split: list[str]) -> str | None:
    """Return the name of a curve by the words of its title; None for what no rule reads."""
    words, held_out = set(split), bool(HELD_OUT & set(split))
    if "eer" in words:
        return "eer"
    if words & RATE and not words & {"error", "true", "false", "dropout"}:
        return "lr"
    if words & NORM and not words & GRADIENT:
        return "norm"
    if words & PAIR and words & LOSS and not held_out:
        return "pair_loss"
    if split in (["loss", "softmax"], ["loss", "classification"]):  # of a sum of this project
        return "class_loss"
    if words & LOSS:
        return "val_loss" if held_out or split == ["nll"] else "loss"
    if words & ACCURACY:
        return "val_accuracy" if held_out or split == ["top1"] else "accuracy"
    return None


def _curve(kind: str, steps: list[float], values: list[float]) -> Curve:
    at, found = np.asarray(steps, float), np.asarray(values, float)
    order = np.argsort(at, kind="stable")
    at, found = at[order], found[order]
    percent = kind in ("accuracy", "val_accuracy", "eer") and np.nanmax(found, initial=0) > 1.5
    return Curve(at, found / 100 if percent else found)
