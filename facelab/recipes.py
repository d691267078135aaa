"""RECIPES by name. Beside each: the command that runs it, how long that took and what it reached.

LFW figures are view 2, 6,000 pairs from the raw photos, flip-averaged; nothing was chosen by them.
"""

import json
import tomllib
from pathlib import Path

from facelab.checkpoint import describe
from facelab.recipe import Recipe
from facelab.registry import nearest

READERS = {".json": json.loads, ".toml": tomllib.loads}

RECIPES: dict[str, Recipe] = {
    # python -m facelab train resnet_softmax --data celeba112.zip celeba_grey112.zip --out FILE.safetensors
    # 73 minutes on two busy cores in bf16 (seed 0): EER 0.161 on 56 held-out identities; LFW 0.879 ± 0.021,
    # EER 0.121, TAR@FAR=0.01 0.620.
    "resnet_softmax": Recipe(
        backbone="resnet_face", loss="softmax", label_smoothing=0.1, dropout=0.2, epochs=32
    ),
}  # fmt: skip


def find_recipe(name: str) -> Recipe:
    """A recipe by its name in RECIPES, from a .json or .toml file of its fields, or that of a checkpoint.

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
    try:
        values = READERS[path.suffix](path.read_text())
    except ValueError as error:  # of either format
        raise ValueError(f"{name} is no valid {path.suffix[1:]} file: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{name} holds no fields; it must be one table of recipe fields and values")
    return Recipe.from_dict(values)


def listing() -> str:
    """A line per recipe."""
    return "\n".join(
        f"  {name:<20}{recipe.backbone}, {recipe.loss}, {recipe.epochs} epochs"
        for name, recipe in RECIPES.items()
    )
