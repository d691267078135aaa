"""Results of training: the headers of checkpoints, and of runs without weights.

A run whose weights are not needed, such as a second seed, has only its header, with recipe and figures, in
`checkpoints/measured/`.
"""

import functools
from dataclasses import replace
from pathlib import Path

from facelab.data.files import replacing
from facelab.models import zoo
from facelab.models.checkpoint import Header, describe, read_header
from facelab.models.recipe import Recipe
from facelab.models.recipes import ARCHITECTURE, RECIPES

OPTIMIZER = ("optimizer", "lr", "weight_decay", "grad_clip", "clip_adaptive", "compile", "seed")
EQUAL_TRAINING = f"{ARCHITECTURE.loss}, {ARCHITECTURE.epochs} epochs"


def _folder() -> Path:
    return zoo.CHECKPOINTS / "measured"


def names() -> list[str]:
    """Return the names of checkpoints and of runs without weights, in the order of RECIPES."""
    return zoo.in_order([*zoo.checkpoint_names(), *(path.stem for path in _folder().glob("*.json"))])


def header(name: str) -> Header:
    """Return the header of one of `names`.

    Raises:
        ValueError: it is damaged, or there is none.
    """
    path = _folder() / f"{name}.json"
    if not path.is_file() or name in zoo.checkpoint_names():
        return read_header(zoo.find_checkpoint(name))
    try:
        return Header.from_json(path.read_text(encoding="utf-8"))
    except Exception as error:  # what is not a header makes its readers raise anything
        raise ValueError(f"{path.name} is not the header of a run: {error}") from error


def headers() -> dict[str, Header]:
    """Return all headers by name."""
    return {name: header(name) for name in names()}


def keep(path: Path, folder: Path | None = None) -> Path:
    """Store a checkpoint's header without weights, names of people and histograms; return the file.

    Args:
        path: the checkpoint.
        folder: target folder; None: the project's.

    Raises:
        ValueError: it is not a checkpoint.
    """
    found = replace(describe(path), operating_points=None, identities=())
    target = (folder or _folder()) / f"{path.stem}.json"
    with replacing(target) as part:
        part.write_text(found.to_json() + "\n", encoding="utf-8")
    return target


def is_equal_training(recipe: Recipe) -> bool:
    """Return whether a recipe differs from the others of the comparison only in the network, and at most in
    its paper's optimizer.
    """
    same = {name: getattr(ARCHITECTURE, name) for name in ("backbone", *OPTIMIZER)}
    return replace(recipe, **same) == ARCHITECTURE


@functools.cache
def architectures() -> frozenset[str]:
    """Return the names in RECIPES of the trainings with the same recipe."""
    return frozenset(name for name, recipe in RECIPES.items() if is_equal_training(recipe))
