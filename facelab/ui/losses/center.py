"""Show center loss: three classes in the plane, pulled to their centers."""

from typing import Any

import gradio as gr

from facelab.lessons.center_pull import FORMULA, STEPS, Pulled, pulled
from facelab.plots.loss_pictures import center_figure
from facelab.ui.links import Controls
from facelab.ui.losses.cards import papers_card
from facelab.ui.widgets.cards import figures
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside, columns, live
from facelab.ui.widgets.controls import redraw
from facelab.ui.widgets.formula import formula, set_formula

QUESTION = (
    "Softmax makes classes *separable*: each moves outward along its class weight (dotted ray). Center loss "
    "adds the squared distance to the class center (★). **Raise λ: what happens to the distance within a "
    "class, and to the distance between classes?**"
)
LIMIT = 6.0


def show(weight: float, steps: float) -> list[Any]:
    """Return (card, formula, picture) at λ after some steps."""
    state = pulled(weight, int(steps))
    return [center_card(state, weight), mathematics(state, weight), center_figure(state, LIMIT)]


def mathematics(state: Pulled, weight: float) -> str:
    """Return the loss in symbols and with the current values."""
    total = state.softmax + weight * state.center
    return set_formula(
        r"L &= L_{\text{softmax}} + \lambda \cdot \tfrac{1}{2B}\textstyle\sum_i \lVert x_i - c_{y_i}\rVert^2",
        rf"&= {state.softmax:.3f} + {weight:g} \cdot {state.center:.3f} = {total:.3f}",
    )


def center_card(state: Pulled, weight: float) -> str:
    """Return the distances within and between the classes."""
    ratio = state.intra / state.inter
    words = (
        "Discriminative: compact classes." if ratio < 0.08 else "Separable: classes stretch along their rays."
    )
    numbers = figures(
        ("distance to the class center", f"{state.intra:.2f}"),
        ("distance between centers", f"{state.inter:.2f}"),
        ("intra ÷ inter", f"{ratio:.2f}"),
    )
    return f'<div class="fl-card" role="status"><h2>λ = {weight:g}: {words}</h2>{numbers}</div>'


def section() -> Controls:
    """Lay the section out, open at softmax alone; return its controls by name."""
    gr.Markdown(QUESTION)
    with columns() as (panel, results):
        with panel:
            with live():
                weight = gr.Slider(
                    0,
                    1,
                    value=0.0,
                    step=0.01,
                    label="Weight of center loss, λ",
                    info="0: softmax alone. Arrows: the pull.",
                    elem_id="center-weight",
                )
                steps = gr.Slider(
                    1,
                    STEPS,
                    value=STEPS,
                    step=1,
                    label="Training steps",
                    info="Gradient descent on the embeddings.",
                    elem_id="center-steps",
                )
            first = show(weight.value, steps.value)
            said = formula(first[1], FORMULA, "center-formula")
        with results, beside():
            chart = Chart(first[2], "Embeddings of three classes with their centers", "center-chart")
            card = gr.HTML(first[0], elem_id="center", padding=False)
    redraw(show, [weight, steps], [card, said, chart])
    gr.HTML(papers_card("center"), padding=False)
    return {"centerweight": weight, "centersteps": steps}
