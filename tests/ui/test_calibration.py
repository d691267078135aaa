"""The Calibration tab without a browser: what its callbacks answer, drawn and in words."""

import math
import re

import gradio as gr
import numpy as np
import pytest

from facelab.lessons import calibration as lessons
from facelab.lessons.smoothing import step
from facelab.metrics.calibration import reliability
from facelab.models.recipes import RECIPES
from facelab.plots.calibration import confidence_histogram, reliability_diagram, similarity_map
from facelab.ui.calibration import cards as calibration_cards
from facelab.ui.calibration import grid as trainings
from facelab.ui.calibration import tab as calibration
from facelab.ui.calibration import worked_example
from facelab.ui.widgets.chart import Chart
from tests.lessons.test_calibration import noise

KEYS = {"softmax": "0", "label_smoothing": "0.1", "online": "online"}
SURE = noise(scale=2.2)
SMOOTHED = noise(scale=0.7, model="label_smoothing", label_smoothing=0.1, eer=0.14)
ONLINE = noise(
    model="online", loss="online_label_smoothing", similarity=np.full((12, 12), 0.02) + 0.7 * np.eye(12)
)


@pytest.fixture(autouse=True)
def shipped(monkeypatch):
    here = {lesson.model: lesson for lesson in (SURE, SMOOTHED, ONLINE)}
    monkeypatch.setattr(calibration, "shipped", lambda: here)
    return here


def show(model, bins, temperature, before=""):
    """(figures, reliability diagram) of a standard training, another one shown before."""
    seen, card, _, diagram = calibration.show("standard", KEYS[model], bins, temperature, (before, ""))
    assert seen[0] == model
    return [card, diagram]


def show_others(model, bins, temperature):
    return calibration.show_others("standard", KEYS[model], bins, temperature)


def beside(card):
    """The figures of the training that it is compared with."""
    return re.findall(r'<br><span class="fl-small">([^<]+)</span>', card)


def figures(card):
    return re.findall(r"<b>([^<]+)</b>", card)


def rows(card):
    """The table: name -> cells."""
    found = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', card)
    return {name: re.findall("<td>(.*?)</td>", cells) for name, cells in found}


@pytest.mark.parametrize(
    ("model", "temperature", "bins"), [("softmax", 1.0, 15), ("label_smoothing", 0.4, 8)]
)
def test_what_the_page_shows_is_what_is_stored(shipped, model, temperature, bins):
    card, diagram = show(model, bins, temperature)
    histogram, curve, table = show_others(model, bins, temperature)
    lesson = shipped[model]
    at = lesson.nearest(temperature)
    found = reliability(lesson.confidence[at], lesson.correct, bins)
    right, claimed = lesson.correct.mean(), lesson.confidence[at].mean()
    assert figures(card)[-6:-1] == [
        f"{right:.1%}", f"{claimed:.1%}", f"{found.ece():.1%}", f"{lesson.nll[at]:.3f}", f"{lesson.eer:.1%}"
    ]  # fmt: skip
    assert figures(card)[-1] == "–"  # no record of these on LFW
    assert np.array_equal(diagram.data[0].y, 100 * found.accuracy, equal_nan=True)
    assert diagram.data[4].text == tuple(map(str, found.count))
    assert sum(histogram.data[0].y) == pytest.approx(100)
    assert [shape.x0 for shape in histogram.layout.shapes] == pytest.approx([100 * right, 100 * claimed])
    assert curve.data[1].x[0] == lesson.temperatures[at] and curve.data[1].y[0] == 100 * found.ece()
    assert curve.data[3].y[0] == lesson.nll[at] and curve.layout.shapes[0].x0 == lesson.fitted
    assert [name.startswith("▶") for name in rows(table)] == [name == model for name in shipped]


