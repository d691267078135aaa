"""The Calibration tab's sum by hand: one photo, K classes, and the gap that label smoothing asks for."""

from typing import Any

import gradio as gr

from facelab.lessons.smoothing import loss_curve, optimal_gap, step
from facelab.plots.calibration import gap_curves
from facelab.ui.calibration.cards import hand_card
from facelab.ui.links import Controls
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.controls import redraw

INTRODUCTION = (
    "### Why smoothing changes it, by hand\n"
    "One photo, K people, and the network gives the right one a logit that stands above the others by a "
    "*gap*. A one-hot target `[1, 0, 0]` is reached only with an infinite gap. A smoothed target is reached "
    "at a finite one. **Move the gap to where the smoothed loss is lowest.** Every number comes from the "
    "loss that trains."
)
CLASSES = (3, 10, 100, 650)
WIDEST = 14.0  # gap


def show(label_smoothing: float, classes: int, gap: float) -> list[Any]:
    """(the sum, the loss curves) at α, K and a gap."""
    logits = [gap] + [0.0] * (classes - 1)
    now, one_hot = step(logits, label_smoothing), step(logits, 0.0)
    best = optimal_gap(classes, label_smoothing)
    curves = (loss_curve(classes, alpha, WIDEST) for alpha in (0.0, label_smoothing))
    figure = gap_curves(*curves, gap, (one_hot.loss, now.loss), best)
    return [hand_card(logits, label_smoothing, now, best), figure]


def section() -> Controls:
    """Lay it out, open at the course's example -> its controls by name."""
    gr.Markdown(INTRODUCTION)
    controls = _controls()
    settings = [controls[name] for name in ("alpha", "classes", "gap")]
    card, figure = show(*(setting.value for setting in settings))
    label = "Loss against the gap between logits, for a one-hot and a smoothed target"
    shown = [gr.HTML(card, elem_id="hand", padding=False), Chart(figure, label, "hand-chart")]
    redraw(show, settings, shown)
    return controls


def _controls() -> Controls:
    """α, the gap and K."""
    with gr.Row(elem_classes="fl-controls"):
        alpha = gr.Slider(
            0,
            0.5,
            value=0.1,
            step=0.01,
            label="Smoothing, α",
            info="The share of the target that is spread evenly over all K people; 0 is one-hot.",
            elem_id="hand-alpha",
        )
        gap = gr.Slider(
            0,
            WIDEST,
            value=10,
            step=0.01,
            label="Gap between the logits",
            info="How far the right person’s logit stands above all others.",
            elem_id="hand-gap",
        )
        classes = gr.Radio(
            list(CLASSES),
            value=CLASSES[0],
            label="People, K",
            info="3 is the lecture’s example, 650 what our networks choose among.",
            elem_id="hand-classes",
        )
    return {"alpha": alpha, "gap": gap, "classes": classes}
