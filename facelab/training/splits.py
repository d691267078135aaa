"""Held-out data: identities for verification, and photos of training identities for classification.

Verification is an open-set task and is evaluated on unseen identities. Classification is a closed-set task
and is evaluated on held-out photos of the training identities.
"""

from dataclasses import dataclass

import numpy as np

from facelab.data.folders import CropSet, Selection
from facelab.models.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Split:
    """Disjoint parts of a crop set.

    Attributes:
        training: training crops; unlabeled ones come last, with the label -1.
        images: held-out crops of the same identities, with the same labels; may be empty.
        people: crops of held-out identities, labeled from 0; may be empty.
    """

    training: Selection
    images: Selection
    people: Selection


def split(data: CropSet, recipe: Recipe) -> Split:
    """Split as in a recipe; equal split seeds give equal splits, whatever the other fields.

    Raises:
        ValueError: too few identities remain for training, or the held-out ones have one crop each.
    """
    known, nobody = _known(data, recipe.unlabeled)
    theirs = known
    if recipe.held_out_from is not None:
        theirs = known[_are_of(data, "held_out_from", recipe.held_out_from)[known]]
    training, people = split_identities(data, recipe.held_out, recipe.split_seed, known, theirs)
    if len(people) and np.bincount(people.labels).max() < 2:
        raise ValueError(
            f"the {len(people.identities)} held-out people have one crop each, so no genuine pair; "
            "add crops, or set held_out 0"
        )
    training, images = split_images(training, recipe.held_out_images, recipe.split_seed)
    rows = np.concatenate([training.rows, nobody])
    labels = np.concatenate([training.labels, np.full(len(nobody), -1)])
    return Split(Selection(data.crops, rows, labels, training.identities), images, people)


def _known(data: CropSet, unlabeled: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return (identities of the labeled sources, rows of the unlabeled one).

    Raises:
        ValueError: there is no source of that name.
    """
    if unlabeled is None:
        return np.arange(len(data.identities)), np.empty(0, np.int64)
    theirs = _are_of(data, "unlabeled", unlabeled)
    return np.flatnonzero(~theirs), np.flatnonzero(theirs[data.labels])


def _are_of(data: CropSet, field: str, source: str) -> np.ndarray:
    """Return whether each identity belongs to the source named by a recipe's field.

    Raises:
        ValueError: there is no source of that name.
    """
    theirs = np.array([name.startswith(f"{source}/") for name in data.identities])
    if not theirs.any():
        sources = sorted({name.split("/")[0] for name in data.identities})
        raise ValueError(f"{field} is {source!r}; it must be one of the sources: {', '.join(sources)}")
    return theirs


def split_identities(
    data: CropSet,
    held_out: float,
    seed: int,
    among: np.ndarray | None = None,
    theirs: np.ndarray | None = None,
) -> tuple[Selection, Selection]:
    """Split into training and held-out identities, disjoint; equal seeds give equal splits.

    Args:
        data: all crops.
        held_out: share of `theirs` to hold out, in [0, 1); rounded, and at least 2 unless 0.
        seed: seed of the shuffle.
        among: the identities to split; None: all.
        theirs: identities that may be held out; None: all of them.

    Raises:
        ValueError: fewer than two identities remain for training.
    """
    among = np.arange(len(data.identities)) if among is None else among
    theirs = among if theirs is None else theirs
    held = max(2, round(held_out * len(theirs))) if held_out > 0 else 0
    if len(among) < 2:
        raise ValueError(
            "there is one identity to train on; add others, since a network learns to tell people apart"
        )
    if len(among) - held < 2 or held > len(theirs):
        raise ValueError(f"{len(theirs)} identities are too few to hold out {held}; give more, or held_out 0")
    out = theirs[np.random.default_rng(seed).permutation(len(theirs))][:held]
    return data.select(sorted(np.setdiff1d(among, out))), data.select(sorted(out))


def split_images(data: Selection, held_out: float, seed: int) -> tuple[Selection, Selection]:
    """Hold out a share of each identity's crops -> (training, held-out), disjoint, both with all identities.

    Args:
        data: crops to split.
        held_out: share of each identity's crops, in [0, 1); rounded, at least 1, and none of the last two.
        seed: seed of the selection.
    """
    rng = np.random.default_rng((seed, 1))
    out = np.zeros(len(data), bool)
    for label in range(len(data.identities)) if held_out else ():
        rows = rng.permutation(np.flatnonzero(data.labels == label))
        out[rows[: min(max(1, round(held_out * len(rows))), max(0, len(rows) - 2))]] = True
    return data.take(np.flatnonzero(~out)), data.take(np.flatnonzero(out))