def test_every_training_is_compared_as_trained_and_mended(shipped):
    for temperature in (0.4, 3.1):  # the table does not follow the slider
        table = rows(show_others("online", 10, temperature)[2])
        assert list(table) == ["standard, α = 0", "standard, α = 0.1", "▶ standard, online"]
        for lesson, cells in zip(shipped.values(), table.values()):
            before, after = (lesson.reliability(t, 10).ece() for t in (1.0, lesson.fitted))
            assert cells[2] == f"{before:.1%}" and cells[7] == f"{after:.1%}" and cells[6] == "1.23"
            assert cells[0] == f"{lesson.accuracy():.1%}" and cells[4] == f"{lesson.eer:.1%}"


def test_the_former_training_stays_as_a_ghost():
    plain, alone = show("softmax", 15, 1.0)
    assert not beside(plain) and len(alone.data) == 5
    for model, before, temperature, behind in (
        ("label_smoothing", "softmax", 1.0, SURE),
        ("softmax", "label_smoothing", 1.0, SMOOTHED),
        ("label_smoothing", "", 1.0, SURE),  # from a link: without smoothing
        ("online", "label_smoothing", 2.5, ONLINE),  # a temperature moves away from itself
    ):
        card, diagram = show(model, 15, temperature, before)
        found, ghost = behind.reliability(1.0, 15), diagram.data[5]
        some = found.count > 0
        assert np.allclose(ghost.x, 100 * found.confidence[some])
        assert np.allclose(ghost.y, 100 * found.accuracy[some]) and ghost.line.dash == "dot"
        assert beside(card)[0] == f"{behind.accuracy():.1%}" and beside(card)[2] == f"{found.ece():.1%}"
        assert f"Gray: {trainings.name_of(behind)}" in card and ghost.name.startswith("standard, ")


def test_bins_and_temperature_do_not_replace_the_ghost():
    seen = calibration.show("standard", "0", 15, 1.0)[0]
    for bins, temperature in ((15, 1.0), (8, 1.0), (8, 2.5)):
        seen = calibration.show("standard", "0.1", bins, temperature, seen)[0]
    assert seen == ("label_smoothing", "softmax")
    assert calibration.show("standard", "online", 8, 1.0, seen)[0] == ("online", "label_smoothing")


def test_the_formulas_have_the_current_values():
    _, _, text, _ = calibration.show("standard", "0.1", 15, 2.5)
    at = float(SMOOTHED.temperatures[SMOOTHED.nearest(2.5)])
    target = 1 - 0.1 + 0.1 / SMOOTHED.identities
    assert text.startswith("$$") and text.endswith("$$") and f"{target:.4f}" in text
    assert f"T = {at:.2f}" in text and f"{SMOOTHED.reliability(at, 15).ece():.3f}" in text


def test_an_unmeasured_combination_is_said():
    seen, card, _, diagram = calibration.show("overfit", "0.1", 15, 1.0, ("softmax", ""))
    assert seen == ("softmax", "") and "has not been measured" in card and diagram is None
    assert calibration.show_others("overfit", "0.1", 15, 1.0)[:2] == [None, None]
    assert calibration.on_fitted("overfit", "0.1") == gr.skip()


def test_the_error_on_lfw_stands_beside_the_held_out_one():
    one = next(lesson for lesson in lessons.load_all() if lesson.model == "overfit")
    on_lfw = calibration_cards.lfw_eer("overfit")
    assert 0.1 < on_lfw < 0.4 and math.isnan(calibration_cards.lfw_eer("nobody"))
    card = calibration_cards.figures_card(one, None, 1.0, one.reliability())
    assert figures(card)[-2:] == [f"{one.eer:.1%}", f"{on_lfw:.1%}"]
    table = rows(calibration_cards.trainings_card([one], "overfit", 15))
    assert [cells[4:6] for cells in table.values()] == [[f"{one.eer:.1%}", f"{on_lfw:.1%}"]]


def test_temperature_moves_confidence_and_nothing_else():
    cold, warm = (figures(show("softmax", 15, t)[0])[-6:] for t in (0.4, 3.1))
    assert cold[0] == warm[0] and cold[4] == warm[4]
    assert float(cold[1][:-1]) > float(warm[1][:-1]) and cold[2:4] != warm[2:4]


