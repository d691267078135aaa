"""Distillation: the gap to the teacher is what the formula says, and training closes it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from facelab.data.embeddings import save_embeddings
from facelab.data.folders import Selection
from facelab.data.parametric import ParametricFaces
from facelab.models.recipe import Recipe
from facelab.training.batches import epoch_order
from facelab.training.distillation import Teacher, load_teacher
from facelab.training.loop import train
from facelab.training.splits import split, split_identities
from facelab.training.whitening import whitening

RECIPE = Recipe(
    epochs=6, batch_size=8, embedding_dim=8, neck="pool", held_out=0.34, precision="fp32", lr=0.05
)


@pytest.fixture(scope="module")
def data():
    return ParametricFaces(6, 6, seed=1).crop_set()


@pytest.fixture(scope="module")
def taught(data, tmp_path_factory):
    """(npz, embeddings by crop), in another order than the crops, around a common offset."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.npz"
    people = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    embeddings = people[data.labels] + 5
    order = np.random.default_rng(1).permutation(len(data))
    save_embeddings(path, [data.names[i] for i in order], embeddings[order])
    return path, embeddings


def test_the_penalty_is_one_minus_the_mean_cosine_to_centered_directions():
    rng = torch.Generator().manual_seed(0)
    directions, x = torch.randn(5, 3, generator=rng) + 4, torch.randn(2, 3, generator=rng)
    centered = directions - directions.mean(0)
    rows = torch.tensor([3, 1])
    expected = sum(
        1 - x[i] @ centered[r] / (x[i].norm() * centered[r].norm()) for i, r in enumerate(rows.tolist())
    )
    assert Teacher(directions, 2.0)(x, rows).item() == pytest.approx(expected.item(), rel=1e-5)
    assert Teacher(directions, 2.0)(centered[rows] * 7, rows).item() == pytest.approx(0, abs=1e-6)


def test_each_crop_gets_its_own_embedding(data, taught):
    path, embeddings = taught
    training, _ = split_identities(data, 0.34, 0)
    teacher = load_teacher(replace(RECIPE, teacher=str(path)), data, training, torch.device("cpu"))
    assert torch.allclose(
        teacher.directions, Teacher(torch.from_numpy(embeddings[training.rows]), 1.0).directions, atol=1e-6
    )


def test_a_whitened_teacher_is_the_whitening_of_its_own_embeddings(data, taught):
    """By the people whose names are known; crops of nobody are mapped along and have no say."""
    path, embeddings = taught
    scattered = embeddings + np.random.default_rng(3).normal(size=embeddings.shape) / 4
    save_embeddings(path.with_name("w.npz"), data.names, scattered)
    training, _ = split_identities(data, 0.34, 0)
    recipe = replace(RECIPE, teacher=str(path.with_name("w.npz")), teacher_whiten=0.3)
    theirs = scattered.astype(np.float32)[training.rows]
    mean, matrix = whitening(theirs, training.labels, 0.3)
    expected = Teacher(torch.from_numpy((theirs - mean) @ matrix.T), 1.0).directions
    teacher = load_teacher(recipe, data, training, torch.device("cpu"))
    assert torch.allclose(teacher.directions.double(), expected, atol=1e-5)
    plain = load_teacher(replace(recipe, teacher_whiten=0.0), data, training, torch.device("cpu"))
    assert not torch.allclose(plain.directions.double(), expected, atol=1e-2)
    nobody = np.full(5, -1)
    more = Selection(
        data.crops, np.concatenate([training.rows, training.rows[:5]]),
        np.concatenate([training.labels, nobody]), training.identities,
    )  # fmt: skip
    theirs = np.concatenate([theirs, theirs[:5]])
    expected = Teacher(torch.from_numpy((theirs - mean) @ matrix.T), 1.0).directions
    assert torch.allclose(
        load_teacher(recipe, data, more, torch.device("cpu")).directions.double(), expected, atol=1e-5
    )


