"""Figures that docs/tour.md tells of the page: those of rendered faces are computed here as the page does."""

import re
from pathlib import Path

import pytest

from facelab.lessons import calibration
from facelab.lessons.dropout_masks import DRAWS, drop
from facelab.recognition.embedder import load, model_names
from facelab.recognition.feature_maps import strongest
from facelab.recognition.verify import detect_both, judge, score_faces
from facelab.ui.identify import enroll
from facelab.ui.identify import tab as identify
from facelab.ui.regularization import tab as regularization
from facelab.ui.widgets.examples import example_pairs

TOUR = (Path(__file__).parents[1] / "docs" / "tour.md").read_text("utf-8")
GRID = [f"overfit{end}" for end in ("", "_smoothing_003", "_smoothing_010", "_smoothing_020", "_online")]


def told(pattern: str) -> list[str]:
    """The numbers of the one sentence that fits."""
    (found,) = re.findall(pattern, TOUR)
    return list(found) if isinstance(found, tuple) else [found]


def test_relatives_lie_between_the_thresholds_that_are_told():
    a, b = detect_both(*example_pairs()["Relatives (two people)"])
    score = score_faces(load("strong"), a, b)
    strict, loose = (judge(load("strong"), score, far) for far in (0.001, 0.01))
    numbers = told(
        r"Score ([\d.]+): rejected at FAR 0\.1% \(threshold ([\d.]+)\), accepted at 1% \(([\d.]+)\)"
    )
    assert numbers == [f"{value:.3f}" for value in (score, strict.threshold, loose.threshold)]
    assert loose.same and not strict.same


def test_look_alikes_are_accepted_by_as_many_models_as_is_told():
    a, b = detect_both(*example_pairs()["Look-alikes (two people)"])
    names = [name for name in model_names() if load(name).points]
    accepted = [judge(load(name), score_faces(load(name), a, b), 1e-4).same for name in names]
    (count,) = told(r"All (\d+) accept the look-alikes, even at FAR 0\.01%")
    assert sum(accepted) == len(accepted) == int(count)


def test_the_open_sets_errors_are_those_that_are_told():
    gallery = enroll.example_gallery("strong").gallery
    cards = [identify.show_curve(gallery, strictness)[0] for strictness in (1.0, 3.0)]
    rates = [re.findall(r"<b>(\d+)%</b>", card) for card in cards]
    (one,) = told(r"falls from all three unenrolled identities to one \((\d+)%")
    assert rates == [["88", "100"], ["88", one]] and "DIR at rank 1 stays at seven of eight" in TOUR


def test_neighbors_tell_of_dropped_values_what_is_told():
    maps = regularization.example_stages()["stage1"].maps
    shown = maps[strongest(maps, regularization.SHOWN)]
    single, block = map(int, told(r"(\d+)% for single values, (\d+)% for blocks of 7\."))
    for size, expected in ((1, single), (7, block)):
        found = drop(shown, 0.2, size, regularization.SEED, min(DRAWS, regularization.VALUES // shown.size))
        assert 100 * found["DropBlock"].told == pytest.approx(expected, abs=1)


def test_calibrations_figures_are_those_of_the_lessons():
    trainings = {name: calibration.load(calibration.FOLDER / f"{name}.npz") for name in GRID}
    eces = [100 * lesson.reliability().ece() for lesson in trainings.values()]
    plain, smoothed = trainings["overfit"], trainings["overfit_smoothing_010"]
    found = told(r"ECE from ([\d.]+)% to ([\d.]+)% and ([\d.]+)%; ([\d.]+)%, underconfident, with α = 0\.2")
    assert found == [f"{ece:.1f}" for ece in eces[:4]]
    assert told(r"rises from ([\d.]+)% to ([\d.]+)% at α = 0\.1") == [
        f"{100 * lesson.eer:.1f}" for lesson in (plain, smoothed)
    ]
    assert told(r"ECE from ([\d.]+)% to ([\d.]+)%\. Accuracy and EER") == [
        f"{100 * plain.reliability(t).ece():.1f}" for t in (1.0, plain.fitted)
    ]
    online = trainings["overfit_online"]
    claimed = online.confidence[online.nearest(1.0)].mean()
    wanted = (claimed, online.accuracy(), online.reliability().ece(), online.eer)
    pattern = r"mean confidence ([\d.]+)%, accuracy ([\d.]+)%, ECE ([\d.]+)%\); EER ([\d.]+)%"
    assert told(pattern) == [f"{100 * value:.1f}" for value in wanted]
