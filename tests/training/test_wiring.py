"""The trainer hands on what it should: draws, modes, steps and rates, each seen from where it arrives."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from facelab.data.parametric import ParametricFaces
from facelab.models import regularizers
from facelab.models.losses.classification import OnlineLabelSmoothing, Softmax
from facelab.models.model import FaceModel, build_model
from facelab.models.recipe import Recipe
from facelab.models.seeding import Seeded
from facelab.training import loop as trainer
from facelab.training import optim, validation
from facelab.training.loop import train
from facelab.training.optim import learning_rate
from facelab.training.splits import split
from tests.networks import SMALL

pytestmark = pytest.mark.usefixtures("small_backbone")
RECIPE = Recipe(
    backbone=SMALL, neck="pool", embedding_dim=16, epochs=2, batch_size=8, held_out=0.25,
    held_out_images=0.25, precision="fp32", lr=0.05,
)  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return ParametricFaces(8, 8, seed=1).crop_set()


def watch(monkeypatch, owner, name, note):
    """Call `note` with the arguments of every call of a function before it runs."""
    original = getattr(owner, name)

    def watched(*args, **named):
        note(*args, **named)
        return original(*args, **named)

    monkeypatch.setattr(owner, name, watched)


def test_every_step_has_draws_of_its_own_and_every_run_the_same(data, monkeypatch):
    draws = []
    watch(monkeypatch, trainer, "augment", lambda crops, recipe, draw: draws.append(draw))
    steps = len(list(train(RECIPE, data)))
    assert len(draws) == steps and len({draw.numpy().tobytes() for draw in draws}) == steps
    list(train(RECIPE, data))
    next(train(replace(RECIPE, seed=1), data))
    assert all(torch.equal(a, b) for a, b in zip(draws[:steps], draws[steps : 2 * steps], strict=True))
    assert not torch.equal(draws[0], draws[-1])


def test_every_step_drops_other_values_and_every_run_the_same(data, monkeypatch):
    masks, drawn = [], regularizers.dropout_mask
    monkeypatch.setattr(regularizers, "dropout_mask", lambda *given: masks.append(drawn(*given)) or masks[-1])
    for _ in range(2):
        list(itertools.islice(train(replace(RECIPE, dropout=0.5), data), 3))
    assert len({mask.numpy().tobytes() for mask in masks[:3]}) == 3
    assert all(torch.equal(a, b) for a, b in zip(masks[:3], masks[3:], strict=True))


def test_network_and_loss_train_in_every_step_though_each_epoch_ends_with_a_test(data, monkeypatch):
    modes = []
    watch(monkeypatch, Softmax, "forward", lambda loss_fn, x, y: modes.append(loss_fn.training))
    watch(monkeypatch, nn.BatchNorm1d, "forward", lambda norm, x: modes.append(norm.training))
    for progress in train(RECIPE, data):
        assert modes[:2] == [True, True]
        assert len(modes) == 2 or (progress.epoch_done and not any(modes[2:]))
        modes.clear()
        progress.model.eval()  # as whoever follows the run may leave it
        progress.loss_fn.eval()


@pytest.mark.parametrize("loss", ["arcface", "a_softmax"])
def test_margins_count_every_step_of_every_epoch(data, loss):
    *_, last = train(replace(RECIPE, loss=loss), data)
    assert last.loss_fn.step.item() == last.step == last.steps


def test_each_epoch_is_closed_once_after_its_last_step(data, monkeypatch):
    closed, at = [], []
    watch(monkeypatch, OnlineLabelSmoothing, "end_epoch", lambda loss_fn: closed.append(loss_fn))
    for progress in train(replace(RECIPE, loss="online_label_smoothing"), data):
        at.append((progress.epoch_done, len(closed)))
    half = len(at) // 2
    assert [count for _, count in at] == [0] * (half - 1) + [1] * half + [2]
    assert closed[0] is progress.run.loss_fn


def test_frozen_stages_keep_their_statistics_and_weights(data):
    recipe = replace(RECIPE, freeze="stage1", seed=3)
    run = list(train(recipe, data))
    with Seeded(recipe.seed):
        fresh = build_model(RECIPE).state_dict()
    after = run[-1].model.state_dict()
    same = {key.split(".")[1] for key in fresh if torch.equal(fresh[key], after[key])}
    moved = {key.split(".")[1] for key in fresh if not torch.equal(fresh[key], after[key])}
    assert {"stem", "stage1"} <= same and moved.isdisjoint({"stem", "stage1"}) and "stage2" in moved


def test_the_average_takes_in_the_weights_after_each_step_counted_from_one(data):
    before = None
    for progress in itertools.islice(train(replace(RECIPE, ema_decay=0.9), data), 4):
        mean, own = progress.model.neck[3].weight.clone(), progress.run.model.neck[3].weight.clone()
        if before is not None:
            keep = (1 + progress.step) / (10 + progress.step)
            assert torch.allclose(mean, keep * before + (1 - keep) * own, atol=1e-7)
        before = mean.clone()


def test_the_optimizer_steps_with_the_rate_that_the_schedule_has(data, monkeypatch):
    rates = []
    watch(monkeypatch, torch.optim.SGD, "step", lambda sgd: rates.append([g["lr"] for g in sgd.param_groups]))
    run = list(train(RECIPE, data))
    expected = [learning_rate(RECIPE, step, len(run)) for step in range(len(run))]
    assert [p.lr for p in run] == expected and rates == [[lr, lr] for lr in expected]


def test_gradients_are_clipped_as_the_recipe_says(data, monkeypatch):
    norms, clippings = [], []
    watch(
        monkeypatch, torch.optim.SGD, "step",
        lambda sgd: norms.append(
            torch.stack([p.grad.norm() for g in sgd.param_groups for p in g["params"]]).norm().item()
        ),
    )  # fmt: skip
    watch(monkeypatch, trainer, "clip_adaptively", lambda parameters, clipping: clippings.append(clipping))
    list(itertools.islice(train(replace(RECIPE, grad_clip=0.01), data), 3))
    assert norms == pytest.approx([0.01] * 3, rel=1e-3) and not clippings
    list(itertools.islice(train(replace(RECIPE, clip_adaptive=0.03), data), 3))
    assert clippings == [0.03] * 3


def test_adaptive_clipping_is_of_the_network_alone(data):
    step = next(train(replace(RECIPE, clip_adaptive=1e-9, grad_clip=0.0), data))
    assert step.model.neck[3].weight.grad.norm() < 1e-6 < 1e-3 < step.loss_fn.linear.weight.grad.norm()


def test_labels_and_crops_of_a_batch_belong_together(data, monkeypatch):
    seen = []
    watch(monkeypatch, trainer, "augment", lambda crops, recipe, draw: seen.append(crops.clone()))
    watch(monkeypatch, Softmax, "forward", lambda loss_fn, x, y: seen.append(y.clone()))
    list(train(RECIPE, data))
    training = split(data, RECIPE).training
    owner = {
        crop.tobytes(): label for crop, label in zip(training.batch(range(len(training))), training.labels)
    }
    for crops, labels in zip(seen[::2], seen[1::2], strict=True):
        assert [owner[crop.numpy().tobytes()] for crop in crops] == labels.tolist()


def test_validation_is_of_the_people_held_out_and_of_one_view(data, monkeypatch):
    views = []
    watch(monkeypatch, validation, "embed_all", lambda model, batches, flip: views.append(flip))
    list(train(replace(RECIPE, epochs=1), data))
    assert views == [False, False]


def test_a_compiled_network_is_the_one_that_steps(data, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    next(train(replace(RECIPE, compile=True), data))
    next(train(RECIPE, data))
    assert len(compiled) == 1 and isinstance(compiled[0], FaceModel)


def test_adamw_gets_the_recipes_numbers():
    recipe = replace(RECIPE, optimizer="adamw", momentum=0.8, weight_decay=0.3, lr=0.002)
    built = optim.build_optimizer(recipe, [nn.Linear(2, 2)])
    assert built.defaults["betas"] == (0.8, 0.999) and built.defaults["lr"] == 0.002
    assert [group["weight_decay"] for group in built.param_groups] == [0.3, 0.0]
    sgd = optim.build_optimizer(replace(recipe, optimizer="sgd"), [nn.Linear(2, 2)])
    assert sgd.defaults["momentum"] == 0.8 and sgd.defaults["nesterov"]
