"""Teaching a shipped network new people from a few photos of each, and asking it to name one more.

Either way of transfer: frozen trains a new head alone on the network's embeddings, whole goes on training
everything with small steps. A share of everyone's photos is held back to be judged by; guessing would name
one in K of them rightly.
"""

import math
from dataclasses import dataclass

import numpy as np

from facelab.lessons.live.course import Result
from facelab.lessons.live.data import TrainingData, read_crop
from facelab.metrics.calibration import softmax
from facelab.models.checkpoint import describe
from facelab.models.model import class_logits, embed
from facelab.models.recipe import Recipe
from facelab.models.zoo import checkpoint_names, find_checkpoint
from facelab.photos.faces import Source
from facelab.training.splits import split

STEPS, BATCH = 40, 16  # in all; a step of 16 compact crops takes about 0.1 to 0.2 s on one core
HELD_OUT = 0.34  # of everyone's photos
MOST, PHOTOS = 400, 3  # photos at most, and of everyone at least: two to learn from, one to be judged by


@dataclass(frozen=True, eq=False)
class Named:
    """Everyone's probability, highest first, and the crop (112, 112, 3) that was named."""

    ranks: tuple[tuple[str, float], ...]
    crop: np.ndarray


def starts() -> list[str]:
    """Checkpoints that come with the project."""
    return checkpoint_names()


def lesson_recipe(start: str, frozen: bool, pool: TrainingData, seed: int) -> Recipe:
    """The run that teaches the people of a pool to a checkpoint.

    Args:
        start: the checkpoint's name or path.
        frozen: leave its network as it is and train a new head alone.
        pool: at least two people with three photos each.
        seed: of the head, the order and the photos held back.

    Raises:
        ValueError: no such checkpoint.
    """
    theirs = describe(find_checkpoint(start)).recipe
    learned = len(pool.data) - held_back(pool)
    return Recipe(
        backbone=theirs.backbone,
        neck=theirs.neck,
        embedding_dim=theirs.embedding_dim,
        init_from=start,
        freeze="neck" if frozen else None,
        epochs=max(1, round(STEPS / max(1, learned // BATCH))),
        batch_size=BATCH,
        lr=0.1 if frozen else 0.01,
        random_erasing=0.0,
        held_out=0.0,
        held_out_images=HELD_OUT,
        seed=seed,
        split_seed=seed,
    )


def held_back(pool: TrainingData) -> int:
    """How many photos `split_images` keeps to judge by."""
    counts = np.bincount(pool.data.labels).tolist()
    return sum(min(max(1, round(HELD_OUT * n)), n - 2) for n in counts)


def chance_bound_95(pool: TrainingData) -> float:
    """The share of held-back photos that guessing names rightly at best, but for one time in twenty.

    The 95 % quantile of the binomial distribution of n photos at 1/K, as a share.
    """
    n, p = held_back(pool), 1 / len(pool.data.identities)
    chances = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    return int(np.searchsorted(np.cumsum(chances), 0.95)) / n


def held_back_photo(result: Result, pool: TrainingData, turn: int) -> tuple[np.ndarray, str]:
    """A photo that a taught network did not learn from: its crop (112, 112, 3), and who it is.

    Args:
        result: of `lesson_recipe`.
        pool: what it was taught.
        turn: which photo, in a mixed order that begins anew after the last.

    Raises:
        ValueError: the pool is not what it was taught.
    """
    photos = split(pool.data, result.header.recipe).images
    if photos.identities != result.header.identities:
        raise ValueError("the network was fine-tuned on other photos; press Fine-tune again")
    row = np.random.default_rng(0).permutation(len(photos))[turn % len(photos)]
    return photos.batch(row[None])[0], _short(photos.identities[photos.labels[row]])


def _short(identity: str) -> str:
    """A person's name without the source's."""
    return identity.split("/")[-1]


def name_photo(result: Result, source: Source) -> Named:
    """Whom a taught network sees on a photo; it must name one of its own people.

    Raises:
        ValueError: the photo cannot be read, or has no face.
    """
    crop, _ = read_crop(source)
    vector = embed(result.model, crop[None]) / 2  # of the face and its mirror, the mean
    probabilities = softmax(class_logits(result.loss_fn, vector))[0].tolist()
    people = [_short(name) for name in result.header.identities]
    ranks = sorted(zip(people, probabilities), key=lambda item: -item[1])
    return Named(tuple(ranks[:10]), crop)
