"""Fine-tuning of a shipped network on new identities from a few photos each, and classification of one more
photo.

All three ways of transfer: train only a new head on the network's embeddings, freeze the stages up to one and
train the rest, or fine-tune all layers with small steps. A share of each person's photos is held out for
evaluation; chance level is 1/K.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from facelab.lessons.live.course import Result
from facelab.lessons.live.data import TrainingData, read_crop
from facelab.metrics.calibration import softmax
from facelab.models.model import FaceModel, build_model, class_logits, embed
from facelab.models.recipe import Recipe
from facelab.models.zoo import checkpoint_names, header_of
from facelab.photos.faces import Source
from facelab.training.splits import split
from facelab.training.transfer import freeze

STEPS, BATCH = 40, 16  # in all; a step of 16 compact crops takes about 0.1 to 0.2 s on one core
HELD_OUT = 0.34  # of everyone's photos
MOST, PHOTOS = 400, 3  # photos at most, and of everyone at least: two to learn from, one to be judged by


@dataclass(frozen=True, eq=False)
class Named:
    """Probability of each person, highest first, and the classified crop (112, 112, 3)."""

    ranks: tuple[tuple[str, float], ...]
    crop: np.ndarray


def starts() -> list[str]:
    """Return the checkpoints of the project."""
    return checkpoint_names()


def stages_of(start: str) -> list[str]:
    """Return the names of the stages of a checkpoint or of a network of this visit, from the photo on,
    without its neck.

    Raises:
        ValueError: no such checkpoint.
    """
    return [name for name, _ in _empty_network(start).backbone.named_children()]


def trained_parameters(start: str, upto: str | None) -> tuple[int, int]:
    """Return (parameters that train, all parameters) of a checkpoint's network when `freeze` has run.

    Raises:
        ValueError: no such checkpoint or stage.
    """
    model = _empty_network(start)
    freeze(model, upto)
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(count for count, trained in counts if trained), sum(count for count, _ in counts)


def _empty_network(start: str) -> FaceModel:
    """Build a checkpoint's network on the meta device, where parameters take no memory."""
    with torch.device("meta"):
        return build_model(header_of(start).recipe)


def lesson_recipe(start: str, upto: str | None, pool: TrainingData, seed: int) -> Recipe:
    """Return the recipe that fine-tunes a checkpoint on the identities of a pool.

    Args:
        start: the checkpoint's name or path, or the name of a network of this visit.
        upto: the last frozen stage; `neck` trains a new head only, None trains all layers.
        pool: at least two people with three photos each.
        seed: seed of the head, the order and the held-out photos.

    Raises:
        ValueError: no such checkpoint.
    """
    theirs = header_of(start).recipe
    learned = len(pool.data) - held_back(pool)
    return Recipe(
        backbone=theirs.backbone,
        neck=theirs.neck,
        embedding_dim=theirs.embedding_dim,
        init_from=start,
        freeze=upto,
        epochs=max(1, round(STEPS / max(1, learned // BATCH))),
        batch_size=BATCH,
        lr={None: 0.01, "neck": 0.1}.get(upto, 0.03),  # the fewer layers train, the larger steps they bear
        random_erasing=0.0,
        held_out=0.0,
        held_out_images=HELD_OUT,
        seed=seed,
        split_seed=seed,
    )


def held_back(pool: TrainingData) -> int:
    """Return the number of photos that `split_images` holds out."""
    counts = np.bincount(pool.data.labels).tolist()
    return sum(min(max(1, round(HELD_OUT * n)), n - 2) for n in counts)


def chance_bound_95(pool: TrainingData) -> float:
    """Return the accuracy on held-out photos that chance exceeds in at most one of twenty cases.

    The 95 % quantile of the binomial distribution of n photos at 1/K, as a share.
    """
    n, p = held_back(pool), 1 / len(pool.data.identities)
    chances = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    return int(np.searchsorted(np.cumsum(chances), 0.95)) / n


def held_back_photo(result: Result, pool: TrainingData, turn: int) -> tuple[np.ndarray, str]:
    """Return a held-out photo of a fine-tuned network: its crop (112, 112, 3), and its person.

    Args:
        result: result of `lesson_recipe`.
        pool: its training data.
        turn: index of the photo, in a shuffled order that repeats after the last.

    Raises:
        ValueError: the pool is not its training data.
    """
    photos = split(pool.data, result.header.recipe).images
    if photos.identities != result.header.identities:
        raise ValueError("the network was fine-tuned on other photos; press Fine-tune again")
    row = np.random.default_rng(0).permutation(len(photos))[turn % len(photos)]
    return photos.batch(row[None])[0], _short(photos.identities[photos.labels[row]])


def _short(identity: str) -> str:
    """Return a person's name without the source's."""
    return identity.split("/")[-1]


def name_photo(result: Result, source: Source) -> Named:
    """Classify a photo with a fine-tuned network, among its training identities.

    Raises:
        ValueError: the photo cannot be read, or has no face.
    """
    crop, _ = read_crop(source)
    vector = embed(result.model, crop[None]) / 2  # of the face and its mirror, the mean
    probabilities = softmax(class_logits(result.loss_fn, vector))[0].tolist()
    people = [_short(name) for name in result.header.identities]
    ranks = sorted(zip(people, probabilities), key=lambda item: -item[1])
    return Named(tuple(ranks[:10]), crop)
