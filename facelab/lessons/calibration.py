"""Effect of label smoothing on confidence, measured once for each checkpoint and stored in a small file.

A checkpoint classifies held-out photos of its training identities. Half of those photos fit one temperature;
the page shows the other half: the confidence in each photo, at a few temperatures, and whether the prediction
was correct (Guo et al., arXiv:1706.04599). The file also holds the verification error on unseen identities
and, for online label smoothing (arXiv:2011.12562), the similar classes that it learned. No file holds an
image or a name.
"""

import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from facelab.data.files import replacing
from facelab.data.folders import CropSet, Selection
from facelab.data.images import Track, untracked
from facelab.metrics.calibration import (
    BINS,
    Reliability,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    softmax,
)
from facelab.metrics.verification import all_pairs, roc
from facelab.models import checkpoint
from facelab.models.model import FaceModel, class_logits, embed_all
from facelab.models.recipe import Recipe
from facelab.models.zoo import CHECKPOINTS, find_checkpoint
from facelab.training.splits import Split, split

FOLDER = CHECKPOINTS / "lessons" / "calibration"
LOWEST, HIGHEST, STEP = 0.25, 4.0, 0.15  # of the temperatures that are kept; 1 is among them
ROUNDING = 0.0051  # of a temperature with two decimals
MAX_IMAGES = 1500  # in a file, which keeps it under 100 KB
LEVELS = 2**16 - 1  # a confidence is kept as a whole number of these
ALIKE = 12  # people of the learned similarities
FORMER_NAMES = {"bare": "overfit"}  # of arrays in files of earlier versions


@dataclass(frozen=True, eq=False)
class Calibration:
    """Hold one checkpoint's confidence in N photos, at T temperatures.

    Attributes:
        model: the checkpoint's name.
        loss: its loss in training.
        label_smoothing: its α; 0 for losses that have none.
        overfit: trained without augmentation and weight decay, so that it overfits its photos.
        identities: K, the number of classes.
        temperatures: (T,) rising, from 0.25 to 4; 1 and `fitted` are among them.
        fitted: the temperature with the highest likelihood on photos other than these N.
        confidence: (T, N) highest probability of each photo, in [0, 1].
        correct: (N,) bool, whether that class was correct, at every temperature.
        nll: (T,) mean of -log p of the true class, in nats.
        eer: equal error rate of verification on unseen identities, mirrored crops added; NaN if none were
            held out.
        strangers: number of these unseen identities.
        similarity: (M, M) of online label smoothing: row i is the soft label of identity i, cut to the M most
            similar identities; (0, 0) for other losses.
    """

    model: str
    loss: str
    label_smoothing: float
    overfit: bool
    identities: int
    temperatures: np.ndarray
    fitted: float
    confidence: np.ndarray
    correct: np.ndarray
    nll: np.ndarray
    eer: float
    strangers: int
    similarity: np.ndarray

    def nearest(self, temperature: float) -> int:
        """Return the index of the nearest of `temperatures`; of the fitted one where both round to the same.

        A slider of steps of 0.01 stands for the fitted temperature although one of the grid may lie nearer.
        """
        if temperature != 1 and abs(self.fitted - temperature) <= ROUNDING:
            return int(np.abs(self.temperatures - self.fitted).argmin())
        return int(np.abs(self.temperatures - temperature).argmin())

    def reliability(self, temperature: float = 1.0, bins: int = BINS) -> Reliability:
        """Return the reliability at the nearest stored temperature."""
        return reliability(self.confidence[self.nearest(temperature)], self.correct, bins)

    def eces(self, bins: int = BINS) -> np.ndarray:
        """Return (T,) expected calibration error at every temperature."""
        return np.array([reliability(row, self.correct, bins).ece() for row in self.confidence])

    def accuracy(self) -> float:
        """Return the share of photos classified correctly."""
        return float(self.correct.mean())


def measure(model: str, data: CropSet, track: Track = untracked) -> Calibration:
    """Measure one checkpoint on the photos that its own recipe held out of these crops.

    Args:
        model: a checkpoint's name or path.
        data: all crops of its training, including those it held out.
        track: draws progress.

    Raises:
        ValueError: a loss without classes, nothing held out, or other crops than those of its training.
    """
    network, loss_fn, header = checkpoint.load(find_checkpoint(model))
    name = Path(model).stem
    if not hasattr(loss_fn, "logits"):
        raise ValueError(f"{name} was trained with {header.recipe.loss}, which has no classes; leave it out")
    parts = split(data, header.recipe)
    _check_people(name, header, parts)
    batches = parts.images.batches(track, "known people")
    logits = class_logits(loss_fn, embed_all(network, batches, flip=False))  # one view, as in training
    order = np.random.default_rng(0).permutation(len(logits))  # the same photos for every checkpoint
    half, labels = len(order) // 2, parts.images.labels
    fitted = fit_temperature(logits[order[:half]], labels[order[:half]])
    judged = order[half:][:MAX_IMAGES]
    return Calibration(
        model=name,
        loss=header.recipe.loss,
        label_smoothing=float(getattr(loss_fn, "label_smoothing", 0.0)),
        overfit=_invites_overfitting(header.recipe),
        identities=header.num_classes,
        **_at_temperatures(logits[judged], labels[judged], float(np.clip(fitted, LOWEST, HIGHEST))),
        eer=_equal_error_rate(network, parts.people, track),
        strangers=len(parts.people.identities),
        similarity=look_alikes(loss_fn.soft.numpy() if hasattr(loss_fn, "soft") else np.zeros((0, 0))),
    )


