"""Three ways of transfer on a small set of new identities, compared with training from random weights:
fine-tune all layers, freeze the first stages and train the rest, or freeze them all and train a new head.

Which is better depends on the number of photos per person. Every run takes the same number of steps and is
evaluated on the same held-out photos. All combinations of photos per person, initialization and seed are run;
the result is a small table of accuracies.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from facelab.data.files import replacing
from facelab.data.folders import CropSet, Selection
from facelab.data.images import Track, untracked
from facelab.models.checkpoint import describe
from facelab.models.model import FaceModel, class_logits, embed_all
from facelab.models.recipe import Recipe
from facelab.models.zoo import CHECKPOINTS, find_checkpoint
from facelab.training.loop import train
from facelab.training.transfer import SHAPE

FILE = CHECKPOINTS / "lessons" / "transfer.json"
SHOTS = (1, 2, 4, 6)
TEST = 4  # photos of each person, the last ones of the shuffle, for judging alone
STEPS, BATCH = 100, 32
SCRATCH = Recipe(
    embedding_dim=128,
    batch_size=BATCH,
    lr=0.05,
    random_erasing=0.0,
    held_out=0.0,
    ema_decay=0.0,
    label_smoothing=0.1,
)


@dataclass(frozen=True)
class Outcome:
    """One run: initialization, photos of each person, seed, and accuracy on held-out photos."""

    start: str
    shots: int
    seed: int
    accuracy: float


def starts(face: str) -> dict[str, Recipe]:
    """Return the initializations, by name.

    Args:
        face: checkpoint to start from, a name or path; its backbone has a stage3.
    """
    theirs = describe(find_checkpoint(face)).recipe
    shape = {name: getattr(theirs, name) for name in SHAPE}
    ours = replace(SCRATCH, **shape, init_from=face, lr=0.01)
    imagenet = replace(SCRATCH, lr=0.01, backbone="efficientnet_lite0", neck="pool", init_from="imagenet")
    return {
        "scratch": replace(SCRATCH, **shape),
        "faces, whole": ours,
        "faces, to stage3": replace(ours, freeze="stage3", lr=0.03),
        "faces, frozen": replace(ours, freeze="neck", lr=0.1),
        "ImageNet, whole": imagenet,
        "ImageNet, frozen": replace(imagenet, freeze="head", lr=0.1),
    }


def few_shot_split(data: CropSet, shots: int, seed: int) -> tuple[CropSet, Selection]:
    """Split photos for training and evaluation -> (K people with `shots` crops each, their test photos).

    The test photos depend on the seed alone, so all numbers of photos use the same ones.

    Raises:
        ValueError: somebody has fewer than `shots` + `TEST` photos.
    """
    rng = np.random.default_rng(seed)
    learn, tests = [], []
    for label, name in enumerate(data.identities):
        rows = rng.permutation(np.flatnonzero(data.labels == label))
        if len(rows) < shots + TEST:
            raise ValueError(f"{name} has {len(rows)} photos; {shots} to learn and {TEST} to test are needed")
        learn.append(rows[:shots])
        tests.append(rows[-TEST:])
    learn, tests = np.sort(np.concatenate(learn)), np.sort(np.concatenate(tests))
    names = tuple(data.names[i] for i in learn)
    few = CropSet(data.crops[learn], data.labels[learn], data.identities, names)
    return few, Selection(data.crops, tests, data.labels[tests], data.identities)


def run(recipe: Recipe, data: CropSet, shots: int, seed: int) -> float:
    """Train on a few photos of each person -> accuracy on their other photos."""
    few, tests = few_shot_split(data, shots, seed)
    epochs = STEPS // max(1, len(few) // BATCH)
    for progress in train(replace(recipe, epochs=epochs, seed=seed), few):
        last = progress
    return accuracy(last.model, last.loss_fn, tests)


def accuracy(model: FaceModel, loss_fn: nn.Module, tests: Selection) -> float:
    """Return the top-1 accuracy on crops, flip-averaged."""
    logits = class_logits(loss_fn, embed_all(model, tests.batches()) / 2)
    return float((logits.argmax(1) == tests.labels).mean())


def measure(
    face: str, data: CropSet, seeds: int = 3, shots: tuple[int, ...] = SHOTS, track: Track = untracked
) -> Iterator[Outcome]:
    """Run all combinations of initialization, number of photos and seed, and yield one outcome after
    another.
    """
    runs = [(name, n, seed) for seed in range(seeds) for n in shots for name in starts(face)]
    for name, n, seed in track(runs, len(runs), "runs"):
        yield Outcome(name, n, seed, run(starts(face)[name], data, n, seed))


def save(outcomes: list[Outcome], path: Path = FILE) -> None:
    """Write the table as JSON, one run a row."""
    with replacing(path) as part:
        part.write_text(json.dumps([asdict(one) for one in outcomes], indent=0) + "\n", encoding="utf-8")


def load(path: Path = FILE) -> list[Outcome]:
    """Return the measured table; empty if there is none."""
    return [Outcome(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.is_file() else []
