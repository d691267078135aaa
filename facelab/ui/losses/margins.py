"""Show margin losses: target logit, gradient magnitude, decision regions, and the scale s."""

from typing import Any

import gradio as gr
import numpy as np

from facelab.lessons import loss_curves
from facelab.lessons.loss_curves import COMPARED, NO_CLASS, Margins
from facelab.plots.losses import NAMES, best_probabilities, decision_regions, margin_curves
from facelab.ui.links import Controls
from facelab.ui.losses.cards import papers_card
from facelab.ui.widgets.cards import figures, percent
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.controls import redraw

QUESTION = (
    "Softmax stops pushing once θ_y, the angle to the class weight vector W_y (prototype), is the smallest. "
    "A margin m lowers the target logit, so θ_y must be smaller *by m*. **Move a margin: where does a gap "
    "open between the classes, and for which angles is the gradient large?**"
)
READING = (
    "Upper plot: the target logit with its margin, below the dotted softmax. Lower plot: the gradient "
    "magnitude |∂loss/∂θ| with all other prototypes at 90°. ArcFace’s curve has a step at θ = π − m, where "
    "cos(θ + m) would rise again and lower the loss of the worst photos."
)
RINGS = (
    "### Decision regions\n"
    "Directions of 2-D embeddings. In a colored arc, a photo of that class satisfies the margin; in an empty "
    "gap, no class does, and the gradient is large. Rings from inside: softmax, A-Softmax, CosFace, ArcFace. "
    "In 2-D, a margin that is too large for the prototypes leaves a class no region."
)
SCALE = (
    "### Why a scale, s\n"
    "Cosines lie in [−1, 1]. With logits s·cos θ, softmax over K classes is bounded above by "
    "1 / (1 + (K − 1)·exp(−s·K/(K − 1))) for prototypes at maximum distance. Without a scale (s = 1) and "
    "with K = 10,000 the bound is 1 in 3,679, so the loss stays far from zero."
)
SLIDERS = (
    ("arcface", 0, 1.5, 0.5, 0.05, "ArcFace’s margin, m", "Added to the angle θ_y, in radians; 0.5 is 29°."),
    ("cosface", 0, 1, 0.35, 0.05, "CosFace’s margin, m", "Subtracted from the target cosine."),
    ("a-softmax", 1, 6, 4, 1, "A-Softmax’s margin, m", "Multiplies the angle θ_y."),
    ("lambda", 0, 20, 5, 1, "A-Softmax’s λ",
     "Weight of plain softmax: annealed from 1500 to 5 in training; 0 is the pure formula."),
    ("scale", 1, 64, 64, 1, "Scale, s",
     "Factor of all cosines; for A-Softmax the norm of the embedding."),
)  # fmt: skip
DEGREES = np.arange(181.0)
AROUND = np.arange(0, 360, 0.25)
SCALES = np.linspace(0.5, 64, 128)
PEOPLE = (10, 100, 1000, 10_000)
SURENESS = {classes: loss_curves.best_probability(SCALES, classes) for classes in PEOPLE}


def show(
    arcface: float, cosface: float, a_softmax: int, annealing: float, scale: float, people: int
) -> list[Any]:
    """Return (curves, maximum attainable probability, its chart) at these settings."""
    margins = Margins(int(a_softmax), cosface, arcface, scale, annealing)
    best = float(loss_curves.best_probability(scale, people))
    return [
        margin_curves(DEGREES, loss_curves.margin_curves(margins, people, DEGREES)),
        sureness_card(best, scale, people),
        best_probabilities(SCALES, SURENESS, scale, best),
    ]


def show_rings(
    arcface: float, cosface: float, a_softmax: int, annealing: float, classes: int, between: float
) -> list[Any]:
    """Return (widths of the gaps, decision regions) at these settings."""
    margins = Margins(int(a_softmax), cosface, arcface, annealing=annealing)
    prototypes = 90.0 + between * (np.arange(classes) - (classes - 1) / 2)
    owners = loss_curves.decision_regions(margins, prototypes, AROUND)
    return [
        gaps_card(owners, prototypes[:2]),
        decision_regions(owners, prototypes, AROUND),
    ]


