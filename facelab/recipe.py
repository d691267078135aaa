"""Recipe: one frozen, flat record that describes a training run completely.

A checkpoint's header holds its recipe, the command line sets each field by its name, and the same recipe,
data and seed give the same weights. A field of a loss that stays None takes the loss's own default, its
paper's.
"""

from dataclasses import asdict, dataclass, fields
from typing import Literal

from facelab.losses import loss_options
from facelab.registry import nearest


@dataclass(frozen=True)
class Recipe:
    """A training run: network, loss, optimiser and augmentation."""

    backbone: str = "resnet_face"
    """The convolutional network, a name in BACKBONES (see `python -m facelab models`)."""
    neck: Literal["flatten", "pool"] = "flatten"
    """How the feature map becomes a vector: keep every position, or average them."""
    embedding_dim: int = 256
    """D, the length of the embedding."""
    dropout: float = 0.0
    """Share of the neck's inputs dropped in training, in [0, 1)."""
    loss: str = "softmax"
    """What is minimised: a name in LOSSES, or a classification and a pair loss, as in softmax+triplet."""
    label_smoothing: float | None = None
    """α: the target is (1-α)·onehot + α/K. None: the loss's default."""
    bias: bool | None = None
    """Whether the last linear layer has a bias. None: the loss's default."""
    hard_share: float | None = None
    """α of online label smoothing: weight of the hard label beside the soft. None: the loss's default."""
    center_weight: float | None = None
    """λ of center loss, against softmax. None: the loss's default."""
    center_rate: float | None = None
    """α of center loss: how fast centers follow their class. None: the loss's default."""
    margin: float | None = None
    """m of arcface (radians), cosface (cosine) and a_softmax (a whole factor). None: the loss's default."""
    margin_warmup: int | None = None
    """Steps in which the margin of arcface and cosface grows from zero. None: the loss's default."""
    scale: float | None = None
    """s, which multiplies cosines before the softmax. None: the loss's default."""
    pair_margin: float | None = None
    """m of contrastive (distance), triplet (distance²) and pairwise (cosine). None: the loss's default."""
    mining: Literal["all", "semi_hard", "hard"] | None = None
    """Which triplets of a batch are used. None: the loss's default."""
    normalise: bool | None = None
    """Whether contrastive compares unit vectors. None: the loss's default."""
    pair_weight: float | None = None
    """Weight of the pair loss after the + of a sum. None: the sum's default."""
    epochs: int = 24
    """Passes over the training crops."""
    batch_size: int = 256
    """Crops in one step."""
    lr: float = 0.15
    """Peak learning rate of SGD, reached after the warm-up and taken to zero along a cosine."""
    warmup: float = 0.1
    """Share of all steps in which the learning rate rises from zero, in [0, 1)."""
    momentum: float = 0.9
    """Momentum of SGD (Nesterov's)."""
    weight_decay: float = 5e-4
    """L2 pull on weight matrices and kernels; biases and norms are spared."""
    clip: float = 5.0
    """Largest norm of the whole gradient; 0 leaves it alone."""
    flip: bool = True
    """Mirror half of the crops."""
    rotate: float = 10.0
    """Largest rotation in degrees."""
    zoom: float = 0.1
    """Largest relative change of scale."""
    shift: float = 0.06
    """Largest shift as a share of the crop's side."""
    jitter: float = 0.3
    """Largest relative change of brightness and of contrast."""
    grey: float = 0.2
    """Share of colour crops turned grey."""
    erase: float = 0.4
    """Share of crops in which one random rectangle is blanked."""
    held_out: float = 0.08
    """Share of identities kept out of training, to measure verification and to set thresholds."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of convolutions: auto takes bf16 where the machine computes it fast."""
    seed: int = 0
    """Seeds the weights, the split, the order and the augmentation."""

    def __post_init__(self) -> None:
        _check_range(self, "dropout warmup held_out", 0, 1, "[0, 1)")
        _check_range(self, "grey erase zoom shift jitter", 0, 1.000001, "[0, 1]")
        _check_range(self, "epochs batch_size embedding_dim", 1, float("inf"), "1, 2, 3, ...")
        _check_range(self, "lr momentum weight_decay clip rotate", 0, float("inf"), "[0, ∞)")
        legal = loss_options(self.loss)
        for option in LOSS_FIELDS:
            if getattr(self, option) is not None and option not in legal:
                raise ValueError(
                    f"loss {self.loss!r} takes no {option}; leave it out. It takes: {', '.join(legal)}"
                )

    def loss_options(self) -> dict[str, float | bool | str]:
        """The fields that go to the loss: those that are set."""
        return {name: getattr(self, name) for name in LOSS_FIELDS if getattr(self, name) is not None}

    def to_dict(self) -> dict[str, object]:
        """Plain values for a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> "Recipe":
        """The inverse of `to_dict`.

        Raises:
            ValueError: a key that is no field of a recipe.
        """
        legal = [field.name for field in fields(cls)]
        for key in values:
            if key not in legal:
                raise ValueError(f"unknown recipe field {key!r}: {nearest(key, legal)}")
        return cls(**values)


LOSS_FIELDS = (
    "label_smoothing", "bias", "hard_share", "center_weight", "center_rate", "margin", "margin_warmup",
    "scale", "pair_margin", "mining", "normalise", "pair_weight",
)  # fmt: skip


def _check_range(recipe: Recipe, names: str, low: float, high: float, legal: str) -> None:
    for name in names.split():
        value = getattr(recipe, name)
        if not low <= value < high:
            raise ValueError(f"{name} is {value}; it must lie in {legal}")
