"""RECIPES: every training that the project names, one line each.

`python -m facelab train NAME --data celeba112.zip celeba_grey112.zip --out FILE.safetensors` runs one,
`python -m facelab zoo` all. What each reached is in checkpoints/README.md; docs/training.md has the stages of
`strong`. On one idle core with `--compile`, 16 epochs of `resnet_face` take 24 minutes.
"""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

from facelab.models.checkpoint import describe
from facelab.models.names import nearest
from facelab.models.recipe import Recipe

READERS = {  # of bytes; JSON may be in UTF-16 too, as some editors save it
    ".json": json.loads,
    ".toml": lambda data: tomllib.loads(data.decode("utf-8-sig")),
}

ZOO = Recipe(
    backbone="resnet_face",
    embedding_dim=128,
    held_out_images=0.1,
    random_erasing=0.2,
    epochs=16,
    batch_size=128,
    lr=0.5,  # He's initialization makes large weights, which a step of 0.1 hardly turns
)

# With a bias in the neck all embeddings go into a cone, where the margin costs least: 20 degrees to the own
# center, 21 to the next; TAR@FAR=0.01 on people held out falls from 0.470 to 0.400.
ARCFACE = replace(ZOO, neck_bias=False, loss="arcface", margin=0.3, scale=24.0, margin_warmup=800)

ARCHITECTURE = replace(ZOO, epochs=8)

STRONG = replace(
    ARCFACE,
    neck_bias=True,
    lr=0.1,
    margin_warmup=1500,
    loss_weight=0.3,
    epochs=9,
    held_out_images=0.0,
    teacher="teacher.npz",
    teacher_weight=20.0,
    unlabeled="blends",
)

NO_AUGMENTATION = replace(
    ZOO, lr=0.1, rotate=0.0, zoom=0.0, shift=0.0, jitter=0.0, gray=0.0, random_erasing=0.0
)

# Fewer photos of fewer people, so that overfitting shows: --data celeba_grey112.zip, with 40 % of everyone's
# photos held out, to judge confidence by.
STANDARD = replace(ZOO, held_out_images=0.4, batch_size=32, lr=0.1, epochs=10)
OVERFIT = replace(
    STANDARD,
    flip=False,
    rotate=0.0,
    zoom=0.0,
    shift=0.0,
    jitter=0.0,
    gray=0.0,
    random_erasing=0.0,
    weight_decay=0.0,
)

STRONG_THIRD = replace(STRONG, init_from="strong_second.safetensors", lr=0.15, epochs=8)
ADAMW = {"optimizer": "adamw", "lr": 2e-3, "weight_decay": 0.05}

