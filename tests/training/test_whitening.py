"""Whitening: the map does to spreads what its formula says, and the neck takes it in exactly."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from facelab.data.folders import CropSet
from facelab.data.parametric import ParametricFaces
from facelab.models.model import build_model, embed, embed_all
from facelab.models.recipe import Recipe
from facelab.training.loop import train
from facelab.training.splits import split
from facelab.training.validation import validate
from facelab.training.whitening import _take_in, whiten, whitening

TINY = Recipe(
    epochs=2, batch_size=16, embedding_dim=16, held_out=0.2, precision="fp32", lr=0.05, loss="arcface",
    margin_warmup=4, random_erasing=0.0, rotate=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def rendered():
    faces = ParametricFaces(10, 8, seed=1)
    crops, labels = faces.rows(torch.arange(len(faces)))
    names = tuple(f"{label}/{i}" for i, label in enumerate(labels.tolist()))
    return CropSet(np.asarray(crops), np.asarray(labels, np.int64), tuple(map(str, range(10))), names)


def people(rng, spread, scatter, count=600, each=20):
    """Embeddings (N, D) of people who lie apart by `spread` and whose photos scatter by `scatter`, (D,)."""
    labels = np.repeat(np.arange(count), each)
    centers = rng.normal(size=(count, len(spread))) * spread
    return centers[labels] + rng.normal(size=(len(labels), len(spread))) * scatter, labels


def spreads(x, labels):
    """Variances (between, within) people along each axis, of the directions of centered embeddings."""
    x = x - x.mean(0)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    centers = np.stack([x[labels == k].mean(0) for k in range(labels.max() + 1)])
    return centers.var(0), (x - centers[labels]).var(0)


def test_half_the_power_and_the_whole_make_the_spread_even():
    """x·B^(-1/2) has the same spread along every axis; less power leaves part of the difference."""
    spread = np.geomspace(1, 6, 24)
    x, labels = people(np.random.default_rng(0), spread, np.full(24, 0.5))
    uneven = [np.ptp(np.log(spreads(x, labels)[0]))]
    for power in (0.0, 0.2, 0.5):
        mean, matrix = whitening(x, labels, power)
        uneven.append(np.ptp(np.log(spreads((x - mean) @ matrix.T, labels)[0])))
    assert uneven[1] == pytest.approx(uneven[0], rel=1e-6)  # the power 0 only centers
    assert uneven[0] > 3 > uneven[2] > 0.5 > uneven[3]


def test_axes_and_length_of_embeddings_do_not_matter():
    """Turned or enlarged embeddings, moved anywhere, give the same cosines afterwards."""
    rng = np.random.default_rng(1)
    x, labels = people(rng, np.geomspace(1, 4, 8), np.geomspace(0.2, 0.8, 8), 60, 6)
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    cosines = []
    for embeddings in (x, 7 * x @ turn + 3):
        mean, matrix = whitening(embeddings, labels, 0.2)
        found = (embeddings - mean) @ matrix.T
        assert np.square(found).mean() == pytest.approx(np.square(embeddings - mean).mean())
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        cosines.append(found @ found.T)
    assert cosines[0] == pytest.approx(cosines[1], abs=1e-8)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_too_few_crops_are_refused(labels):
    with pytest.raises(ValueError, match=r"3 crops of \d people are too few to whiten by"):
        whitening(np.random.default_rng(0).normal(size=(3, 4)), np.array(labels), 0.2)


@pytest.mark.parametrize("neck", ["flatten", "pool"])
@pytest.mark.parametrize("bias", [False, True])
def test_the_neck_gives_the_mapped_embedding(rendered, neck, bias):
    torch.manual_seed(0)
    model = build_model(replace(TINY, neck=neck, neck_bias=bias)).eval()
    norm = model.neck[-1]
    with torch.no_grad():
        for tensor in (norm.running_mean, norm.running_var, norm.weight):
            tensor.uniform_(0.5, 2)
    crops, rng = rendered.crops[:6], np.random.default_rng(0)
    before, mean, matrix = embed(model, crops, flip=False), rng.normal(size=16), rng.normal(size=(16, 16))
    _take_in(model.neck, torch.from_numpy(mean), torch.from_numpy(matrix))
    assert embed(model, crops, flip=False) == pytest.approx((before - mean) @ matrix.T, rel=1e-4, abs=1e-4)


def test_training_whitens_after_the_last_step_and_not_before(rendered):
    """The losses are those of a run without; the end is that run's network, whitened by its own people."""
    plain, even = (list(train(replace(TINY, whiten=power), rendered)) for power in (0.0, 0.2))
    assert [p.loss for p in plain] == [p.loss for p in even]
    assert plain[len(plain) // 2 - 1].validation == even[len(plain) // 2 - 1].validation
    parts, (model, loss_fn) = split(rendered, TINY), (plain[-1].model, plain[-1].loss_fn)
    before = embed_all(model, parts.training.batches())
    whiten(model, loss_fn, parts.training, 0.2)
    other, other_loss = even[-1].model, even[-1].loss_fn
    pairs = zip(
        (*model.state_dict().values(), loss_fn.prototypes),
        (*other.state_dict().values(), other_loss.prototypes),
    )
    assert all(torch.equal(one, two) for one, two in pairs)
    assert even[-1].validation == validate(other, parts.people) != plain[-1].validation
    after, (mean, matrix) = (
        embed_all(other, parts.training.batches()),
        whitening(before / 2, parts.training.labels, 0.2),
    )
    assert after == pytest.approx((before - 2 * mean) @ matrix.T, rel=1e-3, abs=1e-3)
    assert after.mean(0) == pytest.approx(np.zeros(16), abs=1e-4)


def test_prototypes_are_the_mean_directions_of_their_people(rendered):
    *_, last = train(replace(TINY, whiten=0.2, ema_decay=0.5), rendered)
    training = split(rendered, TINY).training
    x = embed_all(last.model, training.batches())
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    means = np.stack([x[training.labels == k].mean(0) for k in range(len(training.identities))])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert last.loss_fn.prototypes.numpy() == pytest.approx(means, abs=1e-4)


def test_crops_of_nobody_have_no_say(rendered):
    training = split(rendered, TINY).training
    *_, last = train(TINY, rendered)
    more = type(training)(
        training.crops, np.concatenate([training.rows, training.rows[:9]]),
        np.concatenate([training.labels, np.full(9, -1)]), training.identities,
    )  # fmt: skip
    ends = []
    for known in (training, more):
        model, loss_fn = copy.deepcopy(last.model), copy.deepcopy(last.loss_fn)
        whiten(model, loss_fn, known, 0.2)
        ends.append(model.neck[-2].weight)
    assert torch.equal(*ends)


def test_losses_without_directions_are_refused():
    with pytest.raises(ValueError, match=r"whiten is for losses that compare directions, .*, not softmax"):
        Recipe(whiten=0.2)
    with pytest.raises(ValueError, match=r"whiten is 1.0; it must lie in \[0, 1\)"):
        replace(TINY, whiten=1.0)
