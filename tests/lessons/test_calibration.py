"""The calibration lessons: what is stored says again what torchmetrics, torch and loops say of the logits."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchmetrics.classification import MulticlassCalibrationError

from facelab.cli import lessons as cli_lessons
from facelab.cli.terminal import track
from facelab.data.folders import CropSet, load_crops
from facelab.lessons import calibration as lessons
from facelab.metrics.calibration import fit_temperature, reliability, softmax
from facelab.metrics.verification import all_pairs, roc
from facelab.models import checkpoint, zoo
from facelab.models.losses import build_loss
from facelab.models.model import build_model, embed
from facelab.models.recipe import Recipe
from facelab.models.recipes import RECIPES
from facelab.training.splits import split
from tests.conftest import as_zip

RECIPE = Recipe(
    neck="pool", embedding_dim=16, held_out=0.2, held_out_images=0.5, loss="online_label_smoothing"
)
PEOPLE, EACH = 10, 6
CROPS = np.random.default_rng(0).integers(0, 256, (PEOPLE * EACH, 112, 112, 3), np.uint8)
DATA = CropSet(
    CROPS,
    np.repeat(np.arange(PEOPLE), EACH),
    tuple(f"Anna{i}" for i in range(PEOPLE)),
    tuple(f"Anna{i // EACH}/{i}.png" for i in range(PEOPLE * EACH)),
)


def fresh(path, recipe, data):
    """A checkpoint of a network that has learned nothing, with classes that it can tell apart by chance."""
    training = split(data, recipe).training
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(recipe).eval()
        loss_fn = build_loss(
            recipe.loss, recipe.embedding_dim, len(training.identities), recipe.loss_options()
        )
        for name, value in loss_fn.named_parameters():
            if name == "linear.weight":
                torch.nn.init.normal_(value, std=2.0)
        if hasattr(loss_fn, "soft"):
            loss_fn.soft.copy_(torch.rand_like(loss_fn.soft).softmax(1))
    header = checkpoint.Header(recipe, len(training.identities), "noise", identities=training.identities)
    checkpoint.save(path, model, loss_fn.eval(), header)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return fresh(tmp_path_factory.mktemp("lessons") / "online.safetensors", RECIPE, DATA)


@pytest.fixture(scope="module")
def measured(path):
    return lessons.measure(str(path), DATA, track)


@pytest.fixture(scope="module")
def truth(path):
    """(logits, labels) of all held-out images in the order in which they are halved, fitted half first."""
    model, loss_fn, _ = checkpoint.load(path)
    images = split(DATA, RECIPE).images
    vectors = embed(model, images.batch(np.arange(len(images))), flip=False)
    with torch.no_grad():
        logits = loss_fn.logits(torch.from_numpy(vectors))
    order = np.random.default_rng(0).permutation(len(images))
    return logits[order], torch.from_numpy(images.labels[order])


def noise(count=400, classes=20, seed=0, scale=2.0, **others):
    """A lesson of random logits, of which about half are right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    logits = scale * (rng.normal(size=(count, classes)) + 2.2 * np.eye(classes)[labels])
    grid = np.union1d(np.arange(lessons.LOWEST, lessons.HIGHEST + 0.01, lessons.STEP).round(2), [1.234])
    values = {
        "model": "softmax", "loss": "softmax", "label_smoothing": 0.0, "overfit": False,
        "identities": classes,
        "temperatures": grid, "fitted": 1.234,
        "confidence": np.stack([softmax(logits / t).max(1) for t in grid]),
        "correct": logits.argmax(1) == labels,
        "nll": np.stack([-np.log(softmax(logits / t)[np.arange(count), labels]).mean() for t in grid]),
        "eer": 0.15, "strangers": 9, "similarity": np.zeros((0, 0)),
    }  # fmt: skip
    return lessons.Calibration(**values | others)


