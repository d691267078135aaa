"""Formulas and predictions of the tabs without a browser: current values, and answers that were measured."""

import json
import math
from types import SimpleNamespace

import gradio as gr
import pytest

from facelab.lessons import transfer as curves
from facelab.models.zoo import DEFAULT_MODEL
from facelab.recognition.embedder import load
from facelab.ui.compare import formulas as compare
from facelab.ui.identify import formulas as identify
from facelab.ui.train import formulas as train
from facelab.ui.transfer import tab as transfer


def predicted(lay_out, *arguments):
    """(index of the right answer, its words) of a prediction."""
    with gr.Blocks() as page:
        lay_out(*arguments)
    text = json.dumps(
        [c["props"].get("html_template") for c in page.config["components"]], ensure_ascii=False
    )
    return int(text.split('data-right=\\"')[1][0]), text


@pytest.mark.parametrize("score", [0.2, 0.9])
def test_the_decision_stands_in_the_formula(score):
    threshold = load(DEFAULT_MODEL).calibrated().threshold_for(1e-2)
    text = compare.show(SimpleNamespace(model=DEFAULT_MODEL, score=score), 2.0)
    relation = r"\ge" if score >= threshold else "<"
    assert f"{score:.3f} &{relation} t = {threshold:.3f}" in text and r"\cos\theta" in text
    assert "t =" not in compare.show(None, 2.0)
    text = compare.show(
        SimpleNamespace(model=DEFAULT_MODEL, score=score), 9.0
    )  # a rate that was not measured
    assert "t =" not in text and f"{score:.3f}" in text


def test_a_benchmarks_accuracy_is_held_against_a_strict_rate():
    right, text = predicted(compare.prediction)
    accepted = 1 - load(DEFAULT_MODEL).calibrated().frr_for(1e-4)
    assert right == int(accepted <= 0.8) and f"It accepts {accepted:.1%}" in text and "saturates" in text


def test_a_gallery_multiplies_the_chances_of_a_false_accept():
    assert identify.expected_fpir(0.1, 2) == pytest.approx(0.19)
    right, text = predicted(identify.prediction, 11)
    assert right == 1 and f"{1 - 0.999**11:.1%}" in text
    shown = identify.show(None, False, DEFAULT_MODEL, 2.0)
    photos = int(shown.split("^{")[-1].split("}")[0])
    assert photos > 5 and rf"= {100 * (1 - 0.99**photos):.1f}\,\%" in shown


def test_the_error_of_the_recorded_run_answers():
    figures = tuple((i, {"eer": eer}) for i, eer in enumerate((0.3, 0.1, 0.2)))
    right, text = predicted(train.prediction, SimpleNamespace(figures=figures, losses=(4.0, 1.0)))
    assert right == 1 and "30.0%, 10.0%, 20.0%" in text
    plan = SimpleNamespace(recipe=SimpleNamespace(loss="softmax"), classes=54)
    assert f"{math.log(54):.2f}" in train.show(plan) and "ln K" not in train.show(None)


def test_the_way_that_was_better_answers():
    found = [curves.Outcome(f"ImageNet, {way}", 1, 0, a) for way, a in (("whole", 0.9), ("frozen", 0.4))]
    right, text = predicted(transfer._prediction, found)
    assert right == 0 and "90%" in text and "40%" in text
