"""List the losses. Each is called as `loss_fn(embeddings (B, D), labels (B,)) -> scalar`.

A loss stores its prototypes, centers and schedules in its state_dict. The optimizer takes the parameters of
model and loss, and the trainer never tests a loss's name. Three members are optional: `logits(embeddings)`,
class scores without margin; `end_epoch()`, called after the last step of each epoch to finish statistics per
epoch; and `parts`, the unweighted terms of the last batch's loss by name. Schedules advance by one step per
forward pass in training mode and do not advance in eval mode.

A pair loss is used alone (`loss="triplet"`, which has no logits) or added to a classification loss with the
weight `pair_weight` (`loss="softmax+triplet"`). Its margin is called `pair_margin`, so that both fit one flat
recipe.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from facelab.models.losses.batch import require
from facelab.models.losses.center import Center
from facelab.models.losses.classification import NormSoftmax, OnlineLabelSmoothing, Softmax
from facelab.models.losses.margins import ASoftmax, arcface, cosface
from facelab.models.losses.pairs import Contrastive, Pairwise, Sum, Triplet
from facelab.models.names import nearest

Options = dict[str, float | bool | str]


@dataclass(frozen=True)
class Loss:
    """Describe a loss of the table: `build(embedding_dim, num_classes, **options)` returns it, the other
    fields fill its card.
    """

    build: Callable[..., nn.Module]
    family: str
    year: int
    paper: str
    idea: str


LOSSES: dict[str, Loss] = {
    "softmax": Loss(
        Softmax, "classification", 1989, "https://doi.org/10.1007/978-3-642-76153-9_28",
        "One score per class, turned into probabilities: name the person.",
    ),
    "norm_softmax": Loss(
        NormSoftmax, "classification", 2017, "https://arxiv.org/abs/1704.06369",
        "Softmax on cosines: only directions count, as they will at verification.",
    ),
    "online_label_smoothing": Loss(
        OnlineLabelSmoothing, "classification", 2020, "https://arxiv.org/abs/2011.12562",
        "Soft labels learned from the network's own correct answers: which classes look alike.",
    ),
    "center": Loss(
        Center, "classification", 2016, "https://doi.org/10.1007/978-3-319-46478-7_31",
        "Softmax, and every embedding is pulled to the center of its class.",
    ),
    "a_softmax": Loss(
        ASoftmax, "margin", 2017, "https://arxiv.org/abs/1704.08063",
        "SphereFace: the angle to the true prototype counts m times.",
    ),
    "cosface": Loss(
        cosface, "margin", 2018, "https://arxiv.org/abs/1801.09414",
        "The cosine to the true prototype must win by m.",
    ),
    "arcface": Loss(
        arcface, "margin", 2018, "https://arxiv.org/abs/1801.07698",
        "The angle to the true prototype must win by m radians: a geodesic on the hypersphere.",
    ),
    "contrastive": Loss(
        Contrastive, "pair", 2006, "https://doi.org/10.1109/CVPR.2006.100",
        "Genuine pairs together, impostor pairs at least a margin apart.",
    ),
    "triplet": Loss(
        Triplet, "pair", 2015, "https://arxiv.org/abs/1503.03832",
        "An anchor nearer to its own class than to any other, by a margin; mining makes it work.",
    ),
    "pairwise": Loss(
        Pairwise, "pair", 2016, "https://arxiv.org/abs/1611.00822",
        "Every genuine score above every impostor score: separate the two distributions.",
    ),
}  # fmt: skip


def loss_options(name: str) -> tuple[str, ...]:
    """Return the recipe fields that a loss accepts, e.g. ('label_smoothing', 'bias') for softmax.

    Raises:
        ValueError: unknown name; the message lists the valid names and the nearest one.
    """
    parts = _parts(name)
    options = [
        option for part in parts for option in tuple(inspect.signature(LOSSES[part].build).parameters)[2:]
    ]
    return (*options, "pair_weight") if len(parts) == 2 else tuple(options)


def build_loss(name: str, embedding_dim: int, num_classes: int, options: Options) -> nn.Module:
    """Build a loss; an option that is omitted takes the loss's default, the value of its paper.

    Args:
        name: a name in LOSSES, or a classification and a pair loss joined by +.
        embedding_dim: D >= 1.
        num_classes: C >= 1.
        options: recipe fields among `loss_options(name)`.

    Raises:
        ValueError: unknown name, an option that this loss does not have, or an option out of its range.
    """
    require(embedding_dim >= 1, "embedding_dim", embedding_dim, "1, 2, 3, ...")
    require(num_classes >= 1, "num_classes", num_classes, "1, 2, 3, ...")
    legal = loss_options(name)
    for option in options:
        if option not in legal:
            raise ValueError(f"loss {name!r} has no option {option!r}: {nearest(option, legal)}")
    built = []
    for part in _parts(name):
        own = {option: value for option, value in options.items() if option in loss_options(part)}
        built.append(LOSSES[part].build(embedding_dim, num_classes, **own))
    return (
        built[0]
        if len(built) == 1
        else Sum(*built, **{k: v for k, v in options.items() if k == "pair_weight"})
    )


def _parts(name: str) -> list[str]:
    """Split a name and check each part: 'softmax+triplet' -> ['softmax', 'triplet']."""
    parts = name.split("+")
    for part in parts:
        if part not in LOSSES:
            raise ValueError(f"unknown loss {part!r}: {nearest(part, LOSSES)}")
    if len(parts) > 1:
        pair = [LOSSES[part].family == "pair" for part in parts]
        require(
            pair == [False, True],
            "loss",
            repr(name),
            "a loss of the table, or a classification + a pair loss",
        )
    return parts
