"""Compute label smoothing by hand: one photo, K classes, and the optimal gap between logits."""

from typing import Any

import gradio as gr

from facelab.lessons.smoothing import loss_curve, optimal_gap, step
from facelab.plots.calibration import gap_curves
from facelab.ui.calibration.cards import hand_card
from facelab.ui.links import Controls
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.controls import redraw

INTRODUCTION = (
    "### Worked example of label smoothing\n"
    "One photo, K classes; the target logit is larger than all others by a *gap*. A one-hot target "
    "`[1, 0, 0]` needs an infinite gap. A smoothed target needs a finite one. **At which gap is the smoothed "
    "loss lowest?** Every number comes from the loss that trains."
)
CLASSES = (3, 10, 100, 650)
WIDEST = 14.0  # gap


def show(label_smoothing: float, classes: int, gap: float) -> list[Any]:
    """Return (card, loss curves) at α, K and a gap."""
    logits = [gap] + [0.0] * (classes - 1)
    now, one_hot = step(logits, label_smoothing), step(logits, 0.0)
    best = optimal_gap(classes, label_smoothing)
    curves = (loss_curve(classes, alpha, WIDEST) for alpha in (0.0, label_smoothing))
    figure = gap_curves(*curves, gap, (one_hot.loss, now.loss), best)
    return [hand_card(logits, label_smoothing, now, best), figure]


def section() -> Controls:
    """Lay the section out, open at the lecture's example; return its controls by name."""
    gr.Markdown(INTRODUCTION)
    with columns() as (panel, results):
        with panel:
            controls = _controls()
        settings = [controls[name] for name in ("alpha", "classes", "gap")]
        card, figure = show(*(setting.value for setting in settings))
        label = "Loss against the gap between logits, for a one-hot and a smoothed target"
        with results, beside():
            shown = [gr.HTML(card, elem_id="hand", padding=False), Chart(figure, label, "hand-chart")]
    redraw(show, settings, shown)
    return controls


def _controls() -> Controls:
    """Lay out α, the gap and K."""
    with live():
        alpha = gr.Slider(
            0,
            0.5,
            value=0.1,
            step=0.01,
            label="Label smoothing, α",
            info="Probability mass spread uniformly over all K classes; 0 is one-hot.",
            elem_id="hand-alpha",
        )
        gap = gr.Slider(
            0,
            WIDEST,
            value=10,
            step=0.01,
            label="Gap between logits",
            info="Target logit minus all other logits.",
            elem_id="hand-gap",
        )
    classes = gr.Radio(
        list(CLASSES),
        value=CLASSES[0],
        label="Classes, K",
        info="3: the lecture’s example. 650: the training identities.",
        elem_id="hand-classes",
    )
    return {"alpha": alpha, "gap": gap, "classes": classes}
