"""Embeddings with labels, without a model: figures by hand, and which of two runs is better."""

import json

import numpy as np
import pytest

from facelab.cli.main import main
from facelab.data.formats.vectors import Vectors
from facelab.evaluation.own_vectors import compare_vectors, judge_vectors, nearest_identities, sample
from facelab.metrics.closed_set import classification_report
from facelab.metrics.verification import all_pairs, roc


def made(noise: float, people: int = 30, each: int = 5, seed: int = 0, **more) -> Vectors:
    """Embeddings around random centers, the same centers for one seed."""
    centers = np.random.default_rng(0).normal(size=(people, 32))
    rng = np.random.default_rng(seed + 1)
    rows = np.repeat(centers, each, 0) + noise * rng.normal(size=(people * each, 32))
    labels = tuple(str(i) for i in np.repeat(np.arange(people), each))
    return Vectors(tuple(map(str, range(people * each))), rows.astype(np.float32), labels, **more)


def test_the_report_is_that_of_all_pairs():
    vectors = made(1.5)
    report = judge_vectors(vectors)
    exact = roc(*all_pairs(vectors.embeddings, np.array(vectors.identities)))
    assert report["auc"] == pytest.approx(exact.auc(), abs=report["error"])
    assert report["genuine_pairs"] == 30 * 10 and report["impostor_pairs"] == 150 * 149 // 2 - 300
    assert report["histogram"]["genuine"].sum() == pytest.approx(1) and "calibration" not in report
    assert len(report["nearest"]) == 10


def test_logits_are_calibrated_when_labels_are_their_columns():
    logits = np.random.default_rng(2).normal(size=(150, 30)).astype(np.float32)
    vectors = made(1.0, logits=logits)
    report = judge_vectors(vectors)["calibration"]
    labels = np.array([int(person) for person in vectors.identities])
    assert report == classification_report(logits, labels)
    few = made(1.0, logits=logits[:, :20])
    assert "calibration" not in judge_vectors(few)


def test_nearest_identities_are_the_smallest_angles():
    degrees = np.radians([0, 2, 10, 100, 104, 250])
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], 1).astype(np.float32)
    found = nearest_identities(vectors, np.array(["a", "a", "b", "c", "d", ""]))
    assert [(a, b) for a, b, _ in found] == [("c", "d"), ("a", "b")]
    assert [angle for *_, angle in found] == pytest.approx([4, 9], abs=0.05)


def test_a_sample_takes_whole_identities():
    vectors = made(1.0)
    rows = sample(vectors, 50)
    people, counts = np.unique(np.array(vectors.identities)[rows], return_counts=True)
    assert len(rows) == 50 and len(people) == 10 and set(counts) == {5}
    assert np.array_equal(sample(vectors, 150), np.arange(150))


def test_two_runs_differ_or_do_not():
    good, bad, twin = made(1.0), made(3.0), made(1.0, seed=5)
    found = compare_vectors(good, bad)
    value, low, high = found["eer"]
    assert value < 0 and high < 0 and found["decided"] and found["images"] == 150
    assert low <= value <= high
    assert not compare_vectors(good, twin)["decided"]
    same = compare_vectors(good, good)
    assert same["eer"] == (0, 0, 0) and not same["decided"]


def test_the_images_of_two_runs_are_matched_by_name():
    first = made(1.0)
    order = np.random.default_rng(3).permutation(150)[:100]
    second = Vectors(tuple(first.names[i] for i in order), first.embeddings[order], None)
    assert compare_vectors(first, second)["eer"] == (0, 0, 0)
    with pytest.raises(ValueError, match="fewer than two images in common"):
        compare_vectors(first, Vectors(("x", "y"), first.embeddings[:2], None))
    with pytest.raises(ValueError, match="have no labels"):
        compare_vectors(second, first)


def test_the_command_compares_two_files_on_a_list(tmp_path, capsys):
    good, bad = made(1.0), made(3.0)
    for name, vectors in (("good", good), ("bad", bad)):
        np.savez(tmp_path / f"{name}.npz", embeddings=vectors.embeddings)
    rng = np.random.default_rng(0)
    pairs = [(5 * p + a, 5 * p + b, 1) for p in range(30) for a, b in ((0, 1), (2, 3), (1, 4))]
    pairs += [(a, b, 0) for a, b in rng.integers(0, 150, (120, 2)) if a // 5 != b // 5]
    (tmp_path / "pairs.csv").write_text(
        "image1,image2,label\n" + "\n".join(f"{a},{b},{same}" for a, b, same in pairs)
    )
    argv = ["evaluate", "--embeddings", str(tmp_path / "good.npz"), "--pairs", str(tmp_path / "pairs.csv")]
    assert main([*argv, "--against", str(tmp_path / "bad.npz"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["difference"]
    assert found["against"] == "bad.npz" and found["auc"][0] > 0
