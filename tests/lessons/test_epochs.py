"""The runs with two numbers per face: what is recorded is what the network and its last layer say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facelab.cli.terminal import track
from facelab.data.folders import CropSet
from facelab.lessons import epochs as lesson
from facelab.models import checkpoint
from facelab.models.losses import build_loss
from facelab.models.model import build_model
from facelab.models.recipe import Recipe
from facelab.training import loop as train
from facelab.training.splits import split

SOURCE = Recipe(neck="pool", embedding_dim=8, held_out=0.5, seed=1)
SHORT = {"epochs": 2, "batch_size": 8, "precision": "fp32", "lr": 0.05}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A checkpoint of random weights, trained on nobody."""
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    torch.manual_seed(4)
    model = build_model(SOURCE)
    for module in model.backbone.modules():  # batch statistics of its own, to be recognized by
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
    checkpoint.save(path, model, build_loss("softmax", 8, 9, {}), checkpoint.Header(SOURCE, 9, "noise"))
    return str(path)


def crops_of(counts) -> CropSet:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(counts)), counts)
    shades = rng.integers(20, 230, (len(counts), 1, 1, 3))[labels]
    crops = np.clip(shades + rng.normal(0, 20, (len(labels), 112, 112, 3)), 0, 255).astype(np.uint8)
    names = tuple(f"{i}.jpg" for i in range(len(labels)))
    return CropSet(crops, labels, tuple(f"id{i}" for i in range(len(counts))), names)


@pytest.fixture(scope="module")
def recorded(start):
    """Each run for two short epochs on three people, and the networks that they ended with."""
    data, ends, out = crops_of([10, 10, 10]), {}, {}
    original = train.train

    def watched(recipe, crops):
        for progress in original(recipe, crops):
            ends[recipe.loss, recipe.bias, recipe.center_weight] = progress.model
            yield progress

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "train", watched)
        for name, recipe in lesson.RUNS.items():
            late = (1, 0.3) if name in lesson.LATE else None
            out[name] = lesson.record(replace(recipe, **SHORT), data, start, track, late)
    return out, ends


@pytest.mark.parametrize("name", lesson.RUNS)
def test_accuracy_follows_from_the_recorded_numbers_alone(recorded, name):
    run = recorded[0][name]
    assert run.training.shape == (2, 24, 2) and run.others.shape == (2, 6, 2)
    assert (
        np.bincount(run.training_labels).tolist() == [8] * 3
        and np.bincount(run.other_labels).tolist() == [2] * 3
    )
    for epoch in range(2):
        weights, bias = run.prototypes[epoch], run.bias[epoch]
        if name == "arcface":
            weights = weights / np.linalg.norm(weights, axis=1, keepdims=True)
        for i, (points, labels) in enumerate(
            ((run.training, run.training_labels), (run.others, run.other_labels))
        ):
            named = (points[epoch] @ weights.T + bias).argmax(1)
            assert run.accuracy[epoch, i] == pytest.approx((named == labels).mean())
    assert (np.abs(run.bias).max() > 0) == (name == "softmax_bias")
    assert not np.allclose(run.training[0], run.training[1])  # it learned


def test_the_convolutions_are_the_checkpoints_and_stay(recorded, start):
    source = checkpoint.load(start)[0].backbone.state_dict()
    assert len(recorded[1]) == len(lesson.RUNS)
    for model in recorded[1].values():
        ours = model.backbone.state_dict()
        assert all(torch.equal(ours[key], value) for key, value in source.items() if "num_batches" not in key)


def test_ten_people_are_those_with_the_most_crops_that_the_checkpoint_never_saw(start):
    counts = np.random.default_rng(2).permutation(np.arange(2, 28))
    data = crops_of(counts.tolist())
    parts = split(data, SOURCE)
    people = parts.people
    never = {name: int(counts[int(name[2:])]) for name in people.identities}
    ten = lesson.ten_people(data, start)
    sizes = np.bincount(ten.labels).tolist()
    assert sizes == sorted(never.values(), reverse=True)[:10]
    assert ten.identities == tuple(f"person {i}" for i in range(1, 11)) and set(ten.names).isdisjoint(
        data.names
    )
    trained_on = {crop.tobytes() for crop in parts.training.batch(np.arange(len(parts.training)))}
    assert SOURCE.seed != SOURCE.split_seed and trained_on.isdisjoint(crop.tobytes() for crop in ten.crops)
    biggest = max(never, key=never.get)
    own = data.crops[data.labels == int(biggest[2:])]
    assert {crop.tobytes() for crop in ten.crops[ten.labels == 0]} == {crop.tobytes() for crop in own}
    with pytest.raises(ValueError, match="5 people of these data held out; the runs need 10"):
        lesson.ten_people(crops_of([2] * 10), start)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    recipe = replace(SOURCE, backbone="mobilenet_face")
    path = tmp_path / "mobile.safetensors"
    checkpoint.save(
        path, build_model(recipe), build_loss("softmax", 8, 9, {}), checkpoint.Header(recipe, 9, "noise")
    )
    with pytest.raises(ValueError, match="is a mobilenet_face; the runs need a resnet_face"):
        lesson.record(replace(lesson.START, **SHORT), crops_of([10, 10]), str(path))


