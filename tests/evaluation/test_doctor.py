"""The training doctor on real trainings that failed in a known way, and on healthy ones (doctor_runs.py)."""

import json
from dataclasses import replace

import numpy as np
import pytest

from facelab.evaluation.doctor import diagnose
from facelab.evaluation.run_log import Curve, RunLog, Settings, from_rows
from facelab.models.recipe import Recipe
from tests.evaluation.doctor_runs import FOLDER, RUNS

HEALTHY = [name for name in RUNS if name.startswith("healthy")]
PLANTED = [name for name in RUNS if name not in HEALTHY]


def run(name: str) -> tuple[Recipe, int, list[dict[str, float]]]:
    stored = json.loads((FOLDER / f"{name}.json").read_text())
    return Recipe.from_dict(stored["recipe"]), stored["classes"], stored["rows"]


def names(log: RunLog) -> list[str]:
    return [finding.name for finding in diagnose(log)]


def test_there_are_enough_runs():
    assert len(HEALTHY) >= 4 and len(PLANTED) >= 12
    assert {path.stem for path in FOLDER.iterdir()} == set(RUNS)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_failure_is_named_with_a_number_and_a_remedy(name):
    (finding,) = diagnose(from_rows(*run(name)))
    assert finding.name == name
    assert any(letter.isdigit() for letter in finding.saw) and finding.saw.endswith(".")
    assert finding.remedy.endswith(".") and "nan" not in finding.saw


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_is_left_alone(name):
    recipe, classes, rows = run(name)
    assert diagnose(from_rows(recipe, classes, rows)) == []
    assert (
        diagnose(RunLog(from_rows(recipe, classes, rows).curves, Settings())) == []
    )  # a log without settings


@pytest.mark.parametrize("name", RUNS)
def test_a_rule_without_its_numbers_says_nothing(name):
    """Of a run whose settings and learning rate are unknown, no finding rests on them."""
    log = from_rows(*run(name))
    few = RunLog(
        {key: Curve(curve.at[:3], curve.values[:3]) for key, curve in log.curves.items()}, log.settings
    )
    assert names(few) == []
    unknown = names(RunLog({key: c for key, c in log.curves.items() if key != "lr"}, Settings()))
    assert not set(unknown) & {
        "collapse",
        "margin_from_scratch",
        "rate_too_low",
        "decayed_too_early",
        "cut_short",
    }


@pytest.mark.parametrize("name", ["uniform", "rate_too_high"])
def test_the_number_of_classes_decides_what_a_guess_costs(name):
    recipe, classes, rows = run(name)
    log = from_rows(recipe, classes, rows)
    assert (
        names(RunLog(log.curves, replace(log.settings, classes=10**9))) != [name] or name == "rate_too_high"
    )


def test_validation_measured_afterwards_counts():
    recipe, classes, rows = run("no_validation")
    assert names(from_rows(recipe, classes, rows)) == ["no_validation"]
    assert names(from_rows(recipe, classes, rows, measured=True)) == []


def curve(values: list[float]) -> Curve:
    return Curve(np.arange(len(values), dtype=float), np.asarray(values, float))


def test_a_margin_that_grows_raises_the_loss_of_a_healthy_run():
    loss = curve([*np.linspace(3, 1, 20), *np.linspace(1, 6, 20)])
    rising = {"loss": loss, "eer": curve([0.2] * 6)}
    assert names(RunLog(rising, Settings("arcface", 100, 0.5, 64, margin_warmup=30))) == []
    assert names(RunLog(rising, Settings("arcface", 100, 0.5, 64, margin_warmup=0))) == ["rate_too_high"]


def test_labels_that_are_memorized_are_told_from_overfitting():
    """Held-out accuracy has a peak if labels are wrong (arXiv:1706.05394), which overfitting lacks."""
    rising = np.r_[np.linspace(0.1, 0.55, 15), np.linspace(0.56, 1, 8), np.ones(7)]
    loss = curve(3 * (1 - rising))
    peak = curve([*np.linspace(0.1, 0.8, 15), *np.linspace(0.79, 0.55, 15)])
    flat = curve([*np.linspace(0.1, 0.6, 15), *[0.6] * 15])
    good = curve([*np.linspace(0.1, 0.9, 15), *[0.9] * 15])
    for held_out, expected in ((peak, ["label_noise"]), (flat, ["overfitting"]), (good, [])):
        log = RunLog(
            {"accuracy": curve(rising), "loss": loss, "val_accuracy": held_out}, Settings("softmax", 20)
        )
        assert names(log) == expected
    (finding,) = diagnose(RunLog({"accuracy": curve(rising), "loss": loss, "val_accuracy": peak}))
    assert "fell from 7" in finding.saw and "Curves cannot tell wrong labels" in finding.remedy


def test_a_held_out_loss_above_that_of_chance_level_is_of_memorized_labels_if_the_classes_are_known():
    """Of a real run, half of whose labels are another person's."""
    log = from_rows(*run("label_noise"))
    (finding,) = diagnose(log)
    assert "28.2%, where the loss is 4.275, above ln(16) = 2.773" in finding.saw
    assert "cannot tell" in finding.remedy and "highest confidence" in finding.remedy
    better = log.curves | {"val_loss": curve([2.0] * 10)}
    for other in (
        RunLog(better, log.settings),
        RunLog(log.curves, replace(log.settings, classes=None)),
        RunLog(log.curves, replace(log.settings, loss="arcface", pretrained=True)),
    ):
        (finding,) = diagnose(other)
        assert finding.name == "overfitting" and "Wrong labels can have the same curves" in finding.remedy


def test_only_the_first_failure_of_several_is_told():
    """A diverged loss also makes the held-out loss rise; that is no overfitting."""
    loss = curve([2.0, 2.2, 2.5, 3, 4, 8, 30, np.nan, np.nan, np.nan])
    log = RunLog({"loss": loss, "val_loss": loss, "accuracy": curve([0.01] * 10)}, Settings("softmax", 10))
    assert names(log) == ["not_finite"]
