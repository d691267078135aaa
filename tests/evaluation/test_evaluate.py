"""Evaluation: the figures are those of the scores, and photos without a face cost what they should."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facelab.data.folders import CropSet, ImageFolder
from facelab.data.pairs import Pairs
from facelab.data.parametric import ParametricFaces
from facelab.evaluation import evaluate as evaluation
from facelab.evaluation.evaluate import calibrate, evaluate, evaluate_classes
from facelab.evaluation.protocols import Embedded, judge_difference
from facelab.metrics.verification import all_pairs, cosine, equal_error_rate, verification_report
from facelab.models import checkpoint
from facelab.models.model import embed
from facelab.models.recipe import Recipe
from facelab.recognition.embedder import Embedder
from facelab.training.loop import train
from facelab.training.validation import held_out_points
from tests.conftest import one_sentence

KEYS = {
    "accuracy",
    "accuracy_std",
    "accuracy_all",
    "eer",
    "auc",
    "tar_at_far",
    "pairs",
    "skipped",
    "failures",
    "self_pairs",
    "repeated_pairs",
    "contradicting_pairs",
}


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """evaluate() and calibrate() on vectors that are known; returns what sets them and makes the files."""

    def set_up(vectors: dict[str, list[float]], missing: tuple[str, ...] = ()):
        for name in [*vectors, *missing]:
            (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "photos" / name).write_bytes(b"x")

        def embed_images(model, folder, names, *rest):
            found = {name: np.array(vectors[name], np.float32) for name in names if name in vectors}
            return found, {name: "no face was found" for name in names if name in missing}

        monkeypatch.setattr(evaluation, "embed_images", embed_images)
        monkeypatch.setattr(evaluation, "load", lambda name: Embedder(name, None, cosine, "cosine", None))
        return str(tmp_path / "photos")

    return set_up


def at(angle: float) -> list[float]:
    return [float(np.cos(angle)), float(np.sin(angle))]


def pairs_file(tmp_path, rows) -> str:
    path = tmp_path / "pairs.txt"
    path.write_text("".join(f"{a}\t{b}\t{label}\n" for a, b, label in rows))
    return str(path)


def test_the_report_is_that_of_the_scores(fake, tmp_path):
    rng = np.random.default_rng(0)
    people = {f"p{i}/{j}.jpg": at(i + rng.normal(0, 0.4)) for i in range(6) for j in range(5)}
    rows = [(a, b, int(a[:2] == b[:2])) for a, b in itertools.combinations(people, 2)]
    report = evaluate("any", fake(people), pairs_file(tmp_path, rows))
    scores = np.array([cosine(np.array([people[a]]), np.array([people[b]]))[0] for a, b, _ in rows])
    same = np.array([label == 1 for *_, label in rows])
    folds = np.empty(len(rows), int)
    for kind in (same, ~same):
        folds[kind] = np.arange(kind.sum()) % 10
    expected = verification_report(scores, same, folds)
    expected.pop("fold_accuracy")
    assert set(report) == KEYS
    for name, value in expected.items():
        assert report[name] == pytest.approx(value), name
    assert report["accuracy_all"] == pytest.approx(report["accuracy"])
    assert (report["pairs"], report["skipped"], report["failures"]) == (len(rows), 0, {})


def lfw_list(tmp_path, folds: int, each: int) -> str:
    """Fold f compares photos of its own people f0 and f1: `each` genuine and `each` impostor pairs."""
    lines = [f"{folds}\t{each}"]
    for f in range(folds):
        lines += [f"f{f}a\t1\t{i + 2}" for i in range(each)]
        lines += [f"f{f}a\t1\tf{f}b\t{i + 1}" for i in range(each)]
    path = tmp_path / "pairs.txt"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def lfw_photos(folds: int, each: int) -> dict[str, list[float]]:
    photos = {}
    for f in range(folds):
        photos |= {f"f{f}a/f{f}a_{i + 1:04d}.jpg": at(0.0 + 0.01 * i) for i in range(each + 1)}
        photos |= {f"f{f}b/f{f}b_{i + 1:04d}.jpg": at(1.5 + 0.01 * i) for i in range(each)}
    return photos


def test_skipped_pairs_count_as_wrong_in_accuracy_all_only(fake, tmp_path):
    """A perfect model: what is left out is its only loss. One of 8 pairs is missing in one of 4 folds."""
    photos, lost = lfw_photos(4, 4), "f2a/f2a_0003.jpg"
    photos.pop(lost)
    report = evaluate("any", fake(photos, (lost,)), lfw_list(tmp_path, 4, 4))
    assert report["accuracy"] == 1 and report["eer"] == 0 and report["auc"] == 1
    assert (report["pairs"], report["skipped"]) == (32, 1)
    assert report["accuracy_all"] == pytest.approx(31 / 32)
    assert report["failures"] == {lost: "no face was found"}


def test_a_fold_without_any_scored_pair_counts_as_wrong_too(fake, tmp_path):
    """The first photo of fold 1 is in all its pairs; that fold's accuracy is 0 in the second figure."""
    photos, lost = lfw_photos(4, 3), "f1a/f1a_0001.jpg"
    photos.pop(lost)
    report = evaluate("any", fake(photos, (lost,)), lfw_list(tmp_path, 4, 3))
    assert report["accuracy"] == 1 and report["skipped"] == 6
    assert report["accuracy_all"] == pytest.approx(3 / 4)