@pytest.mark.parametrize(("temperature", "words"), [(0.25, "Overconfident"), (4.0, "Underconfident")])
def test_the_verdict_is_in_words(temperature, words):
    assert words in show("softmax", 15, temperature)[0]


@pytest.mark.parametrize(
    ("errors", "words"), [(-1.9, "No significant over- or underconfidence"), (2.1, "Overconfident")]
)
def test_claims_are_called_kept_within_two_standard_errors(shipped, errors, words):
    right = SURE.accuracy()
    claim = right + errors * np.sqrt(right * (1 - right) / len(SURE.correct))
    shipped["softmax"] = noise(scale=2.2, confidence=np.full_like(SURE.confidence, claim))
    assert words in show("softmax", 15, 1.0)[0]


def test_the_button_sets_the_slider_so_that_the_fitted_temperature_is_used(shipped):
    wanted = calibration.on_fitted("standard", "0")
    assert shipped["softmax"].temperatures[shipped["softmax"].nearest(wanted)] == 1.234


def test_gaps_are_hatched_by_their_direction_and_empty_bins_are_marked():
    claims = np.array([0.15, 0.15, 0.95, 0.95, 0.55])
    diagram = reliability_diagram(reliability(claims, [True, True, True, False, True], 10))
    right, over, under, empty, counts = diagram.data
    assert list(over.x) == pytest.approx([95]) and (over.base[0], over.y[0]) == pytest.approx((50, 45))
    assert list(under.x) == pytest.approx([15, 55]) and under.base.tolist() == pytest.approx([15, 55])
    assert under.y.tolist() == pytest.approx([85, 45]) and over.marker.pattern != under.marker.pattern
    assert list(empty.x) == pytest.approx([5, 25, 35, 45, 65, 75, 85]) and (~np.isfinite(right.y)).sum() == 7
    assert counts.text == ("0", "2", "0", "0", "0", "1", "0", "0", "0", "2")
    diagonal = diagram.layout.shapes[0]
    assert (diagonal.type, diagonal.x0, diagonal.y0, diagonal.x1, diagonal.y1) == ("line", 0, 0, 100, 100)
    histogram = confidence_histogram(reliability(claims, claims > 0, 10), 0.8, 0.55)
    assert list(histogram.data[0].y) == pytest.approx([0, 40, 0, 0, 0, 20, 0, 0, 0, 40])


def test_the_diagonal_of_the_look_alikes_is_blank():
    heat = similarity_map(ONLINE.similarity).data[0]
    assert np.isnan(np.diag(heat.z)).all() and heat.z[0, 1] == pytest.approx(2) and heat.x[11] == "class 12"
    assert heat.text[3][2] == "2" and heat.text[3][3] == ""


def test_the_sum_by_hand_is_the_lectures():
    card, figure = worked_example.show(0.1, 3, 10.0)
    values = [cells[0] for cells in rows(card).values()]
    assert values[:3] == ["[10, 0, 0]", "[0.9333, 0.0333, 0.0333]", "[0.9999, 0.0000, 0.0000]"]
    assert values[3] == "0.6668" and values[4] == "[+0.0666, −0.0333, −0.0333]" and values[5] == "3.332"
    assert "narrows the gap" in card
    assert figure.data[3].y[0] == step([10.0, 0.0, 0.0], 0.1).loss
    assert figure.data[1].y[0] == step([10.0, 0.0, 0.0], 0.0).loss
    assert figure.layout.shapes[0].x0 == pytest.approx(3.332, abs=1e-3)


@pytest.mark.parametrize(
    ("alpha", "gap", "words"),
    [
        (0.1, 3.33, "the gradient is zero"),
        (0.1, 2.0, "widens the gap"),
        (0.0, 12.0, "logits keep growing"),
    ],
)
def test_the_sum_says_which_way_training_goes(alpha, gap, words):
    card, figure = worked_example.show(alpha, 3, gap)
    assert words in card and (len(figure.layout.shapes) == 1) == (alpha > 0)
    assert ("∞" in card) == (alpha == 0)


def test_long_vectors_are_cut():
    card, _ = worked_example.show(0.1, 650, 8.0)
    assert rows(card)["logits, z"] == ["[8, 0, 0, …]"]


