"""Show margin losses: target logit, gradient magnitude, decision regions, and the scale s."""

from typing import Any

import gradio as gr
import numpy as np

from facelab.lessons import loss_curves
from facelab.lessons.loss_curves import COMPARED, NO_CLASS, Margins, arcface_logits
from facelab.plots.loss_pictures import sphere_figure
from facelab.plots.losses import NAMES, best_probabilities, decision_regions, margin_curves
from facelab.ui.links import Controls
from facelab.ui.losses.cards import papers_card
from facelab.ui.widgets.cards import figures, percent
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.controls import redraw
from facelab.ui.widgets.formula import formula, set_formula

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
    "On the sphere the gap is gray. "
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
THREE = np.stack([[np.cos(a), np.sin(a), 0.0] for a in np.deg2rad([90.0, 210.0, 330.0])])
_POLAR, _AZIMUTH = np.meshgrid(np.linspace(0, np.pi, 49), np.linspace(0, 2 * np.pi, 97), indexing="ij")
SPHERE = np.stack([np.sin(_POLAR) * np.cos(_AZIMUTH), np.sin(_POLAR) * np.sin(_AZIMUTH), np.cos(_POLAR)], 2)
AROUND = np.arange(0, 360, 0.25)
SCALES = np.linspace(0.5, 64, 128)
PEOPLE = (10, 100, 1000, 10_000)
SURENESS = {classes: loss_curves.best_probability(SCALES, classes) for classes in PEOPLE}


def show(
    arcface: float,
    cosface: float,
    a_softmax: int,
    annealing: float,
    scale: float,
    people: int,
    loss: str = "arcface",
    every: bool = True,
) -> list[Any]:
    """Return (curves, maximum attainable probability, its chart) of softmax and one loss, or of all."""
    margins = Margins(int(a_softmax), cosface, arcface, scale, annealing)
    best = float(loss_curves.best_probability(scale, people))
    curves = loss_curves.margin_curves(margins, people, DEGREES)
    return [
        margin_curves(DEGREES, {name: curves[name] for name in _names(loss, every)}),
        sureness_card(best, scale, people),
        best_probabilities(SCALES, SURENESS, scale, best),
    ]


def _names(loss: str, every: bool) -> tuple[str, ...]:
    return COMPARED if every else (COMPARED[0], loss)


def show_rings(
    arcface: float,
    cosface: float,
    a_softmax: int,
    annealing: float,
    classes: int,
    between: float,
    loss: str = "arcface",
    every: bool = True,
) -> list[Any]:
    """Return (widths of the gaps, decision regions) of softmax and one loss, or of every loss."""
    margins = Margins(int(a_softmax), cosface, arcface, annealing=annealing)
    prototypes = 90.0 + between * (np.arange(classes) - (classes - 1) / 2)
    found = loss_curves.decision_regions(margins, prototypes, AROUND)
    owners = {name: found[name] for name in _names(loss, every)}
    return [
        gaps_card(owners, prototypes[:2]),
        decision_regions(owners, prototypes, AROUND),
    ]


def gaps_card(owners: dict[str, np.ndarray], ends: np.ndarray) -> str:
    """Return the width of the gap between the first two prototypes, for each loss."""
    inside = (ends.min() < AROUND) & (ends.max() > AROUND)
    step = AROUND[1] - AROUND[0]
    widths = ((NAMES[name], f"{step * (owners[name][inside] == NO_CLASS).sum():.0f}°") for name in owners)
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


def show_sphere(arcface: float, cosface: float, a_softmax: int, annealing: float, loss: str) -> list[Any]:
    """Return (the loss with its values, regions of three classes on the sphere) at these margins."""
    margins = Margins(int(a_softmax), cosface, arcface, annealing=annealing)
    owner = loss_curves.sphere_regions(margins, THREE, SPHERE.reshape(-1, 3))[loss]
    figure = sphere_figure(owner.reshape(SPHERE.shape[:2]), SPHERE, THREE, NAMES[loss])
    free = int(100 * (owner == NO_CLASS).mean() + 0.5)
    return [mathematics(margins, loss, free), figure]


