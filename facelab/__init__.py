"""FaceLab: a photo becomes a crop, the crop an embedding, embeddings scores, and scores a decision.

Names are imported when they are first asked for, since PyTorch takes a second. Whatever else the library has
is imported from its room; docs/architecture.md shows them.

Example:
    >>> import facelab
    >>> answer = facelab.compare("first.jpg", "second.jpg", model="strong", far=0.01)
    >>> answer["score"] >= answer["threshold"]  # which is answer["same"]
    True
    >>> {"arcface", "triplet"} <= set(facelab.LOSSES) and facelab.RECIPES["arcface"].backbone
    'resnet_face'
"""

from importlib import import_module
from typing import TYPE_CHECKING

from facelab.settings.extras import explained

if TYPE_CHECKING:  # what editors and type checkers read
    from facelab.evaluation.evaluate import evaluate
    from facelab.models.backbones import BACKBONES, build_backbone
    from facelab.models.losses import LOSSES, build_loss
    from facelab.models.recipes import RECIPES
    from facelab.photos.faces import find_faces
    from facelab.recognition.embedder import load
    from facelab.recognition.verify import compare
    from facelab.training.loop import train

__version__ = "0.1.0"
__all__ = [
    "BACKBONES", "LOSSES", "RECIPES", "build_backbone", "build_loss", "compare", "evaluate", "find_faces",
    "load", "train",
]  # fmt: skip

_HOMES = {
    "BACKBONES": "models.backbones",
    "LOSSES": "models.losses",
    "RECIPES": "models.recipes",
    "build_backbone": "models.backbones",
    "build_loss": "models.losses",
    "compare": "recognition.verify",
    "evaluate": "evaluation.evaluate",
    "find_faces": "photos.faces",
    "load": "recognition.embedder",
    "train": "training.loop",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'facelab' has no attribute {name!r}")
    with explained():
        return getattr(import_module(f"facelab.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