def _invites_overfitting(recipe: Recipe) -> bool:
    varied = recipe.rotate, recipe.zoom, recipe.shift, recipe.jitter, recipe.gray, recipe.random_erasing
    return not any(varied) and recipe.weight_decay == 0


def _check_people(name: str, header: checkpoint.Header, parts: Split) -> None:
    """Check that a split of these crops is the one of the checkpoint's training."""
    known, given = header.identities, parts.training.identities
    if known != given if known else header.num_classes != len(given):
        raise ValueError(
            f"{name} was trained on other identities than these crops give; its data were: {header.data}"
        )
    if len(parts.images) < 4:
        raise ValueError(
            f"{name} held out {len(parts.images)} photos of training identities; "
            "train it with --held-out-images 0.1"
        )


def _at_temperatures(logits: np.ndarray, labels: np.ndarray, fitted: float) -> dict[str, object]:
    """Return the fields of a `Calibration` that depend on the temperature, and the labels."""
    grid = np.arange(LOWEST, HIGHEST + STEP / 2, STEP).round(2)
    temperatures = np.union1d(grid, [fitted])
    return {
        "temperatures": temperatures,
        "fitted": fitted,
        "confidence": np.stack([softmax(logits / t).max(1) for t in temperatures]),
        "correct": logits.argmax(1) == labels,
        "nll": np.array([negative_log_likelihood(logits / t, labels) for t in temperatures]),
    }


def _equal_error_rate(network: FaceModel, people: Selection, track: Track) -> float:
    if not len(people):
        return float("nan")
    batches = people.batches(track, "strangers")
    return roc(*all_pairs(embed_all(network, batches), people.labels)).equal_error_rate()[0]


def look_alikes(soft: np.ndarray, count: int = ALIKE) -> np.ndarray:
    """Return the part of a table of soft labels in which identities are most similar.

    Pairs are taken in the order of soft[i, j] + soft[j, i] until `count` people are together, so similar
    identities are adjacent.

    Args:
        soft: (K, K), rows sum to 1.
        count: M, at most; K if that is less.

    Returns:
        (M, M), rows and columns in that order.
    """
    rows, columns = np.triu_indices(len(soft), 1)
    chosen: dict[int, None] = {}  # keeps the order
    for pair in np.argsort(-(soft + soft.T)[rows, columns], kind="stable"):
        for person in (int(rows[pair]), int(columns[pair])):
            if len(chosen) < count:
                chosen.setdefault(person)
        if len(chosen) == min(count, len(soft)):
            break
    return soft[np.ix_(list(chosen), list(chosen))]


def save(path: str | os.PathLike, lesson: Calibration) -> None:
    """Write an .npz file of plain arrays, atomically."""
    arrays = {field.name: np.asarray(getattr(lesson, field.name)) for field in fields(lesson)}
    arrays["confidence"] = np.round(lesson.confidence * LEVELS).astype(np.uint16)
    arrays["similarity"] = lesson.similarity.astype(np.float16)
    with replacing(Path(path)) as part, open(part, "wb") as file:
        np.savez_compressed(file, **arrays)


def load(path: str | os.PathLike) -> Calibration:
    """Read the result of `save`.

    Raises:
        ValueError: no such file, or another one.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {FORMER_NAMES.get(name, name): file[name] for name in file.files}
        arrays = {field.name: stored[field.name] for field in fields(Calibration)}
        arrays["confidence"] = arrays["confidence"] / LEVELS
        arrays["similarity"] = arrays["similarity"].astype(np.float64)
        if arrays["confidence"].shape != (*arrays["nll"].shape, *arrays["correct"].shape):
            raise ValueError("shapes differ")
        plain = {name: value.item() if value.ndim == 0 else value for name, value in arrays.items()}
    except Exception as error:  # a broken archive makes its readers raise anything
        raise ValueError(
            f"{Path(path).name} is not a calibration lesson; "
            "`python -m facelab lessons calibration` writes one"
        ) from error
    return Calibration(**plain)


def load_all(folder: Path = FOLDER) -> list[Calibration]:
    """Return every lesson of a folder: plain softmax first, then by α, other losses, the overfit ones
    last.
    """
    found = [load(path) for path in sorted(folder.glob("*.npz"))]
    return sorted(
        found,
        key=lambda lesson: (lesson.overfit, lesson.loss != "softmax", lesson.label_smoothing, lesson.model),
    )