def test_two_models_are_held_against_each_other_on_pairs_that_both_can_score(
    album, tiny_checkpoint, tmp_path
):
    """The same model differs by nothing; the pairs are those of the list, and the command prints them."""
    names = sorted(str(path.relative_to(album)) for path in album.rglob("*.jpg") if path.parent.name != "p0")
    rows = [(a, b, int(a[:2] == b[:2])) for a, b in itertools.combinations(names, 2)]
    model, images, listed = str(tiny_checkpoint), str(album), pairs_file(tmp_path, rows)
    report = evaluate(model, images, listed, against=model)
    alone = evaluate(model, images, listed)
    assert report.pop("difference") == {
        "against": model, "eer": (0, 0, 0), "auc": (0, 0, 0), "pairs": len(rows),
        "tar_at_far": dict.fromkeys(alone["tar_at_far"], (0, 0, 0)),
    }  # fmt: skip
    assert report == alone


def test_a_pair_that_one_of_two_models_cannot_score_is_left_out_for_both():
    """Photos on a circle; the second model sees them elsewhere, and lacks one of them."""
    rng = np.random.default_rng(3)
    names = [f"p{i % 4}/{i}.jpg" for i in range(24)]
    places = {name: np.array(at(int(name[1]) + rng.normal(0, 0.5))) for name in names}
    others = {name: np.array(at(int(name[1]) + rng.normal(0, 0.1))) for name in names[1:]}
    listed = list(itertools.combinations(names, 2))
    same = np.array([a[:2] == b[:2] for a, b in listed])
    first, second = ([pair[side] for pair in listed] for side in (0, 1))
    pairs = Pairs(tuple(first), tuple(second), same, np.zeros(len(same), int))
    one, other = Embedded(places, {}, cosine), Embedded(others, {names[0]: "no face was found"}, cosine)
    found = judge_difference(one, other, pairs, first + second)
    kept = np.array([names[0] not in pair for pair in listed])
    scores = [
        cosine(np.stack([v[a] for a, _ in scored]), np.stack([v[b] for _, b in scored]))
        for v in (places, others)
        for scored in [[pair for pair, keep in zip(listed, kept) if keep]]
    ]
    same = same[kept]
    expected = [equal_error_rate(score[same], score[~same])[0] for score in scores]
    assert found["pairs"] == kept.sum() == len(listed) - 23
    assert found["eer"][0] == pytest.approx(expected[0] - expected[1])
    assert found["eer"][0] > 0 and found["eer"][1] <= found["eer"][0] <= found["eer"][2]
    back = judge_difference(other, one, pairs, first + second)
    assert back["eer"][0] == pytest.approx(-found["eer"][0])


