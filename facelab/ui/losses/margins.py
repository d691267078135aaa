"""The Losses tab's margins: how far the own angle must win, what that leaves between classes, how hard it
pulls."""

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
from facelab.ui.widgets.controls import redraw

QUESTION = (
    "Softmax is content as soon as a photo is nearer to its own prototype than to any other. A margin "
    "handicaps the own class: it must win *although* its angle counts more. **Move a margin: where does a "
    "gap open between the classes, and which photos does the loss still push?**"
)
READING = (
    "Upper curve: the logit of the photo’s own class, margin included; the lower it lies under the dotted "
    "softmax, the greater the handicap. Lower curve: how hard the loss turns the photo, |∂loss/∂θ|, when "
    "all other prototypes stand at a right angle. ArcFace’s curve takes a step at θ = π − m, where cos(θ + "
    "m) would rise again and reward the worst photos."
)
RINGS = (
    "### What each class owns\n"
    "Directions in the plane. In the colored arc of a ring a photo of that class satisfies the loss; in the "
    "empty gap no class does, and training keeps pushing. Rings from inside: softmax, A-Softmax, CosFace, "
    "ArcFace. In the plain plane a margin that is too large for the prototypes leaves a class nothing."
)
SCALE = (
    "### Why a scale, s\n"
    "Cosines lie in [−1, 1], and softmax over many classes cannot be sure of numbers that small: its surest "
    "is 1 / (1 + (C − 1)·exp(−s·C/(C − 1))). Without a scale (s = 1) and with 10,000 people that is 1 in "
    "3,679, and the loss can never come near zero. The prototypes are taken as far apart as they can be."
)
SLIDERS = (
    ("arcface", 0, 1.5, 0.5, 0.05, "ArcFace’s margin, m", "Added to the own angle, in radians; 0.5 is 29°."),
    ("cosface", 0, 1, 0.35, 0.05, "CosFace’s margin, m", "Taken off the own cosine."),
    ("a-softmax", 1, 6, 4, 1, "A-Softmax’s margin, m", "The own angle counts m times."),
    ("lambda", 0, 20, 5, 1, "A-Softmax’s λ",
     "The share of plain softmax: training starts at 1500 and ends at 5; 0 is the pure formula."),
    ("scale", 1, 64, 64, 1, "Scale, s",
     "By what all cosines are multiplied; for A-Softmax the length of the embedding."),
)  # fmt: skip
DEGREES = np.arange(181.0)
AROUND = np.arange(0, 360, 0.25)
SCALES = np.linspace(0.5, 64, 128)
PEOPLE = (10, 100, 1000, 10_000)
SURENESS = {classes: loss_curves.best_probability(SCALES, classes) for classes in PEOPLE}


def show(
    arcface: float, cosface: float, a_softmax: int, annealing: float, scale: float, people: int
) -> list[Any]:
    """(curves, surest probability, its chart) at these settings."""
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
    """(the gaps in numbers, the rings) at these settings."""
    margins = Margins(int(a_softmax), cosface, arcface, annealing=annealing)
    prototypes = 90.0 + between * (np.arange(classes) - (classes - 1) / 2)
    owners = loss_curves.decision_regions(margins, prototypes, AROUND)
    return [
        gaps_card(owners, prototypes[:2]),
        decision_regions(owners, prototypes, AROUND),
    ]


def gaps_card(owners: dict[str, np.ndarray], ends: np.ndarray) -> str:
    """How wide the gap between the first two prototypes is, loss by loss."""
    inside = (ends.min() < AROUND) & (ends.max() > AROUND)
    step = AROUND[1] - AROUND[0]
    widths = ((NAMES[name], f"{step * (owners[name][inside] == NO_CLASS).sum():.0f}°") for name in COMPARED)
    return (
        f'<div class="fl-card" role="status"><p>Gap between class 1 and class 2:</p>{figures(*widths)}</div>'
    )


def sureness_card(best: float, scale: float, people: int) -> str:
    """The surest probability in words."""
    words = percent(best) if best >= 0.01 else f"1 in {1 / best:,.0f}"
    least = np.log1p((people - 1) * np.exp(-scale * people / (people - 1)))
    bound = f"{least:.2g}" if least > 1e-4 else "almost 0"
    return (
        f'<div class="fl-card" role="status"><p>With s = {scale:g} and {people:,} people, the most that '
        f"softmax can give the right person is <b>{words}</b>, so the loss cannot go below "
        f"<b>{bound}</b>.</p></div>"
    )


def section() -> Controls:
    """Lay it out, open at the papers' margins -> its controls by name."""
    gr.Markdown(QUESTION)
    margins, scaling = _sliders()
    first = show(*(control.value for control in (*margins, *scaling)))
    chart = Chart(
        first[0], "Own logit and size of the gradient against the angle, four losses", "margin-chart"
    )
    gr.Markdown(READING, elem_classes="fl-small")
    gr.Markdown(RINGS)
    plane = _plane()
    rings = show_rings(*(control.value for control in (*margins, *plane)))
    gaps = gr.HTML(rings[0], elem_id="gaps", padding=False)
    circle = Chart(
        rings[1], "Which directions each class owns under four losses, and the gaps", "regions-chart"
    )
    gr.Markdown(SCALE)
    sure = gr.HTML(first[1], elem_id="sureness", padding=False)
    surest = Chart(
        first[2], "The surest probability against the scale, by the number of classes", "scale-chart"
    )
    gr.HTML(papers_card(*COMPARED), padding=False)
    redraw(show, [*margins, *scaling], [chart, sure, surest])
    redraw(show_rings, [*margins, *plane], [gaps, circle])
    names = ("arcface", "cosface", "asoftmax", "lambda", "scale", "people", "classes", "between")
    return dict(zip(names, (*margins, *scaling, *plane)))


def _sliders() -> tuple[list[Any], list[Any]]:
    """The margins (ArcFace, CosFace, A-Softmax and its λ), and what scales them."""
    sliders = []
    for row in (SLIDERS[:2], SLIDERS[2:4], SLIDERS[4:]):
        with gr.Row(elem_classes="fl-controls"):
            for name, low, high, value, step, label, info in row:
                slider = gr.Slider(
                    low, high, value, step=step, label=label, info=info, elem_id=f"margin-{name}"
                )
                sliders.append(slider)
            if row == SLIDERS[4:]:
                people = gr.Radio(
                    list(PEOPLE),
                    value=1000,
                    label="People, C",
                    info="Among how many the softmax chooses.",
                    elem_id="margin-people",
                )
    return sliders[:4], [sliders[4], people]


def _plane() -> list[Any]:
    """How many prototypes stand in the plane, and how far apart."""
    with gr.Row(elem_classes="fl-controls"):
        classes = gr.Radio(
            [2, 3],
            value=2,
            label="Prototypes",
            info="How many classes share the circle.",
            elem_id="margin-classes",
        )
        between = gr.Slider(
            20,
            120,
            value=90,
            step=5,
            label="Angle between neighbors",
            info="From one prototype to the next, in degrees.",
            elem_id="margin-between",
        )
    return [classes, between]
