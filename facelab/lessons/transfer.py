"""Two ways of transfer, measured on a small set of new people: initialize from trained weights and train
everything, or freeze them and train a new head; against starting from nothing.

The question is which wins with how many photos of each person. Every run takes the same number of steps and
is judged on the same photos, which no run trains on. Images per person, starts and seeds are all combined;
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
from facelab.models.model import FaceModel, class_logits, embed_all
from facelab.models.recipe import Recipe
from facelab.models.zoo import CHECKPOINTS
from facelab.training.loop import train

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
    """One run: where it began, photos of each person, seed, and the share of new photos named rightly."""

    start: str
    shots: int
    seed: int
    accuracy: float


def starts(face: str) -> dict[str, Recipe]:
    """The ways to begin, by name.

    Args:
        face: our checkpoint to start from, a name or path.
    """
    ours = replace(SCRATCH, init_from=face, lr=0.01)
    imagenet = replace(ours, backbone="efficientnet_lite0", neck="pool", init_from="imagenet")
    return {
        "scratch": SCRATCH,
        "faces, whole": ours,
        "faces, frozen": replace(ours, freeze="neck", lr=0.1),
        "ImageNet, whole": imagenet,
        "ImageNet, frozen": replace(imagenet, freeze="head", lr=0.1),
    }


def few_shot_split(data: CropSet, shots: int, seed: int) -> tuple[CropSet, Selection]:
    """Photos to learn from and photos to be judged by -> (K people with `shots` crops each, their tests).

    The tests depend on the seed alone, so all numbers of photos are judged alike.

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
    """Train on a few photos of each person -> the share of their other photos that is named rightly."""
    few, tests = few_shot_split(data, shots, seed)
    epochs = STEPS // max(1, len(few) // BATCH)
    for progress in train(replace(recipe, epochs=epochs, seed=seed), few):
        last = progress
    return accuracy(last.model, last.loss_fn, tests)


def accuracy(model: FaceModel, loss_fn: nn.Module, tests: Selection) -> float:
    """The share of crops whose highest logit is their label's, flip-averaged."""
    logits = class_logits(loss_fn, embed_all(model, tests.batches()) / 2)
    return float((logits.argmax(1) == tests.labels).mean())


def measure(
    face: str, data: CropSet, seeds: int = 3, shots: tuple[int, ...] = SHOTS, track: Track = untracked
) -> Iterator[Outcome]:
    """All starts with all numbers of photos and seeds, one outcome after another."""
    runs = [(name, n, seed) for seed in range(seeds) for n in shots for name in starts(face)]
    for name, n, seed in track(runs, len(runs), "runs"):
        yield Outcome(name, n, seed, run(starts(face)[name], data, n, seed))


def save(outcomes: list[Outcome], path: Path = FILE) -> None:
    """Write the table as JSON, one run a row."""
    with replacing(path) as part:
        part.write_text(json.dumps([asdict(one) for one in outcomes], indent=0) + "\n")


def load(path: Path = FILE) -> list[Outcome]:
    """The measured table; empty if none was shipped."""
    return [Outcome(**row) for row in json.loads(path.read_text())] if path.is_file() else []
