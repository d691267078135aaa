"""The false accept rate as a control, and the areas under the histogram that it means."""

import re

import gradio as gr
import numpy as np
import pytest

from facelab.plots.scores import score_histogram
from facelab.recognition.embedder import load
from facelab.recognition.verify import judge
from facelab.ui.widgets import far
from facelab.ui.widgets.controls import STRICTNESS


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
def test_the_shaded_areas_are_the_two_error_rates(exponent):
    embedder = load("strong")
    verdict = judge(embedder, 0.6, 10.0**-exponent)
    points = embedder.calibrated()
    accepted, rejected = score_histogram(points, verdict, "cosine").data[2:4]
    bin_width = np.diff(points.edges)[0]
    assert min(np.array(accepted.x) - np.array(accepted.width) / 2) >= verdict.threshold - 1e-9
    assert max(np.array(rejected.x) + np.array(rejected.width) / 2) <= verdict.threshold + 1e-9
    for bars, rate, share in (
        (accepted, verdict.far, points.impostor),
        (rejected, verdict.frr, points.genuine),
    ):
        area = float(np.array(bars.y) @ np.array(bars.width)) / bin_width / 100
        assert area == pytest.approx(rate, abs=max(share) / 2 + 1e-3)
    assert f"{verdict.frr:.1%}" in rejected.name and f"{100 * verdict.far:g}%" in accepted.name


def test_the_control_shows_the_rate_and_offers_its_powers_of_ten():
    with gr.Blocks() as app:
        slider = far.far_slider(STRICTNESS, "rate")
    shown = next(block.value for block in app.blocks.values() if block.elem_id == "rate-rate")
    assert f"FAR = {100 * 10**-STRICTNESS:g}%" in shown
    offered = re.findall(r'data-exponent="(\d)" aria-label="FAR ([\d.]+)%"', shown)
    assert [100 * 10.0 ** -float(exponent) for exponent, _ in offered] == pytest.approx(
        [float(rate) for _, rate in offered]
    )
    assert (slider.minimum, slider.maximum) == (1, 4) and all(
        slider.minimum <= float(exponent) <= slider.maximum for exponent, _ in offered
    )


@pytest.mark.parametrize("score", [0.2, 0.6, 0.95])
def test_the_label_of_the_threshold_points_away_from_the_longer_line_of_the_pair(score):
    embedder = load("strong")
    verdict = judge(embedder, score, 1e-3)
    threshold, pair = score_histogram(embedder.calibrated(), verdict, "cosine").layout.annotations
    assert (threshold.x, pair.x) == (verdict.threshold, score) and threshold.y < pair.y
    assert threshold.xanchor == ("left" if verdict.threshold >= score else "right")
