"""Ten people in 2-D embeddings: training runs whose embeddings need no projection.

A network with 2-D embeddings is trained to classify ten people. After every epoch all photos are embedded,
training photos and held-out photos of the same people. This reproduces the figures of the center loss paper
(Wen et al. 2016, https://doi.org/10.1007/978-3-319-46478-7_31, figures 2 and 3), with faces instead of
digits. Simplified: the convolutions come from a checkpoint that was not trained on these people and are
frozen, so that a run takes minutes on a CPU; only the embedding layer and the loss's parameters are trained.
"""

import functools
import tempfile
import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facelab.data.files import replacing
from facelab.data.folders import CropSet
from facelab.data.images import Track, untracked
from facelab.lessons import START_MODEL
from facelab.lessons.space import hashed
from facelab.models import checkpoint
from facelab.models.losses import build_loss
from facelab.models.model import build_model, class_logits, embed_all
from facelab.models.recipe import Recipe
from facelab.models.seeding import Seeded
from facelab.models.zoo import CHECKPOINTS, find_checkpoint
from facelab.training.splits import split

FOLDER = CHECKPOINTS / "lessons" / "epochs"
PEOPLE, PHOTOS = 10, 30
MAKE = "make it with `python -m facelab lessons epochs --data CROPS`"
START = Recipe(
    embedding_dim=2, freeze="stage4", bias=False, epochs=40, batch_size=16, lr=0.06, held_out=0.0,
    held_out_images=0.2, rotate=5.0, zoom=0.05, shift=0.03, jitter=0.2, random_erasing=0.0,
)  # fmt: skip
RUNS: dict[str, Recipe] = {  # beside each: its accuracy in the end on training photos, and on the others
    "softmax": START,
    "softmax_bias": replace(START, bias=True),
    "center": replace(START, loss="center", center_weight=0.3),
    "center_late": replace(START, loss="center", center_weight=0.0),
    "arcface": replace(START, loss="arcface", bias=None, margin=0.2, scale=8.0, margin_warmup=500, lr=0.03),
}
LATE = {"center_late": (20, 0.3)}  # after how many epochs the pull to the centers begins, and its weight


@dataclass(frozen=True, eq=False)
class Epochs:
    """Hold the content of one file: E epochs of K people, N training photos and M held-out photos.

    Attributes:
        training: (E, N, 2) embeddings of the training photos.
        others: (E, M, 2) embeddings of held-out photos.
        training_labels, other_labels: (N,), (M,) person, from 0.
        prototypes: (E, K, 2) rows of the last layer's weight.
        bias: (E, K) bias of the last layer; zeros where it has none.
        accuracy: (E, 2) accuracy on the training photos and on the held-out ones.
    """

    training: np.ndarray
    others: np.ndarray
    training_labels: np.ndarray
    other_labels: np.ndarray
    prototypes: np.ndarray
    bias: np.ndarray
    accuracy: np.ndarray


def ten_people(data: CropSet, start: str = START_MODEL) -> CropSet:
    """Return the ten people with the most crops, up to 30 of each, among those unseen by a checkpoint.

    Args:
        data: the crops of the checkpoint's training and test.
        start: name or path of the checkpoint.

    Raises:
        ValueError: fewer than ten people were held out.
    """
    recipe = checkpoint.describe(find_checkpoint(start)).recipe
    people = split(data, recipe).people
    counts = np.bincount(people.labels, minlength=len(people.identities))
    if len(counts) < PEOPLE:
        raise ValueError(f"{start} has {len(counts)} people of these data held out; the runs need {PEOPLE}")
    order = sorted(range(len(counts)), key=lambda i: (-int(counts[i]), hashed(people.identities[i])))
    rows = [
        sorted(np.flatnonzero(people.labels == person), key=lambda i: hashed(data.names[people.rows[i]]))[
            :PHOTOS
        ]
        for person in order[:PEOPLE]
    ]
    labels = np.repeat(np.arange(PEOPLE), [len(own) for own in rows])
    names = tuple(map(str, range(len(labels))))
    identities = tuple(f"person {i + 1}" for i in range(PEOPLE))
    return CropSet(people.batch(np.concatenate(rows)), labels, identities, names)


