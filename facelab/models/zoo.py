"""Checkpoints of the project and of a user's folder, by name."""

import functools
import os
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

from torch import nn

from facelab import settings
from facelab.models import checkpoint, hub
from facelab.models.model import FaceModel
from facelab.models.names import nearest
from facelab.models.recipes import RECIPES

PACKAGE = Path(__file__).parents[1]
DEFAULT_MODEL = "strong"
Own = Mapping[str, tuple[FaceModel, checkpoint.Header]]
OWN: ContextVar[Own] = ContextVar("networks of a visit, in memory only")


def shipped(package: Path) -> Path:
    """Return the folder of the project's checkpoints: in an installed package inside it, else next to
    app.py, as in a checkout, a Space and the container.
    """
    checkout = (package.parent / "app.py").is_file() and not (package / "checkpoints").is_dir()
    return (package.parent if checkout else package) / "checkpoints"


CHECKPOINTS = shipped(PACKAGE)


def folders() -> list[Path]:
    """Return the folders searched for checkpoints: $FACELAB_CHECKPOINTS, then the project's."""
    return [folder for folder in (settings.checkpoints(), CHECKPOINTS) if folder]


def checkpoint_names() -> list[str]:
    """Return the names of the checkpoints in `folders`: the default, then in the order of RECIPES."""
    return in_order(path.stem for folder in folders() for path in folder.glob("*.safetensors"))


def in_order(names: Iterable[str]) -> list[str]:
    """Return names in order: the default model, those in RECIPES, then those without a recipe."""
    order = [DEFAULT_MODEL, *RECIPES]
    return sorted(sorted(set(names)), key=lambda name: order.index(name) if name in order else len(order))


def find_checkpoint(name: str, also: Iterable[str] = ()) -> Path:
    """Return the file of a checkpoint, given its name, path or address on the Hub (`hf://owner/name`).

    A name that no folder has is looked for in the repository of $FACELAB_HUB, if that is set.

    Raises:
        ValueError: none of them; the message lists the names. Or the Hub has it not, or cannot be reached.
    """
    if name.startswith(hub.PREFIX):
        return hub.download(hub.parse(name))
    for path in (*(folder / f"{name}.safetensors" for folder in folders()), Path(name)):
        if os.path.isfile(path) and path.suffix == ".safetensors":  # unlike is_file, takes any string
            return path
    repository = settings.hub()
    if repository and re.fullmatch(hub.NAME, name):
        return hub.download(replace(hub.parse(repository), file=f"{name}.safetensors"))
    raise ValueError(f"there is no model {name!r}: {nearest(name, [*checkpoint_names(), *also])}")


def load(name: str) -> tuple[FaceModel, nn.Module | None, checkpoint.Header]:
    """Return (network, loss, header) of a checkpoint's name, path or address, or of a network of this visit,
    whose loss is not kept.

    Raises:
        ValueError: as `find_checkpoint`, or a damaged file.
    """
    own = OWN.get({}).get(name)
    return checkpoint.load(find_checkpoint(name)) if own is None else (own[0], None, own[1])


def header_of(name: str) -> checkpoint.Header:
    """Return the header of what `load` takes; no weights are read.

    Raises:
        ValueError: as `load`.
    """
    own = OWN.get({}).get(name)
    return checkpoint.describe(find_checkpoint(name)) if own is None else own[1]


def network_of(name: str) -> FaceModel:
    """Return the network of a checkpoint's name or path, in eval mode; the last two stay in memory.

    Raises:
        ValueError: unknown name or damaged file.
    """
    path = find_checkpoint(name)
    return _network(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _network(path: Path, modified: int) -> FaceModel:
    return checkpoint.load(path)[0]