@pytest.mark.parametrize("temperature", [0.25, 1.0, 4.0, "fitted"])
def test_stored_arrays_give_the_ece_of_torchmetrics_and_the_nll_of_torch(
    measured, truth, tmp_path, temperature
):
    lessons.save(tmp_path / "x.npz", measured)
    lesson = lessons.load(tmp_path / "x.npz")
    logits, labels = (part[len(part) // 2 :] for part in truth)
    t = lesson.fitted if temperature == "fitted" else temperature
    at = lesson.nearest(t)
    assert lesson.temperatures[at] == t and len(lesson.correct) == len(labels) == 12
    for bins in (15, 7):
        theirs = MulticlassCalibrationError(8, n_bins=bins, norm="l1")((logits / t).softmax(1), labels)
        assert lesson.reliability(t, bins).ece() == pytest.approx(theirs.item(), abs=1e-4)
        assert lesson.eces(bins)[at] == lesson.reliability(t, bins).ece()
    assert lesson.nll[at] == pytest.approx(F.cross_entropy(logits.double() / t, labels).item(), rel=1e-6)


def test_stored_bins_are_those_of_a_loop(tmp_path):
    lessons.save(tmp_path / "x.npz", noise())
    lesson = lessons.load(tmp_path / "x.npz")
    claims, found = lesson.confidence[lesson.nearest(1.0)], lesson.reliability(1.0, 10)
    for m in range(10):
        inside = [m / 10 <= claim < (m + 1) / 10 or (m == 9 and claim == 1) for claim in claims]
        assert found.count[m] == sum(inside)
        if any(inside):
            assert found.accuracy[m] == pytest.approx(lesson.correct[inside].mean())
            assert found.confidence[m] == pytest.approx(claims[inside].mean())
    assert found.ece() == reliability(claims, lesson.correct, 10).ece() > 0.02


def test_temperature_changes_confidence_and_no_answer(measured, truth):
    logits, labels = (part[len(part) // 2 :].numpy() for part in truth)
    for t, confidence in zip(measured.temperatures, measured.confidence):
        assert ((logits / t).argmax(1) == labels).tolist() == measured.correct.tolist()
        assert confidence == pytest.approx(softmax(logits / t).max(1), abs=1e-5)
    assert (np.diff(measured.confidence, axis=0) < 0).all()  # the warmer, the less sure, in every photo
    assert measured.accuracy() == (logits.argmax(1) == labels).mean()


def test_the_temperature_is_fitted_on_the_other_half(measured, truth):
    logits, labels = (part.numpy() for part in truth)
    half = len(labels) // 2
    fitted = fit_temperature(logits[:half], labels[:half])
    assert measured.fitted == pytest.approx(np.clip(fitted, 0.25, 4.0), rel=1e-5)
    assert measured.fitted != pytest.approx(np.clip(fit_temperature(logits[half:], labels[half:]), 0.25, 4.0))
    assert measured.temperatures[[0, -1]].tolist() == [0.25, 4.0] and 1.0 in measured.temperatures
    assert measured.fitted in measured.temperatures and (np.diff(measured.temperatures) > 0).all()


def test_the_error_rate_is_of_people_whom_training_never_saw(measured, path):
    people = split(DATA, RECIPE).people
    vectors = embed(checkpoint.load(path)[0], people.batch(np.arange(len(people))))
    assert measured.eer == pytest.approx(roc(*all_pairs(vectors, people.labels)).equal_error_rate()[0])
    assert measured.strangers == 2 and measured.identities == 8


def test_look_alikes_stand_side_by_side():
    """Four planted pairs among forty people are found, the strongest first."""
    rng = np.random.default_rng(1)
    soft = rng.uniform(0, 0.001, (40, 40))
    pairs = [(31, 4), (7, 22), (0, 39), (15, 16)]
    for strength, (a, b) in zip((0.3, 0.2, 0.1, 0.05), pairs):
        soft[a, b] = strength  # one direction only is enough
    people = [person for pair in pairs for person in sorted(pair)]
    assert np.array_equal(lessons.look_alikes(soft, 8), soft[np.ix_(people, people)])
    assert np.array_equal(lessons.look_alikes(soft, 7), soft[np.ix_(people[:7], people[:7])])
    assert (
        lessons.look_alikes(soft[:3, :3]).shape == (3, 3) and lessons.look_alikes(np.zeros((0, 0))).size == 0
    )


def test_the_corner_holds_the_strongest_pair_of_the_learned_table(measured, path):
    soft = checkpoint.load(path)[1].soft.numpy()
    both = soft + soft.T
    np.fill_diagonal(both, 0)
    corner = measured.similarity
    assert corner.shape == (8, 8) and corner[0, 1] + corner[1, 0] == both.max()
    assert sorted(corner.ravel()) == sorted(soft.ravel())  # of eight people, all are in the corner


def test_files_are_small_and_hold_neither_names_nor_images(tmp_path, measured):
    lessons.save(tmp_path / "x.npz", measured)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as file:
        assert set(file.files) == {field.name for field in fields(lessons.Calibration)}
        words = {name: str(file[name]) for name in file.files if file[name].dtype.kind in "US"}
        assert words == {"model": "online", "loss": "online_label_smoothing"}
        assert all(file[name].ndim <= 2 and file[name].dtype != np.uint8 for name in file.files)
    assert b"Anna" not in (tmp_path / "x.npz").read_bytes()
    largest = noise(count=lessons.MAX_IMAGES, classes=650, seed=3)
    lessons.save(tmp_path / "large.npz", largest)
    assert (tmp_path / "large.npz").stat().st_size < 100_000
    again = lessons.load(tmp_path / "large.npz")
    assert np.abs(again.confidence - largest.confidence).max() <= 0.5 / lessons.LEVELS + 1e-12
    assert (again.correct == largest.correct).all() and (again.nll == largest.nll).all()
    assert (again.eer, again.model, again.strangers) == (0.15, "softmax", 9)


def test_no_more_photos_are_kept_than_fit(path, monkeypatch):
    monkeypatch.setattr(lessons, "MAX_IMAGES", 5)
    assert len(lessons.measure(str(path), DATA).correct) == 5


def test_lessons_come_in_the_order_of_smoothing(tmp_path):
    kinds = (("a", "center", 0.0), ("b", "softmax", 0.3), ("c", "softmax", 0.0), ("d", "softmax", 0.1))
    for name, loss, alpha in kinds:
        lesson = noise(40, model=name, loss=loss, label_smoothing=alpha)
        lessons.save(tmp_path / f"{name}.npz", lesson)
    assert [lesson.model for lesson in lessons.load_all(tmp_path)] == ["c", "d", "b", "a"]
    assert lessons.load_all(tmp_path / "nowhere") == []


def test_what_cannot_be_measured_is_refused_in_one_sentence(path, tmp_path):
    triplet = fresh(tmp_path / "t.safetensors", replace(RECIPE, loss="triplet"), DATA)
    with pytest.raises(ValueError, match="t was trained with triplet, which has no classes"):
        lessons.measure(str(triplet), DATA)
    others = replace(DATA, identities=tuple(f"B{i}" for i in range(PEOPLE)))
    with pytest.raises(ValueError, match="other identities than these crops give; its data were: noise"):
        lessons.measure(str(path), others)
    none = fresh(tmp_path / "n.safetensors", replace(RECIPE, held_out_images=0.0), DATA)
    with pytest.raises(
        ValueError, match="held out 0 photos of training identities; train it with --held-out-im"
    ):
        lessons.measure(str(none), DATA)


def test_without_people_held_out_there_is_no_error_rate(tmp_path):
    recipe = replace(RECIPE, held_out=0.0, loss="softmax", label_smoothing=0.3)
    lesson = lessons.measure(str(fresh(tmp_path / "s.safetensors", recipe, DATA)), DATA)
    assert np.isnan(lesson.eer) and lesson.strangers == 0 and lesson.similarity.size == 0
    assert (lesson.loss, lesson.label_smoothing) == ("softmax", 0.3)


@pytest.mark.parametrize("damage", ["cut", "missing array", "shapes"])
def test_damaged_files_are_refused(tmp_path, damage):
    path = tmp_path / "x.npz"
    lesson = noise(40)
    lessons.save(path, replace(lesson, correct=lesson.correct[1:]) if damage == "shapes" else lesson)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    if damage == "missing array":
        np.savez(path, correct=lesson.correct)
    with pytest.raises(ValueError, match=r"x\.npz is not a calibration lesson; `python -m facelab lessons"):
        lessons.load(path)


def test_the_command_writes_what_the_page_reads(tmp_path, monkeypatch, capsys):
    for i in range(16):
        (tmp_path / f"crops/p{i // 4}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(CROPS[i]).save(tmp_path / f"crops/p{i // 4}/{i}.png")
    archive = as_zip(tmp_path / "crops", tmp_path / "crops.zip")
    monkeypatch.setattr(zoo, "CHECKPOINTS", tmp_path)
    monkeypatch.setattr(cli_lessons, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(lessons, "FOLDER", tmp_path / "lessons")
    fresh(tmp_path / "mine.safetensors", replace(RECIPE, held_out=0.0), load_crops([archive]))
    cli_lessons.lessons(["calibration", "mine", "--data", str(archive)])
    (lesson,) = lessons.load_all(tmp_path / "lessons")
    assert (lesson.model, lesson.identities, len(lesson.correct)) == ("mine", 4, 4)
    assert f"accuracy {lesson.accuracy():.1%}" in capsys.readouterr().out


def test_overfit_lessons_come_last_and_are_told_from_others(tmp_path):
    for name, lesson in {
        "a": noise(model="a", overfit=True),
        "b": noise(model="b", label_smoothing=0.1),
        "c": noise(model="c"),
    }.items():
        lessons.save(tmp_path / f"{name}.npz", lesson)
    assert [lesson.model for lesson in lessons.load_all(tmp_path)] == ["c", "b", "a"]
    assert [lesson.overfit for lesson in lessons.load_all(tmp_path)] == [False, False, True]
    assert lessons._invites_overfitting(RECIPES["overfit"]) and not lessons._invites_overfitting(
        RECIPES["unaugmented"]
    )


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    """`overfit` was called `bare`."""
    lessons.save(tmp_path / "now.npz", noise(overfit=True))
    with np.load(tmp_path / "now.npz") as file:
        arrays = {"bare" if name == "overfit" else name: file[name] for name in file.files}
    np.savez(tmp_path / "before.npz", **arrays)
    assert lessons.load(tmp_path / "before.npz").overfit is True


def test_a_rounded_fitted_temperature_is_the_fitted_one():
    """Even where a temperature of the grid rounds to the same; T = 1 stays as trained."""
    for fitted in (0.8477, 1.0049):
        lesson = replace(noise(), temperatures=np.sort([0.85, 1.0, fitted]), fitted=fitted)
        assert lesson.temperatures[lesson.nearest(1.0)] == 1.0
    lesson = replace(noise(), temperatures=np.array([0.8477, 0.85, 1.0]), fitted=0.8477)
    assert lesson.temperatures[lesson.nearest(round(lesson.fitted, 2))] == 0.8477
    assert lesson.temperatures[lesson.nearest(0.9)] == 0.85