def test_names_are_told_apart_and_escaped(shipped):
    shipped["<b>x"] = noise(model="<b>x", loss="center")
    shipped["again"] = noise(model="again", label_smoothing=0.1)
    assert [value for _, value in trainings.smoothings(shipped)] == ["0", "0.1", "online", "<b>x", "again"]
    assert "<b>x" not in show_others("softmax", 15, 1.0)[2]


def test_without_lessons_the_tab_says_how_to_make_one_and_keeps_the_sum(shipped):
    shipped.clear()
    with gr.Blocks() as app:
        controls = calibration.build()
    texts = [block.value for block in app.blocks.values() if isinstance(block, gr.HTML)]
    assert any("python -m facelab lessons calibration" in str(text) for text in texts)
    assert list(controls) == ["alpha", "gap", "classes"]


def test_a_damaged_file_does_not_take_the_page_down(monkeypatch, tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK")
    monkeypatch.setattr(calibration, "shipped", lambda: lessons.load_all(tmp_path))
    with gr.Blocks() as app:
        calibration.build()
    assert any(
        "bad.npz is not a calibration lesson" in str(getattr(b, "value", "")) for b in app.blocks.values()
    )


def test_the_tab_opens_finished_and_hides_its_events():
    with gr.Blocks() as app:
        controls = calibration.build()
    assert list(controls) == ["recipe", "smoothing", "bins", "temperature", "alpha", "gap", "classes"]
    assert all(fn.api_visibility == "private" for fn in app.fns.values())
    charts = [block for block in app.blocks.values() if isinstance(block, Chart)]
    assert [chart.elem_id for chart in charts if not chart.value] == ["own-reliability-chart"]  # no run yet
    assert len(charts) == 6
    for control in controls.values():
        assert control.info and control.label


def test_the_overfit_recipe_opens_and_is_held_against_its_own_kind(shipped):
    shipped["bare"] = noise(model="bare", scale=6.0, overfit=True)
    shipped["bare_smoothed"] = noise(model="bare_smoothed", scale=2.0, label_smoothing=0.03, overfit=True)
    assert trainings.opening(shipped) == ("overfit", "0")
    _, card, _, _ = calibration.show("overfit", "0.03", 15, 1.0)
    plain = calibration.show("overfit", "0", 15, 1.0)[1]
    assert beside(card) == figures(plain)[-6:]
    found = {block.elem_id: block for block in build_tab().blocks.values()}
    assert found["recipe"].value == "overfit" and found["smoothing"].value == "0"
    assert [value for _, value in found["smoothing"].choices] == ["0", "0.1", "online", "0.03"]


def test_the_settings_named_in_the_prose_are_those_of_the_recipes():
    """The control's text says what the recipes share and in what they differ."""
    shown = next(block for block in build_tab().blocks.values() if block.elem_id == "recipe").info
    plain, overfit = RECIPES["standard"], RECIPES["overfit"]
    for recipe in (plain, overfit):
        assert f"{recipe.epochs} epochs, learning rate {recipe.lr:g}" in shown
    assert overfit.weight_decay == 0 < plain.weight_decay and "no weight decay" in shown
    amounts = ("flip", "rotate", "zoom", "shift", "jitter", "saturation", "gray", "random_erasing")
    assert not any(getattr(overfit, name) for name in amounts) and "no data augmentation" in shown


def test_the_shipped_grid_makes_the_lectures_point():
    """Overconfident by more than 15 points; smoothing mends the ECE and costs verification."""
    found = trainings.grid({lesson.model: lesson for lesson in lessons.load_all()})
    assert len(found) == 10
    plain, smoothed = found["overfit", "0"], found["overfit", "0.1"]
    assert plain.confidence[plain.nearest(1)].mean() - plain.accuracy() > 0.15
    assert smoothed.reliability().ece() < 0.5 * plain.reliability().ece() and smoothed.eer > plain.eer


def build_tab():
    with gr.Blocks() as page:
        calibration.build()
    return page