def test_what_cannot_be_judged_is_answered_in_one_sentence(fake, tmp_path):
    images = fake({"a/1.jpg": at(0)}, ("b/1.jpg", "b/2.jpg"))
    with pytest.raises(ValueError, match=r"no pair could be scored; b/.*: no face was found") as error:
        evaluate("any", images, pairs_file(tmp_path, [("b/1.jpg", "b/2.jpg", 1)]))
    assert one_sentence(str(error.value), tmp_path)
    with pytest.raises(ValueError, match="there is no impostor score"):
        evaluate("any", images, pairs_file(tmp_path, [("a/1.jpg", "a/1.jpg", 1)]))
    with pytest.raises(ValueError, match=r"the first: c/1.jpg \(not found\)"):
        evaluate("any", images, pairs_file(tmp_path, [("a/1.jpg", "c/1.jpg", 1)]))


def test_real_photos_from_detection_to_figures(album, tiny_checkpoint, tmp_path):
    rows = [("p0/p0_0001", "p0/p0_0004", 1), ("p1/p1_0001", "p1/p1_0002", 1), ("p1/p1_0001", "p2/p2_0001", 0)]
    report = evaluate(str(tiny_checkpoint), str(album), pairs_file(tmp_path, rows), cache=tmp_path / "cache")
    assert (report["pairs"], report["skipped"]) == (3, 1)
    assert list(report["failures"]) == ["p0/p0_0004.jpg"]
    assert report["accuracy_all"] == pytest.approx(report["accuracy"] * 2 / 3)


# Calibration


def test_calibration_measures_all_pairs_of_the_people_named(fake):
    rng = np.random.default_rng(1)
    photos = {f"p{i}/{j}.jpg": at(2 * i + rng.normal(0, 0.3)) for i in range(8) for j in range(4)}
    points = calibrate("any", fake(photos), [f"p{i}" for i in range(6)])
    kept = {name: vector for name, vector in photos.items() if name[1] < "6"}
    labels = np.array([name[:2] for name in kept])
    genuine, impostor = all_pairs(np.array(list(kept.values()), np.float32), labels)
    assert (points.genuine_pairs, points.impostor_pairs) == (len(genuine), len(impostor)) == (36, 240)
    for far, threshold in zip(points.far, points.threshold):
        assert (impostor.astype(np.float64) >= threshold).mean() <= far
    assert points.source == "photos: 6 people, 24 photos"


def test_at_most_ten_photos_of_a_person_are_taken(fake):
    photos = {f"p{i}/{j:02d}.jpg": at(i + 0.01 * j) for i in range(3) for j in range(14)}
    points = calibrate("any", fake(photos))
    assert points.genuine_pairs == 3 * 45 and points.impostor_pairs == 3 * 100


def test_equal_folder_names_below_two_folders_are_refused(fake):
    sets = {f"{part}/p{i}/{j}.jpg": at(i) for part in ("x", "y") for i in range(3) for j in range(3)}
    with pytest.raises(ValueError, match="p0 is in x and in y, which may be one person or two; give one"):
        calibrate("any", fake(sets))


def test_calibration_counts_the_people_above_their_sessions(fake):
    photos = {f"p{i}/session{s}/{j}.jpg": at(i) for s in range(2) for i in range(6) for j in range(3)}
    said = []
    points = calibrate("any", fake(photos), ["p0", "p1", "p2", "p3"], say=said.append)
    assert points.source.startswith("photos: 4 people, 24 photos") and points.genuine_pairs == 4 * 15
    assert said == ["photos: folders inside a person's (p0/session0) count as that person's sessions"]


