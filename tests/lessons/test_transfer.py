"""The transfer lesson: fair deals, the starts it names, and a run that learns."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from facelab.cli.terminal import track
from facelab.data.folders import CropSet, Selection
from facelab.data.parametric import ParametricFaces
from facelab.lessons import transfer
from facelab.lessons.transfer import SHOTS, TEST, Outcome, few_shot_split, run, starts
from facelab.models.checkpoint import describe
from facelab.models.recipe import Recipe
from facelab.models.zoo import find_checkpoint


def people(sizes):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    crops = np.zeros((len(labels), 112, 112, 3), np.uint8)
    crops[:, 0, 0, 0] = np.arange(len(labels))  # tells photos apart
    names = tuple(map(str, range(len(labels))))
    return CropSet(crops, labels, tuple(f"p{i}" for i in range(len(sizes))), names)


@pytest.mark.parametrize("seed", range(3))
def test_all_numbers_of_photos_are_judged_by_the_same_tests(seed):
    data = people([10, 12, 11])
    tests = None
    before = set()
    for shots in SHOTS:
        few, judged = few_shot_split(data, shots, seed)
        learned = set(few.crops[:, 0, 0, 0].tolist())
        assert np.bincount(few.labels).tolist() == [shots] * 3
        assert np.bincount(judged.labels).tolist() == [TEST] * 3
        assert learned.isdisjoint(judged.rows.tolist())
        assert before <= learned  # more photos are the same ones and others
        assert tests is None or (judged.rows == tests).all()
        tests, before = judged.rows, learned
    assert (few_shot_split(data, 1, seed + 1)[1].rows != tests).any()


def test_too_few_photos_are_named():
    with pytest.raises(ValueError, match="p1 has 9 photos; 6 to learn and 4 to test are needed"):
        few_shot_split(people([10, 9]), 6, 0)


def test_starts_differ_in_what_they_say():
    ways = starts("softmax")
    assert ways["scratch"].init_from is None and ways["scratch"].freeze is None
    frozen = {name: recipe.freeze for name, recipe in ways.items() if recipe.freeze}
    assert frozen == {"faces, to stage3": "stage3", "faces, frozen": "neck", "ImageNet, frozen": "head"}
    other = starts("resnet_softmax")["faces, whole"]  # of another embedding size
    theirs = describe(find_checkpoint("resnet_softmax")).recipe
    assert (other.backbone, other.embedding_dim) == (theirs.backbone, theirs.embedding_dim)
    assert {recipe.init_from for recipe in ways.values()} == {None, "softmax", "imagenet"}
    assert all(recipe.held_out == recipe.held_out_images == 0 for recipe in ways.values())


def test_a_run_learns_rendered_people(monkeypatch):
    monkeypatch.setattr(transfer, "STEPS", 16)
    monkeypatch.setattr(transfer, "BATCH", 12)
    data = ParametricFaces(4, 7, seed=2).crop_set()
    recipe = Recipe(backbone="alexnet_face", embedding_dim=32, batch_size=12, lr=0.05, held_out=0.0)
    recipe = replace(recipe, random_erasing=0.0, rotate=0.0, zoom=0.0, shift=0.0, jitter=0.0)
    first = run(recipe, data, 3, 0)
    assert first == run(recipe, data, 3, 0)
    assert first > 0.5  # by chance one in four


@pytest.mark.parametrize("seed", [0, 5])
def test_the_seed_deals_the_photos_and_begins_the_network(seed, monkeypatch):
    seen, data = [], people([8, 8])
    few, tests = few_shot_split(data, 3, seed)

    def trained(recipe, crops):
        seen.append((recipe.seed, crops.names))
        yield SimpleNamespace(model=None, loss_fn=None)

    monkeypatch.setattr(transfer, "train", trained)
    monkeypatch.setattr(transfer, "accuracy", lambda model, loss_fn, of: seen.append(of.rows.tolist()))
    run(Recipe(), data, 3, seed)
    assert seen == [(seed, few.names), tests.rows.tolist()]


def test_accuracy_is_of_both_views(monkeypatch):
    views, tests = [], Selection(None, np.arange(2), np.arange(2), ("a", "b"))
    monkeypatch.setattr(
        transfer, "embed_all", lambda model, batches, flip=True: views.append(flip) or np.eye(2)
    )
    monkeypatch.setattr(transfer, "class_logits", lambda loss_fn, embeddings: embeddings)
    assert transfer.accuracy(None, None, tests) == 1 and views == [True]


def test_every_start_is_measured_with_every_number_of_photos_and_seed(monkeypatch):
    monkeypatch.setattr(transfer, "STEPS", 1)
    small = Recipe(backbone="alexnet_face", neck="pool", embedding_dim=16, lr=0.01, held_out=0.0)
    monkeypatch.setattr(transfer, "starts", lambda face: {"scratch": small, face: small})
    data = people([8, 8])
    asked = []

    def noted(recipe, crops, shots, seed):
        asked.append((shots, seed))
        return run(recipe, crops, shots, seed)

    monkeypatch.setattr(transfer, "run", noted)
    outcomes = list(transfer.measure("ours", data, seeds=2, shots=(1, 3), track=track))
    assert asked == [(one.shots, one.seed) for one in outcomes]
    assert {(one.start, one.shots, one.seed) for one in outcomes} == set(
        itertools.product(("scratch", "ours"), (1, 3), (0, 1))
    )
    assert len(outcomes) == 8 and all(one.accuracy * TEST * 2 % 1 == 0 for one in outcomes)


def test_the_table_survives_a_file(tmp_path):
    table = [Outcome("scratch", 1, 0, 0.25), Outcome("faces, whole", 6, 2, 0.975)]
    transfer.save(table, tmp_path / "a" / "t.json")
    assert transfer.load(tmp_path / "a" / "t.json") == table
    assert transfer.load(tmp_path / "none.json") == []
