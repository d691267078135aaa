"""Weights from a seed: those of torch.manual_seed, with the generator that all threads share left alone."""

from dataclasses import replace

import pytest
import torch

from facelab.models.backbones import BACKBONES
from facelab.models.losses import LOSSES, build_loss
from facelab.models.model import build_model
from facelab.models.recipe import Recipe
from facelab.models.seeding import Seeded

OTHERS = "softmax+triplet", "arcface+pairwise"


def built(recipe: Recipe, loss: str) -> dict[str, torch.Tensor]:
    model, loss_fn = build_model(recipe), build_loss(loss, 16, 5, {})
    return model.state_dict() | {f"loss.{key}": value for key, value in loss_fn.state_dict().items()}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_network_is_the_one_of_manual_seed_and_the_shared_generator_stays(backbone):
    recipe = Recipe(backbone=backbone, neck="pool", embedding_dim=16)
    before = torch.random.get_rng_state()
    with Seeded(3):
        ours = built(recipe, "softmax")
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        theirs = built(recipe, "softmax")
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


@pytest.mark.parametrize("loss", [*LOSSES, *OTHERS])
def test_every_loss_too(loss):
    recipe = replace(Recipe(), backbone="mobilenet_face", neck="pool", embedding_dim=16, drop_block=0.1)
    before = torch.random.get_rng_state()
    with Seeded(3):
        ours = built(recipe, loss)
    assert torch.equal(torch.random.get_rng_state(), before)
    with Seeded(3):
        torch.manual_seed(9)  # as another thread may do at any time
        again = built(recipe, loss)
    assert all(torch.equal(value, again[key]) for key, value in ours.items())
