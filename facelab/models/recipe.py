"""Recipe: one frozen, flat record that fully describes a training run.

A checkpoint's header holds its recipe, the command line sets each field by its name, and the same recipe,
data and seed give the same weights. A field of a loss that is None takes the loss's default, the value of its
paper.
"""

import math
from dataclasses import asdict, dataclass, fields, replace
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

from facelab.models.backbones import BACKBONES
from facelab.models.losses import loss_options
from facelab.models.names import nearest

# What no run needs more of: a number from a file is held against these before anything is built of it.
MOST_STEPS, MOST_DIM, MOST_SIDE = 1_000_000, 8192, 112


LONGEST = 500  # characters of a value, as Python writes it
FORMER_NAMES = {  # of fields: checkpoints, recipe files and flags of earlier versions have them
    "average": "ema_decay",
    "clip": "grad_clip",
    "erase": "random_erasing",
    "grey": "gray",
    "hard_share": "hard_label_weight",
    "normalise": "normalize",
    "unlabelled": "unlabeled",
}


@dataclass(frozen=True)
class Recipe:
    """A training run: network, loss, optimizer and augmentation."""

    backbone: str = "resnet_face"
    """Backbone name, e.g. convnext_face (an unknown name lists the valid ones)."""
    neck: Literal["flatten", "pool"] = "flatten"
    """From feature map to embedding: flatten all spatial positions, or average them (pool)."""
    embedding_dim: int = 256
    """D, the dimensions of the embedding."""
    neck_bias: bool = True
    """Bias of the neck's last norm; without it embeddings are centered at zero."""
    dropout: float = 0.0
    """Drop rate of the neck's inputs, in [0, 1)."""
    drop_block: float = 0.0
    """Final drop rate of DropBlock in the last two stages, rising from 0; in [0, 1)."""
    drop_block_size: int = 3
    """Side of DropBlock's blocks; clamped to the map."""
    stochastic_depth: float = 0.0
    """Probability that the last residual branch is skipped; linearly less for earlier ones; in [0, 1)."""
    init_from: str | None = None
    """Initialization: a checkpoint's name or path, or `imagenet`. None: random weights."""
    freeze: str | None = None
    """Freeze all layers up to this stage, or `neck` for the whole network. None: train all layers."""
    loss: str = "softmax"
    """Loss name, or the sum of a classification and a pair loss, e.g. softmax+triplet."""
    label_smoothing: float | None = None
    """α: the target is (1-α)·onehot + α/K. None: the loss's default."""
    bias: bool | None = None
    """Bias of the last linear layer. None: the loss's default."""
    hard_label_weight: float | None = None
    """α of online label smoothing: weight of the hard label. None: the loss's default."""
    center_weight: float | None = None
    """λ of center loss, against softmax. None: the loss's default."""
    center_rate: float | None = None
    """α of center loss: update rate of the centers. None: the loss's default."""
    margin: float | None = None
    """m of arcface (radians), cosface (cosine) and a_softmax (integer factor). None: the loss's default."""
    margin_warmup: int | None = None
    """Steps in which the margin of arcface and cosface grows from zero. None: the loss's default."""
    scale: float | None = None
    """s, which multiplies cosines before the softmax. None: the loss's default."""
    pair_margin: float | None = None
    """m of contrastive (distance), triplet (distance²) and pairwise (cosine). None: the loss's default."""
    mining: Literal["all", "semi_hard", "hard"] | None = None
    """Triplets of a batch that enter the loss. None: the loss's default."""
    normalize: bool | None = None
    """L2-normalize embeddings in contrastive loss. None: the loss's default."""
    pair_weight: float | None = None
    """Weight of the pair loss after the + of a sum. None: the sum's default."""
    teacher: str | None = None
    """An .npz file of a teacher's embeddings of the crops, for distillation. None: no teacher."""
    teacher_weight: float = 10.0
    """λ of distillation: weight of 1 - cosine to the teacher's embedding, added to the loss."""
    teacher_whiten: float = 0.0
    """Whitening power of the teacher's embeddings before distillation, in [0, 1); 0 is off."""
    sample_classes: float = 1.0
    """Share of the classes that a step scores: those of its batch and randomly drawn others (Partial FC)."""
    loss_weight: float = 1.0
    """Weight of the loss next to distillation; 0 is distillation only."""
    unlabeled: str | None = None
    """Data source without identity labels, used for distillation only."""
    epochs: int = 24
    """Passes over the training crops."""
    batch_size: int = 256
    """Crops per step, over all processes."""
    images_per_identity: int = 0
    """Crops per identity in a batch (for pair losses); 0 shuffles freely."""
    optimizer: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum (AlexNet, most face networks) or AdamW (ConvNeXt)."""
    lr: float = 0.15
    """Peak learning rate, reached after the warm-up."""
    schedule: Literal["cosine", "step", "one_cycle"] = "cosine"
    """Learning rate schedule: cosine decay, times 0.1 at each milestone, or one cycle."""
    milestones: tuple[float, ...] = (0.5, 0.75)
    """Shares of the run at which the step schedule multiplies the learning rate by 0.1."""
    warmup: float = 0.1
    """Warm-up: share of all steps in which the learning rate rises, in [0, 1)."""
    momentum: float = 0.9
    """Momentum of SGD (Nesterov's), or the first beta of AdamW, in [0, 1)."""
    weight_decay: float = 5e-4
    """Weight decay (L2) of weight matrices and kernels; not of biases and norms."""
    grad_clip: float = 5.0
    """Maximum norm of the whole gradient; 0 is off."""
    clip_adaptive: float = 0.0
    """λ of NFNet's adaptive clipping: largest ratio of a unit's gradient to its weights; 0 is off."""
    ema_decay: float = 0.0
    """Decay of the moving average of weights that is validated and kept, in [0, 1), e.g. 0.999; 0 is off."""
    whiten: float = 0.0
    """Whitening power: after the last step, equalize the variance of identities over the directions of the
    embedding, in [0, 1); 0 is off. For losses on cosines."""
    flip: bool = True
    """Random horizontal flips of half of the crops, on or off."""
    rotate: float = 10.0
    """Largest rotation in degrees."""
    zoom: float = 0.1
    """Largest relative change of scale."""
    shift: float = 0.06
    """Largest shift as a share of the crop's side: a random crop that keeps the size."""
    jitter: float = 0.3
    """Largest relative change of brightness and of contrast."""
    saturation: float = 0.0
    """Largest relative change of color saturation."""
    gray: float = 0.2
    """Share of color crops turned gray."""
    random_erasing: float = 0.4
    """Share of crops with one randomly erased rectangle."""
    held_out: float = 0.08
    """Share of identities held out of training, for verification and thresholds."""
    held_out_from: str | None = None
    """The only data source from which identities are held out, e.g. the one that INIT_FROM was not
    trained on. None: all sources."""
    held_out_images: float = 0.0
    """Share of each training identity's crops held out, for classification."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of convolutions: auto uses bf16 where it is fast, and fp16 on GPUs of capability 7.x."""
    compile: bool = False
    """Use torch.compile: minutes at the start, faster steps on a GPU."""
    seed: int = 0
    """Seed of initialization, order and augmentation."""
    split_seed: int = 0
    """Seed of the held-out split, separate from `seed`: runs of several seeds share one split."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            _check_type(name, getattr(self, name), hint)
        _check_range(self, "dropout drop_block stochastic_depth whiten teacher_whiten", 0, 1, "[0, 1)")
        _check_range(self, "warmup momentum ema_decay held_out held_out_images", 0, 1, "[0, 1)")
        _check_range(self, "gray random_erasing zoom shift jitter saturation", 0, 1.000001, "[0, 1]")
        _check_range(self, "epochs", 1, MOST_STEPS + 1, f"1, 2, 3, ..., {MOST_STEPS:,}")
        _check_range(self, "embedding_dim", 1, MOST_DIM + 1, f"1, 2, 3, ..., {MOST_DIM:,}")
        _check_range(self, "drop_block_size", 1, MOST_SIDE + 1, f"1, 2, 3, ..., {MOST_SIDE}")
        _check_range(self, "sample_classes", 1e-6, 1.000001, "(0, 1]")
        most = "2, 3, 4, ..., since batch norms compare crops, and a million at most"
        _check_range(self, "batch_size", 2, MOST_STEPS + 1, most)
        _check_range(self, "seed split_seed", 0, 2**63, "0, 1, 2, ..., 2^63 - 1")
        _check_range(self, "lr weight_decay grad_clip clip_adaptive rotate", 0, float("inf"), "[0, ∞)")
        _check_range(self, "teacher_weight loss_weight", 0, float("inf"), "[0, ∞)")
        if self.backbone not in BACKBONES:
            raise ValueError(f"unknown backbone {self.backbone!r}: {nearest(self.backbone, BACKBONES)}")
        self._check_batches()
        if self.teacher is None and (self.unlabeled is not None or self.loss_weight != 1):
            raise ValueError("unlabeled and loss_weight need a teacher; name its file, or leave them out")
        if self.whiten and self.loss not in DIRECTIONAL:
            legal = ", ".join(DIRECTIONAL)
            raise ValueError(
                f"whiten is for losses that compare directions, {legal}, not {self.loss}; set it to 0"
            )
        legal = loss_options(self.loss)
        for option in LOSS_FIELDS:
            if getattr(self, option) is not None and option not in legal:
                raise ValueError(
                    f"loss {self.loss!r} takes no {option}; leave it out. It takes: {', '.join(legal)}"
                )

    def _check_batches(self) -> None:
        """Check that the batch divides into identities and that the milestones lie within the run."""
        per, size = self.images_per_identity, self.batch_size
        if per < 0 or per == 1 or (per and (size % per or size < 2 * per)):
            raise ValueError(
                f"images_per_identity is {per}; it must be 0, or 2 or more and divide batch_size {size}"
            )
        if per and self.unlabeled is not None:
            raise ValueError(f"images_per_identity is {per} and some crops are unlabeled; set it to 0")
        if not all(0 < share < 1 for share in self.milestones):
            raise ValueError(f"milestones are {self.milestones}; each must lie in (0, 1)")

    def loss_options(self) -> dict[str, float | bool | str]:
        """Return the fields of the loss that are set."""
        return {name: getattr(self, name) for name in LOSS_FIELDS if getattr(self, name) is not None}

    def to_dict(self) -> dict[str, object]:
        """Return plain values for a checkpoint's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> "Recipe":
        """Build a recipe from the result of `to_dict`; former names of fields are accepted.

        Raises:
            ValueError: a key that is not a field of a recipe, a field given under both of its names, or a
                value too long to be one.
        """
        for old, new in FORMER_NAMES.items():
            if old in values and new in values:
                raise ValueError(f"{old} is the former name of {new}; give one of them")
        values = {FORMER_NAMES.get(key, key): value for key, value in values.items()}
        legal = [field.name for field in fields(cls)]
        for key, value in values.items():
            if len(repr(value)) > LONGEST:  # refusals quote it
                raise ValueError(
                    f"{key[:60]} is {repr(value)[:60]}...; it has more than {LONGEST} characters"
                )
            if key not in legal:
                raise ValueError(f"unknown recipe field {key[:60]!r}: {nearest(key[:60], legal)}")
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return cls(**values | lists)  # JSON has no tuples

    def with_loss(self, loss: str) -> "Recipe":
        """Return this recipe with another loss, without the fields that the new loss does not accept.

        Raises:
            ValueError: unknown loss.
        """
        legal = loss_options(loss)
        return replace(self, loss=loss, **{name: None for name in LOSS_FIELDS if name not in legal})


DIRECTIONAL = ("norm_softmax", "cosface", "arcface")
LOSS_FIELDS = (
    "label_smoothing", "bias", "hard_label_weight", "center_weight", "center_rate", "margin", "margin_warmup",
    "scale", "pair_margin", "mining", "normalize", "pair_weight",
)  # fmt: skip


TYPE_NAMES = {NoneType: "none", tuple: "list of numbers"}


def _check_type(name: str, value: object, hint: type) -> None:
    """Raise a ValueError if a value from a file or a caller has the wrong type."""
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if get_origin(kinds[0]) is Literal:
        if value not in (legal := get_args(kinds[0])) and not (value is None and len(kinds) > 1):
            raise ValueError(f"unknown {name} {value!r}: {nearest(str(value), legal)}")
        return
    plain = tuple(get_origin(kind) or kind for kind in kinds)
    items = value if isinstance(value, tuple) and tuple in plain else ()
    if not all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in items):
        raise ValueError(f"{name} is {list(items)!r:.80}; it must be a list of numbers")
    whole_is_real = float in plain and isinstance(value, int)
    if not (isinstance(value, plain) or whole_is_real) or (isinstance(value, bool) and bool not in plain):
        names = " or ".join(TYPE_NAMES.get(kind, kind.__name__) for kind in plain)
        raise ValueError(f"{name} is {value!r:.80}; it must be of type {names}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}; it must be a finite number")


def _check_range(recipe: Recipe, names: str, low: float, high: float, legal: str) -> None:
    for name in names.split():
        value = getattr(recipe, name)
        if not low <= value < high:
            raise ValueError(f"{name} is {value}; it must lie in {legal}")
