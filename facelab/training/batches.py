"""Batches: the crops of each step, and their transfer to the device.

The order of an epoch is a function of seed and epoch alone, so a resumed run has the same batches. Either all
crops are shuffled, or a batch holds P people with K crops each (FaceNet, arXiv:1503.03832, section 3.2; P x K
as in arXiv:1703.07737), without which a pair loss sees few genuine pairs. All crops are stored on the GPU if
they fit; otherwise one batch is read ahead.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from facelab.data.cropfile import CropFile
from facelab.data.folders import Selection
from facelab.models.losses import LOSSES
from facelab.models.recipe import Recipe

RESIDENT_SHARE = 0.4  # of a GPU's free memory that crops may take


def epoch_order(data: Selection, recipe: Recipe, epoch: int) -> np.ndarray:
    """Return the batches of one epoch.

    An incomplete last batch is omitted, unless it is the only one.

    Returns:
        (S, B) int64, rows of `data`: S steps of B crops.

    Raises:
        ValueError: batches by identity are requested and there are too few identities, or some have one crop
            only.
    """
    rng = np.random.default_rng((recipe.seed, epoch))
    if recipe.images_per_identity:
        return _people(data, recipe.batch_size, recipe.images_per_identity, rng)
    order = rng.permutation(len(data))
    size = min(recipe.batch_size, len(order))
    return order[: len(order) // size * size].reshape(-1, size)


def require_pairs(data: Selection, recipe: Recipe) -> None:
    """Raise a ValueError for a run of a pair loss that would never have two crops of one identity in a batch.

    Raises:
        ValueError: no identity has two crops, or no batch of the first epoch holds two of one.
    """
    if LOSSES[recipe.loss.split("+")[-1]].family != "pair" or not recipe.loss_weight:
        return
    known = data.labels[data.labels >= 0]
    if not len(known) or np.bincount(known).max() < 2:
        raise ValueError(
            f"no identity has two crops, so {recipe.loss} has no pair of one person to learn from; add crops"
        )
    labels = data.labels[epoch_order(data, recipe, 0)]
    if not any(np.bincount(row[row >= 0], minlength=1).max() > 1 for row in labels):
        raise ValueError(
            f"no batch holds two crops of one person, so {recipe.loss} would learn nothing; "
            "set images_per_identity to 2 or more"
        )


def _people(data: Selection, batch_size: int, per_identity: int, rng: np.random.Generator) -> np.ndarray:
    """Return batches of different people with K crops each.

    Every person's crops are shuffled and split into groups of K; the last group is filled with other crops of
    the same person. A batch takes one group of each of the people with the most groups left, which gives the
    largest possible number of batches with different people. Finally the batches are shuffled.
    """
    count = np.bincount(data.labels, minlength=len(data.identities))
    people = batch_size // per_identity
    if len(count) < people:
        raise ValueError(
            f"a batch takes {people} people with {per_identity} crops each and there are {len(count)}; "
            f"lower batch_size to {len(count) * per_identity} or less"
        )
    if count.min() < 2:
        single = data.identities[int(count.argmin())]
        raise ValueError(
            f"{(count < 2).sum()} people have one crop only, the first {single}; batches of people need two: "
            "add crops, leave those people out or set images_per_identity 0"
        )
    hands = [_deal(np.flatnonzero(data.labels == label), per_identity, rng) for label in range(len(count))]
    batches, left = [], np.array([len(hand) for hand in hands])
    steps = max(1, len(data) // batch_size)
    while len(batches) < steps and (left > 0).sum() >= people:
        chosen = np.lexsort((rng.random(len(left)), -left))[:people]
        batches.append(np.concatenate([hands[label][left[label] - 1] for label in chosen]))
        left[chosen] -= 1
    return rng.permutation(np.stack(batches))


def _deal(rows: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Split shuffled rows into groups (H, size); the last is filled with rows from other groups, or repeated
    if there are none.
    """
    rows = rng.permutation(rows)
    short = -len(rows) % size
    spare = rows[: len(rows) - (size - short)] if short else rows[:0]
    fill = rng.choice(spare if len(spare) >= short else rows, short, replace=len(spare) < short)
    return np.concatenate([rows, fill]).reshape(-1, size)


def on_device(data: Selection, device: torch.device) -> Tensor | None:
    """Return all crops of a selection on a GPU, (N, 112, 112, 3) uint8, if they fit there; else None.

    Crops that are drawn on first access are not moved, because all would be drawn before the first step.
    """
    if device.type != "cuda" or not isinstance(data.crops, np.ndarray | CropFile):
        return None
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # PyTorch's own cache
    if len(data) * int(np.prod(data.crops.shape[1:])) > RESIDENT_SHARE * free:
        return None
    crops = torch.empty((len(data), *data.crops.shape[1:]), dtype=torch.uint8, device=device)
    for start in range(0, len(data), 4096):
        rows = np.arange(start, min(start + 4096, len(data)))
        crops[start : start + len(rows)] = torch.from_numpy(data.batch(rows)).to(device)
    return crops


def sent(values: Tensor | np.ndarray, device: torch.device) -> Tensor:
    """Copy a tensor to a device; to a GPU without waiting for the copy."""
    values = torch.as_tensor(values)
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values


def read_batches(
    data: Selection, order: np.ndarray, device: torch.device, resident: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield crops of each row of `order`, (B, 112, 112, 3) uint8 on the device.

    Args:
        data: the crops.
        order: (S, B) rows of it.
        device: target device.
        resident: result of `on_device`.
    """
    if resident is not None:
        yield from (resident[sent(rows, device)] for rows in order)
        return
    with ThreadPoolExecutor(1) as ahead:
        coming = None
        for rows in order:
            crops, coming = coming, ahead.submit(_read, data, rows, device)
            if crops is not None:
                yield crops.result().to(device, non_blocking=True)
        if coming is not None:
            yield coming.result().to(device, non_blocking=True)


def _read(data: Selection, rows: np.ndarray, device: torch.device) -> Tensor:
    crops = torch.from_numpy(data.batch(rows))
    return crops.pin_memory() if device.type == "cuda" else crops
