"""Optimizers, schedules, clipping and averaging, each against its formula or PyTorch's own."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from facelab.models.layers import is_vector
from facelab.models.model import FaceModel
from facelab.models.recipe import Recipe
from facelab.training.optim import Average, build_optimizer, clip_adaptively, learning_rate

NET = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_cosine_rises_to_the_peak_and_falls_to_zero():
    rates = [learning_rate(Recipe(lr=0.2, warmup=0.1), step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.02) and rates[9] == pytest.approx(0.2) == max(rates)
    assert rates[55] == pytest.approx(0.1) and rates[-1] < 0.001
    assert all(a >= b for a, b in itertools.pairwise(rates[9:]))


def test_step_falls_tenfold_at_each_milestone():
    recipe = Recipe(lr=1.0, warmup=0.0, schedule="step", milestones=(0.5, 0.8))
    rates = [learning_rate(recipe, step, 10) for step in range(10)]
    assert rates == pytest.approx([1.0] * 5 + [0.1] * 3 + [0.01] * 2)


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.3), (57, 0.1), (20, 0.5)])
def test_one_cycle_is_pytorchs(steps, warmup):
    optimizer = torch.optim.SGD(NET.parameters(), 0.1)
    oracle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.4, steps, pct_start=warmup, cycle_momentum=False
    )
    recipe = Recipe(lr=0.4, warmup=warmup, schedule="one_cycle")
    for step in range(steps):
        assert learning_rate(recipe, step, steps) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
        optimizer.step()
        if step < steps - 1:
            oracle.step()


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("schedule", ["cosine", "step", "one_cycle"])
def test_the_shortest_runs_have_a_learning_rate(schedule, steps):
    for warmup in (0.0, 0.1, 0.9):
        rates = [
            learning_rate(Recipe(schedule=schedule, warmup=warmup), step, steps) for step in range(steps)
        ]
        assert all(0 < rate <= 0.15 for rate in rates)


def test_weight_decay_spares_vectors():
    for optimizer in ("sgd", "adamw"):
        decayed, spared = build_optimizer(Recipe(optimizer=optimizer), [NET]).param_groups
        assert [p.shape for p in decayed["params"]] == [(4, 3)] and decayed["weight_decay"] == 5e-4
        assert len(spared["params"]) == 3 and spared["weight_decay"] == 0


@pytest.mark.parametrize("backbone", ["convnext_face", "nfnet_face"])
def test_weight_decay_spares_gains_and_scales_that_are_stored_as_maps(backbone):
    model = FaceModel(backbone, "pool", 16)
    decayed, spared = build_optimizer(Recipe(), [model]).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    assert all(sum(side > 1 for side in p.shape) >= 2 for p in decayed["params"])
    maps = [names[id(p)] for p in spared["params"] if p.ndim > 1]
    assert maps and all(p.numel() == max(p.shape, default=1) for p in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


@pytest.mark.parametrize(
    "shape", [(), (1,), (8,), (8, 1, 1), (8, 1, 1, 1), (1, 8), (8, 2), (8, 1, 3, 3), (1, 8, 3, 1)]
)
def test_a_vector_is_as_large_as_its_longest_side(shape):
    assert is_vector(torch.zeros(shape)) == (math.prod(shape) == max(shape, default=1))


def test_frozen_parameters_are_left_out_and_something_must_be_left():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].requires_grad_(False)
    assert sum(len(group["params"]) for group in build_optimizer(Recipe(), [net]).param_groups) == 2
    with pytest.raises(ValueError, match="freeze=neck leaves nothing to train"):
        build_optimizer(replace(Recipe(), freeze="neck"), [net.requires_grad_(False)])


def test_adaptive_clipping_bounds_each_unit_by_its_weights():
    generator = torch.Generator().manual_seed(0)
    shapes = [(6, 5), (4, 3, 2, 2), (7,), (), (5, 1, 1), (9, 1, 1, 1)]
    parameters = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    before = [torch.randn(shape, generator=generator) for shape in shapes]
    for p, grad in zip(parameters, before):
        p.grad = grad.clone()
    clip_adaptively(parameters, 0.5)
    for p, grad in zip(parameters, before):
        units = zip(p, p.grad, grad) if max(p.shape, default=1) < p.numel() else [(p, p.grad, grad)]
        for weight, clipped, raw in units:
            bound = 0.5 * max(weight.norm().item(), 1e-3)
            expected = raw if raw.norm() <= bound else raw * bound / raw.norm()
            assert torch.allclose(clipped, expected, atol=1e-6)
    clip_adaptively([nn.Parameter(torch.zeros(2))], 0.5)  # no gradient


def test_zero_weights_can_still_move():
    p = nn.Parameter(torch.zeros(3, 2))
    p.grad = torch.ones(3, 2)
    clip_adaptively([p], 0.1)
    assert torch.allclose(p.grad.norm(dim=1), torch.full((3,), 1e-4))


def test_the_average_is_the_sum_by_its_weights():
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 5.0)
    average = Average([net], 0.6)
    expected = 5.0
    for step, value in enumerate((1.0, 2.0, 4.0, 8.0, 16.0), 1):
        nn.init.constant_(net.weight, value)
        average.update(step)
        keep = min(0.6, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * value
    assert average.copy[0].weight.item() == pytest.approx(expected)
    assert net.weight.item() == 16 and not average.copy[0].weight.requires_grad and not average.copy.training


def test_the_average_takes_in_batch_statistics():
    net = nn.BatchNorm1d(2)
    average = Average([net], 0.5)
    net(torch.randn(8, 2) + 100)
    average.update(1)
    assert average.copy[0].running_mean.mean() > 5 and average.copy[0].num_batches_tracked == 1
