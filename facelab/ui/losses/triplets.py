"""Show triplet loss: drag three photos on the circle, and see for which triplets the gradient is zero."""

from typing import Any

import gradio as gr
import numpy as np
import torch

from facelab.lessons import loss_curves
from facelab.lessons.loss_curves import KINDS, OneTriplet
from facelab.plots.losses import triplet_circle
from facelab.ui.links import Controls
from facelab.ui.losses.cards import papers_card
from facelab.ui.losses.drag import PHOTOS, Circle
from facelab.ui.widgets.cards import figures
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.controls import redraw

QUESTION = (
    "A triplet is an **a**nchor, a **p**ositive (same identity) and a **n**egative (different identity). The "
    "loss is max(0, d(a, p)² − d(a, n)² + m): the negative must be farther than the positive by the margin m "
    "(ε on the slide). **Drag the negative: where does the gradient become zero?**"
)
HELP = (
    "Drag A, P or N, or focus one and press the arrow keys. The outer ring shows the kind of a negative at "
    "each position: solid hard (nearer than the positive), dashed semi-hard (farther, within the margin), "
    "dotted easy (loss 0). The other photos show it too: ✖ hard, ▲ semi-hard, △ easy. Green arrows: the step "
    "of gradient descent."
)
MEANING = {
    "easy": ("✔ Easy", "The negative is farther than the positive by more than the margin: loss and gradient "
             "are zero."),
    "semi-hard": ("◆ Semi-hard", "The negative is farther than the positive, but by less than the margin. "
                  "FaceNet trains on these."),
    "hard": ("✖ Hard", "The negative is nearer to the anchor than the positive. The loss is largest, but "
             "training on hard triplets alone from the start can collapse: see the next section."),
}  # fmt: skip
SAME, OTHERS = (20.0, 75.0, 118.0), (8.0, 58.0, 100.0, 140.0, 190.0, 235.0, 290.0, 338.0)
AROUND = [5.0 * i for i in range(72)]
START = (30.0, 100.0, 65.0)


def show(anchor: float, positive: float, negative: float, margin: float) -> list[Any]:
    """Return (cards, circle) at three angles in degrees and a margin."""
    degrees = [anchor, positive, negative]
    triplet = loss_curves.one_triplet(loss_curves.on_circle(degrees), margin)
    ring = _kinds([anchor, positive, *AROUND], 2, margin)[2:]
    cloud = [*degrees, *SAME, *OTHERS]
    labels = torch.tensor([0, 0, 1] + [0] * len(SAME) + [1] * len(OTHERS))
    points = loss_curves.on_circle(cloud)
    kinds = loss_curves.triplet_kinds(points, labels, 0, 1, margin)
    same = (labels[3:] == 0).numpy()
    card = triplet_card(triplet, margin) + batch_card(points, labels, margin)
    return [card, triplet_circle(degrees, triplet, ring, points[3:].numpy(), same, kinds[3:])]


def _kinds(degrees: list[float], own: int, margin: float) -> np.ndarray:
    """Return the kinds of all photos but the first `own` (one identity), as negatives of the first two."""
    labels = (torch.arange(len(degrees)) >= own).long()
    return loss_curves.triplet_kinds(loss_curves.on_circle(degrees), labels, 0, 1, margin)


def triplet_card(triplet: OneTriplet, margin: float) -> str:
    """Return the kind of a triplet, its distances and its loss."""
    title, sentence = MEANING[triplet.kind]
    kind = {"easy": "fl-same", "semi-hard": "fl-closed", "hard": "fl-different"}[triplet.kind]
    numbers = figures(
        ("d(a, p)²", f"{triplet.positive:.3f}"),
        ("d(a, n)²", f"{triplet.negative:.3f}"),
        ("margin", f"{margin:.2f}"),
        ("loss", f"{triplet.loss:.3f}"),
    )
    return f'<div class="fl-card {kind}" role="status"><h2>{title}</h2><p>{sentence}</p>{numbers}</div>'


def batch_card(points: torch.Tensor, labels: torch.Tensor, margin: float) -> str:
    """Return the number of triplets of each kind for this anchor, and of those that mining selects."""
    own = (labels == 0).nonzero().squeeze(1)[1:].tolist()
    kinds = np.concatenate([loss_curves.triplet_kinds(points, labels, 0, p, margin) for p in own])
    counts = ((name, str((kinds == kind).sum())) for kind, name in reversed(list(enumerate(KINDS))))
    taken = {
        mining: len(loss_curves.mined_for(points, labels, 0, mining, margin))
        for mining in ("hard", "semi_hard")
    }
    return (
        f'<div class="fl-card"><h3>All triplets of this anchor</h3><p>With every photo on the circle '
        f"there are {(kinds >= 0).sum()} triplets of A:</p>{figures(*counts)}"
        f'<p class="fl-small">Hard mining selects {taken["hard"]} (farthest positive, nearest negative). '
        f"Semi-hard mining selects {taken['semi_hard']} (for each positive, the nearest farther negative "
        "within the margin).</p></div>"
    )


def _sliders() -> tuple[gr.Slider, list[gr.Slider]]:
    """Lay out the margin and the three angles."""
    with live():
        margin = gr.Slider(
            0,
            2,
            value=0.2,
            step=0.05,
            label="Margin, m",
            info="On squared distances of normalized embeddings, in [0, 4]; 0.2 in FaceNet.",
            elem_id="triplet-margin",
        )
        angles = [
            gr.Slider(
                0,
                360,
                value=degrees,
                step=1,
                label=photo.capitalize(),
                info=f"Angle of the {photo}, in degrees.",
                elem_id=f"triplet-{photo}",
            )
            for photo, degrees in zip(PHOTOS, START)
        ]
    return margin, angles


def section() -> Controls:
    """Lay the section out, open at a hard triplet; return its controls by name."""
    gr.Markdown(QUESTION)
    with columns() as (panel, results):
        with panel:
            margin, angles = _sliders()
        card, figure = show(*START, margin.value)
        with results:
            with beside():
                label = "A triplet on the circle, with the zones of hard, semi-hard and easy negatives"
                circle = Circle(figure, label, "triplet-circle")
                said = gr.HTML(card, elem_id="triplet", padding=False)
            gr.Markdown(HELP, elem_classes="fl-small")
    circle.input(None, None, angles, js=circle.read(), api_visibility="private")
    redraw(show, [*angles, margin], [said, circle])
    gr.HTML(papers_card("triplet"), padding=False)
    return dict(zip(PHOTOS, angles)) | {"tripletmargin": margin}