def test_each_step_asks_the_teacher_of_the_recipe_about_its_own_crops(data, taught, monkeypatch):
    asked, penalty = [], Teacher.__call__

    def watched(teacher, embeddings, rows):
        asked.append((teacher.weight, rows.tolist()))
        return penalty(teacher, embeddings, rows)

    monkeypatch.setattr(Teacher, "__call__", watched)
    recipe = replace(RECIPE, teacher=str(taught[0]), teacher_weight=3.0)
    next(train(recipe, data))
    assert asked == [(3.0, epoch_order(split(data, recipe).training, recipe, 0)[0].tolist())]


def test_training_moves_toward_the_teacher(data, taught):
    run = list(train(replace(RECIPE, teacher=str(taught[0]), teacher_weight=3.0), data))
    gaps = [progress.parts["teacher"] for progress in run]
    assert np.mean(gaps[-3:]) < 0.85 * gaps[0]  # six seeds: 0.41 to 0.68
    assert all(p.loss > p.parts["teacher"] for p in run)


def test_what_does_not_fit_is_refused(data, taught, tmp_path):
    path, embeddings = taught
    with pytest.raises(ValueError, match="numbers and embedding_dim is 16; set it to 8"):
        next(train(replace(RECIPE, teacher=str(path), embedding_dim=16), data))
    save_embeddings(tmp_path / "few.npz", data.names[:3], embeddings[:3])
    with pytest.raises(ValueError, match=r"lacks \d+ of the training crops"):
        next(train(replace(RECIPE, teacher=str(tmp_path / "few.npz")), data))


def test_crops_of_nobody_count_for_the_teacher_alone(data, taught):
    """Two of six people unlabeled: the loss is that of the known crops, the teacher's of all."""
    nobody = replace(data, identities=tuple(f"{'b' if i > 3 else 'r'}/{i}" for i in range(6)))
    recipe = replace(
        RECIPE, teacher=str(taught[0]), held_out=0.0, batch_size=36, loss_weight=0.25, flip=False
    )
    recipe = replace(recipe, rotate=0.0, zoom=0.0, shift=0.0, jitter=0.0, gray=0.0, random_erasing=0.0)
    step = next(train(replace(recipe, unlabeled="b"), nobody))
    assert step.loss_fn.linear.out_features == 4 and 0 <= step.accuracy <= 1
    both = next(train(recipe, data))
    assert step.parts["teacher"] == pytest.approx(both.parts["teacher"], rel=1e-4)  # the same 36 crops
    assert step.loss - step.parts["teacher"] == pytest.approx(0.25 * np.log(4), rel=0.5)
    assert both.loss - both.parts["teacher"] == pytest.approx(0.25 * np.log(6), rel=0.5)


def test_accuracy_waits_for_the_first_crop_of_somebody_known(data, taught):
    """Two of six people are known and a batch has two crops, so the first one may show nobody known."""
    nobody = replace(data, identities=tuple(f"{'b' if i > 1 else 'r'}/{i}" for i in range(6)))
    recipe = replace(
        RECIPE, teacher=str(taught[0]), unlabeled="b", held_out=0.0, batch_size=2, epochs=1, loss="center"
    )
    training = split(nobody, recipe).training

    def known(seed):
        order = epoch_order(training, replace(recipe, seed=seed), 0)
        return (training.labels[order] >= 0).any(1)

    seed = next(seed for seed in range(100) if not known(seed)[:2].any() and known(seed)[2])
    run = list(train(replace(recipe, seed=seed), nobody))
    assert [math.isnan(p.accuracy) for p in run] == [True, True] + [False] * (len(run) - 2)
    judged = np.cumsum(known(seed))
    for before, after, count, shows in zip(run[2:], run[3:], judged[3:], known(seed)[3:]):
        if not shows:
            assert after.accuracy == before.accuracy
        gained = after.accuracy * count - before.accuracy * (count - shows)
        assert -1e-9 <= gained <= 1 + 1e-9  # a plain mean over the batches that show somebody
    for progress, shows in zip(run, known(seed)):
        assert set(progress.parts) == ({"softmax", "center", "teacher"} if shows else {"teacher"})


def test_a_loss_without_weight_leaves_the_teacher_alone(data, taught):
    run = next(train(replace(RECIPE, teacher=str(taught[0]), loss_weight=0.0), data))
    assert run.loss == pytest.approx(run.parts["teacher"], rel=1e-6)