def gaps_card(owners: dict[str, np.ndarray], ends: np.ndarray) -> str:
    """Return the width of the gap between the first two prototypes, for each loss."""
    inside = (ends.min() < AROUND) & (ends.max() > AROUND)
    step = AROUND[1] - AROUND[0]
    widths = ((NAMES[name], f"{step * (owners[name][inside] == NO_CLASS).sum():.0f}°") for name in COMPARED)
    return (
        f'<div class="fl-card" role="status"><p>Gap between class 1 and class 2:</p>{figures(*widths)}</div>'
    )


def sureness_card(best: float, scale: float, people: int) -> str:
    """Return the maximum attainable probability and the lowest loss."""
    words = percent(best) if best >= 0.01 else f"1 in {1 / best:,.0f}"
    least = np.log1p((people - 1) * np.exp(-scale * people / (people - 1)))
    bound = f"{least:.2g}" if least > 1e-4 else "almost 0"
    return (
        f'<div class="fl-card" role="status"><p>With s = {scale:g} and K = {people:,} classes, the maximum '
        f"attainable probability is <b>{words}</b>, so the loss cannot be below <b>{bound}</b>.</p></div>"
    )


def section() -> Controls:
    """Lay the section out, open at the papers' margins; return its controls by name."""
    gr.Markdown(QUESTION)
    with columns() as (panel, results):
        with panel:
            margins, plane = _sliders(), _plane()
        rings = show_rings(*(control.value for control in (*margins, *plane)))
        opening = [control.value for control in margins]
        with results:
            with beside():
                label = "Target logit and gradient magnitude against the angle, four losses"
                chart = Chart(show(*opening, 64, 1000)[0], label, "margin-chart")
                with gr.Column(min_width=0):
                    label = "Decision regions of four losses, and the gaps between classes"
                    circle = Chart(rings[1], label, "regions-chart")
                    gaps = gr.HTML(rings[0], elem_id="gaps", padding=False)
            gr.Markdown(READING, elem_classes="fl-small")
            gr.Markdown(RINGS)
    gr.Markdown(SCALE)
    with columns() as (panel, results):
        with panel:
            scaling = _scaling()
        first = show(*opening, *(control.value for control in scaling))
        with results, beside():
            sure = gr.HTML(first[1], elem_id="sureness", padding=False)
            label = "Maximum attainable probability against the scale s, by the number of classes K"
            surest = Chart(first[2], label, "scale-chart")
    gr.HTML(papers_card(*COMPARED), padding=False)
    redraw(show, [*margins, *scaling], [chart, sure, surest])
    redraw(show_rings, [*margins, *plane], [gaps, circle])
    names = ("arcface", "cosface", "asoftmax", "lambda", "scale", "people", "classes", "between")
    return dict(zip(names, (*margins, *scaling, *plane)))


def _slider(row: tuple[Any, ...]) -> gr.Slider:
    name, low, high, value, step, label, info = row
    return gr.Slider(low, high, value, step=step, label=label, info=info, elem_id=f"margin-{name}")


def _sliders() -> list[Any]:
    """Lay out the margins: ArcFace, CosFace, A-Softmax and its λ."""
    with live():
        return [_slider(row) for row in SLIDERS[:4]]


def _scaling() -> list[Any]:
    """Lay out the scale and the number of classes."""
    with live():
        scale = _slider(SLIDERS[4])
    people = gr.Radio(
        list(PEOPLE),
        value=1000,
        label="Classes, K",
        info="Classes of the softmax.",
        elem_id="margin-people",
    )
    return [scale, people]


def _plane() -> list[Any]:
    """Lay out the number of prototypes and the angle between them."""
    classes = gr.Radio(
        [2, 3],
        value=2,
        label="Prototypes",
        info="Number of classes on the circle.",
        elem_id="margin-classes",
    )
    between = gr.Slider(
        20,
        120,
        value=90,
        step=5,
        label="Angle between neighbors",
        info="Between neighboring prototypes, in degrees.",
        elem_id="margin-between",
    )
    return [classes, between]
