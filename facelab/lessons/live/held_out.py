"""What a live run held out, seen by its network before the first step and after the last.

Verification is judged on people that were not trained on; where a run holds out photos of its training
identities only, as fine-tuning does, on those. Confidence is judged on photos of the training identities:
held-out ones, or for rendered faces as many fresh ones, which cost the training nothing.
"""

import numpy as np
import torch
from torch import nn

from facelab.data.folders import Selection
from facelab.data.parametric import ParametricFaces
from facelab.lessons.live.data import TrainingData
from facelab.models.losses import build_loss
from facelab.models.model import FaceModel, build_model, class_logits, embed_all
from facelab.models.recipe import Recipe
from facelab.models.seeding import Seeded
from facelab.recognition.visit import HeldOut
from facelab.training.splits import Split
from facelab.training.transfer import initialize

MOST = 1500  # photos, as many as a map shows
FRESH, MOST_FRESH = 2, 300  # rendered photos of each training identity, and of all


def judged(parts: Split) -> Selection:
    """Return the photos that judge verification: of unseen people, else of training identities."""
    return parts.people if len(parts.people) else parts.images


def held_out(
    model: FaceModel, loss_fn: nn.Module, recipe: Recipe, pool: TrainingData, parts: Split
) -> HeldOut | None:
    """Embed what a run held out; None if that is fewer than two photos.

    Args:
        model, loss_fn: trained, in eval mode.
        recipe, pool: of the run.
        parts: the pool's split.
    """
    photos = judged(parts)
    if len(photos) < 2:
        return None
    photos = photos.take(np.arange(min(len(photos), MOST)))
    device = next(model.parameters()).device
    before = embed_all(beginning(recipe, parts).to(device), photos.batches())
    logits = classes = None
    if hasattr(loss_fn, "logits"):
        crops, classes = unlearned(pool, parts)
        if len(classes):  # one view, as in training
            logits = class_logits(
                loss_fn, embed_all(model, (crops[i : i + 64] for i in range(0, len(crops), 64)), False)
            )
    faces = showcase(photos) if pool.per_identity else ()
    after = embed_all(model, photos.batches())
    return HeldOut(photos.labels, after, before, bool(len(parts.people)), logits, classes, faces)


def beginning(recipe: Recipe, parts: Split) -> FaceModel:
    """Rebuild the network of a run in its state before the first step."""
    with Seeded(recipe.seed):
        model = build_model(recipe)
        classes = len(parts.training.identities)
        loss_fn = build_loss(recipe.loss, recipe.embedding_dim, classes, recipe.loss_options())
    initialize(model, loss_fn, recipe, parts.training.identities)
    return model.eval()


def unlearned(pool: TrainingData, parts: Split) -> tuple[np.ndarray, np.ndarray]:
    """Return crops (M, 112, 112, 3) of training identities that were not trained on, and classes (M,)."""
    if len(parts.images):
        images = parts.images.take(np.arange(min(len(parts.images), MOST)))
        return np.concatenate(list(images.batches())), images.labels
    if not pool.per_identity:
        return np.empty((0, 112, 112, 3), np.uint8), np.empty(0, np.int64)
    numbers = np.array([int(name.rpartition("/")[2]) for name in parts.training.identities])
    classes = np.flatnonzero(numbers)[: MOST_FRESH // FRESH]  # the first identity's would be those trained on
    faces = ParametricFaces(int(numbers.max()) + 1, FRESH, pool.seed)
    rows = (numbers[classes, None] * FRESH + np.arange(FRESH)).ravel()
    return faces.rows(torch.from_numpy(rows))[0].numpy(), np.repeat(classes, FRESH)


def showcase(photos: Selection) -> tuple[np.ndarray, ...]:
    """Return two crops of one identity and one of another, as far as there are any."""
    first = np.flatnonzero(photos.labels == photos.labels[0])[:2]
    other = np.flatnonzero(photos.labels != photos.labels[0])[:1]
    rows = np.concatenate([first, other])
    return tuple(photos.take(rows).batch(np.arange(len(rows)))) if len(first) == 2 else ()