def record(
    recipe: Recipe,
    data: CropSet,
    start: str = START_MODEL,
    track: Track = untracked,
    late: tuple[int, float] | None = None,
) -> Epochs:
    """Train, and embed every photo after every epoch.

    Args:
        recipe: has a loss with logits, and held_out_images above 0.
        data: crops of K people.
        start: the checkpoint that provides the convolutions.
        track: draws progress.
        late: (epochs, weight): center loss begins after so many epochs, its centers at zero, as where it is
            added to a network that softmax has trained.

    Raises:
        ValueError: the checkpoint has another backbone than the recipe.
    """
    from facelab.training.loop import train

    parts = split(data, recipe)
    frames = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "start.safetensors"
        _new_neck(path, recipe, start)
        progress = train(replace(recipe, init_from=str(path)), data)
        epochs = (p for p in progress if p.epoch_done)
        for p in track(epochs, recipe.epochs, recipe.loss):
            training, others = (
                embed_all(p.model, x.batches(), flip=False) for x in (parts.training, parts.images)
            )
            labels = (parts.training.labels, parts.images.labels)
            frames.append((training, others, *_last_layer(p.loss_fn, (training, others), labels)))
            if late and len(frames) == late[0]:
                p.loss_fn.centers.zero_()  # the run's own: these recipes average no weights
                p.loss_fn.center_weight = late[1]
    training, others, prototypes, bias, accuracy = map(np.stack, zip(*frames))
    return Epochs(training, others, *labels, prototypes, bias, accuracy)


def _new_neck(path: Path, recipe: Recipe, start: str) -> None:
    """Write a checkpoint of a new network with the trained convolutions of another, as a starting point."""
    source, _, header = checkpoint.load(find_checkpoint(start))
    if header.recipe.backbone != recipe.backbone:
        raise ValueError(f"{start} is a {header.recipe.backbone}; the runs need a {recipe.backbone}")
    with Seeded(recipe.seed):
        model = build_model(recipe)
        head = build_loss(recipe.loss, recipe.embedding_dim, 1, recipe.loss_options())
    model.backbone.load_state_dict(source.backbone.state_dict())
    checkpoint.save(path, model, head, checkpoint.Header(recipe, 1, header.data))


@torch.no_grad()
def _last_layer(
    loss_fn: nn.Module, embeddings: tuple[np.ndarray, ...], labels: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """Return (prototypes (K, 2), bias (K,), accuracy on each set) of a loss."""
    linear = getattr(loss_fn, "linear", None)
    prototypes = loss_fn.prototypes if linear is None else linear.weight
    bias = torch.zeros(len(prototypes)) if linear is None or linear.bias is None else linear.bias
    named = (class_logits(loss_fn, x).argmax(1) for x in embeddings)
    accuracy = [float((guess == truth).mean()) for guess, truth in zip(named, labels)]
    return prototypes.cpu().numpy().copy(), bias.cpu().numpy().copy(), accuracy


def compactness(run: Epochs, others: bool = False, epoch: int = -1) -> float:
    """Return the mean distance of photos to their class center over that of a center to its nearest other.

    Separable classes may have any value; discriminative ones have a small one. Centers are those of the
    training photos.

    Args:
        run: what was recorded.
        others: of the held-out photos instead of the training photos.
        epoch: which one.
    """
    learned, labels = run.training[epoch], run.training_labels
    centers = np.stack([learned[labels == person].mean(0) for person in range(labels.max() + 1)])
    photos, own = (run.others[epoch], run.other_labels) if others else (learned, labels)
    between = np.linalg.norm(centers[:, None] - centers, axis=2) + np.diag(np.full(len(centers), np.inf))
    return float(np.linalg.norm(photos - centers[own], axis=1).mean() / between.min(1).mean())


def save(path: Path, epochs: Epochs) -> None:
    """Write an .npz file of plain arrays, atomically."""
    arrays = {field.name: np.asarray(getattr(epochs, field.name), np.float16) for field in fields(epochs)}
    for name in ("training_labels", "other_labels"):
        arrays[name] = getattr(epochs, name).astype(np.uint8)
    with replacing(path) as part, open(part, "wb") as file:
        np.savez_compressed(file, **arrays)


def names() -> list[str]:
    """Return the runs that have a file here, in the order of RUNS."""
    return [name for name in RUNS if (FOLDER / f"{name}.npz").is_file()]


def load(name: str) -> Epochs:
    """Read a run by its name.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    path = FOLDER / f"{name}.npz"
    if name not in names():
        raise ValueError(f"there is no run {name!r}; {MAKE}")
    return _load(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _load(path: Path, modified: int) -> Epochs:
    try:
        with np.load(path, allow_pickle=False) as file:
            epochs = Epochs(**{f.name: file[f.name].astype(np.float32) for f in fields(Epochs)})
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} is damaged; {MAKE}") from error
    people = epochs.prototypes.shape[1]
    shapes = {len(getattr(epochs, f.name)) for f in fields(Epochs) if not f.name.endswith("labels")}
    if len(shapes) > 1 or max(epochs.training_labels.max(), epochs.other_labels.max()) >= people:
        raise ValueError(f"{path.name} is damaged; {MAKE}")
    labels = {n: getattr(epochs, n).astype(np.int64) for n in ("training_labels", "other_labels")}
    return replace(epochs, **labels)