RECIPES: dict[str, Recipe] = {
    "resnet_softmax": Recipe(backbone="resnet_face", label_smoothing=0.1, dropout=0.2, epochs=32),
    # Losses: one network, one budget.
    "softmax": ZOO,
    "label_smoothing": replace(ZOO, label_smoothing=0.1),
    "online_label_smoothing": replace(ZOO, loss="online_label_smoothing"),
    "center": replace(ZOO, loss="center", center_weight=0.01),
    "a_softmax": replace(ZOO, loss="a_softmax"),
    "cosface": replace(ZOO, loss="cosface", margin=0.2, scale=24.0, margin_warmup=800),
    "arcface": ARCFACE,
    "contrastive": replace(ZOO, loss="contrastive", images_per_identity=4),
    "pairwise": replace(ZOO, loss="pairwise", images_per_identity=4),
    "triplet": replace(ZOO, loss="triplet", images_per_identity=4),
    "softmax_contrastive": replace(ZOO, loss="softmax+contrastive", images_per_identity=4),
    "softmax_pairwise": replace(ZOO, loss="softmax+pairwise", images_per_identity=4),
    "softmax_triplet": replace(ZOO, loss="softmax+triplet", images_per_identity=4),
    # Regularizers.
    "dropout": replace(ZOO, dropout=0.4),
    "dropout_maps": replace(ZOO, drop_block=0.1, drop_block_size=1),
    "drop_block": replace(ZOO, drop_block=0.1),
    "drop_block_smoothing": replace(ZOO, drop_block=0.1, label_smoothing=0.1),
    # Calibration: less and more overfitting, each with several targets.
    "standard": STANDARD,
    "standard_smoothing_003": replace(STANDARD, label_smoothing=0.03),
    "standard_smoothing_010": replace(STANDARD, label_smoothing=0.1),
    "standard_smoothing_020": replace(STANDARD, label_smoothing=0.2),
    "standard_online": replace(STANDARD, loss="online_label_smoothing"),
    "overfit": OVERFIT,
    "overfit_smoothing_003": replace(OVERFIT, label_smoothing=0.03),
    "overfit_smoothing_010": replace(OVERFIT, label_smoothing=0.1),
    "overfit_smoothing_020": replace(OVERFIT, label_smoothing=0.2),
    "overfit_online": replace(OVERFIT, loss="online_label_smoothing"),
    "unaugmented": NO_AUGMENTATION,
    # The default model: three stages, each from where the last one stopped (docs/training.md, Distillation).
    "strong_start": STRONG,
    "strong_second": replace(STRONG, init_from="strong_start.safetensors", lr=0.05, epochs=8),
    "strong_plain": STRONG_THIRD,
    "strong": replace(STRONG_THIRD, whiten=0.2),
    # Architectures: half the budget; two use what their papers use in place of plain SGD.
    "alexnet": replace(ARCHITECTURE, backbone="alexnet_face"),
    "vgg": replace(ARCHITECTURE, backbone="vgg_face"),
    "resnet": ARCHITECTURE,
    "densenet": replace(ARCHITECTURE, backbone="densenet_face"),
    "resnext": replace(ARCHITECTURE, backbone="resnext_face"),
    "mobilenet": replace(ARCHITECTURE, backbone="mobilenet_face"),
    "senet": replace(ARCHITECTURE, backbone="senet_face"),
    "efficientnet": replace(ARCHITECTURE, backbone="efficientnet_face"),
    "regnet": replace(ARCHITECTURE, backbone="regnet_face"),
    "resnest": replace(ARCHITECTURE, backbone="resnest_face"),
    "nfnet": replace(ARCHITECTURE, backbone="nfnet_face", grad_clip=0.0, clip_adaptive=0.02),
    "convnext": replace(ARCHITECTURE, backbone="convnext_face", **ADAMW),
}


def find_recipe(name: str) -> Recipe:
    """Return a recipe by its name in RECIPES, from a .json or .toml file of its fields, or from a checkpoint.

    Raises:
        ValueError: unknown name; or a file that is missing, cannot be read, or holds an unknown field.
    """
    path = Path(name)
    if name in RECIPES:
        return RECIPES[name]
    if path.suffix == ".safetensors":
        return describe(path).recipe
    if path.suffix not in READERS:
        raise ValueError(f"unknown recipe {name!r}: {nearest(name, RECIPES)}")
    values = _read_fields(path)
    if not isinstance(values, dict):
        raise ValueError(f"{name} holds no fields; it must be one table of recipe fields and values")
    try:
        return Recipe.from_dict(values)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _read_fields(path: Path) -> object:
    """Return the fields of a recipe file, if it is valid.

    Raises:
        ValueError: there is no such file, or it is not text in its format.
    """
    try:
        return READERS[path.suffix](path.read_bytes())
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ValueError(
            f"{path} is not a file; give a recipe's file, or one of: {', '.join(RECIPES)}"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8; save it as UTF-8") from error
    except (ValueError, RecursionError) as error:  # of either format
        raise ValueError(f"{path} is not a valid {path.suffix[1:]} file: {error}") from error


def listing() -> str:
    """Return one line per recipe."""
    return "\n".join(
        f"  {name:<24}{recipe.backbone}, {recipe.loss}, {recipe.epochs} epochs"
        for name, recipe in RECIPES.items()
    )
