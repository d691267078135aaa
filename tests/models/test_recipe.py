"""Recipes: the fields of earlier versions stay readable."""

import json

import pytest

from facelab.models.checkpoint import describe
from facelab.models.recipe import Recipe
from facelab.models.recipes import find_recipe
from facelab.models.zoo import checkpoint_names, find_checkpoint


def test_former_names_of_fields_and_flags_are_read(tmp_path):
    former = {
        "average": 0.9,
        "clip": 1.0,
        "erase": 0.1,
        "grey": 0.3,
        "loss": "contrastive",
        "normalise": False,
    }
    recipe = Recipe.from_dict(former)
    assert (recipe.ema_decay, recipe.grad_clip, recipe.random_erasing, recipe.gray) == (0.9, 1.0, 0.1, 0.3)
    assert recipe.normalize is False and Recipe.from_dict(recipe.to_dict()) == recipe
    with pytest.raises(ValueError, match="grey is the former name of gray"):
        Recipe.from_dict({"grey": 0.1, "gray": 0.2})
    (tmp_path / "old.json").write_text(json.dumps(former))
    assert find_recipe(str(tmp_path / "old.json")) == recipe


def test_every_shipped_checkpoint_was_written_with_former_names_and_is_read():
    assert all(describe(find_checkpoint(name)).recipe.gray >= 0 for name in checkpoint_names())
