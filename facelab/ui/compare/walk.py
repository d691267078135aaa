"""Move a rendered face from one identity to another, and watch its score and the decision."""

from typing import Any

import gradio as gr

from facelab.lessons.identity_walk import STEPS, faces, walk
from facelab.models.zoo import checkpoint_names
from facelab.plots.identity_walk import walk_figure
from facelab.recognition.embedder import load
from facelab.ui.links import Controls
from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import columns, live
from facelab.ui.widgets.controls import redraw

TEXT = (
    "### From one identity to another\n"
    "Rendered identities have people between them, which no set of photographs has. **Where does the face "
    "stop being A, and where does it begin to be B? Is there a face that is accepted as both?**"
)
OTHER_MODEL = "The walk is computed with the shipped checkpoints; choose one of them as the model above."
OPENING = 30  # percent: under the default model and rate, accepted as both
STYLE = """
.fl-walk { display: grid; grid-template-columns: repeat(3, minmax(0, 112px)); gap: .8rem; }
.fl-walk figure { margin: 0; } .fl-walk img { width: 100%; border-radius: 8px; display: block; }
.fl-walk figure:nth-child(2) img { outline: 3px solid #0072B2; }
"""


def show(percent: float, model: str, strictness: float) -> list[Any]:
    """Return (card, chart) of the face at a share of the way, at FAR 10^-strictness."""
    if model not in checkpoint_names():
        return [cards.hint(OTHER_MODEL), None]
    way, step = walk(model), round(percent * (STEPS - 1) / 100)
    threshold = load(model).calibrated().threshold_for(10.0**-strictness)
    card = walk_card(step, float(way.a[step]), float(way.b[step]), threshold)
    return [card, walk_figure(way, threshold, step)]


def walk_card(step: int, a: float, b: float, threshold: float) -> str:
    """Return whose face it is by its two scores, and the three faces."""
    accepted = [name for name, score in (("A", a), ("B", b)) if score >= threshold]
    title = {0: "✖ Neither A nor B", 2: "⚠ Accepted as A and as B"}.get(
        len(accepted), f"✔ Accepted as {''.join(accepted)}"
    )
    (first, last), along = faces()
    here = f"{100 * step / (STEPS - 1):.0f}% of the way"
    pictures = "".join(
        f'<figure>{cards.picture(crop, name)}<figcaption class="fl-small">{name}</figcaption></figure>'
        for crop, name in ((first, "A, enrolled"), (along[step], here), (last, "B, enrolled"))
    )
    numbers = cards.figures(
        ("score with A", f"{a:.3f}"), ("score with B", f"{b:.3f}"), ("threshold", f"{threshold:.3f}")
    )
    kind = "same" if len(accepted) == 1 else "different"
    return (
        f'<div class="fl-card fl-{kind}" role="status"><h3>{title}</h3>'
        f'<div class="fl-walk">{pictures}</div>{numbers}'
        '<p class="fl-small">A morph that is accepted as two people is a known attack on photo identity '
        "documents. Every face is compared with a photo of A and of B in another pose.</p></div>"
    )


def section(model: gr.Dropdown, strictness: gr.Slider) -> Controls:
    """Lay the section out; return its control by name.

    Args:
        model, strictness: the tab's model and -log10 FAR.
    """
    gr.Markdown(TEXT)
    first = show(OPENING, model.value, strictness.value)
    with columns() as (panel, results):
        with panel, live():
            share = gr.Slider(0, 100, value=OPENING, step=100 // (STEPS - 1), label="Way from A to B, %",
                              info="0: identity A; 100: identity B.", elem_id="walk")  # fmt: skip
        with results:
            card = gr.HTML(first[0], css_template=STYLE, elem_id="walk-card", padding=False)
            chart = Chart(first[1], "Score with A and with B along the way, and the threshold", "walk-chart")
    redraw(show, [share, model, strictness], [card, chart])
    return {"walk": share}
