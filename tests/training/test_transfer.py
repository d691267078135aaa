"""Transfer: what is taken over, what is new, what stays frozen to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facelab.data.folders import CropSet
from facelab.data.parametric import ParametricFaces
from facelab.models import checkpoint
from facelab.models.recipe import Recipe
from facelab.training.loop import train
from facelab.training.transfer import freeze
from tests.networks import SMALL

pytestmark = pytest.mark.usefixtures("small_backbone")
RECIPE = Recipe(
    backbone=SMALL,
    epochs=1,
    batch_size=8,
    embedding_dim=8,
    neck="pool",
    held_out=0.0,
    precision="fp32",
    lr=0.05,
)


@pytest.fixture(scope="module")
def data() -> CropSet:
    return ParametricFaces(4, 6, seed=1).crop_set()


@pytest.fixture(scope="module")
def source(data, tmp_path_factory):
    """A checkpoint trained for one epoch on `data`."""
    path = tmp_path_factory.mktemp("source") / "source.safetensors"
    last = list(train(RECIPE, data))[-1]
    checkpoint.save(
        path, last.model, last.loss_fn, checkpoint.Header(RECIPE, 4, "x", identities=data.identities)
    )
    return path


def started(recipe: Recipe, data: CropSet):
    """Network and loss as they are when a run of learning rate 0 has begun."""
    progress = next(train(replace(recipe, lr=0.0, weight_decay=0.0), data))
    return progress.model, progress.loss_fn


def same(a: torch.nn.Module, b: torch.nn.Module) -> list[str]:
    other = b.state_dict()
    return [key for key, value in a.named_parameters() if torch.equal(value, other[key])]


def test_every_weight_of_the_network_is_taken_over_and_the_head_for_the_same_people(data, source):
    model, loss_fn, _ = checkpoint.load(source)
    recipe = replace(RECIPE, init_from=str(source), seed=5)
    ours, head = started(recipe, data)
    assert same(ours, model) == [name for name, _ in model.named_parameters()]
    assert same(head, loss_fn) == ["linear.weight", "linear.bias"]
    others = CropSet(data.crops, data.labels, tuple(f"other/{i}" for i in range(4)), data.names)
    ours, head = started(recipe, others)
    assert same(ours, model) and not same(head, loss_fn)[:1]


def test_a_new_number_of_people_replaces_the_head_alone(source):
    model, _, _ = checkpoint.load(source)
    ours, head = started(replace(RECIPE, init_from=str(source)), ParametricFaces(6, 4, seed=9).crop_set())
    assert same(ours, model) == [name for name, _ in model.named_parameters()]
    assert head.linear.out_features == 6


def test_another_loss_takes_the_network_over(data, source):
    ours, head = started(replace(RECIPE, init_from=str(source), loss="arcface"), data)
    assert len(same(ours, checkpoint.load(source)[0])) == len(list(ours.parameters()))
    assert head.prototypes.shape == (4, 8)


def test_frozen_stages_do_not_move_and_the_others_do(data, source):
    recipe = replace(
        RECIPE, init_from=str(source), freeze="stage3", ema_decay=0.0, epochs=2, weight_decay=0.1
    )
    before = checkpoint.load(source)[0].state_dict()
    last = list(train(recipe, data))[-1]
    for key, value in last.model.state_dict().items():
        frozen = key.split(".")[1] in ("stem", "stage1", "stage2", "stage3")
        moved = not torch.equal(value, before[key])
        assert moved != frozen, key  # batch statistics included
    assert (
        last.model.training
        and not last.model.backbone.stage3.training
        and last.model.backbone.stage4.training
    )


def test_with_the_whole_network_frozen_the_head_learns(data, source):
    recipe = replace(RECIPE, init_from=str(source), freeze="neck", epochs=3, seed=2)
    run = list(train(recipe, data))
    assert len(same(run[-1].model, checkpoint.load(source)[0])) == len(list(run[-1].model.parameters()))
    assert np.mean([p.loss for p in run[-3:]]) < np.mean([p.loss for p in run[:3]])


def test_legal_stages_are_listed(data):
    model = next(train(RECIPE, data)).model
    with pytest.raises(ValueError, match="no stage 'stage9' to freeze: did you mean stage4"):
        freeze(model, "stage9")
    assert freeze(model, None) == []
    with pytest.raises(ValueError, match="leaves nothing to train"):
        next(train(replace(RECIPE, loss="triplet", freeze="neck"), data))


def test_a_source_of_another_shape_or_none_is_refused(data, source):
    with pytest.raises(ValueError, match="has embedding_dim 8 and this run 16; set embedding_dim to 8"):
        next(train(replace(RECIPE, init_from=str(source), embedding_dim=16), data))
    with pytest.raises(ValueError, match="there is no model 'resnet_sofmax'"):
        next(train(replace(RECIPE, init_from="resnet_sofmax"), data))