def test_only_the_bias_differs_between_the_two_softmax_runs():
    assert replace(lesson.RUNS["softmax_bias"], bias=False) == lesson.RUNS["softmax"]
    assert all(recipe.embedding_dim == 2 for recipe in lesson.RUNS.values())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(lesson, "FOLDER", tmp_path)
    return tmp_path


def full_size():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 24), np.repeat(np.arange(10), 6)
    return lesson.Epochs(
        rng.normal(size=(40, 240, 2)) * 5, rng.normal(size=(40, 60, 2)) * 5, *labels,
        rng.normal(size=(40, 10, 2)), np.zeros((40, 10)), rng.uniform(size=(40, 2)),
    )  # fmt: skip


def test_a_file_keeps_numbers_only_and_is_small(folder):
    run = full_size()
    lesson.save(folder / "center.npz", run)
    assert (folder / "center.npz").stat().st_size < 150_000
    with np.load(folder / "center.npz", allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file.files} == {"f", "u"}
    read = lesson.load("center")
    np.testing.assert_allclose(read.training, run.training, rtol=1e-3)
    np.testing.assert_array_equal(read.other_labels, run.other_labels)
    assert lesson.names() == ["center"]
    with pytest.raises(ValueError, match="no run 'arcface'; make it with"):
        lesson.load("arcface")
    (folder / "center.npz").write_bytes(b"PK" + bytes(200))
    with pytest.raises(ValueError, match=r"center\.npz is damaged"):
        lesson.load("center")
    lesson.save(folder / "center.npz", replace(run, prototypes=run.prototypes[:, :5]))
    with pytest.raises(ValueError, match=r"center\.npz is damaged"):
        lesson.load("center")


def spread(points, labels):
    """Mean distance to the own person's mean, as a share of the mean distance from the origin."""
    own = [np.linalg.norm(points[labels == k] - points[labels == k].mean(0), axis=1) for k in set(labels)]
    return np.concatenate(own).mean() / np.linalg.norm(points, axis=1).mean()


def test_the_shipped_runs_show_what_the_page_says_of_them():
    if set(lesson.names()) != set(lesson.RUNS):
        pytest.skip("the runs are not here; python -m facelab lessons epochs")
    runs = {name: lesson.load(name) for name in lesson.RUNS}
    for name, run in runs.items():
        assert run.accuracy[-1, 0] > 0.9 and 0.5 < run.accuracy[-1, 1] < run.accuracy[-1, 0]
        assert (np.abs(run.bias).max() > 0) == (name == "softmax_bias")
        assert run.accuracy[0].max() < 0.5  # there is something to watch
    labels = runs["softmax"].training_labels
    assert spread(runs["center"].training[-1], labels) < 0.85 * spread(runs["softmax"].training[-1], labels)
    biased, plain = runs["softmax_bias"], runs["softmax"]
    largest = int(biased.bias[-1].argmax())
    middle = np.linalg.norm(biased.training[-1][labels == largest], axis=1).mean()
    others = np.linalg.norm(biased.training[-1][labels != largest], axis=1).mean()
    assert middle < 0.6 * others  # who has the largest bias sits in the middle; without a bias nobody does
    lengths = [np.linalg.norm(plain.training[-1][labels == k], axis=1).mean() for k in range(10)]
    assert min(lengths) > 0.6 * np.mean(lengths)


def test_a_late_center_loss_pulls_from_its_epoch_on(recorded):
    softmax, late = recorded[0]["softmax"], recorded[0]["center_late"]
    np.testing.assert_allclose(late.training[0], softmax.training[0], atol=1e-4)
    assert not np.allclose(late.training[1], softmax.training[1], atol=1e-4)


def test_compactness_is_the_ratio_of_the_two_distances():
    points = np.array([[[0.0, 1], [0, -1], [8, 1], [8, -1]]])
    labels = np.array([0, 0, 1, 1])
    run = lesson.Epochs(points, points[:, :1] + 1, labels, labels[:1], *[np.zeros((1, 2, 2))] * 3)
    assert lesson.compactness(run) == pytest.approx(1 / 8)
    assert lesson.compactness(run, others=True) == pytest.approx(np.hypot(1, 2) / 8)
