"""The checkpoints that come with the project, by name."""

import functools
import os
from collections.abc import Iterable
from pathlib import Path

from facelab.models import checkpoint
from facelab.models.model import FaceModel
from facelab.models.names import nearest
from facelab.models.recipes import RECIPES

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"


DEFAULT_MODEL = "strong"


def checkpoint_names() -> list[str]:
    """Names of the checkpoints that come with the project: the default, then in the order of RECIPES."""
    return in_order(path.stem for path in CHECKPOINTS.glob("*.safetensors"))


def in_order(names: Iterable[str]) -> list[str]:
    """The default model, the others in the order of RECIPES, and then those that have no recipe there."""
    order = [DEFAULT_MODEL, *RECIPES]
    return sorted(sorted(set(names)), key=lambda name: order.index(name) if name in order else len(order))


def find_checkpoint(name: str, also: Iterable[str] = ()) -> Path:
    """The file of a checkpoint's name or path.

    Raises:
        ValueError: neither; the sentence lists the names.
    """
    for path in (CHECKPOINTS / f"{name}.safetensors", Path(name)):
        if os.path.isfile(path) and path.suffix == ".safetensors":  # unlike is_file, takes any string
            return path
    raise ValueError(f"there is no model {name!r}: {nearest(name, [*checkpoint_names(), *also])}")


def network_of(name: str) -> FaceModel:
    """The network of a checkpoint's name or path, in eval mode; the last two stay in memory.

    Raises:
        ValueError: unknown name or damaged file.
    """
    path = find_checkpoint(name)
    return _network(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _network(path: Path, modified: int) -> FaceModel:
    return checkpoint.load(path)[0]
