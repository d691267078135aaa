"""The trainer: deterministic, learning, closable, and honest about what it holds out."""

import itertools
import math

import numpy as np
import pytest
import torch

from facelab.data.folders import CropSet, split_identities
from facelab.data.parametric import ParametricFaces
from facelab.recipe import Recipe
from facelab.train import autocast_dtype, build_optimizer, epoch_batches, learning_rate, train

TINY = Recipe(epochs=2, batch_size=16, embedding_dim=16, held_out=0.2, precision="fp32", lr=0.05)


@pytest.fixture(scope="module")
def rendered():
    faces = ParametricFaces(10, 8, seed=1)
    crops, labels = faces.rows(torch.arange(len(faces)))
    names = tuple(f"{label}/{i}" for i, label in enumerate(labels.tolist()))
    return CropSet(np.asarray(crops), np.asarray(labels, np.int64), tuple(map(str, range(10))), names)


def losses(recipe, data, count=None):
    return [progress.loss for progress in itertools.islice(train(recipe, data), count)]


def test_same_recipe_same_losses_and_another_seed_others(rendered):
    first = losses(TINY, rendered)
    assert first == losses(TINY, rendered)
    assert first != losses(Recipe(**{**TINY.to_dict(), "seed": 1}), rendered)


def test_first_loss_is_the_entropy_of_ignorance(rendered):
    # 8 identities are trained on, and fresh weights know nothing: the loss starts near ln 8.
    assert losses(TINY, rendered, 1)[0] == pytest.approx(math.log(8), abs=0.15)


def test_it_learns(rendered):
    recipe = Recipe(**{**TINY.to_dict(), "epochs": 12, "erase": 0.0, "rotate": 0.0})
    run = losses(recipe, rendered)
    assert np.mean(run[-4:]) < 0.6 * np.mean(run[:4])


def test_progress_counts_and_validates_once_an_epoch(rendered):
    run = list(train(TINY, rendered))
    assert [p.step for p in run] == list(range(1, len(run) + 1)) and run[-1].step == run[-1].steps
    assert [bool(p.validation) for p in run] == [p.step % (len(run) // 2) == 0 for p in run]
    figures = run[-1].validation
    assert 0 <= figures["eer"] <= 1 and 0 <= figures["auc"] <= 1
    assert run[-1].seconds_left == 0


def test_closing_stops_the_run(rendered):
    run = train(TINY, rendered)
    next(run)
    run.close()
    with pytest.raises(StopIteration):
        next(run)


def test_nothing_of_the_held_out_identities_is_trained_on(rendered):
    training, held_out = split_identities(rendered, TINY.held_out, TINY.seed)
    assert set(training.identities).isdisjoint(held_out.identities)
    assert set(training.rows).isdisjoint(held_out.rows)
    progress = next(iter(train(TINY, rendered)))
    assert progress.loss_fn.linear.out_features == len(training.identities) == 8


def test_an_infinite_loss_ends_the_run_in_one_sentence(rendered):
    with pytest.raises(ValueError, match="lower --lr"):
        losses(Recipe(**{**TINY.to_dict(), "lr": 1e12, "warmup": 0.0, "clip": 0.0, "epochs": 20}), rendered)


def test_learning_rate_rises_to_the_peak_and_falls_to_zero():
    recipe = Recipe(lr=0.2, warmup=0.1)
    rates = [learning_rate(recipe, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.02) and rates[9] == pytest.approx(0.2) == max(rates)
    assert rates[55] == pytest.approx(0.1) and rates[-1] < 0.001
    assert all(a >= b for a, b in itertools.pairwise(rates[9:]))


def test_weight_decay_spares_vectors():
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    decayed, spared = build_optimizer(Recipe(), [module]).param_groups
    assert [p.shape for p in decayed["params"]] == [(4, 3)] and decayed["weight_decay"] == 5e-4
    assert len(spared["params"]) == 3 and spared["weight_decay"] == 0


def test_an_epoch_shows_every_crop_at_most_once(rendered):
    data, _ = split_identities(rendered, 0, 0)
    seen = [crop.tobytes() for crops, _ in epoch_batches(data, 16, seed=0, epoch=0) for crop in crops]
    assert len(seen) == len(set(seen)) == len(data) // 16 * 16
    again = [labels.tolist() for _, labels in epoch_batches(data, 16, seed=0, epoch=1)]
    assert again != [labels.tolist() for _, labels in epoch_batches(data, 16, seed=0, epoch=0)]


def test_float16_is_never_chosen():
    for precision in ("auto", "fp32", "bf16"):
        assert autocast_dtype(precision, torch.device("cpu")) in (None, torch.bfloat16)
