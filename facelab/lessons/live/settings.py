"""From a visitor's choices to a recipe, and the limits of training on a page.

The page offers a dozen settings and a recipe has forty; the rest is set here, for small sets of faces and
runs of a minute. Margins of ArcFace and CosFace are smaller than in their papers, which use millions of
photos.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from facelab.models.backbones import BACKBONES
from facelab.models.losses import LOSSES, loss_options
from facelab.models.recipe import Recipe
from facelab.settings import hosted, training, zero_gpu

PER_PERSON = 4  # crops of a person in a batch, for losses on pairs
GENTLE = {
    "arcface": {"margin": 0.3, "scale": 24.0, "margin_warmup": 60},
    "cosface": {"margin": 0.2, "scale": 24.0, "margin_warmup": 60},
    "center": {"center_weight": 0.01},
}
STILL = {
    "flip": False,
    "rotate": 0.0,
    "zoom": 0.0,
    "shift": 0.0,
    "jitter": 0.0,
    "gray": 0.0,
    "random_erasing": 0.0,
}


@dataclass(frozen=True)
class Limits:
    """Limits of one run: faces in total, epochs, and seconds of training."""

    faces: int
    epochs: int
    seconds: float


HOSTED, HERE = Limits(4_000, 20, 300.0), Limits(20_000, 60, 3600.0)
LENT = Limits(4_000, 20, 45.0)  # of the sixty seconds for which a GPU is lent; the rest is to measure in


def limits() -> Limits:
    """Return the limits of a lent GPU or a public page if there is one, else those of a local machine."""
    return LENT if zero_gpu() else HOSTED if hosted() else HERE


def require_training() -> None:
    """Raise a ValueError where the page's owner has disabled training.

    Raises:
        ValueError: training is disabled.
    """
    if not training():
        raise ValueError("training is switched off on this page; on your own machine FaceLab trains")


def networks() -> dict[str, str]:
    """Return the compact backbones: name -> family and year."""
    return {name: f"{row.family}, {row.year}" for name, row in BACKBONES.items() if name.endswith("_face")}


def losses() -> dict[str, str]:
    """Return the losses: name -> idea in one sentence."""
    pairs = [name for name, loss in LOSSES.items() if loss.family == "pair"]
    sums = {f"softmax+{name}": f"Both at once: {LOSSES[name].idea}" for name in pairs}
    return {name: loss.idea for name, loss in LOSSES.items()} | sums


@dataclass(frozen=True)
class Choice:
    """Settings of the page; fields as in `Recipe`, except `augment`: whether crops are augmented at all."""

    backbone: str = "resnet_face"
    loss: str = "softmax"
    epochs: int = 5
    batch_size: int = 32
    lr: float = 0.05
    dropout: float = 0.0
    drop_block: float = 0.0
    label_smoothing: float = 0.0
    weight_decay: float = 5e-4
    augment: bool = True
    seed: int = 0


def code_of(loss: str) -> Callable[..., object]:
    """Return the method that computes a loss, for its source."""
    return LOSSES[loss].build.forward


def compose(choice: Choice, most: Limits) -> Recipe:
    """Return the recipe of a choice.

    Raises:
        ValueError: a value that is out of range, or not accepted by the loss.
    """
    if choice.epochs > most.epochs:
        raise ValueError(f"epochs is {choice.epochs}; here a run takes {most.epochs} at most")
    options = dict(GENTLE.get(choice.loss, {}))
    if choice.label_smoothing:
        if "label_smoothing" not in loss_options(choice.loss):
            raise ValueError(f"{choice.loss} takes no label smoothing; set it to 0")
        options["label_smoothing"] = choice.label_smoothing
    if LOSSES[choice.loss.split("+")[-1]].family == "pair":
        options["images_per_identity"] = PER_PERSON
    recipe = Recipe(
        backbone=choice.backbone,
        embedding_dim=128,
        loss=choice.loss,
        epochs=choice.epochs,
        batch_size=choice.batch_size,
        lr=choice.lr,
        dropout=choice.dropout,
        drop_block=choice.drop_block,
        weight_decay=choice.weight_decay,
        random_erasing=0.2,
        held_out=0.1,
        seed=choice.seed,
        **options,
    )
    return recipe if choice.augment else replace(recipe, **STILL)


def check_faces(faces: int, most: Limits) -> None:
    """Raise a ValueError if there are more faces than a run may use.

    Raises:
        ValueError: too many faces.
    """
    if faces > most.faces:
        raise ValueError(
            f"that makes {faces:,} faces; here a run takes {most.faces:,} at most, so take fewer"
        )
