"""The trainer: deterministic, learning, closable, and honest about what it holds out."""

import itertools
import math
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from facelab.data.folders import CropSet
from facelab.data.parametric import ParametricFaces
from facelab.models.losses.pairs import Triplet
from facelab.models.model import embed
from facelab.models.recipe import Recipe
from facelab.models.regularizers import DropBlock2d
from facelab.training.loop import train
from facelab.training.splits import split, split_identities
from facelab.training.validation import validate
from tests.networks import SMALL

pytestmark = pytest.mark.usefixtures("small_backbone")
TINY = Recipe(
    backbone=SMALL, epochs=2, batch_size=16, embedding_dim=16, held_out=0.2, precision="fp32", lr=0.05
)


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
    assert first != losses(replace(TINY, seed=1), rendered)


def test_first_loss_is_the_entropy_of_ignorance(rendered):
    # 8 identities are trained on, and fresh weights know nothing: the loss starts near ln 8.
    assert losses(TINY, rendered, 1)[0] == pytest.approx(math.log(8), abs=0.15)


def test_it_learns(rendered):
    recipe = replace(TINY, epochs=12, random_erasing=0.0, rotate=0.0)
    run = losses(recipe, rendered)
    assert np.mean(run[-4:]) < 0.6 * np.mean(run[:4])  # eight seeds: 0.25 to 0.33


def test_progress_counts_and_validates_once_an_epoch(rendered):
    run = list(train(TINY, rendered))
    assert [p.step for p in run] == list(range(1, len(run) + 1)) and run[-1].step == run[-1].steps
    assert [p.epoch_done for p in run] == [p.step % (len(run) // 2) == 0 for p in run]
    assert [bool(p.validation) for p in run] == [p.epoch_done for p in run]
    figures = run[-1].validation
    assert 0 <= figures["eer"] <= 1 and 0 <= figures["auc"] <= 1
    assert run[-1].seconds_left == 0


@pytest.mark.parametrize("neck", ["flatten", "pool"])
def test_without_a_bias_in_the_neck_embeddings_stay_centered(rendered, neck):
    def bias(neck_bias):
        *_, last = train(replace(TINY, neck=neck, neck_bias=neck_bias), rendered)
        return last.model.neck[-1].bias.detach()

    assert torch.equal(bias(False), torch.zeros(16))
    assert bias(True).abs().max() > 0


def test_closing_stops_the_run(rendered):
    run = train(TINY, rendered)
    next(run)
    run.close()
    with pytest.raises(StopIteration):
        next(run)


def test_nothing_of_the_held_out_identities_is_trained_on(rendered):
    training, held_out = split_identities(rendered, TINY.held_out, TINY.split_seed)
    assert set(training.identities).isdisjoint(held_out.identities)
    assert set(training.rows).isdisjoint(held_out.rows)
    progress = next(iter(train(TINY, rendered)))
    assert progress.loss_fn.linear.out_features == len(training.identities) == 8


def test_an_infinite_loss_ends_the_run_in_one_sentence(rendered):
    with pytest.raises(ValueError, match="lower --lr"):
        losses(replace(TINY, lr=1e12, warmup=0.0, grad_clip=0.0, epochs=20), rendered)


def test_parts_are_the_unweighted_terms(rendered):
    progress = next(train(replace(TINY, loss="center", center_weight=0.1), rendered))
    assert progress.loss == pytest.approx(
        progress.parts["softmax"] + 0.1 * progress.parts["center"], rel=1e-5
    )
    assert next(train(TINY, rendered)).parts == {}


def test_validation_and_what_is_kept_use_the_averaged_weights(rendered):
    run = list(train(replace(TINY, ema_decay=0.5), rendered))
    assert run[-1].model is not run[-1].run.model
    assert validate(run[-1].model, split_identities(rendered, 0.2, 0)[1]) == run[-1].validation
    plain = list(train(TINY, rendered))
    assert [p.loss for p in run] == [p.loss for p in plain]  # averaging watches and does not touch


def test_held_out_images_are_classified_by_the_loss(rendered):
    recipe = replace(TINY, held_out_images=0.25, ema_decay=0.5)
    last = list(train(recipe, rendered))[-1]
    images = split(rendered, recipe).images
    model, loss_fn = last.model.eval(), last.loss_fn.eval()
    with torch.no_grad():
        logits = loss_fn.logits(
            torch.from_numpy(embed(model, images.batch(np.arange(len(images))), flip=False))
        )
    hits = (logits.argmax(1).numpy() == images.labels).mean()
    assert len(images) == 16 and last.validation["top_1"] == pytest.approx(hits)
    assert {"eer", "top_1", "ece", "nll"} <= set(last.validation)
    assert "top_1" not in list(train(replace(recipe, loss="triplet"), rendered))[-1].validation


def test_batches_of_people_reach_the_loss(rendered, monkeypatch):
    seen = []
    monkeypatch.setattr(Triplet, "forward", lambda self, x, y: seen.append(y) or x.square().mean())
    list(train(replace(TINY, loss="triplet", images_per_identity=4), rendered))
    assert seen and all(sorted(torch.bincount(y)[torch.bincount(y) > 0].tolist()) == [4] * 4 for y in seen)


def test_drop_block_is_placed_and_its_rate_rises(rendered):
    rates = []
    for progress in train(replace(TINY, drop_block=0.3), rendered):
        blocks = [m for m in progress.model.modules() if isinstance(m, DropBlock2d)]
        rates.append({block.progress for block in blocks})
    assert len(blocks) == 2 and all(len(rate) == 1 for rate in rates)  # one block in each of two stages
    assert [rate.pop() for rate in rates] == [step / len(rates) for step in range(len(rates))]


@pytest.mark.parametrize(
    "fields", [{"optimizer": "adamw", "lr": 0.005, "weight_decay": 0.05}, {"clip_adaptive": 0.05}]
)
def test_other_optimizers_learn_too(rendered, fields):
    run = losses(replace(TINY, epochs=8, random_erasing=0.0, rotate=0.0, **fields), rendered)
    assert np.mean(run[-4:]) < 0.85 * np.mean(run[:4])  # five seeds: 0.42 to 0.72


def test_held_out_people_with_one_crop_each_are_refused(rendered):
    first = np.unique(rendered.labels, return_index=True)[1]
    single = CropSet(rendered.crops[first], rendered.labels[first], rendered.identities, rendered.names)
    with pytest.raises(ValueError, match="held-out people have one crop each, so no genuine pair"):
        next(train(TINY, single))


@pytest.fixture
def beside(monkeypatch):
    """Another thread draws from PyTorch's shared generator before each convolution is made or computed."""

    def elsewhere():
        torch.manual_seed(torch.randint(1000, ()).item())
        torch.nn.Linear(4, 4)

    def disturbed(method):
        def call(*args, **named):
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            return method(*args, **named)

        return call

    for name in ("reset_parameters", "forward"):
        monkeypatch.setattr(torch.nn.Conv2d, name, disturbed(getattr(torch.nn.Conv2d, name)))


def test_a_thread_that_builds_networks_beside_a_run_does_not_change_its_losses(rendered, request):
    recipe = replace(TINY, dropout=0.3, drop_block=0.2, stochastic_depth=0.2)
    alone = losses(recipe, rendered, 4)
    request.getfixturevalue("beside")
    assert losses(recipe, rendered, 4) == alone


def test_the_callers_random_numbers_are_left_alone(rendered):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    list(itertools.islice(train(replace(TINY, dropout=0.5), rendered), 2))
    assert torch.equal(torch.rand(3), expected)