def test_nobody_to_calibrate_on_is_answered_in_one_sentence(fake):
    images = fake({"a/1.jpg": at(0), "b/1.jpg": at(1)}, ("c/1.jpg",))
    with pytest.raises(ValueError, match="photos has no folder of any of these people"):
        calibrate("any", images, ["nobody"])
    with pytest.raises(ValueError, match=r"no photo could be embedded; c/1.jpg: no face was found"):
        calibrate("any", images, ["c"])
    for people in (["a"], None):
        with pytest.raises(ValueError, match="too few to set thresholds"):
            calibrate("any", images, people)


def test_held_out_points_are_those_of_the_held_out_crops(tiny_run):
    rng = np.random.default_rng(2)
    crops = rng.integers(0, 256, (30, 112, 112, 3), dtype=np.uint8)
    data = CropSet(crops, np.arange(30) // 3, tuple(map(str, range(10))), tuple(map(str, range(30))))
    part = data.select(range(2, 10))
    points = held_out_points(tiny_run[0], part, "eight people")
    genuine, impostor = all_pairs(embed(tiny_run[0], crops[6:]), np.arange(24) // 3)
    assert (points.genuine_pairs, points.impostor_pairs) == (len(genuine), len(impostor))
    assert points.eer_threshold == pytest.approx(held_out_points(tiny_run[0], part, "again").eer_threshold)
    assert points.edges[0] == min(genuine.min(), impostor.min())


def test_an_archive_of_aligned_crops_is_evaluated_without_detection(crop_folder, tiny_checkpoint, tmp_path):
    for i, path in enumerate(sorted(crop_folder.rglob("*.png"))):
        noise = np.random.default_rng(i // 3).integers(0, 256, (112, 112, 3), dtype=np.uint8)
        noise[:, i % 3] = 0
        Image.fromarray(noise).save(path)
    names = ImageFolder(crop_folder).names
    rows = [(a, b, int(a[:3] == b[:3])) for a, b in itertools.combinations(names, 2)]
    report = evaluate(str(tiny_checkpoint), str(crop_folder), pairs_file(tmp_path, rows), aligned=True)
    assert report["accuracy"] == 1 and report["skipped"] == 0  # noise of one seed is nearer than of two


# closed set


@pytest.fixture
def classifier(tmp_path) -> tuple[Path, Path, CropSet]:
    """(checkpoint, its training crops as a folder, the same in memory)."""
    data = ParametricFaces(4, 4, seed=3).crop_set()
    for crop, name in zip(data.crops, data.names):
        (tmp_path / "crops" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(crop).save(tmp_path / "crops" / f"{name}.png")
    recipe = Recipe(
        neck="pool", embedding_dim=8, epochs=2, batch_size=8, held_out=0.0, precision="fp32", lr=0.05
    )
    last = list(train(recipe, data))[-1]
    path = tmp_path / "mine.safetensors"
    header = checkpoint.Header(recipe, 4, "rendered faces", identities=data.identities)
    checkpoint.save(path, last.model, last.loss_fn, header)
    return path, tmp_path / "crops", data


def test_classes_are_judged_by_the_checkpoints_own_logits(classifier):
    path, folder, data = classifier
    report = evaluate_classes(str(path), str(folder))
    model, loss_fn, _ = checkpoint.load(path)
    with torch.no_grad():
        logits = loss_fn.logits(torch.from_numpy(embed(model, data.crops, flip=False)))
    expected = (logits.argmax(1).numpy() == data.labels).mean()
    assert report["top_1"] == pytest.approx(expected) and report["images"] == 16 and report["identities"] == 4
    assert report["nll"] == pytest.approx(
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(data.labels)).item(), rel=1e-4
    )
    assert all(name != other for name, other, _ in report["most_confused"])


def test_people_whom_a_checkpoint_does_not_know_are_refused(classifier, tiny_checkpoint):
    path, folder, _ = classifier
    (folder / "0").rename(folder / "stranger")
    with pytest.raises(ValueError, match="classes that were not trained on"):
        evaluate_classes(str(path), str(folder))
    with pytest.raises(ValueError, match="does not list its training identities"):
        evaluate_classes(str(tiny_checkpoint), str(folder))