def mathematics(margins: Margins, loss: str, free: int) -> str:
    """Return the target logit of a loss with its margin, and the share of directions without a class."""
    target = {
        "arcface": rf"s \cdot \cos(\theta_y + m),\quad m = {margins.arcface:g}",
        "cosface": rf"s \cdot (\cos\theta_y - m),\quad m = {margins.cosface:g}",
        "a_softmax": rf"\tfrac{{1}}{{1+\lambda}}\lVert x\rVert (\lambda\cos\theta_y + \psi(\theta_y)),\quad "
        rf"\psi \approx \cos(m\theta_y),\ m = {margins.a_softmax},\ \lambda = {margins.annealing:g}",
    }[loss]
    return set_formula(rf"z_y &= {target}", rf"\text{{gap}} &= {free}\%\ \text{{of the sphere, 3 classes}}")


def section() -> Controls:
    """Lay the section out, open at ArcFace alone with the paper's margin; return its controls by name."""
    gr.Markdown(QUESTION)
    with columns() as (panel, results):
        with panel:
            margins = _sliders()
            loss, every = which = _which()
            first = show_sphere(*(control.value for control in margins), loss.value)
            said = formula(first[0], arcface_logits, "margin-formula")
            plane = _plane()
        at = [control.value for control in margins]
        rings = show_rings(*at, *(control.value for control in (*plane, *which)))
        with results:
            circle, gaps, sphere = _pictures(rings, first[1])
            label = "Target logit and gradient magnitude against the angle"
            chart = Chart(show(*at, 64, 1000, loss.value, every.value)[0], label, "margin-chart")
            gr.Markdown(READING, elem_classes="fl-small")
            gr.Markdown(RINGS)
    scaling, shown = _scale([*at, 64, 1000])
    gr.HTML(papers_card(*COMPARED), padding=False)
    redraw(show_rings, [*margins, *plane, *which], [gaps, circle])
    redraw(show_sphere, [*margins, loss], [said, sphere])
    redraw(show, [*margins, *scaling, *which], [chart, *shown])
    redraw(on_which, list(which), margins)
    names = ("arcface", "cosface", "asoftmax", "lambda", "scale", "people", "classes", "between")
    return dict(zip(names, (*margins, *scaling, *plane))) | {"margin": loss, "all": every}


def on_which(loss: str, every: bool) -> list[Any]:
    """Show the sliders of the losses that are shown."""
    owners = ("arcface", "cosface", "a_softmax", "a_softmax")
    return [gr.update(visible=every or loss == owner) for owner in owners]


def _pictures(rings: list[Any], sphere: str) -> tuple[Chart, gr.HTML, Chart]:
    """Lay out the circle with the widths of its gaps, and the sphere beside it."""
    with beside():
        with gr.Column(min_width=0):
            circle = Chart(
                rings[1], "Decision regions on the circle, and the gaps between classes", "regions-chart"
            )
            gaps = gr.HTML(rings[0], elem_id="gaps", padding=False)
        label = "Decision regions of three classes on the sphere; gray: no class. Drag to turn"
        return circle, gaps, Chart(sphere, label, "sphere-chart")


def _scale(start: list[Any]) -> tuple[list[Any], list[Any]]:
    """Lay out the scale with what it bounds; return its controls, and what they change."""
    gr.Markdown(SCALE)
    with columns() as (panel, results):
        with panel:
            scaling = _scaling()
        first = show(*start)
        with results, beside():
            sure = gr.HTML(first[1], elem_id="sureness", padding=False)
            label = "Maximum attainable probability against the scale s, by the number of classes K"
            return scaling, [sure, Chart(first[2], label, "scale-chart")]


def _which() -> tuple[gr.Radio, gr.Checkbox]:
    """Lay out which loss is shown, and the switch that compares all."""
    choices = [(NAMES[name], name) for name in ("arcface", "cosface", "a_softmax")]
    loss = gr.Radio(
        choices, value="arcface", label="Loss", info="Beside plain softmax.", elem_id="margin-loss"
    )
    every = gr.Checkbox(
        False, label="Compare all", info="Curves and rings of every loss.", elem_id="margin-all"
    )
    return loss, every


def _slider(row: tuple[Any, ...]) -> gr.Slider:
    name, low, high, value, step, label, info = row
    shown = name in ("arcface", "scale")
    return gr.Slider(
        low, high, value, step=step, label=label, info=info, elem_id=f"margin-{name}", visible=shown
    )


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
