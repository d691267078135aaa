"""Lay out the photos and the results of the Compare tab: decision, chart, every model's decision.

The components open with the example; `tab.py` updates them.
"""

from typing import Any

import gradio as gr

from facelab.ui.widgets import cards
from facelab.ui.widgets.chart import Chart
from facelab.ui.widgets.columns import beside
from facelab.ui.widgets.controls import MINUTES
from facelab.ui.widgets.photo_input import PhotoInput


def photos_of(opening: tuple[Any, Any], names: list[str], first: list[Any]) -> tuple[list[Any], ...]:
    """Lay out both photos, each with what was found drawn over it, and the examples.

    Return (inputs, what was found, choices between several faces, examples); `first` are the last two of the
    opening's results. Boxes leave with their photo at once, in the browser.
    """
    photos, found, choices = [], [], []
    with gr.Row(elem_classes="fl-pair"):
        for name, image, drawn in zip("AB", opening, first[:2]):
            with gr.Column(elem_classes="fl-slot", min_width=0):
                photo = PhotoInput(f"Photo {name}", f"photo-{name.lower()}", image)
                over = gr.HTML(drawn, elem_id=f"seen-{name.lower()}", elem_classes="fl-over", padding=False)
            gr.on([photo.input, photo.clear], None, None, over, js="() => ''", api_visibility="private")
            photos.append(photo)
            found.append(over)
    for name, radio in zip("AB", first[2:]):
        choices.append(
            gr.Radio(
                radio.get("choices", ["1"]),
                value=radio.get("value", "1"),
                visible=radio["visible"],
                label=f"Face in photo {name}",
                info="1 is the largest. Default: the main face, large and near the center.",
                elem_id=f"face-{name.lower()}",
            )
        )
    with gr.Row(elem_classes="fl-examples"):
        examples = [gr.Button(f"Try: {name.lower()}", size="sm") for name in names]
    return photos, found, choices, examples


def results_of(first: list[Any], found: list[Any], choices: list[Any]) -> list[Any]:
    """Return the components that `outcome` fills, in its order, with the opening example."""
    pair, card, figure = first[:3]
    with beside():
        verdict = gr.HTML(card, elem_id="verdict", padding=False)
        label = "Score distributions of genuine and impostor pairs, with this pair and the threshold"
        chart = Chart(figure, label, "chart")
    return [gr.State(pair, time_to_live=60 * MINUTES), verdict, chart, *found, *choices]


def explanation_of(first: list[Any]) -> list[Any]:
    """Return the components that `explain` fills, in its order, with the opening example; and the button that
    asks for the decomposition of a score.
    """
    scores, table, figure, why_html = first
    shown = [
        gr.State(scores, time_to_live=60 * MINUTES),
        gr.HTML(table, elem_id="models", padding=False),
        Chart(figure, "Score and threshold of every model", "models-chart"),
    ]
    ask = gr.Button("Explain the score", elem_id="explain", size="sm")
    return [*shown, gr.HTML(why_html, elem_id="why", padding=False), ask]


def show_faces(pair: Any) -> tuple[str, str, Any, Any]:
    """Return both photos of a `Pair` with their faces, and the choice between several."""
    out: list[Any] = [
        cards.found_card(pair.a, pair.face_a, "Photo A"),
        cards.found_card(pair.b, pair.face_b, "Photo B"),
    ]
    for detection, chosen in ((pair.a, pair.face_a), (pair.b, pair.face_b)):
        count = len(detection.faces)
        out.append(
            gr.update(choices=[str(i + 1) for i in range(count)], value=str(chosen + 1), visible=count > 1)
        )
    return tuple(out)
