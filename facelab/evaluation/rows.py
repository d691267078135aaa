"""Rows of the zoo: recipe, seed and sources of each, and whether its weights are kept; the most important
first.
"""

from dataclasses import dataclass
from pathlib import Path

from facelab.models.recipes import find_recipe

GRAY = ("celeba_grey112",)
FIRST_TWO = ("celeba112", *GRAY)

# Recipes of rows, most important first, with how many seeds, whether weights are kept (of seed 0 alone), and
# the sources that they learn from.
TABLE: tuple[tuple[str, int, bool, tuple[str, ...]], ...] = (
    ("overfit standard overfit_smoothing_010 standard_smoothing_010", 1, False, GRAY),
    ("overfit_smoothing_003 standard_smoothing_003", 1, False, GRAY),
    ("overfit_smoothing_020 standard_smoothing_020 overfit_online standard_online", 1, False, GRAY),
    ("strong_start strong_second", 1, False, FIRST_TWO),
    ("strong", 1, True, FIRST_TWO),
    ("softmax center arcface", 2, True, FIRST_TWO),
    ("label_smoothing a_softmax cosface softmax_triplet", 1, True, FIRST_TWO),
    ("triplet contrastive pairwise online_label_smoothing", 1, False, FIRST_TWO),
    ("softmax_contrastive softmax_pairwise", 1, False, FIRST_TWO),
    ("convnext nfnet resnet mobilenet efficientnet alexnet vgg densenet", 1, True, FIRST_TWO),
    ("resnext senet regnet resnest", 1, True, FIRST_TWO),
    ("dropout dropout_maps drop_block drop_block_smoothing", 1, False, FIRST_TWO),
    ("resnet_softmax", 1, True, FIRST_TWO),
)


@dataclass(frozen=True)
class Row:
    """Describe one training of the zoo.

    Attributes:
        name: name of its files.
        recipe: a name in RECIPES, or a file of one.
        seed: seed of the run.
        keeps_weights: whether the checkpoint is kept, or its figures only.
        sources: names of the sources that it uses; empty for all given ones.
    """

    name: str
    recipe: str
    seed: int = 0
    keeps_weights: bool = True
    sources: tuple[str, ...] = ()


def rows(only: tuple[str, ...] = ()) -> list[Row]:
    """Return the rows of the table, or the named ones.

    Args:
        only: names of rows, recipes whose rows to take, or files of recipes.

    Raises:
        ValueError: neither a row nor a recipe.
    """
    table = [
        Row(recipe + (f"_seed{seed}" if seed else ""), recipe, seed, keeps and seed == 0, sources)
        for recipes, seeds, keeps, sources in TABLE
        for recipe in recipes.split()
        for seed in range(seeds)
    ]
    chosen = []
    for name in only:
        found = [row for row in table if name in (row.name, row.recipe)]
        if not found:
            find_recipe(name)  # raises what is neither
            path = Path(name)
            found = [Row(path.stem, str(path.resolve()) if path.suffix else name)]
        chosen += found
    return list(dict.fromkeys(chosen)) if only else table
